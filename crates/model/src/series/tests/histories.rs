//! Histories of one container, made at random, against what it truly used.
//!
//! Whenever a pair is served it is the true mean of its window: both samples are of
//! one run, and as much time passed as their stamps say. And it is served whenever
//! the two newest samples that were shown are of one run and of one setting of the
//! clock, or only one odd stamp was between them.

use std::time::Duration;

use super::super::*;
use crate::units::CoreNanos;

const HISTORIES: u64 = 100_000;
const PAGES: usize = 40;
const HOUR: i64 = 3_600_000;

/// Numbers that are as good as random: `splitmix64`.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to below `end`.
    fn below(&mut self, end: i64) -> i64 {
        i64::try_from(self.next() % end.unsigned_abs()).unwrap()
    }

    fn between(&mut self, least: i64, most: i64) -> i64 {
        least + self.below(most - least + 1)
    }

    fn one_in(&mut self, number: i64) -> bool {
        self.below(number) == 0
    }
}

/// What the kubelet measured, and when that truly was.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Sample {
    truly_at: i64,
    total: u64,
    stamp: i64,
    run: u32,
    started: i64,
    /// How often the clock had been set.
    setting: u32,
    is_odd: bool,
}

/// How a kubelet measures: at every request, or each so many milliseconds and up to
/// twice that.
#[derive(Clone, Copy, Debug)]
enum Law {
    Fresh,
    Every(i64),
}

/// A container and the clock of its node.
struct World {
    random: Random,
    law: Law,
    now: i64,
    offset: i64,
    setting: u32,
    run: u32,
    started: i64,
    total: u64,
    measured: Option<Sample>,
    measures_at: i64,
    /// Nanoseconds of CPU in a millisecond.
    rate: u64,
    /// One stamp of a history is odd at most: two may happen to fit each other.
    was_odd: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let law = match random.below(5) {
            0 | 1 => Law::Fresh,
            2 => Law::Every(10_000),
            3 => Law::Every(60_000),
            _ => Law::Every(300_000),
        };
        let now = 1_790_000_000_000;
        Self {
            law,
            now,
            offset: random.between(-90_000, 90_000),
            setting: 0,
            run: 0,
            started: now - 3_600_000,
            total: 1 + random.next() % 1_000_000_000_000,
            measured: None,
            measures_at: now,
            rate: random.next() % 4_000_000,
            was_odd: false,
            random,
        }
    }

    /// Lets time pass until `at`.
    fn go_to(&mut self, at: i64) {
        while self.now < at {
            let next = if matches!(self.law, Law::Every(_)) {
                self.measures_at.clamp(self.now + 1, at)
            } else {
                at
            };
            self.total += self.rate * (next - self.now).unsigned_abs();
            self.now = next;
            if let Law::Every(interval) = self.law
                && self.now >= self.measures_at
            {
                self.measure();
                self.measures_at = self.now + interval + self.random.below(interval);
            }
        }
    }

    fn measure(&mut self) {
        let is_odd = !self.was_odd && self.measured.is_some() && self.random.one_in(20);
        self.was_odd |= is_odd;
        let odd = if is_odd { self.odd() } else { 0 };
        self.measured = Some(Sample {
            truly_at: self.now,
            total: self.total,
            stamp: self.now + self.offset + odd,
            run: self.run,
            started: self.started + self.offset,
            setting: self.setting,
            is_odd,
        });
    }

    /// By how much the clock is set: more than could be mistaken for a kubelet that
    /// measures slowly, and no sum of such steps is none.
    fn step(&mut self) -> i64 {
        let step = (3 * HOUR) << self.setting.min(10);
        if self.random.one_in(2) { step } else { -step }
    }

    /// How odd a stamp is.
    fn odd(&mut self) -> i64 {
        let odd = self.random.between(HOUR, 2 * HOUR);
        if self.random.one_in(2) { odd } else { -odd }
    }

    /// Something happens, or nothing.
    fn happen(&mut self) {
        match self.random.below(40) {
            0 => {
                self.run += 1;
                self.started = self.now;
                self.total = self.random.next() % 1_000_000;
                self.rate = self.random.next() % 4_000_000;
                // A kubelet measures a container that is new to it.
                self.measured = None;
                self.measures_at = self.now + self.random.below(2_000);
            }
            1 => {
                self.offset += self.step();
                self.setting += 1;
            }
            2 => self.rate = self.random.next() % 4_000_000,
            _ => {}
        }
    }
}

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
        let started = page.sample;
        let started = started.map(|sample| Timestamp::from_millis(sample.started));
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
