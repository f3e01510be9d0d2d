//! What publishers may hold and send: each one, and all together.
//!
//! A publisher is whoever was proven to be at the other end, with all of its
//! streams. What one is refused for being over its budget costs no other
//! publisher anything. Within a publisher, which may be all scrapers of a
//! cluster, rosters that are large may take half of the room, so that some
//! nodes with a great many containers keep no ordinary node out.

mod bounds;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::time::Instant;
use tributary_model::Roster;

use self::bounds::{Limits, OF_ALL, OF_PUBLISHER, Size};
pub(super) use self::bounds::{TooMuch, Whose};
use super::{frames::Room, pace::Pace};

/// The accounts of all publishers. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Accounts(Arc<Mutex<Books>>);

#[derive(Debug)]
struct Books {
    all: Holdings,
    by: HashMap<Arc<str>, Holdings>,
    room: Room,
}

/// What is held and was sent.
///
/// # Invariants
///
/// `size` is the sum over `rosters`, and `large` that over those that are large.
#[derive(Debug)]
struct Holdings {
    limits: Limits,
    streams: usize,
    nodes: usize,
    claims: usize,
    size: Size,
    large: Size,
    /// How many streams hold each roster, by its address.
    rosters: BTreeMap<usize, Shared>,
    pace: Pace,
    room: Room,
}

#[derive(Debug)]
struct Shared {
    size: Size,
    streams: usize,
}

/// The account of a publisher, as one of its streams has it. Dropping it gives
/// back the stream; whoever holds nodes and claims gives those back.
#[derive(Debug)]
pub(super) struct Account {
    accounts: Accounts,
    name: Arc<str>,
    pub(super) room: Room,
}

impl Holdings {
    fn new(limits: Limits, room: Room, now: Instant) -> Self {
        Self {
            limits,
            streams: 0,
            nodes: 0,
            claims: 0,
            size: Size::default(),
            large: Size::default(),
            rosters: BTreeMap::new(),
            pace: Pace::new(limits.rate, now),
            room,
        }
    }

    /// Whether one more node, with this roster if it has one, is too much.
    fn check(&self, roster: Option<(usize, Size)>, of: Whose) -> Result<(), TooMuch> {
        let max = self.limits.nodes;
        if self.nodes >= max {
            return Err(TooMuch::Nodes { max, of });
        }
        let Some((_, size)) = roster.filter(|(address, _)| !self.rosters.contains_key(address))
        else {
            return Ok(());
        };
        let Size { containers, bytes } = self.limits.size;
        if self.size.containers + size.containers > containers {
            let max = containers;
            return Err(TooMuch::Containers { max, of });
        }
        if self.size.bytes + size.bytes > bytes {
            return Err(TooMuch::Names { max: bytes, of });
        }
        if !size.is_large() {
            return Ok(());
        }
        if self.large.containers + size.containers > containers / 2 {
            let max = containers / 2;
            return Err(TooMuch::LargeContainers { max, of });
        }
        if self.large.bytes + size.bytes > bytes / 2 {
            let max = bytes / 2;
            return Err(TooMuch::LargeNames { max, of });
        }
        Ok(())
    }

    fn hold(&mut self, roster: Option<(usize, Size)>) {
        self.nodes += 1;
        let Some((address, size)) = roster else {
            return;
        };
        let shared = self.rosters.entry(address).or_insert_with(|| {
            self.size += size;
            if size.is_large() {
                self.large += size;
            }
            Shared { size, streams: 0 }
        });
        shared.streams += 1;
    }

    fn release(&mut self, address: Option<usize>) {
        self.nodes -= 1;
        let Some(address) = address else {
            return;
        };
        let Some(shared) = self.rosters.get_mut(&address) else {
            return;
        };
        shared.streams -= 1;
        if shared.streams > 0 {
            return;
        }
        let size = shared.size;
        self.rosters.remove(&address);
        self.size -= size;
        if size.is_large() {
            self.large -= size;
        }
    }
}

