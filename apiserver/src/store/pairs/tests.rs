use tributary_model::{Bytes, ContainerPoint, CoreNanos, MemoryPoint, PodKey, RosterBuilder};

use super::*;

fn cpu(total: u64, at: i64) -> CpuPoint {
    CpuPoint {
        total: CoreNanos(total),
        at: Timestamp::from_millis(at),
    }
}

/// A container that started at `started`, with a total at a time.
fn row(total: u64, at: i64, started: i64) -> ContainerPoint {
    ContainerPoint {
        cpu: Some(cpu(total, at)),
        memory: Some(MemoryPoint {
            working_set: Bytes(total + 1),
            at: Timestamp::from_millis(at),
        }),
        started: Some(Timestamp::from_millis(started)),
        swap: None,
    }
}

/// A reading of pod `a/x` with these containers, asked for at `asked`.
fn reading(asked: i64, containers: &[(&str, ContainerPoint)]) -> Reading {
    let mut builder = RosterBuilder::default();
    for (name, _) in containers {
        builder.add(PodKey::new("a", "x"), (*name).into()).unwrap();
    }
    let roster = builder.build();
    let mut columns = Columns::missing(containers.len());
    for (row, _, name) in roster.rows() {
        let (_, point) = containers
            .iter()
            .find(|(has, _)| *has == name.as_str())
            .unwrap();
        columns.set(row, point);
    }
    Reading {
        node: "n1".into(),
        roster,
        asked_at: Timestamp::from_millis(asked),
        point: NodePoint::default(),
        columns,
    }
}

/// The earlier point of a container.
fn before(pairs: &Pairs, row: usize) -> Option<CpuPoint> {
    pairs.rows()[row].before()
}

/// The pair of the only container: total and time, earlier and later.
fn pair(pairs: &Pairs) -> (Option<CpuPoint>, Option<CpuPoint>) {
    (before(pairs, 0), pairs.rows()[0].cpu())
}

#[test]
fn two_readings_make_a_pair_and_a_third_moves_it_on() {
    let mut pairs = Pairs::first(reading(1, &[("m", row(10, 100, 5))]));
    assert_eq!(pair(&pairs), (None, Some(cpu(10, 100))));
    assert_eq!(
        pairs.take(reading(2, &[("m", row(20, 200, 5))])),
        Taken::Newer
    );
    assert_eq!(pair(&pairs), (Some(cpu(10, 100)), Some(cpu(20, 200))));
    pairs.take(reading(3, &[("m", row(30, 300, 5))]));
    assert_eq!(pair(&pairs), (Some(cpu(20, 200)), Some(cpu(30, 300))));
}

#[test]
fn a_repeated_sample_keeps_the_pair() {
    let mut pairs = Pairs::first(reading(1, &[("m", row(10, 100, 5))]));
    pairs.take(reading(2, &[("m", row(20, 200, 5))]));
    assert_eq!(
        pairs.take(reading(3, &[("m", row(20, 200, 5))])),
        Taken::Repeated
    );
    assert_eq!(pair(&pairs), (Some(cpu(10, 100)), Some(cpu(20, 200))));
    // It was asked for later, but brought nothing new.
    assert_eq!(pairs.renewed_at(), Timestamp::from_millis(2));
    assert_eq!(pairs.asked_at(), Timestamp::from_millis(3));
}

#[test]
fn each_container_pairs_by_its_own_time() {
    let both = |m, s| reading(m, &[("m", row(1, m, 5)), ("s", row(1, s, 5))]);
    let mut pairs = Pairs::first(both(100, 50));
    pairs.take(both(200, 50));
    pairs.take(both(300, 250));
    let at = |row| before(&pairs, row).map(|point| point.at.as_millis());
    assert_eq!((at(0), at(1)), (Some(200), Some(50)));
}

#[test]
fn the_order_of_arrival_does_not_matter() {
    let make = |at: i64| reading(at, &[("m", row(at.unsigned_abs(), at, 5))]);
    for order in [
        [1, 2, 3],
        [1, 3, 2],
        [2, 1, 3],
        [2, 3, 1],
        [3, 1, 2],
        [3, 2, 1],
    ] {
        let [first, second, third] = order;
        let mut pairs = Pairs::first(make(first));
        pairs.take(make(second));
        pairs.take(make(third));
        assert_eq!(
            pair(&pairs),
            (Some(cpu(2, 2)), Some(cpu(3, 3))),
            "{order:?}"
        );
    }
}

