//! When each node is due.
//!
//! Each node has a stable phase within the resolution, a hash of its name. So requests are even
//! over time and windows do not vary, whichever member scrapes (docs/decisions/0008-schedule.md). A
//! new node is scraped at once, and approaches its phase by intervals between four fifths of the
//! resolution and all of it. That is short enough for two samples after one resolution, and long
//! enough for the second to differ from the first (kubelets measure about every ten seconds).
//!
//! Pure: the date is an argument.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use tributary_model::{NodeName, Timestamp};

use super::shard::stable;

/// New nodes are scraped within this time, not all at one instant.
const FIRST_WITHIN_MS: u64 = 1_000;

/// Nodes that are due within the same span of this length are scraped together. A wakeup for each
/// of them costs more than the request, and the delay, which is nearly the same each time, is small
/// against a resolution of many seconds (docs/decisions/0015-gathering.md).
const GATHER_MS: u64 = 50;

/// A phase up to this long ago may have been skipped by a scraper that was stopping.
const JUST_PASSED_MS: u64 = 3_000;

/// The node of a scrape in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Busy {
    /// The node is still here.
    Ours,
    /// The node was removed meanwhile.
    Removed,
    /// It was removed and added again. It is due then, once the scrape is over.
    Back(Timestamp),
}

/// Nodes, and when each is due next.
///
/// # Invariants
///
/// - `order` and `due` have the same nodes and times. A node that is being scraped is in neither,
///   but in `busy`, until that scrape is over, even if it is removed and added again meanwhile. So
///   no node is scraped twice at one time.
#[derive(Debug)]
pub(crate) struct Schedule {
    resolution_ms: u64,
    due: HashMap<NodeName, Timestamp>,
    order: BTreeSet<(Timestamp, NodeName)>,
    busy: BTreeMap<NodeName, Busy>,
    /// The resolution of nodes that are wanted fresh; none if that is off.
    fast_ms: Option<u64>,
    /// The nodes that are wanted fresh, and until when. Of those that are here at
    /// most [`most_fast`].
    fast: HashMap<NodeName, Timestamp>,
    /// The nodes that are scraped once ahead of their rhythm, and when they were due by it. At
    /// most [`most_fast`].
    sooner: HashMap<NodeName, Timestamp>,
}

/// How many of `nodes` are asked at the fast resolution at most: a fifth, and ten of
/// a few.
fn most_fast(nodes: usize) -> usize {
    (nodes / 5).max(10)
}

impl Schedule {
    pub(crate) fn new(resolution: Duration) -> Self {
        Self {
            resolution_ms: millis(resolution).max(1),
            due: HashMap::new(),
            order: BTreeSet::new(),
            busy: BTreeMap::new(),
            fast_ms: None,
            fast: HashMap::new(),
            sooner: HashMap::new(),
        }
    }

    /// Asks nodes that are wanted fresh at this resolution, if it is the shorter one.
    #[must_use]
    pub(crate) fn with_fast(self, resolution: Option<Duration>) -> Self {
        let fast_ms = resolution.map(millis);
        let fast_ms = fast_ms.filter(|fast| (1..self.resolution_ms).contains(fast));
        Self { fast_ms, ..self }
    }

    /// Asks a node at the fast resolution until then. False if there is no room: so
    /// many are already that one more would be unfair to kubelets.
    pub(crate) fn want(&mut self, node: &NodeName, until: Timestamp, now: Timestamp) -> bool {
        let Some(fast_ms) = self.fast_ms.filter(|_| self.is_here(node)) else {
            return true;
        };
        if let Some(wanted) = self.fast.get_mut(node) {
            *wanted = until.max(*wanted);
            return true;
        }
        if self.fast.len() >= most_fast(self.due.len() + self.busy.len()) {
            self.fast.retain(|_, until| *until > now);
        }
        if self.fast.len() >= most_fast(self.due.len() + self.busy.len()) {
            return false;
        }
        self.fast.insert(node.clone(), until);
        // What is due later than at the next fast phase is due then.
        if let Some(due) = self.due.get(node).copied() {
            let soon = now.plus(Duration::from_millis(ahead(node, now, fast_ms)));
            if soon < due {
                self.order.remove(&(due, node.clone()));
                self.put(node.clone(), soon);
            }
        }
        true
    }

