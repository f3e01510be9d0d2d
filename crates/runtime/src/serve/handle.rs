//! The handle of a connection: for the handlers of its requests, and for its deadlines.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::body::Body;
use http::Version;
use parking_lot::{Mutex, MutexGuard};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::{
    body::{Bounded, SharedBody},
    metrics::{Cut, ServeMetrics},
};

/// How long a connection may take for a request, or be without its first one, before it may be
/// evicted like an idle one. A longer response means that the peer does not read, or that it waits
/// for others.
const FRESH: Duration = Duration::from_secs(10);

/// A response that is being sent. Its owner can drop it to make room for another.
#[derive(Clone, Debug)]
pub struct Sending {
    shared_body: Weak<SharedBody>,
    handle: ConnectionHandle,
    version: Version,
}

impl Sending {
    /// Since when the peer has read nothing of it, if it is not complete.
    pub fn untaken_since(&self) -> Option<Instant> {
        self.shared_body.upgrade()?.taken_at()
    }

    /// Whether the connection has dropped it. It never waits.
    pub fn is_over(&self) -> bool {
        self.shared_body.strong_count() == 0
    }

    /// Whether both are the same answer.
    pub fn is(&self, other: &Self) -> bool {
        self.shared_body.ptr_eq(&other.shared_body)
    }

    /// Drops it and what it keeps. The peer sees that it is not complete. The connection keeps a piece of it until the
    /// peer reads that, so the connection ends, too, unless others share it.
    pub fn cut(&self) {
        let shared_body = self.shared_body.upgrade();
        if shared_body.is_some_and(|shared_body| shared_body.cut()) {
            self.handle.0.metrics.cut(Cut::Room);
            if !self.handle.is_shared(self.version) {
                self.handle.evict();
            }
        }
    }
}

/// A body of which the progress is known. It keeps a value until it was handed to the connection.
#[derive(Debug)]
pub struct TrackedBody {
    /// The body to send.
    pub body: Body,
    /// Its progress.
    pub sending: Sending,
}

/// A connection. Every request has it as an extension.
#[derive(Clone, Debug)]
pub struct ConnectionHandle(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    patience: Patience,
    accepted: Instant,
    metrics: ServeMetrics,
    /// Whether the peer has ever proven its identity.
    known: AtomicBool,
    /// Whether its certificate makes it trusted.
    trusted: AtomicBool,
    /// The number of [`Trusted`].
    trusts: AtomicUsize,
    changed: Notify,
    state: Mutex<State>,
}

/// How long a connection may be without a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Until the first request, after the handshake.
    pub(super) first_request: Duration,
    /// After a response.
    pub(super) idle: Duration,
}

/// What the peer has proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TrustLevel {
    /// Nothing.
    Unknown,
    /// Its identity.
    Known,
    /// It serves the server itself, such as the front proxy. It is never evicted, and does not
    /// count for a limit of one source.
    Trusted,
}

/// The rank of a connection: the lowest is evicted first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Worth {
    pub(super) trust: TrustLevel,
    /// Whether it has a request in flight, or has not had the time for its first one.
    active: bool,
    /// Since when it is idle. For active ones: since when it is open, which the peer cannot renew.
    since: Instant,
}

#[derive(Debug)]
struct State {
    /// Requests whose responses are not complete.
    open: usize,
    /// Whether there was a request.
    asked: bool,
    /// When the last response, or the handshake, was complete.
    quiet_since: Instant,
    /// Since when there was always a request.
    busy_since: Instant,
    phase: Phase,
    /// Responses with a deadline. At most one for each stream.
    bounded: Vec<(Instant, Version, Weak<SharedBody>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    Leaving,
    /// The peer was asked to leave. It is cut off at this time, if it is still connected without a
    /// request.
    Left(Instant),
    /// It was evicted.
    Evicted,
}

/// What should be done with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnectionAction {
    /// Accept no more requests. Responses in flight go on.
    Leave,
    /// Close it.
    CutOff,
}

