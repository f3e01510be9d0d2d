use super::*;
use crate::{
    units::{Bytes, CoreNanos},
    usage::{MOST_CORES, Rules, Usage},
};

mod arrival;
mod hand_overs;
mod histories;
mod restarts;
mod windows;
mod world;

const RESOLUTION: Duration = Duration::from_secs(15);

fn cpu(total: u64, second: i64) -> CpuPoint {
    CpuPoint {
        total: CoreNanos(total),
        at: Timestamp::from_millis(second * 1_000),
    }
}

fn asked(second: i64) -> Asked {
    Asked {
        at: Timestamp::from_millis(second * 1_000),
        gap: Some(RESOLUTION),
        resolution: RESOLUTION,
        min_window: MIN_WINDOW,
        steady_window: MIN_WINDOW,
    }
}

fn seconds(second: i64) -> Timestamp {
    Timestamp::from_millis(second * 1_000)
}

/// When it was asked for, a total with its stamp, and a start.
type Page = (i64, Option<(u64, i64)>, Option<i64>);

/// The stamps of the pair that is served after each page.
fn pairs(pages: &[Page]) -> Vec<Option<(i64, i64)>> {
    let mut series: Option<Series> = None;
    let mut served = Vec::new();
    for (at, sample, started) in pages {
        let point = sample.map(|(total, at)| cpu(total, at));
        let started = started.map(seconds);
        match &mut series {
            None => series = Some(Series::first(point, started, asked(*at))),
            Some(series) => series.take(point, started, asked(*at)),
        }
        let pair = series.as_ref().and_then(Series::pair);
        served
            .push(pair.map(|(earlier, newest)| (earlier.at.as_seconds(), newest.at.as_seconds())));
    }
    served
}

/// Pages of a kubelet that is fresh, every 15 s from 100 on, with these starts.
fn with_starts(starts: &[i64]) -> Vec<Option<(i64, i64)>> {
    let page = |(number, started): (i64, &i64)| {
        let at = 100 + 15 * number;
        (at, Some((at.unsigned_abs(), at)), Some(*started))
    };
    let pages: Vec<_> = (0..).zip(starts).map(page).collect();
    pairs(&pages)
}

/// Pages that were asked for before the newest one.
fn after_older(newest: &[Page], older: &[Page]) -> Series {
    let mut series = Series::default();
    for (at, sample, started) in newest {
        let point = sample.map(|(total, at)| cpu(total, at));
        series.take(point, started.map(seconds), asked(*at));
    }
    for (at, sample, started) in older {
        let point = sample.map(|(total, at)| cpu(total, at));
        let asked = Asked {
            gap: None,
            ..asked(*at)
        };
        series.take_older(point, started.map(seconds), asked);
    }
    series
}

#[test]
fn a_repeated_sample_keeps_the_pair_however_long() {
    let mut pages = vec![(100, Some((1, 100)), None), (400, Some((2, 400)), None)];
    pages.extend((1..20).map(|page| (400 + 15 * page, Some((2, 400)), None)));
    pages.push((700, Some((3, 700)), None));
    let served = pairs(&pages);
    assert!(served[1..21].iter().all(|pair| *pair == Some((100, 400))));
    assert_eq!(served[21], Some((400, 700)));
}

#[test]
fn a_step_of_the_clock_costs_one_sample() {
    for step in [3_600, -3_600, 86_400, 60, -60] {
        let page = |at: i64| {
            let stamp = if at < 130 { at } else { at + step };
            (at, Some((at.unsigned_abs(), stamp)), None)
        };
        let served = pairs(&[100, 115, 130, 145, 160].map(page));
        let stepped = [(130, 145), (145, 160)].map(|(one, two)| Some((one + step, two + step)));
        assert_eq!(served[..3], [None, Some((100, 115)), None], "{step}");
        assert_eq!(served[3..], stepped, "{step}");
    }
}

#[test]
fn one_odd_stamp_costs_one_sample() {
    for odd in [3_600, -3_600, 86_400] {
        let page = |at: i64| {
            let stamp = if at == 130 { at + odd } else { at };
            (at, Some((at.unsigned_abs(), stamp)), None)
        };
        let served = pairs(&[100, 115, 130, 145, 160].map(page));
        let expected = [
            None,
            Some((100, 115)),
            None,
            Some((115, 145)),
            Some((145, 160)),
        ];
        assert_eq!(served, expected, "{odd}");
    }
}

#[test]
fn a_clock_that_differs_and_moves_on_is_as_good_as_any() {
    for ahead in [90, -90, 31, 86_400, -1_000_000_000] {
        let page = |at: i64| (at, Some((at.unsigned_abs(), at + ahead)), None);
        let served = pairs(&[100, 115, 130].map(page));
        let expected = [
            None,
            Some((100 + ahead, 115 + ahead)),
            Some((115 + ahead, 130 + ahead)),
        ];
        assert_eq!(served, expected, "{ahead}");
    }
}

