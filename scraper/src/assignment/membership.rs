//! The live members of a group, derived from the renewals of its Leases.
//!
//! The time of a Lease counts by the local clock, since its renewal was last *seen*. The dates in a
//! Lease are by its holder's clock and are not compared with the local one, because clocks differ.
//! A broken watch must not look like the end of all members. So time counts only while renewals are
//! seen, of any member, this scraper included. If the API is out of reach, the last known members
//! stay in force (docs/decisions/0009-leases-and-ownership.md).
//!
//! Pure: the date is an argument.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tributary_model::Timestamp;

use super::ownership::{Member, Peer, View};

/// How long a Lease counts after its last renewal that was seen.
pub(crate) const LEASE: Duration = Duration::from_secs(15);

/// How often leases are renewed.
pub(crate) const RENEW_EVERY: Duration = Duration::from_secs(5);

/// If no renewal at all is seen for longer than this, the watch is broken, and no member has ended.
const SILENCE: Duration = Duration::from_secs(10);

/// A Lease that was not renewed for this many times its duration is no longer needed. The first
/// live member may delete it.
const ABANDONED_AFTER: u32 = 10;

/// The most other members: twice as many as the largest cluster needs. The oldest Leases count, by
/// the date that the API gave them, which no holder can choose. So Leases of scrapers that do not
/// exist come after those of existing members, in every process. This scraper always counts itself.
pub(crate) const MOST_MEMBERS: usize = 128;

/// The most Leases that are remembered, expired ones included. Beyond it, expired ones are dropped
/// first, and then the newest.
pub(crate) const MOST_LEASES: usize = 1_024;

/// A member that has scraped for this many resolutions has two samples of every node.
const ESTABLISHED: u32 = 2;

/// A Lease as it was read. Its dates are by its holder's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) holder: Member,
    /// By the date of the API, not of the holder.
    pub(crate) created: Timestamp,
    pub(crate) acquired: Timestamp,
    pub(crate) renewed: Timestamp,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    created: Timestamp,
    renewed: Timestamp,
    established: bool,
    /// When a renewal was last seen.
    at: Timestamp,
    /// When it begins to count. `None`: it may be left over, and counts when it is renewed.
    from: Option<Timestamp>,
}

/// The Leases of a group.
#[derive(Debug)]
pub(crate) struct Membership {
    me: Member,
    debounce: Duration,
    established_after: Duration,
    began: Timestamp,
    listed: bool,
    seen: BTreeMap<Member, Seen>,
    /// When a renewal of any Lease was last seen.
    heard_at: Timestamp,
    /// Leases that were dropped, or not remembered, because there are too many.
    dropped: u64,
}

impl Membership {
    /// No member is known yet.
    pub(crate) fn new(me: Member, resolution: Duration, now: Timestamp) -> Self {
        Self {
            me,
            debounce: resolution / 3,
            established_after: resolution * ESTABLISHED,
            began: now,
            listed: false,
            seen: BTreeMap::new(),
            heard_at: now,
            dropped: 0,
        }
    }