impl Default for Accounts {
    fn default() -> Self {
        let room = Room::default();
        Self(Arc::new(Mutex::new(Books {
            all: Holdings::new(OF_ALL, room.clone(), Instant::now()),
            by: HashMap::new(),
            room,
        })))
    }
}

impl Accounts {
    /// The account of the publisher `name`, for one more stream.
    ///
    /// # Errors
    ///
    /// It has too many already, or all have.
    pub(super) fn open(&self, name: &Arc<str>, now: Instant) -> Result<Account, TooMuch> {
        let mut books = self.lock();
        let max = OF_ALL.streams;
        if books.all.streams >= max {
            return Err(TooMuch::Streams {
                max,
                of: Whose::All,
            });
        }
        // One that came and went is known for as long as it has debts: else to
        // dial again would be a way to send faster.
        books
            .by
            .retain(|_, own| own.streams > 0 || own.pace.owes(now));
        let room = books.room.of_another();
        let own = books
            .by
            .entry(Arc::clone(name))
            .or_insert_with(|| Holdings::new(OF_PUBLISHER, room, now));
        let max = own.limits.streams;
        if own.streams >= max {
            return Err(TooMuch::Streams {
                max,
                of: Whose::Publisher,
            });
        }
        own.streams += 1;
        let room = own.room.clone();
        books.all.streams += 1;
        Ok(Account {
            accounts: self.clone(),
            name: Arc::clone(name),
            room,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Account {
    /// Takes one more node into the account, with its roster if it has one.
    ///
    /// # Errors
    ///
    /// A bound is reached, and nothing is changed.
    pub(super) fn hold(&self, roster: Option<&Arc<Roster>>) -> Result<(), TooMuch> {
        self.hold_sized(roster.map(|roster| (address(roster), Size::of(roster))))
    }

    fn hold_sized(&self, roster: Option<(usize, Size)>) -> Result<(), TooMuch> {
        self.change(|own, all| {
            own.check(roster, Whose::Publisher)?;
            all.check(roster, Whose::All)?;
            own.hold(roster);
            all.hold(roster);
            Ok(())
        })
        .unwrap_or(Ok(()))
    }

    /// Gives back a node that was held, with the same roster.
    pub(super) fn release(&self, roster: Option<&Arc<Roster>>) {
        self.release_at(roster.map(address));
    }

    fn release_at(&self, address: Option<usize>) {
        self.change(|own, all| {
            own.release(address);
            all.release(address);
        });
    }

    /// Takes into account that the claims of a stream are `now` instead of
    /// `before`. Fewer are always possible.
    ///
    /// # Errors
    ///
    /// A bound is reached, and nothing is changed.
    pub(super) fn claim(&self, before: usize, now: usize) -> Result<(), TooMuch> {
        self.change(|own, all| {
            for (held, of) in [(&*own, Whose::Publisher), (&*all, Whose::All)] {
                let max = held.limits.claims;
                if now > before && held.claims - before + now > max {
                    return Err(TooMuch::Nodes { max, of });
                }
            }
            for held in [own, all] {
                held.claims = held.claims - before + now;
            }
            Ok(())
        })
        .unwrap_or(Ok(()))
    }

    /// Takes a message of so many bytes into account. Returns until when the
    /// publisher has to wait, if it has to.
    pub(super) fn take(&self, bytes: usize, now: Instant) -> Option<Instant> {
        self.change(|own, all| own.pace.take(bytes, now).max(all.pace.take(bytes, now)))
            .flatten()
    }

    /// Changes the account and that of all. There is one for as long as there is
    /// a stream.
    fn change<T>(&self, change: impl FnOnce(&mut Holdings, &mut Holdings) -> T) -> Option<T> {
        let mut books = self.accounts.lock();
        let Books { all, by, .. } = &mut *books;
        by.get_mut(&self.name).map(|own| change(own, all))
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.change(|own, all| {
            own.streams -= 1;
            all.streams -= 1;
        });
    }
}

/// Names a roster for as long as somebody holds it.
fn address(roster: &Arc<Roster>) -> usize {
    Arc::as_ptr(roster).addr()
}

#[cfg(test)]
mod tests;
