//! Histories of one container, made at random, against what it truly used.
//!
//! Whenever a usage is served it is the true mean of its window: both samples are of
//! one run, and as much time passed as their stamps say; or the window begins with the
//! run. And it is served whenever the two newest samples that were shown are of one run
//! and of one setting of the clock, or only one odd stamp was between them.

use std::time::Duration;

use super::{
    super::*,
    world::{Law, Sample, World},
};
use crate::{
    units::{Bytes, CoreNanos},
    usage::{MOST_CORES, Rules, Usage},
};

const HISTORIES: u64 = 100_000;
const PAGES: usize = 40;
const RULES: Rules = Rules {
    resolution: Duration::from_secs(15),
    most: MOST_CORES,
};

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
            resolution: RULES.resolution,
            min_window: MIN_WINDOW,
            steady_window: MIN_WINDOW,
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

/// `is_regular`: each page is asked for in time and has the container, so that a step of
/// a minute cannot be taken for a kubelet that measures slowly.
fn history(seed: u64, is_regular: bool) {
    let mut world = World::new(seed);
    let mut keeper = Keeper::default();
    let mut shown: Vec<Sample> = Vec::new();
    if is_regular {
        world.steps_little = true;
        world.restarts = 0;
        world.began_lately();
        // One of both, once: two may cancel each other.
        if seed.is_multiple_of(2) {
            world.may_be_odd = false;
        } else {
            world.happens = i64::MAX;
        }
        world.measure();
    }
    for _ in 0..PAGES {
        let cycle = if !is_regular && world.random.one_in(30) {
            120_000
        } else {
            15_000
        };
        let next = world.now + cycle + world.random.between(-300, 300);
        // How old the first samples are is not known.
        world.is_settled = !is_regular || shown.len() > 2;
        world.happen();
        world.go_to(next);
        if matches!(world.law, Law::Fresh) {
            world.measure();
        }
        // The page lacks the container now and then, and some scrapes fail.
        let is_there = is_regular || !world.random.one_in(25);
        let sample = world.measured.filter(|_| is_there);
        if !is_regular && world.random.one_in(20) {
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
    } else if let Ok(usage) = Usage::of(&series, Some(Bytes(1)), None, RULES) {
        let newest = find(&series.newest.unwrap());
        let ran = newest.truly_at - newest.truly_started;
        let context = format!("history {seed}: {newest:?} {usage:?}");
        assert_eq!(
            usage.window.as_millis(),
            ran.unsigned_abs().into(),
            "{context}"
        );
        let spent = newest.total * 1_000 / ran.unsigned_abs();
        assert_eq!(usage.cpu.0, spent, "{context}");
    }
    let Some(sample) = sample else { return };
    let [.., before, last] = shown else { return };
    assert_eq!(*last, sample);
    let pairs = |one: &Sample| {
        // A clock that was set back passes the start again: that looks like a restart.
        let began_between = last.started.is_some_and(|started| started >= one.stamp);
        one.run == last.run
            && one.setting == last.setting
            && !one.is_odd
            && !last.is_odd
            && !began_between
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
        history(seed, false);
    }
}

#[test]
fn a_step_of_a_minute_is_found_where_pages_are_regular() {
    for seed in 0..HISTORIES / 4 {
        history(seed, true);
    }
}
