//! A watch of answers that are no objects.
//!
//! kube's own watcher reads lists of objects. An API server can also print them
//! ([Tables]), which says more than their metadata and is half as long as whole
//! objects. So this lists in pages and then watches from there as the other does,
//! and leaves it to its caller to read what comes.
//!
//! [Tables]: https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables

use std::time::Duration;

use ::kube::{
    Client, Error,
    api::{ListParams, Request, WatchParams},
    runtime::{utils::Backoff as _, watcher},
};
use futures::{AsyncBufReadExt as _, StreamExt as _};
use http::{HeaderValue, header};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::watch::{Change, LASTS, PAGE, watch_backoff};

/// How the answers are read.
pub trait Decode {
    /// What there is a set of.
    type Item;

    /// What is asked for.
    const ACCEPT: &'static str;

    /// Reads a page of a list.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    fn page(&mut self, json: &str) -> Result<Page<Self::Item>, Error>;

    /// Reads a line of a watch.
    ///
    /// # Errors
    ///
    /// It cannot be read, or it says that the watch failed.
    fn event(&mut self, json: &str) -> Result<Event<Self::Item>, Error>;
}

/// A page of a list.
#[derive(Debug)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// From where to watch.
    pub version: String,
    /// What to continue with, unless this is the last one.
    pub next: Option<String>,
}

/// A line of a watch.
#[derive(Debug)]
pub struct Event<T> {
    /// From where to watch if this was the last one.
    pub version: String,
    /// What happened; a bookmark says of nothing.
    pub changes: Vec<Change<T>>,
}

/// Which objects are watched.
#[derive(Clone, Copy, Debug)]
pub struct Watched {
    /// What they are called.
    pub kind: &'static str,
    /// Where they are.
    pub path: &'static str,
    /// The field selector.
    pub fields: &'static str,
}

/// A watch that ends as soon as this, and said nothing, ends for a reason that nobody
/// gave, so it waits before it begins again.
const SHORT: Duration = Duration::from_secs(1);

/// Watches what `decode` reads until `stop`, telling `apply` every change.
///
/// `keep` takes from an item what is needed, as soon as it is decoded. While the API
/// cannot be reached the set stays as it is; this is logged once, and so is the
/// recovery.
pub async fn keep_decoded<D: Decode, T>(
    client: Client,
    (watched, decode): (Watched, D),
    keep: impl Fn(D::Item) -> T,
    apply: impl FnMut(Change<T>),
    stop: CancellationToken,
) {
    let mut set = Set {
        client,
        watched,
        decode,
        keep,
        apply,
        version: None,
        healthy: true,
        backoff: watch_backoff(),
    };
    while let Some(turn) = stop.run_until_cancelled(set.turn()).await {
        let Err(error) = turn else {
            continue;
        };
        if set.healthy {
            let kind = watched.kind;
            warn!(%kind, %error, "cannot watch; what is known stays in force");
        }
        set.healthy = false;
        let pause = set.backoff.next().unwrap_or(SHORT);
        let pause = stop.run_until_cancelled(tokio::time::sleep(pause));
        if pause.await.is_none() {
            return;
        }
    }
}

/// A set that is kept.
struct Set<D, K, A> {
    client: Client,
    watched: Watched,
    decode: D,
    keep: K,
    apply: A,
    /// Up to where it is known; `None` if it must be listed.
    version: Option<String>,
    healthy: bool,
    backoff: watcher::ExponentialBackoff,
}

