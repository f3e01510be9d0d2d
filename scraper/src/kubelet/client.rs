//! One request to one kubelet.
//!
//! What metrics-server leaves to Go's defaults is decided here
//! (docs/parity.md#credentials): no redirect is followed, so the token stays with
//! the host it is for; no proxy is used because of the environment; the body is
//! capped, compressed and inflated; the time limit is for all of it, from the
//! dial to the last byte.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, Uri, header, uri::PathAndQuery};
use http_body_util::Empty;
use kube::Config;
use tokio::time::{Instant, timeout_at};
use tributary_model::Endpoint;
use tributary_runtime::{exit::Misconfigured, metrics::Expirations, tasks::Tasks};

use super::{
    TokenMetrics,
    connection::{Connection, Peer},
    credentials::{Access, Credentials, Security},
    failure::{Reason, ScrapeError, Stage},
    pages::{Page, PageCounters, Pages},
};
use crate::nodes::Target;

/// What all kubelets have in common: credentials, limits, buffers.
#[derive(Debug)]
pub struct Client {
    credentials: Credentials,
    limit: Duration,
    verify_node_name: bool,
    falls_back: bool,
    pub(super) pages: Pages,
}

/// What is asked of a kubelet.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) endpoint: Endpoint,
    pub(super) path: PathAndQuery,
    /// Until when, from the dial to the last byte; from the first request on.
    until: Option<Instant>,
}

impl Ask {
    /// Asks this endpoint at this path.
    pub(super) fn new(endpoint: Endpoint, path: PathAndQuery) -> Self {
        Self {
            endpoint,
            path,
            until: None,
        }
    }

    /// Asks another endpoint instead, within the time that is left.
    pub(super) fn instead(&mut self, endpoint: Endpoint, path: PathAndQuery) {
        (self.endpoint, self.path) = (endpoint, path);
    }
}

/// What one kubelet may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For a request, from the dial to the last byte.
    pub time: Duration,
    /// Bytes of a page, as sent and as inflated; one of
    /// [`PAGE_LIMITS`](super::PAGE_LIMITS).
    pub page: usize,
    /// Whether a kubelet without `/metrics/resource` is asked for other endpoints.
    pub fallback: bool,
}

const USER_AGENT: &str = concat!("tributary-scraper/", env!("CARGO_PKG_VERSION"));

impl Client {
    /// A client that starts from the configuration `base` for the API server.
    ///
    /// # Errors
    ///
    /// A file with a credential cannot be read or used.
    pub fn new(
        security: &Security,
        base: &Config,
        limits: Limits,
    ) -> Result<Arc<Self>, Misconfigured> {
        let credentials = Credentials::new(security, base).map_err(|error| {
            Misconfigured::new(format!(
                "unable to construct a client to connect to the kubelets: {error}"
            ))
        })?;
        Ok(Arc::new(Self {
            credentials,
            limit: limits.time,
            verify_node_name: security.verify_node_name,
            falls_back: limits.fallback,
            pages: Pages::new(limits.page),
        }))
    }

    /// What is counted of pages.
    pub(crate) fn page_counters(&self) -> PageCounters {
        self.pages.counters().clone()
    }

    /// With the certificates by which we and kubelets know each other.
    pub(crate) fn register_expiry(self: &Arc<Self>, expirations: Expirations) -> Expirations {
        let (authority, own) = (Arc::clone(self), Arc::clone(self));
        expirations
            .with("kubelet-ca", move || {
                authority.credentials.authority_expires()
            })
            .with("kubelet-client", move || {
                own.credentials.certificate_expires()
            })
    }

    /// Starts what keeps the token for kubelets new, if one is to be requested.
    /// An account without a namespace is in the default one of `api`.
    pub(crate) fn keep_token(
        self: &Arc<Self>,
        tasks: &mut Tasks,
        api: kube::Client,
        metrics: TokenMetrics,
    ) {
        let (kubelets, stop) = (Arc::clone(self), tasks.stop());
        tasks.spawn("kubelet-token", async move {
            kubelets.credentials.keep(api, &metrics, stop).await;
            Ok(())
        });
    }

