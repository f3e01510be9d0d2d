//! The accept loop: TCP or a Unix socket, TLS, HTTP/1.1 and 2, limits for unknown peers, and
//! draining.
//!
//! The server gets its socket and its stop token. The tasks of connections are in a set inside the
//! accept loop, so none outlives it. A new connection is accepted at once, and may evict another
//! one ([`connections`]).

mod address;
mod allowance;
mod body;
mod connection;
mod connections;
mod descriptors;
mod handle;
mod head;
mod heads;
mod listener;
mod metrics;
mod panics;
mod path;

use std::{fmt, io, sync::Arc, time::Duration};

use axum::Router;
use http::Extensions;
use parking_lot::{Mutex, MutexGuard};
use rustls_pki_types::CertificateDer;
use tokio::{
    sync::Semaphore,
    task::{JoinSet, yield_now},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

pub use self::{
    address::{Address, BadAddress, ip_and_port},
    connections::Source,
    handle::{ConnectionHandle, Sending, TrackedBody, TrustLevel, Trusted},
    listener::{Listener, Listening, Sharing, own_uid},
    metrics::ServeMetrics,
};
use self::{
    connection::{Connection, Tls},
    connections::Connections,
    handle::Patience,
    listener::{Accepted, Arrival},
};

/// How long to wait when a connection could not be accepted: an evicted one returns its descriptor
/// when its task ends.
const SHORTAGE_LASTS: Duration = Duration::from_millis(10);

/// How many connections are accepted before other tasks run.
const IN_ROW: u32 = 16;

/// Limits of a server. The defaults are those of Kubernetes servers (docs/parity.md#serving), where
/// they have limits.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most connections. One more evicts another.
    pub connections: usize,
    /// The most connections of one address: an IPv4 address, or the first 64 bits of an IPv6
    /// address. Those that are [`TrustLevel::Trusted`] do not count.
    pub per_source: usize,
    /// How long a TLS handshake may take.
    pub handshake: Duration,
    /// How long a connection may be without its first request, after the
    /// handshake.
    pub first_request: Duration,
    /// How long an HTTP/1 peer may take to send the head of a request, counted from the end of the
    /// last response.
    pub request_head: Duration,
    /// How long a connection may be without a request.
    pub idle: Duration,
    /// The longest head of a request, in bytes, with 32 for each header field in HTTP/2. A longer
    /// one is answered with 431. It has room for a user in a thousand groups, each of which is a
    /// field of 128 bytes from the front proxy.
    pub head_bytes: u32,
    /// The most unfinished heads, of all connections, of more than a frame of HTTP/2, or 16 KiB. A
    /// connection that begins one more is closed.
    pub large_heads: usize,
    /// Whether HTTP/2 is spoken.
    pub http2: bool,
    /// HTTP/2 streams of one connection.
    pub streams: u32,
    /// How many bytes of its bodies an HTTP/2 peer may send before they are read: on one stream,
    /// and on the connection.
    pub receive: u32,
    /// How long requests in flight may take after the server stops.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            per_source: 512,
            handshake: Duration::from_secs(10),
            first_request: Duration::from_secs(10),
            request_head: Duration::from_secs(32),
            idle: Duration::from_secs(90),
            head_bytes: 128 << 10,
            large_heads: 64,
            http2: true,
            streams: 100,
            receive: 64 << 10,
            drain: Duration::from_secs(10),
        }
    }
}

impl Limits {
    /// The limits of a port for probes and Prometheus, which every client can reach: few
    /// connections, and short ones.
    pub fn admin() -> Self {
        let short = Duration::from_secs(10);
        Self {
            connections: 512,
            per_source: 64,
            large_heads: 16,
            request_head: short,
            idle: short,
            ..Self::default()
        }
    }
}

/// The peer of a connection. Every request has it as an extension.
#[derive(Clone, Debug)]
pub struct Peer {
    /// An address, or `unix`.
    pub name: Arc<str>,
    /// The certificates that it sent, its own first. It has proven that it has the key. They are
    /// verified against the CA of the server, if it has one.
    pub certificates: Arc<[CertificateDer<'static>]>,
    /// The user of the process at the other end of a Unix socket, from the kernel.
    pub uid: Option<u32>,
    /// Notes of the handlers about it, its [`ConnectionHandle`] and its [`Source`].
    pub notes: ConnectionNotes,
}

impl Peer {
    /// Closes its connection.
    pub fn close(&self) {
        if let Some(handle) = self.notes.get::<ConnectionHandle>() {
            handle.evict();
        }
    }

    /// Records what the certificate of the peer proves now, for when there are too many connections. A peer that was
    /// known stays known. A peer that was trusted does not stay trusted.
    pub fn verified(&self, trust: TrustLevel) {
        if let Some(handle) = self.notes.get::<ConnectionHandle>() {
            handle.verified(trust);
        }
    }

    /// Records that the peer has proven its identity in another way.
    pub fn known(&self) {
        if let Some(handle) = self.notes.get::<ConnectionHandle>() {
            handle.known();
        }
    }

