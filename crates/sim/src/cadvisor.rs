//! How cAdvisor, in the kubelet, measures a container: at its own times, which no request can change.
//!
//! The source is google/cadvisor lib v0.60.5, `manager/container.go`. `housekeeping` measures at the start of a
//! container and then after each `nextHousekeepingInterval`, which is `jitter(interval, 1.0)`: the interval times a
//! uniform random number between 1 and 2. The interval is 10 s (`defaultHousekeepingInterval` in Kubernetes 1.37,
//! `pkg/kubelet/cadvisor/cadvisor_linux.go`). If the newest two samples are equal (`StatsEq`, which ignores their
//! times) and the interval is below the maximum (`maxHousekeepingInterval`, 15 s), it doubles up to the maximum.
//! Otherwise it is 10 s again. So a container that changes is measured every 10 to 20 s. A container at rest is
//! measured alternately after 15 to 30 s and after 10 to 20 s, because at the maximum the interval becomes 10 s again.
//!
//! The kubelet's flag `--housekeeping-interval` replaces the 10 s and leaves the maximum. With 1 s, a container that
//! changes is measured every 1 to 2 s, and one at rest after 2 to 4 s, 4 to 8 s, 8 to 16 s, 15 to 30 s, and 1 to 2 s again.
//!
//! A sample is stored with its values, because a load does not know its values before it changed.

use std::time::Duration;

use crate::encode::hash;
use crate::load::Usage;
use crate::objects::since;

/// `defaultHousekeepingInterval`.
pub(crate) const INTERVAL: Duration = Duration::from_secs(10);
/// Milliseconds; `maxHousekeepingInterval`.
const LONGEST: i64 = 15_000;
/// Milliseconds from the start of a container to its first sample. cAdvisor takes one when it detects the cgroup. By
/// then the start has used some CPU, without which a sample does not count.
const FIRST: i64 = 100;

/// One sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Milliseconds since the epoch.
    pub(crate) at: i64,
    pub(crate) cpu_nanos: u64,
    pub(crate) memory_bytes: u64,
    pub(crate) swap_bytes: u64,
}

impl Reading {
    pub(crate) fn of(usage: &Usage, started: i64, at: i64) -> Self {
        let age = since(started, at);
        Self {
            at,
            cpu_nanos: usage.cpu_nanos(age),
            memory_bytes: usage.memory_bytes(age),
            swap_bytes: usage.swap_bytes(age),
        }
    }

    /// `StatsEq`.
    fn same(&self, other: &Self) -> bool {
        let at = self.at;
        *self == Self { at, ..*other }
    }
}

/// The newest sample of a container, and the time of the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Measured {
    seed: u64,
    count: u64,
    /// Of a container that changes, in milliseconds.
    least: i64,
    interval: i64,
    newest: Reading,
    next: i64,
}

impl Measured {
    /// The sample at the start of a container, of a kubelet with this interval.
    pub(crate) fn first(key: &[&str], usage: &Usage, started: i64, interval: Duration) -> Self {
        let least = i64::try_from(interval.as_millis())
            .unwrap_or(LONGEST)
            .max(1);
        let mut first = Self {
            seed: hash(key) ^ u64::try_from(started).unwrap_or(0),
            count: 0,
            least,
            interval: least,
            newest: Reading::of(usage, started, started + FIRST),
            next: started,
        };
        first.wait();
        first
    }

    /// Takes the samples that are due until `now`.
    pub(crate) fn advance(&mut self, usage: &Usage, started: i64, now: i64) {
        while self.next <= now {
            let reading = Reading::of(usage, started, self.next);
            let rests = reading.same(&self.newest);
            self.interval = if rests && self.interval < LONGEST {
                (self.interval * 2).min(LONGEST)
            } else {
                self.least
            };
            self.newest = reading;
            self.wait();
        }
    }

    /// The newest sample at `now`, if there is one.
    pub(crate) fn newest(mut self, usage: &Usage, started: i64, now: i64) -> Option<Reading> {
        self.advance(usage, started, now);
        (self.newest.at <= now).then_some(self.newest)
    }

    /// `jitter(interval, 1.0)` with a number that is computed from the names, so that runs can be repeated.
    fn wait(&mut self) {
        self.count += 1;
        let number = hash(&[&self.seed.to_string(), &self.count.to_string()]);
        let more = i64::try_from(number % self.interval.unsigned_abs()).unwrap_or(0);
        self.next = self.newest.at + self.interval + more;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Load;

    /// Milliseconds between the samples of an hour.
    fn gaps(usage: &Usage, interval: Duration) -> Vec<i64> {
        let mut measured = Measured::first(&["shop", "web-0", "main"], usage, 0, interval);
        let mut times = Vec::new();
        for tick in 1..36_000 {
            measured.advance(usage, 0, tick * 100);
            times.push(measured.newest.at);
        }
        times.dedup();
        times.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    #[test]
    fn a_container_that_works_is_measured_every_10_to_20_seconds() {
        let gaps = gaps(&Usage::steady(250, 4096), INTERVAL);
        assert!((220..260).contains(&gaps.len()), "{}", gaps.len());
        assert!(gaps.iter().all(|gap| (10_000..20_000).contains(gap)));
        assert!(gaps.iter().any(|gap| *gap < 11_000) && gaps.iter().any(|gap| *gap > 19_000));
    }

    #[test]
    fn every_second_wait_for_a_container_at_rest_is_15_to_30_seconds() {
        let gaps = gaps(&Usage::steady(0, 4096), INTERVAL);
        let of = |parity: usize| gaps.iter().skip(parity).step_by(2);
        assert!(of(0).all(|gap| (10_000..20_000).contains(gap)), "{gaps:?}");
        assert!(of(1).all(|gap| (15_000..30_000).contains(gap)), "{gaps:?}");
        assert!(of(1).any(|gap| *gap > 25_000));
    }

    #[test]
    fn with_an_interval_of_a_second_a_container_that_works_is_measured_every_1_to_2_seconds() {
        let gaps = gaps(&Usage::steady(250, 4096), Duration::from_secs(1));
        assert!((2_200..2_600).contains(&gaps.len()), "{}", gaps.len());
        assert!(gaps.iter().all(|gap| (1_000..2_000).contains(gap)));
    }

    #[test]
    fn with_an_interval_of_a_second_the_waits_for_a_container_at_rest_grow_to_15_to_30_seconds() {
        let gaps = gaps(&Usage::steady(0, 4096), Duration::from_secs(1));
        for (step, most) in [2_000, 4_000, 8_000, 16_000, 30_000]
            .into_iter()
            .enumerate()
        {
            let mut waits = gaps.iter().skip(step).step_by(5);
            let least = if most == 30_000 { 15_000 } else { most / 2 };
            assert!(waits.all(|gap| (least..most).contains(gap)), "{gaps:?}");
        }
    }

    #[test]
    fn a_sample_from_before_a_change_does_not_know_of_it() {
        let before = Usage::steady(100, 1_000);
        let mut measured = Measured::first(&["a"], &before, 0, INTERVAL);
        let at = measured.newest(&before, 0, 60_000).unwrap().at;
        measured.advance(&before, 0, 60_000);
        let after = Usage::of(before.cpu.then(since(0, 60_000), 900), Load::Steady(9));
        let read = measured.newest(&after, 0, 60_001).unwrap();
        assert_eq!((read.at, read.memory_bytes), (at, 1_000));
        assert_eq!(read.cpu_nanos, at.unsigned_abs() * 100_000);
    }
}
