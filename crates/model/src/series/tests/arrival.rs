//! Pages that arrive late, twice, or in another order.

use super::*;

#[test]
fn a_page_of_a_scraper_that_is_ahead_takes_no_start_away() {
    let mut series = Series::first(Some(cpu(9, 115)), Some(seconds(114)), asked(115));
    // Its page is of the run before.
    series.take(Some(cpu(5, 112)), Some(seconds(5)), asked(116));
    assert_eq!(series.pair(), None);
    assert_eq!(series.started, Some(seconds(114)));
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
            steady_window: MIN_WINDOW,
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

#[test]
fn a_late_page_of_an_earlier_run_steps_nothing() {
    let newest = [(100, Some((100, 100)), Some(50)), (130, None, None)];
    let series = after_older(&newest, &[(115, Some((115, 115)), Some(5))]);
    assert_eq!(
        (series.newest, series.is_stepped),
        (Some(cpu(100, 100)), false)
    );
}
