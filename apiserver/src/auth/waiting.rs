//! Limits of requests that wait for a review (docs/decisions/0022-reviews-are-bounded-and-fair.md).
//!
//! A waiting request costs memory, and every client that reaches the port can make one wait. So
//! their number is limited, and callers that have proven nothing have a smaller limit, which leaves
//! the rest to others. Of that, one address has a quarter at most. A request over a limit is refused at once, and may be
//! sent again.

mod shares;

use std::sync::Arc;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tributary_runtime::serve::{ConnectionNotes, Source};

use self::shares::{Share, Shares};

/// The most requests that wait.
pub(crate) const IN_ALL: usize = 1_200;

/// The most of them whose question was not answered recently. The rest is for known callers.
/// Together with the limits of strangers it leaves 500 to known callers: more than may be in flight
/// by default.
pub(crate) const NEW: usize = 1_000;

/// The most of them with a token that was not accepted by a review before.
pub(crate) const UNPROVEN: usize = 400;

/// The most of them of anonymous callers.
pub(crate) const ANONYMOUS: usize = 100;

/// The most of either of one address (IPv6: of its /64), if the connection has proven nothing: one in this many.
pub(crate) const OF_ONE_ADDRESS: usize = 4;

/// The most requests of one connection that has proven nothing.
pub(crate) const ON_ONE_CONNECTION: usize = 4;

/// What a caller has proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallerKind {
    /// It has no credentials.
    Anonymous,
    /// It has a token that is not reviewed yet.
    Unproven,
    /// It is authenticated.
    Proven,
    /// It is authenticated and publishes on the bus. The bus limits the number of its streams.
    Publisher,
}

/// The caller that a review is for.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) kind: CallerKind,
    /// The notes of its connection, unless the connection is trusted: the front proxy has many
    /// callers on one.
    pub(crate) connection: Option<ConnectionNotes>,
}

impl Caller {
    /// A caller whose connection does not count.
    pub(crate) fn of(kind: CallerKind) -> Self {
        Self {
            kind,
            connection: None,
        }
    }
}

/// The limits of waiting requests. Cheap to clone; clones share them.
#[derive(Clone, Debug)]
pub(crate) struct WaitingRoom(Arc<Room>);

#[derive(Debug)]
struct Room {
    all: Arc<Semaphore>,
    new: Arc<Semaphore>,
    unproven: Strangers,
    anonymous: Strangers,
    metrics: WaitingMetrics,
}

/// The permits of callers that have proven nothing.
#[derive(Debug)]
struct Strangers {
    limit: &'static str,
    all: Arc<Semaphore>,
    by_address: Shares,
}

impl Strangers {
    fn new(limit: &'static str, most: usize) -> Self {
        Self {
            limit,
            all: Arc::new(Semaphore::new(most)),
            by_address: Shares::new(most / OF_ONE_ADDRESS),
        }
    }
}

/// Metrics of waiting requests. Clones share their counters.
#[derive(Clone, Debug, Default)]
pub(crate) struct WaitingMetrics {
    waiting: Gauge,
    refused: Family<LimitLabel, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LimitLabel {
    limit: &'static str,
}

/// The permit of one waiting request, until it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    _permits: [Option<OwnedSemaphorePermit>; 4],
    _share: Option<Share>,
    waiting: Gauge,
}

/// A limit is reached, so the request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// The permits of one connection.
#[derive(Clone, Debug)]
struct OnConnection(Arc<Semaphore>);

impl WaitingMetrics {
    /// Registers the counters; names and help texts exist only here.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let new = Self::default();
        registry.register(
            "tributary_auth_waiting_requests",
            "Requests that wait for a review of a token or of access",
            new.waiting.clone(),
        );
        registry.register(
            "tributary_auth_waiting_refused",
            "Requests refused because too many waited for reviews, by the share that was full",
            new.refused.clone(),
        );
        for limit in [
            "all",
            "new",
            "unproven",
            "anonymous",
            "address",
            "connection",
        ] {
            drop(new.refused.get_or_create(&LimitLabel { limit }));
        }
        new
    }
}

impl WaitingRoom {
    pub(crate) fn new(metrics: WaitingMetrics) -> Self {
        Self(Arc::new(Room {
            all: Arc::new(Semaphore::new(IN_ALL)),
            new: Arc::new(Semaphore::new(NEW)),
            unproven: Strangers::new("unproven", UNPROVEN),
            anonymous: Strangers::new("anonymous", ANONYMOUS),
            metrics,
        }))
    }

    /// A new room with the same limits.
    pub(crate) fn apart(&self) -> Self {
        Self::new(self.0.metrics.clone())
    }

    /// A permit for a request of `caller`. `known` means that an earlier answer to its question
    /// admitted it, which proves as much as a credential.
    ///
    /// # Errors
    ///
    /// A limit of this caller is reached.
    pub(crate) fn enter(&self, caller: &Caller, known: bool) -> Result<Seat, Full> {
        let room = &*self.0;
        let strangers = match caller.kind {
            CallerKind::Anonymous => Some(&room.anonymous),
            CallerKind::Unproven if !known => Some(&room.unproven),
            CallerKind::Unproven | CallerKind::Proven | CallerKind::Publisher => None,
        };
        let (mut permits, mut share) = ([None, None, None, None], None);
        let [on_connection, of_limit, of_new, of_all] = &mut permits;
        if let Some(strangers) = strangers {
            if let Some(notes) = &caller.connection {
                let OnConnection(places) = OnConnection::of(notes);
                *on_connection = Some(self.take(&places, "connection")?);
                // The directory of a Unix socket decides who may connect.
                let source = notes.get().filter(|source| *source != Source::Local);
                if let Some(source) = source {
                    let taken = strangers.by_address.take(source);
                    share = Some(taken.ok_or_else(|| self.refuse("address"))?);
                }
            }
            *of_limit = Some(self.take(&strangers.all, strangers.limit)?);
        }
        if caller.kind != CallerKind::Publisher {
            if !known {
                *of_new = Some(self.take(&room.new, "new")?);
            }
            *of_all = Some(self.take(&room.all, "all")?);
        }
        room.metrics.waiting.inc();
        Ok(Seat {
            _permits: permits,
            _share: share,
            waiting: room.metrics.waiting.clone(),
        })
    }

    fn take(
        &self,
        places: &Arc<Semaphore>,
        limit: &'static str,
    ) -> Result<OwnedSemaphorePermit, Full> {
        let permit = Arc::clone(places).try_acquire_owned();
        permit.map_err(|_| self.refuse(limit))
    }

    fn refuse(&self, limit: &'static str) -> Full {
        let refused = &self.0.metrics.refused;
        refused.get_or_create(&LimitLabel { limit }).inc();
        Full
    }
}

impl OnConnection {
    fn of(notes: &ConnectionNotes) -> Self {
        notes.get_or_put(|| Self(Arc::new(Semaphore::new(ON_ONE_CONNECTION))))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.waiting.dec();
    }
}

#[cfg(test)]
mod tests;
