//! A watch that keeps a set of objects, with an exchangeable decoder.
//!
//! kube's own watcher decodes lists of objects, and fails on a `null` that Go accepts
//! ([`super::null`]). An API server can also return [Tables], which have more than the metadata and
//! are half as long as whole objects. So this module lists in pages and then watches from there, as
//! kube's watcher does.
//!
//! [Tables]:
//! https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables

use std::time::Duration;

use ::kube::{
    Client, Error,
    api::{ListParams, Request, WatchParams},
    runtime::{utils::Backoff as _, watcher},
};
use http::{HeaderValue, header};
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{
    activity::Activity,
    answer::{Answer, Unread},
    left_out::{LeftOut, Said},
    objects::Objects,
    watch::{Change, LASTS, PAGE, watch_backoff},
};

/// How responses are decoded.
pub trait Decode {
    /// The type of the elements of the set.
    type Item;

    /// The `Accept` header. Without one the client decides.
    const ACCEPT: Option<&'static str>;

    /// Decodes a page of a list.
    ///
    /// # Errors
    ///
    /// It cannot be decoded.
    fn page(&mut self, json: &str) -> Result<Page<Self::Item>, Error>;

    /// Decodes a line of a watch.
    ///
    /// # Errors
    ///
    /// It cannot be decoded, or it reports that the watch failed.
    fn event(&mut self, json: &str) -> Result<Event<Self::Item>, Error>;
}

/// A page of a list.
#[derive(Debug)]
pub struct Page<T> {
    /// The objects on it.
    pub items: Vec<T>,
    /// The version to watch from.
    pub version: String,
    /// The token for the next page. `None` on the last one.
    pub next: Option<String>,
    /// Objects on it that could not be decoded.
    pub left_out: LeftOut,
}

/// A line of a watch.
#[derive(Debug)]
pub struct Event<T> {
    /// The version to watch from after this line.
    pub version: String,
    /// The change. A bookmark has none.
    pub changes: Vec<Change<T>>,
    /// The object, if it cannot be decoded. It then stays as it was. For a deleted object the name is enough.
    pub left_out: LeftOut,
}

/// Which objects are watched.
#[derive(Clone, Debug)]
pub struct Watched {
    /// Their kind.
    pub kind: &'static str,
    /// Their path.
    pub path: String,
    /// The field selector; empty for all.
    pub fields: String,
    /// The label selector; empty for all.
    pub labels: String,
    /// The most objects per page, so that the start in a large cluster has no memory peak. Fewer
    /// are requested if a page is too long.
    pub page: u32,
}

impl Watched {
    /// All objects of `kind` at `path`, in pages of 500.
    pub fn all(kind: &'static str, path: impl Into<String>) -> Self {
        Self {
            kind,
            path: path.into(),
            fields: String::new(),
            labels: String::new(),
            page: PAGE,
        }
    }
}

/// A watch that ends this soon without an event has failed without an error, so there is a pause
/// before the next one.
const SHORT: Duration = Duration::from_secs(1);

/// If a page is too long, it is requested again with a tenth of the objects, down to one. After a
/// page that fits, the number is doubled again.
const FEWER: u32 = 10;
const MORE: u32 = 2;

/// Watches objects until `stop`, and calls `apply` with every change. `I` has the fields that are decoded.
///
/// `keep` takes what is needed from each object right after decoding. While the API cannot be reached the set does not
/// change. One log line reports that, and one reports the recovery.
/// set does not change. This is logged once, and so is the recovery.
pub async fn keep<I: DeserializeOwned, T>(
    client: Client,
    watched: Watched,
    keep: impl Fn(I) -> T,
    apply: impl FnMut(Change<T>),
    stop: CancellationToken,
) {
    keep_decoded(client, watched, Objects::default(), keep, apply, stop).await;
}

