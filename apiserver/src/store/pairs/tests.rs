use tributary_model::{
    Bytes, Columns, CoreNanos, CpuPoint, MIN_WINDOW, MemoryPoint, NodePoint, PodKey, RosterBuilder,
};

use super::*;

fn cpu(total: u64, at: i64) -> CpuPoint {
    CpuPoint {
        total: CoreNanos(total),
        at: Timestamp::from_millis(at),
    }
}

/// A container that started at `started`, with a total at a time.
pub(super) fn row(total: u64, at: i64, started: i64) -> ContainerPoint {
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
pub(super) fn reading(asked: i64, containers: &[(&str, ContainerPoint)]) -> Reading {
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
pub(super) fn stamps(row: &Row) -> Option<(i64, i64)> {
    let series = row.series();
    let (earlier, newest) = series.pair()?;
    Some((earlier.at.as_millis(), newest.at.as_millis()))
}

fn pair(pairs: &Pairs, at: usize) -> Option<(i64, i64)> {
    stamps(&pairs.rows()[at])
}

pub(super) fn first(reading: Reading) -> Pairs {
    let pace = Pace {
        resolution: Duration::from_secs(15),
        min_window: MIN_WINDOW,
    };
    Pairs::first(reading, pace)
}

pub(super) fn take(pairs: &mut Pairs, reading: Reading) -> Taken {
    let mut room = Room {
        most: 10_000,
        forgotten: 0,
    };
    pairs.take(reading, &mut room)
}

pub(super) const S: i64 = 1_000;

#[test]
fn no_capacity_of_a_node_lets_a_pod_use_more_than_there_are_cores() {
    let most = |node_cpu_millis| {
        let mut reading = reading(0, &[]);
        reading.remarks.node_cpu_millis = node_cpu_millis;
        first(reading).most()
    };
    assert_eq!(most(Some(2_000)), NanoCores(5_000_000_000));
    for odd in [None, Some(2_048_000), Some(u64::MAX)] {
        assert_eq!(most(odd), NanoCores(4_096_000_000_000), "{odd:?}");
    }
}

#[test]
fn a_reading_is_newer_repeated_or_older_and_makes_pairs() {
    let page = |at: i64| reading(at * S, &[("m", row(at.unsigned_abs(), at * S, 5))]);
    let mut pairs = first(page(100));
    assert_eq!(pair(&pairs, 0), None);
    assert_eq!(take(&mut pairs, page(130)), Taken::Newer);
    assert_eq!(pair(&pairs, 0), Some((100 * S, 130 * S)));
    let mut again = page(130);
    again.asked_at = Timestamp::from_millis(145 * S);
    assert_eq!(take(&mut pairs, again), Taken::Repeated);
    assert_eq!(pair(&pairs, 0), Some((100 * S, 130 * S)));
    assert_eq!(pairs.rows()[0].seen_at(), Timestamp::from_millis(130 * S));
    assert_eq!(pairs.asked_at(), Timestamp::from_millis(145 * S));
    assert_eq!(take(&mut pairs, page(115)), Taken::Older);
    assert_eq!(pair(&pairs, 0), Some((115 * S, 130 * S)));
}

#[test]
fn each_container_pairs_by_its_own_time() {
    let both = |at: i64, m, s| reading(at * S, &[("m", row(1, m, 5)), ("s", row(1, s, 5))]);
    let mut pairs = first(both(100, 100 * S, 50 * S));
    take(&mut pairs, both(115, 115 * S, 50 * S));
    take(&mut pairs, both(130, 130 * S, 125 * S));
    assert_eq!(pair(&pairs, 0), Some((115 * S, 130 * S)));
    assert_eq!(pair(&pairs, 1), Some((50 * S, 125 * S)));
}

#[test]
fn a_clock_that_is_set_is_reported_and_concerns_its_own_series_only() {
    let both = |at: i64, m| reading(at * S, &[("m", row(1, m, 5)), ("s", row(1, at * S, 5))]);
    let mut pairs = first(both(100, 100 * S));
    take(&mut pairs, both(115, 115 * S));
    assert_eq!(take(&mut pairs, both(130, 9_000 * S)), Taken::ClockSet);
    assert_eq!(pair(&pairs, 0), None);
    assert_eq!(pair(&pairs, 1), Some((115 * S, 130 * S)));
    assert_eq!(take(&mut pairs, both(145, 9_015 * S)), Taken::Newer);
    assert_eq!(pair(&pairs, 0), Some((9_000 * S, 9_015 * S)));
}

#[test]
fn a_new_sidecar_leaves_the_others_paired() {
    let at = |at: i64| row(at.unsigned_abs(), at * S, 5);
    let mut pairs = first(reading(100 * S, &[("m", at(100))]));
    take(
        &mut pairs,
        reading(115 * S, &[("a", at(115)), ("m", at(115))]),
    );
    // Never an invented point.
    assert_eq!(
        (pair(&pairs, 0), pair(&pairs, 1)),
        (None, Some((100 * S, 115 * S)))
    );
    // And when it goes again:
    take(&mut pairs, reading(130 * S, &[("m", at(130))]));
    assert_eq!(pair(&pairs, 0), Some((115 * S, 130 * S)));
}

#[test]
fn what_a_page_lacks_is_remembered_and_pairs_when_it_is_back() {
    let at = |at: i64| row(at.unsigned_abs(), at * S, 5);
    let key = PodKey::new("a", "x");
    let whole = |second: i64| reading(second * S, &[("m", at(second)), ("s", at(second))]);
    let mut pairs = first(whole(100));
    take(&mut pairs, whole(115));
    take(&mut pairs, reading(130 * S, &[]));
    let gone = pairs.gone(&key).unwrap();
    assert_eq!(gone.asked_at, Timestamp::from_millis(115 * S));
    assert_eq!(
        gone.rows.iter().map(stamps).collect::<Vec<_>>(),
        [Some((100 * S, 115 * S)); 2]
    );
    // A part of it is back, and then the rest.
    take(&mut pairs, reading(145 * S, &[("m", at(145))]));
    assert_eq!(pair(&pairs, 0), Some((115 * S, 145 * S)));
    take(&mut pairs, whole(160));
    assert_eq!(pair(&pairs, 0), Some((145 * S, 160 * S)));
    // Nobody is remembered for ever.
    take(&mut pairs, reading(175 * S, &[]));
    take(&mut pairs, reading(2_000 * S, &[("other", at(2_000))]));
    assert!(pairs.gone(&key).is_none());
}

#[test]
fn a_container_that_is_back_before_the_others_of_its_pod_does_not_end_their_memory() {
    let at = |at: i64| row(at.unsigned_abs(), at * S, 5);
    let whole = |second: i64| reading(second * S, &[("m", at(second)), ("s", at(second))]);
    let mut pairs = first(whole(100));
    take(&mut pairs, reading(115 * S, &[]));
    take(&mut pairs, reading(130 * S, &[("m", at(130))]));
    assert_eq!(pairs.remembered(), 1);
    take(&mut pairs, whole(145));
    assert_eq!(pair(&pairs, 0), Some((130 * S, 145 * S)));
    assert_eq!(pair(&pairs, 1), Some((100 * S, 145 * S)));
    assert_eq!(pairs.remembered(), 0);
}

#[test]
fn what_a_page_lacks_is_remembered_in_any_order_of_the_pages() {
    let at = |at: i64| row(at.unsigned_abs(), at * S, 5);
    let key = PodKey::new("a", "x");
    let page = |second: i64| reading(second * S, &[("m", at(second))]);
    let empty = |second: i64| reading(second * S, &[]);
    let orders: [&[i64]; 4] = [
        &[100, 115, 130],
        &[100, 130, 115],
        &[130, 115, 100],
        &[130, 100, 115, 115],
    ];
    for order in orders {
        let made = |second: i64| {
            if second == 130 {
                empty(second)
            } else {
                page(second)
            }
        };
        let mut pairs = first(made(order[0]));
        for second in &order[1..] {
            take(&mut pairs, made(*second));
        }
        let gone = pairs.gone(&key).unwrap();
        assert_eq!(gone.asked_at, Timestamp::from_millis(115 * S), "{order:?}");
        assert_eq!(stamps(&gone.rows[0]), Some((100 * S, 115 * S)), "{order:?}");
        assert_eq!(pairs.remembered(), 1);
    }
}

#[test]
fn a_pod_that_is_deleted_while_it_is_on_the_page_is_not_remembered() {
    let at = |at: i64| row(at.unsigned_abs(), at * S, 5);
    let key = PodKey::new("a", "x");
    let page = |second: i64| reading(second * S, &[("m", at(second))]);
    let mut pairs = first(page(100));
    pairs.delete(&key, Timestamp::from_millis(101 * S));
    // Its last page comes after that.
    take(&mut pairs, page(115));
    take(&mut pairs, reading(130 * S, &[]));
    assert!(pairs.gone(&key).is_none());
    // The next one of its name is remembered.
    take(&mut pairs, page(145));
    take(&mut pairs, reading(160 * S, &[]));
    assert!(pairs.gone(&key).is_some());
    pairs.delete(&key, Timestamp::from_millis(161 * S));
    assert!(pairs.gone(&key).is_none());
}

#[test]
fn what_the_newest_page_has_of_a_deleted_pod_is_not_that_of_the_next_one() {
    let at = |at: i64| row(at.unsigned_abs(), at * S, 5);
    let key = PodKey::new("a", "x");
    let page = |second: i64| reading(second * S, &[("m", at(second))]);
    let mut pairs = first(page(100));
    take(&mut pairs, page(115));
    assert_eq!(pair(&pairs, 0), Some((100 * S, 115 * S)));
    pairs.delete(&key, Timestamp::from_millis(120 * S));
    assert_eq!(pairs.rows()[0].series(), Row::empty().series());
    // A late page is of the one that was deleted, too.
    assert_eq!(take(&mut pairs, page(107)), Taken::Older);
    assert_eq!(pairs.rows()[0].series(), Row::empty().series());
    // Without a start, and with a total that is not smaller.
    let next = |second: i64| {
        let mut point = at(second + 500);
        point.started = None;
        point.cpu = Some(cpu(500 + second.unsigned_abs(), second * S));
        reading(second * S, &[("m", point)])
    };
    take(&mut pairs, next(130));
    assert_eq!(pair(&pairs, 0), None);
    take(&mut pairs, next(145));
    assert_eq!(pair(&pairs, 0), Some((130 * S, 145 * S)));
}

#[test]
fn a_late_page_does_not_bring_a_deleted_pod_back() {
    let at = |at: i64| row(at.unsigned_abs(), at * S, 5);
    let key = PodKey::new("a", "x");
    let page = |second: i64| reading(second * S, &[("m", at(second))]);
    let empty = |second: i64| reading(second * S, &[]);
    let deleted_at = Timestamp::from_millis(137 * S);
    // It was on a page before that, or on none.
    for begin in [page(100), empty(100)] {
        let mut pairs = first(begin);
        take(&mut pairs, empty(115));
        pairs.delete(&key, deleted_at);
        take(&mut pairs, empty(145));
        // Asked for before it was deleted, or while the kubelet had it still.
        for late in [110, 130, 140] {
            assert_eq!(take(&mut pairs, page(late)), Taken::Older);
            assert!(pairs.gone(&key).is_none(), "{late}");
        }
        // One that arrives late as the newest of all.
        take(&mut pairs, page(150));
        take(&mut pairs, empty(175));
        assert!(pairs.gone(&key).is_none());
        // What is asked for later has a new pod of its name.
        assert_eq!(take(&mut pairs, page(170)), Taken::Older);
        assert!(pairs.gone(&key).is_some());
    }
}

#[test]
fn what_was_lost_on_one_page_is_one_entry_whenever_it_comes() {
    let at = |at: i64| row(at.unsigned_abs(), at * S, 5);
    let key = PodKey::new("a", "x");
    let mut pairs = first(reading(100 * S, &[("m", at(100))]));
    take(&mut pairs, reading(115 * S, &[]));
    assert_eq!(pairs.gone(&key).unwrap().roster().containers(), 1);
    // Another scraper asked at the same moment, and saw another container.
    take(&mut pairs, reading(100 * S, &[("n", at(100))]));
    let gone = pairs.gone(&key).unwrap();
    let names = gone.roster().rows().map(|(_, _, name)| name.to_string());
    assert_eq!(names.collect::<Vec<_>>(), ["m", "n"]);
    assert_eq!((gone.rows.len(), pairs.remembered()), (2, 2));
}

/// This many containers of a pod.
fn lost(pod: &PodKey, containers: usize, at: i64) -> Lost {
    let asked = Asked {
        at: Timestamp::from_millis(0),
        gap: None,
        resolution: Duration::from_secs(15),
        min_window: MIN_WINDOW,
        steady_window: MIN_WINDOW,
    };
    let row = Row::first(&ContainerPoint::default(), &Page::new(asked));
    let mut lost = Lost::default();
    for number in 0..containers {
        let name = format!("c{number:04}").into();
        lost.push(pod, &name, (row, None), Timestamp::from_millis(at));
    }
    lost
}

#[test]
fn no_more_than_some_containers_are_remembered_the_latest_of_all() {
    let mut gone = Gone::default();
    let pod = |number: i64| PodKey::new("a", format!("p{number:02}"));
    let mut forgotten = 0;
    for number in 0..30 {
        forgotten += gone.put(lost(&pod(number), 100, number), 500_000);
    }
    assert_eq!((gone.len(), forgotten), (2_000, 1_000));
    assert!(gone.get(&pod(9)).is_none() && gone.get(&pod(10)).is_some());
    assert!(gone.get(&pod(29)).is_some());
    // One alone is too much, and costs no other.
    assert_eq!(gone.put(lost(&pod(99), 2_049, 99), 500_000), 2_049);
    assert!(gone.get(&pod(99)).is_none());
    assert_eq!(gone.len(), 2_000);
    // All nodes together have no more room.
    assert_eq!(gone.put(lost(&pod(30), 100, 30), 250), 1_900);
    assert!(gone.get(&pod(28)).is_none() && gone.get(&pod(29)).is_some());
    assert!(gone.get(&pod(30)).is_some());
    // What is back makes room.
    assert!(gone.take(&pod(30), &"c0007".into()).is_some());
    assert!(gone.take(&pod(30), &"c0007".into()).is_none());
    assert_eq!(gone.len(), 199);
}

#[test]
fn each_container_that_is_gone_has_its_own_points_between_those_of_its_pair() {
    let pod = PodKey::new("a", "x");
    let points = |number: u64| (number > 0).then(|| vec![cpu(number, 1), cpu(number, 2)]);
    let asked = Asked {
        at: Timestamp::from_millis(3),
        gap: None,
        resolution: Duration::from_secs(15),
        min_window: MIN_WINDOW,
        steady_window: MIN_WINDOW,
    };
    let (early, none) = (Page::new(asked), ContainerPoint::default());
    let row = Row::first(&none, &early);
    let mut gone = Gone::default();
    // All were on the same page. It is known of some of them later.
    for names in [["a", "c", "e"], ["b", "d", "f"]] {
        let mut lost = Lost::default();
        for name in names {
            let number = u64::from(name.as_bytes()[0] - b'a');
            let container = (row, points(number));
            lost.push(&pod, &name.into(), container, Timestamp::from_millis(7));
        }
        gone.put(lost, 500_000);
    }
    // A page that was asked for earlier changes nothing.
    let mut lost = Lost::default();
    for name in ["a", "c", "f"] {
        let at = Timestamp::from_millis(3);
        gone.take_older(&pod, &name.into(), &none, &early, at, &mut lost);
    }
    gone.put(lost, 500_000);
    assert_eq!(gone.len(), 6);
    for (number, name) in (0..).zip(["a", "b", "c", "d", "e", "f"]) {
        let (_, found) = gone.take(&pod, &name.into()).unwrap();
        assert_eq!(found, points(number), "{name}");
    }
    assert_eq!(gone.len(), 0);
}

#[test]
fn of_a_pod_that_loses_other_containers_again_and_again_the_last_times_are_remembered() {
    let mut gone = Gone::default();
    let pod = PodKey::new("a", "x");
    let asked = Asked {
        at: Timestamp::from_millis(0),
        gap: None,
        resolution: Duration::from_secs(15),
        min_window: MIN_WINDOW,
        steady_window: MIN_WINDOW,
    };
    let row = Row::first(&ContainerPoint::default(), &Page::new(asked));
    let mut forgotten = 0;
    for time in 0..100 {
        let mut lost = Lost::default();
        let name = format!("c{time:02}").into();
        lost.push(&pod, &name, (row, None), Timestamp::from_millis(time));
        forgotten += gone.put(lost, 500_000);
    }
    assert_eq!((gone.len(), forgotten), (8, 92));
    assert!(gone.take(&pod, &"c91".into()).is_none());
    assert!(gone.take(&pod, &"c92".into()).is_some());
    assert!(gone.take(&pod, &"c99".into()).is_some());
}

#[test]
fn two_stores_that_were_fed_in_other_orders_hold_the_same() {
    let page = |at: i64| {
        let mut page = reading(at, &[("m", row(at.unsigned_abs(), at - 7, 5))]);
        page.point.cpu = Some(cpu(at.unsigned_abs(), at - 3));
        page
    };
    let [a, b, c, d] = [15_000, 15_007, 30_000, 30_007];
    let stored = |order: [i64; 4]| {
        let mut pairs = first(page(order[0]));
        for at in &order[1..] {
            take(&mut pairs, page(*at));
        }
        let series = |row: &Row| (row.series().earlier, row.series().newest);
        (series(pairs.node()), series(&pairs.rows()[0]))
    };
    for order in [[b, a, d, c], [c, d, a, b], [d, c, b, a], [a, c, b, d]] {
        assert_eq!(stored(order), stored([a, b, c, d]), "{order:?}");
    }
}
