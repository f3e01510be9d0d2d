//! How fast one stream may send.
//!
//! Whoever sends faster is read more slowly, and the connection makes it wait:
//! nothing is lost, and the others are not kept waiting.

use std::time::Duration;

use tokio::time::Instant;
use tributary_proto::{
    limits::{BURST_BYTES, BYTES_PER_SECOND, LEAST_MESSAGE_BYTES},
    v1::{self, publish_request::Message},
};

/// What a stream may still send now. Plain data, no clock.
#[derive(Debug)]
pub(super) struct Pace {
    /// Below zero while it has to wait.
    left: i64,
    since: Instant,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            left: whole(BURST_BYTES),
            since: now,
        }
    }

    /// Takes a message of so many bytes into account. Returns until when the
    /// stream has to wait, if it has to.
    pub(super) fn take(&mut self, bytes: usize, now: Instant) -> Option<Instant> {
        let passed = now.duration_since(self.since);
        let millis = i64::try_from(passed.as_millis()).unwrap_or(i64::MAX);
        let earned = millis.saturating_mul(whole(BYTES_PER_SECOND) / 1_000);
        self.left = self.left.saturating_add(earned).min(whole(BURST_BYTES));
        // What is less than a millisecond counts the next time.
        self.since += Duration::from_millis(millis.unsigned_abs());
        self.left = self
            .left
            .saturating_sub(whole(bytes.max(LEAST_MESSAGE_BYTES)));
        let owed = self.left.saturating_neg();
        (owed > 0).then(|| {
            let millis = owed.saturating_mul(1_000) / whole(BYTES_PER_SECOND) + 1;
            now + Duration::from_millis(millis.unsigned_abs())
        })
    }
}

fn whole(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// What taking in a message costs, in bytes as they are in memory: near enough,
/// and found without walking through the numbers.
pub(super) fn weight(message: &Message) -> usize {
    match message {
        Message::Roster(roster) => roster_bytes(roster),
        Message::Reading(reading) => {
            let columns = [
                reading.cpu_nanos_plus_one.len(),
                reading.cpu_at_ms.len(),
                reading.working_set_bytes_plus_one.len(),
                reading.memory_after_cpu_ms.len(),
                reading.started_before_ms_plus_one.len(),
                reading.swap_bytes_plus_one.len(),
            ];
            columns.iter().sum::<usize>() * size_of::<u64>()
        }
        Message::ScrapeFailure(failure) => failure.message.len(),
        Message::Share(share) => names(&share.nodes),
        Message::Hello(_) | Message::Released(_) | Message::Synced(_) => 0,
    }
}

/// The bytes of the names in a roster.
pub(super) fn roster_bytes(roster: &v1::Roster) -> usize {
    let pods = roster
        .pods
        .iter()
        .map(|pod| pod.namespace.len() + pod.name.len() + names(&pod.containers));
    roster.node.len() + pods.sum::<usize>()
}

/// Empty ones take room too.
fn names(names: &[String]) -> usize {
    names
        .iter()
        .map(|name| size_of::<String>() + name.len())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_and_what_comes_after_has_its_pace() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
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
        let mut pace = Pace::new(start);
        let free = (0..100_000)
            .take_while(|_| pace.take(1, start).is_none())
            .count();
        assert_eq!(free, 65_536);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_used_is_not_saved_up_beyond_a_burst() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let later = start + Duration::from_hours(1);
        for _ in 0..64 {
            assert_eq!(pace.take(4 * MIB, later), None);
        }
        assert!(pace.take(4 * MIB, later).is_some());
    }
}
