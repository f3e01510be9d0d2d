//! Who is there, from the leases of a group as they are seen over time.
//!
//! A lease counts by our own clock since it was last *seen to be renewed*; the
//! dates in it are its holder's and are not compared with ours (clocks differ).
//! What is seen through a watch that may be broken must not be believed to have
//! ended, so time counts only while renewals of anybody, ourselves included,
//! are seen: with the API out of reach the last known members stay in force
//! (DESIGN D5).
//!
//! Pure: the date is an argument.

use std::{collections::BTreeMap, time::Duration};

use tributary_model::Timestamp;

use crate::ownership::{Member, Peer, View};

/// A lease counts for so long after it was last seen to be renewed.
pub(crate) const LEASE: Duration = Duration::from_secs(15);

/// How often leases are renewed.
pub(crate) const RENEW_EVERY: Duration = Duration::from_secs(5);

/// Longer silence than this of everybody is a broken watch, not their end.
const SILENCE: Duration = Duration::from_secs(10);

/// A lease that was not renewed for so many times its time is its holder's no
/// more, and the first of the living may delete it.
const ABANDONED_AFTER: u32 = 10;

/// More members than this are not a group. The first by name are taken.
const MOST_MEMBERS: usize = 1_024;

/// One who has scraped for so many resolutions has two samples of every node.
const ESTABLISHED: u32 = 2;

/// A lease as it was read. Its dates are its holder's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) holder: Member,
    pub(crate) acquired: Timestamp,
    pub(crate) renewed: Timestamp,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    renewed: Timestamp,
    established: bool,
    /// When it was last seen to be renewed.
    at: Timestamp,
    /// When it begins to count. `None`: it may be left over from somebody long
    /// dead, and counts when it is renewed.
    from: Option<Timestamp>,
}

/// The leases of a group.
#[derive(Debug)]
pub(crate) struct Membership {
    me: Member,
    debounce: Duration,
    established_after: Duration,
    began: Timestamp,
    listed: bool,
    seen: BTreeMap<Member, Seen>,
    /// When a renewal was last seen, anybody's.
    heard_at: Timestamp,
}

impl Membership {
    /// Nobody is known yet.
    pub(crate) fn new(me: Member, resolution: Duration, now: Timestamp) -> Self {
        Self {
            me,
            debounce: resolution / 3,
            established_after: resolution * ESTABLISHED,
            began: now,
            listed: false,
            seen: BTreeMap::new(),
            heard_at: now,
        }
    }

    /// Takes in that these are all leases. `today` is our date.
    ///
    /// Those of the first list count at once, since it is we who are new: but
    /// one that is past its time by its date is in doubt. If clocks differ this
    /// doubts a living member until its next renewal, and we scrape too much.
    pub(crate) fn replace(&mut self, leases: Vec<Lease>, now: Timestamp, today: Timestamp) {
        if self.listed {
            let held: Vec<Member> = self.seen.keys().cloned().collect();
            for member in held {
                if !leases.iter().any(|lease| lease.holder == member) {
                    self.seen.remove(&member);
                }
            }
            for lease in leases {
                self.put(lease, now);
            }
            return;
        }
        self.listed = true;
        self.heard(now);
        for lease in leases {
            let dead = today.since(lease.renewed).is_some_and(|age| age > LEASE);
            let seen = Seen {
                renewed: lease.renewed,
                established: self.is_established(&lease),
                at: now,
                from: (!dead).then_some(now),
            };
            self.seen.insert(lease.holder, seen);
        }
    }

    /// Takes in a lease that is new or was written.
    pub(crate) fn put(&mut self, lease: Lease, now: Timestamp) {
        let established = self.is_established(&lease);
        let joined = Some(now.plus(self.debounce));
        let Some(seen) = self.seen.get(&lease.holder).copied() else {
            let seen = Seen {
                renewed: lease.renewed,
                established,
                at: now,
                from: joined,
            };
            self.heard(now);
            self.seen.insert(lease.holder, seen);
            return;
        };
        if seen.renewed == lease.renewed {
            return;
        }
        let was_dead = self.is_dead(&seen);
        self.heard(now);
        let seen = Seen {
            renewed: lease.renewed,
            established,
            at: now,
            from: match seen.from {
                Some(_) if was_dead => joined,
                Some(from) => Some(from),
                None => Some(now),
            },
        };
        self.seen.insert(lease.holder, seen);
    }

    /// Takes in that a lease was deleted.
    pub(crate) fn remove(&mut self, holder: &Member) {
        self.seen.remove(holder);
    }

    /// Who is there, and how long it will be until a newcomer counts.
    ///
    /// `None` while nothing is known; but if that lasts, whoever is alone has
    /// everything to do.
    pub(crate) fn view(&self, now: Timestamp) -> Option<View> {
        if !self.listed && now < self.alone_from() {
            return None;
        }
        let counts = |(_, seen): &(&Member, &Seen)| {
            seen.from.is_some_and(|from| from <= now) && !self.is_dead(seen)
        };
        let others = self.seen.iter().filter(counts).take(MOST_MEMBERS);
        let others = others.map(|(name, seen)| Peer {
            name: Member::clone(name),
            established: seen.established,
        });
        Some(View::new(Member::clone(&self.me), others.collect()))
    }

    /// How many leases are held.
    #[cfg(test)]
    pub(crate) fn size(&self) -> usize {
        self.seen.len()
    }

    /// When the view changes although nothing is taken in.
    pub(crate) fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let alone = (!self.listed).then_some(self.alone_from());
        let joins = self.seen.values().filter_map(|seen| seen.from);
        joins.chain(alone).filter(|at| *at > now).min()
    }

    /// The holder of a lease that was left behind long ago, while others were
    /// heard of; for the first by name of those who live, so that one deletes it.
    pub(crate) fn abandoned(&self) -> Option<&Member> {
        let mut first = self.seen.iter().take_while(|(name, _)| **name < self.me);
        if first.any(|(_, seen)| !self.is_dead(seen)) {
            return None;
        }
        let mut others = self.seen.iter().filter(|(name, _)| **name != self.me);
        let found = others.find(|(_, seen)| self.silent(seen) >= LEASE * ABANDONED_AFTER);
        found.map(|(name, _)| name)
    }

    fn alone_from(&self) -> Timestamp {
        self.began.plus(self.debounce)
    }

    /// By the holder's own dates, so that no clocks are compared.
    fn is_established(&self, lease: &Lease) -> bool {
        let held = lease.renewed.since(lease.acquired);
        held.is_some_and(|held| held >= self.established_after)
    }

    /// Others were heard of for the time of a lease after this one fell silent.
    fn is_dead(&self, seen: &Seen) -> bool {
        self.silent(seen) >= LEASE
    }

    /// How long others were heard of after this one fell silent.
    fn silent(&self, seen: &Seen) -> Duration {
        self.heard_at.since(seen.at).unwrap_or_default()
    }

    fn heard(&mut self, now: Timestamp) {
        let silence = now.since(self.heard_at).unwrap_or_default();
        if silence > SILENCE {
            // Nobody could be heard: all have their whole time again, but for
            // those that were dead before.
            let before = self.heard_at;
            for seen in self.seen.values_mut() {
                if before.since(seen.at).is_none_or(|silent| silent < LEASE) {
                    seen.at = now;
                }
            }
        }
        self.heard_at = self.heard_at.max(now);
    }
}

#[cfg(test)]
mod tests;
