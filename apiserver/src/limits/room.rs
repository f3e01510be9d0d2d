//! How many requests are answered at a time, and which of them have to make room.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use tributary_runtime::serve::Sending;

use super::Busy;

/// One user may have this part of all places: a quarter.
const SHARE: usize = 4;

/// An answer may be dropped for another request when the peer took nothing of it for
/// this long.
const UNTAKEN: Duration = Duration::from_secs(1);

/// All places. An answer keeps its place until the peer has taken it, and a peer may
/// take nothing; so each user has a share, and what is not taken makes room.
#[derive(Debug)]
pub(super) struct Room {
    places: Arc<Semaphore>,
    share: usize,
    held: Mutex<HeldPlaces>,
}

#[derive(Debug, Default)]
struct HeldPlaces {
    /// How many places each user has. Users without any are not kept.
    of_users: HashMap<String, usize>,
    /// The answers that keep a place, and some that are over.
    sending: Vec<Sending>,
}

/// A place of a user; given back when this is dropped.
#[derive(Debug)]
pub(super) struct Taken {
    room: Arc<Room>,
    user: String,
    _permit: OwnedSemaphorePermit,
}

impl Room {
    pub(super) fn new(places: usize) -> Arc<Self> {
        Arc::new(Self {
            places: Arc::new(Semaphore::new(places)),
            share: (places / SHARE).max(1),
            held: Mutex::default(),
        })
    }

    /// A place for a request of `user`.
    pub(super) fn take(self: &Arc<Self>, user: &str) -> Result<Taken, Busy> {
        // First, so that a user who has its share takes from nobody.
        self.has_room_for(user)?;
        let mut permit = Arc::clone(&self.places).try_acquire_owned();
        if permit.is_err() {
            self.make_room();
            permit = Arc::clone(&self.places).try_acquire_owned();
        }
        let permit = permit.map_err(|_| Busy)?;
        *self.lock().of_users.entry(user.to_owned()).or_default() += 1;
        Ok(Taken {
            room: Arc::clone(self),
            user: user.to_owned(),
            _permit: permit,
        })
    }

    /// # Errors
    ///
    /// The user has its share. Several that come at one moment may get one place each
    /// beyond it.
    fn has_room_for(&self, user: &str) -> Result<(), Busy> {
        let has = self.lock().of_users.get(user).copied();
        if has.unwrap_or_default() < self.share {
            Ok(())
        } else {
            Err(Busy)
        }
    }

    /// Lets go of the answer that its peer has left untaken for the longest time, if
    /// that was long enough.
    fn make_room(&self) {
        let now = Instant::now();
        // An answer that is over gives its place back, which locks: so nothing is asked
        // of answers while the lock is held.
        let sending = self.lock().sending.clone();
        let untaken = sending.iter().filter_map(|sending| {
            let since = sending.untaken_since()?;
            (now >= since + UNTAKEN).then_some((since, sending))
        });
        if let Some((_, oldest)) = untaken.min_by_key(|(since, _)| *since) {
            oldest.cut();
        }
    }

    pub(super) fn sends(&self, sending: Sending) {
        let mut held = self.lock();
        // As often as its size doubles, so that each costs little.
        if held.sending.len() == held.sending.capacity() {
            held.sending.retain(|sending| !sending.is_over());
        }
        held.sending.push(sending);
    }

    fn lock(&self) -> MutexGuard<'_, HeldPlaces> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut held = self.room.lock();
        match held.of_users.get_mut(&self.user) {
            Some(has) if *has > 1 => *has -= 1,
            _ => drop(held.of_users.remove(&self.user)),
        }
    }
}
