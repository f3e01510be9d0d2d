//! Histories of kubelets, written down, and a node that is scraped at the fast resolution.

use tributary_model::{
    Columns, CoreNanos, CpuPoint, NodeName, NodePoint, PodKey, Remarks, Roster, RosterBuilder,
};

use super::*;
use crate::assignment::schedule::Schedule;

const RESOLUTION: Duration = Duration::from_secs(15);

/// How far apart samples of containers that work are, in milliseconds: 10 to 20 s, as with cAdvisor.
const WORKING: [i64; 10] = [
    13_700, 10_200, 18_900, 11_400, 16_300, 19_600, 12_800, 14_500, 10_900, 17_100,
];

/// Of containers that rest: every second distance is 15 to 30 s.
const RESTING: [i64; 10] = [
    13_700, 25_200, 18_900, 16_400, 11_300, 29_600, 12_800, 19_500, 10_900, 17_100,
];

/// An hour, in milliseconds.
const HOUR: i64 = 3_600_000;

/// When containers have started, long ago.
const STARTED: i64 = -2 * HOUR;

/// What a page has of one container: the stamp, and the start.
#[derive(Clone, Copy, Debug)]
struct Row {
    at: Option<i64>,
    started: i64,
}

impl Row {
    fn at(at: i64) -> Self {
        Self {
            at: Some(at),
            started: STARTED,
        }
    }
}