    /// Makes the connection [`TrustLevel::Trusted`] until the result is dropped.
    pub fn trust(&self) -> Option<Trusted> {
        self.notes.get::<ConnectionHandle>().map(Trusted::new)
    }
}

/// Notes of handlers about a connection, for its later requests: at most one value of each type.
#[derive(Clone, Debug, Default)]
pub struct ConnectionNotes(Arc<Mutex<Extensions>>);

impl ConnectionNotes {
    /// The last note of this type.
    pub fn get<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        self.lock().get().cloned()
    }

    /// The note of this type, or else a new one from `make`.
    pub fn get_or_put<T: Clone + Send + Sync + 'static>(&self, make: impl FnOnce() -> T) -> T {
        self.lock().get_or_insert_with(make).clone()
    }

    /// Replaces the note of this type.
    pub fn put<T: Clone + Send + Sync + 'static>(&self, note: T) {
        self.lock().insert(note);
    }

    fn lock(&self) -> MutexGuard<'_, Extensions> {
        self.0.lock()
    }
}

/// Checks the certificates of a peer after its TLS handshake, before its first request is read, because the result
/// decides how much it may send ([`Peer::verified`]).
#[derive(Clone, Default)]
pub struct FirstLook(Option<Arc<Look>>);

type Look = dyn Fn(&Peer) + Send + Sync;

impl FirstLook {
    /// Calls `look` once for each connection with a certificate.
    pub fn new(look: impl Fn(&Peer) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(look)))
    }

    fn at(&self, peer: &Peer) {
        if let Some(look) = &self.0
            && !peer.certificates.is_empty()
        {
            look(peer);
        }
    }
}

impl fmt::Debug for FirstLook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FirstLook").finish_non_exhaustive()
    }
}

/// A server, ready to run.
#[derive(Debug)]
pub struct Server {
    /// The listener.
    pub listener: Listener,
    /// TLS, unless the address is trusted by itself.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// The early check of certificates, if there is one.
    pub first_look: FirstLook,
    /// The limits.
    pub limits: Limits,
    /// The metrics.
    pub metrics: ServeMetrics,
}

impl Server {
    /// Serves `router` until `stop`, then waits for requests in flight.
    ///
    /// # Errors
    ///
    /// The listening socket failed for good.
    pub async fn run(self, router: Router, stop: CancellationToken) -> io::Result<()> {
        descriptors::raise_limit();
        let connections = Connections::new(
            self.limits.connections,
            self.limits.per_source,
            self.metrics.clone(),
        );
        let tls = self.tls.clone().map(Tls::new);
        let large_heads = Arc::new(Semaphore::new(self.limits.large_heads));
        let mut tasks = JoinSet::new();
        let mut shortages = Shortages::default();
        let mut accepted_in_row = 0;
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                Some(ended) = tasks.join_next(), if !tasks.is_empty() => {
                    panics::look_at(ended, &self.metrics);
                    continue;
                }
                accepted = self.listener.accept() => accepted?,
            };
            let arrival = match accepted {
                Accepted::Connection(arrival) => arrival,
                Accepted::Gone => continue,
                Accepted::NoRoom(error) => {
                    self.metrics.accept_errors.inc();
                    shortages.say(&error);
                    connections.give_up_one();
                    sleep(SHORTAGE_LASTS).await;
                    continue;
                }
            };
            let connection = self.connection(&connections, &large_heads, &arrival, &router, &stop);
            if let Some(connection) = connection {
                tasks.spawn(connection.serve(arrival.stream, tls.clone()));
            }
            // The queue of the kernel knows no addresses, so it must not fill. Still, accepted connections must get to
            // run before later ones evict them.
            accepted_in_row += 1;
            if accepted_in_row == IN_ROW {
                accepted_in_row = 0;
                yield_now().await;
            }
        }
        drop(self.listener);
        let drained = timeout(self.limits.drain, async {
            while let Some(ended) = tasks.join_next().await {
                panics::look_at(ended, &self.metrics);
            }
        });
        if drained.await.is_err() {
            debug!(left = tasks.len(), "connections cut off");
        }
        Ok(())
    }

    /// The new connection, if it is admitted.
    fn connection(
        &self,
        connections: &Arc<Connections>,
        large_heads: &Arc<Semaphore>,
        arrival: &Arrival,
        router: &Router,
        stop: &CancellationToken,
    ) -> Option<Connection> {
        let patience = Patience {
            first_request: self.limits.first_request,
            idle: self.limits.idle,
        };
        let handle = ConnectionHandle::new(patience, self.metrics.clone());
        let entered = connections.enter(arrival.origin, handle.clone())?;
        Some(Connection {
            name: Arc::clone(&arrival.name),
            router: router.clone(),
            first_look: self.first_look.clone(),
            limits: self.limits,
            metrics: self.metrics.clone(),
            stop: stop.clone(),
            handle,
            source: arrival.origin.source,
            entered,
            large_heads: Arc::clone(large_heads),
        })
    }
}

/// The shortest time between two log lines about connections that cannot be accepted.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// Connections that could not be accepted, for the log.
#[derive(Debug, Default)]
struct Shortages {
    said: Option<Instant>,
    since: u64,
}

impl Shortages {
    fn say(&mut self, error: &io::Error) {
        self.since += 1;
        let now = Instant::now();
        if self.said.is_some_and(|said| now < said + SAY_EVERY) {
            return;
        }
        warn!(%error, times = self.since, "failed to accept connections");
        self.said = Some(now);
        self.since = 0;
    }
}

#[cfg(test)]
mod tests;