/// Why a set is not up to date.
#[derive(Debug, thiserror::Error)]
enum Stale {
    #[error("failed to list: {0}")]
    List(#[source] Error),
    #[error("failed to watch: {0}")]
    Watch(#[source] Error),
    #[error("failed to read the watch: {0}")]
    Read(#[source] std::io::Error),
    #[error("the list has no resource version")]
    NoVersion,
}

impl<D, K, A, T> Set<D, K, A>
where
    D: Decode,
    K: Fn(D::Item) -> T,
    A: FnMut(Change<T>),
{
    /// Lists if it must, then watches until the watch ends.
    async fn turn(&mut self) -> Result<(), Stale> {
        let version = match self.version.clone() {
            Some(version) => version,
            None => self.list().await?,
        };
        let begun = Instant::now();
        let watched = self.watch(&version).await;
        let same = self.version.as_ref() == Some(&version);
        if same && watched.is_ok() && begun.elapsed() < SHORT {
            tokio::time::sleep(SHORT).await;
        }
        watched
    }

    /// Returns the version of the list.
    async fn list(&mut self) -> Result<String, Stale> {
        let mut listed = Vec::new();
        let mut next = None;
        let version = loop {
            let page = self.page(next).await.map_err(Stale::List)?;
            listed.extend(page.items.into_iter().map(&self.keep));
            next = page.next;
            if next.is_none() {
                break page.version;
            }
        };
        if version.is_empty() {
            return Err(Stale::NoVersion);
        }
        let kind = self.watched.kind;
        info!(%kind, count = listed.len(), "listed");
        (self.apply)(Change::Replace(listed));
        self.version = Some(version.clone());
        self.well();
        Ok(version)
    }

    async fn page(&mut self, next: Option<String>) -> Result<Page<D::Item>, Error> {
        let params = ListParams {
            field_selector: Some(self.watched.fields.to_owned()),
            limit: Some(PAGE),
            continue_token: next,
            ..ListParams::default()
        };
        let request = Request::new(self.watched.path).list(&params);
        let request = accepting::<D>(request.map_err(Error::BuildRequest)?);
        let text = self.client.request_text(request).await?;
        self.decode.page(&text)
    }

    async fn watch(&mut self, version: &str) -> Result<(), Stale> {
        let params = WatchParams {
            field_selector: Some(self.watched.fields.to_owned()),
            timeout: Some(LASTS),
            bookmarks: true,
            ..WatchParams::default()
        };
        let request = Request::new(self.watched.path).watch(&params, version);
        let request = request.map_err(Error::BuildRequest).map_err(Stale::Watch)?;
        let answer = self.client.request_stream(accepting::<D>(request)).await;
        let mut lines = answer.map_err(|error| self.failed(error))?.lines();
        while let Some(line) = lines.next().await {
            let line = line.map_err(Stale::Read)?;
            let event = self.decode.event(&line);
            let event = event.map_err(|error| self.failed(error))?;
            for change in event.changes {
                let change = match change {
                    Change::Put(item) => Change::Put((self.keep)(item)),
                    Change::Remove(item) => Change::Remove((self.keep)(item)),
                    Change::Replace(items) => {
                        Change::Replace(items.into_iter().map(&self.keep).collect())
                    }
                };
                (self.apply)(change);
            }
            if !event.version.is_empty() {
                self.version = Some(event.version);
            }
            self.well();
        }
        self.well();
        Ok(())
    }

    /// Why the watch cannot go on; what is to be listed again then.
    fn failed(&mut self, error: Error) -> Stale {
        let is_lost = match &error {
            Error::Api(status) => status.code == GONE,
            Error::SerdeError(_) => true,
            _ => false,
        };
        if is_lost {
            self.version = None;
        }
        Stale::Watch(error)
    }

    fn well(&mut self) {
        if !self.healthy {
            info!(kind = %self.watched.kind, "watching again");
        }
        self.healthy = true;
        self.backoff.reset();
    }
}

/// The version is too old to watch from there.
const GONE: u16 = 410;

fn accepting<D: Decode>(mut request: http::Request<Vec<u8>>) -> http::Request<Vec<u8>> {
    let accept = HeaderValue::from_static(D::ACCEPT);
    request.headers_mut().insert(header::ACCEPT, accept);
    request
}

#[cfg(test)]
mod tests;
