//! All nodes, by name and by number.

use std::{collections::HashMap, sync::Arc, time::Duration};

use slab::Slab;
use tributary_model::{NodeName, PodKey, Roster, RosterPod, Timestamp, served_for};

use super::{
    super::{
        outcome::{FailedScrape, NoMetrics},
        pairs::Pairs,
    },
    Source,
};

/// By name. The hash is seeded in each process, and cheaper than the
/// standard one.
type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// What is known of each node. A node keeps its number while it exists, so that a
/// pod's place is found without a look at names.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    numbers: Map<NodeName, u32>,
    entries: Slab<Entry>,
}

/// A node, and where a pod stands in its roster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PodLocation {
    pub(super) node: u32,
    pub(super) at: u32,
}

/// A failure before the first page of a node.
#[derive(Debug)]
pub(super) struct FailedBefore {
    pub(super) failed: FailedScrape,
    /// How long it explains that there is no second sample, by our clock.
    pub(super) until: Timestamp,
}

/// What is known of a node.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: NodeName,
    pub(super) resolution: Duration,
    /// When the first reading that came was asked for.
    pub(super) first_asked_at: Option<Timestamp>,
    pub(super) pairs: Option<Pairs>,
    /// What it reports, or did before its samples were too old.
    pub(super) roster: Option<Arc<Roster>>,
    /// When the newest page was asked for that is forgotten.
    pub(super) expired: Option<Timestamp>,
    pub(super) failed: Option<Box<FailedScrape>>,
    /// What was wrong before the first page.
    pub(super) failed_before: Option<Box<FailedBefore>>,
    /// Whether it was said that its samples are too old.
    pub(super) is_reported_old: bool,
}

impl Nodes {
    pub(super) fn get(&self, node: &str) -> Option<&Entry> {
        self.at(*self.numbers.get(node)?)
    }

    /// The number of a node, if it has one.
    pub(super) fn known(&self, node: &NodeName) -> Option<u32> {
        self.numbers.get(node).copied()
    }

    /// The node that has this number.
    pub(super) fn at(&self, number: u32) -> Option<&Entry> {
        self.entries.get(usize::try_from(number).ok()?)
    }

    pub(super) fn at_mut(&mut self, number: u32) -> Option<&mut Entry> {
        self.entries.get_mut(usize::try_from(number).ok()?)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().map(|(_, entry)| entry)
    }

    /// The number of a node, which is new unless it has one.
    pub(super) fn number(&mut self, node: &NodeName, source: &Source) -> u32 {
        if let Some(number) = self.numbers.get(node) {
            return *number;
        }
        let number = self.entries.insert(Entry::new(node.clone(), source));
        // As many nodes as an u32 counts do not fit into memory.
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        self.numbers.insert(node.clone(), number);
        number
    }

    /// Looks at every node with its number.
    pub(super) fn each(&mut self, mut look: impl FnMut(u32, &mut Entry)) {
        for number in self.numbers.values() {
            if let Ok(at) = usize::try_from(*number)
                && let Some(entry) = self.entries.get_mut(at)
            {
                look(*number, entry);
            }
        }
    }

    pub(super) fn remove(&mut self, number: u32) {
        if let Ok(at) = usize::try_from(number)
            && let Some(entry) = self.entries.try_remove(at)
        {
            self.numbers.remove(&entry.name);
        }
    }

    /// The pod that stands there.
    pub(super) fn pod_at(&self, location: PodLocation) -> Option<&RosterPod> {
        let roster = self.at(location.node)?.roster.as_ref()?;
        roster.pods().get(usize::try_from(location.at).ok()?)
    }

    /// Where `pod` stands on a node that reports it.
    pub(super) fn location_of(&self, node: u32, pod: &PodKey) -> Option<PodLocation> {
        let at = self.at(node)?.roster.as_ref()?.position(pod)?;
        let at = u32::try_from(at).ok()?;
        Some(PodLocation { node, at })
    }
}

impl Entry {
    fn new(name: NodeName, source: &Source) -> Self {
        Self {
            name,
            resolution: source.resolution,
            first_asked_at: None,
            pairs: None,
            roster: None,
            expired: None,
            failed: None,
            failed_before: None,
            is_reported_old: false,
        }
    }

    /// Takes in that its first page was asked for at this moment.
    pub(super) fn recover(&mut self, asked_at: Timestamp) {
        // The second sample comes by then, or what was wrong is not why there is none.
        let until = asked_at.plus(served_for(self.resolution));
        let before = |failed| Box::new(FailedBefore { failed, until });
        self.failed_before = self.failed.as_deref().cloned().map(before);
    }

    pub(super) fn max_age(&self, flag: Option<Duration>) -> Duration {
        // docs/decisions/0011-newest-per-node-wins.md
        flag.unwrap_or_else(|| served_for(self.resolution))
    }

    /// When somebody last asked with success.
    pub(super) fn answered(&self) -> Option<Timestamp> {
        let stored = self.pairs.as_ref().map(Pairs::asked_at);
        stored.or(self.expired)
    }

    pub(super) fn too_old(&self, now: Timestamp, flag: Option<Duration>) -> Option<Duration> {
        let age = now.since(self.answered()?)?;
        (age > self.max_age(flag)).then_some(age)
    }

    /// The pairs, if they were asked for at `since` or later; if not, the best reason
    /// there is.
    pub(super) fn fresh(&self, since: Timestamp, now: Timestamp) -> Result<&Pairs, NoMetrics> {
        match &self.pairs {
            Some(pairs) if pairs.asked_at() >= since => Ok(pairs),
            _ => Err(self.why_not(now)),
        }
    }

    #[cold]
    fn why_not(&self, now: Timestamp) -> NoMetrics {
        let age = self.answered().and_then(|asked_at| now.since(asked_at));
        let asked_at = self.answered();
        let failed = self.failed.as_deref();
        let failed = failed.filter(|failed| Some(failed.asked_at) > asked_at);
        match (failed, age) {
            (Some(failed), _) => NoMetrics::Failed(failed.at(now)),
            (None, Some(age)) => NoMetrics::TooOld(age),
            (None, None) => NoMetrics::NeverReported,
        }
    }
}
