//! Which connections a server keeps when there are too many.
//!
//! A new connection is always admitted: a probe, or the front proxy, is a stranger until its first
//! request arrives. At the limit another connection is evicted, of the address that has most, so
//! that one address cannot block the others. Of one address, connections without credentials go
//! first; of those, idle ones; and then the oldest. So with a limit of `n` for an address, a new
//! connection is evicted after `n` later ones at the earliest. That is the time that it has for its
//! request.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::{
    handle::{ConnectionHandle, TrustLevel, Worth},
    metrics::{Reason, ServeMetrics},
};

/// A group of connections with a common limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Source {
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
    pub(super) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Self::V6([a, b, c, d])
            }
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
    sources: HashMap<Source, Vec<Kept>>,
}

#[derive(Debug)]
struct Kept {
    id: u64,
    handle: ConnectionHandle,
}

/// One of the connections, until this is dropped.
#[derive(Debug)]
pub(super) struct Entered {
    connections: Arc<Connections>,
    source: Source,
    id: u64,
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

    /// Admits a connection from `source`, and evicts another one at a limit. `None` if all others
    /// are trusted.
    pub(super) fn enter(
        self: &Arc<Self>,
        source: Source,
        handle: ConnectionHandle,
    ) -> Option<Entered> {
        let now = Instant::now();
        let mut open = self.lock();
        if source != Source::Local && open.strangers(source) >= self.per_source {
            let worst = open.worst_of(source, now);
            self.evict(&mut open, worst, Reason::PerSource);
        }
        if open.count >= self.most {
            let worst = open.worst(now);
            if !self.evict(&mut open, worst, Reason::Total) {
                self.metrics.evicted(Reason::Refused);
                return None;
            }
        }
        let id = open.next;
        open.next += 1;
        open.count += 1;
        let kept = open.sources.entry(source).or_default();
        kept.push(Kept { id, handle });
        drop(open);
        self.metrics.open.inc();
        Some(Entered {
            connections: Arc::clone(self),
            source,
            id,
        })
    }

    /// Closes one connection because there are no descriptors left.
    pub(super) fn give_up_one(&self) {
        let mut open = self.lock();
        let worst = open.worst(Instant::now());
        self.evict(&mut open, worst, Reason::Descriptors);
    }

    /// Evicts one. Returns whether there was one.
    fn evict(&self, open: &mut Open, worst: Option<(Source, u64)>, reason: Reason) -> bool {
        let kept = worst.and_then(|(source, id)| open.remove(source, id));
        if let Some(kept) = &kept {
            kept.handle.evict();
            self.metrics.evicted(reason);
        }
        kept.is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock()
    }
}

impl Open {
    /// How many connections of `source` count.
    fn strangers(&self, source: Source) -> usize {
        let kept = self.sources.get(&source);
        kept.map_or(0, |kept| {
            let counts = |kept: &&Kept| kept.handle.trust() < TrustLevel::Trusted;
            kept.iter().filter(counts).count()
        })
    }

    /// The connection of `source` that goes first. Trusted ones never do.
    fn worst_of(&self, source: Source, now: Instant) -> Option<(Source, u64)> {
        let kept = self.sources.get(&source)?;
        let worst = kept
            .iter()
            .map(|kept| (kept.handle.worth(now), kept.id))
            .filter(|(worth, _)| worth.trust < TrustLevel::Trusted)
            .min()?;
        Some((source, worst.1))
    }

    /// The connection that goes first of all: of the source that has most of the least trusted
    /// ones.
    fn worst(&self, now: Instant) -> Option<(Source, u64)> {
        [TrustLevel::Unknown, TrustLevel::Known]
            .into_iter()
            .find_map(|trust| self.worst_with(trust, now))
    }

    fn worst_with(&self, trust: TrustLevel, now: Instant) -> Option<(Source, u64)> {
        let number = |kept: &[Kept]| {
            let counts = |kept: &&Kept| kept.handle.trust() == trust;
            kept.iter().filter(counts).count()
        };
        let numbers: Vec<(usize, Source)> = self
            .sources
            .iter()
            .map(|(source, kept)| (number(kept), *source))
            .filter(|(number, _)| *number > 0)
            .collect();
        let most = numbers.iter().map(|(number, _)| *number).max()?;
        let largest = numbers.iter().filter(|(number, _)| *number == most);
        let worst = largest
            .filter_map(|(_, source)| {
                let kept = self.sources.get(source)?;
                let of_source = kept.iter().map(|kept| (kept.handle.worth(now), kept.id));
                let (worth, id) = of_source.min()?;
                Some((worth, id, *source))
            })
            .min_by_key(|(worth, id, _): &(Worth, u64, Source)| (*worth, *id))?;
        Some((worst.2, worst.1))
    }

    fn remove(&mut self, source: Source, id: u64) -> Option<Kept> {
        let kept = self.sources.get_mut(&source)?;
        let at = kept.iter().position(|kept| kept.id == id)?;
        let removed = kept.swap_remove(at);
        if kept.is_empty() {
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
