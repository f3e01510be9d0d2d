//! What containers use: loads with a mean of half a core, made of random numbers that are the same in each run.

use std::time::Duration;

use super::MEAN;

/// How a container uses half a core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Load {
    /// All the time.
    Steady,
    /// For requests that take 100 ms of a core each and come at random, five a second.
    Requests,
    /// A core for two seconds and nothing for two seconds, in the mean.
    Bursts,
}

impl Load {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::Requests => "requests",
            Self::Bursts => "bursts",
        }
    }
}

/// Random numbers (splitmix64).
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From zero to `end`, without it.
    pub(super) fn below(&mut self, end: i64) -> i64 {
        i64::try_from(self.next() % end.unsigned_abs()).unwrap()
    }

    /// A span with this mean, in milliseconds, as between events that do not know of each other.
    fn span(&mut self, mean: f64) -> f64 {
        let number = u32::try_from(self.next() >> 32).unwrap();
        let uniform = (f64::from(number) + 0.5) / 4_294_967_296.0;
        -uniform.ln() * mean
    }
}

/// From this moment on it uses so much.
#[derive(Clone, Copy, Debug)]
struct Piece {
    /// In milliseconds.
    at: i64,
    /// Milli-cores times milliseconds until then: core-microseconds.
    total: u64,
    /// In milli-cores.
    rate: u64,
}

/// What a container uses over time.
#[derive(Debug)]
pub(super) struct Curve(Vec<Piece>);

impl Curve {
    /// A curve until `end`, which is in milliseconds.
    pub(super) fn of(load: Load, end: i64, random: &mut Random) -> Self {
        match load {
            Load::Steady => Self(vec![Piece {
                at: 0,
                total: 0,
                rate: MEAN,
            }]),
            Load::Requests => {
                let mut cores = Vec::new();
                let mut at = 0.0;
                while whole(at) < end {
                    at += random.span(200.0);
                    cores.extend([(whole(at), true), (whole(at) + 100, false)]);
                }
                Self::from_cores(cores)
            }
            Load::Bursts => {
                let mut cores = Vec::new();
                let mut at = 0.0;
                while whole(at) < end {
                    at += random.span(2_000.0);
                    cores.push((whole(at), true));
                    at += random.span(2_000.0);
                    cores.push((whole(at), false));
                }
                Self::from_cores(cores)
            }
        }
    }

    /// From the moments at which it uses a core more or less.
    fn from_cores(mut cores: Vec<(i64, bool)>) -> Self {
        // At the same moment more comes before less, so that there are never less than none.
        cores.sort_unstable_by_key(|(at, is_more)| (*at, !is_more));
        let mut pieces = vec![Piece {
            at: 0,
            total: 0,
            rate: 0,
        }];
        for (at, is_more) in cores {
            let last = *pieces.last().unwrap();
            let rate = if is_more {
                last.rate + 1_000
            } else {
                last.rate - 1_000
            };
            let total = last.until(at);
            pieces.push(Piece { at, total, rate });
        }
        Self(pieces)
    }

    /// Core-nanoseconds until a moment.
    pub(super) fn total(&self, at: i64) -> u64 {
        let after = self.0.partition_point(|piece| piece.at <= at);
        // No counter of something that ran is zero.
        1 + self.0[after - 1].until(at) * 1_000
    }
}

impl Piece {
    fn until(&self, at: i64) -> u64 {
        self.total + self.rate * (at - self.at).unsigned_abs()
    }
}

/// Whole milliseconds.
fn whole(millis: f64) -> i64 {
    let span = Duration::from_secs_f64(millis / 1_000.0);
    i64::try_from(span.as_millis()).unwrap()
}

#[test]
fn every_load_uses_half_a_core_in_the_mean() {
    for load in [Load::Steady, Load::Requests, Load::Bursts] {
        let mut random = Random::new(1);
        let hours = (0..20).map(|_| Curve::of(load, 3_600_000, &mut random).total(3_600_000));
        let mean = hours.sum::<u64>() / 20 / 3_600;
        // In nano-cores, within a fiftieth.
        assert!(
            (490_000_000..510_000_000).contains(&mean),
            "{load:?}: {mean}"
        );
    }
}