fn ms(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn roster(containers: usize) -> Arc<Roster> {
    let mut builder = RosterBuilder::default();
    for n in 0..containers {
        let pod = PodKey::new("shop", format!("web-{n:02}"));
        builder.add(pod, "main".into()).unwrap();
    }
    builder.build()
}

fn page(rows: &[Row]) -> Reading {
    let mut columns = Columns::missing(rows.len());
    for (n, row) in rows.iter().enumerate() {
        let point = row.at.map(|at| CpuPoint {
            total: CoreNanos(1),
            at: ms(at),
        });
        columns.set_cpu(n, point);
        columns.set_started(n, Some(ms(row.started)));
    }
    Reading {
        node: "n1".into(),
        roster: roster(rows.len()),
        asked_at: ms(0),
        point: NodePoint::default(),
        columns,
        remarks: Remarks::default(),
    }
}

/// Containers that are measured at these distances, each from another one on.
fn apart(containers: i64, distances: [i64; 10]) -> impl Fn(i64) -> Vec<Row> {
    let measured = |n: i64| {
        let first = usize::try_from(n).unwrap();
        let mut at = -1_700 * n;
        let times = distances.into_iter().cycle().skip(first);
        let times = times.map(|apart| {
            let measured = at;
            at += apart;
            measured
        });
        times.take_while(|at| *at < 700_000).collect::<Vec<_>>()
    };
    let measured: Vec<Vec<i64>> = (0..containers).map(measured).collect();
    move |now| {
        let newest = |times: &Vec<i64>| *times.iter().rfind(|at| **at <= now).unwrap();
        measured.iter().map(newest).map(Row::at).collect()
    }
}

/// Twenty containers that are measured every ten seconds, one a millisecond after the other.
fn at_once(now: i64) -> Vec<Row> {
    let measured = |n: i64| now - (now - 3_300 - n).rem_euclid(10_000);
    (0..20).map(measured).map(Row::at).collect()
}

/// Four containers that are measured at every request.
fn at_request(now: i64) -> Vec<Row> {
    vec![Row::at(now); 4]
}

/// When a node is asked until then that is wanted fresh, and what is learned of it.
fn hot(page_at: impl Fn(i64) -> Vec<Row>, until: i64) -> (Vec<i64>, Learner) {
    let mut schedule = Schedule::new(RESOLUTION).with_fast(Some(Duration::from_secs(1)));
    let node = NodeName::from("n1");
    schedule.add(&node, ms(1_000));
    assert!(schedule.want(&node, ms(until), ms(1_000)));
    let (mut learner, mut asked) = (Learner::default(), Vec::new());
    while let Some(began) = schedule.wake().filter(|due| *due < ms(until)) {
        schedule.take_due(began).unwrap();
        schedule.done(&node, began);
        asked.push(began.as_millis());
        learner.take(&Arc::new(page(&page_at(began.as_millis()))), began);
        if let Some(at) = learner.earliest() {
            schedule.postpone(&node, at, began);
        }
    }
    (asked, learner)
}

/// What is known after each page of a node that is asked every 15 s.
fn cold(page_at: impl Fn(i64) -> Vec<Row>) -> Vec<Freshness> {
    let mut learner = Learner::default();
    let learn = |n: i64| {
        let began = 1_000 + 15_000 * n;
        learner.take(&Arc::new(page(&page_at(began))), ms(began));
        learner.freshness()
    };
    (0..20).map(learn).collect()
}

fn typical_seconds(freshness: Freshness) -> Option<u64> {
    freshness.typical().map(|typical| typical.as_secs())
}

fn between(asked: &[i64], from: i64, to: i64) -> usize {
    asked.iter().filter(|at| (from..to).contains(*at)).count()
}

/// How long after they were measured the first request found the samples of [`at_once`], each time from
/// this moment on.
fn late(asked: &[i64], from: i64) -> Vec<i64> {
    let last = *asked.last().unwrap();
    let measured = (from..last - 10_000).filter(|at| at.rem_euclid(10_000) == 3_320);
    let first = |at: i64| asked.iter().find(|asked| **asked >= at).unwrap() - at;
    measured.map(first).collect()
}

#[test]
fn a_kubelet_that_measures_at_every_request_is_known_after_four_pages() {
    let known = cold(at_request);
    assert_eq!(known[..3], [Freshness::Unknown; 3]);
    assert_eq!(known[3..], [Freshness::EveryRequest; 17]);
    // Every second something is new.
    let (asked, learner) = hot(at_request, 60_000);
    assert!((58..=60).contains(&asked.len()), "{asked:?}");
    assert_eq!(learner.freshness(), Freshness::EveryRequest);
}

#[test]
fn containers_with_times_of_their_own_are_periodic() {
    for (distances, cold_seconds, hot_seconds) in
        [(WORKING, 13..=18, 11..=16), (RESTING, 15..=22, 16..=24)]
    {
        let known = cold(apart(12, distances));
        assert_eq!(known[..3], [Freshness::Unknown; 3]);
        let last = typical_seconds(known[19]).unwrap();
        assert!(cold_seconds.contains(&last), "{last}");
        let (_, learner) = hot(apart(12, distances), 300_000);
        let typical = typical_seconds(learner.freshness()).unwrap();
        assert!(hot_seconds.contains(&typical), "{typical}");
    }
}

#[test]
fn of_many_containers_some_may_be_measured_at_any_time_and_the_floor_costs_nothing() {
    for distances in [WORKING, RESTING] {
        let (asked, _) = hot(apart(12, distances), 300_000);
        assert!(asked.len() >= 290, "{}", asked.len());
    }
}

#[test]
fn of_one_container_no_sample_is_found_later_than_by_asking_every_second() {
    for distances in [WORKING, RESTING] {
        let rows = apart(1, distances);
        let (asked, _) = hot(&rows, 300_000);
        assert!(between(&asked, 60_000, 300_000) <= 180, "{asked:?}");
        for now in 60_000..290_000 {
            let at = rows(now)[0].at.unwrap();
            if at == now {
                let found = asked.iter().find(|asked| **asked >= at).unwrap();
                assert!(found - at <= 1_050, "{at} found at {found}");
            }
        }
    }
}

#[test]
fn a_kubelet_that_measures_all_at_once_is_asked_before_and_soon_after() {
    for ahead in [0, -HOUR, 77_777] {
        let rows = |now: i64| -> Vec<Row> {
            let row = |row: Row| Row::at(row.at.unwrap() + ahead);
            at_once(now).into_iter().map(row).collect()
        };
        let (asked, learner) = hot(rows, 660_000);
        assert_eq!(typical_seconds(learner.freshness()), Some(10));
        // Asked every second, it would be 600.
        let requests = between(&asked, 60_000, 660_000);
        assert!((115..=135).contains(&requests), "{requests}");
        let late = late(&asked, 60_000);
        assert_eq!(late.len(), 59, "{late:?}");
        assert!(late.iter().all(|late| *late <= 1_050), "{late:?}");
        // Asked every second, it would be half a second.
        assert!(late.iter().sum::<i64>() / 59 < 250, "{late:?}");
    }
}

#[test]
fn a_clock_that_is_set_costs_a_few_requests() {
    for step in [HOUR, -HOUR, 90_000, -90_000] {
        let rows = |now: i64| -> Vec<Row> {
            let off = if now > 300_000 { step } else { 0 };
            let row = |row: Row| Row::at(row.at.unwrap() + off);
            at_once(now).into_iter().map(row).collect()
        };
        let (asked, learner) = hot(rows, 500_000);
        assert!(between(&asked, 300_000, 400_000) <= 60, "{asked:?}");
        assert!(between(&asked, 400_000, 500_000) <= 60, "{asked:?}");
        let late = late(&asked, 310_000);
        assert!(late.iter().all(|late| *late <= 1_050), "{late:?}");
        assert_eq!(typical_seconds(learner.freshness()), Some(10), "{step}");
    }
}

#[test]
fn a_kubelet_that_measures_at_every_request_from_now_on_is_found_out() {
    let rows = |now: i64| match now {
        ..300_000 => at_once(now),
        _ => at_request(now).into_iter().cycle().take(20).collect(),
    };
    let (asked, learner) = hot(rows, 400_000);
    assert!(between(&asked, 307_000, 400_000) >= 90, "{asked:?}");
    assert_eq!(learner.freshness(), Freshness::EveryRequest);
}

#[test]
fn containers_that_start_again_give_no_distance() {
    // One starts every seven seconds, is measured then, and with all others.
    let rows = |now: i64| {
        let started = now - now.rem_euclid(7_000);
        let mut rows = at_once(now);
        let measured = rows[0].at.unwrap();
        let at = Some(measured.max(started));
        rows.push(Row { at, started });
        rows
    };
    let (asked, _) = hot(rows, 300_000);
    assert!(between(&asked, 100_000, 300_000) <= 110, "{asked:?}");
    // If the kubelet does not say so, samples may be as close as that, and it is asked every second.
    let (asked, _) = hot(
        |now| {
            let said = |row: Row| Row {
                started: STARTED,
                ..row
            };
            rows(now).into_iter().map(said).collect()
        },
        300_000,
    );
    assert!(between(&asked, 100_000, 300_000) >= 150, "{asked:?}");
}

#[test]
fn a_container_that_is_not_measured_any_longer_does_not_count() {
    let rows = |now: i64| {
        let mut rows = at_once(now);
        rows.push(Row::at(50_000));
        rows
    };
    let (asked, _) = hot(rows, 300_000);
    assert!(between(&asked, 200_000, 300_000) <= 25, "{asked:?}");
}

#[test]
fn without_times_nothing_is_known() {
    let none = |_: i64| {
        vec![
            Row {
                at: None,
                started: STARTED
            };
            3
        ]
    };
    assert_eq!(cold(none), [Freshness::Unknown; 20]);
    assert!(hot(none, 60_000).0.len() >= 58);
    assert_eq!(cold(|_| Vec::new()), [Freshness::Unknown; 20]);
    // Those that are missing now and then do no harm.
    let some = |now: i64| {
        let mut rows = at_request(now);
        rows[usize::try_from(now / 15_000 % 4).unwrap()].at = None;
        rows
    };
    assert_eq!(cold(some)[3..], [Freshness::EveryRequest; 17]);
}

#[test]
fn stamps_of_the_scraper_show_nothing() {
    let mut learner = Learner::default();
    for n in 0..10 {
        let began = 15_000 * n;
        let mut page = page(&at_request(began));
        page.remarks.is_stamped_by_scraper = true;
        learner.take(&Arc::new(page), ms(began));
    }
    assert_eq!(learner.freshness(), Freshness::Unknown);
}

#[test]
fn other_containers_than_before_show_nothing_and_what_is_known_stays() {
    let mut learner = Learner::default();
    for n in 0..20_i64 {
        let began = 15_000 * n;
        let containers = if n < 10 {
            4
        } else {
            usize::try_from(n).unwrap()
        };
        let rows = vec![Row::at(began); containers];
        let look = learner.take(&Arc::new(page(&rows)), ms(began));
        assert_eq!(look.is_empty(), n == 0 || n >= 10, "{n}");
    }
    assert_eq!(learner.freshness(), Freshness::EveryRequest);
}

#[test]
fn a_kubelet_whose_stamps_are_wrong_is_asked_at_one_of_both_resolutions_or_between() {
    let stamps = [
        i64::MAX,
        0,
        -1,
        i64::MIN + 1,
        5,
        1_000_000,
        i64::MAX - 1,
        7,
        HOUR,
        -HOUR,
    ];
    let odd = |factor: i64| {
        move |now: i64| {
            let at = |n: i64| usize::try_from((now / 1_000 * factor + n) % 10).unwrap();
            let row = |n: i64| Row::at(stamps[at(n)]);
            (0..3).map(row).collect::<Vec<_>>()
        }
    };
    let ahead = |now: i64| vec![Row::at(HOUR * (now / 20_000)); 3];
    let stuck = |_: i64| vec![Row::at(7); 3];
    let all: [&dyn Fn(i64) -> Vec<Row>; 5] = [&odd(1), &odd(3), &odd(7), &ahead, &stuck];
    for rows in all {
        let (asked, _) = hot(rows, 300_000);
        let apart = asked.windows(2).map(|pair| pair[1] - pair[0]);
        let apart: Vec<i64> = apart.collect();
        let is_allowed = |apart: &i64| (800..=15_050).contains(apart);
        assert!(apart.iter().all(is_allowed), "{apart:?}");
    }
}
