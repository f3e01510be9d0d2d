//! What publishers may store and send: each one, and all together.
//!
//! A publisher is one proven identity with all of its streams. If it is over its own limit, that
//! costs no other publisher anything. A publisher that stores and sends little is refused nothing
//! because of others. Within a publisher, large rosters may take half of the limit, so that a few
//! nodes with very many containers do not block ordinary nodes. All scrapers of a cluster are one
//! publisher if they share a certificate, or a token that is bound to no pod.

mod faults;
mod limits;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Weak},
    time::Duration,
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

/// At least this many rosters are released before a sweep looks which ones are still in memory.
const SWEPT: usize = 64;

/// The time between two sweeps that a refusal or a new stream causes. A sweep looks at every roster.
const SWEEP_AGAIN: Duration = Duration::from_secs(1);

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
/// `size` is the sum over `rosters`, and `large` that over those that are large. A roster counts as long as a stream has it,
/// and after that as long as it is in memory: the store keeps the rows of a node that was released.
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
    /// How many of these no stream has.
    idle: usize,
    /// How many of these the last sweep left, because they are in memory.
    left: usize,
    /// When a refusal or a new stream last caused a sweep.
    swept: Option<Instant>,
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

/// A roster of an account.
#[derive(Clone, Debug)]
struct Booked {
    /// It is no other roster's while `roster` exists.
    address: usize,
    size: Size,
    roster: Weak<Roster>,
}

impl Booked {
    fn of(roster: &Arc<Roster>) -> Self {
        Self {
            address: address(roster),
            size: Size::of(roster),
            roster: Arc::downgrade(roster),
        }
    }
}

#[derive(Debug)]
struct Shared {
    size: Size,
    streams: usize,
    roster: Weak<Roster>,
}

impl Shared {
    fn is_in_memory(&self) -> bool {
        self.streams > 0 || self.roster.strong_count() > 0
    }
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
            idle: 0,
            left: 0,
            swept: None,
            pace: Pace::new(limits.rate, now),
            guaranteed: Pace::new(GUARANTEED, now),
            faults: Faults::new(now),
            room,
            lines: Lines::default(),
        }
    }

    /// Whether one more node, with this roster if it has one, is too much for `own`, or for `self`,
    /// which counts all publishers.
    fn check(&self, own: &Self, roster: Option<&Booked>) -> Result<(), TooMuch> {
        own.check_against(roster, Whose::Publisher, |_, max| max)?;
        let new = |holdings: &Self| {
            let new = roster.filter(|booked| !holdings.rosters.contains_key(&booked.address));
            new.map(|booked| booked.size).unwrap_or_default()
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
        roster: Option<&Booked>,
        of: Whose,
        open: impl Fn(What, usize) -> usize,
    ) -> Result<(), TooMuch> {
        let max = open(What::Nodes, self.limits.nodes);
        if self.nodes >= max {
            return Err(TooMuch::Nodes { max, of });
        }
        let Some(booked) = roster.filter(|booked| !self.rosters.contains_key(&booked.address))
        else {
            return Ok(());
        };
        let size = booked.size;
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

    fn hold(&mut self, roster: Option<&Booked>) {
        self.nodes += 1;
        let Some(booked) = roster else {
            return;
        };
        let shared = self.rosters.entry(booked.address).or_insert_with(|| {
            let size = booked.size;
            self.idle += 1;
            self.size += size;
            if size.is_large() {
                self.large += size;
            }
            Shared {
                size,
                streams: 0,
                roster: Weak::clone(&booked.roster),
            }
        });
        self.idle -= usize::from(shared.streams == 0);
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
        self.idle += usize::from(shared.streams == 0);
    }

    /// Whether a stream has the roster at `address`.
    fn has_stream(&self, address: usize) -> bool {
        let shared = self.rosters.get(&address);
        shared.is_some_and(|shared| shared.streams > 0)
    }

    /// Whether so many rosters were released since the last sweep that the next one costs little for each of them.
    fn is_sweep_due(&self) -> bool {
        self.idle > SWEPT + 2 * self.left
    }

    /// Whether a refusal or a new stream may cause a sweep `now`.
    fn may_sweep(&mut self, now: Instant) -> bool {
        let may = self.swept.is_none_or(|swept| now >= swept + SWEEP_AGAIN);
        if may {
            self.swept = Some(now);
        }
        may
    }

    /// Removes rosters that are not in memory any more, and those that `is_others` says another publisher has.
    fn sweep(&mut self, is_others: impl Fn(usize) -> bool) {
        let (size, large, idle) = (&mut self.size, &mut self.large, &mut self.idle);
        self.rosters.retain(|address, shared| {
            let stays = shared.streams > 0 || (shared.is_in_memory() && !is_others(*address));
            if !stays {
                *idle -= 1;
                *size -= shared.size;
                if shared.size.is_large() {
                    *large -= shared.size;
                }
            }
            stays
        });
        self.left = self.idle;
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
        // A publisher without streams is remembered as long as its rate is over the limit, or the
        // store has rosters of it. Otherwise a new stream would reset it.
        let Books { all, by, .. } = &mut *books;
        let is_past = |own: &Holdings| own.streams == 0 && !own.rosters.is_empty();
        let sweeps = by.values().any(is_past) && all.may_sweep(now);
        if sweeps {
            all.sweep(|_| false);
        }
        by.retain(|_, own| {
            if sweeps && is_past(own) {
                own.sweep(|address| all.has_stream(address));
            }
            own.streams > 0 || !own.rosters.is_empty() || own.pace.owes(now) || own.faults.owes(now)
        });
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
        self.hold_booked(roster.map(Booked::of).as_ref())
    }

    fn hold_booked(&self, roster: Option<&Booked>) -> Result<(), TooMuch> {
        let now = Instant::now();
        self.change(|own, all| {
            let is_refused = all.check(own, roster).is_err();
            if all.is_sweep_due() || (is_refused && all.idle > 0 && all.may_sweep(now)) {
                all.sweep(|_| false);
            }
            if own.is_sweep_due() || (is_refused && own.idle > 0 && own.may_sweep(now)) {
                own.sweep(|address| all.has_stream(address));
            }
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
            let open = open_to(own.claims - before + now, all.limits.claims);
            let limits = [
                (&*own, own.limits.claims, Whose::Publisher),
                (&*all, open, Whose::All),
            ];
            for (stored, max, of) in limits {
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
