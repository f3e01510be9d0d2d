//! The date, as a value.
//!
//! Waiting is tokio's business (`tokio::time` can be paused in tests); the date
//! is not, so it is read through this handle and nowhere else.

use std::{fmt, sync::Arc};

use jiff::Timestamp;

/// Tells the date.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// The machine's clock.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that may ask the machine"
    )]
    pub fn system() -> Self {
        Self(Arc::new(Timestamp::now))
    }

    /// A clock that stands still.
    pub fn fixed(at: Timestamp) -> Self {
        Self(Arc::new(move || at))
    }

    /// A clock that shows `origin` now and moves with tokio's time, so that
    /// advancing that moves the date along.
    pub fn from_tokio(origin: Timestamp) -> Self {
        let start = tokio::time::Instant::now();
        Self(Arc::new(move || {
            origin.saturating_add(start.elapsed()).unwrap_or(origin)
        }))
    }

    /// The date.
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }

    /// The date in milliseconds since the Unix epoch.
    pub fn now_millis(&self) -> i64 {
        self.now().as_millisecond()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.now()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_tokio_clock_moves_with_tokio() {
        let clock = Clock::from_tokio(Timestamp::UNIX_EPOCH);
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert_eq!(clock.now(), Timestamp::from_second(60).unwrap());
        assert_eq!(clock.now_millis(), 60_000);
    }
}
