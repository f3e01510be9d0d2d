//! A watch that keeps a set.

use std::{fmt::Debug, time::Duration};

use ::kube::{
    Api, Resource,
    runtime::{WatchStreamExt as _, watcher},
};
use futures::{Stream, StreamExt as _};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

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

/// The events of a watch that does not end, within the limits.
fn events<K>(
    api: Api<K>,
    config: watcher::Config,
) -> impl Stream<Item = watcher::Result<watcher::Event<K>>> + Send
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let page = config.page_size.map_or(PAGE, |page| page.min(PAGE));
    watcher(api, config.page_size(page).timeout(LASTS)).backoff(watch_backoff())
}

/// Watches one object by its name, `None` while there is none. Errors are passed
/// on, and the watch goes on.
pub fn watch_object<K>(
    api: Api<K>,
    name: &str,
) -> impl Stream<Item = watcher::Result<Option<K>>> + Send
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut listed = None;
    events(api, config).filter_map(move |event| {
        let next = match event {
            Ok(watcher::Event::Init) => {
                listed = None;
                None
            }
            Ok(watcher::Event::InitApply(object)) => {
                listed = Some(object);
                None
            }
            Ok(watcher::Event::InitDone) => Some(Ok(listed.take())),
            Ok(watcher::Event::Apply(object)) => Some(Ok(Some(object))),
            Ok(watcher::Event::Delete(_)) => Some(Ok(None)),
            Err(error) => Some(Err(error)),
        };
        std::future::ready(next)
    })
}

/// Watches `kind` until `stop`, telling `apply` every change.
///
/// `keep` takes from an object what is needed, as soon as it is decoded. While
/// the API cannot be reached the set stays as it is; this is logged once, and
/// so is the recovery.
pub async fn keep<K, T>(
    api: Api<K>,
    config: watcher::Config,
    keep: impl Fn(K) -> T,
    mut apply: impl FnMut(Change<T>),
    stop: CancellationToken,
) where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let kind = K::plural(&());
    let mut events = std::pin::pin!(events(api, config));
    let mut listing = Vec::new();
    let mut healthy = true;
    loop {
        let event = tokio::select! {
            () = stop.cancelled() => return,
            event = events.next() => event,
        };
        match event {
            // The stream of a watcher does not end; if it did, so would we.
            None => return,
            Some(Err(error)) => {
                if healthy {
                    warn!(%kind, %error, "cannot watch; what is known stays in force");
                }
                healthy = false;
                continue;
            }
            // An attempt to list; only its end says that it succeeded.
            Some(Ok(watcher::Event::Init)) => {
                listing.clear();
                continue;
            }
            Some(Ok(watcher::Event::InitApply(object))) => {
                listing.push(keep(object));
                continue;
            }
            Some(Ok(watcher::Event::InitDone)) => {
                let listed = std::mem::take(&mut listing);
                info!(%kind, count = listed.len(), "listed");
                apply(Change::Replace(listed));
            }
            Some(Ok(watcher::Event::Apply(object))) => apply(Change::Put(keep(object))),
            Some(Ok(watcher::Event::Delete(object))) => apply(Change::Remove(keep(object))),
        }
        if !healthy {
            info!(%kind, "watching again");
            healthy = true;
        }
    }
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