#[test]
fn two_scrapers_that_ask_at_the_same_moment_make_no_short_window() {
    let make = |at: i64| reading(at, &[("m", row(at.unsigned_abs(), at, 5))]);
    // Each of three cycles of 15 s gives two samples, 7 ms apart.
    let [a, b, c, d] = [15_000, 15_007, 30_000, 30_007];
    for order in [
        [a, b, c, d],
        [b, a, d, c],
        [c, d, a, b],
        [d, c, b, a],
        [c, a, d, b],
        [a, d, b, c],
    ] {
        let mut pairs = Pairs::first(make(order[0]));
        pairs.at_resolution(Duration::from_secs(15));
        for at in &order[1..] {
            pairs.take(make(*at));
        }
        let expected = (Some(cpu(15_007, b)), Some(cpu(30_007, d)));
        assert_eq!(pair(&pairs), expected, "{order:?}");
    }
}

#[test]
fn two_samples_at_the_same_moment_are_no_pair() {
    let make = |at: i64| reading(at, &[("m", row(at.unsigned_abs(), at, 5))]);
    let mut pairs = Pairs::first(make(1_000));
    pairs.at_resolution(Duration::from_secs(15));
    pairs.take(make(1_007));
    assert_eq!(pair(&pairs), (None, Some(cpu(1_007, 1_007))));
    pairs.take(make(13_000));
    assert_eq!(
        pair(&pairs),
        (Some(cpu(1_007, 1_007)), Some(cpu(13_000, 13_000)))
    );
}

#[test]
fn a_publisher_that_is_faster_than_it_says_is_paired_all_the_same() {
    let make = |at: i64| reading(at, &[("m", row(at.unsigned_abs(), at, 5))]);
    let mut pairs = Pairs::first(make(1_000));
    pairs.at_resolution(Duration::from_secs(15));
    for at in 2..=200 {
        pairs.take(make(at * 1_000));
        let window = |before: CpuPoint| at * 1_000 - before.at.as_millis();
        let longest = before(&pairs, 0).map_or(0, window);
        assert!(longest < 30_000, "{longest} ms after {at} s");
    }
}

#[test]
fn a_new_start_or_a_fallen_counter_begins_a_new_pair() {
    let mut pairs = Pairs::first(reading(1, &[("m", row(10, 100, 5))]));
    // Restarted, and already beyond the old total.
    pairs.take(reading(2, &[("m", row(90, 200, 150))]));
    assert_eq!(pair(&pairs), (None, Some(cpu(90, 200))));
    pairs.take(reading(3, &[("m", row(80, 300, 150))]));
    assert_eq!(pair(&pairs), (None, Some(cpu(80, 300))));
    // An old reading from before the restart does not come back.
    pairs.take(reading(2, &[("m", row(10, 250, 5))]));
    assert_eq!(pair(&pairs), (None, Some(cpu(80, 300))));
}

#[test]
fn a_new_sidecar_leaves_the_others_paired() {
    let mut pairs = Pairs::first(reading(1, &[("m", row(10, 100, 5))]));
    pairs.take(reading(
        2,
        &[("a", row(1, 200, 190)), ("m", row(20, 200, 5))],
    ));
    assert_eq!(before(&pairs, 0), None); // never an invented point
    assert_eq!(before(&pairs, 1), Some(cpu(10, 100)));
    // And when it goes again:
    pairs.take(reading(3, &[("m", row(30, 300, 5))]));
    assert_eq!(pair(&pairs), (Some(cpu(20, 200)), Some(cpu(30, 300))));
}

#[test]
fn a_sample_that_is_missing_once_costs_one_cycle() {
    let mut pairs = Pairs::first(reading(1, &[("m", row(10, 100, 5))]));
    let absent = ContainerPoint {
        cpu: None,
        ..row(0, 200, 5)
    };
    pairs.take(reading(2, &[("m", absent), ("s", row(1, 200, 5))]));
    pairs.take(reading(3, &[("m", row(30, 300, 5)), ("s", row(2, 300, 5))]));
    assert_eq!(pair(&pairs), (Some(cpu(10, 100)), Some(cpu(30, 300))));
}

#[test]
fn a_clock_that_was_set_back_starts_over() {
    let mut pairs = Pairs::first(reading(1_000, &[("m", row(10, 3_600_000, 5))]));
    pairs.take(reading(2_000, &[("m", row(20, 3_601_000, 5))]));
    let back = reading(17_000, &[("m", row(30, 16_000, 5))]);
    assert_eq!(pairs.take(back), Taken::ClockSet);
    assert_eq!(pair(&pairs), (None, Some(cpu(30, 16_000))));
}

#[test]
fn a_node_that_boots_begins_a_new_pair() {
    let with = |asked, total| {
        let mut reading = reading(asked, &[("m", row(1, asked, 5))]);
        reading.point.cpu = Some(cpu(total, asked));
        reading
    };
    let mut pairs = Pairs::first(with(100, 50));
    pairs.take(with(200, 70));
    assert_eq!(pairs.node().1, Some(&cpu(50, 100)));
    pairs.take(with(300, 3));
    assert_eq!(pairs.node().1, None);
}
