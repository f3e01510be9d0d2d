//! Requests to the Kubernetes API, with the permissions of the caller. Each has a limit of time and of bytes.

mod configured;
mod decode;
mod pages;
mod path;
mod tail;

use std::{sync::Arc, time::Duration};

use http::{Request, StatusCode, header};
use http_body_util::BodyExt as _;
use jiff::{Timestamp, fmt::rfc2822};
use kube::{Client, client::Body};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tributary_kubeconfig::{server, text};

pub use self::tail::Tail;
use self::{
    configured::Configured,
    decode::{LONG, Memory},
    pages::Pages,
};
pub(crate) use self::{
    decode::LeftOut,
    path::{encoded, path},
};
use crate::args::Common;

/// The longest answer that is read: a page of a list of large objects.
const LONGEST: usize = 64 << 20;

/// From how many bytes on an answer needs a turn, so that there is one such answer at a time.
const LARGE: usize = 8 << 20;

/// By how much the memory for a large answer grows.
const STEP: usize = 8 << 20;

/// How much memory an object may take, about.
const OBJECT: usize = 128 << 20;

/// How many objects a page of a list has.
const PAGE: usize = 500;

/// How many characters of an answer are shown that is not a Status.
const EXCERPT: usize = 256;

/// How many characters of the message of a Status are kept.
const MESSAGE: usize = 4_096;

/// The Kubernetes API.
#[derive(Clone)]
pub struct KubeApi {
    client: Client,
    /// For writes, where `client` asks again: a write that was answered with 504 may still be done, after one that came later.
    writes: Option<Client>,
    /// Its URL.
    server: String,
    limit: Duration,
    /// The turn of large answers.
    turn: Arc<Semaphore>,
    /// The namespace that was asked for, or that of the context.
    pub namespace: String,
}

impl std::fmt::Debug for KubeApi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KubeApi").finish_non_exhaustive()
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// 404: no such object, or no such resource.
    #[error("{0}")]
    NotFound(String),
    /// 401 or 403.
    #[error("{0}")]
    Forbidden(String),
    /// 503: the aggregator has no server to ask.
    #[error("{0}")]
    Unavailable(String),
    /// 409: another writer was first.
    #[error("{0}")]
    Conflict(String),
    /// There is no connection to the Kubernetes API: nothing can be read. The text is the same for every request.
    #[error("{0}")]
    Unreachable(String),
    /// Anything else: no time, another status, not what was expected.
    #[error("{0}")]
    Failed(String),
}

/// What was read, and when the server sent it.
#[derive(Clone, Debug, PartialEq)]
pub struct Dated<T> {
    /// What was read.
    pub read: T,
    /// By the server's clock. `None` if it does not say.
    pub date: Option<Timestamp>,
}

/// The header that names the server of an answer. kube-apiserver passes it on from the servers behind it.
const TRIBUTARY: &[u8] = b"tributary";

/// A list, and what is known of its answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed<T> {
    /// The items of all pages.
    pub items: Vec<T>,
    /// Whether every page is from Tributary.
    pub from_tributary: bool,
    /// When the last page was sent, by the server's clock.
    date: Option<Timestamp>,
}

/// An answer with its headers, as far as they are read.
struct Answer {
    status: StatusCode,
    date: Option<Timestamp>,
    from_tributary: bool,
    body: Vec<u8>,
    /// Of a large answer, until it is decoded.
    _turn: Option<OwnedSemaphorePermit>,
}

impl KubeApi {
    /// The API that the flags name.
    ///
    /// # Errors
    ///
    /// There is no kubeconfig, or it cannot be used.
    pub async fn connect(common: &Common) -> anyhow::Result<Self> {
        Self::with(common, false).await
    }

    /// The same, and it asks again while the API answers 429, 503 or 504, as long as a request may take: for what must go on
    /// while a server is restarted.
    ///
    /// # Errors
    ///
    /// As for [`KubeApi::connect`].
    pub async fn patient(common: &Common) -> anyhow::Result<Self> {
        Self::with(common, true).await
    }

