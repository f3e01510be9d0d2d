//! Restarts: a start after the previous sample, or a counter that fell.

use super::*;

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
fn a_total_under_one_stamp_does_not_fall_below_the_one_before() {
    let rates = served(&[
        (100, Some((50_000, 100)), None),
        (115, Some((57_500, 115)), None),
        (130, Some((3, 115)), None),
    ]);
    assert_eq!(rates, [None, Some(500), Some(500)]);
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