    /// Asks a node once more at this moment, and then when it would have been due. False if it is
    /// due soon after that, or if so many are asked once more already that this would be unfair
    /// to kubelets.
    pub(crate) fn sooner(&mut self, node: &NodeName, at: Timestamp, now: Timestamp) -> bool {
        let Some(due) = self.due.get(node).copied() else {
            return false;
        };
        let worth = Duration::from_millis(self.resolution_ms / 8);
        let is_fast = self.fast.get(node).is_some_and(|until| *until > now);
        let has_room = self.sooner.len() < most_fast(self.due.len() + self.busy.len());
        let is_known = self.sooner.contains_key(node);
        if is_fast || at.plus(worth) >= due || !(has_room || is_known) {
            return false;
        }
        self.sooner.entry(node.clone()).or_insert(due);
        self.order.remove(&(due, node.clone()));
        self.put(node.clone(), at.max(now));
        true
    }

    /// Puts off a node that is asked at the fast resolution until this moment, since there is nothing
    /// new before it: by a resolution after it `began` to be asked at most. False if it is due no
    /// sooner.
    pub(crate) fn postpone(&mut self, node: &NodeName, at: Timestamp, began: Timestamp) -> bool {
        let Some(due) = self.due.get(node).copied() else {
            return false;
        };
        let at = at.min(began.plus(Duration::from_millis(self.resolution_ms)));
        let is_fast = self.fast.get(node).is_some_and(|until| *until > began);
        if !is_fast || at <= due {
            return false;
        }
        self.order.remove(&(due, node.clone()));
        self.put(node.clone(), at);
        true
    }

    /// How many nodes are asked at the fast resolution.
    pub(crate) fn fast(&self) -> usize {
        self.fast.len()
    }

    /// Adds a new node.
    pub(crate) fn add(&mut self, node: &NodeName, now: Timestamp) {
        if self.is_here(node) {
            return;
        }
        let spread = FIRST_WITHIN_MS.min(self.resolution_ms / 8).max(1);
        let delay = Duration::from_millis(stable(node.as_str()) % spread);
        self.admit(node, now.plus(delay));
    }

    /// Adds a node that another member scraped until now. It keeps its rhythm, and a change of
    /// owners is spread over the resolution.
    ///
    /// A phase that has just passed counts as now, because the other member may have skipped it.
    pub(crate) fn add_at_phase(&mut self, node: &NodeName, now: Timestamp) {
        if self.is_here(node) {
            return;
        }
        let resolution = self.resolution_ms;
        let slack = JUST_PASSED_MS.min(resolution / 5);
        let phase = stable(node.as_str()) % resolution;
        let from = u64::try_from(now.as_millis()).unwrap_or_default();
        let from = from.saturating_sub(slack);
        let ahead = (phase + resolution - from % resolution) % resolution;
        let wait = Duration::from_millis(ahead.saturating_sub(slack));
        self.admit(node, now.plus(wait));
    }

    /// Makes a waiting node due at once.
    pub(crate) fn expedite(&mut self, node: &NodeName, now: Timestamp) {
        if let Some(Busy::Back(due)) = self.busy.get_mut(node) {
            *due = now.min(*due);
        }
        if let Some(due) = self.due.remove(node) {
            self.order.remove(&(due, node.clone()));
            self.put(node.clone(), due.min(now));
        }
    }

    /// Removes a node. A scrape of it in flight is remembered until it is over.
    pub(crate) fn remove(&mut self, node: &NodeName) {
        if let Some(busy) = self.busy.get_mut(node) {
            *busy = Busy::Removed;
        }
        if let Some(due) = self.due.remove(node) {
            self.order.remove(&(due, node.clone()));
        }
        self.fast.remove(node);
        self.sooner.remove(node);
    }