    /// Replaces all Leases by these. `today` is the local date.
    ///
    /// Those of the first list count at once, because this scraper is the new one. But a Lease that
    /// has expired by its own date is in doubt. If clocks differ, this doubts a live member until
    /// its next renewal, and this scraper scrapes too many nodes.
    pub(crate) fn replace(&mut self, leases: Vec<Lease>, now: Timestamp, today: Timestamp) {
        if self.listed {
            let there: BTreeSet<&Member> = leases.iter().map(|lease| &lease.holder).collect();
            self.seen.retain(|member, _| there.contains(member));
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
                created: lease.created,
                renewed: lease.renewed,
                established: self.is_established(&lease),
                at: now,
                from: (!dead).then_some(now),
            };
            self.remember(lease.holder, seen);
        }
    }

    /// Adds or updates a Lease.
    pub(crate) fn put(&mut self, lease: Lease, now: Timestamp) {
        let established = self.is_established(&lease);
        let joined = Some(now.plus(self.debounce));
        let Some(seen) = self.seen.get(&lease.holder).copied() else {
            let seen = Seen {
                created: lease.created,
                renewed: lease.renewed,
                established,
                at: now,
                from: joined,
            };
            self.heard(now);
            self.remember(lease.holder, seen);
            return;
        };
        if seen.renewed == lease.renewed {
            return;
        }
        let was_dead = self.is_dead(&seen);
        self.heard(now);
        let seen = Seen {
            created: lease.created,
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

    /// Removes a deleted Lease.
    pub(crate) fn remove(&mut self, holder: &Member) {
        self.seen.remove(holder);
    }

    /// The current members, and the time until a new member counts.
    ///
    /// `None` while nothing is known. If that lasts, this scraper must not believe that it is
    /// alone: the view is unsure, and it scrapes what no other member delivers.
    pub(crate) fn view(&self, now: Timestamp) -> Option<View> {
        if !self.listed {
            return (now >= self.unsure_from()).then(|| View::unsure(Member::clone(&self.me)));
        }
        let mut others: Vec<(&Member, &Seen)> = self.living(now).collect();
        if others.len() > MOST_MEMBERS {
            others.sort_by_key(|(name, seen)| (seen.created, *name));
            others.truncate(MOST_MEMBERS);
        }
        let others = others.into_iter().map(|(name, seen)| Peer {
            name: Member::clone(name),
            established: seen.established,
        });
        Some(View::new(Member::clone(&self.me), others.collect()))
    }

    /// How many live scrapers do not count, because there are too many.
    pub(crate) fn ignored(&self, now: Timestamp) -> usize {
        self.living(now).count().saturating_sub(MOST_MEMBERS)
    }

    /// How many Leases were dropped since the last call, because there are too many.
    pub(crate) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    /// Whether the Lease of this holder is known.
    pub(crate) fn holds(&self, holder: &Member) -> bool {
        self.seen.contains_key(holder)
    }

    /// How many Leases are known.
    #[cfg(test)]
    pub(crate) fn size(&self) -> usize {
        self.seen.len()
    }

    /// The live members besides this scraper.
    fn living(&self, now: Timestamp) -> impl Iterator<Item = (&Member, &Seen)> {
        self.seen.iter().filter(move |(name, seen)| {
            let counts = seen.from.is_some_and(|from| from <= now);
            counts && !self.is_dead(seen) && **name != self.me
        })
    }

    /// Adds the Lease of a new holder, if there is room.
    fn remember(&mut self, holder: Member, seen: Seen) {
        if self.seen.len() >= MOST_LEASES {
            let all = self.seen.iter();
            let last = all.max_by_key(|(holder, seen)| self.order(holder, seen));
            let dropped = match last {
                Some((last, it)) if self.order(&holder, &seen) < self.order(last, it) => last,
                _ => &holder,
            };
            let dropped = Member::clone(dropped);
            self.dropped += 1;
            self.seen.remove(&dropped);
            if dropped == holder {
                return;
            }
        }
        self.seen.insert(holder, seen);
    }

    /// The order of Leases: the first ones are kept.
    fn order<'a>(&self, holder: &'a Member, seen: &Seen) -> (bool, Timestamp, &'a Member) {
        let dead = seen.from.is_none() || self.is_dead(seen);
        (dead, seen.created, holder)
    }

    /// When the view changes without a new event.
    pub(crate) fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let unsure = (!self.listed).then_some(self.unsure_from());
        let joins = self.seen.values().filter_map(|seen| seen.from);
        joins.chain(unsure).filter(|at| *at > now).min()
    }

    /// The holder of a Lease that expired long ago, while others were seen. The live member that is
    /// first by name deletes it. If it does not, any member may after the same time again.
    pub(crate) fn abandoned(&self) -> Option<&Member> {
        let mut before = self.seen.iter().take_while(|(name, _)| **name < self.me);
        let is_ours = before.all(|(_, seen)| self.is_dead(seen));
        let patience = LEASE * ABANDONED_AFTER * if is_ours { 1 } else { 2 };
        let mut others = self.seen.iter().filter(|(name, _)| **name != self.me);
        let found = others.find(|(_, seen)| self.silent(seen) >= patience);
        found.map(|(name, _)| name)
    }

    fn unsure_from(&self) -> Timestamp {
        self.began.plus(self.debounce)
    }

    /// By the holder's own dates, so that no clocks are compared.
    fn is_established(&self, lease: &Lease) -> bool {
        let stored = lease.renewed.since(lease.acquired);
        stored.is_some_and(|stored| stored >= self.established_after)
    }

    /// Others were seen for the duration of a Lease after its last renewal.
    fn is_dead(&self, seen: &Seen) -> bool {
        self.silent(seen) >= LEASE
    }

    /// How long others were seen after its last renewal.
    fn silent(&self, seen: &Seen) -> Duration {
        self.heard_at.since(seen.at).unwrap_or_default()
    }

    fn heard(&mut self, now: Timestamp) {
        let silence = now.since(self.heard_at).unwrap_or_default();
        if silence > SILENCE {
            // No renewal could be seen: all get their whole time again, except those that had
            // expired before.
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