    /// Whether a kubelet without `/metrics/resource` is asked for other endpoints.
    pub(super) fn falls_back(&self) -> bool {
        self.falls_back
    }

    /// Fetches the page of `target` over `kept`, or a new connection, and
    /// leaves there what can be used again.
    pub(super) async fn fetch(
        &self,
        target: &Target,
        ask: &mut Ask,
        kept: &mut Option<Connection>,
    ) -> Result<Page, ScrapeError> {
        let host = match &target.host {
            Ok(host) if !host.is_empty() => host,
            Ok(_) => return Err(ScrapeError::new(Reason::Address, "the address is empty")),
            Err(error) => return Err(ScrapeError::new(Reason::Address, error.to_string())),
        };
        let access = self.credentials.access();
        let authorization = self.credentials.authorization(&access).await;
        let authorization = authorization.map_err(|error| ScrapeError::new(Reason::Auth, error))?;
        let end = Peer {
            host: Arc::clone(host),
            port: target.port,
            node: self.verify_node_name.then(|| target.node.clone()),
            generation: access.generation,
        };
        let mut stage = Stage::Dial;
        // Whoever stops waiting here drops the connection with the request on
        // it, so that no answer is taken for that of the next.
        let usable = kept.take().filter(|kept| *kept.end() == end);
        let request = request(&end, &ask.path, authorization.as_ref());
        let attempt = self.attempt(end, request, &access, usable, &mut stage);
        let until = ask.until.get_or_insert_with(|| Instant::now() + self.limit);
        match timeout_at(*until, attempt).await {
            Ok((page, connection)) => {
                *kept = connection;
                if page
                    .as_ref()
                    .is_err_and(|error| error.doubts_credentials(ask.endpoint))
                {
                    self.credentials.was_refused(authorization.as_ref());
                }
                page
            }
            Err(_) => Err(ScrapeError::timeout(stage, self.limit)),
        }
    }

    async fn attempt(
        &self,
        end: Peer,
        request: Request<Empty<Bytes>>,
        access: &Access,
        kept: Option<Connection>,
        stage: &mut Stage,
    ) -> (Result<Page, ScrapeError>, Option<Connection>) {
        if let Some(kept) = kept {
            let exchange = kept.exchange(request.clone(), &self.pages, stage).await;
            // It may have been closed long ago, which says nothing about the
            // kubelet: once more, on a new one.
            if !exchange.unanswered {
                return (exchange.page, exchange.connection);
            }
        }
        match Connection::dial(end, access, self.limit, stage).await {
            Err(error) => (Err(error), None),
            Ok(connection) => {
                let exchange = connection.exchange(request, &self.pages, stage).await;
                (exchange.page, exchange.connection)
            }
        }
    }
}

fn request(
    end: &Peer,
    path: &PathAndQuery,
    authorization: Option<&HeaderValue>,
) -> Request<Empty<Bytes>> {
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = Uri::from(path.clone());
    let headers = request.headers_mut();
    headers.insert(header::HOST, host(end));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    if let Some(authorization) = authorization {
        headers.insert(header::AUTHORIZATION, authorization.clone());
    }
    request
}

/// Host and port, an IPv6 address in brackets (docs/parity.md#address).
fn host(end: &Peer) -> HeaderValue {
    let (open, close) = if end.host.contains(':') {
        ("[", "]")
    } else {
        ("", "")
    };
    let value = format!("{open}{}{close}:{}", end.host, end.port);
    // A host that cannot stand in a header was refused by the dial.
    HeaderValue::try_from(value).unwrap_or_else(|_| HeaderValue::from_static("kubelet"))
}

#[cfg(test)]
mod tests;
