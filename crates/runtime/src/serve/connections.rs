//! Which connections a server keeps when there are too many.
//!
//! A new connection is always admitted: a probe, or the front proxy, is a stranger until its first
//! request arrives. At the limit another connection is evicted, of the address that has most, so
//! that one address cannot block the others. Of one address, connections without credentials go
//! first; of those, idle ones; and then the oldest. So with a limit of `n` for an address, a new
//! connection is evicted after some `n` later ones at the earliest. That is the time that it has for
//! its request.
//!
//! To find them, all connections are compared. So that a stranger cannot cause this with every
//! connection that it opens, several are evicted at once ([`EVICTED_PART`]).
//!
//! The sources also take turns: in TLS handshakes, and in requests of clients that have proven nothing ([`step_permits`]).

mod step_permits;

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    net::IpAddr,
    sync::Arc,
};

use parking_lot::{Mutex, MutexGuard};
use tokio::{sync::Semaphore, time::Instant};

pub(super) use self::step_permits::StepPermits;
use super::{
    handle::{ConnectionHandle, TrustLevel, Worth},
    metrics::{Reason, ServeMetrics},
};

/// At a limit, one in this many of the connections is evicted, and at least one.
const EVICTED_PART: usize = 64;

/// Hosts with up to this many connections count as equal: a kubelet has two for probes at a time.
const FEW: usize = 2;

/// A group of connections with a common limit. A connection has it among its notes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// Processes of this machine that reach a Unix socket: one group without a limit of its own,
    /// because the directory of the socket decides who may connect.
    Local,
    /// One IPv4 address.
    V4([u8; 4]),
    /// The first 64 bits of IPv6 addresses: a peer with one address there has all.
    V6([u16; 4]),
}

impl Source {
    /// The source of `address`.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Self::V6([a, b, c, d])
            }
        }
    }
}

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) source: Source,
    /// The last 64 bits of an IPv6 address, and 0 of others.
    pub(super) host: u64,
}

impl Origin {
    /// A process of this machine.
    pub(super) const LOCAL: Self = Self {
        source: Source::Local,
        host: 0,
    };

    /// The origin of a connection from `address`.
    pub(super) fn of(address: IpAddr) -> Self {
        let host = match address.to_canonical() {
            IpAddr::V4(_) => 0,
            IpAddr::V6(address) => {
                let [.., a, b, c, d] = address.segments();
                [a, b, c, d]
                    .iter()
                    .fold(0, |host, part| host << 16 | u64::from(*part))
            }
        };
        Self {
            source: Source::of(address),
            host,
        }
    }
}

/// The connections of one server.
#[derive(Debug)]
pub(super) struct Connections {
    /// The most connections.
    most: usize,
    /// The most of one source, except trusted ones.
    per_source: usize,
    metrics: ServeMetrics,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    count: usize,
    /// Every source has a connection.
    sources: HashMap<Source, Crowd>,
}

/// The connections of one source.
#[derive(Debug, Default)]
struct Crowd {
    connections: Vec<OpenConnection>,
    permits: Permits,
    /// The hosts of it that have connections.
    hosts: HashMap<u64, Host>,
}

#[derive(Debug, Default)]
struct Host {
    connections: usize,
    permits: Permits,
}

/// What those of one source, or of one host, have in turn.
#[derive(Debug)]
struct Permits {
    handshakes: Arc<Semaphore>,
    /// Requests of unknown clients.
    requests: Arc<Semaphore>,
}

impl Default for Permits {
    fn default() -> Self {
        let one = || Arc::new(Semaphore::new(1));
        Self {
            handshakes: one(),
            requests: one(),
        }
    }
}

impl Crowd {
    /// Its connections whose trust level counts, those that go first at the end.
    fn ranked(&self, counts: impl Fn(TrustLevel) -> bool, now: Instant) -> Vec<Ranked> {
        let ranked = self.connections.iter().map(|one| {
            let worth = one.handle.worth(now);
            let host = self.hosts.get(&one.host);
            Ranked {
                trust: worth.trust,
                of_host: Reverse(host.map_or(0, |host| host.connections).max(FEW)),
                worth,
                id: one.id,
            }
        });
        let mut ranked: Vec<_> = ranked.filter(|one| counts(one.trust)).collect();
        ranked.sort_unstable_by_key(|one| Reverse(*one));
        ranked
    }
}

/// A connection among those of its source: the lowest goes first. The derived order compares the fields from the top.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Ranked {
    trust: TrustLevel,
    /// The number of connections of its host, [`FEW`] at least: in a network of IPv6, one host must not evict those of others,
    /// and many hosts with one connection each must not evict one with two.
    of_host: Reverse<usize>,
    worth: Worth,
    id: u64,
}

/// A source in the order in which sources lose connections: the greatest goes first. It is the one with most connections;
/// of several, the one whose first connection goes first. The derived order compares the fields from the top.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Largest {
    size: usize,
    first: Reverse<Ranked>,
    source: Source,
    /// The others, those that go first at the end.
    rest: Vec<Ranked>,
}

impl Largest {
    fn of(source: Source, mut ranked: Vec<Ranked>) -> Option<Self> {
        let size = ranked.len();
        let first = Reverse(ranked.pop()?);
        Some(Self {
            size,
            first,
            source,
            rest: ranked,
        })
    }
}

/// A connection that goes.
#[derive(Clone, Copy, Debug)]
struct Worst {
    source: Source,
    id: u64,
}

#[derive(Debug)]
struct OpenConnection {
    id: u64,
    host: u64,
    handle: ConnectionHandle,
}

