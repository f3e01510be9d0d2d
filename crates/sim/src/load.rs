//! The load of containers as closed formulas of time, so that a test can compute the expected numbers.

use std::time::Duration;

use crate::encode::hash;

const NANOS_PER_SECOND: u128 = 1_000_000_000;
const MIB: u64 = 1 << 20;

/// A quantity over the time since a container's start, in whole units: millicores for CPU, bytes for memory and swap.
///
/// The value at a time and the integral until it are exact integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// A constant.
    Steady(u64),
    /// One value until `at` after the start, another from then on.
    StepAt {
        /// When it changes, counted from the start.
        at: Duration,
        /// The value before.
        before: u64,
        /// The value from `at` on.
        after: u64,
    },
    /// Rises linearly from `low` to `high` in half a period and falls in the other half.
    ///
    /// It is a triangle and not a sine, because its integral is an exact integer. `low <= high`.
    Wave {
        /// The value at the start and at every whole period.
        low: u64,
        /// The value in the middle of a period.
        high: u64,
        /// The length of one rise and fall.
        period: Duration,
    },
    /// Constant since `at`, after another load. [`Load::then`] makes it.
    After {
        /// When it became steady, counted from the start.
        at: Duration,
        /// The integral up to `at`, in units times nanoseconds.
        total: u128,
        /// The value from `at` on.
        value: u64,
    },
}

impl Load {
    /// This load until `at` after the start, then the constant `value`. The integral continues.
    ///
    /// The result no longer knows the values before `at`.
    #[must_use]
    pub fn then(&self, at: Duration, value: u64) -> Self {
        Self::After {
            at,
            total: self.total(at),
            value,
        }
    }

    /// The value `t` after the start.
    pub fn value(&self, t: Duration) -> u64 {
        match *self {
            Self::Steady(value) | Self::After { value, .. } => value,
            Self::StepAt { at, before, after } => {
                if t < at {
                    before
                } else {
                    after
                }
            }
            Self::Wave { low, high, period } => {
                let period = period.as_nanos().max(1);
                let into = t.as_nanos() % period;
                let distance = into.min(period - into);
                let rise = u128::from(high.saturating_sub(low)) * distance * 2 / period;
                low.saturating_add(saturate(rise))
            }
        }
    }

    /// The integral from the start to `t`, in units times nanoseconds.
    pub fn total(&self, t: Duration) -> u128 {
        let nanos = t.as_nanos();
        match *self {
            Self::Steady(value) => u128::from(value) * nanos,
            Self::After { at, total, value } => {
                total + u128::from(value) * t.saturating_sub(at).as_nanos()
            }
            Self::StepAt { at, before, after } => {
                let first = nanos.min(at.as_nanos());
                u128::from(before) * first + u128::from(after) * (nanos - first)
            }
            Self::Wave { low, high, period } => {
                let period = period.as_nanos().max(1);
                let (whole, into) = (nanos / period, nanos % period);
                let climb = u128::from(high.saturating_sub(low));
                // Above `low`: a full period holds climb * period / 2; a rise up to x holds climb * x^2 / period.
                let above = if into * 2 <= period {
                    climb * into * into / period
                } else {
                    climb * period / 2 - climb * (period - into) * (period - into) / period
                };
                u128::from(low) * nanos + whole * (climb * period / 2) + above
            }
        }
    }
}

/// What a container uses, or a node without its containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// CPU in milli-cores.
    pub cpu: Load,
    /// Working set in bytes.
    pub memory: Load,
    /// Swap in bytes.
    pub swap: Load,
}

impl Usage {
    /// Constant: `millis` millicores and `memory` bytes, no swap.
    pub const fn steady(millis: u64, memory: u64) -> Self {
        Self::of(Load::Steady(millis), Load::Steady(memory))
    }

    /// `cpu` in milli-cores and `memory` in bytes, no swap.
    pub const fn of(cpu: Load, memory: Load) -> Self {
        Self {
            cpu,
            memory,
            swap: Load::Steady(0),
        }
    }

    /// Sets the swap, in bytes.
    #[must_use]
    pub const fn with_swap(self, swap: Load) -> Self {
        Self { swap, ..self }
    }