/// The same with the decoder `decode`.
pub async fn keep_decoded<D: Decode, T>(
    client: Client,
    watched: Watched,
    decode: D,
    keep: impl Fn(D::Item) -> T,
    mut apply: impl FnMut(Change<T>),
    stop: CancellationToken,
) {
    let kind = watched.kind;
    let tell = |change| match change {
        Ok(change) => apply(change),
        Err(error) => warn!(%kind, %error, "failed to watch; keeping what is known"),
    };
    follow(client, watched, decode, keep, tell, stop).await;
}

/// The same. `tell` also gets the reason when the API can no longer be watched.
pub async fn follow<D: Decode, T>(
    client: Client,
    watched: Watched,
    decode: D,
    keep: impl Fn(D::Item) -> T,
    tell: impl FnMut(Result<Change<T>, Stale>),
    stop: CancellationToken,
) {
    let mut set = Set {
        client,
        watched,
        decode,
        keep,
        tell,
        version: None,
        activity: None,
        said: Said::default(),
        healthy: true,
        backoff: watch_backoff(),
    };
    while let Some(turn) = stop.run_until_cancelled(set.turn()).await {
        let Err(error) = turn else {
            continue;
        };
        if error.is_unreadable() {
            // For the client this was a successful response.
            set.activity.iter().for_each(Activity::failed);
        }
        if std::mem::replace(&mut set.healthy, false) {
            (set.tell)(Err(error));
        }
        let pause = set.backoff.next().unwrap_or(SHORT);
        let pause = stop.run_until_cancelled(tokio::time::sleep(pause));
        if pause.await.is_none() {
            return;
        }
    }
}

/// A set that is kept up to date.
struct Set<D, K, A> {
    client: Client,
    watched: Watched,
    decode: D,
    keep: K,
    tell: A,
    /// The version up to which it is known. `None` if it must be listed.
    version: Option<String>,
    /// Records which objects of the last response could not be decoded.
    activity: Option<Activity>,
    said: Said,
    healthy: bool,
    backoff: watcher::ExponentialBackoff,
}

