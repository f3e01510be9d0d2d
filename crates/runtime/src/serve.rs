//! The accept loop: TCP or a Unix socket, TLS, HTTP/1.1 and 2, a cap on
//! connections, a drain.
//!
//! The server is given its socket and its end. Per-connection tasks live in a
//! set inside the loop that accepted them, so nothing outlives it.

mod body;
mod line;
mod listener;

use std::{
    convert::Infallible,
    io,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{Router, body::Body};
use http::{Extensions, Request, Response, Version, header::CONNECTION};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use prometheus_client::metrics::{counter::Counter, gauge::Gauge};
use rustls_pki_types::CertificateDer;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use tracing::debug;

use self::{body::Counted, line::Due};
pub use self::{
    line::Line,
    listener::{Address, BadAddress, Bound, Listener, Sharing, own_uid},
};

/// The headers of one HTTP/1 request: enough for somebody in many groups, each of
/// which is a header of the front proxy.
const HEADERS: usize = 1_000;

/// What an HTTP/2 stream may hold for a peer that does not read, and may get from
/// one that sends (PARITY 1.5).
const STREAM_BUFFER: u32 = 256 << 10;

/// Bounds of a server. The defaults are those of Kubernetes servers (PARITY 1.5).
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at one time; more wait in the listen queue of the kernel.
    pub connections: usize,
    /// How long a TLS handshake may take.
    pub handshake: Duration,
    /// How long an HTTP/1 peer may take to send the head of a request, counted
    /// from the answer before.
    pub request_head: Duration,
    /// How long a connection may be without a request.
    pub idle: Duration,
    /// How long the head of a request may be, in bytes; what is longer is
    /// answered with 431.
    pub head_bytes: u32,
    /// Whether HTTP/2 is spoken.
    pub http2: bool,
    /// HTTP/2 streams of one connection.
    pub streams: u32,
    /// How long requests under way may go on once the server stops.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            handshake: Duration::from_secs(10),
            request_head: Duration::from_secs(32),
            idle: Duration::from_secs(90),
            head_bytes: 1 << 20,
            http2: true,
            streams: 100,
            drain: Duration::from_secs(10),
        }
    }
}

/// Who is at the other end of a connection; every request carries it as an
/// extension.
#[derive(Clone, Debug)]
pub struct Peer {
    /// An address, or `unix`.
    pub name: Arc<str>,
    /// The certificates it showed, its own first, of which it proved to hold the
    /// key; verified against the CA that the server was given, if it was.
    pub certificates: Arc<[CertificateDer<'static>]>,
    /// The user of the process at the other end of a Unix socket, as the kernel
    /// tells it.
    pub uid: Option<u32>,
    /// What the handlers have found out about it.
    pub notes: Notes,
}

/// What handlers note about a connection, for its later requests: at most one
/// value of each type.
#[derive(Clone, Debug, Default)]
pub struct Notes(Arc<Mutex<Extensions>>);

impl Notes {
    /// What was noted last.
    pub fn get<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        self.lock().get().cloned()
    }

    /// What was noted, or else what `make` makes, which is noted by this.
    pub fn get_or_put<T: Clone + Send + Sync + 'static>(&self, make: impl FnOnce() -> T) -> T {
        self.lock().get_or_insert_with(make).clone()
    }

    /// Notes it instead of what was noted before.
    pub fn put<T: Clone + Send + Sync + 'static>(&self, note: T) {
        self.lock().insert(note);
    }

    fn lock(&self) -> MutexGuard<'_, Extensions> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a server counts.
#[derive(Clone, Debug, Default)]
pub struct ServeMetrics {
    /// Connections that are open.
    pub open: Gauge,
    /// Handshakes that failed.
    pub handshake_errors: Counter,
}

/// A server, ready to run.
#[derive(Debug)]
pub struct Server {
    /// Where connections come from.
    pub listener: Listener,
    /// TLS, unless the address is trusted by itself.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Its bounds.
    pub limits: Limits,
    /// Its counters.
    pub metrics: ServeMetrics,
}

