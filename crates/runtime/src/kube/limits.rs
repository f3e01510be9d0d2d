//! Clients of the Kubernetes API with a time limit on everything.
//!
//! kube-client has a read timeout, off by default, that counts per read of a connection. It does
//! not distinguish a LIST, which must be answered soon, from a watch, which may be silent for a
//! minute. So this module enforces limits around each request. A request over a limit is dropped
//! together with its connection: HTTP/1 cannot reuse a connection whose response was not read to
//! its end, so the next attempt gets another one. (kube-client uses HTTP/1 only.)

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

/// How long a connection may be idle before it is closed. It is short, so that few dead connections
/// are left after an outage.
const IDLE: Duration = Duration::from_secs(30);

/// Idle connections of one client. A watch needs one, and reviews arrive in bursts.
const MOST_IDLE: usize = 8;

/// The most bytes that a connection reads at once, and that the head of a response may have. A
/// connection keeps the buffer, so without a limit the watches would keep those of their lists.
const MAX_BUFFER: usize = 32 << 10;

/// When the kernel probes a silent peer: after [`KEEPALIVE`], then every [`KEEPALIVE_EVERY`],
/// [`KEEPALIVE_TRIES`] times. So a lost machine is detected within half a minute, and a load
/// balancer or conntrack does not forget the connection.
const KEEPALIVE: Duration = Duration::from_secs(15);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(5);
const KEEPALIVE_TRIES: u32 = 3;

/// How long the Kubernetes API may take, and how long it may be silent.
///
/// # Invariants
///
/// `silence` is longer than the 60 s after which the server ends a watch (and sends bookmarks), so
/// a watch that is silent for longer is dead. It is shorter than the 65 s after which kube-runtime
/// gives up silently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Until a connection is established: DNS, TCP and TLS.
    pub connect: Duration,
    /// For a request that is not a watch: until the last byte of the response. For a watch: until
    /// the head of the response.
    pub request: Duration,
    /// How long a watch may be silent.
    pub silence: Duration,
    /// How long a watch may receive nothing, over all its attempts, before the process is not
    /// ready.
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
    /// A client for `config` with these limits. It does not retry: the caller decides about that.
    ///
    /// # Errors
    ///
    /// Certificates or keys in the configuration cannot be used, or it has a proxy.
    pub fn client(self, config: Config) -> Result<Client, Misconfigured> {
        Ok(self.builder(config)?.build())
    }

    /// A client whose lists and watches request metadata only, unless they set `Accept` themselves.
    ///
    /// It sets `Accept` and nothing else, so the response is decoded into the caller's own type,
    /// and other parts (managed fields above all) are skipped without an allocation.
    ///
    /// # Errors
    ///
    /// As for [`Limits::client`].
    pub fn metadata_client(self, config: Config) -> Result<Client, Misconfigured> {
        let metadata = MapRequestLayer::new(accept_metadata);
        Ok(self.builder(config)?.with_layer(&metadata).build())
    }

    fn builder(self, config: Config) -> Result<ClientBuilder<Bounded>, Misconfigured> {
        if let Some(why) = tributary_kubeconfig::proxy(&config) {
            return Err(Misconfigured::new(why));
        }
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_keepalive(Some(KEEPALIVE));
        tcp.set_keepalive_interval(Some(KEEPALIVE_EVERY));
        tcp.set_keepalive_retries(Some(KEEPALIVE_TRIES));
        // The errors of kube may quote credentials.
        let unusable = |error| Misconfigured::new(tributary_kubeconfig::text(&error));
        let tls = config
            .rustls_https_connector_with_connector(tcp)
            .map_err(unusable)?;
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
            .http1_max_buf_size(MAX_BUFFER)
            .build(connector);
        let inner = ServiceBuilder::new()
            .layer(config.base_uri_layer())
            .option_layer(config.auth_layer().map_err(unusable)?)
            .layer(config.extra_headers_layer().map_err(unusable)?)
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

/// The request exceeded a limit.
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

/// Whether this is a watch, whose response has no end.
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

/// A service that applies the limits to each request.
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
            let body_limit = if is_watch {
                BodyLimit::Silence(silence)
            } else {
                BodyLimit::Whole(limit)
            };
            let until = body_limit.until(deadline);
            Ok(answer.map(|body| BoundedBody {
                body: Some(body),
                body_limit,
                sleep: Box::pin(sleep_until(until)),
            }))
        })
    }
}

/// The limit of a body.
#[derive(Clone, Copy, Debug)]
enum BodyLimit {
    /// One limit for the head and the whole body.
    Whole(Duration),
    /// A limit for each pause between two frames.
    Silence(Duration),
}

impl BodyLimit {
    /// When the next frame must have arrived.
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
    /// `None` after the limit. This closes the connection, even if the caller keeps the rest of the
    /// response.
    body: Option<hyper::body::Incoming>,
    body_limit: BodyLimit,
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
            if let BodyLimit::Silence(silence) = self.body_limit {
                self.sleep.as_mut().reset(Instant::now() + silence);
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(BoxError::from)));
        }
        ready!(self.sleep.as_mut().poll(context));
        self.body = None;
        Poll::Ready(Some(Err(self.body_limit.late().boxed())))
    }
}

#[cfg(test)]
mod tests;
