//! What publishers may store and send: each one, and all together.
//!
//! A publisher is one proven identity with all of its streams. If it is over its own limit, that
//! costs no other publisher anything. A publisher that stores and sends little is refused nothing
//! because of others. Within a publisher, which may be all scrapers of a cluster, large rosters may
//! take half of the limit, so that a few nodes with very many containers do not block ordinary
//! nodes.

mod faults;
mod limits;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;
use tributary_model::Roster;
use tributary_runtime::log_limiter::LogLimiter;

pub(super) use self::limits::{TooMuch, Whose};
use self::{
    faults::Faults,
    limits::{
        GUARANTEED, LITTLE_STREAMS, Limits, OF_ALL, OF_PUBLISHER, Size, open_to, without_kept,
    },
};
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

/// What a publisher stores and has sent.
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
    /// How many streams have each roster, by its address.
    rosters: BTreeMap<usize, Shared>,
    pace: Pace,
    /// The rate that is guaranteed to this publisher. Messages within it do not count for the limit of all.
    guaranteed: Pace,
    faults: Faults,
    room: Room,
    lines: Lines,
}

/// The values that have limits for all publishers together.
#[derive(Clone, Copy, Debug)]
enum What {
    Nodes,
    Containers,
    Bytes,
    LargeContainers,
    LargeBytes,
}

/// Limits the log lines about streams of a publisher that begin and end. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines {
    pub(super) came: Arc<LogLimiter>,
    pub(super) went: Arc<LogLimiter>,
    pub(super) synced: Arc<LogLimiter>,
}

#[derive(Debug)]
struct Shared {
    size: Size,
    streams: usize,
}