    async fn with(common: &Common, asks_again: bool) -> anyhow::Result<Self> {
        let Configured { mut config, from } = Configured::of(common).await?;
        config.default_retry = false;
        config.connect_timeout = Some(common.request_timeout);
        // Each request has a limit of its own. One of the connection would end other requests on it, too, while one
        // waits for a server that is silent.
        config.read_timeout = None;
        let named = common.namespace.clone();
        let namespace = named.unwrap_or_else(|| config.default_namespace.clone());
        let server = server(&config.cluster_url);
        // The errors of kube may quote credentials.
        let unusable = |error| anyhow::anyhow!("{from}: {}", text(&error));
        let writes = Client::try_from(config.clone()).map_err(unusable)?;
        config.default_retry = asks_again;
        Ok(Self {
            client: Client::try_from(config).map_err(unusable)?,
            writes: Some(writes),
            server,
            limit: common.request_timeout,
            turn: one_turn(),
            namespace,
        })
    }

    /// The same with requests that take no longer than `limit`.
    #[must_use]
    pub fn within(&self, limit: Duration) -> Self {
        let limit = self.limit.min(limit);
        Self {
            limit,
            ..self.clone()
        }
    }

    /// An object, or any other document.
    ///
    /// # Errors
    ///
    /// There is none, or no answer.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.object(Request::get(path), Vec::new()).await
    }

    /// A list, page by page.
    ///
    /// # Errors
    ///
    /// A page cannot be read.
    pub async fn list<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, Failure> {
        Ok(self.dated_list(path).await?.read)
    }

    /// The same, with the date of the last page.
    ///
    /// # Errors
    ///
    /// A page cannot be read.
    pub async fn dated_list<T: DeserializeOwned>(
        &self,
        path: &str,
    ) -> Result<Dated<Vec<T>>, Failure> {
        let Listed { items, date, .. } = self.listed(path, PAGE, LONG).await?;
        Ok(Dated { read: items, date })
    }

    /// The same with pages of this many objects, without fields of these names, and with whether it is from Tributary.
    ///
    /// # Errors
    ///
    /// A page cannot be read.
    pub(crate) async fn listed<T: DeserializeOwned>(
        &self,
        path: &str,
        page: usize,
        left_out: LeftOut,
    ) -> Result<Listed<T>, Failure> {
        let mut pages = Pages::new(self, path, page, left_out);
        let mut listed = Listed {
            items: Vec::new(),
            from_tributary: true,
            date: None,
        };
        while let Some(page) = pages.next::<T>().await? {
            // Most lists have one page, of which there should be no copy.
            if listed.items.is_empty() {
                listed.items = page.items;
            } else {
                listed.items.extend(page.items);
            }
            listed.from_tributary &= page.from_tributary;
            listed.date = page.date;
        }
        Ok(listed)
    }

    /// The pages of a list.
    pub(crate) fn pages<'a>(&'a self, path: &'a str) -> Pages<'a> {
        Pages::new(self, path, PAGE, LONG)
    }

    /// What the API answers to a document that it does not keep: a review.
    ///
    /// # Errors
    ///
    /// There is no answer.
    pub async fn review(&self, path: &str, review: &Value) -> Result<Value, Failure> {
        self.write(Request::post(path), review).await
    }

    /// Creates an object, and returns it.
    ///
    /// # Errors
    ///
    /// It exists already, which is a conflict, or cannot be created.
    pub async fn create(&self, path: &str, object: &Value) -> Result<Value, Failure> {
        self.write(Request::post(path), object).await
    }

    /// Replaces an object, and returns it. Its `resourceVersion` is that of what it replaces.
    ///
    /// # Errors
    ///
    /// It was changed meanwhile, which is a conflict, or cannot be written.
    pub async fn replace(&self, path: &str, object: &Value) -> Result<Value, Failure> {
        self.write(Request::put(path), object).await
    }

    /// Deletes an object with these `DeleteOptions`.
    ///
    /// # Errors
    ///
    /// It was changed meanwhile, which is a conflict, or cannot be deleted.
    pub async fn delete(&self, path: &str, options: &Value) -> Result<Value, Failure> {
        self.write(Request::delete(path), options).await
    }

    async fn write(&self, request: http::request::Builder, body: &Value) -> Result<Value, Failure> {
        let request = request.header(header::CONTENT_TYPE, "application/json");
        self.object(request, body.to_string().into_bytes()).await
    }

    async fn object<T: DeserializeOwned>(
        &self,
        request: http::request::Builder,
        body: Vec<u8>,
    ) -> Result<T, Failure> {
        let (path, answer) = Box::pin(self.send(request, body)).await?;
        let mut left = OBJECT;
        let memory = Memory {
            most: OBJECT,
            left: &mut left,
        };
        let read = decode::object(&answer.body, memory);
        read.map_err(|error| unreadable(&path, &error))
    }

    /// The path of the request, and the answer.
    async fn send(
        &self,
        request: http::request::Builder,
        body: Vec<u8>,
    ) -> Result<(String, Answer), Failure> {
        let request = request.header(header::ACCEPT, "application/json");
        let request = request.body(Body::from(body)).map_err(failed)?;
        let path = request.uri().path().to_owned();
        let answer = timeout(self.limit, self.exchange(request)).await;
        let answer = answer.map_err(|_| self.silent())??;
        if !answer.status.is_success() {
            return Err(refusal(answer.status, &path, &answer.body));
        }
        Ok((path, answer))
    }

    async fn exchange(&self, request: Request<Body>) -> Result<Answer, Failure> {
        let unreachable = |error| self.unreachable(&error);
        let reads = request.method().is_safe();
        let writes = self.writes.as_ref().filter(|_| !reads);
        let client = writes.unwrap_or(&self.client);
        let answer = client.send(request).await.map_err(unreachable)?;
        let (head, mut body) = answer.into_parts();
        let date = head.headers.get(header::DATE);
        let date = date.and_then(|date| rfc2822::parse(date.to_str().ok()?).ok());
        let server = head.headers.get(header::SERVER);
        let from_tributary = server.is_some_and(|server| server.as_bytes() == TRIBUTARY);
        let (mut read, mut turn) = (Vec::new(), None);
        while let Some(frame) = body.frame().await {
            if let Ok(chunk) = frame.map_err(unreachable)?.into_data() {
                if read.len() + chunk.len() > LONGEST {
                    return Err(Failure::Failed(format!(
                        "an answer of over {LONGEST} bytes"
                    )));
                }
                if read.len() + chunk.len() > LARGE {
                    if turn.is_none() {
                        let turns = Arc::clone(&self.turn);
                        turn = Some(turns.acquire_owned().await.map_err(failed)?);
                    }
                    // Twice as much, as a vector grows by itself, is too much.
                    if read.capacity() - read.len() < chunk.len() {
                        read.reserve_exact(chunk.len().max(STEP));
                    }
                }
                read.extend_from_slice(&chunk);
            }
        }
        Ok(Answer {
            status: head.status,
            date: date.map(|date| date.timestamp()),
            from_tributary,
            body: read,
            _turn: turn,
        })
    }

    /// Without the path: callers say what they read, and an API that is silent is so for all of it.
    fn silent(&self) -> Failure {
        let (server, limit) = (&self.server, self.limit);
        Failure::Failed(format!("no answer from {server} in {limit:?}"))
    }

    fn unreachable(&self, error: &kube::Error) -> Failure {
        let server = &self.server;
        Failure::Unreachable(format!("failed to ask {server}: {}", text(error)))
    }
}

fn unreadable(path: &str, error: &serde_json::Error) -> Failure {
    Failure::Failed(format!("failed to read {path}: {error}"))
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::Failed(error.to_string())
}

fn refusal(status: StatusCode, path: &str, body: &[u8]) -> Failure {
    let said = serde_json::from_slice::<Value>(body).unwrap_or_default();
    let said = said.get("message").and_then(Value::as_str);
    let excerpt = || {
        let text = String::from_utf8_lossy(body);
        let text: String = text.trim().chars().take(EXCERPT).collect();
        format!("{path}: {status}: {text}")
    };
    let text = said.map_or_else(excerpt, |said| said.chars().take(MESSAGE).collect());
    match status {
        StatusCode::NOT_FOUND => Failure::NotFound(text),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Failure::Forbidden(text),
        StatusCode::SERVICE_UNAVAILABLE => Failure::Unavailable(text),
        StatusCode::CONFLICT => Failure::Conflict(text),
        _ => Failure::Failed(text),
    }
}

/// The turn of large answers, of which there is one.
fn one_turn() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(1))
}

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;
