//! Lists, which are read page by page, within limits over all pages: a server that always has one more page, or a page
//! with more in it, would keep the command for ever, or take all memory.

use std::time::Duration;

use http::Request;
use jiff::Timestamp;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::{Failure, KubeApi, encoded};

/// How long a list may become.
#[derive(Clone, Copy, Debug)]
struct Limits {
    pages: Limit,
    objects: Limit,
    bytes: Limit,
    /// How many times as long as one request it may take.
    requests: u32,
}

/// More than a cluster has: there are some 150,000 pods at most, of which all together only their usage is read.
const LIMITS: Limits = Limits {
    pages: Limit::of(1_000, "pages"),
    objects: Limit::of(500_000, "objects"),
    bytes: Limit::of(512 << 20, "bytes"),
    requests: 20,
};

/// A limit, and what is left of it.
#[derive(Clone, Copy, Debug)]
struct Limit {
    most: usize,
    of: &'static str,
    left: usize,
}

impl Limit {
    const fn of(most: usize, of: &'static str) -> Self {
        Self {
            most,
            of,
            left: most,
        }
    }

    fn spend(&mut self, number: usize, path: &str) -> Result<(), Failure> {
        let Self { most, of, left } = self;
        let Some(less) = left.checked_sub(number) else {
            let text = format!("{path} has more than {most} {of}, which is the limit");
            return Err(Failure::Failed(text));
        };
        *left = less;
        Ok(())
    }
}

/// A page, as it is sent.
#[derive(Deserialize)]
struct Sent {
    #[serde(default)]
    metadata: Meta,
    #[serde(default)]
    items: Vec<Value>,
}

#[derive(Default, Deserialize)]
struct Meta {
    #[serde(default, rename = "continue")]
    token: String,
}

/// A page.
#[derive(Debug)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    /// When it was sent, by the server's clock.
    pub(super) date: Option<Timestamp>,
    pub(super) from_tributary: bool,
}

/// A list that is being read.
#[derive(Debug)]
pub(crate) struct Pages<'a> {
    api: &'a KubeApi,
    path: &'a str,
    /// How many objects a page has.
    size: usize,
    /// The token of the next page: empty for the first, `None` after the last.
    token: Option<String>,
    /// What may still be read.
    left: Limits,
    end: Instant,
    may_take: Duration,
}

impl<'a> Pages<'a> {
    pub(super) fn new(api: &'a KubeApi, path: &'a str, size: usize) -> Self {
        Self::within(api, path, size, LIMITS)
    }

    fn within(api: &'a KubeApi, path: &'a str, size: usize, limits: Limits) -> Self {
        let may_take = api.limit.saturating_mul(limits.requests);
        Self {
            api,
            path,
            size,
            token: Some(String::new()),
            left: limits,
            end: Instant::now() + may_take,
            may_take,
        }
    }

    /// The next page; `None` after the last.
    ///
    /// # Errors
    ///
    /// It cannot be read, or the list is longer than it may be.
    pub(crate) async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<Page<T>>, Failure> {
        let Some(token) = self.token.take() else {
            return Ok(None);
        };
        self.left.pages.spend(1, self.path)?;
        let joint = if self.path.contains('?') { '&' } else { '?' };
        let mut path = format!("{}{joint}limit={}", self.path, self.size);
        if !token.is_empty() {
            path.push_str("&continue=");
            path.push_str(&encoded(&token));
        }
        let answer = self.api.send::<Sent>(Request::get(path), Vec::new());
        let answer = timeout_at(self.end, answer).await.map_err(|_| {
            let (path, may_take) = (self.path, self.may_take);
            Failure::Failed(format!("{path} has no end: not read in {may_take:?}"))
        })??;
        let Sent { metadata, items } = answer.read;
        self.left.bytes.spend(answer.bytes, self.path)?;
        self.left.objects.spend(items.len(), self.path)?;
        if !token.is_empty() && metadata.token == token {
            let path = self.path;
            return Err(Failure::Failed(format!(
                "{path} has no end: a page is followed by itself"
            )));
        }
        self.token = Some(metadata.token).filter(|token| !token.is_empty());
        let read = items.into_iter().map(serde_json::from_value::<T>);
        let read: Result<Vec<T>, _> = read.collect();
        Ok(Some(Page {
            items: read.map_err(|error| self.api.unreadable(self.path, &error))?,
            date: answer.date,
            from_tributary: answer.from_tributary,
        }))
    }
}

#[cfg(test)]
mod tests;