    /// A usage that is computed from names, the same in every run: between 5 and 204 millicores, half of them waves,
    /// and between 16 and 143 MiB, a quarter of them waves.
    pub fn from_names(parts: &[&str]) -> Self {
        let hash = hash(parts);
        let millis = 5 + hash % 200;
        let memory = (16 + (hash >> 8) % 128) * MIB;
        let period = Duration::from_secs(120 + (hash >> 16) % 480);
        let cpu = match hash >> 40 & 1 {
            0 => Load::Steady(millis),
            _ => Load::Wave {
                low: millis,
                high: millis * 3,
                period,
            },
        };
        let memory = match hash >> 41 & 3 {
            0 => Load::Wave {
                low: memory,
                high: memory + memory / 4,
                period,
            },
            _ => Load::Steady(memory),
        };
        Self::of(cpu, memory)
    }

    /// Core-nanoseconds from the start to `t`: one core for one second is 10^9.
    pub fn cpu_nanos(&self, t: Duration) -> u64 {
        saturate(self.cpu.total(t) / 1_000)
    }

    /// The working set in bytes at `t`.
    pub fn memory_bytes(&self, t: Duration) -> u64 {
        self.memory.value(t)
    }

    /// The swap in bytes at `t`.
    pub fn swap_bytes(&self, t: Duration) -> u64 {
        self.swap.value(t)
    }

    /// The mean rate in nano-cores between two moments; 0 when no time passed.
    pub fn nanocores(&self, from: Duration, to: Duration) -> u64 {
        rate(
            self.cpu_nanos(from),
            self.cpu_nanos(to),
            to.saturating_sub(from),
        )
    }
}

/// Core-nanoseconds spent over a time, as nano-cores; 0 when no time passed.
pub(crate) fn rate(from: u64, to: u64, window: Duration) -> u64 {
    let spent = u128::from(to.saturating_sub(from));
    (spent * NANOS_PER_SECOND)
        .checked_div(window.as_nanos())
        .map_or(0, saturate)
}

fn saturate(value: u128) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_steady_quarter_core_spends_ten_seconds_in_forty() {
        let usage = Usage::steady(250, 4096);
        assert_eq!(usage.cpu_nanos(seconds(40)), 10_000_000_000);
        assert_eq!(usage.nanocores(seconds(10), seconds(25)), 250_000_000);
        assert_eq!(usage.memory_bytes(seconds(40)), 4096);
        assert_eq!(usage.swap_bytes(seconds(40)), 0);
    }

    #[test]
    fn a_changed_load_goes_on_from_what_was_spent() {
        let changed = Load::Steady(250).then(seconds(40), 1_000);
        let usage = Usage::of(changed.then(seconds(50), 0), Load::Steady(0));
        assert_eq!(usage.cpu_nanos(seconds(50)), 20_000_000_000);
        assert_eq!(usage.cpu_nanos(seconds(90)), 20_000_000_000);
        assert_eq!(changed.value(seconds(40)), 1_000);
    }

    #[test]
    fn a_step_counts_each_side_by_itself() {
        let step = Load::StepAt {
            at: seconds(30),
            before: 100,
            after: 1_000,
        };
        let usage = Usage::of(step, step);
        assert_eq!(usage.cpu_nanos(seconds(30)), 3_000_000_000);
        assert_eq!(usage.cpu_nanos(seconds(40)), 13_000_000_000);
        assert_eq!(usage.memory_bytes(seconds(29)), 100);
        assert_eq!(usage.memory_bytes(seconds(30)), 1_000);
    }

    #[test]
    fn a_wave_is_a_triangle_whose_area_is_exact() {
        let wave = Load::Wave {
            low: 100,
            high: 300,
            period: seconds(60),
        };
        assert_eq!(wave.value(seconds(0)), 100);
        assert_eq!(wave.value(seconds(15)), 200);
        assert_eq!(wave.value(seconds(30)), 300);
        assert_eq!(wave.value(seconds(45)), 200);
        assert_eq!(wave.value(seconds(60)), 100);
        let usage = Usage::of(wave, wave);
        assert_eq!(usage.cpu_nanos(seconds(15)), 2_250_000_000); // mean 150m
        assert_eq!(usage.cpu_nanos(seconds(30)), 6_000_000_000); // mean 200m
        assert_eq!(usage.cpu_nanos(seconds(45)), 9_750_000_000); // and 250m for 15 s
        assert_eq!(usage.cpu_nanos(seconds(60)), 12_000_000_000);
        assert_eq!(usage.cpu_nanos(seconds(150)), 30_000_000_000); // two and a half
    }

    #[test]
    fn load_made_from_names_is_the_same_every_time() {
        assert_eq!(
            Usage::from_names(&["shop", "web-0", "main"]),
            Usage::from_names(&["shop", "web-0", "main"])
        );
        assert_ne!(
            Usage::from_names(&["shop", "web-0", "main"]),
            Usage::from_names(&["shop", "web-1", "main"])
        );
    }
}
