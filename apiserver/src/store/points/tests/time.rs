//! What is served while kubelets are slow, absent, wrong or repeat themselves.

use super::*;

#[test]
fn a_kubelet_that_repeats_itself_is_too_old_some_day() {
    let mut points = Points::default();
    for second in [100, 115] {
        points.take(page("n1", second, &[("web", "main", 250)]), &source("s"));
    }
    for asked in [130, 145, 160, 175] {
        let mut same = page("n1", 115, &[("web", "main", 250)]);
        same.asked_at = at(asked);
        points.take(same, &source("s"));
    }
    assert_eq!(millis(&points, None, 160), Ok(vec![250]));
    assert_eq!(
        millis(&points, None, 176),
        Err("the kubelet has reported nothing new for 61s".to_owned())
    );
    // The next sample pairs with it.
    points.take(page("n1", 190, &[("web", "main", 250)]), &source("s"));
    assert_eq!(millis(&points, None, 191), Ok(vec![250]));
}

#[test]
fn a_kubelet_that_measures_slowly_is_served_all_the_time() {
    let mut points = Points::default();
    let mut served = Vec::new();
    for asked in (0..1_200).step_by(15) {
        let mut page = page("n1", 100 + asked / 300 * 300, &[("web", "main", 250)]);
        page.asked_at = at(100 + asked);
        points.take(page, &source("s"));
        served.push(millis(&points, None, 114 + asked).is_ok());
        let node = points.node("n1", at(114 + asked));
        assert_eq!(node.is_ok(), asked >= 300, "node at {asked}");
    }
    assert_eq!(served.iter().filter(|served| **served).count(), 60);
    // It stops for good.
    for asked in (1_200..2_000).step_by(15) {
        let mut page = page("n1", 1_000, &[("web", "main", 250)]);
        page.asked_at = at(100 + asked);
        points.take(page, &source("s"));
    }
    assert_eq!(millis(&points, None, 1_600), Ok(vec![250]));
    let nothing_new = "the kubelet has reported nothing new for 601s";
    assert_eq!(millis(&points, None, 1_601), Err(nothing_new.to_owned()));
}

#[test]
fn what_was_wrong_is_said_until_there_are_two_samples() {
    let mut points = Points::default();
    fail(&mut points, ("n1", 100), "refused", "s2");
    points.take(page("n1", 115, &[("web", "main", 250)]), &source("s"));
    let waits = "waiting for a second sample; last scrape failed 16s ago by s2: refused";
    assert_eq!(points.node("n1", at(116)).unwrap_err().to_string(), waits);
    assert_eq!(millis(&points, None, 116), Err(waits.to_owned()));
    points.take(page("n1", 130, &[("web", "main", 250)]), &source("s"));
    assert_eq!(millis(&points, None, 131), Ok(vec![250]));
}

#[test]
fn what_was_wrong_is_not_said_of_pods_that_are_new_later() {
    let mut points = Points::default();
    fail(&mut points, ("n1", 100), "refused", "s2");
    points.take(page("n1", 115, &[("db", "main", 1)]), &source("s"));
    points.take(page("n1", 160, &[("web", "main", 250)]), &source("s"));
    let still = "waiting for a second sample; last scrape failed 60s ago by s2: refused";
    assert_eq!(millis(&points, None, 160), Err(still.to_owned()));
    let waits = "container main: waiting for a second sample";
    assert_eq!(millis(&points, None, 161), Err(waits.to_owned()));
}

#[test]
fn a_page_without_containers_is_for_them_as_a_failed_scrape() {
    let mut points = Points::default();
    let containers = [("web", "main", 250), ("web", "side", 10)];
    for second in [100, 115] {
        points.take(page("n1", second, &containers), &source("s"));
    }
    points.take(page("n1", 130, &[]), &source("s"));
    points.take(page("n1", 145, &[("db", "main", 1)]), &source("s"));
    assert_eq!(millis(&points, Some("n1"), 160), Ok(vec![250, 10]));
    let gone = "its node does not report it yet";
    assert_eq!(millis(&points, Some("n1"), 161), Err(gone.to_owned()));
    // Nobody says that it runs on.
    let unknown = "no scraper has reported it yet";
    assert_eq!(millis(&points, None, 146), Err(unknown.to_owned()));
    points.take(page("n1", 160, &containers), &source("s"));
    assert_eq!(millis(&points, Some("n1"), 161), Ok(vec![250, 10]));
    // With a container less it is served with the others.
    points.take(page("n1", 175, &containers[..1]), &source("s"));
    assert_eq!(millis(&points, Some("n1"), 176), Ok(vec![250]));
}

