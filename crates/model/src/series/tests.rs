use super::*;
use crate::{
    units::{Bytes, CoreNanos},
    usage::{MOST_CORES, Rules, Usage},
};

mod hand_overs;
mod histories;
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

#[test]
fn only_a_start_after_the_previous_sample_is_a_restart() {
    let served = [None, Some((100, 115)), Some((115, 130)), Some((130, 145))];
    // The age of the pod in seconds, a start that creeps ahead or jitters, and none.
    for starts in [
        [3_600, 3_615, 3_630, 3_645].map(|age| age - 1_000_000),
        [5, 40, 110, 111],
        [50, 51, 50, 49],
    ] {
        assert_eq!(with_starts(&starts), served, "{starts:?}");
    }
    let restarted = [None, Some((100, 115)), None, Some((130, 145))];
    assert_eq!(with_starts(&[5, 5, 120, 120]), restarted);
}

#[test]
fn a_start_that_comes_late_ends_a_pair_across_it() {
    let page = |at: i64, started| (at, Some((at.unsigned_abs(), at)), started);
    let served = pairs(&[
        page(100, Some(5)),
        page(115, None),
        (130, Some((115, 115)), Some(110)),
        page(145, Some(110)),
    ]);
    let expected = [None, Some((100, 115)), None, Some((115, 145))];
    assert_eq!(served, expected);
}

