//! Histories of one container that two scrapers read, with clocks of their own, as a
//! frontend sees them: pages in any order, twice or never, by its own clock.
//!
//! Whenever a pair is served it is the true mean of its window. It is served whenever
//! there are two samples of one run that are far enough apart, and after a step of the
//! clock or an odd stamp with the second page asked for after it.

use std::time::Duration;

use super::{
    super::*,
    world::{BEGIN, Law, Random, Sample, World},
};
use crate::units::CoreNanos;

const HISTORIES: u64 = 100_000;
const CYCLES: i64 = 12;
const RESOLUTION: i64 = 15_000;
/// The shortest windows.
const LEAST: [i64; 2] = [1_875, 5_000];

/// How long the first message of a stream takes at most: by so much a scraper's clock
/// may seem to be behind.
const LONGEST_HELLO: i64 = 300;
/// How long a kubelet takes at most.
const LONGEST_SCRAPE: i64 = 30;

/// A scraper, and what a frontend knows of its clock.
struct Scraper {
    offset: i64,
    /// By how many millionths it is too fast.
    drift: i64,
    /// When it asks in a cycle.
    phase: i64,
    /// By how much the frontend takes it to be behind.
    behind: i64,
}

impl Scraper {
    fn new(random: &mut Random) -> Self {
        let spread = [20, 2_000, 14_000][usize::try_from(random.below(3)).unwrap()];
        Self {
            offset: random.between(-7_200_000, 7_200_000),
            drift: random.between(-200, 200),
            phase: 400 + random.below(spread),
            behind: 0,
        }
    }

    /// What its clock says.
    fn clock(&self, at: i64) -> i64 {
        at + self.offset + (at - BEGIN) * self.drift / 1_000_000
    }

    /// It opens a stream.
    fn say_hello(&mut self, random: &mut Random, at: i64) {
        let takes = random.between(0, LONGEST_HELLO);
        self.behind = at + takes - self.clock(at);
    }

    /// The moment by the frontend's clock, of a message that comes at `arrives`.
    fn ours(&self, at: i64, arrives: i64) -> i64 {
        (self.clock(at) + self.behind).min(arrives)
    }
}

/// A page as it comes to the frontend.
#[derive(Clone, Copy, Debug)]
struct Page {
    arrives: i64,
    asked_at: i64,
    sample: Option<Sample>,
}

/// Who asks in a cycle.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Owner {
    First,
    Second,
    Both,
    None,
}

/// Two scrapers and their streams to one frontend.
struct Group {
    scrapers: [Scraper; 2],
    owner: Owner,
    stamps: bool,
    pages: Vec<Page>,
}

impl Group {
    /// Ownership changes now and then; whoever begins has a new stream.
    fn hand_over(&mut self, random: &mut Random, now: i64) {
        if !random.one_in(4) {
            return;
        }
        self.owner = match random.below(8) {
            0..2 => Owner::First,
            2..4 => Owner::Second,
            4 => Owner::None,
            _ => Owner::Both,
        };
        for scraper in &mut self.scrapers {
            scraper.say_hello(random, now);
        }
    }

    /// When each asks in the cycle that begins now, in order.
    fn asks(&self, random: &mut Random, now: i64) -> Vec<(i64, usize)> {
        let owners: &[usize] = match self.owner {
            Owner::First => &[0],
            Owner::Second => &[1],
            Owner::Both => &[0, 1],
            Owner::None => &[],
        };
        let ask = |scraper: &usize| {
            let at = now + self.scrapers[*scraper].phase + random.between(-300, 300);
            (at, *scraper)
        };
        let mut asks: Vec<_> = owners.iter().map(ask).collect();
        asks.sort_unstable();
        asks
    }

    /// A page on its way: now or late, twice or not at all.
    fn send(
        &mut self,
        scraper: usize,
        (asked, read): (i64, i64),
        sample: Option<Sample>,
        random: &mut Random,
    ) {
        if random.one_in(20) {
            return;
        }
        let copies = 1 + usize::from(random.one_in(10));
        for _ in 0..copies {
            let takes = match random.below(16) {
                0 => random.below(40_000),
                1 | 2 => random.below(5_000),
                _ => random.below(100),
            };
            let arrives = read + takes;
            let asked_at = self.scrapers[scraper].ours(asked, arrives);
            let stamped = |sample: Sample| Sample {
                stamp: asked_at,
                ..sample
            };
            let sample = if self.stamps {
                sample.map(stamped)
            } else {
                sample
            };
            self.pages.push(Page {
                arrives,
                asked_at,
                sample,
            });
        }
    }
}