/// The account of a publisher, as one of its streams has it. Dropping it releases the stream. Nodes
/// and claims must be released by the stream.
#[derive(Debug)]
pub(super) struct Account {
    accounts: Accounts,
    name: Arc<str>,
    pub(super) room: Room,
    pub(super) lines: Lines,
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
            guaranteed: Pace::new(GUARANTEED, now),
            faults: Faults::new(now),
            room,
            lines: Lines::default(),
        }
    }

    /// Whether one more node, with this roster if it has one, is too much for `own`, or for `self`,
    /// which counts all publishers.
    fn check(&self, own: &Self, roster: Option<(usize, Size)>) -> Result<(), TooMuch> {
        own.check_against(roster, Whose::Publisher, |_, max| max)?;
        let new = |holdings: &Self| {
            let new = roster.filter(|(address, _)| !holdings.rosters.contains_key(address));
            new.map(|(_, size)| size).unwrap_or_default()
        };
        let (more, large) = (new(own), new(own).is_large());
        let will_hold = |what| match what {
            What::Nodes => own.nodes + 1,
            What::Containers => own.size.containers + more.containers,
            What::Bytes => own.size.bytes + more.bytes,
            What::LargeContainers if large => own.large.containers + more.containers,
            What::LargeBytes if large => own.large.bytes + more.bytes,
            What::LargeContainers => own.large.containers,
            What::LargeBytes => own.large.bytes,
        };
        self.check_against(roster, Whose::All, |what, max| {
            open_to(will_hold(what), max)
        })
    }

    /// Whether one more node is too much, if `open` of each limit may be used.
    fn check_against(
        &self,
        roster: Option<(usize, Size)>,
        of: Whose,
        open: impl Fn(What, usize) -> usize,
    ) -> Result<(), TooMuch> {
        let max = open(What::Nodes, self.limits.nodes);
        if self.nodes >= max {
            return Err(TooMuch::Nodes { max, of });
        }
        let Some((_, size)) = roster.filter(|(address, _)| !self.rosters.contains_key(address))
        else {
            return Ok(());
        };
        let Size { containers, bytes } = self.limits.size;
        let max = open(What::Containers, containers);
        if self.size.containers + size.containers > max {
            return Err(TooMuch::Containers { max, of });
        }
        let max = open(What::Bytes, bytes);
        if self.size.bytes + size.bytes > max {
            return Err(TooMuch::Names { max, of });
        }
        if !size.is_large() {
            return Ok(());
        }
        let max = open(What::LargeContainers, containers / 2);
        if self.large.containers + size.containers > max {
            return Err(TooMuch::LargeContainers { max, of });
        }
        let max = open(What::LargeBytes, bytes / 2);
        if self.large.bytes + size.bytes > max {
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
    /// This publisher, or all together, have too many streams; or too many of its last streams
    /// broke the rules.
    pub(super) fn open(&self, name: &Arc<str>, now: Instant) -> Result<Account, TooMuch> {
        let mut books = self.lock();
        // A publisher without streams is remembered as long as its rate is over the limit.
        // Otherwise a new stream would reset it.
        books
            .by
            .retain(|_, own| own.streams > 0 || own.pace.owes(now) || own.faults.owes(now));
        let has = books.by.get(name).map_or(0, |own| own.streams);
        let max = if has < LITTLE_STREAMS {
            OF_ALL.streams
        } else {
            without_kept(OF_ALL.streams)
        };
        if has < OF_PUBLISHER.streams && books.all.streams >= max {
            return Err(TooMuch::Streams {
                max,
                of: Whose::All,
            });
        }
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
        if let Some(wait) = own.faults.wait(now) {
            return Err(TooMuch::Faults(wait));
        }
        own.streams += 1;
        let (room, lines) = (own.room.clone(), own.lines.clone());
        books.all.streams += 1;
        Ok(Account {
            accounts: self.clone(),
            name: Arc::clone(name),
            room,
            lines,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Books> {
        self.0.lock()
    }
}

impl Account {
    /// Adds a node to the account, with its roster if it has one.
    ///
    /// # Errors
    ///
    /// A limit is reached, and nothing changes.
    pub(super) fn hold(&self, roster: Option<&Arc<Roster>>) -> Result<(), TooMuch> {
        self.hold_sized(roster.map(|roster| (address(roster), Size::of(roster))))
    }

    fn hold_sized(&self, roster: Option<(usize, Size)>) -> Result<(), TooMuch> {
        self.change(|own, all| {
            all.check(own, roster)?;
            own.hold(roster);
            all.hold(roster);
            Ok(())
        })
        .unwrap_or(Ok(()))
    }

    /// Removes a node that was added with the same roster.
    pub(super) fn release(&self, roster: Option<&Arc<Roster>>) {
        self.release_at(roster.map(address));
    }

    fn release_at(&self, address: Option<usize>) {
        self.change(|own, all| {
            own.release(address);
            all.release(address);
        });
    }

    /// Changes the number of claims of a stream from `before` to `now`. Fewer are always possible.
    ///
    /// # Errors
    ///
    /// A limit is reached, and nothing changes.
    pub(super) fn claim(&self, before: usize, now: usize) -> Result<(), TooMuch> {
        self.change(|own, all| {
            for (stored, of) in [(&*own, Whose::Publisher), (&*all, Whose::All)] {
                let max = stored.limits.claims;
                if now > before && stored.claims - before + now > max {
                    return Err(TooMuch::Nodes { max, of });
                }
            }
            for stored in [own, all] {
                stored.claims = stored.claims - before + now;
            }
            Ok(())
        })
        .unwrap_or(Ok(()))
    }

    /// Counts a message of this many bytes. Returns until when the publisher must wait, if it must.
    pub(super) fn take(&self, bytes: usize, now: Instant) -> Option<Instant> {
        self.change(|own, all| {
            let of_all = if own.guaranteed.spend(bytes, now) {
                None
            } else {
                all.pace.take(bytes, now)
            };
            own.pace.take(bytes, now).max(of_all)
        })
        .flatten()
    }

    /// Counts that a stream of this publisher broke the rules.
    pub(super) fn fault(&self, now: Instant) {
        self.change(|own, _| own.faults.add(now));
    }

    /// Changes the account and that of all. It exists as long as it has a stream.
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

/// Identifies a roster as long as it is in memory.
fn address(roster: &Arc<Roster>) -> usize {
    Arc::as_ptr(roster).addr()
}

#[cfg(test)]
mod tests;