#[test]
fn a_counter_that_fell_begins_again() {
    let served = pairs(&[
        (100, Some((900, 100)), None),
        (115, Some((910, 115)), None),
        (130, Some((3, 130)), None),
        (145, Some((5, 145)), None),
    ]);
    assert_eq!(served, [None, Some((100, 115)), None, Some((130, 145))]);
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
fn a_start_after_its_own_sample_counts_for_nothing() {
    // The clock was set back by an hour since it started.
    let served = [None, Some((100, 115)), Some((115, 130)), Some((130, 145))];
    assert_eq!(with_starts(&[3_650; 4]), served);
    // It passes the start again: that looks like a restart.
    let passes = [None, Some((100, 115)), None, Some((130, 145))];
    assert_eq!(with_starts(&[120; 4]), passes);
}

#[test]
fn zero_is_no_sample_and_no_fall() {
    let served = pairs(&[
        (100, Some((900, 100)), None),
        (115, Some((910, 115)), None),
        (130, Some((0, 130)), None),
        (145, Some((920, 145)), None),
        (160, Some((0, 145)), None),
        (175, Some((930, 175)), None),
    ]);
    let expected = [
        None,
        Some((100, 115)),
        None,
        Some((115, 145)),
        None,
        Some((145, 175)),
    ];
    assert_eq!(served, expected);
    let begins = pairs(&[
        (100, Some((0, 100)), None),
        (115, Some((910, 115)), None),
        (130, Some((911, 130)), None),
    ]);
    assert_eq!(begins, [None, None, Some((115, 130))]);
}

#[test]
fn counters_at_the_end_of_their_range_fall_like_any() {
    const MOST: u64 = u64::MAX - 1;
    let served = pairs(&[
        (100, Some((MOST - 7, 100)), None),
        (115, Some((MOST, 115)), None),
        // It wrapped.
        (130, Some((3, 130)), None),
        (145, Some((9, 145)), None),
    ]);
    assert_eq!(served, [None, Some((100, 115)), None, Some((130, 145))]);
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
fn a_page_of_a_scraper_that_is_ahead_takes_no_start_away() {
    let mut series = Series::first(Some(cpu(9, 115)), Some(seconds(114)), asked(115));
    // Its page is of the run before.
    series.take(Some(cpu(5, 112)), Some(seconds(5)), asked(116));
    assert_eq!(series.pair(), None);
    assert_eq!(series.started, Some(seconds(114)));
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

#[test]
fn a_smaller_total_at_almost_the_same_time_is_no_fall_unless_the_one_before_is_larger() {
    let page = |at: i64, total| (at, Some((total, at)), None);
    let served = pairs(&[
        page(100, 100),
        page(115, 117),
        page(116, 115),
        page(130, 130),
    ]);
    let expected = [None, Some((100, 115)), Some((100, 116)), Some((116, 130))];
    assert_eq!(served, expected);
    let fell = pairs(&[page(100, 100), page(115, 117), page(116, 3), page(130, 130)]);
    assert_eq!(fell, [None, Some((100, 115)), None, Some((116, 130))]);
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
fn an_older_page_from_before_a_step_is_left_out() {
    let newest = [(130, Some((130, 3_730)), None)];
    // Also where nothing was used in between.
    for total in [115, 130] {
        let series = after_older(&newest, &[(115, Some((total, 115)), None)]);
        assert_eq!(series.pair(), None);
        let back = after_older(&newest, &[(115, Some((total, 9_000)), None)]);
        assert_eq!((back.pair(), back.is_stepped), (None, false));
    }
    let fits = after_older(&newest, &[(115, Some((115, 3_715)), None)]);
    assert_eq!(fits.pair(), Some((&cpu(115, 3_715), &cpu(130, 3_730))));
}

#[test]
fn an_older_page_that_shows_a_fall_ends_a_pair_across_it() {
    let newest = [(100, Some((100, 100)), None), (130, Some((150, 130)), None)];
    let larger = after_older(&newest, &[(115, Some((200, 115)), None)]);
    assert_eq!(larger.pair(), None);
    let smaller = after_older(&newest, &[(115, Some((3, 115)), None)]);
    assert_eq!(smaller.pair(), Some((&cpu(3, 115), &cpu(150, 130))));
}

#[test]
fn an_older_page_counts_while_the_newest_one_has_no_sample() {
    let newest = [(100, Some((100, 100)), None), (130, None, None)];
    let mut series = after_older(&newest, &[(115, Some((115, 115)), None)]);
    assert_eq!(series.pair(), None);
    series.take(Some(cpu(145, 145)), None, asked(145));
    assert_eq!(series.pair(), Some((&cpu(115, 115), &cpu(145, 145))));
    let only = after_older(&newest[1..], &[(115, Some((115, 115)), None)]);
    assert_eq!((only.newest, only.is_missing), (Some(cpu(115, 115)), true));
}

/// Each in its place among the others, as it was asked for.
fn in_any_order(ats: &[i64]) -> Option<(i64, i64)> {
    let mut newest = None;
    let mut series: Option<Series> = None;
    for millis in ats {
        let at = Timestamp::from_millis(*millis);
        let point = Some(CpuPoint {
            total: CoreNanos(millis.unsigned_abs()),
            at,
        });
        let asked = Asked {
            at,
            gap: newest.and_then(|newest| at.since(newest)),
            resolution: RESOLUTION,
            min_window: MIN_WINDOW,
        };
        match &mut series {
            None => series = Some(Series::first(point, None, asked)),
            Some(series) if Some(at) < newest => series.take_older(point, None, asked),
            Some(series) => series.take(point, None, asked),
        }
        newest = newest.max(Some(at));
    }
    let (earlier, newest) = series?.pair().map(|(one, two)| (one.at, two.at))?;
    Some((earlier.as_millis(), newest.as_millis()))
}

#[test]
fn the_order_of_arrival_does_not_matter() {
    let [a, b, c] = [15_000, 30_000, 45_000];
    for order in [
        [a, b, c],
        [a, c, b],
        [b, a, c],
        [b, c, a],
        [c, a, b],
        [c, b, a],
    ] {
        assert_eq!(in_any_order(&order), Some((b, c)), "{order:?}");
    }
}

#[test]
fn two_scrapers_that_ask_at_the_same_moment_make_no_short_window() {
    // Each of two cycles gives two samples, 7 ms apart.
    let [a, b, c, d] = [15_000, 15_007, 30_000, 30_007];
    for order in [
        [a, b, c, d],
        [b, a, d, c],
        [c, d, a, b],
        [d, c, b, a],
        [c, a, d, b],
        [a, d, b, c],
    ] {
        assert_eq!(in_any_order(&order), Some((b, d)), "{order:?}");
    }
    assert_eq!(in_any_order(&[a, b]), None);
    assert_eq!(in_any_order(&[a, b, 28_000]), Some((b, 28_000)));
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
fn a_start_that_the_clock_passes_again_stands_in_for_no_sample() {
    // The clock was set back by an hour before the first page; half a core all the time.
    let page = |at: i64| {
        (
            at,
            Some((1_800_000 + at.unsigned_abs() * 500, at)),
            Some(132),
        )
    };
    let rates = served(&[100, 115, 130, 145, 160].map(page));
    assert_eq!(rates, [None, Some(500), Some(500), None, Some(500)]);
    // Also if the page before comes later.
    let [older, newest] = [130, 145].map(page);
    let series = after_older(&[newest], &[older]);
    assert_eq!((series.pair(), series.sure_start()), (None, None));
    // A run of which the counter fell began then.
    let fell = served(&[page(130), (145, Some((6_500, 145)), Some(132))]);
    assert_eq!(fell, [None, Some(500)]);
}

#[test]
fn after_a_step_no_start_stands_in_for_a_sample() {
    let rates = served(&[
        (100, Some((100_000, 100)), Some(5)),
        (115, Some((115_000, 3_715)), Some(5)),
        // Two scrapers ask almost at once, and the start is that of another setting.
        (116, Some((116_000, 3_716)), Some(3_705)),
        (131, Some((131_000, 3_731)), Some(3_705)),
    ]);
    assert_eq!(rates, [None, None, None, Some(1_000)]);
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

#[test]
fn a_run_that_is_over_makes_no_pair_with_the_one_that_runs() {
    // The one that runs uses half a core; every other page shows the one before.
    let runs = |at: i64| (at, Some((at.unsigned_abs() * 500, at)), Some(50));
    for over in [1, 65_100, 90_000] {
        let is_over = |at: i64| (at, Some((over, at)), Some(5));
        let pages = [runs(100), is_over(115), runs(130), is_over(145), runs(160)];
        let rates = served(&pages);
        assert_eq!(rates, [None, None, Some(500), None, Some(500)], "{over}");
        // Its last sample, or one that is stamped when it is asked for.
        let last = |at: i64| (at, Some((over, 49)), Some(5));
        let pages = [runs(100), last(115), runs(130), last(145), runs(160)];
        let rates = served(&pages);
        assert_eq!(rates, [None, None, Some(500), None, Some(500)], "{over}");
    }
}

#[test]
fn a_run_that_is_over_is_not_taken_while_the_other_one_may_come_again() {
    let runs = |at: i64| (at, Some((at.unsigned_abs() * 500, at)), Some(50));
    for over in [1, 65_100, 900_000] {
        let is_over = |at: i64| (at, Some((over, at)), Some(5));
        let pages = [runs(100), is_over(115), is_over(130), runs(145), runs(160)];
        let rates = [None, None, None, Some(500), Some(500)];
        assert_eq!(served(&pages), rates, "{over}");
        // Late, and by the clock of another scraper that is ahead.
        let series = after_older(
            &[runs(100), runs(130)].map(in_nanos),
            &[in_nanos(is_over(115))],
        );
        assert_eq!(stamps(&series), Some((100, 130)), "{over}");
        let ahead = [runs(100), runs(115), (116, Some((over, 112)), Some(5))];
        assert_eq!(served(&ahead), [None, Some(500), Some(500)], "{over}");
        // It is all that there is.
        let mut pages = vec![runs(100)];
        pages.extend((115..=190).step_by(15).map(is_over));
        let rates = [None, None, None, None, Some(0), Some(0), Some(0)];
        assert_eq!(served(&pages), rates, "{over}");
    }
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

#[test]
fn a_total_under_one_stamp_does_not_fall_below_the_one_before() {
    let rates = served(&[
        (100, Some((50_000, 100)), None),
        (115, Some((57_500, 115)), None),
        (130, Some((3, 115)), None),
    ]);
    assert_eq!(rates, [None, Some(500), Some(500)]);
}

#[test]
fn a_late_page_of_an_earlier_run_steps_nothing() {
    let newest = [(100, Some((100, 100)), Some(50)), (130, None, None)];
    let series = after_older(&newest, &[(115, Some((115, 115)), Some(5))]);
    assert_eq!(
        (series.newest, series.is_stepped),
        (Some(cpu(100, 100)), false)
    );
}

#[test]
fn a_start_that_is_computed_again_costs_one_page() {
    let page = |at: i64, started| (at, Some((at.unsigned_abs() * 500, at)), Some(started));
    let pages = [
        page(100, 50),
        page(115, 50),
        page(130, 20),
        page(145, 20),
        page(160, 20),
    ];
    let rates = [None, Some(500), None, Some(500), Some(500)];
    assert_eq!(served(&pages), rates);
}
