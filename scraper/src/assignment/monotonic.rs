//! Time for schedules: the date when something began, going on evenly.
//!
//! A clock that is set must not make nodes wait, or be asked twice.

use tokio::time::Instant;
use tributary_model::Timestamp;
use tributary_runtime::clock::Clock;

#[derive(Clone, Copy, Debug)]
pub(crate) struct MonotonicClock {
    origin: Timestamp,
    since: Instant,
}

impl MonotonicClock {
    /// From the date that it is now.
    pub(crate) fn new(clock: &Clock) -> Self {
        Self {
            origin: Timestamp::from_millis(clock.now_millis()),
            since: Instant::now(),
        }
    }

    pub(crate) fn now(self) -> Timestamp {
        self.origin.plus(self.since.elapsed())
    }
}
