//! Converts times of a publisher to the local clock (docs/decisions/0006-clock-of-publishers.md).

/// By how much a publisher's clock is behind the local one, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shift {
    behind: i64,
    least: i64,
}

/// How long the first message of a stream may take to be read, including the reviews. The publisher
/// seems to be further behind by this time.
const LONGEST_HELLO: i64 = 10_000;

impl Shift {
    pub(super) fn new(behind: i64) -> Self {
        Self {
            behind,
            least: behind.saturating_sub(LONGEST_HELLO),
        }
    }

    /// Converts a time of the publisher to the local clock. A time in the future becomes now, because no sample is
    /// younger than its arrival. Then the first message took longer than this one, so the shift is corrected for all
    /// later times.
    pub(super) fn ours(&mut self, theirs: i64, now: i64) -> i64 {
        let ours = theirs.saturating_add(self.behind);
        if ours > now {
            self.behind = now.saturating_sub(theirs).max(self.least);
        }
        ours.min(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_message_that_took_long_is_put_right_by_a_quicker_one() {
        // The publisher's clock is an hour ahead, and the first message took two seconds.
        let mut shift = Shift::new(-3_598_000);
        let theirs = 3_600_000;
        // This sample is from before the first message.
        assert_eq!(shift.ours(theirs + 1_000, 20_000), 3_000);
        // The message was 30 ms in transit. No sample is younger than its arrival, so the shift is corrected.
        assert_eq!(shift.ours(theirs + 25_000, 25_030), 25_030);
        assert_eq!(shift.ours(theirs + 40_000, 40_500), 40_030);
        assert_eq!(shift.ours(theirs + 55_000, 55_010), 55_010);
        assert_eq!(shift.ours(theirs + 70_000, 70_500), 70_010);
    }

    #[test]
    fn a_time_that_cannot_be_spoils_others_by_ten_seconds_at_most() {
        let mut shift = Shift::new(50);
        for odd in [i64::MAX, 9_000_000, i64::MIN] {
            assert!(shift.ours(odd, 1_000) <= 1_000);
        }
        assert_eq!(shift.ours(20_000, 20_060), 10_050);
        let mut behind = Shift::new(i64::MAX);
        assert_eq!(behind.ours(i64::MAX, 5), 5);
        let mut ahead = Shift::new(i64::MIN);
        assert_eq!(ahead.ours(i64::MIN, 5), i64::MIN);
    }
}