#[test]
fn a_sample_that_is_missing_once_costs_one_page() {
    let page = |at: i64| (at, Some((at.unsigned_abs(), at)), None);
    let served = pairs(&[
        page(100),
        page(115),
        (130, None, None),
        page(145),
        page(160),
    ]);
    let expected = [
        None,
        Some((100, 115)),
        None,
        Some((115, 145)),
        Some((145, 160)),
    ];
    assert_eq!(served, expected);
}

#[test]
fn after_a_step_two_samples_of_one_moment_make_no_pair() {
    let served = pairs(&[
        (100, Some((100, 100)), None),
        (115, Some((115, 115)), None),
        // Two scrapers ask almost at once.
        (130, Some((130, 3_730)), None),
        (131, Some((131, 3_731)), None),
        (145, Some((145, 3_745)), None),
    ]);
    let expected = [None, Some((100, 115)), None, None, Some((3_731, 3_745))];
    assert_eq!(served, expected);
}

#[test]
fn a_clock_that_is_set_back_between_two_that_ask_costs_one_sample() {
    let served = pairs(&[
        (100, Some((100, 100)), None),
        (115, Some((115, 115)), None),
        // A second later another one asks.
        (116, Some((116, -3_484)), None),
        (130, Some((130, -3_470)), None),
    ]);
    assert_eq!(served[2..], [None, Some((-3_484, -3_470))]);
}

#[test]
fn the_points_of_a_pair_are_far_enough_apart_after_a_pause() {
    let served = pairs(&[
        (100, Some((100, 100)), None),
        (131, Some((131, 131)), None),
        (132, Some((132, 132)), None),
        (146, Some((146, 146)), None),
    ]);
    let expected = [None, Some((100, 131)), Some((100, 132)), Some((132, 146))];
    assert_eq!(served, expected);
}

/// What is served after each page, in thousandths of a core.
fn served(pages: &[Page]) -> Vec<Option<u64>> {
    let mut series: Option<Series> = None;
    let mut rates = Vec::new();
    for (at, sample, started) in pages {
        let point = sample.map(|(millis, at)| cpu(millis * 1_000_000, at));
        let started = started.map(seconds);
        match &mut series {
            None => series = Some(Series::first(point, started, asked(*at))),
            Some(series) => series.take(point, started, asked(*at)),
        }
        let rules = Rules {
            resolution: RESOLUTION,
            most: MOST_CORES,
        };
        let usage = series.map(|series| Usage::of(&series, Some(Bytes(1)), None, rules));
        rates.push(
            usage
                .and_then(Result::ok)
                .map(|usage| usage.cpu.0 / 1_000_000),
        );
    }
    rates
}

#[test]
fn an_odd_sample_that_is_repeated_decides_nothing() {
    // The clock is set ahead by 40 s, and the kubelet measures once a minute.
    let mut pages = Vec::new();
    for asked_at in (60_i64..=300).step_by(15) {
        let measured_at = asked_at - asked_at % 60;
        let stamp = if measured_at < 180 {
            measured_at
        } else {
            measured_at + 40
        };
        pages.push((
            asked_at,
            Some((measured_at.unsigned_abs() * 500, stamp)),
            None,
        ));
    }
    let rates: Vec<_> = served(&pages).into_iter().flatten().collect();
    assert!(rates.iter().all(|rate| *rate == 500), "{rates:?}");
}

#[test]
fn a_total_that_moves_under_one_stamp_is_the_first_of_that_stamp() {
    let rates = served(&[
        (100, Some((50_000, 100)), None),
        (115, Some((57_500, 115)), None),
        (130, Some((65_000, 115)), None),
        (145, Some((72_500, 145)), None),
    ]);
    assert_eq!(rates, [None, Some(500), Some(500), Some(500)]);
}

fn in_nanos((at, sample, started): Page) -> Page {
    let sample = sample.map(|(millis, at)| (millis * 1_000_000, at));
    (at, sample, started)
}

fn stamps(series: &Series) -> Option<(i64, i64)> {
    let (earlier, newest) = series.pair()?;
    Some((earlier.at.as_seconds(), newest.at.as_seconds()))
}

#[test]
fn after_pages_without_it_a_step_of_minutes_is_found() {
    let page = |at: i64, stamp| (at, Some((at.unsigned_abs() * 500, stamp)), None);
    let before = [100, 115, 130].map(|at| page(at, at));
    let ahead = [
        &before[..],
        &[
            (145, None, None),
            page(160, 160),
            page(175, 475),
            page(190, 490),
        ],
    ];
    let rates = [None, Some(500), Some(500), None, Some(500), None, Some(500)];
    assert_eq!(served(&ahead.concat()), rates);
    // The counter fell: the first sample of the run is not older than the one before.
    let fell = [
        &before[..],
        &[
            (145, Some((5, 145)), None),
            (160, Some((7_505, 460)), None),
            (175, Some((15_005, 475)), None),
        ],
    ];
    let rates = [None, Some(500), Some(500), None, None, Some(500)];
    assert_eq!(served(&fell.concat()), rates);
}
