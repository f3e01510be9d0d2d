//! How many requests may wait for a review, and who may take whose place
//! (docs/decisions/0022-reviews-are-bounded-and-fair.md).
//!
//! A request that waits costs memory, and whoever reaches the port can make one
//! wait. So their number is bounded; those who have proven nothing have a share
//! that leaves the rest to the others. One for whom there is no place is refused
//! at once, and may come again.

use std::sync::Arc;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tributary_runtime::serve::Notes;

/// Requests that wait at one time.
pub(crate) const IN_ALL: usize = 1_200;

/// Of these, requests whose question was not answered lately. The rest is for
/// those that go on doing what they did. With what strangers may have it leaves
/// 500 to callers that are known: more than may be in flight by default.
pub(crate) const NEW: usize = 1_000;

/// Of these, requests with a token that no review has called good yet.
pub(crate) const UNPROVEN: usize = 400;

/// Of these, requests of callers who showed nothing.
pub(crate) const ANONYMOUS: usize = 100;

/// Requests of one connection that has proven nothing.
pub(crate) const ON_ONE_CONNECTION: usize = 4;

/// What is known about whoever a review is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It showed nothing.
    Anonymous,
    /// It showed a token, which is to be reviewed.
    Unproven,
    /// It is known who it is.
    Proven,
    /// It publishes on the bus, and it is known who it is. The bus bounds the
    /// number of its streams.
    Publisher,
}

/// Whoever a review is for.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) standing: Standing,
    /// What is noted about its connection, unless that has proven something: the
    /// front proxy has many callers on one.
    pub(crate) connection: Option<Notes>,
}

impl Caller {
    /// One whose connection does not count.
    pub(crate) fn of(standing: Standing) -> Self {
        Self {
            standing,
            connection: None,
        }
    }
}

/// The places of requests that wait. Cheap to clone; all clones are one.
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

/// Counters of waiting requests. All clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct WaitingMetrics {
    waiting: Gauge,
    refused: Family<Share, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Share {
    share: &'static str,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    _permits: [Option<OwnedSemaphorePermit>; 4],
    waiting: Gauge,
}

/// There is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// The places of one connection.
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
        for share in ["all", "new", "unproven", "anonymous", "connection"] {
            drop(new.refused.get_or_create(&Share { share }));
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

    /// Another one with as many places.
    pub(crate) fn apart(&self) -> Self {
        Self::new(self.0.metrics.clone())
    }

    /// A place for a request of `caller`; `known` if there is an earlier answer
    /// to its question that let it in, which proves as much as any other.
    ///
    /// # Errors
    ///
    /// All places that it may have are taken.
    pub(crate) fn enter(&self, caller: &Caller, known: bool) -> Result<Seat, Full> {
        let room = &*self.0;
        let connection = caller.connection.as_ref().map(OnConnection::of);
        let own = match caller.standing {
            Standing::Anonymous => Some(("anonymous", &room.anonymous, connection)),
            Standing::Unproven if !known => Some(("unproven", &room.unproven, connection)),
            Standing::Unproven | Standing::Proven | Standing::Publisher => None,
        };
        let mut permits = [None, None, None, None];
        let [on_connection, of_share, of_new, of_all] = &mut permits;
        if let Some((share, places, connection)) = own {
            if let Some(OnConnection(places)) = connection {
                *on_connection = Some(self.take(&places, "connection")?);
            }
            *of_share = Some(self.take(places, share)?);
        }
        if caller.standing != Standing::Publisher {
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
        share: &'static str,
    ) -> Result<OwnedSemaphorePermit, Full> {
        Arc::clone(places).try_acquire_owned().map_err(|_| {
            let refused = &self.0.metrics.refused;
            refused.get_or_create(&Share { share }).inc();
            Full
        })
    }
}

impl OnConnection {
    fn of(notes: &Notes) -> Self {
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
        let anonymous = seats(&room, &Caller::of(Standing::Anonymous), 2_000);
        let unproven = seats(&room, &Caller::of(Standing::Unproven), 2_000);
        assert_eq!((anonymous.len(), unproven.len()), (100, 400));
        // A token that was good before is as good as a certificate.
        let again = room.enter(&Caller::of(Standing::Unproven), true);
        assert!(again.is_ok());
        let proven = seats(&room, &Caller::of(Standing::Proven), 2_000);
        assert_eq!(proven.len(), 500);
        // Those that go on with what they did have some for themselves.
        let known = || room.enter(&Caller::of(Standing::Proven), true).ok();
        let known: Vec<_> = (0..2_000).map_while(|_| known()).collect();
        assert_eq!(known.len(), 199);
        assert!(room.enter(&Caller::of(Standing::Publisher), false).is_ok());
        assert_eq!(room.0.metrics.waiting.get(), 1_200);
        drop((anonymous, unproven, proven, known, again));
        assert_eq!(room.0.metrics.waiting.get(), 0);
        assert!(room.enter(&Caller::of(Standing::Anonymous), false).is_ok());
        let refused = |share| room.0.metrics.refused.get_or_create(&Share { share }).get();
        assert_eq!(
            ["all", "new", "unproven", "anonymous", "connection"].map(refused),
            [1, 1, 1, 1, 0]
        );
    }

    #[test]
    fn a_connection_that_has_proven_nothing_has_four_places() {
        let room = WaitingRoom::new(WaitingMetrics::default());
        let on = |notes: &Notes, standing| Caller {
            standing,
            connection: Some(notes.clone()),
        };
        let (one, other) = (Notes::default(), Notes::default());
        let mut taken = seats(&room, &on(&one, Standing::Unproven), 10);
        assert_eq!(taken.len(), 4);
        assert!(room.enter(&on(&one, Standing::Anonymous), false).is_err());
        assert!(room.enter(&on(&one, Standing::Unproven), true).is_ok());
        assert!(room.enter(&on(&one, Standing::Proven), false).is_ok());
        assert!(room.enter(&on(&other, Standing::Anonymous), false).is_ok());
        taken.pop();
        assert!(room.enter(&on(&one, Standing::Anonymous), false).is_ok());
    }
}
