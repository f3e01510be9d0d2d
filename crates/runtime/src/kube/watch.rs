//! What all watches have in common.

use std::time::Duration;

use ::kube::runtime::watcher;

/// A change of a watched set.
#[derive(Debug)]
pub enum Change<T> {
    /// The whole set: the first list, or one after a gap.
    Replace(Vec<T>),
    /// This object is new or has changed.
    Put(T),
    /// This object was deleted.
    Remove(T),
}

/// Objects are listed in pages of at most this many, so that the start in a large cluster has no
/// memory peak. kubectl and client-go use the same number.
pub(super) const PAGE: u32 = 500;

/// How long a watch lasts, in seconds. Then the server ends it, and the next one continues from
/// there. client-go uses 5 to 10 minutes. But a quiet watch looks like a dead one, and this is how
/// long a dead one stays undetected. It costs the server one request per watch and minute, answered
/// from its watch cache.
pub(super) const LASTS: u32 = 60;

/// How long a watch waits before it begins again: 0.8 s, then twice as long each time, up to 8 s,
/// plus a random part of up to the same length.
///
/// The back-off of kube, like that of client-go, goes up to 30 s, and so up to a minute with the
/// random part. That is too long for a pod that was created in an outage and waits for its first
/// metrics. The API can bear it, because there are few scrapers and frontends.
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
