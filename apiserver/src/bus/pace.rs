//! How fast a stream, a publisher and all publishers may send.
//!
//! A faster sender is throttled: its messages are read later, nothing is lost, and others do not
//! wait.

use std::time::Duration;

use tokio::time::Instant;
use tributary_proto::limits::{BURST_BYTES, BYTES_PER_SECOND, LEAST_MESSAGE_BYTES};

/// A rate limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    /// The burst, in bytes.
    pub(super) burst: usize,
    /// Bytes per second in the long run.
    pub(super) per_second: usize,
}

impl Rate {
    /// The limit of one stream.
    pub(super) const OF_STREAM: Self = Self {
        burst: BURST_BYTES,
        per_second: BYTES_PER_SECOND,
    };
}

/// What may be sent now. Plain data, no clock.
#[derive(Debug)]
pub(super) struct Pace {
    rate: Rate,
    /// Below zero while the sender must wait.
    left: i64,
    since: Instant,
}

impl Pace {
    pub(super) fn new(rate: Rate, now: Instant) -> Self {
        Self {
            left: whole(rate.burst),
            rate,
            since: now,
        }
    }

    /// Counts a message of this many bytes. Returns until when the sender must wait, if it must.
    pub(super) fn take(&mut self, bytes: usize, now: Instant) -> Option<Instant> {
        self.earn(now);
        self.left = self.left.saturating_sub(cost(bytes));
        let owed = self.left.saturating_neg();
        (owed > 0).then(|| {
            let millis = owed.saturating_mul(1_000) / whole(self.rate.per_second) + 1;
            now + Duration::from_millis(millis.unsigned_abs())
        })
    }

    /// Counts a message of this many bytes if it may be sent now. Returns whether it may.
    pub(super) fn spend(&mut self, bytes: usize, now: Instant) -> bool {
        self.earn(now);
        let left = self.left.saturating_sub(cost(bytes));
        let may = left >= 0;
        if may {
            self.left = left;
        }
        may
    }

    /// Whether less than the whole burst may be sent now.
    pub(super) fn owes(&mut self, now: Instant) -> bool {
        self.earn(now);
        self.left < whole(self.rate.burst)
    }

    fn earn(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.since);
        let millis = i64::try_from(passed.as_millis()).unwrap_or(i64::MAX);
        let earned = millis.saturating_mul(whole(self.rate.per_second) / 1_000);
        self.left = self.left.saturating_add(earned).min(whole(self.rate.burst));
        // Less than a millisecond counts the next time.
        self.since += Duration::from_millis(millis.unsigned_abs());
    }
}

/// The cost of a message of this many bytes.
fn cost(bytes: usize) -> i64 {
    whole(bytes.max(LEAST_MESSAGE_BYTES))
}

fn whole(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn pace(now: Instant) -> Pace {
        Pace::new(Rate::OF_STREAM, now)
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_and_what_comes_after_has_its_pace() {
        let start = Instant::now();
        let mut pace = pace(start);
        // 256 MiB at once, then 16 MiB a second.
        for _ in 0..64 {
            assert_eq!(pace.take(4 * MIB, start), None);
        }
        let wait = pace.take(4 * MIB, start).unwrap() - start;
        assert_eq!(wait, Duration::from_millis(251));
        let later = start + Duration::from_secs(1);
        assert_eq!(pace.take(11 * MIB, later), None);
        assert!(pace.take(2 * MIB, later).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_small_message_counts_as_one_of_4_kib() {
        let start = Instant::now();
        let mut pace = pace(start);
        let free = (0..100_000)
            .take_while(|_| pace.take(1, start).is_none())
            .count();
        assert_eq!(free, 65_536);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_used_is_not_saved_up_beyond_a_burst() {
        let start = Instant::now();
        let mut pace = pace(start);
        let later = start + Duration::from_hours(1);
        for _ in 0..64 {
            assert_eq!(pace.take(4 * MIB, later), None);
        }
        assert!(pace.take(4 * MIB, later).is_some());
    }
}
