//! The pairs of all nodes, and where each pod is reported. Plain data behind
//! `&mut self`: no lock, no clock, no task.

mod claims;
mod coverage;
mod index;
mod nodes;
mod remembered;
mod report;
mod view;

use std::{sync::Arc, time::Duration};

use tributary_model::{MIN_WINDOW, NodeName, PodKey, Reading, Roster, Timestamp, Usage};

pub(crate) use self::remembered::Remembered;
use self::{
    claims::Claims,
    index::{Found, Index},
    nodes::{Entry, Nodes},
    remembered::most_of_each,
    view::{NodeView, PodView},
};
pub use self::{
    coverage::CoverageCounts,
    report::{Report, State},
};
use super::{
    outcome::{FailedScrape, Newest, NoMetrics, PodUsage},
    pairs::{MOST_REMEMBERED, Pace, Pairs, REMEMBERED, Taken},
};

/// Who sent something.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its name, for people.
    pub name: Arc<str>,
    /// How often it scrapes each of its nodes.
    pub resolution: Duration,
}

#[derive(Debug)]
pub(super) struct Points {
    max_age: Option<Duration>,
    min_window: Duration,
    nodes: Nodes,
    index: Index,
    claims: Claims,
    remembered: Remembered,
}

impl Points {
    pub(super) fn new(max_age: Option<Duration>) -> Self {
        Self {
            max_age,
            min_window: MIN_WINDOW,
            nodes: Nodes::default(),
            index: Index::default(),
            claims: Claims::default(),
            remembered: Remembered::default(),
        }
    }

    /// The same, with pairs of which the points are this far apart at least.
    pub(super) fn with_min_window(self, min_window: Duration) -> Self {
        Self { min_window, ..self }
    }

    pub(super) fn take(&mut self, reading: Reading, source: &Source) -> Taken {
        let roster = Arc::clone(&reading.roster);
        let number = self.nodes.number(&reading.node, source);
        let Some(entry) = self.nodes.at_mut(number) else {
            return Taken::Older;
        };
        entry.resolution = source.resolution;
        entry.first_asked_at.get_or_insert(reading.asked_at);
        entry.is_reported_old = false;
        let taken = match &mut entry.pairs {
            None => {
                // What was wrong until now is said until there is something to serve.
                entry.recover(reading.asked_at);
                let pace = Pace {
                    resolution: source.resolution,
                    min_window: self.min_window,
                };
                entry.pairs = Some(Pairs::first(reading, pace));
                entry.expired = None;
                Taken::First
            }
            Some(pairs) => {
                pairs.at_resolution(source.resolution);
                let take = |pairs: &mut Pairs, room: &mut _| pairs.take(reading, room);
                self.remembered.follow(pairs, MOST_REMEMBERED, take)
            }
        };
        if self.remembered.is_full() {
            self.make_room();
        }
        if taken != Taken::Older {
            self.claims.count(number);
            if self.index.follow(&mut self.nodes, number, &roster) {
                self.claims.question(number);
            }
        }
        taken
    }

    /// Forgets containers that newest pages lack, of the nodes that have the most of them.
    fn make_room(&mut self) {
        let pairs = self.nodes.all().filter_map(|entry| entry.pairs.as_ref());
        let most = most_of_each(pairs.map(Pairs::remembered).collect());
        let remembered = &mut self.remembered;
        self.nodes.each(|_, entry| {
            if let Some(pairs) = &mut entry.pairs {
                remembered.follow(pairs, most, Pairs::make_room);
            }
        });
    }

    pub(super) fn fail(&mut self, node: &NodeName, failed: FailedScrape, source: &Source) {
        let number = self.nodes.number(node, source);
        let Some(entry) = self.nodes.at_mut(number) else {
            return;
        };
        if entry
            .failed
            .as_ref()
            .is_none_or(|known| known.asked_at <= failed.asked_at)
        {
            entry.failed = Some(Box::new(failed));
        }
    }

    /// Forgets samples that will pair with no other, and nodes that do not exist.
    /// Returns how many nodes are newly too old to be served.
    pub(super) fn expire(&mut self, now: Timestamp, exists: impl Fn(&str) -> bool) -> usize {
        let mut gone = Vec::new();
        let mut expired = 0;
        let (max_age, remembered) = (self.max_age, &mut self.remembered);
        self.nodes.each(|number, entry| {
            if !exists(entry.name.as_str()) {
                remembered.drop(entry.pairs.take().as_ref());
                gone.push(number);
                return;
            }
            let Some(age) = entry.too_old(now, max_age) else {
                return;
            };
            if entry.pairs.is_some() && !std::mem::replace(&mut entry.is_reported_old, true) {
                expired += 1;
            }
            if age > REMEMBERED.max(entry.max_age(max_age))
                && let Some(pairs) = entry.pairs.take()
            {
                remembered.drop(Some(&pairs));
                entry.expired = Some(pairs.asked_at());
            }
        });
        for number in gone {
            self.index.forget(&mut self.nodes, number);
            self.claims.forget(number);
            self.nodes.remove(number);
        }
        expired
    }

    pub(super) fn node(&self, node: &str, now: Timestamp) -> Result<Usage, NoMetrics> {
        let entry = self.nodes.get(node).ok_or(NoMetrics::NeverReported)?;
        let view = self.view(entry, now)?;
        view.usage(view.pairs.node())?
            .map_err(|reason| view.because(NoMetrics::NoUsage(reason), reason))
    }

