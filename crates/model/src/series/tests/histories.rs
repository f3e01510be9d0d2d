//! Histories of one container, made at random, against what it truly used.
//!
//! Whenever a pair is served it is the true mean of its window: both samples are of
//! one run, and as much time passed as their stamps say. And it is served whenever
//! the two newest samples that were shown are of one run and of one setting of the
//! clock, or only one odd stamp was between them.

use std::time::Duration;

use super::{
    super::*,
    world::{Law, Sample, World},
};
use crate::units::CoreNanos;

const HISTORIES: u64 = 100_000;
const PAGES: usize = 40;

#[derive(Clone, Copy, Debug)]
struct Page {
    asked_at: i64,
    sample: Option<Sample>,
}

/// What somebody keeps who is given the pages.
#[derive(Default)]
struct Keeper {
    series: Option<Series>,
    asked_at: Option<i64>,
}

impl Keeper {
    fn take(&mut self, page: Page) {
        let gap = self.asked_at.map(|before| page.asked_at - before);
        let asked = Asked {
            at: Timestamp::from_millis(page.asked_at),
            gap: gap
                .and_then(|gap| u64::try_from(gap).ok())
                .map(Duration::from_millis),
            resolution: Duration::from_secs(15),
        };
        let point = page.sample.map(|sample| CpuPoint {
            total: CoreNanos(sample.total),
            at: Timestamp::from_millis(sample.stamp),
        });
        let started = page.sample.and_then(|sample| sample.started);
        let started = started.map(Timestamp::from_millis);
        match &mut self.series {
            None => self.series = Some(Series::first(point, started, asked)),
            Some(series) if Some(page.asked_at) < self.asked_at => {
                series.take_older(point, started, asked);
            }
            Some(series) => series.take(point, started, asked),
        }
        self.asked_at = self.asked_at.max(Some(page.asked_at));
    }
}

fn history(seed: u64) {
    let mut world = World::new(seed);
    let mut keeper = Keeper::default();
    let mut shown: Vec<Sample> = Vec::new();
    for _ in 0..PAGES {
        let cycle = if world.random.one_in(30) {
            120_000
        } else {
            15_000
        };
        let next = world.now + cycle + world.random.between(-300, 300);
        world.happen();
        world.go_to(next);
        if matches!(world.law, Law::Fresh) {
            world.measure();
        }
        // The page lacks the container now and then, and some scrapes fail.
        let is_there = !world.random.one_in(25);
        let sample = world.measured.filter(|_| is_there);
        if world.random.one_in(20) {
            continue;
        }
        // Two scrapers' clocks, as a frontend knows them, differ a little.
        let asked_at = world.now + world.random.between(-50, 50);
        let page = Page { asked_at, sample };
        if let Some(sample) = sample
            && shown.last() != Some(&sample)
        {
            shown.push(sample);
        }
        keeper.take(page);
        if world.random.one_in(10) {
            // It comes twice.
            keeper.take(page);
        }
        check(seed, &keeper, &shown, sample);
    }
}

fn check(seed: u64, keeper: &Keeper, shown: &[Sample], sample: Option<Sample>) {
    let series = keeper.series.unwrap();
    let find = |point: &CpuPoint| {
        let is = |sample: &&Sample| {
            sample.stamp == point.at.as_millis() && sample.total == point.total.0
        };
        *shown.iter().rev().find(is).unwrap()
    };
    if let Some((earlier, newest)) = series.pair() {
        let (one, two) = (find(earlier), find(newest));
        let context = format!("history {seed}: {one:?} {two:?}");
        assert_eq!(one.run, two.run, "{context}");
        let window = two.stamp - one.stamp;
        assert_eq!(window, two.truly_at - one.truly_at, "{context}");
        assert!(two.total >= one.total && window > 0, "{context}");
    }
    let Some(sample) = sample else { return };
    let [.., before, last] = shown else { return };
    assert_eq!(*last, sample);
    let pairs = |one: &Sample| {
        one.run == last.run && one.setting == last.setting && !one.is_odd && !last.is_odd
    };
    let skipped_odd = match shown {
        [.., zero, one, odd, _] if odd.is_odd => pairs(zero) && pairs(one) && odd.run == last.run,
        _ => false,
    };
    if pairs(before) || skipped_odd {
        let pair = series.pair().map(|(_, newest)| newest.at.as_millis());
        let context = format!("history {seed}: {before:?} {last:?} {series:?}");
        assert_eq!(pair, Some(last.stamp), "{context}");
    }
}

#[test]
fn what_is_served_is_the_true_mean_and_it_is_served_when_it_can_be() {
    for seed in 0..HISTORIES {
        history(seed);
    }
}
