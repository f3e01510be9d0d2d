//! Requests to the Kubernetes API, with the permissions of the caller. Each has a limit of time and of bytes.

mod configured;
mod decode;
mod exchange;
mod failure;
mod interim;
mod namespaces;
mod pages;
mod path;
mod proof;
mod tail;

use std::{sync::Arc, time::Duration};

use http::{Request, StatusCode, header};
use jiff::Timestamp;
use kube::{Client, client::Body};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep_until},
};
use tributary_kubeconfig::{proxy, server};

use self::{
    configured::{CREDENTIALS_WITHIN, Configured, client},
    decode::{LONG, Memory},
    exchange::Answer,
    failure::failed,
    pages::Pages,
    proof::Proof,
};
pub(crate) use self::{
    decode::LeftOut,
    path::{encoded, path},
};
pub use self::{failure::Failure, tail::Tail};
use crate::{args::Common, commands::Commands};

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
    /// How long the server may take for one answer.
    limit: Duration,
    /// The turn of large answers.
    turn: Arc<Semaphore>,
    /// Whether it is a Kubernetes API.
    proof: Arc<Proof>,
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

impl KubeApi {
    /// The API that the flags name.
    ///
    /// # Errors
    ///
    /// There is no kubeconfig, it cannot be used, or something else than a Kubernetes API answers.
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
        let api = Self {
            client: client(config, &from, CREDENTIALS_WITHIN).await?,
            asks_again,
            server,
            limit: common.request_timeout,
            turn: one_turn(),
            proof: Arc::default(),
            namespace,
            commands: Commands::of(common),
        };
        // Any other failure may pass, and is that of each request.
        if let Err(failure @ Failure::Foreign(_)) = api.proven().await {
            return Err(failure.into());
        }
        Ok(api)
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

    /// The path of the request, and the answer. Every document is read here, and none before the server has proven to be a
    /// Kubernetes API.
    async fn send(
        &self,
        request: http::request::Builder,
        body: Vec<u8>,
    ) -> Result<(String, Answer), Failure> {
        self.proven().await?;
        let request = request.header(header::ACCEPT, "application/json");
        let request = request.body(body).map_err(failed)?;
        let answer = self.patiently(&request).await?;
        let path = request.uri().path();
        if !answer.status.is_success() {
            return Err(self.refusal(path, &answer));
        }
        let path = path.to_owned();
        Ok((path, answer))
    }

    /// What the server answers. While it is busy it is asked again. A write is never repeated: one that was answered with 504
    /// may still be done, after one that came later.
    async fn patiently(&self, request: &Request<Vec<u8>>) -> Result<Answer, Failure> {
        let asks_again = self.asks_again && request.method().is_safe();
        let mut end = Instant::now() + self.limit;
        let (mut busy, mut pause) = (None, FIRST_PAUSE);
        loop {
            let request = request.clone().map(Body::from);
            let Some(answer) = self.exchange(request, &mut end).await? else {
                // What it answered last says more than that the time is over.
                return busy.ok_or_else(|| self.silent());
            };
            if !asks_again || !is_busy(answer.status) {
                return Ok(answer);
            }
            // Its turn, if it is large, is for the next one.
            let answer = answer.without_turn();
            sleep_until(end.min(Instant::now() + pause)).await;
            if Instant::now() >= end {
                return Ok(answer);
            }
            busy = Some(answer);
            pause = LONGEST_PAUSE.min(pause * 2);
        }
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
