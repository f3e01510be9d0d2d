//! Pages without lines that others have, and lines that are refused.

use super::*;

#[test]
fn pods_are_served_where_the_node_has_no_lines() {
    let pages = pages(3, |at| {
        Page::asked_at(at).pod("p", 100.0 + 0.1 * seconds(at), Some(at))
    });
    let mut pipeline = Pipeline::new(15);
    let [node, pod] = &answers(&mut pipeline, &pages, &["n1", "p"])[..] else {
        unreachable!()
    };
    are(node, &["the kubelet reports no CPU time"; 3]);
    are(pod, &[POD_WAITS, "100m/15s", "100m/15s"]);
    let now = Timestamp::from_millis((BEGIN + 31) * 1_000);
    let coverage = pipeline.store.coverage(&["n1".into()], now);
    assert_eq!((coverage.served, coverage.unusable), (1, 0));
}

#[test]
fn a_page_without_containers_hides_none() {
    let pages = pages(5, |at| {
        let cpu = 100.0 + 0.1 * seconds(at);
        let page = Page::asked_at(at).node(cpu, Some(at));
        if at == 30 {
            page
        } else {
            page.pod("p", cpu, Some(at))
        }
    });
    let pod = &answers(&mut Pipeline::new(15), &pages, &["p"])[0];
    are(
        pod,
        &[POD_WAITS, "100m/15s", "100m/15s", "100m/30s", "100m/15s"],
    );
}

#[test]
fn the_first_page_after_a_failure_does_not_hide_the_failure() {
    let mut pipeline = Pipeline::new(15);
    pipeline.fail(0);
    let pages = [15, 30].map(|at| Page::asked_at(at).pod("p", 100.0 + 0.1 * seconds(at), Some(at)));
    let said = &answers(&mut pipeline, &pages, &["p"])[0];
    let waits = "waiting for a second sample; last scrape failed 16s ago by s: refused";
    are(said, &[waits, "100m/15s"]);
}

#[test]
fn of_a_pod_whose_lines_are_refused_it_is_said_why() {
    let pages = pages(2, |at| {
        Page::asked_at(at)
            .pod("ok", 1.0 + seconds(at), Some(at))
            .line(
                "container_cpu_usage_seconds_total",
                &labels("bad"),
                f64::NAN,
                Some(at),
            )
            .line(
                "container_memory_working_set_bytes",
                &labels("bad"),
                -5.0,
                Some(at),
            )
    });
    let said = &answers(&mut Pipeline::new(15), &pages, &["bad"])[0];
    are(
        said,
        &["container main: the kubelet reports a value that cannot be used"; 2],
    );
}

#[test]
fn of_a_pod_with_a_container_that_no_name_can_be_it_is_said_why() {
    let odd = |at: i64| {
        let labels = "{container=\"Side_Car\",namespace=\"a\",pod=\"p\"}";
        let page = Page::asked_at(at).pod("ok", 100.0 + 0.1 * seconds(at), Some(at));
        let page = page.pod("p", 100.0 + 0.1 * seconds(at), Some(at));
        page.line("container_cpu_usage_seconds_total", labels, 1.0, Some(at))
    };
    let unreadable = "the kubelet reports a container of it with a name that cannot be used";
    let from_the_first = pages(2, odd);
    let said = answers(
        &mut Pipeline::new(15),
        &from_the_first,
        &["p", "ok", "other"],
    );
    are(&said[0], &[unreadable; 2]);
    are(&said[1], &[POD_WAITS, "100m/15s"]);
    are(&said[2], &["its node does not report it yet"; 2]);
    // A container that was served is missed no earlier than any other that the page lacks.
    let later = pages(6, |at| match at {
        30..75 => odd(at),
        _ => Page::asked_at(at).pod("p", 100.0 + 0.1 * seconds(at), Some(at)),
    });
    let said = &answers(&mut Pipeline::new(15), &later, &["p"])[0];
    let served = "100m/15s";
    are(
        said,
        &[POD_WAITS, served, served, served, unreadable, "100m/60s"],
    );
}
