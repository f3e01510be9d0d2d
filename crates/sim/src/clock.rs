//! The simulation's date: the machine's, or one that a test moves by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;

/// The date of the whole simulated cluster, in nanoseconds.
///
/// Clones share the date. A node with a wrong clock has [`Fault::ClockOff`](crate::Fault::ClockOff) instead.
#[derive(Clone, Debug)]
pub struct SimClock {
    /// Nanoseconds added to the machine's date, or, when `manual`, nanoseconds since the Unix epoch.
    nanos: Arc<AtomicI64>,
    manual: bool,
}

impl SimClock {
    /// A clock that follows the date of the machine.
    pub fn system() -> Self {
        Self {
            nanos: Arc::default(),
            manual: false,
        }
    }

    /// A clock that stays at `start` until it is advanced. A date outside of 1677 to 2262 becomes the Unix epoch.
    pub fn manual(start: Timestamp) -> Self {
        Self {
            nanos: Arc::new(AtomicI64::new(nanos_of(start))),
            manual: true,
        }
    }

    /// The date now.
    pub fn now(&self) -> Timestamp {
        let nanos = i128::from(self.nanos.load(Ordering::Acquire));
        if self.manual {
            return Timestamp::from_nanosecond(nanos).unwrap_or(Timestamp::UNIX_EPOCH);
        }
        let now = machine_now();
        Timestamp::from_nanosecond(now.as_nanosecond() + nanos).unwrap_or(now)
    }

    /// Advances the date. On a system clock the difference stays.
    pub fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_nanos()).unwrap_or(i64::MAX);
        self.nanos.fetch_add(by, Ordering::AcqRel);
    }

    /// Sets the date. A system clock continues from there.
    pub fn set(&self, date: Timestamp) {
        let base = if self.manual {
            0
        } else {
            nanos_of(machine_now())
        };
        self.nanos
            .store(nanos_of(date).saturating_sub(base), Ordering::Release);
    }
}

fn nanos_of(date: Timestamp) -> i64 {
    i64::try_from(date.as_nanosecond()).unwrap_or(0)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place of the simulator that asks the machine for the date"
)]
fn machine_now() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_by_hand() {
        let start = Timestamp::from_second(1_000).unwrap();
        let clock = SimClock::manual(start);
        let other = clock.clone();
        assert_eq!(clock.now(), start);
        other.advance(Duration::from_millis(1_500));
        assert_eq!(clock.now(), Timestamp::from_millisecond(1_001_500).unwrap());
        clock.set(Timestamp::from_second(5).unwrap());
        assert_eq!(other.now(), Timestamp::from_second(5).unwrap());
    }
}
