use tributary_model::{MIN_WINDOW, MemoryPoint};

use super::{super::between::Betweens, *};

const RESOLUTION: Duration = Duration::from_secs(15);
/// When the first page was asked for, in milliseconds.
const BEGIN: i64 = 1_790_000_000_000;

fn cpu(total: u64, at: i64) -> CpuPoint {
    CpuPoint {
        total: CoreNanos(total),
        at: Timestamp::from_millis(at),
    }
}

fn point(cpu: Option<CpuPoint>, started: Option<i64>, bytes: u64) -> ContainerPoint {
    ContainerPoint {
        cpu,
        memory: Some(MemoryPoint {
            working_set: Bytes(bytes),
            at: Timestamp::from_millis(1),
        }),
        started: started.map(Timestamp::from_millis),
        swap: (bytes.is_multiple_of(2)).then_some(Bytes(bytes)),
    }
}

fn asked(at: i64, gap: Option<u64>) -> Asked {
    Asked {
        at: Timestamp::from_millis(at),
        gap: gap.map(Duration::from_millis),
        resolution: RESOLUTION,
        min_window: MIN_WINDOW,
        steady_window: MIN_WINDOW,
    }
}

fn place(between: &mut Betweens<()>) -> Place<'_, ()> {
    Place::new(between, ())
}

#[test]
fn a_row_is_one_cache_line_and_has_the_whole_series() {
    assert_eq!(size_of::<Row>(), 64);
    for flags in 0..8 {
        let [is_stepped, is_missing, is_start_unsure] = [1, 2, 4].map(|flag| flags & flag != 0);
        let series = Series {
            newest: Some(cpu(u64::MAX - 1, -1)),
            earlier: Some(cpu(0, 0)),
            between: Between::default(),
            started: Some(Timestamp::from_millis(0)),
            sight: Some(Sight {
                at: Timestamp::from_millis(BEGIN),
                gap: Duration::from_mins(10),
            }),
            is_start_unsure,
            is_stepped,
            is_missing,
        };
        assert_eq!(Row::new(&series, &point(None, None, 7)).series(), series);
    }
    let nothing = Row::first(&ContainerPoint::default(), &Page::new(asked(BEGIN, None)));
    let expected = Series {
        is_missing: true,
        ..Series::default()
    };
    assert_eq!(nothing.series(), expected);
    let Beside { memory, swap } = nothing.beside;
    assert_eq!((bytes(memory), bytes(swap)), (None, None));
}

#[test]
fn points_between_those_of_the_pair_are_beside_the_row_while_there_are_any() {
    let with = |at: i64| point(Some(cpu(at.unsigned_abs(), BEGIN + at)), Some(5), 1);
    let page = |at: i64, gap| Page::new(asked(BEGIN + at, gap));
    let mut between = Betweens::new();
    let mut row = Row::first(&with(1_000), &page(1_000, None));
    for (at, earlier, there) in [
        (4_000, None, vec![1_000]),
        (6_000, Some(1_000), vec![4_000]),
        (8_000, Some(1_000), vec![4_000, 6_000]),
        (9_000, Some(4_000), vec![6_000, 8_000]),
        (30_000, Some(9_000), vec![]),
        (45_000, Some(30_000), vec![]),
    ] {
        row.take(&with(at), &page(at, Some(1_000)), place(&mut between));
        let stored = between.values().flatten();
        let stored: Vec<_> = stored.map(|point| point.at.as_millis() - BEGIN).collect();
        assert_eq!(stored, there, "{at}");
        assert_eq!(row.seen.0 & HAS_BETWEEN != 0, !there.is_empty(), "{at}");
        let pair = row
            .series()
            .pair()
            .map(|(one, _)| one.at.as_millis() - BEGIN);
        assert_eq!(pair, earlier, "{at}");
    }
    // One that comes late is one of them.
    row.take(
        &with(47_000),
        &page(47_000, Some(2_000)),
        place(&mut between),
    );
    row.take_older(&with(46_000), &page(46_000, None), place(&mut between));
    assert_eq!(between.values().flatten().count(), 2);
    row.take(
        &with(51_500),
        &page(51_500, Some(4_500)),
        place(&mut between),
    );
    let earlier = row
        .series()
        .earlier
        .map(|point| point.at.as_millis() - BEGIN);
    assert_eq!(earlier, Some(46_000));
}

