//! Histories of one container whose node is asked every second, with pages that come late,
//! twice or never: the pair is the newest sample and the newest one that is far enough from
//! it.

use std::time::Duration;

use super::{
    super::*,
    world::{Law, Sample, World},
};
use crate::units::CoreNanos;

const HISTORIES: u64 = 20_000;
const PAGES: usize = 60;
const RESOLUTION: Duration = Duration::from_secs(15);

#[derive(Clone, Copy, Debug)]
struct Page {
    arrives: i64,
    asked_at: i64,
    sample: Option<Sample>,
}

/// The pages of a node whose clock is not set.
fn pages(seed: u64) -> Vec<Page> {
    let mut world = World::new(seed);
    world.is_settled = false;
    if world.law != Law::Fresh && seed.is_multiple_of(2) {
        world.law = Law::Every(1_000);
    }
    let mut pages = Vec::new();
    for _ in 0..PAGES {
        let next = world.now + world.random.between(800, 1_000);
        world.happen();
        world.go_to(next);
        if world.law == Law::Fresh {
            world.measure();
        }
        let asked_at = world.now;
        let sample = world.measured.filter(|_| !world.random.one_in(25));
        let copies = world.random.below(20);
        for _ in 0..copies.clamp(0, 2).min(1 + copies / 19) {
            let late = if world.random.one_in(8) { 12_000 } else { 100 };
            pages.push(Page {
                arrives: asked_at + world.random.below(late),
                asked_at,
                sample,
            });
        }
    }
    pages.sort_by_key(|page| page.arrives);
    pages
}

/// The stamps of the two that make the pair of the run of `newest`.
fn expected(known: &[Sample], newest: &Sample) -> Option<(i64, i64)> {
    let least = i64::try_from(MIN_WINDOW.as_millis()).unwrap();
    let of_run = known.iter().filter(|sample| sample.run == newest.run);
    let stamps = of_run.map(|sample| sample.stamp);
    let earlier = stamps.filter(|stamp| newest.stamp - stamp >= least).max()?;
    Some((earlier, newest.stamp))
}

fn history(seed: u64) -> usize {
    let mut series: Option<Series> = None;
    let (mut asked_at, mut is_there) = (None, false);
    let mut known: Vec<Sample> = Vec::new();
    let mut served = 0;
    for page in pages(seed) {
        let gap = asked_at.map(|before| page.asked_at - before);
        let gap = gap.and_then(|gap| u64::try_from(gap).ok());
        let asked = Asked {
            at: Timestamp::from_millis(page.asked_at),
            gap: gap.map(Duration::from_millis),
            resolution: RESOLUTION,
            min_window: MIN_WINDOW,
            steady_window: MIN_WINDOW,
        };
        let point = page.sample.map(|sample| CpuPoint {
            total: CoreNanos(sample.total),
            at: Timestamp::from_millis(sample.stamp),
        });
        let started = page.sample.and_then(|sample| sample.started);
        let started = started.map(Timestamp::from_millis);
        let is_newest = Some(page.asked_at) >= asked_at;
        match &mut series {
            None => series = Some(Series::first(point, started, asked)),
            Some(series) if is_newest => series.take(point, started, asked),
            Some(series) => series.take_older(point, started, asked),
        }
        if is_newest {
            (asked_at, is_there) = (Some(page.asked_at), page.sample.is_some());
        }
        known.extend(page.sample);
        let series = series.unwrap();
        let totals: Vec<u64> = series.between.iter().map(|point| point.total.0).collect();
        assert!(totals.is_sorted(), "history {seed}: {series:?}");
        let Some(newest) = known.iter().max_by_key(|sample| sample.truly_at) else {
            continue;
        };
        let pair = series
            .pair()
            .map(|(one, two)| (one.at.as_millis(), two.at.as_millis()));
        let expected = expected(&known, newest).filter(|_| is_there);
        assert_eq!(pair, expected, "history {seed}: {series:?} {known:?}");
        served += usize::from(pair.is_some());
    }
    served
}

#[test]
fn the_window_is_the_shortest_that_is_long_enough_in_any_order() {
    let served: usize = (0..HISTORIES).map(history).sum();
    assert!(served > 200_000, "{served}");
}
