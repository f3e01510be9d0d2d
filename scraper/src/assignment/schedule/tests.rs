use super::*;

const RESOLUTION: Duration = Duration::from_secs(15);

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_795_229_475_000 + millis) // a multiple of 15 s
}

/// When `node` is scraped, in milliseconds after it was added at `from`, if every scrape begins
/// `late` after it is due.
fn scrapes(node: &str, from: i64, late: i64) -> Vec<i64> {
    let mut schedule = Schedule::new(RESOLUTION);
    schedule.add(&node.into(), at(from));
    let mut times = Vec::new();
    for _ in 0..12 {
        let due = schedule.next().unwrap();
        let began = Timestamp::from_millis(due.as_millis() + late);
        let node = schedule.take_due(began).unwrap();
        times.push(began.as_millis() - at(from).as_millis());
        schedule.done(&node, began);
    }
    times
}

#[test]
fn two_samples_are_there_after_one_resolution() {
    for n in 0..500 {
        let times = scrapes(&format!("node-{n:05}"), n * 77, 0);
        assert!(times[0] <= 1_000, "{times:?}");
        assert!(times[1] <= 16_000, "{times:?}");
        assert!(times[1] - times[0] >= 12_000, "{times:?}");
    }
}

#[test]
fn intervals_settle_at_the_resolution_on_the_phase() {
    for n in 0..500 {
        let node = format!("node-{n:05}");
        let times = scrapes(&node, 0, 0);
        let intervals: Vec<i64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(intervals[6..], [15_000; 5], "{node} {times:?}");
        let phase = i64::try_from(stable(&node) % 15_000).unwrap();
        assert_eq!(times[11] % 15_000, phase, "{node}");
    }
}

#[test]
fn being_a_little_late_does_not_add_up() {
    for n in 0..500 {
        let times = scrapes(&format!("node-{n:05}"), 0, 40);
        assert_eq!(times[11] - times[8], 45_000, "{times:?}");
    }
}

#[test]
fn phases_are_spread_over_the_resolution() {
    let mut per_second = [0_u32; 15];
    for n in 0..3_000 {
        let phase = stable(&format!("node-{n:05}")) % 15_000;
        per_second[usize::try_from(phase / 1_000).unwrap()] += 1;
    }
    // A fair share is 200; four standard deviations are 55.
    assert!(
        per_second.iter().all(|n| (145..=255).contains(n)),
        "{per_second:?}"
    );
}

#[test]
fn a_node_that_moves_keeps_its_rhythm() {
    for n in 0..500 {
        let node = NodeName::from(format!("node-{n:05}"));
        let phase = i64::try_from(stable(node.as_str()) % 15_000).unwrap();
        let now = at(7_000);
        let mut schedule = Schedule::new(RESOLUTION);
        schedule.add_at_phase(&node, now);
        let wait = schedule.next().unwrap().as_millis() - now.as_millis();
        let expected = match phase {
            0..4_000 => phase + 8_000,
            4_000..7_000 => 0, // just passed
            _ => phase - 7_000,
        };
        assert_eq!(wait, expected, "{node} {phase}");
    }
}

#[test]
fn a_node_that_is_scraped_early_is_due_at_once_and_others_are_not() {
    let mut schedule = Schedule::new(RESOLUTION);
    let (expedited, other) = (NodeName::from("n1"), NodeName::from("n2"));
    schedule.add(&expedited, at(0));
    let began = schedule.next().unwrap();
    assert_eq!(schedule.take_due(began), Some(expedited.clone()));
    schedule.expedite(&expedited, began); // is being scraped
    schedule.done(&expedited, began);
    schedule.add(&other, at(100_000));
    let now = Timestamp::from_millis(began.as_millis() + 2_000);
    schedule.expedite(&expedited, now);
    assert_eq!(schedule.take_due(now), Some(expedited));
    assert_eq!(schedule.take_due(now), None);
}

#[test]
fn a_node_is_never_due_while_it_is_scraped() {
    let mut schedule = Schedule::new(RESOLUTION);
    let node = NodeName::from("n1");
    schedule.add(&node, at(0));
    assert_eq!(schedule.take_due(at(2_000)), Some(node.clone()));
    schedule.add(&node, at(2_000));
    assert_eq!(schedule.take_due(at(60_000)), None);
    // Removed while it was scraped: it does not come back.
    schedule.remove(&node);
    assert!(!schedule.done(&node, at(2_000)));
    assert_eq!((schedule.next(), schedule.size()), (None, 0));
}

