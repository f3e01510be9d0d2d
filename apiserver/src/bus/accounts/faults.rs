//! How often streams of one publisher may break the rules.
//!
//! Each such stream costs a connection, a review and a handshake, and the next may follow at once.
//! Our scrapers break no rule, so this delays no honest one, unless it shares its name with a
//! dishonest one.

use std::time::Duration;

use tokio::time::Instant;

/// This many streams at once: enough for an operator who tests a publisher.
const AT_ONCE: u32 = 16;

/// Then one more in this time.
const EACH: Duration = Duration::from_secs(4);

/// The recent faults. Plain data, no clock.
#[derive(Debug)]
pub(super) struct Faults {
    /// When all are forgotten.
    forgotten_at: Instant,
}

impl Faults {
    pub(super) fn new(now: Instant) -> Self {
        Self { forgotten_at: now }
    }

    pub(super) fn add(&mut self, now: Instant) {
        // The time has a maximum. No stream begins while too many faults are remembered, but all open streams may still
        // end with a fault.
        let most = now + EACH * (2 * AT_ONCE);
        self.forgotten_at = (self.forgotten_at.max(now) + EACH).min(most);
    }

    /// How long the next stream must wait, if it must.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        let owed = self.forgotten_at.saturating_duration_since(now);
        let wait = owed.saturating_sub(EACH * (AT_ONCE - 1));
        (!wait.is_zero()).then_some(wait)
    }

    /// Whether any fault is remembered.
    pub(super) fn owes(&self, now: Instant) -> bool {
        self.forgotten_at > now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn sixteen_faults_at_once_and_then_one_in_four_seconds() {
        let start = Instant::now();
        let mut faults = Faults::new(start);
        for _ in 0..16 {
            assert_eq!(faults.wait(start), None);
            faults.add(start);
        }
        assert_eq!(faults.wait(start), Some(Duration::from_secs(4)));
        let later = start + Duration::from_secs(4);
        assert_eq!(faults.wait(later), None);
        faults.add(later);
        assert_eq!(faults.wait(later), Some(Duration::from_secs(4)));
        assert!(faults.owes(later));
        assert!(!faults.owes(start + Duration::from_mins(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn streams_that_all_end_so_keep_a_publisher_out_for_little_more_than_a_minute() {
        let start = Instant::now();
        let mut faults = Faults::new(start);
        for _ in 0..128 {
            faults.add(start);
        }
        assert_eq!(faults.wait(start), Some(Duration::from_secs(68)));
    }
}