impl ConnectionHandle {
    pub(super) fn new(patience: Patience, metrics: ServeMetrics) -> Self {
        let now = Instant::now();
        Self(Arc::new(Inner {
            patience,
            accepted: now,
            metrics,
            known: AtomicBool::default(),
            trusted: AtomicBool::default(),
            trusts: AtomicUsize::default(),
            changed: Notify::new(),
            state: Mutex::new(State {
                open: 0,
                asked: false,
                quiet_since: now,
                busy_since: now,
                phase: Phase::Open,
                bounded: Vec::new(),
            }),
        }))
    }

    /// Records that the peer has proven its identity.
    pub(super) fn known(&self) {
        self.0.known.store(true, Ordering::Relaxed);
    }

    /// Records what the certificate of the peer proves now.
    pub(super) fn verified(&self, trust: TrustLevel) {
        if trust > TrustLevel::Unknown {
            self.known();
        }
        let is_trusted = trust == TrustLevel::Trusted;
        self.0.trusted.store(is_trusted, Ordering::Relaxed);
    }

    /// What the peer has proven.
    pub(super) fn trust(&self) -> TrustLevel {
        let has_trust = self.0.trusts.load(Ordering::Relaxed) > 0;
        if has_trust || self.is_front_proxy() {
            TrustLevel::Trusted
        } else if self.0.known.load(Ordering::Relaxed) {
            TrustLevel::Known
        } else {
            TrustLevel::Unknown
        }
    }

    /// Whether the certificate of the peer makes it trusted, as that of the front proxy does. A publisher is trusted in
    /// another way, by [`Trusted`].
    pub(super) fn is_front_proxy(&self) -> bool {
        self.0.trusted.load(Ordering::Relaxed)
    }

    /// Whether other callers may have requests on the connection. The front proxy sends the requests of many users.
    fn is_shared(&self, version: Version) -> bool {
        version >= Version::HTTP_2 && self.is_front_proxy()
    }

    /// The rank of the connection `now`.
    pub(super) fn worth(&self, now: Instant) -> Worth {
        let is_fresh = |since: Instant| now < since + FRESH;
        let state = self.lock();
        let (active, idle_since) = match (state.open, state.asked) {
            (0, true) => (false, state.quiet_since),
            (0, false) => (is_fresh(self.0.accepted), self.0.accepted),
            _ => (is_fresh(state.busy_since), state.busy_since),
        };
        Worth {
            trust: self.trust(),
            active,
            since: if active { self.0.accepted } else { idle_since },
        }
    }

    /// Evicts the connection.
    pub(super) fn evict(&self) {
        self.lock().phase = Phase::Evicted;
        self.0.changed.notify_one();
    }

    /// Waits until it is evicted.
    pub(super) async fn evicted(&self) {
        loop {
            let changed = self.0.changed.notified();
            if self.lock().phase == Phase::Evicted {
                return;
            }
            changed.await;
        }
    }

    /// The handshake is complete: the time for the first request begins.
    pub(super) fn established(&self) {
        self.lock().quiet_since = Instant::now();
    }

    /// Makes the peer send its next request on another connection: GOAWAY in HTTP/2. Requests in
    /// flight are answered.
    pub fn leave(&self) {
        let mut state = self.lock();
        if state.phase == Phase::Open {
            state.phase = Phase::Leaving;
            self.0.changed.notify_one();
        }
    }