    /// What each of `pods` used, in the same order.
    pub(super) fn pods<'a>(
        &self,
        pods: impl IntoIterator<Item = (&'a PodKey, Option<&'a NodeName>)>,
        now: Timestamp,
    ) -> Vec<Result<PodUsage, NoMetrics>> {
        // First all places, then all nodes, then all numbers, not one pod after the
        // other, as in `Index::all`.
        let (keys, bound): (Vec<_>, Vec<_>) = pods.into_iter().unzip();
        let found = self.index.all(&self.nodes, &keys);
        let asked = keys.into_iter().zip(bound).zip(found);
        let views: Vec<_> = asked
            .map(|((pod, bound), found)| self.view_at(pod, bound, found, now))
            .collect();
        views.into_iter().map(|view| view?.usage_of_pod()).collect()
    }

    /// What is stored of a pod that is bound to this node, and was found there or
    /// elsewhere. Without a node, what was found counts.
    fn view_at<'a>(
        &'a self,
        key: &PodKey,
        bound: Option<&NodeName>,
        found: Option<Found<'a>>,
        now: Timestamp,
    ) -> Result<PodView<'a>, NoMetrics> {
        let is_its = |entry: &Entry| bound.is_none_or(|bound| entry.name.is(bound));
        if let Some(Found { entry, pod }) = found
            && is_its(entry)
        {
            return Ok(PodView::of(self.view(entry, now)?, pod));
        }
        // Nobody reports it, or others do. Its node may, too, or say why it does not.
        let bound = bound.ok_or(NoMetrics::NeverReported)?;
        let entry = self.nodes.get(bound.as_str());
        let view = self.view(entry.ok_or(NoMetrics::NeverReported)?, now)?;
        if let Some(pod) = view.pairs.roster().find(key) {
            return Ok(PodView::of(view, pod));
        }
        let gone = view
            .pairs
            .gone(key)
            .filter(|gone| view.is_missed_briefly(gone));
        let why = || {
            if view.pairs.is_unreadable(key) {
                NoMetrics::Unreadable
            } else {
                NoMetrics::NotOnNode
            }
        };
        gone.and_then(|gone| PodView::of_gone(view, gone))
            .ok_or_else(why)
    }

    fn view<'a>(&self, entry: &'a Entry, now: Timestamp) -> Result<NodeView<'a>, NoMetrics> {
        let max_age = entry.max_age(self.max_age);
        let since = now.minus(max_age);
        let pairs = entry.fresh(since, now)?;
        Ok(NodeView::new(entry, pairs, since, now, max_age))
    }

    /// Takes in that a pod does not exist any longer, which was on this node.
    pub(super) fn delete(&mut self, pod: &PodKey, node: &NodeName, now: Timestamp) {
        let number = self.nodes.known(node);
        let entry = number.and_then(|number| self.nodes.at_mut(number));
        if let Some(pairs) = entry.and_then(|entry| entry.pairs.as_mut()) {
            let delete = |pairs: &mut Pairs, _: &mut _| pairs.delete(pod, now);
            self.remembered.follow(pairs, MOST_REMEMBERED, delete);
        }
    }

    /// How much is stored of containers that the newest pages of their nodes lack.
    pub(super) fn remembered(&self) -> Remembered {
        self.remembered
    }

    /// The key of a pod as it is stored, whose names share memory with the roster's.
    pub(super) fn key(&self, pod: &PodKey) -> Option<PodKey> {
        Some(self.index.of(&self.nodes, pod)?.pod.key.clone())
    }

    pub(super) fn nodes_of(&self, pod: &PodKey) -> Vec<NodeName> {
        self.index.nodes_of(&self.nodes, pod)
    }

    pub(super) fn roster(&self, node: &str) -> Option<Arc<Roster>> {
        self.nodes.get(node)?.roster.clone()
    }

    /// When the newest reading of each of `nodes` was asked for, and how often they are scraped. For a node
    /// without a reading that is the median of the others, which one publisher cannot move far. Empty while
    /// no node has one.
    pub(super) fn newest(&self, nodes: Vec<NodeName>) -> Vec<(NodeName, Newest)> {
        let mut resolutions: Vec<Duration> =
            self.nodes.all().map(|entry| entry.resolution).collect();
        if resolutions.is_empty() {
            return Vec::new();
        }
        let middle = resolutions.len() / 2;
        let (_, &mut median, _) = resolutions.select_nth_unstable(middle);
        let newest = |name: NodeName| {
            let entry = self.nodes.get(name.as_str());
            let pairs = entry.and_then(|entry| entry.pairs.as_ref());
            let newest = Newest {
                asked_at: pairs.map(Pairs::asked_at),
                resolution: entry.map_or(median, |entry| entry.resolution),
            };
            (name, newest)
        };
        nodes.into_iter().map(newest).collect()
    }

    /// Nodes and containers that are stored.
    pub(super) fn count(&self) -> (usize, usize) {
        let pairs = self.nodes.all().filter_map(|entry| entry.pairs.as_ref());
        pairs.fold((0, 0), |(nodes, containers), pairs| {
            (nodes + 1, containers + pairs.rows().len())
        })
    }
}

impl Default for Points {
    fn default() -> Self {
        Self::new(None)
    }
}

#[cfg(test)]
mod tests;