#[test]
fn a_pod_that_was_deleted_lends_its_numbers_to_no_other_of_its_name() {
    let mut points = Points::default();
    let node = "n1".into();
    for second in [100, 115] {
        points.take(page("n1", second, &[("web", "main", 250)]), &source("s"));
    }
    points.take(page("n1", 130, &[]), &source("s"));
    assert_eq!(millis(&points, Some("n1"), 131), Ok(vec![250]));
    points.delete(&web(), &node, at(131));
    let gone = "its node does not report it yet";
    assert_eq!(millis(&points, Some("n1"), 131), Err(gone.to_owned()));
}

#[test]
fn what_is_remembered_is_counted_until_it_is_back_deleted_or_too_old() {
    let mut points = Points::default();
    let web = [("web", "main", 250), ("web", "side", 10)];
    let remembered = |points: &Points| points.remembered().containers;
    let lose = |points: &mut Points, node: &str, second: i64| {
        points.take(page(node, second, &web), &source("s"));
        assert_eq!(remembered(points), 0);
        points.take(page(node, second + 15, &[]), &source("s"));
        assert_eq!(remembered(points), 2);
    };
    lose(&mut points, "n1", 100);
    lose(&mut points, "n1", 130);
    points.delete(&self::web(), &"n1".into(), at(146));
    assert_eq!(remembered(&points), 0);
    lose(&mut points, "n1", 180);
    points.expire(at(1_095), |_| true);
    assert_eq!(remembered(&points), 2);
    points.expire(at(1_096), |_| true);
    assert_eq!(remembered(&points), 0);
    lose(&mut points, "n2", 1_110);
    points.expire(at(1_130), |node| node == "n1");
    assert_eq!(points.remembered(), Remembered::default());
}

#[test]
fn nodes_that_lose_very_many_containers_cost_no_other_what_it_remembers() {
    let mut points = Points::default();
    for second in [100, 115] {
        points.take(page("n1", second, &[("web", "main", 250)]), &source("s"));
    }
    points.take(page("n1", 130, &[]), &source("s"));
    // Each loses 2,048 containers, which is all that a node may remember.
    let names: Vec<String> = (0..2_048).map(|number| format!("g{number:04}")).collect();
    let pods: Vec<_> = names.iter().map(|name| (&**name, "main", 1)).collect();
    let many = page("greedy", 131, &pods);
    for number in 0..250 {
        let node: NodeName = format!("greedy-{number}").as_str().into();
        let reading = Reading {
            node: node.clone(),
            roster: Arc::clone(&many.roster),
            columns: many.columns.clone(),
            remarks: Remarks::default(),
            ..many
        };
        points.take(reading, &source("s"));
        points.take(page(node.as_str(), 132, &[]), &source("s"));
        assert!(points.remembered().containers <= 500_000, "{number}");
        assert_eq!(millis(&points, Some("n1"), 133), Ok(vec![250]), "{number}");
    }
    // With the 245th there were 501,761; each kept 1,785 then.
    let Remembered {
        containers,
        forgotten,
    } = points.remembered();
    assert_eq!((containers, forgotten), (447_566, 64_435));
}

#[test]
fn more_than_the_node_has_is_withheld_once() {
    let mut points = Points::default();
    let mut served = Vec::new();
    // A sum over several parts, of which one is away for a page.
    for (second, lost) in [(100, 0), (115, 0), (130, 20_000_000), (145, 0), (160, 0)] {
        let mut page = page("n1", second, &[("web", "main", 250)]);
        page.remarks.node_cpu_millis = Some(4_000);
        let mut cpu = page.columns.cpu(0).unwrap();
        cpu.total = CoreNanos(cpu.total.0 + 30_000_000_000_000 - lost * 1_000_000);
        page.columns.set_cpu(0, Some(cpu));
        points.take(page, &source("s"));
        served.push(millis(&points, None, second + 1));
    }
    let no = |why: &str| Err(format!("container main: {why}"));
    let expected = [
        no("waiting for a second sample"),
        Ok(vec![250]),
        no("waiting for a second sample"),
        no("the CPU rate is out of range"),
        Ok(vec![250]),
    ];
    assert_eq!(served, expected);
}

#[test]
fn the_page_may_say_why_a_container_has_no_value() {
    let mut points = Points::default();
    for second in [100, 115] {
        let mut page = page("n1", second, &[("web", "main", 250), ("web", "side", 10)]);
        if second == 115 {
            page.columns.set_cpu(1, None);
            page.remarks.withheld = Box::new([(1, NoUsage::ReportedTwice)]);
        }
        points.take(page, &source("s"));
    }
    let twice = "container side: the kubelet reports it twice";
    assert_eq!(millis(&points, None, 116), Err(twice.to_owned()));
}
