//! How long the Kubernetes API may take: the client with a limit on everything.
//!
//! kube-client has a read timeout, off by default, that counts per read of a
//! connection. It cannot tell a LIST, which must be answered soon, from a watch,
//! which may say nothing for a minute. So the limits are kept here, around each
//! request, and what is over one is dropped together with its connection: HTTP/1
//! cannot use a connection whose answer was not read to its end, so the next try
//! gets another. (kube-client speaks HTTP/1 only.)

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use ::kube::{
    Client, Config,
    client::{Body, ClientBuilder, ConfigExt as _},
};
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderValue, Request, Response, header};
use http_body::Frame;
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use tokio::time::{Instant, Sleep, sleep_until, timeout, timeout_at};
use tower::{
    BoxError, Service, ServiceBuilder, ServiceExt as _,
    util::{BoxService, MapRequestLayer},
};
use tracing::debug;

use crate::exit::Misconfigured;

/// How long a connection may be idle until it is closed. Short, so that after an
/// outage few dead ones are left to be tried.
const IDLE: Duration = Duration::from_secs(30);

/// Idle connections of one client. A watch needs one and reviews come in bursts.
const MOST_IDLE: usize = 8;

/// When the kernel asks a peer that says nothing whether it is there: after
/// [`KEEPALIVE`], then every [`KEEPALIVE_EVERY`], [`KEEPALIVE_TRIES`] times. So a
/// machine that is gone is noticed within half a minute, and what stands between
/// (a load balancer, conntrack) does not forget the connection.
const KEEPALIVE: Duration = Duration::from_secs(15);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(5);
const KEEPALIVE_TRIES: u32 = 3;

/// How long the Kubernetes API may take, and be silent.
///
/// # Invariants
///
/// `silence` is longer than the 60 s after which the server ends a watch (and
/// sends bookmarks), so one that is silent for longer is dead and not quiet; and
/// shorter than the 65 s after which kube-runtime gives up without a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Until a connection stands: DNS, TCP, and TLS.
    pub connect: Duration,
    /// A request that is no watch, until the last byte of the answer. A watch,
    /// until the head of the answer.
    pub request: Duration,
    /// How long a watch may be silent.
    pub silence: Duration,
    /// How long a watch may hear nothing, over all its tries, until the process
    /// is not ready.
    pub unready: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            request: Duration::from_secs(15),
            silence: Duration::from_secs(63),
            unready: Duration::from_mins(5),
        }
    }
}

impl Limits {
    /// A client for `config` with these limits. It tries nothing again: whoever
    /// asks knows best.
    ///
    /// # Errors
    ///
    /// Certificates or keys in the configuration cannot be used, or it wants a
    /// proxy.
    pub fn client(self, config: Config) -> Result<Client, Misconfigured> {
        Ok(self.builder(config)?.build())
    }

    /// A client whose lists and watches ask for metadata only, where they do not say
    /// what they accept.
    ///
    /// It sets `Accept` and leaves the rest to the ordinary machinery, so that
    /// the caller's own type is decoded from the answer and what is not wanted
    /// (managed fields above all) is skipped, not built and dropped.
    ///
    /// # Errors
    ///
    /// As for [`Limits::client`].
    pub fn metadata_client(self, config: Config) -> Result<Client, Misconfigured> {
        let metadata = MapRequestLayer::new(accept_metadata);
        Ok(self.builder(config)?.with_layer(&metadata).build())
    }

    fn builder(self, config: Config) -> Result<ClientBuilder<Bounded>, Misconfigured> {
        if let Some(proxy) = &config.proxy_url {
            return Err(Misconfigured::new(format!(
                "the Kubernetes API is to be reached by the proxy {proxy} (proxy-url in the \
                 kubeconfig, or HTTPS_PROXY), which is not supported"
            )));
        }
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_keepalive(Some(KEEPALIVE));
        tcp.set_keepalive_interval(Some(KEEPALIVE_EVERY));
        tcp.set_keepalive_retries(Some(KEEPALIVE_TRIES));
        let tls = config
            .rustls_https_connector_with_connector(tcp)
            .map_err(Misconfigured::new)?;
        let connect = self.connect;
        let connector = tls.map_future(move |connecting| {
            Box::pin(async move {
                let late = |_| Err(Late::Connection(connect).boxed());
                timeout(connect, connecting).await.unwrap_or_else(late)
            })
        });
        let hyper = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(MOST_IDLE)
            .build(connector);
        let inner = ServiceBuilder::new()
            .layer(config.base_uri_layer())
            .option_layer(config.auth_layer().map_err(Misconfigured::new)?)
            .layer(config.extra_headers_layer().map_err(Misconfigured::new)?)
            .map_err(BoxError::from)
            .service(hyper)
            .boxed();
        let bounded = Bounded {
            inner,
            limits: self,
        };
        Ok(ClientBuilder::new(bounded, config.default_namespace))
    }
}

