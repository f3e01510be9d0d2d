//! Who is there, from the leases of a group as they are seen over time.
//!
//! A lease counts by our own clock since it was last *seen to be renewed*; the
//! dates in it are its holder's and are not compared with ours (clocks differ).
//! What is seen through a watch that may be broken must not be believed to have
//! ended, so time counts only while renewals of anybody, ourselves included,
//! are seen: with the API out of reach the last known members stay in force
//! (docs/decisions/0009-leases-and-ownership.md).
//!
//! Pure: the date is an argument.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

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

/// Other members than these are ignored: twice as many as the largest cluster
/// needs. The oldest leases count, by the date that the API gave them, which no
/// holder can choose: one who writes leases of scrapers that do not exist comes
/// after those who were there before, and in every process. We count ourselves
/// in any case.
pub(crate) const MOST_MEMBERS: usize = 128;

/// So many leases are remembered, those of the dead included. Beyond it the dead
/// go first, and then those that were created last.
pub(crate) const MOST_LEASES: usize = 1_024;

/// One who has scraped for so many resolutions has two samples of every node.
const ESTABLISHED: u32 = 2;

/// A lease as it was read. Its dates are its holder's.
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
    /// Leases that were not remembered, or not any longer, since they are too
    /// many.
    dropped: u64,
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
            dropped: 0,
        }
    }

    /// Takes in that these are all leases. `today` is our date.
    ///
    /// Those of the first list count at once, since it is we who are new: but
    /// one that is past its time by its date is in doubt. If clocks differ this
    /// doubts a living member until its next renewal, and we scrape too much.
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

    /// Takes in a lease that is new or was written.
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

    /// Takes in that a lease was deleted.
    pub(crate) fn remove(&mut self, holder: &Member) {
        self.seen.remove(holder);
    }

    /// Who is there, and how long it will be until a newcomer counts.
    ///
    /// `None` while nothing is known. If that lasts, we are not to believe that we are
    /// alone: the view is unsure, and we do what nobody does.
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

    /// How many live and do not count, since they are too many.
    pub(crate) fn ignored(&self, now: Timestamp) -> usize {
        self.living(now).count().saturating_sub(MOST_MEMBERS)
    }

    /// How many leases were dropped, since they are too many, and not asked for
    /// before.
    pub(crate) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    /// Whether the lease of this holder is held.
    pub(crate) fn holds(&self, holder: &Member) -> bool {
        self.seen.contains_key(holder)
    }

    /// How many leases are held.
    #[cfg(test)]
    pub(crate) fn size(&self) -> usize {
        self.seen.len()
    }

    /// Those who are there besides us.
    fn living(&self, now: Timestamp) -> impl Iterator<Item = (&Member, &Seen)> {
        self.seen.iter().filter(move |(name, seen)| {
            let counts = seen.from.is_some_and(|from| from <= now);
            counts && !self.is_dead(seen) && **name != self.me
        })
    }

    /// Takes in a lease of somebody new, if there is room.
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

    /// Orders leases: the first are kept.
    fn order<'a>(&self, holder: &'a Member, seen: &Seen) -> (bool, Timestamp, &'a Member) {
        let dead = seen.from.is_none() || self.is_dead(seen);
        (dead, seen.created, holder)
    }

    /// When the view changes although nothing is taken in.
    pub(crate) fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let unsure = (!self.listed).then_some(self.unsure_from());
        let joins = self.seen.values().filter_map(|seen| seen.from);
        joins.chain(unsure).filter(|at| *at > now).min()
    }

    /// The holder of a lease that was left behind long ago, while others were
    /// heard of; for the first by name of those who live, so that one deletes it.
    /// If that one does not, in as long again, it is for everybody.
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