#[test]
fn a_node_that_comes_back_while_it_is_scraped_waits_for_the_end() {
    let mut schedule = Schedule::new(RESOLUTION);
    let node = NodeName::from("n1");
    schedule.add(&node, at(0));
    assert_eq!(schedule.take_due(at(2_000)), Some(node.clone()));
    schedule.remove(&node);
    schedule.add(&node, at(3_000));
    assert_eq!(schedule.take_due(at(9_000)), None);
    schedule.expedite(&node, at(3_500));
    // The outcome is of the earlier node, and says nothing about the new one.
    assert!(!schedule.done(&node, at(2_000)));
    assert_eq!(schedule.take_due(at(3_499)), None);
    assert_eq!(schedule.take_due(at(10_000)), Some(node.clone()));
    assert!(schedule.done(&node, at(10_000)));
    // Added again, and removed again.
    assert_eq!(schedule.take_due(at(30_000)), Some(node.clone()));
    schedule.remove(&node);
    schedule.add_at_phase(&node, at(31_000));
    schedule.remove(&node);
    assert!(!schedule.done(&node, at(30_000)));
    assert_eq!((schedule.next(), schedule.size()), (None, 0));
}

#[test]
fn a_node_that_is_put_off_is_due_then() {
    let mut schedule = Schedule::new(RESOLUTION);
    let node = NodeName::from("n1");
    schedule.add(&node, at(0));
    assert_eq!(schedule.take_due(at(2_000)), Some(node.clone()));
    schedule.put_off(&node, at(2_100));
    assert_eq!(schedule.take_due(at(2_099)), None);
    assert_eq!(schedule.take_due(at(2_100)), Some(node));
}

#[test]
fn nodes_that_are_due_in_the_same_span_are_asked_at_its_end() {
    for (due, wake) in [(-51, -50), (-50, -50), (-49, 0), (-1, 0)] {
        let mut schedule = Schedule::new(RESOLUTION);
        schedule.add(&"n1".into(), at(0));
        schedule.expedite(&"n1".into(), at(due));
        assert_eq!(schedule.wake(), Some(at(wake)), "{due}");
    }
    assert_eq!(Schedule::new(RESOLUTION).wake(), None);
}

#[test]
fn what_is_not_due_yet_is_not_given_out() {
    let mut schedule = Schedule::new(RESOLUTION);
    schedule.add(&"n1".into(), at(0));
    let due = schedule.next().unwrap();
    let before = Timestamp::from_millis(due.as_millis() - 1);
    assert_eq!(schedule.take_due(before), None);
    assert_eq!(schedule.take_due(due), Some("n1".into()));
}

/// When `node` is asked from `from` on, until `to`, with one message that wants it
/// for 30 s at 20 s.
fn asked_while_wanted(node: &str, fast: Option<Duration>) -> Vec<i64> {
    let mut schedule = Schedule::new(RESOLUTION).with_fast(fast);
    let name = NodeName::from(node);
    schedule.add(&name, at(0));
    let mut times = Vec::new();
    let mut is_wanted = false;
    while let Some(due) = schedule.next() {
        let millis = due.as_millis() - at(0).as_millis();
        if millis > 20_000 && !is_wanted {
            is_wanted = true;
            assert!(schedule.want(&name, at(50_000), at(20_000)));
            continue;
        }
        if millis > 120_000 {
            break;
        }
        schedule.take_due(due).unwrap();
        times.push(millis);
        schedule.done(&name, due);
    }
    times
}

#[test]
fn a_node_that_is_wanted_is_asked_at_the_fast_resolution_and_then_as_before() {
    for n in 0..200 {
        let node = format!("node-{n:05}");
        let times = asked_while_wanted(&node, Some(Duration::from_secs(5)));
        let apart = |from: i64, to: i64| -> Vec<i64> {
            let pairs = times.windows(2);
            let inside = pairs.filter(|pair| pair[0] >= from && pair[1] <= to);
            inside.map(|pair| pair[1] - pair[0]).collect()
        };
        let first = times.iter().find(|time| **time > 20_000).unwrap();
        assert!(*first <= 25_000, "{node} {times:?}");
        let fast = apart(20_001, 50_000);
        assert!(fast.len() >= 4, "{node} {times:?}");
        assert!(
            fast.iter().all(|it| (4_000..=5_000).contains(it)),
            "{times:?}"
        );
        let after = apart(56_000, 120_000);
        assert!(
            after.iter().all(|it| (12_000..=15_000).contains(it)),
            "{times:?}"
        );
        let phase = i64::try_from(stable(&node) % 15_000).unwrap();
        assert_eq!(times.last().unwrap() % 15_000, phase, "{node} {times:?}");
        assert_eq!(
            asked_while_wanted(&node, None),
            asked_while_wanted(&node, Some(RESOLUTION)),
        );
    }
}

