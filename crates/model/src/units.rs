//! One type per unit, so that the compiler reads the units.

use std::time::Duration;

/// Cumulative CPU time in core-nanoseconds, as `container_cpu_usage_seconds_total`
/// counts it: it only grows, and starts again at zero when the container does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CoreNanos(pub u64);

/// A rate of CPU use in billionths of a core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NanoCores(pub u64);

/// An amount of memory or swap in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

impl Bytes {
    /// The most that is believed of a container or node: 256 TiB less two bytes. More is
    /// no measurement.
    pub const MOST: Self = Self((1 << 48) - 2);
}

/// A moment, in milliseconds since the Unix epoch: the precision of kubelet pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment this many milliseconds after the Unix epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down: what the API serves.
    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// How long after `earlier` this is; `None` if it is before it.
    pub fn since(self, earlier: Self) -> Option<Duration> {
        let millis = self.0.checked_sub(earlier.0)?;
        u64::try_from(millis).ok().map(Duration::from_millis)
    }

    /// This moment and `span` less, as far as the type reaches.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        let millis = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(millis))
    }

    /// This moment and `span` more, as far as the type reaches.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        let millis = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(millis))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_seconds_round_down_before_the_epoch_too() {
        assert_eq!(Timestamp::from_millis(1999).as_seconds(), 1);
        assert_eq!(Timestamp::from_millis(-1).as_seconds(), -1);
    }

    #[test]
    fn an_earlier_moment_is_not_since_a_later_one() {
        let (one, two) = (Timestamp::from_millis(1), Timestamp::from_millis(2));
        assert_eq!(two.since(one), Some(Duration::from_millis(1)));
        assert_eq!(one.since(two), None);
        assert_eq!(
            Timestamp::from_millis(i64::MAX).since(Timestamp::from_millis(-1)),
            None
        );
    }
}
