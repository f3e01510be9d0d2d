//! Exponential delays with jitter and a maximum.

use std::{
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};

/// Delays between failed attempts.
///
/// Each is drawn from the upper half of an interval. The interval doubles up to the maximum. So a thousand clients of a
/// restarted server do not return at the same moment.
#[derive(Debug)]
pub struct Backoff {
    first: Duration,
    cap: Duration,
    next: Duration,
    random: RandomState,
    draws: u64,
}

impl Backoff {
    /// Delays from `first` to `cap`.
    pub fn new(first: Duration, cap: Duration) -> Self {
        Self {
            first,
            cap,
            next: first,
            random: RandomState::new(),
            draws: 0,
        }
    }

    /// The delay before the next attempt.
    pub fn next_delay(&mut self) -> Duration {
        let span = self.next.min(self.cap);
        self.next = span.saturating_mul(2).min(self.cap);
        self.draws = self.draws.wrapping_add(1);
        // The key is the random hash seed of the process. That is not for secrets, but enough to spread delays.
        let draw = self.random.hash_one(self.draws) % 1000;
        let half = span / 2;
        half + half.saturating_mul(u32::try_from(draw).unwrap_or_default()) / 1000
    }

    /// The last attempt succeeded, so the next delay is the first one again.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_cap_and_start_again() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5));
        for most in [1, 2, 4, 5, 5, 5] {
            let delay = backoff.next_delay();
            let most = Duration::from_secs(most);
            assert!(most / 2 <= delay && delay < most, "{delay:?} of {most:?}");
        }
        backoff.reset();
        assert!(backoff.next_delay() < Duration::from_secs(1));
    }
}
