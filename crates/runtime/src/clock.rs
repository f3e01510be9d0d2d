//! The date, as a value.
//!
//! tokio does the waiting (`tokio::time` can be paused in tests). The date is read only through
//! this handle.

use std::{fmt, sync::Arc};

use jiff::Timestamp;

type Tell = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// A clock.
#[derive(Clone)]
pub struct Clock {
    now: Tell,
    date: Tell,
    /// Whether the clock may be set, so that the time jumps.
    may_jump: bool,
}

impl Clock {
    /// The machine's clock.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that may ask the machine"
    )]
    pub fn system() -> Self {
        Self::from_fn(Timestamp::now)
    }

    /// A clock with the time that `tell` returns, which may jump.
    pub fn from_fn(tell: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self {
            may_jump: true,
            ..Self::without_jumps(tell)
        }
    }

    /// A clock with a fixed time.
    pub fn fixed(at: Timestamp) -> Self {
        Self::without_jumps(move || at)
    }

    /// A clock that has `origin` now and follows tokio's time, so that tests can advance it.
    pub fn from_tokio(origin: Timestamp) -> Self {
        let start = tokio::time::Instant::now();
        Self::without_jumps(move || origin.saturating_add(start.elapsed()).unwrap_or(origin))
    }

    fn without_jumps(tell: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        let tell: Tell = Arc::new(tell);
        Self {
            now: Arc::clone(&tell),
            date: tell,
            may_jump: false,
        }
    }

    /// A clock with the same time now that never jumps, even if this one is set. It is for ages, which must not change
    /// when the clock of the machine is set. Its [`Clock::date`] is still that of this clock.
    #[must_use]
    pub fn monotonic(&self) -> Self {
        if !self.may_jump {
            return self.clone();
        }
        Self {
            date: Arc::clone(&self.date),
            ..Self::from_tokio(self.now())
        }
    }

    /// The time, for comparison with other times of this clock.
    pub fn now(&self) -> Timestamp {
        (self.now)()
    }

    /// The time in milliseconds since the Unix epoch.
    pub fn now_millis(&self) -> i64 {
        self.now().as_millisecond()
    }

    /// The date, for comparison with dates of others, and for people.
    pub fn date(&self) -> Timestamp {
        (self.date)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.now()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicI64, Ordering},
        time::Duration,
    };

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_tokio_clock_moves_with_tokio() {
        let clock = Clock::from_tokio(Timestamp::UNIX_EPOCH);
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert_eq!(clock.now(), Timestamp::from_second(60).unwrap());
        assert_eq!(clock.now_millis(), 60_000);
    }

    #[tokio::test(start_paused = true)]
    async fn an_even_clock_does_not_jump_and_still_tells_the_date() {
        let (set, origin) = (Arc::new(AtomicI64::new(0)), Timestamp::UNIX_EPOCH);
        let seconds = Arc::clone(&set);
        let tell = move || Timestamp::from_second(seconds.load(Ordering::Relaxed)).unwrap();
        let monotonic = Clock::from_fn(tell).monotonic();
        set.store(-3_600, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(monotonic.now(), origin + Duration::from_secs(5));
        assert_eq!(monotonic.date(), origin - Duration::from_hours(1));
        assert_eq!(monotonic.monotonic().now(), monotonic.now());
    }

    #[tokio::test]
    async fn a_clock_that_stands_still_is_even() {
        let at = Timestamp::from_second(7).unwrap();
        assert_eq!(Clock::fixed(at).monotonic().now(), at);
        assert_eq!(Clock::fixed(at).monotonic().date(), at);
    }
}
