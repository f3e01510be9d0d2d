//! How a set is watched, whatever is in it.

use std::time::Duration;

use ::kube::runtime::watcher;

/// What happened to a watched set.
#[derive(Debug)]
pub enum Change<T> {
    /// The set is exactly this: the first list, or one after a gap.
    Replace(Vec<T>),
    /// This one is new or has changed.
    Put(T),
    /// This one is gone.
    Remove(T),
}

/// Objects are listed in pages of so many at most, so that starting in a big
/// cluster has no peak. What kubectl and client-go use.
pub(super) const PAGE: u32 = 500;

/// How long a watch lasts, in seconds: then the server ends it, and it begins
/// again where it ended. client-go takes 5 to 10 minutes; but a quiet watch says
/// as little as a dead one, so this is how long that stays unnoticed. It costs the
/// server a request per watch and minute, answered from its watch cache.
pub(super) const LASTS: u32 = 60;

/// How long a watch waits before it begins again: 0.8 s, then twice as long each
/// time, up to 8 s; a random part of up to as much again comes on top.
///
/// kube's own, as client-go's, goes up to 30 s, and so to a minute with the random
/// part: too long for a pod that came in an outage to wait for its first metrics.
/// There are few of us, so that the API can bear it.
pub(super) fn watch_backoff() -> watcher::ExponentialBackoff {
    backon::ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(800))
        .with_max_delay(Duration::from_secs(8))
        .with_factor(2.0)
        .with_jitter()
        .without_max_times()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_that_fails_begins_again_within_16_seconds() {
        let waits: Vec<Duration> = watch_backoff().take(100).collect();
        assert_eq!(waits.len(), 100);
        let within = |wait: Duration, from: u64, to: u64| {
            (Duration::from_millis(from)..=Duration::from_millis(to)).contains(&wait)
        };
        assert!(within(waits[0], 800, 1_600), "{waits:?}");
        assert!(within(waits[1], 1_600, 3_200), "{waits:?}");
        assert!(
            waits[4..].iter().all(|wait| within(*wait, 8_000, 16_000)),
            "{waits:?}"
        );
    }
}
