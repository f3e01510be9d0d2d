//! A client from flags, and a watch that keeps a set.

use std::{fmt::Debug, path::Path, time::Duration};

use ::kube::{
    Api, Client, Config, Resource,
    client::ClientBuilder,
    config::{KubeConfigOptions, Kubeconfig},
    runtime::{WatchStreamExt as _, watcher},
};
use futures::StreamExt as _;
use http::{HeaderValue, Request, header};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;
use tower::util::MapRequestLayer;
use tracing::{info, warn};

use crate::{args::KubeArgs, exit::Misconfigured};

/// Reads the configuration that the flags name, or the in-cluster one.
///
/// # Errors
///
/// The file cannot be read or lacks something; without a file, this is not a
/// pod of a cluster.
pub async fn config(args: &KubeArgs) -> Result<Config, Misconfigured> {
    match &args.kubeconfig {
        Some(path) => config_from("--kubeconfig", path).await,
        None => Config::incluster().map_err(|error| {
            Misconfigured::new(format!(
                "no --kubeconfig given and the in-cluster configuration cannot be loaded: {error}"
            ))
        }),
    }
}

/// Reads the configuration in the kubeconfig file that `flag` names.
///
/// # Errors
///
/// The file cannot be read or lacks something.
pub async fn config_from(flag: &str, path: &Path) -> Result<Config, Misconfigured> {
    let wrong = |error: &dyn std::error::Error| {
        Misconfigured::new(format!("{flag} {}: {error}", path.display()))
    };
    let file = Kubeconfig::read_from(path).map_err(|error| wrong(&error))?;
    Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
        .await
        .map_err(|error| wrong(&error))
}

/// A client for `config`.
///
/// # Errors
///
/// Certificates or keys in the configuration cannot be used.
pub fn client(config: Config) -> Result<Client, Misconfigured> {
    Client::try_from(config).map_err(Misconfigured::new)
}

/// A client whose lists and watches ask for metadata only.
///
/// It rewrites `Accept` and leaves the rest to the ordinary machinery, so that
/// the caller's own type is decoded from the answer and what is not wanted
/// (managed fields above all) is skipped, not built and dropped.
///
/// # Errors
///
/// As for [`client`].
pub fn metadata_client(config: Config) -> Result<Client, Misconfigured> {
    let builder = ClientBuilder::try_from(config).map_err(Misconfigured::new)?;
    Ok(builder
        .with_layer(&MapRequestLayer::new(accept_metadata))
        .build())
}

fn accept_metadata<B>(mut request: Request<B>) -> Request<B> {
    const LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    const ITEM: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
    let query = request.uri().query().unwrap_or_default();
    let watch = query.split('&').any(|pair| pair == "watch=true");
    let accept = HeaderValue::from_static(if watch { ITEM } else { LIST });
    request.headers_mut().insert(header::ACCEPT, accept);
    request
}

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

/// Objects are listed in pages of so many, so that starting in a big cluster
/// has no peak. What kubectl and client-go use.
const PAGE: u32 = 500;

/// How long a watch waits before it begins again: 0.8 s, then twice as long each
/// time, up to 8 s; a random part of up to as much again comes on top.
///
/// kube's own, as client-go's, goes up to 30 s, and so to a minute with the random
/// part: too long for a pod that came in an outage to wait for its first metrics.
/// There are few of us, so that the API can bear it.
pub fn watch_backoff() -> watcher::ExponentialBackoff {
    backon::ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(800))
        .with_max_delay(Duration::from_secs(8))
        .with_factor(2.0)
        .with_jitter()
        .without_max_times()
        .into()
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
    let events = watcher(api, config.page_size(PAGE)).backoff(watch_backoff());
    let mut events = std::pin::pin!(events);
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

    #[test]
    fn lists_and_watches_ask_for_metadata() {
        let accept = |uri: &str| {
            let request = accept_metadata(Request::get(uri).body(()).unwrap());
            request.headers()[header::ACCEPT]
                .to_str()
                .unwrap()
                .to_owned()
        };
        assert_eq!(
            accept("/api/v1/pods?limit=500"),
            "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
        );
        assert_eq!(
            accept("/api/v1/pods?&watch=true&timeoutSeconds=290"),
            "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
        );
    }

    #[tokio::test]
    async fn a_kubeconfig_that_is_not_there_is_named() {
        let args = KubeArgs {
            kubeconfig: Some("/nonexistent/kubeconfig".into()),
        };
        let error = config(&args).await.unwrap_err().to_string();
        assert!(
            error.starts_with("--kubeconfig /nonexistent/kubeconfig: "),
            "{error}"
        );
    }
}