#[test]
fn memory_and_swap_are_whole_up_to_256_tib() {
    for (value, kept) in [
        (0, 0),
        (7, 7),
        ((1 << 48) - 2, (1 << 48) - 2),
        (u64::MAX - 1, (1 << 48) - 2),
    ] {
        let mut point = point(Some(cpu(1, BEGIN)), None, value);
        for after in [0, 1, -1, 60_000, i64::from(i32::MIN), i64::MAX] {
            let at = BEGIN.saturating_add(after);
            point.memory = Some(MemoryPoint {
                working_set: Bytes(value),
                at: Timestamp::from_millis(at),
            });
            point.swap = Some(Bytes(value));
            let beside = Beside::new(&point);
            let [memory, swap] = [beside.memory, beside.swap].map(bytes);
            assert_eq!((memory, swap), (Some(Bytes(kept)), Some(Bytes(kept))));
            let (_, shown) = beside.age();
            let most = i32::try_from(after).unwrap_or(i32::MAX);
            assert_eq!(shown, most, "{value} {after}");
        }
    }
}

#[test]
fn of_two_that_come_with_one_cpu_sample_the_newer_memory_stays_in_any_order() {
    let with = |bytes, after| {
        let mut point = point(Some(cpu(1_000, BEGIN)), Some(5), bytes);
        point.memory = Some(MemoryPoint {
            working_set: Bytes(bytes),
            at: Timestamp::from_millis(BEGIN + after),
        });
        point
    };
    let none = ContainerPoint {
        memory: None,
        ..with(1, 0)
    };
    for (one, two, stays) in [
        (with(9, 10), with(3, 20), 3),
        (with(3, -20), with(9, -30), 3),
        (with(3, 0), none, 3),
    ] {
        for (first, second) in [(one, two), (two, one)] {
            let mut later = Row::first(&first, &Page::new(asked(BEGIN, None)));
            let mut older = later;
            later.take(
                &second,
                &Page::new(asked(BEGIN + 7, Some(7))),
                place(&mut Betweens::new()),
            );
            older.take_older(
                &second,
                &Page::new(asked(BEGIN - 7, None)),
                place(&mut Betweens::new()),
            );
            for row in [later, older] {
                assert_eq!(
                    bytes(row.beside.memory),
                    Some(Bytes(stays)),
                    "{first:?} {second:?}"
                );
            }
        }
    }
}

#[test]
fn of_two_that_were_measured_at_one_time_that_of_the_later_page_counts() {
    let with = |bytes| point(Some(cpu(1_000, BEGIN)), Some(5), bytes);
    for (one, two) in [(3, 9), (9, 3)] {
        let first = Row::first(&with(one), &Page::new(asked(BEGIN, None)));
        let (mut later, mut older) = (first, first);
        later.take(
            &with(two),
            &Page::new(asked(BEGIN + 7, Some(7))),
            place(&mut Betweens::new()),
        );
        older.take_older(
            &with(two),
            &Page::new(asked(BEGIN - 7, None)),
            place(&mut Betweens::new()),
        );
        assert_eq!(bytes(later.beside.memory), Some(Bytes(two)));
        assert_eq!(bytes(older.beside.memory), Some(Bytes(one)));
    }
}

#[test]
fn a_sample_that_is_not_the_newest_brings_no_memory() {
    let with = |at, bytes| point(Some(cpu(1_000, at)), Some(5), bytes);
    let first = Row::first(&with(BEGIN, 9), &Page::new(asked(BEGIN, None)));
    // Two scrapers ask at the same moment, and by our clock the later one has the older
    // sample.
    let (mut later, mut older) = (first, first);
    later.take(
        &with(BEGIN - 5, 3),
        &Page::new(asked(BEGIN + 1, Some(1))),
        place(&mut Betweens::new()),
    );
    older.take_older(
        &with(BEGIN - 5, 3),
        &Page::new(asked(BEGIN - 1, None)),
        place(&mut Betweens::new()),
    );
    for row in [later, older] {
        assert_eq!(row.series().newest, Some(cpu(1_000, BEGIN)));
        assert_eq!(bytes(row.beside.memory), Some(Bytes(9)));
    }
}

