//! Limits of requests that wait for a review (docs/decisions/0022-reviews-are-bounded-and-fair.md).
//!
//! A waiting request costs memory, and every client that reaches the port can make one wait. So
//! their number is limited, and callers that have proven nothing have a smaller limit, which leaves
//! the rest to others. A request over a limit is refused at once, and may be sent again.

use std::sync::Arc;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tributary_runtime::serve::ConnectionNotes;

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
    unproven: Arc<Semaphore>,
    anonymous: Arc<Semaphore>,
    metrics: WaitingMetrics,
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
        for limit in ["all", "new", "unproven", "anonymous", "connection"] {
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
            unproven: Arc::new(Semaphore::new(UNPROVEN)),
            anonymous: Arc::new(Semaphore::new(ANONYMOUS)),
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
        let connection = caller.connection.as_ref().map(OnConnection::of);
        let own = match caller.kind {
            CallerKind::Anonymous => Some(("anonymous", &room.anonymous, connection)),
            CallerKind::Unproven if !known => Some(("unproven", &room.unproven, connection)),
            CallerKind::Unproven | CallerKind::Proven | CallerKind::Publisher => None,
        };
        let mut permits = [None, None, None, None];
        let [on_connection, of_limit, of_new, of_all] = &mut permits;
        if let Some((limit, places, connection)) = own {
            if let Some(OnConnection(places)) = connection {
                *on_connection = Some(self.take(&places, "connection")?);
            }
            *of_limit = Some(self.take(places, limit)?);
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
            waiting: room.metrics.waiting.clone(),
        })
    }

    fn take(
        &self,
        places: &Arc<Semaphore>,
        limit: &'static str,
    ) -> Result<OwnedSemaphorePermit, Full> {
        Arc::clone(places).try_acquire_owned().map_err(|_| {
            let refused = &self.0.metrics.refused;
            refused.get_or_create(&LimitLabel { limit }).inc();
            Full
        })
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
mod tests {
    use super::*;

    fn seats(room: &WaitingRoom, caller: &Caller, most: usize) -> Vec<Seat> {
        let seats = (0..most).map_while(|_| room.enter(caller, false).ok());
        seats.collect()
    }

    #[test]
    fn strangers_leave_room_for_those_who_are_known() {
        let room = WaitingRoom::new(WaitingMetrics::default());
        let anonymous = seats(&room, &Caller::of(CallerKind::Anonymous), 2_000);
        let unproven = seats(&room, &Caller::of(CallerKind::Unproven), 2_000);
        assert_eq!((anonymous.len(), unproven.len()), (100, 400));
        // A token that was accepted before counts like a certificate.
        let again = room.enter(&Caller::of(CallerKind::Unproven), true);
        assert!(again.is_ok());
        let proven = seats(&room, &Caller::of(CallerKind::Proven), 2_000);
        assert_eq!(proven.len(), 500);
        // Known callers have some permits of their own.
        let known = || room.enter(&Caller::of(CallerKind::Proven), true).ok();
        let known: Vec<_> = (0..2_000).map_while(|_| known()).collect();
        assert_eq!(known.len(), 199);
        assert!(
            room.enter(&Caller::of(CallerKind::Publisher), false)
                .is_ok()
        );
        assert_eq!(room.0.metrics.waiting.get(), 1_200);
        drop((anonymous, unproven, proven, known, again));
        assert_eq!(room.0.metrics.waiting.get(), 0);
        assert!(
            room.enter(&Caller::of(CallerKind::Anonymous), false)
                .is_ok()
        );
        let refused = |limit| {
            room.0
                .metrics
                .refused
                .get_or_create(&LimitLabel { limit })
                .get()
        };
        assert_eq!(
            ["all", "new", "unproven", "anonymous", "connection"].map(refused),
            [1, 1, 1, 1, 0]
        );
    }

    #[test]
    fn a_connection_that_has_proven_nothing_has_four_places() {
        let room = WaitingRoom::new(WaitingMetrics::default());
        let on = |notes: &ConnectionNotes, kind| Caller {
            kind,
            connection: Some(notes.clone()),
        };
        let (one, other) = (ConnectionNotes::default(), ConnectionNotes::default());
        let mut taken = seats(&room, &on(&one, CallerKind::Unproven), 10);
        assert_eq!(taken.len(), 4);
        assert!(room.enter(&on(&one, CallerKind::Anonymous), false).is_err());
        assert!(room.enter(&on(&one, CallerKind::Unproven), true).is_ok());
        assert!(room.enter(&on(&one, CallerKind::Proven), false).is_ok());
        assert!(
            room.enter(&on(&other, CallerKind::Anonymous), false)
                .is_ok()
        );
        taken.pop();
        assert!(room.enter(&on(&one, CallerKind::Anonymous), false).is_ok());
    }
}
