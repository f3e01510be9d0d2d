//! When a page is read, and how old its samples are then.

use std::time::Duration;

/// When the page is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// Milliseconds since the epoch by the node's own clock.
    pub(crate) now: i64,
    /// How often the kubelet takes a sample, in milliseconds; 0 for at every request.
    pub(crate) housekeeping: i64,
}

impl Moment {
    pub(crate) fn new(now: i64, housekeeping: Duration) -> Self {
        Self {
            now,
            housekeeping: i64::try_from(housekeeping.as_millis()).unwrap_or(0),
        }
    }

    /// The time of the newest sample of something that is sampled at this offset into every interval.
    pub(crate) fn sampled(self, offset: i64) -> i64 {
        if self.housekeeping == 0 {
            return self.now;
        }
        self.now - (self.now - offset).rem_euclid(self.housekeeping)
    }
}