/// A limit that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Late {
    #[error("no connection to the Kubernetes API within {0:?}")]
    Connection(Duration),
    #[error("no answer from the Kubernetes API within {0:?}")]
    Answer(Duration),
    #[error("the Kubernetes API has been silent for {0:?}")]
    Silence(Duration),
}

impl Late {
    fn boxed(self) -> BoxError {
        Box::new(io::Error::new(io::ErrorKind::TimedOut, self))
    }
}

/// Whether this asks for a watch, whose answer has no end.
pub(super) fn is_watch<B>(request: &Request<B>) -> bool {
    let query = request.uri().query().unwrap_or_default();
    query.split('&').any(|pair| pair == "watch=true")
}

fn accept_metadata<B>(mut request: Request<B>) -> Request<B> {
    const LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    const ITEM: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
    let accept = if is_watch(&request) { ITEM } else { LIST };
    let accept = HeaderValue::from_static(accept);
    request
        .headers_mut()
        .entry(header::ACCEPT)
        .or_insert(accept);
    request
}

/// Requests, each within the limits.
#[derive(Debug)]
struct Bounded {
    inner: BoxService<Request<Body>, Response<hyper::body::Incoming>, BoxError>,
    limits: Limits,
}

impl Service<Request<Body>> for Bounded {
    type Response = Response<BoundedBody>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Limits {
            request: limit,
            silence,
            ..
        } = self.limits;
        let is_watch = is_watch(&request);
        debug!(method = %request.method(), uri = %request.uri(), "request to the Kubernetes API");
        let answer = self.inner.call(request);
        let deadline = Instant::now() + limit;
        Box::pin(async move {
            let late = |_| Err(Late::Answer(limit).boxed());
            let answer = timeout_at(deadline, answer).await.unwrap_or_else(late)?;
            let bound = if is_watch {
                Bound::Silence(silence)
            } else {
                Bound::Whole(limit)
            };
            let until = bound.until(deadline);
            Ok(answer.map(|body| BoundedBody {
                body: Some(body),
                bound,
                sleep: Box::pin(sleep_until(until)),
            }))
        })
    }
}

/// What is limited about a body.
#[derive(Clone, Copy, Debug)]
enum Bound {
    /// All of it, and the head, together.
    Whole(Duration),
    /// Each pause in it.
    Silence(Duration),
}

impl Bound {
    /// Until when there must be more.
    fn until(self, deadline: Instant) -> Instant {
        match self {
            Self::Whole(_) => deadline,
            Self::Silence(silence) => Instant::now() + silence,
        }
    }

    fn late(self) -> Late {
        match self {
            Self::Whole(limit) => Late::Answer(limit),
            Self::Silence(limit) => Late::Silence(limit),
        }
    }
}

/// A body that ends with an error when it takes too long.
#[derive(Debug)]
struct BoundedBody {
    /// `None` once it is too late: this closes the connection, whatever is done
    /// with what is left of the answer.
    body: Option<hyper::body::Incoming>,
    bound: Bound,
    sleep: Pin<Box<Sleep>>,
}

impl http_body::Body for BoundedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        if let Poll::Ready(frame) = Pin::new(body).poll_frame(context) {
            if let Bound::Silence(silence) = self.bound {
                self.sleep.as_mut().reset(Instant::now() + silence);
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(BoxError::from)));
        }
        ready!(self.sleep.as_mut().poll(context));
        self.body = None;
        Poll::Ready(Some(Err(self.bound.late().boxed())))
    }
}

#[cfg(test)]
mod tests;