    /// The number of nodes, those in flight included.
    #[cfg(test)]
    pub(crate) fn size(&self) -> usize {
        self.order.len().max(self.due.len()) + self.busy.len()
    }

    /// When the next node is due.
    fn next(&self) -> Option<Timestamp> {
        self.order.first().map(|(due, _)| *due)
    }

    /// When to check for nodes that are due: at the end of the span of the next one.
    pub(crate) fn wake(&self) -> Option<Timestamp> {
        let due = self.next()?;
        let since = u64::try_from(due.as_millis()).unwrap_or_default();
        let rest = since.next_multiple_of(GATHER_MS) - since;
        Some(due.plus(Duration::from_millis(rest)))
    }

    /// Takes a node that is due. It must be returned with [`Schedule::done`].
    pub(crate) fn take_due(&mut self, now: Timestamp) -> Option<NodeName> {
        if self.next()? > now {
            return None;
        }
        let (_, node) = self.order.pop_first()?;
        self.due.remove(&node);
        self.busy.insert(node.clone(), Busy::Ours);
        Some(node)
    }

    /// The scrape of `node` that began at `began` is over. Returns whether its outcome counts: not
    /// if the node was removed meanwhile, even if it was added again.
    pub(crate) fn done(&mut self, node: &NodeName, began: Timestamp) -> bool {
        match self.busy.remove(node) {
            Some(Busy::Ours) => {
                let next = self.following(node, began);
                self.put(node.clone(), next);
                true
            }
            Some(Busy::Back(due)) => {
                self.put(node.clone(), due);
                false
            }
            Some(Busy::Removed) | None => false,
        }
    }

    /// Returns a node that was due and cannot be scraped before `due`.
    pub(crate) fn put_off(&mut self, node: &NodeName, due: Timestamp) {
        if self.busy.remove(node).is_some() {
            self.put(node.clone(), due);
        }
    }

    fn is_here(&self, node: &NodeName) -> bool {
        let busy = self.busy.get(node);
        self.due.contains_key(node) || busy.is_some_and(|busy| *busy != Busy::Removed)
    }

    /// Adds a node that is not here. If a scrape of it is still in flight, it waits for its end.
    fn admit(&mut self, node: &NodeName, due: Timestamp) {
        match self.busy.get_mut(node) {
            Some(busy) => *busy = Busy::Back(due),
            None => self.put(node.clone(), due),
        }
    }

    /// When a node is due again that was scraped at `began`.
    fn following(&mut self, node: &NodeName, began: Timestamp) -> Timestamp {
        let wait = self.interval(node, began);
        let least = Duration::from_millis(self.resolution_ms / 5);
        let due = self.sooner.remove(node);
        // Its own rhythm goes on, unless it is scraped at the fast one since.
        due.filter(|due| *due >= began.plus(least) && !self.fast.contains_key(node))
            .unwrap_or_else(|| began.plus(wait))
    }

    /// The time from a scrape at `began` to the next one.
    fn interval(&mut self, node: &NodeName, began: Timestamp) -> Duration {
        let fast = self.fast.get(node).is_some_and(|until| *until > began);
        if !fast {
            self.fast.remove(node);
        }
        let fast_ms = self.fast_ms.filter(|_| fast);
        let resolution = fast_ms.unwrap_or(self.resolution_ms);
        let least = resolution - resolution / 5;
        Duration::from_millis(match ahead(node, began, resolution) {
            0 => resolution,
            ahead => ahead.max(least),
        })
    }

    fn put(&mut self, node: NodeName, due: Timestamp) {
        self.order.insert((due, node.clone()));
        self.due.insert(node, due);
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// How long it is from `now` to the next phase of `node`, in milliseconds.
fn ahead(node: &NodeName, now: Timestamp, resolution: u64) -> u64 {
    let phase = stable(node.as_str()) % resolution;
    let at = u64::try_from(now.as_millis()).unwrap_or_default() % resolution;
    (phase + resolution - at) % resolution
}

#[cfg(test)]
mod tests;
