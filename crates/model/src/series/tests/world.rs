//! A container, the clock of its node and the kubelet that measures it, made at random.

/// Numbers that are as good as random: `splitmix64`.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to below `end`.
    pub(super) fn below(&mut self, end: i64) -> i64 {
        i64::try_from(self.next() % end.unsigned_abs()).unwrap()
    }

    pub(super) fn between(&mut self, least: i64, most: i64) -> i64 {
        least + self.below(most - least + 1)
    }

    pub(super) fn one_in(&mut self, number: i64) -> bool {
        self.below(number) == 0
    }
}

/// What the kubelet measured, and when that truly was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    pub(super) truly_at: i64,
    pub(super) total: u64,
    pub(super) stamp: i64,
    pub(super) run: u32,
    pub(super) started: Option<i64>,
    pub(super) truly_started: i64,
    /// How often the clock had been set.
    pub(super) setting: u32,
    pub(super) is_odd: bool,
}

/// How a kubelet measures: at every request, or once in this many milliseconds and up to
/// twice that.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Law {
    Fresh,
    Every(i64),
}

/// How starts are told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Starts {
    /// Not at all.
    Never,
    /// By the clock as it was then.
    AsItWas,
    /// By the clock as it is now.
    AsItIs,
}

/// A container and the clock of its node.
pub(super) struct World {
    pub(super) random: Random,
    pub(super) law: Law,
    pub(super) starts: Starts,
    pub(super) now: i64,
    pub(super) measured: Option<Sample>,
    /// How often a cycle brings a restart, a step of the clock, another rate: one in so
    /// many each.
    pub(super) happens: i64,
    /// One stamp of a history is odd at most: two may happen to fit each other.
    pub(super) may_be_odd: bool,
    /// How often it may start again. Without a start on the page it is told by a counter
    /// that fell, and one that has run for long has not been passed when the next one
    /// starts.
    pub(super) restarts: u32,
    /// Whether the clock is set by a minute to five, and a stamp odd by so much, and not by
    /// hours.
    pub(super) steps_little: bool,
    /// Whether stamps may be odd, and the clock set.
    pub(super) is_settled: bool,
    offset: i64,
    setting: u32,
    run: u32,
    started: i64,
    truly_started: i64,
    total: u64,
    measures_at: i64,
    /// Nanoseconds of CPU in a millisecond.
    rate: u64,
}

pub(super) const BEGIN: i64 = 1_790_000_000_000;
const HOUR: i64 = 3_600_000;

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let law = match random.below(5) {
            0 | 1 => Law::Fresh,
            2 => Law::Every(10_000),
            3 => Law::Every(60_000),
            _ => Law::Every(300_000),
        };
        let offset = random.between(-90_000, 90_000);
        Self {
            law,
            starts: if random.one_in(3) {
                Starts::AsItIs
            } else {
                Starts::AsItWas
            },
            now: BEGIN,
            measured: None,
            happens: 40,
            may_be_odd: true,
            restarts: u32::MAX,
            steps_little: false,
            is_settled: true,
            offset,
            setting: 0,
            run: 0,
            started: BEGIN + offset - HOUR,
            truly_started: BEGIN - HOUR,
            total: 1 + random.next() % 1_000_000_000_000,
            measures_at: BEGIN,
            rate: random.next() % 4_000_000,
            random,
        }
    }

    /// Pages of it have no start: it starts again once at most, when its total is one
    /// that the second run does not reach.
    pub(super) fn without_starts(&mut self) {
        self.starts = Starts::Never;
        self.restarts = 1;
        self.total += 1 << 60;
    }

    /// Its run began minutes ago at most: a clock that is set back may be before it.
    pub(super) fn began_lately(&mut self) {
        let ran = self.random.below(400_000);
        (self.started, self.truly_started) = (BEGIN + self.offset - ran, BEGIN - ran);
    }

    /// Lets time pass until `at`.
    pub(super) fn go_to(&mut self, at: i64) {
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

    pub(super) fn measure(&mut self) {
        // While the clock is behind the start, an odd stamp after it looks like a restart.
        let is_plain = self.starts != Starts::AsItWas || self.setting == 0;
        let is_odd = self.may_be_odd
            && self.is_settled
            && is_plain
            && self.measured.is_some()
            && self.random.one_in(20);
        self.may_be_odd &= !is_odd;
        let odd = if is_odd { self.odd() } else { 0 };
        self.measured = Some(Sample {
            truly_at: self.now,
            total: self.total,
            stamp: self.now + self.offset + odd,
            run: self.run,
            started: (self.starts != Starts::Never).then_some(self.started),
            truly_started: self.truly_started,
            setting: self.setting,
            is_odd,
        });
    }

    /// By how much the clock is set: more than could be mistaken for a kubelet that
    /// measures slowly, and no sum of such steps is none.
    fn step(&mut self) -> i64 {
        if self.steps_little {
            return self.odd();
        }
        let step = (3 * HOUR) << self.setting.min(10);
        if self.random.one_in(2) { step } else { -step }
    }

    /// How odd a stamp is.
    fn odd(&mut self) -> i64 {
        let odd = if self.steps_little {
            self.random.between(60_000, 300_000)
        } else {
            self.random.between(HOUR, 2 * HOUR)
        };
        if self.random.one_in(2) { odd } else { -odd }
    }

    /// Something happens, or nothing.
    pub(super) fn happen(&mut self) {
        match self.random.below(self.happens) {
            0 if self.run < self.restarts => {
                self.run += 1;
                self.started = self.now + self.offset;
                self.truly_started = self.now;
                self.total = 1 + self.random.next() % 1_000_000;
                self.rate = self.random.next() % 4_000_000;
                // A kubelet measures a container that is new to it.
                self.measured = None;
                self.measures_at = self.now + self.random.below(2_000);
            }
            1 if self.is_settled && !(self.steps_little && self.setting > 0) => {
                let step = self.step();
                self.offset += step;
                self.setting += 1;
                if self.starts == Starts::AsItIs {
                    self.started += step;
                }
            }
            2 => self.rate = self.random.next() % 4_000_000,
            _ => {}
        }
    }
}