impl Server {
    /// Serves `router` until `stop`, then lets requests under way finish.
    ///
    /// # Errors
    ///
    /// The listening socket is beyond use.
    pub async fn run(self, router: Router, stop: CancellationToken) -> io::Result<()> {
        let room = Arc::new(Semaphore::new(self.limits.connections));
        let mut connections = JoinSet::new();
        let acceptor = self.tls.clone().map(TlsAcceptor::from);
        loop {
            let permit = tokio::select! {
                () = stop.cancelled() => break,
                Ok(permit) = Arc::clone(&room).acquire_owned() => permit,
            };
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.listener.accept() => accepted,
            };
            while connections.try_join_next().is_some() {}
            let Some((stream, name)) = accepted? else {
                continue;
            };
            let connection = Connection {
                name,
                router: router.clone(),
                limits: self.limits,
                metrics: self.metrics.clone(),
                stop: stop.clone(),
                _permit: permit,
            };
            connections.spawn(connection.serve(stream, acceptor.clone()));
        }
        drop(self.listener);
        let drained = timeout(self.limits.drain, async {
            while connections.join_next().await.is_some() {}
        });
        if drained.await.is_err() {
            debug!(left = connections.len(), "connections cut off");
        }
        Ok(())
    }
}

struct Connection {
    name: Arc<str>,
    router: Router,
    limits: Limits,
    metrics: ServeMetrics,
    stop: CancellationToken,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    async fn serve(self, stream: listener::Stream, tls: Option<TlsAcceptor>) {
        let uid = listener::uid_of(&stream);
        let gauge = self.metrics.open.clone();
        gauge.inc();
        match tls {
            None => self.http(stream, Arc::default(), uid).await,
            Some(acceptor) => {
                let handshake = timeout(self.limits.handshake, acceptor.accept(stream));
                let done = tokio::select! {
                    () = self.stop.cancelled() => None,
                    done = handshake => Some(done),
                };
                match done {
                    Some(Ok(Ok(stream))) => {
                        let (_, session) = stream.get_ref();
                        let chain = session.peer_certificates().unwrap_or_default();
                        let certificates = chain.iter().cloned().collect();
                        self.http(stream, certificates, uid).await;
                    }
                    None => {}
                    Some(failed) => {
                        self.metrics.handshake_errors.inc();
                        let error = match failed {
                            Ok(Err(error)) => error.to_string(),
                            _ => "timed out".to_owned(),
                        };
                        debug!(peer = %self.name, error, "TLS handshake failed");
                    }
                }
            }
        }
        gauge.dec();
    }

    async fn http<S>(
        self,
        stream: S,
        certificates: Arc<[CertificateDer<'static>]>,
        uid: Option<u32>,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let peer = Peer {
            name: self.name,
            certificates,
            uid,
            notes: Notes::default(),
        };
        let line = Line::new(self.limits.idle);
        let service = service_fn({
            let (peer, line, router) = (peer.clone(), line.clone(), self.router);
            move |request| answer(request, peer.clone(), line.clone(), router.clone())
        });
        let builder = builder(&self.limits);
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection.into_owned());
        let mut stopping = false;
        let ended = loop {
            tokio::select! {
                ended = connection.as_mut() => break ended,
                () = self.stop.cancelled(), if !stopping => {
                    stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
                due = line.due() => match due {
                    Due::Leave => connection.as_mut().graceful_shutdown(),
                    Due::CutOff => {
                        debug!(peer = %peer.name, "connection cut off");
                        return;
                    }
                },
            }
        };
        if let Err(error) = ended {
            debug!(peer = %peer.name, error, "connection ended");
        }
    }
}

/// The answer to one request. Whoever makes it says with `Connection: close`
/// that it should be the last on this connection, as in Go also in HTTP/2.
async fn answer(
    request: Request<Incoming>,
    peer: Peer,
    line: Line,
    router: Router,
) -> Result<Response<Counted>, Infallible> {
    let open = line.begin();
    let version = request.version();
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(peer);
    request.extensions_mut().insert(line.clone());
    let mut response = router.oneshot(request).await?;
    if version == Version::HTTP_2 && response.headers_mut().remove(CONNECTION).is_some() {
        line.leave();
    }
    Ok(response.map(|body| Counted { body, _open: open }))
}

fn builder(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.request_head)
        .max_headers(HEADERS)
        .max_buf_size(usize::try_from(limits.head_bytes).unwrap_or(usize::MAX));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(limits.head_bytes)
        .initial_stream_window_size(STREAM_BUFFER)
        .max_send_buf_size(usize::try_from(STREAM_BUFFER).unwrap_or(usize::MAX))
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(15));
    if limits.http2 {
        builder
    } else {
        builder.http1_only()
    }
}

#[cfg(test)]
mod tests;