/// What came to the frontend.
fn pages(seed: u64) -> (Vec<Page>, i64) {
    let mut world = World::new(seed);
    world.happens = if seed.is_multiple_of(2) { 12 } else { i64::MAX };
    world.may_be_odd = seed.is_multiple_of(4);
    let stamps = world.law == Law::Fresh && world.random.one_in(2);
    if stamps || world.random.one_in(4) {
        world.without_starts();
    }
    let mut random = Random(!seed);
    let mut group = Group {
        scrapers: [0, 1].map(|_| Scraper::new(&mut random)),
        owner: Owner::Both,
        stamps,
        pages: Vec::new(),
    };
    let mut now = BEGIN;
    for scraper in &mut group.scrapers {
        scraper.say_hello(&mut random, now);
    }
    for _ in 0..CYCLES {
        group.hand_over(&mut random, now);
        world.happen();
        for (asked, scraper) in group.asks(&mut random, now) {
            let read = asked + random.between(0, LONGEST_SCRAPE);
            world.go_to(read);
            if world.law == Law::Fresh {
                world.measure();
            }
            let is_there = !random.one_in(25);
            let sample = world.measured.filter(|_| is_there);
            let sample = sample.map(|sample| {
                if stamps {
                    Sample {
                        setting: 0,
                        is_odd: false,
                        ..sample
                    }
                } else {
                    sample
                }
            });
            group.send(scraper, (asked, read), sample, &mut random);
        }
        now += if random.one_in(30) {
            8 * RESOLUTION
        } else {
            RESOLUTION
        };
        world.go_to(now);
    }
    group.pages.sort_by_key(|page| page.arrives);
    let inexact = if stamps {
        LONGEST_HELLO + LONGEST_SCRAPE + 100
    } else {
        0
    };
    (group.pages, inexact)
}

fn millis(at: i64) -> Timestamp {
    Timestamp::from_millis(at)
}

/// What a frontend keeps of the pages, and what it was told.
#[derive(Default)]
struct Frontend {
    least: i64,
    series: Option<Series>,
    asked_at: Option<i64>,
    /// Whether the page that was asked for last has the container.
    is_there: bool,
    /// Each sample that came, and when its first page was asked for.
    known: Vec<(Sample, i64)>,
    /// The sample that was the last one to count, and how many of one run and one
    /// setting of the clock came one after the other, far enough apart.
    last: Option<Sample>,
    in_a_row: u32,
}

impl Frontend {
    fn take(&mut self, page: Page) {
        let is_newest = Some(page.asked_at) >= self.asked_at;
        let gap = self.asked_at.map(|before| page.asked_at - before);
        let gap = gap.and_then(|gap| u64::try_from(gap).ok());
        let asked = Asked {
            at: millis(page.asked_at),
            gap: gap.map(Duration::from_millis),
            resolution: Duration::from_millis(RESOLUTION.unsigned_abs()),
            min_window: Duration::from_millis(self.least.unsigned_abs()),
            steady_window: Duration::from_millis(self.least.unsigned_abs()),
        };
        let point = page.sample.map(|sample| CpuPoint {
            total: CoreNanos(sample.total),
            at: millis(sample.stamp),
        });
        let started = page.sample.and_then(|sample| sample.started).map(millis);
        match &mut self.series {
            None => self.series = Some(Series::first(point, started, asked)),
            Some(series) if is_newest => series.take(point, started, asked),
            Some(series) => series.take_older(point, started, asked),
        }
        self.note(page, is_newest);
    }