/// Why a set is out of date.
#[derive(Debug, thiserror::Error)]
pub enum Stale {
    /// The list failed.
    #[error("failed to list: {0}")]
    List(#[source] Error),
    /// The watch failed.
    #[error("failed to watch: {0}")]
    Watch(#[source] Error),
    /// The connection of the watch failed.
    #[error("failed to read the watch: {0}")]
    Read(#[source] Error),
    /// The list has no version to watch from.
    #[error("the list has no resource version")]
    NoVersion,
    /// A list of one object, or a line of the watch, is too long.
    #[error("failed to read {0}: it is longer than 16 MiB")]
    TooLong(&'static str),
}

impl Stale {
    /// Whether the API responded with something that could not be decoded.
    fn is_unreadable(&self) -> bool {
        match self {
            Self::List(error) | Self::Watch(error) => matches!(error, Error::SerdeError(_)),
            Self::NoVersion | Self::TooLong(_) => true,
            Self::Read(_) => false,
        }
    }
}

impl<D, K, A, T> Set<D, K, A>
where
    D: Decode,
    K: Fn(D::Item) -> T,
    A: FnMut(Result<Change<T>, Stale>),
{
    /// Lists if necessary, then watches until the watch ends.
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

    /// Lists, and returns the version of the list.
    async fn list(&mut self) -> Result<String, Stale> {
        let (mut listed, mut next) = (Vec::new(), None);
        let mut limit = self.watched.page;
        // The version is that of the first page. A server may return all pages from the same moment. If it does not,
        // the watch reports the changes between them.
        let mut version = String::new();
        loop {
            let page = match self.page(next.as_ref(), limit).await {
                Ok(page) => page,
                Err(Unread::TooLong) if limit > 1 => {
                    debug!(kind = %self.watched.kind, limit, "page of the list is too long");
                    limit = (limit / FEWER).max(1);
                    continue;
                }
                Err(Unread::TooLong) => return Err(Stale::TooLong("the list")),
                Err(Unread::Failed(error)) => return Err(Stale::List(error)),
            };
            self.leave_out(page.left_out);
            listed.extend(page.items.into_iter().map(&self.keep));
            limit = limit.saturating_mul(MORE).min(self.watched.page);
            if version.is_empty() {
                version = page.version;
            }
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        if version.is_empty() {
            return Err(Stale::NoVersion);
        }
        let kind = self.watched.kind;
        info!(%kind, count = listed.len(), "listed");
        (self.tell)(Ok(Change::Replace(listed)));
        self.version = Some(version.clone());
        self.well();
        Ok(version)
    }

    async fn page(&mut self, next: Option<&String>, limit: u32) -> Result<Page<D::Item>, Unread> {
        let params = ListParams {
            field_selector: given(&self.watched.fields),
            label_selector: given(&self.watched.labels),
            limit: Some(limit),
            continue_token: next.cloned(),
            ..ListParams::default()
        };
        let request = Request::new(&self.watched.path).list(&params);
        let request = request.map_err(Error::BuildRequest);
        let answer = self.ask(request.map_err(Unread::Failed)?).await;
        let json = answer.map_err(Unread::Failed)?.whole().await?;
        let page = self.decode.page(&String::from_utf8_lossy(&json));
        page.map_err(Unread::Failed)
    }

    async fn ask(&mut self, request: http::Request<Vec<u8>>) -> Result<Answer, Error> {
        let answer = Answer::to(&self.client, accepting::<D>(request)).await?;
        self.activity.clone_from(&answer.activity);
        Ok(answer)
    }

    async fn watch(&mut self, version: &str) -> Result<(), Stale> {
        let params = WatchParams {
            field_selector: given(&self.watched.fields),
            label_selector: given(&self.watched.labels),
            timeout: Some(LASTS),
            bookmarks: true,
            ..WatchParams::default()
        };
        let request = Request::new(&self.watched.path).watch(&params, version);
        let request = request.map_err(Error::BuildRequest).map_err(Stale::Watch)?;
        let answer = self.ask(request).await;
        let mut answer = answer.map_err(|error| self.failed(error))?;
        while let Some(line) = answer.line().await.map_err(|why| self.broken(why))? {
            let event = self.decode.event(&String::from_utf8_lossy(&line));
            let event = event.map_err(|error| self.failed(error))?;
            self.leave_out(event.left_out);
            for change in event.changes {
                let change = match change {
                    Change::Put(item) => Change::Put((self.keep)(item)),
                    Change::Remove(item) => Change::Remove((self.keep)(item)),
                    Change::Replace(items) => {
                        Change::Replace(items.into_iter().map(&self.keep).collect())
                    }
                };
                (self.tell)(Ok(change));
            }
            if !event.version.is_empty() {
                self.version = Some(event.version);
            }
            self.well();
        }
        self.well();
        Ok(())
    }

    /// Counts and logs objects that could not be decoded.
    fn leave_out(&mut self, left_out: LeftOut) {
        if let Some(activity) = &self.activity {
            activity.left_out(left_out.count());
        }
        self.said.say(self.watched.kind, left_out);
    }

    /// Why the watch ended. After a line that is too long everything is listed again, because the
    /// watch would send the same line.
    fn broken(&mut self, why: Unread) -> Stale {
        match why {
            Unread::TooLong => {
                self.version = None;
                Stale::TooLong("a line of the watch")
            }
            Unread::Failed(error) => Stale::Read(error),
        }
    }

    /// Why the watch cannot continue. Everything is listed again then.
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

/// The API no longer has this version.
const GONE: u16 = 410;

/// The parameter of a selector, unless it is empty.
fn given(selector: &str) -> Option<String> {
    (!selector.is_empty()).then(|| selector.to_owned())
}

fn accepting<D: Decode>(mut request: http::Request<Vec<u8>>) -> http::Request<Vec<u8>> {
    if let Some(accept) = D::ACCEPT {
        let accept = HeaderValue::from_static(accept);
        request.headers_mut().insert(header::ACCEPT, accept);
    }
    request
}

#[cfg(test)]
mod tests;