#[test]
fn no_time_that_a_publisher_can_send_is_too_much() {
    let extremes = [i64::MIN + 1, -1, 0, BEGIN, i64::MAX];
    for first_at in extremes {
        for next_at in extremes {
            for asked_at in extremes {
                let first = point(Some(cpu(1, first_at)), Some(first_at), 1);
                let mut row = Row::first(&first, &Page::new(asked(asked_at, None)));
                let next = point(Some(cpu(2, next_at)), Some(next_at), 1);
                row.take(
                    &next,
                    &Page::new(asked(i64::MAX, Some(u64::MAX))),
                    place(&mut Betweens::new()),
                );
                row.take_older(
                    &next,
                    &Page::new(asked(asked_at, None)),
                    place(&mut Betweens::new()),
                );
                row.take(
                    &first,
                    &Page::new(asked(asked_at, Some(0))),
                    place(&mut Betweens::new()),
                );
                let rules = Rules {
                    resolution: RESOLUTION,
                    most: tributary_model::MOST_CORES,
                };
                row.usage(rules).ok();
            }
        }
    }
}

#[test]
fn a_gap_is_stored_in_tenths_of_a_second_and_never_shorter() {
    for (gap, shown) in [(0, 0), (1, 100), (14_950, 15_000), (u64::MAX, 6_553_500)] {
        let seen = Seen::pack(Timestamp::from_millis(BEGIN), Duration::from_millis(gap));
        assert_eq!(seen.gap_millis(), shown, "{gap}");
        assert_eq!(seen.at(), Timestamp::from_millis(BEGIN), "{gap}");
    }
}

/// Numbers that are as good as random.
fn mixed(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    *seed >> 33
}

#[test]
fn the_frequent_case_is_what_the_series_makes_of_it() {
    let mut seed = 1;
    let mut one_of = |values: &[i64]| {
        let at = usize::try_from(mixed(&mut seed)).unwrap() % values.len();
        values[at]
    };
    let mut frequent = 0;
    for _ in 0..400_000 {
        let gap = one_of(&[-1, 0, 100, 15_000, 60_000]);
        let stored_at = BEGIN + one_of(&[-90_000, -15_000, 0, 15_000]);
        let began = one_of(&[5, BEGIN - 100_000]);
        let started = one_of(&[
            -1,
            0,
            began,
            began,
            began,
            began,
            BEGIN - 110_001,
            BEGIN - 110_000,
            BEGIN - 1,
            BEGIN,
            BEGIN + 1,
            BEGIN + 14_000,
        ]);
        let first = point(Some(cpu(1_000, stored_at)), Some(began), 3);
        let mut row = Row::first(&first, &Page::new(asked(BEGIN, None)));
        row.take(
            &first,
            &Page::new(asked(BEGIN + 1, Some(1))),
            place(&mut Betweens::new()),
        );
        let known = Seen::pack(Timestamp::from_millis(BEGIN), Duration::from_secs(15)).0;
        row.seen = match one_of(&[0, 1, 1, 1, 2, 3]) {
            0 => row.seen,
            1 => Seen(known),
            2 => Seen(known | HAS_BETWEEN),
            _ => Seen(known | IS_START_UNSURE),
        };
        let next_at =
            stored_at + one_of(&[-15_000, -1, 0, 1, 4_999, 5_000, 15_000, 40_000, 700_000]);
        let total = one_of(&[0, 999, 1_000, 1_001, 9_000]).unsigned_abs();
        let next = (one_of(&[0, 1, 1, 1]) == 1).then(|| cpu(total, next_at));
        let next = point(next, (started >= 0).then_some(started), total);
        let page = Page::new(asked(
            BEGIN + one_of(&[1, 2, 15_000, 60_000, 900_000]),
            u64::try_from(gap).ok(),
        ));
        let mut series = row.series();
        series.take(next.cpu, next.started, page.asked);
        let slow = Row::new(&series, &next);
        if let Some(fast) = row.next(&next, &page) {
            frequent += 1;
            assert_eq!(fast, slow, "{row:?} {next:?} {page:?}");
        }
    }
    assert!(frequent > 5_000, "{frequent}");
}
