use tributary_model::{
    Bytes, Columns, ContainerPoint, CoreNanos, CpuPoint, MemoryPoint, NanoCores, NoUsage,
    NodePoint, Remarks, RosterBuilder,
};

use super::*;

mod orders;
mod time;

const SECOND: i64 = 1_000;

fn source(name: &str) -> Source {
    Source {
        name: name.into(),
        resolution: Duration::from_secs(15),
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_millis(second * SECOND)
}

/// A page of `node`, asked for at `second`, on which every container has used
/// `millis` millicores since second 0, when it started.
fn page(node: &str, second: i64, containers: &[(&str, &str, u64)]) -> Reading {
    let mut builder = RosterBuilder::default();
    for (pod, container, _) in containers {
        builder
            .add(PodKey::new("shop", *pod), (*container).into())
            .unwrap();
    }
    let roster = builder.build();
    let mut columns = Columns::missing(containers.len());
    let seconds = second.unsigned_abs();
    let cpu = |millis: u64| CpuPoint {
        total: CoreNanos(millis * 1_000_000 * seconds),
        at: at(second),
    };
    let memory = MemoryPoint {
        working_set: Bytes(1 << 20),
        at: at(second),
    };
    for (row, pod, name) in roster.rows() {
        let (.., millis) = containers
            .iter()
            .find(|(has, container, _)| *has == &*pod.name && *container == name.as_str())
            .unwrap();
        columns.set(
            row,
            &ContainerPoint {
                cpu: Some(cpu(*millis)),
                memory: Some(memory),
                started: Some(at(0)),
                swap: None,
            },
        );
    }
    Reading {
        node: node.into(),
        roster,
        asked_at: at(second),
        point: NodePoint {
            cpu: Some(cpu(2_000)),
            memory: Some(memory),
            swap: None,
        },
        columns,
        remarks: Remarks::default(),
    }
}

fn web() -> PodKey {
    PodKey::new("shop", "web")
}

/// What one pod used.
fn pod(
    points: &Points,
    key: &PodKey,
    preferred: Option<&NodeName>,
    now: Timestamp,
) -> Result<PodUsage, NoMetrics> {
    points.pods([(key, preferred)], now).remove(0)
}

/// Millicores of the containers of shop/web.
fn millis(points: &Points, preferred: Option<&str>, second: i64) -> Result<Vec<u64>, String> {
    let preferred = preferred.map(NodeName::from);
    let usage =
        pod(points, &web(), preferred.as_ref(), at(second)).map_err(|reason| reason.to_string())?;
    let cpu = usage.containers().map(|(_, usage)| usage.cpu);
    Ok(cpu.map(|NanoCores(nanos)| nanos / 1_000_000).collect())
}

#[test]
fn a_node_and_its_pods_are_served_from_the_second_page_on() {
    let mut points = Points::default();
    let containers = [("web", "main", 250), ("web", "side", 10)];
    points.take(page("n1", 100, &containers), &source("s"));
    assert_eq!(
        points.node("n1", at(101)),
        Err(NoMetrics::NoUsage(NoUsage::NoPrevious))
    );
    assert_eq!(
        millis(&points, None, 101),
        Err("container main: waiting for a second sample".to_owned())
    );
    points.take(page("n1", 115, &containers), &source("s"));
    let node = points.node("n1", at(116)).unwrap();
    assert_eq!(node.cpu, NanoCores(2_000_000_000));
    assert_eq!(node.window, Duration::from_secs(15));
    assert_eq!(millis(&points, None, 116), Ok(vec![250, 10]));
}

#[test]
fn one_incomplete_container_hides_its_pod_and_no_other() {
    let mut points = Points::default();
    let containers = [("web", "main", 250), ("web", "side", 10), ("db", "main", 5)];
    points.take(page("n1", 100, &containers), &source("s"));
    let mut second = page("n1", 115, &containers);
    // Rows: db/main, web/main, web/side.
    second.columns.set_memory(2, None);
    points.take(second, &source("s"));
    assert_eq!(
        millis(&points, None, 116),
        Err("container side: the kubelet reports no working set".to_owned())
    );
    let db = pod(&points, &PodKey::new("shop", "db"), None, at(116)).unwrap();
    assert_eq!(db.containers().count(), 1);
}

/// Takes in that a node could not be scraped.
fn fail(points: &mut Points, (node, asked): (&str, i64), message: &str, by: &str) {
    let failed = FailedScrape {
        asked_at: at(asked),
        by: by.into(),
        reason: "dial",
        message: message.into(),
    };
    points.fail(&node.into(), failed, &source(by));
}

#[test]
fn a_failure_hides_nothing_until_the_samples_are_too_old() {
    let mut points = Points::default();
    for second in [100, 115] {
        points.take(page("n1", second, &[("web", "main", 250)]), &source("s"));
    }
    fail(&mut points, ("n1", 130), "x509: expired", "scraper-2");
    assert_eq!(millis(&points, None, 160), Ok(vec![250]));
    assert_eq!(
        millis(&points, None, 161),
        Err("last scrape failed 31s ago by scraper-2: x509: expired".to_owned())
    );
    assert_eq!(
        points.node("n1", at(161)).unwrap_err().to_string(),
        "last scrape failed 31s ago by scraper-2: x509: expired"
    );
    // Served again from the next good page: the old point still counts.
    points.take(page("n1", 175, &[("web", "main", 250)]), &source("s"));
    assert_eq!(millis(&points, None, 176), Ok(vec![250]));
}

#[test]
fn a_pod_counts_only_from_its_node() {
    let mut points = Points::default();
    for second in [100, 115] {
        points.take(page("old", second, &[("web", "main", 700)]), &source("s"));
        let mut stranger = page("new", second, &[("web", "main", 30)]);
        stranger.columns.set_started(0, Some(at(90)));
        points.take(stranger, &source("s"));
        points.take(page("idle", second, &[("db", "main", 1)]), &source("s"));
    }
    fail(&mut points, ("down", 110), "refused", "s2");
    let on = |points: &Points, node| millis(points, Some(node), 116);
    let refused = |why: &str| Err(why.to_owned());
    assert_eq!(on(&points, "old"), Ok(vec![700]));
    assert_eq!(on(&points, "new"), Ok(vec![30]));
    // Where its own node does not report it, others are not believed.
    let not_yet = refused("its node does not report it yet");
    assert_eq!(on(&points, "idle"), not_yet);
    let failed = refused("last scrape failed 6s ago by s2: refused");
    assert_eq!(on(&points, "down"), failed);
    let unknown = refused("no scraper has reported it yet");
    assert_eq!(on(&points, "unknown"), unknown);
    // Nor where one alone reports it.
    points.take(page("old", 130, &[("db", "main", 1)]), &source("s"));
    assert_eq!(on(&points, "old"), Ok(vec![700]));
    points.take(page("old", 150, &[("db", "main", 1)]), &source("s"));
    assert_eq!(points.nodes_of(&web()), ["new".into()]);
    assert_eq!(on(&points, "idle"), not_yet);
    assert_eq!(on(&points, "unknown"), unknown);
    assert_eq!(millis(&points, Some("old"), 161), not_yet);
    assert_eq!(on(&points, "new"), Ok(vec![30]));
}

#[test]
fn without_a_node_the_first_that_reported_a_pod_goes_on_to_be_served() {
    let mut points = Points::default();
    let first = [("web", "main", 700)];
    points.take(page("first", 100, &first), &source("s"));
    for second in [100, 115] {
        let mut stranger = page("later", second, &[("web", "main", 30)]);
        // It says that its pod started later.
        stranger.columns.set_started(0, Some(at(90)));
        points.take(stranger, &source("s"));
    }
    points.take(page("first", 115, &first), &source("s"));
    assert_eq!(millis(&points, None, 116), Ok(vec![700]));
    // Also when the pod gets another place in its roster.
    let more = [("db", "main", 1), ("web", "main", 700)];
    points.take(page("first", 130, &more), &source("s"));
    assert_eq!(millis(&points, None, 131), Ok(vec![700]));
    assert_eq!(points.nodes_of(&web()), ["first".into(), "later".into()]);
    // Until it does not report it.
    points.take(page("first", 145, &more[..1]), &source("s"));
    assert_eq!(millis(&points, None, 146), Ok(vec![30]));
}

#[test]
fn what_is_too_old_or_gone_is_forgotten() {
    let mut points = Points::default();
    for (node, pod) in [("n1", "web"), ("n2", "db"), ("n3", "api")] {
        points.take(page(node, 100, &[(pod, "main", 1)]), &source("s"));
    }
    points.take(page("n1", 140, &[("web", "main", 1)]), &source("s"));
    let not_n3 = |node: &str| node != "n3";
    assert_eq!(points.expire(at(150), not_n3), 1);
    assert_eq!(
        (points.expire(at(151), not_n3), points.count()),
        (0, (2, 2))
    );
    // What may still pair is kept for a quarter of an hour.
    points.take(page("n1", 1_000, &[("web", "main", 1)]), &source("s"));
    assert_eq!(
        (points.expire(at(1_000), not_n3), points.count()),
        (0, (2, 2))
    );
    assert_eq!(
        (points.expire(at(1_001), not_n3), points.count()),
        (0, (1, 1))
    );
    assert!(points.nodes.get("n2").is_some() && points.nodes.get("n3").is_none());
    // The samples are gone; what was wrong is still known, of the pod as well.
    let reason = |name| pod(&points, &PodKey::new("shop", name), None, at(1_005)).unwrap_err();
    assert_eq!(reason("db").to_string(), "its newest sample is 905s old");
    assert_eq!(reason("api"), NoMetrics::NeverReported);
    assert_eq!(points.index.len(), 2);
    fail(&mut points, ("n2", 1_000), "refused", "s2");
    let reason = pod(&points, &PodKey::new("shop", "db"), None, at(1_005)).unwrap_err();
    assert_eq!(
        reason.to_string(),
        "last scrape failed 5s ago by s2: refused"
    );
    // And it comes back as if it had never been away.
    points.take(page("n2", 1_010, &[("db", "main", 1)]), &source("s"));
    points.take(page("n2", 1_025, &[("db", "main", 1)]), &source("s"));
    assert!(pod(&points, &PodKey::new("shop", "db"), None, at(1_026)).is_ok());
    assert_eq!(points.nodes_of(&PodKey::new("shop", "db")), ["n2".into()]);
}

#[test]
fn where_nothing_is_reported_the_node_says_why() {
    let mut points = Points::default();
    let not = |points: &Points, node| millis(points, node, 116).unwrap_err();
    assert_eq!(not(&points, None), "no scraper has reported it yet");
    for second in [100, 115] {
        points.take(page("n1", second, &[("db", "main", 1)]), &source("s"));
    }
    assert_eq!(not(&points, Some("n1")), "its node does not report it yet");
    fail(&mut points, ("n2", 110), "refused", "s2");
    assert_eq!(
        not(&points, Some("n2")),
        "last scrape failed 6s ago by s2: refused"
    );
    assert_eq!(
        points.coverage(&["n1".into(), "n2".into(), "n3".into()], at(116)),
        CoverageCounts {
            served: 1,
            failing: 1,
            unusable: 0
        }
    );
}

#[test]
fn one_publisher_does_not_choose_the_resolution_of_nodes_without_a_reading() {
    for claimed in [Duration::from_secs(1), Duration::from_hours(1)] {
        let mut points = Points::default();
        let hostile = Source {
            name: "hostile".into(),
            resolution: claimed,
        };
        points.take(page("n1", 100, &[]), &hostile);
        points.take(page("n2", 100, &[]), &source("a"));
        points.take(page("n3", 100, &[]), &source("b"));
        let newest = points.newest(vec!["n1".into(), "n2".into(), "n4".into()]);
        let resolutions: Vec<Duration> =
            newest.iter().map(|(_, newest)| newest.resolution).collect();
        let honest = Duration::from_secs(15);
        assert_eq!(resolutions, [claimed, honest, honest]);
    }
}

#[test]
fn a_node_is_answered_for_by_its_pods_or_by_what_is_wrong_with_it() {
    let mut points = Points::default();
    let coverage = |points: &Points, now| {
        let CoverageCounts {
            served,
            failing,
            unusable,
        } = points.coverage(&["n1".into()], at(now));
        (served, failing, unusable)
    };
    // One page is a matter of time, until it was time enough.
    points.take(page("n1", 100, &[("web", "main", 250)]), &source("s"));
    assert_eq!(coverage(&points, 101), (0, 0, 0));
    points.take(page("n1", 130, &[]), &source("s"));
    let without_node = |second, containers: &[_]| {
        let mut reading = page("n1", second, containers);
        reading.point = NodePoint::default();
        reading
    };
    points.take(without_node(145, &[]), &source("s"));
    assert_eq!(coverage(&points, 146), (0, 0, 1));
    points.take(without_node(160, &[("web", "main", 250)]), &source("s"));
    assert_eq!(coverage(&points, 161), (1, 0, 0));
    assert_eq!(coverage(&points, 300), (0, 0, 0));
}

#[test]
fn all_containers_of_a_pod_use_no_more_than_the_node_has() {
    for (side, served) in [
        (2_000, Ok(vec![3_000, 2_000])),
        (2_001, Err("the CPU rate is out of range")),
    ] {
        let mut points = Points::default();
        for second in [100, 115] {
            let containers = [("web", "main", 3_000), ("web", "side", side)];
            let mut reading = page("n1", second, &containers);
            // Twice two CPUs and one more.
            reading.remarks.node_cpu_millis = Some(2_000);
            points.take(reading, &source("s"));
        }
        assert_eq!(millis(&points, None, 116), served.map_err(str::to_owned));
    }
}

#[test]
fn a_pod_that_just_started_does_not_answer_for_its_node() {
    let mut points = Points::default();
    for (second, served) in [(100, 0), (115, 1)] {
        let mut reading = page("n1", second, &[("web", "main", 250)]);
        let point = ContainerPoint {
            started: Some(at(88)),
            ..reading.columns.point(0)
        };
        reading.columns.set(0, &point);
        points.take(reading, &source("s"));
        assert_eq!(
            millis(&points, None, second).map(|usage| usage.len()),
            Ok(1)
        );
        let coverage = points.coverage(&["n1".into()], at(second));
        let expected = CoverageCounts {
            served,
            ..CoverageCounts::default()
        };
        assert_eq!(coverage, expected, "at {second}");
    }
}

#[test]
fn a_node_that_is_measured_more_slowly_than_scraped_is_not_waited_for() {
    let mut points = Points::default();
    let slow = |asked_at| {
        let mut reading = page("n1", 100, &[]);
        reading.asked_at = at(asked_at);
        reading
    };
    for (asked_at, unusable) in [(100, 0), (115, 0), (130, 0), (145, 0), (160, 1)] {
        points.take(slow(asked_at), &source("s"));
        let coverage = points.coverage(&["n1".into()], at(asked_at));
        assert_eq!((coverage.unusable, coverage.served), (unusable, 0));
    }
}

/// The state of `n1`, and the age of its newest sample in seconds.
fn state(points: &Points, now: i64) -> (State, Option<u64>) {
    let (state, age) = points.state(&"n1".into(), at(now));
    (state, age.map(|age| age.as_secs()))
}

#[test]
fn a_node_has_a_state_at_any_time() {
    let mut points = Points::default();
    assert_eq!(state(&points, 100), (State::Unreported, None));
    points.take(page("n1", 100, &[("web", "main", 250)]), &source("s"));
    assert_eq!(state(&points, 101), (State::Incomplete, Some(1)));
    points.take(page("n1", 115, &[("web", "main", 250)]), &source("s"));
    assert_eq!(state(&points, 137), (State::Served, Some(22)));
    assert_eq!(state(&points, 138), (State::Late, Some(23)));
    assert_eq!(state(&points, 160), (State::Late, Some(45)));
    assert_eq!(state(&points, 161), (State::Expired, Some(46)));
    fail(&mut points, ("n1", 160), "refused", "s2");
    assert_eq!(state(&points, 160), (State::Late, Some(45)));
    assert_eq!(state(&points, 161), (State::Failing, Some(46)));
    points.expire(at(1_016), |_| true);
    assert_eq!(state(&points, 1_016), (State::Failing, None));
    let report = points.report(&"n1".into(), at(161));
    assert_eq!(report.sampled_at, Some(at(115)));
    let failed = report.failed.unwrap();
    assert_eq!((failed.reason, &*failed.by), ("dial", "s2"));
}
