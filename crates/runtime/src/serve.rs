//! The accept loop: TCP or a Unix socket, TLS, HTTP/1.1 and 2, a cap on
//! connections, a drain.
//!
//! The server is given its socket and its end. Per-connection tasks live in a
//! set inside the loop that accepted them, so nothing outlives it.

mod listener;

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{Router, body::Body};
use http::{Extensions, Request};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
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

pub use self::listener::{Address, BadAddress, Bound, Listener};

/// Bounds of a server. The defaults are those of Kubernetes servers (PARITY 1.5).
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at one time; more wait in the listen queue of the kernel.
    pub connections: usize,
    /// How long a TLS handshake may take.
    pub handshake: Duration,
    /// How long an HTTP/1 peer may take to send the head of a request.
    pub request_head: Duration,
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
        let graceful = GracefulShutdown::new();
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
                watcher: graceful.watcher(),
                stop: stop.clone(),
                _permit: permit,
            };
            connections.spawn(connection.serve(stream, acceptor.clone()));
        }
        drop(self.listener);
        let drained = timeout(self.limits.drain, async {
            graceful.shutdown().await;
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
    watcher: hyper_util::server::graceful::Watcher,
    stop: CancellationToken,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    async fn serve(self, stream: listener::Stream, tls: Option<TlsAcceptor>) {
        let gauge = self.metrics.open.clone();
        gauge.inc();
        match tls {
            None => self.http(stream, Arc::default()).await,
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
                        self.http(stream, certificates).await;
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

    async fn http<S>(self, stream: S, certificates: Arc<[CertificateDer<'static>]>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let peer = Peer {
            name: self.name,
            certificates,
            notes: Notes::default(),
        };
        let router = self.router;
        let service = service_fn({
            let peer = peer.clone();
            move |request: Request<Incoming>| {
                let mut request = request.map(Body::new);
                request.extensions_mut().insert(peer.clone());
                router.clone().oneshot(request)
            }
        });
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.request_head);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(self.limits.streams)
            .keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(Duration::from_secs(15));
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
        if let Err(error) = self.watcher.watch(connection.into_owned()).await {
            debug!(peer = %peer.name, error, "connection ended");
        }
    }
}