/// One of the connections, until this is dropped.
#[derive(Debug)]
pub(super) struct Entered {
    connections: Arc<Connections>,
    source: Source,
    id: u64,
    /// The turns of its source for TLS handshakes. Each step waits for the turn of the source, so that those of one source,
    /// however many there are, delay those of others by one step.
    pub(super) handshakes: StepPermits,
    /// The same for requests of unknown clients.
    pub(super) requests: StepPermits,
}

impl Connections {
    /// For at most `most` connections, and `per_source` of one source.
    pub(super) fn new(most: usize, per_source: usize, metrics: ServeMetrics) -> Arc<Self> {
        Arc::new(Self {
            most,
            per_source,
            metrics,
            open: Mutex::default(),
        })
    }

    /// Admits a connection from `origin`, and evicts others at a limit. `None` if all others are
    /// trusted.
    pub(super) fn enter(
        self: &Arc<Self>,
        origin: Origin,
        handle: ConnectionHandle,
    ) -> Option<Entered> {
        let Origin { source, host } = origin;
        let now = Instant::now();
        let mut open = self.lock();
        if source != Source::Local && open.is_full(source, self.per_source) {
            let worst = open.worst_of(source, evicted_at(self.per_source), now);
            self.evict(&mut open, &worst, Reason::PerSource);
        }
        if open.count >= self.most {
            let worst = open.worst(evicted_at(self.most), now);
            self.evict(&mut open, &worst, Reason::Total);
            if worst.is_empty() {
                self.metrics.evicted(Reason::Refused);
                return None;
            }
        }
        let id = open.next;
        open.next += 1;
        open.count += 1;
        let crowd = open.sources.entry(source).or_default();
        crowd.connections.push(OpenConnection { id, host, handle });
        let of_host = crowd.hosts.entry(host).or_default();
        of_host.connections += 1;
        let (host, source_permits) = (&of_host.permits, &crowd.permits);
        let handshakes = StepPermits::new(&host.handshakes, &source_permits.handshakes);
        let requests = StepPermits::new(&host.requests, &source_permits.requests);
        drop(open);
        self.metrics.open.inc();
        Some(Entered {
            connections: Arc::clone(self),
            source,
            id,
            handshakes,
            requests,
        })
    }

    /// Closes one connection because there are no descriptors left.
    pub(super) fn give_up_one(&self) {
        let mut open = self.lock();
        let worst = open.worst(1, Instant::now());
        self.evict(&mut open, &worst, Reason::Descriptors);
    }

    fn evict(&self, open: &mut Open, worst: &[Worst], reason: Reason) {
        for one in worst {
            if let Some(evicted) = open.remove(one.source, one.id) {
                evicted.handle.evict();
                self.metrics.evicted(reason);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock()
    }
}

/// How many connections are evicted at a limit.
fn evicted_at(limit: usize) -> usize {
    (limit / EVICTED_PART).max(1)
}

impl Open {
    /// Whether `source` has `limit` connections that are not trusted.
    fn is_full(&self, source: Source, limit: usize) -> bool {
        let crowd = self.sources.get(&source);
        // Below the limit none is looked at.
        let crowd = crowd.filter(|crowd| crowd.connections.len() >= limit);
        crowd.is_some_and(|crowd| {
            let counts = |one: &&OpenConnection| one.handle.trust() < TrustLevel::Trusted;
            crowd.connections.iter().filter(counts).count() >= limit
        })
    }

    /// The connections of `source` that go first, at most `number`. Trusted ones never do.
    fn worst_of(&self, source: Source, number: usize, now: Instant) -> Vec<Worst> {
        let Some(crowd) = self.sources.get(&source) else {
            return Vec::new();
        };
        let ranked = crowd.ranked(|trust| trust < TrustLevel::Trusted, now);
        let ids = ranked.into_iter().rev().map(|ranked| ranked.id);
        ids.map(|id| Worst { source, id }).take(number).collect()
    }

    /// The connections that go first of all, at most `number`: of the sources that have most of the
    /// least trusted ones.
    fn worst(&self, number: usize, now: Instant) -> Vec<Worst> {
        let mut worst = [TrustLevel::Unknown, TrustLevel::Known]
            .into_iter()
            .map(|trust| self.worst_with(trust, number, now));
        worst.find(|worst| !worst.is_empty()).unwrap_or_default()
    }

    fn worst_with(&self, trust: TrustLevel, number: usize, now: Instant) -> Vec<Worst> {
        let largest = self.sources.iter().filter_map(|(source, crowd)| {
            Largest::of(*source, crowd.ranked(|level| level == trust, now))
        });
        let mut largest: BinaryHeap<Largest> = largest.collect();
        let mut worst = Vec::with_capacity(number);
        while worst.len() < number
            && let Some(Largest {
                first: Reverse(Ranked { id, .. }),
                source,
                rest,
                ..
            }) = largest.pop()
        {
            worst.push(Worst { source, id });
            largest.extend(Largest::of(source, rest));
        }
        worst
    }

    fn remove(&mut self, source: Source, id: u64) -> Option<OpenConnection> {
        let crowd = self.sources.get_mut(&source)?;
        let at = crowd.connections.iter().position(|one| one.id == id)?;
        let removed = crowd.connections.swap_remove(at);
        if let Some(host) = crowd.hosts.get_mut(&removed.host) {
            host.connections -= 1;
            if host.connections == 0 {
                crowd.hosts.remove(&removed.host);
            }
        }
        if crowd.connections.is_empty() {
            self.sources.remove(&source);
        }
        self.count -= 1;
        Some(removed)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let removed = self.connections.lock().remove(self.source, self.id);
        drop(removed);
        self.connections.metrics.open.dec();
    }
}

#[cfg(test)]
mod tests;
