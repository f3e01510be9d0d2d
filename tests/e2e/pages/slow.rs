//! Kubelets that measure seldom, or repeat a page.

use super::*;

#[test]
fn containers_that_are_measured_slowly_are_served_all_the_time() {
    // Each is measured every 75 s, at a different moment.
    let names = ["p0", "p1", "p2", "p3"];
    let pages = pages(40, |at| {
        let mut page = Page::asked_at(at);
        for (number, name) in (0..).zip(names) {
            let moment = 20 * number - 60;
            let measured = (at - moment).div_euclid(75) * 75 + moment;
            page = page.pod(name, 100.0 + 0.1 * seconds(measured), Some(measured));
        }
        page
    });
    for said in answers(&mut Pipeline::new(15), &pages, &names) {
        let first = said.iter().position(|said| said == "100m/75s").unwrap();
        assert!(first <= 5, "{first}");
        assert!(
            said[first..].iter().all(|said| said == "100m/75s"),
            "{said:?}"
        );
    }
}

#[test]
fn a_kubelet_that_measures_every_five_minutes_is_served_all_the_time() {
    let pages = pages(44, |at| {
        let measured = at / 300 * 300;
        let total = 100.0 + 0.1 * seconds(measured);
        Page::asked_at(at)
            .node(total, Some(measured))
            .pod("p", total, Some(measured))
    });
    let [node, pod] = &answers(&mut Pipeline::new(15), &pages, &["n1", "p"])[..] else {
        unreachable!()
    };
    are(&node[..1], &[WAITS]);
    for said in [node, pod] {
        assert!(
            said[20..].iter().all(|said| said == "100m/300s"),
            "{said:?}"
        );
    }
}

#[test]
fn a_kubelet_that_repeats_one_page_is_served_up_to_a_bound() {
    let pages = pages(8, |at| {
        let measured = at.min(15);
        Page::asked_at(at).pod("p", 100.0 + 0.1 * seconds(measured), Some(measured))
    });
    let said = &answers(&mut Pipeline::new(15), &pages, &["p"])[0];
    let served = "100m/15s";
    let over =
        [46, 61, 76, 91].map(|age| format!("the kubelet has reported nothing new for {age}s"));
    are(&said[..4], &[POD_WAITS, served, served, served]);
    assert_eq!(said[4..], over);
}

#[test]
fn of_a_kubelet_that_has_only_ever_given_one_page_it_is_said_that_there_is_nothing_new() {
    let same = pages(6, |at| {
        Page::asked_at(at)
            .node(100.0, Some(0))
            .pod("p", 10.0, Some(0))
    });
    let nothing_new =
        [46, 61, 76].map(|age| format!("the kubelet has reported nothing new for {age}s"));
    for fails in [false, true] {
        let mut pipeline = Pipeline::new(15);
        if fails {
            pipeline.fail(-15);
        }
        let [node, pod] = &answers(&mut pipeline, &same, &["n1", "p"])[..] else {
            unreachable!()
        };
        assert!(
            node[..3]
                .iter()
                .chain(&pod[..3])
                .all(|said| said.contains(WAITS))
        );
        assert_eq!(node[3..], nothing_new);
        assert_eq!(pod[3..], nothing_new);
    }
}