    /// Tracks `body`, which ends with an error at `deadline`, so that the peer sees that it is not
    /// complete, even if the peer does not read. `kept` is dropped then, or when the whole body was
    /// handed to the connection.
    pub fn track<T: Send + 'static>(
        &self,
        version: Version,
        body: Body,
        deadline: Option<Instant>,
        kept: T,
    ) -> TrackedBody {
        let has_data = !http_body::Body::is_end_stream(&body);
        let bounded = Bounded::new(body, Box::new(kept));
        let bounded = if version >= Version::HTTP_2 && has_data {
            bounded.ending_apart()
        } else {
            bounded
        };
        let sending = Sending {
            shared_body: Arc::downgrade(bounded.shared_body()),
            handle: self.clone(),
            version,
        };
        let body = self.due_at(version, bounded, deadline);
        TrackedBody { body, sending }
    }

    fn due_at(&self, version: Version, bounded: Bounded, deadline: Option<Instant>) -> Body {
        // A short body is sent at once, except in HTTP/2, where the peer can forbid to send a
        // single byte.
        let may_wait = version >= Version::HTTP_2 || bounded.is_long();
        let Some(deadline) = deadline.filter(|_| may_wait) else {
            return Body::new(bounded);
        };
        let mut state = self.lock();
        state
            .bounded
            .retain(|(_, _, shared_body)| shared_body.strong_count() > 0);
        let shared_body = Arc::downgrade(bounded.shared_body());
        state.bounded.push((deadline, version, shared_body));
        drop(state);
        self.0.changed.notify_one();
        Body::new(bounded.until(deadline, self.0.metrics.clone()))
    }

    /// Begins a request, which ends when the result is dropped.
    pub(super) fn begin(&self) -> Open {
        let mut state = self.lock();
        if state.open == 0 {
            state.busy_since = Instant::now();
        }
        state.open += 1;
        state.asked = true;
        drop(state);
        Open(self.clone())
    }

    /// Whether a request is in flight.
    pub(super) fn is_answering(&self) -> bool {
        self.lock().open > 0
    }

    /// Waits until something must be done.
    pub(super) async fn due(&self) -> ConnectionAction {
        loop {
            let changed = self.0.changed.notified();
            match self.look(Instant::now()) {
                Ok(next) => tokio::select! {
                    () = changed => {}
                    () = sleep_until(next) => {}
                },
                Err(due) => return due,
            }
        }
    }

    /// When to check again, or what must be done now.
    fn look(&self, now: Instant) -> Result<Instant, ConnectionAction> {
        let mut state = self.lock();
        let (late, ahead): (Vec<_>, _) = std::mem::take(&mut state.bounded)
            .into_iter()
            .partition(|(deadline, _, _)| *deadline <= now);
        state.bounded = ahead;
        let mut cut = false;
        for (_, version, shared_body) in late {
            let Some(shared_body) = shared_body.upgrade() else {
                continue;
            };
            if shared_body.cut() {
                self.0.metrics.cut(Cut::Deadline);
            }
            // A peer that does not read blocks the whole connection in HTTP/1, and only the stream in HTTP/2.
            cut |= shared_body.is_cut() && !self.is_shared(version);
        }
        if cut {
            return Err(ConnectionAction::CutOff);
        }
        let Patience {
            first_request,
            idle,
        } = self.0.patience;
        let quiet = state.quiet_since + if state.asked { idle } else { first_request };
        let is_quiet = state.open == 0 && now >= quiet;
        match state.phase {
            Phase::Evicted => return Err(ConnectionAction::CutOff),
            // No response is lost.
            _ if is_quiet && !state.asked => return Err(ConnectionAction::CutOff),
            Phase::Left(until) if is_quiet && now >= until => return Err(ConnectionAction::CutOff),
            Phase::Open if !is_quiet => {}
            Phase::Left(_) => {}
            Phase::Open | Phase::Leaving => {
                state.phase = Phase::Left(now + idle);
                return Err(ConnectionAction::Leave);
            }
        }
        let ahead = state.bounded.iter().map(|(deadline, _, _)| *deadline);
        let look = if quiet > now { quiet } else { now + idle };
        Ok(ahead.fold(look, Instant::min))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock()
    }
}

/// Makes a connection trusted, until this is dropped.
#[derive(Debug)]
pub struct Trusted(ConnectionHandle);

impl Trusted {
    pub(super) fn new(handle: ConnectionHandle) -> Self {
        handle.0.trusts.fetch_add(1, Ordering::Relaxed);
        Self(handle)
    }
}

impl Drop for Trusted {
    fn drop(&mut self) {
        self.0.0.trusts.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A request whose response is not complete.
#[derive(Debug)]
pub(super) struct Open(ConnectionHandle);

impl Drop for Open {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.open -= 1;
        state.quiet_since = Instant::now();
    }
}

#[cfg(test)]
mod tests;
