//! Requests to the Kubernetes API, with the permissions of the caller. Each has a limit of time and of bytes.

mod configured;
mod decode;
mod failure;
mod namespaces;
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
    time::{sleep, timeout},
};
use tributary_kubeconfig::{proxy, server, text};

use self::{
    configured::Configured,
    decode::{LONG, Memory},
    failure::{content_type, failed},
    pages::Pages,
};
pub(crate) use self::{
    decode::LeftOut,
    path::{encoded, path},
};
pub use self::{failure::Failure, tail::Tail};
use crate::{args::Common, commands::Commands};

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

/// The pauses before a server that is busy is asked again: the first one, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The Kubernetes API.
#[derive(Clone)]
pub struct KubeApi {
    client: Client,
    /// Whether it is asked again while it is busy.
    asks_again: bool,
    /// Its URL.
    server: String,
    limit: Duration,
    /// The turn of large answers.
    turn: Arc<Semaphore>,
    /// The namespace that was asked for, or that of the context.
    pub namespace: String,
    /// Commands to copy, for the same cluster.
    pub commands: Commands,
}

impl std::fmt::Debug for KubeApi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KubeApi").finish_non_exhaustive()
    }
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
    content_type: String,
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

    /// The same, and it repeats what only reads while the API answers 429, 503 or 504, as long as a request may take: for
    /// what must go on while a server is restarted.
    ///
    /// # Errors
    ///
    /// As for [`KubeApi::connect`].
    pub async fn patient(common: &Common) -> anyhow::Result<Self> {
        Self::with(common, true).await
    }

    async fn with(common: &Common, asks_again: bool) -> anyhow::Result<Self> {
        let Configured { mut config, from } = Configured::of(common).await?;
        if let Some(why) = proxy(&config) {
            anyhow::bail!("{from}: {why}");
        }
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
        Ok(Self {
            client: Client::try_from(config).map_err(unusable)?,
            asks_again,
            server,
            limit: common.request_timeout,
            turn: one_turn(),
            namespace,
            commands: Commands::of(common),
        })
    }

    /// The same, and nothing is asked again: that a server is busy is what there is to say.
    #[must_use]
    pub fn at_once(&self) -> Self {
        Self {
            asks_again: false,
            ..self.clone()
        }
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

    /// The same; an API without this kind has none of them.
    ///
    /// # Errors
    ///
    /// A page cannot be read.
    pub async fn if_known<T: DeserializeOwned>(
        &self,
        path: &str,
    ) -> Result<Dated<Vec<T>>, Failure> {
        match self.dated_list(path).await {
            Err(Failure::NotFound(_)) => Ok(Dated {
                read: Vec::new(),
                date: None,
            }),
            read => read,
        }
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
        read.map_err(|error| self.undecodable(&path, &answer, &error))
    }

    /// The path of the request, and the answer.
    async fn send(
        &self,
        request: http::request::Builder,
        body: Vec<u8>,
    ) -> Result<(String, Answer), Failure> {
        let request = request.header(header::ACCEPT, "application/json");
        let request = request.body(body).map_err(failed)?;
        let mut busy = None;
        let answer = timeout(self.limit, self.patiently(&request, &mut busy)).await;
        let answer = match (answer, busy) {
            (Ok(answer), _) => answer?,
            // What it answered last says more than that the time is over.
            (Err(_), Some(busy)) => busy,
            (Err(_), None) => return Err(self.silent()),
        };
        let path = request.uri().path();
        if !answer.status.is_success() {
            return Err(self.refusal(path, &answer));
        }
        let path = path.to_owned();
        Ok((path, answer))
    }

    /// What the server answers. If it is busy, that is in `busy` while it is asked again. A write is never repeated: one that
    /// was answered with 504 may still be done, after one that came later.
    async fn patiently(
        &self,
        request: &Request<Vec<u8>>,
        busy: &mut Option<Answer>,
    ) -> Result<Answer, Failure> {
        let asks_again = self.asks_again && request.method().is_safe();
        let mut pause = FIRST_PAUSE;
        loop {
            let answer = self.exchange(request.clone().map(Body::from)).await?;
            if !asks_again || !is_busy(answer.status) {
                return Ok(answer);
            }
            // Its turn, if it is large, is for the next one.
            *busy = Some(Answer {
                _turn: None,
                ..answer
            });
            sleep(pause).await;
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }

    async fn exchange(&self, request: Request<Body>) -> Result<Answer, Failure> {
        let unreachable = |error| self.unreachable(&error);
        let answer = self.client.send(request).await.map_err(unreachable)?;
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
            content_type: content_type(&head.headers),
            date: date.map(|date| date.timestamp()),
            from_tributary,
            body: read,
            _turn: turn,
        })
    }
}

/// Whether a server asks its callers to come again.
fn is_busy(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

/// The turn of large answers, of which there is one.
fn one_turn() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(1))
}

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;
