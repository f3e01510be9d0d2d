use tributary_model::{
    Bytes, Columns, CoreNanos, CpuPoint, MemoryPoint, NodePoint, PodKey, RosterBuilder,
};

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
        remarks: Remarks::default(),
    }
}

/// The stamps of the pair of a row.
fn stamps(row: &Row) -> Option<(i64, i64)> {
    let series = row.series();
    let (earlier, newest) = series.pair()?;
    Some((earlier.at.as_millis(), newest.at.as_millis()))
}

fn pair(pairs: &Pairs, at: usize) -> Option<(i64, i64)> {
    stamps(&pairs.rows()[at])
}

fn first(reading: Reading) -> Pairs {
    Pairs::first(reading, Duration::from_secs(15))
}

const S: i64 = 1_000;

#[test]
fn a_reading_is_newer_repeated_or_older_and_makes_pairs() {
    let page = |at: i64| reading(at * S, &[("m", row(at.unsigned_abs(), at * S, 5))]);
    let mut pairs = first(page(100));
    assert_eq!(pair(&pairs, 0), None);
    assert_eq!(pairs.take(page(130)), Taken::Newer);
    assert_eq!(pair(&pairs, 0), Some((100 * S, 130 * S)));
    let mut again = page(130);
    again.asked_at = Timestamp::from_millis(145 * S);
    assert_eq!(pairs.take(again), Taken::Repeated);
    assert_eq!(pair(&pairs, 0), Some((100 * S, 130 * S)));
    assert_eq!(pairs.rows()[0].seen_at(), Timestamp::from_millis(130 * S));
    assert_eq!(pairs.asked_at(), Timestamp::from_millis(145 * S));
    assert_eq!(pairs.take(page(115)), Taken::Older);
    assert_eq!(pair(&pairs, 0), Some((115 * S, 130 * S)));
}

#[test]
fn each_container_pairs_by_its_own_time() {
    let both = |at: i64, m, s| reading(at * S, &[("m", row(1, m, 5)), ("s", row(1, s, 5))]);
    let mut pairs = first(both(100, 100 * S, 50 * S));
    pairs.take(both(115, 115 * S, 50 * S));
    pairs.take(both(130, 130 * S, 125 * S));
    assert_eq!(pair(&pairs, 0), Some((115 * S, 130 * S)));
    assert_eq!(pair(&pairs, 1), Some((50 * S, 125 * S)));
}

#[test]
fn a_clock_that_is_set_is_told_and_concerns_its_own_series_only() {
    let both = |at: i64, m| reading(at * S, &[("m", row(1, m, 5)), ("s", row(1, at * S, 5))]);
    let mut pairs = first(both(100, 100 * S));
    pairs.take(both(115, 115 * S));
    assert_eq!(pairs.take(both(130, 9_000 * S)), Taken::ClockSet);
    assert_eq!(pair(&pairs, 0), None);
    assert_eq!(pair(&pairs, 1), Some((115 * S, 130 * S)));
    assert_eq!(pairs.take(both(145, 9_015 * S)), Taken::Newer);
    assert_eq!(pair(&pairs, 0), Some((9_000 * S, 9_015 * S)));
}

#[test]
fn a_new_sidecar_leaves_the_others_paired() {
    let at = |at: i64| row(at.unsigned_abs(), at * S, 5);
    let mut pairs = first(reading(100 * S, &[("m", at(100))]));
    pairs.take(reading(115 * S, &[("a", at(115)), ("m", at(115))]));
    // Never an invented point.
    assert_eq!(
        (pair(&pairs, 0), pair(&pairs, 1)),
        (None, Some((100 * S, 115 * S)))
    );
    // And when it goes again:
    pairs.take(reading(130 * S, &[("m", at(130))]));
    assert_eq!(pair(&pairs, 0), Some((115 * S, 130 * S)));
}

#[test]
fn what_a_page_lacks_is_remembered_and_pairs_when_it_is_back() {
    let at = |at: i64| row(at.unsigned_abs(), at * S, 5);
    let key = PodKey::new("a", "x");
    let whole = |second: i64| reading(second * S, &[("m", at(second)), ("s", at(second))]);
    let mut pairs = first(whole(100));
    pairs.take(whole(115));
    pairs.take(reading(130 * S, &[]));
    let gone = pairs.gone(&key).unwrap();
    assert_eq!(gone.asked_at, Timestamp::from_millis(115 * S));
    assert_eq!(
        gone.rows.iter().map(stamps).collect::<Vec<_>>(),
        [Some((100 * S, 115 * S)); 2]
    );
    // A part of it is back, and then the rest.
    pairs.take(reading(145 * S, &[("m", at(145))]));
    assert_eq!(pair(&pairs, 0), Some((115 * S, 145 * S)));
    pairs.take(whole(160));
    assert_eq!(pair(&pairs, 0), Some((145 * S, 160 * S)));
    // Nobody is remembered for ever.
    pairs.take(reading(175 * S, &[]));
    pairs.take(reading(2_000 * S, &[("other", at(2_000))]));
    assert!(pairs.gone(&key).is_none());
}

#[test]
fn no_more_than_some_containers_are_remembered_the_latest_of_all() {
    let mut gone = Gone::default();
    let page = Page::new(Asked {
        at: Timestamp::from_millis(0),
        gap: None,
        resolution: Duration::from_secs(15),
    });
    let rows = |count: usize| -> Vec<(ContainerName, Row)> {
        let row = Row::first(&ContainerPoint::default(), &page);
        (0..count)
            .map(|number| (format!("c{number}").into(), row))
            .collect()
    };
    let pod = |number: usize| PodKey::new("a", format!("p{number}"));
    for number in 0..30 {
        let at = Timestamp::from_millis(i64::try_from(number).unwrap());
        gone.put(&pod(number), &rows(100), at);
    }
    assert!(gone.get(&pod(9)).is_none() && gone.get(&pod(10)).is_some());
    assert!(gone.get(&pod(29)).is_some());
    gone.put(&pod(99), &rows(2_049), Timestamp::from_millis(99));
    assert!(gone.get(&pod(99)).is_none());
}

#[test]
fn two_stores_that_were_fed_in_other_orders_hold_the_same() {
    let page = |at: i64| {
        let mut page = reading(at, &[("m", row(at.unsigned_abs(), at - 7, 5))]);
        page.point.cpu = Some(cpu(at.unsigned_abs(), at - 3));
        page
    };
    let [a, b, c, d] = [15_000, 15_007, 30_000, 30_007];
    let held = |order: [i64; 4]| {
        let mut pairs = first(page(order[0]));
        for at in &order[1..] {
            pairs.take(page(*at));
        }
        let series = |row: &Row| (row.series().earlier, row.series().newest);
        (series(pairs.node()), series(&pairs.rows()[0]))
    };
    for order in [[b, a, d, c], [c, d, a, b], [d, c, b, a], [a, c, b, d]] {
        assert_eq!(held(order), held([a, b, c, d]), "{order:?}");
    }
}
