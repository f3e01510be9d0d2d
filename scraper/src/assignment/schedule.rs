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
mod tests {
    use super::*;

    const RESOLUTION: Duration = Duration::from_secs(15);

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_795_229_475_000 + millis) // a multiple of 15 s
    }

    /// When `node` is scraped, in milliseconds after it was added at `from`, if every scrape begins
    /// `late` after it is due.
    fn scrapes(node: &str, from: i64, late: i64) -> Vec<i64> {
        let mut schedule = Schedule::new(RESOLUTION);
        schedule.add(&node.into(), at(from));
        let mut times = Vec::new();
        for _ in 0..12 {
            let due = schedule.next().unwrap();
            let began = Timestamp::from_millis(due.as_millis() + late);
            let node = schedule.take_due(began).unwrap();
            times.push(began.as_millis() - at(from).as_millis());
            schedule.done(&node, began);
        }
        times
    }

    #[test]
    fn two_samples_are_there_after_one_resolution() {
        for n in 0..500 {
            let times = scrapes(&format!("node-{n:05}"), n * 77, 0);
            assert!(times[0] <= 1_000, "{times:?}");
            assert!(times[1] <= 16_000, "{times:?}");
            assert!(times[1] - times[0] >= 12_000, "{times:?}");
        }
    }

    #[test]
    fn intervals_settle_at_the_resolution_on_the_phase() {
        for n in 0..500 {
            let node = format!("node-{n:05}");
            let times = scrapes(&node, 0, 0);
            let intervals: Vec<i64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
            assert_eq!(intervals[6..], [15_000; 5], "{node} {times:?}");
            let phase = i64::try_from(stable(&node) % 15_000).unwrap();
            assert_eq!(times[11] % 15_000, phase, "{node}");
        }
    }

    #[test]
    fn being_a_little_late_does_not_add_up() {
        for n in 0..500 {
            let times = scrapes(&format!("node-{n:05}"), 0, 40);
            assert_eq!(times[11] - times[8], 45_000, "{times:?}");
        }
    }

    #[test]
    fn phases_are_spread_over_the_resolution() {
        let mut per_second = [0_u32; 15];
        for n in 0..3_000 {
            let phase = stable(&format!("node-{n:05}")) % 15_000;
            per_second[usize::try_from(phase / 1_000).unwrap()] += 1;
        }
        // A fair share is 200; four standard deviations are 55.
        assert!(
            per_second.iter().all(|n| (145..=255).contains(n)),
            "{per_second:?}"
        );
    }

    #[test]
    fn a_node_that_moves_keeps_its_rhythm() {
        for n in 0..500 {
            let node = NodeName::from(format!("node-{n:05}"));
            let phase = i64::try_from(stable(node.as_str()) % 15_000).unwrap();
            let now = at(7_000);
            let mut schedule = Schedule::new(RESOLUTION);
            schedule.add_at_phase(&node, now);
            let wait = schedule.next().unwrap().as_millis() - now.as_millis();
            let expected = match phase {
                0..4_000 => phase + 8_000,
                4_000..7_000 => 0, // just passed
                _ => phase - 7_000,
            };
            assert_eq!(wait, expected, "{node} {phase}");
        }
    }

    #[test]
    fn a_node_that_is_scraped_early_is_due_at_once_and_others_are_not() {
        let mut schedule = Schedule::new(RESOLUTION);
        let (expedited, other) = (NodeName::from("n1"), NodeName::from("n2"));
        schedule.add(&expedited, at(0));
        let began = schedule.next().unwrap();
        assert_eq!(schedule.take_due(began), Some(expedited.clone()));
        schedule.expedite(&expedited, began); // is being scraped
        schedule.done(&expedited, began);
        schedule.add(&other, at(100_000));
        let now = Timestamp::from_millis(began.as_millis() + 2_000);
        schedule.expedite(&expedited, now);
        assert_eq!(schedule.take_due(now), Some(expedited));
        assert_eq!(schedule.take_due(now), None);
    }

    #[test]
    fn a_node_is_never_due_while_it_is_scraped() {
        let mut schedule = Schedule::new(RESOLUTION);
        let node = NodeName::from("n1");
        schedule.add(&node, at(0));
        assert_eq!(schedule.take_due(at(2_000)), Some(node.clone()));
        schedule.add(&node, at(2_000));
        assert_eq!(schedule.take_due(at(60_000)), None);
        // Removed while it was scraped: it does not come back.
        schedule.remove(&node);
        assert!(!schedule.done(&node, at(2_000)));
        assert_eq!((schedule.next(), schedule.size()), (None, 0));
    }

    #[test]
    fn a_node_that_comes_back_while_it_is_scraped_waits_for_the_end() {
        let mut schedule = Schedule::new(RESOLUTION);
        let node = NodeName::from("n1");
        schedule.add(&node, at(0));
        assert_eq!(schedule.take_due(at(2_000)), Some(node.clone()));
        schedule.remove(&node);
        schedule.add(&node, at(3_000));
        assert_eq!(schedule.take_due(at(9_000)), None);
        schedule.expedite(&node, at(3_500));
        // The outcome is of the earlier node, and says nothing about the new one.
        assert!(!schedule.done(&node, at(2_000)));
        assert_eq!(schedule.take_due(at(3_499)), None);
        assert_eq!(schedule.take_due(at(10_000)), Some(node.clone()));
        assert!(schedule.done(&node, at(10_000)));
        // Added again, and removed again.
        assert_eq!(schedule.take_due(at(30_000)), Some(node.clone()));
        schedule.remove(&node);
        schedule.add_at_phase(&node, at(31_000));
        schedule.remove(&node);
        assert!(!schedule.done(&node, at(30_000)));
        assert_eq!((schedule.next(), schedule.size()), (None, 0));
    }

    #[test]
    fn a_node_that_is_put_off_is_due_then() {
        let mut schedule = Schedule::new(RESOLUTION);
        let node = NodeName::from("n1");
        schedule.add(&node, at(0));
        assert_eq!(schedule.take_due(at(2_000)), Some(node.clone()));
        schedule.put_off(&node, at(2_100));
        assert_eq!(schedule.take_due(at(2_099)), None);
        assert_eq!(schedule.take_due(at(2_100)), Some(node));
    }

    #[test]
    fn nodes_that_are_due_in_the_same_span_are_asked_at_its_end() {
        for (due, wake) in [(-51, -50), (-50, -50), (-49, 0), (-1, 0)] {
            let mut schedule = Schedule::new(RESOLUTION);
            schedule.add(&"n1".into(), at(0));
            schedule.expedite(&"n1".into(), at(due));
            assert_eq!(schedule.wake(), Some(at(wake)), "{due}");
        }
        assert_eq!(Schedule::new(RESOLUTION).wake(), None);
    }

    #[test]
    fn what_is_not_due_yet_is_not_given_out() {
        let mut schedule = Schedule::new(RESOLUTION);
        schedule.add(&"n1".into(), at(0));
        let due = schedule.next().unwrap();
        let before = Timestamp::from_millis(due.as_millis() - 1);
        assert_eq!(schedule.take_due(before), None);
        assert_eq!(schedule.take_due(due), Some("n1".into()));
    }

    /// When `node` is asked from `from` on, until `to`, with one message that wants it
    /// for 30 s at 20 s.
    fn asked_while_wanted(node: &str, fast: Option<Duration>) -> Vec<i64> {
        let mut schedule = Schedule::new(RESOLUTION).with_fast(fast);
        let name = NodeName::from(node);
        schedule.add(&name, at(0));
        let mut times = Vec::new();
        let mut is_wanted = false;
        while let Some(due) = schedule.next() {
            let millis = due.as_millis() - at(0).as_millis();
            if millis > 20_000 && !is_wanted {
                is_wanted = true;
                assert!(schedule.want(&name, at(50_000), at(20_000)));
                continue;
            }
            if millis > 120_000 {
                break;
            }
            schedule.take_due(due).unwrap();
            times.push(millis);
            schedule.done(&name, due);
        }
        times
    }

    #[test]
    fn a_node_that_is_wanted_is_asked_at_the_fast_resolution_and_then_as_before() {
        for n in 0..200 {
            let node = format!("node-{n:05}");
            let times = asked_while_wanted(&node, Some(Duration::from_secs(5)));
            let apart = |from: i64, to: i64| -> Vec<i64> {
                let pairs = times.windows(2);
                let inside = pairs.filter(|pair| pair[0] >= from && pair[1] <= to);
                inside.map(|pair| pair[1] - pair[0]).collect()
            };
            let first = times.iter().find(|time| **time > 20_000).unwrap();
            assert!(*first <= 25_000, "{node} {times:?}");
            let fast = apart(20_001, 50_000);
            assert!(fast.len() >= 4, "{node} {times:?}");
            assert!(
                fast.iter().all(|it| (4_000..=5_000).contains(it)),
                "{times:?}"
            );
            let after = apart(56_000, 120_000);
            assert!(
                after.iter().all(|it| (12_000..=15_000).contains(it)),
                "{times:?}"
            );
            let phase = i64::try_from(stable(&node) % 15_000).unwrap();
            assert_eq!(times.last().unwrap() % 15_000, phase, "{node} {times:?}");
            assert_eq!(
                asked_while_wanted(&node, None),
                asked_while_wanted(&node, Some(RESOLUTION)),
            );
        }
    }

    #[test]
    fn a_node_that_is_asked_once_more_keeps_its_rhythm() {
        for n in 0..200 {
            let mut schedule = Schedule::new(RESOLUTION);
            let node = NodeName::from(format!("node-{n:05}"));
            schedule.add_at_phase(&node, at(0));
            let mut times = Vec::new();
            for turn in 0..7 {
                let due = schedule.next().unwrap();
                schedule.take_due(due).unwrap();
                schedule.done(&node, due);
                times.push(due.as_millis());
                let soon = due.plus(Duration::from_secs(5));
                // It is too close to the next one.
                assert!(!schedule.sooner(&node, due.plus(Duration::from_secs(14)), due));
                assert_eq!(turn == 3 && schedule.sooner(&node, soon, due), turn == 3);
            }
            let intervals = times.windows(2).map(|pair| pair[1] - pair[0]);
            let intervals: Vec<i64> = intervals.skip(1).collect();
            assert_eq!(intervals, [15_000, 15_000, 5_000, 10_000, 15_000], "{node}");
        }
    }

    #[test]
    fn a_fifth_of_the_nodes_may_be_asked_once_more_and_ten_of_a_few() {
        let mut schedule = Schedule::new(RESOLUTION);
        let names = (0..100).map(|n| NodeName::from(format!("n{n}")));
        let names: Vec<NodeName> = names.collect();
        for name in &names {
            schedule.add(name, at(0));
            schedule.expedite(name, at(0));
        }
        while let Some(node) = schedule.take_due(at(0)) {
            schedule.done(&node, at(0));
        }
        let sooner =
            |schedule: &mut Schedule, node: &NodeName| schedule.sooner(node, at(3_000), at(1_000));
        let taken = names.iter().filter(|node| sooner(&mut schedule, node));
        assert_eq!(taken.count(), 20);
        // One that has been makes room.
        let node = schedule.take_due(at(3_000)).unwrap();
        schedule.done(&node, at(3_000));
        let taken = names.iter().filter(|node| sooner(&mut schedule, node));
        assert_eq!(taken.count(), 1);
        assert_eq!(schedule.sooner.len(), 20);
        // And so does one that leaves.
        schedule.remove(&names[1]);
        assert_eq!(schedule.sooner.len(), 19);
    }

    #[test]
    fn a_fifth_of_the_nodes_may_be_fast_and_ten_of_a_few() {
        for (nodes, most) in [(4, 4), (30, 10), (200, 40)] {
            let mut schedule = Schedule::new(RESOLUTION).with_fast(Some(Duration::from_secs(5)));
            let name = |n: usize| NodeName::from(format!("n{n}"));
            for n in 0..nodes {
                schedule.add(&name(n), at(0));
            }
            let taken = (0..nodes).filter(|n| schedule.want(&name(*n), at(60_000), at(1_000)));
            assert_eq!(taken.count(), most, "{nodes}");
            assert_eq!(schedule.fast(), most);
            // One that is already counts for no more, and those that are over make room.
            assert!(schedule.want(&name(0), at(60_000), at(2_000)));
            assert!(schedule.want(&name(nodes - 1), at(90_000), at(61_000)));
            // One that is not here takes none, nor does one that has left.
            let fast = schedule.fast();
            assert!(schedule.want(&"other".into(), at(90_000), at(61_000)));
            assert_eq!(schedule.fast(), fast);
            schedule.remove(&name(nodes - 1));
            assert_eq!(schedule.fast(), fast - 1);
        }
    }
}