    fn note(&mut self, page: Page, is_newest: bool) {
        if let Some(sample) = page.sample {
            match self
                .known
                .iter_mut()
                .rev()
                .find(|(known, _)| *known == sample)
            {
                Some((_, first)) => *first = page.asked_at.min(*first),
                None => self.known.push((sample, page.asked_at)),
            }
        }
        if !is_newest {
            return;
        }
        self.asked_at = Some(page.asked_at);
        self.is_there = page.sample.is_some();
        let Some(sample) = page.sample else { return };
        let before = self.last.replace(sample);
        if sample.is_odd {
            self.in_a_row = 0;
        } else if !before.is_some_and(|before| is_same(&before, &sample)) {
            self.in_a_row = 1;
        } else if before.is_some_and(|before| (sample.stamp - before.stamp).abs() >= self.least) {
            self.in_a_row += 1;
        } else {
            // Too close to count; the next one counts from where the last one did.
            self.last = before;
        }
    }

    fn known(&self, point: &CpuPoint) -> Sample {
        let is = |(sample, _): &&(Sample, i64)| {
            millis(sample.stamp) == point.at && sample.total == point.total.0
        };
        self.known.iter().rev().find(is).unwrap().0
    }

    /// The stamps of the pair that must be served, as far as is certain.
    fn expected(&self, least: i64) -> Option<(i64, i64)> {
        let of = self.last?;
        let of_run = || {
            let known = self.known.iter().map(|(sample, _)| sample);
            known
                .filter(|sample| is_same(sample, &of) && !sample.is_odd)
                .map(|sample| sample.stamp)
        };
        let newest = of_run().max()?;
        let earlier = of_run().filter(|stamp| newest - stamp >= least).max()?;
        Some((earlier, newest))
    }

    fn is_calm(&self) -> bool {
        let (first, _) = self.known[0];
        self.known
            .iter()
            .all(|(sample, _)| is_same(sample, &first) && !sample.is_odd)
    }
}

/// Whether two samples are of one run and one setting of the clock.
fn is_same(one: &Sample, two: &Sample) -> bool {
    one.run == two.run && one.setting == two.setting
}

fn check(seed: u64, frontend: &Frontend, inexact: i64) {
    let series = frontend.series.unwrap();
    let pair = series.pair();
    if let Some((earlier, newest)) = pair {
        let (one, two) = (frontend.known(earlier), frontend.known(newest));
        let context = format!("history {seed}: {one:?} {two:?}");
        assert_eq!(one.run, two.run, "{context}");
        let window = two.stamp - one.stamp;
        let truly = two.truly_at - one.truly_at;
        assert!((window - truly).abs() <= inexact, "{context}");
        assert!(
            two.total >= one.total && window >= frontend.least,
            "{context}"
        );
    }
    if !frontend.is_there {
        assert_eq!(pair, None, "history {seed}");
        return;
    }
    let stamps = pair.map(|(one, two)| (one.at.as_millis(), two.at.as_millis()));
    if frontend.is_calm() && inexact == 0 {
        let expected = frontend.expected(frontend.least);
        assert_eq!(
            stamps, expected,
            "history {seed}: {series:?} {:?}",
            frontend.known
        );
    } else if frontend.is_calm()
        || frontend.in_a_row >= 2 && frontend.last.is_some_and(|last| !last.is_odd)
    {
        // A page without stamps that comes again on another stream has another one: so
        // three may be close after one another.
        let expected = frontend.expected(if inexact == 0 {
            frontend.least
        } else {
            2 * frontend.least
        });
        let newest = |pair: Option<(i64, i64)>| pair.map(|(_, newest)| newest);
        assert!(
            expected.is_none() || newest(stamps) == newest(expected),
            "history {seed}: {stamps:?} {expected:?} {series:?} {:?}",
            frontend.known
        );
    }
}

fn history(seed: u64, least: i64) {
    let mut frontend = Frontend {
        least,
        ..Frontend::default()
    };
    let (pages, inexact) = pages(seed);
    for page in pages {
        frontend.take(page);
        if !frontend.known.is_empty() {
            check(seed, &frontend, inexact);
        }
    }
}

#[test]
fn of_two_scrapers_in_any_order_what_is_served_is_true_and_it_is_served_when_it_can_be() {
    for seed in 0..HISTORIES {
        let is_short = (seed / 2).is_multiple_of(2);
        history(seed, LEAST[usize::from(!is_short)]);
    }
}