#[test]
fn a_node_that_is_asked_once_more_keeps_its_rhythm() {
    for n in 0..200 {
        let mut schedule = Schedule::new(RESOLUTION);
        let node = NodeName::from(format!("node-{n:05}"));
        schedule.add_at_phase(&node, at(0));
        let mut times = Vec::new();
        for turn in 0..7 {
            let due = schedule.next().unwrap();
            schedule.take_due(due).unwrap();
            schedule.done(&node, due);
            times.push(due.as_millis());
            let soon = due.plus(Duration::from_secs(5));
            // It is too close to the next one.
            assert!(!schedule.sooner(&node, due.plus(Duration::from_secs(14)), due));
            assert_eq!(turn == 3 && schedule.sooner(&node, soon, due), turn == 3);
        }
        let intervals = times.windows(2).map(|pair| pair[1] - pair[0]);
        let intervals: Vec<i64> = intervals.skip(1).collect();
        assert_eq!(intervals, [15_000, 15_000, 5_000, 10_000, 15_000], "{node}");
    }
}

#[test]
fn a_fast_node_is_put_off_by_a_resolution_at_most_and_no_other_node_is() {
    let mut schedule = Schedule::new(RESOLUTION).with_fast(Some(Duration::from_secs(1)));
    let node = NodeName::from("n1");
    schedule.add_at_phase(&node, at(0));
    let began = schedule.next().unwrap();
    let later = |millis| began.plus(Duration::from_millis(millis));
    schedule.take_due(began).unwrap();
    assert!(!schedule.postpone(&node, later(5_000), began));
    schedule.done(&node, began);
    assert!(!schedule.postpone(&node, later(60_000), began));
    assert!(schedule.want(&node, later(60_000), began));
    let due = schedule.next().unwrap();
    assert!(due <= later(1_000));
    assert!(!schedule.postpone(&node, due, began));
    assert_eq!(schedule.next(), Some(due));
    assert!(schedule.postpone(&node, later(4_000), began));
    assert_eq!(schedule.next(), Some(later(4_000)));
    assert!(schedule.postpone(&node, later(60_000), began));
    assert_eq!(schedule.next(), Some(later(15_000)));
    // That it is wanted again changes nothing. If it is overdue, it is due.
    assert!(schedule.want(&node, later(90_000), later(2_000)));
    assert_eq!(schedule.next(), Some(later(15_000)));
    schedule.expedite(&node, later(3_000));
    assert_eq!(schedule.next(), Some(later(3_000)));
}

#[test]
fn a_fifth_of_the_nodes_may_be_asked_once_more_and_ten_of_a_few() {
    let mut schedule = Schedule::new(RESOLUTION);
    let names = (0..100).map(|n| NodeName::from(format!("n{n}")));
    let names: Vec<NodeName> = names.collect();
    for name in &names {
        schedule.add(name, at(0));
        schedule.expedite(name, at(0));
    }
    while let Some(node) = schedule.take_due(at(0)) {
        schedule.done(&node, at(0));
    }
    let sooner =
        |schedule: &mut Schedule, node: &NodeName| schedule.sooner(node, at(3_000), at(1_000));
    let taken = names.iter().filter(|node| sooner(&mut schedule, node));
    assert_eq!(taken.count(), 20);
    // One that has been makes room.
    let node = schedule.take_due(at(3_000)).unwrap();
    schedule.done(&node, at(3_000));
    let taken = names.iter().filter(|node| sooner(&mut schedule, node));
    assert_eq!(taken.count(), 1);
    assert_eq!(schedule.sooner.len(), 20);
    // And so does one that leaves.
    schedule.remove(&names[1]);
    assert_eq!(schedule.sooner.len(), 19);
}

#[test]
fn a_fifth_of_the_nodes_may_be_fast_and_ten_of_a_few() {
    for (nodes, most) in [(4, 4), (30, 10), (200, 40)] {
        let mut schedule = Schedule::new(RESOLUTION).with_fast(Some(Duration::from_secs(5)));
        let name = |n: usize| NodeName::from(format!("n{n}"));
        for n in 0..nodes {
            schedule.add(&name(n), at(0));
        }
        let taken = (0..nodes).filter(|n| schedule.want(&name(*n), at(60_000), at(1_000)));
        assert_eq!(taken.count(), most, "{nodes}");
        assert_eq!(schedule.fast(), most);
        // One that is already counts for no more, and those that are over make room.
        assert!(schedule.want(&name(0), at(60_000), at(2_000)));
        assert!(schedule.want(&name(nodes - 1), at(90_000), at(61_000)));
        // One that is not here takes none, nor does one that has left.
        let fast = schedule.fast();
        assert!(schedule.want(&"other".into(), at(90_000), at(61_000)));
        assert_eq!(schedule.fast(), fast);
        schedule.remove(&name(nodes - 1));
        assert_eq!(schedule.fast(), fast - 1);
    }
}
