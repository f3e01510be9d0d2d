//! The pairs of all nodes, and where each pod is reported. Plain data behind
//! `&mut self`: no lock, no clock, no task.

mod claims;
mod index;
mod nodes;
mod report;
mod standing;

use std::{sync::Arc, time::Duration};

use tributary_model::{NoUsage, NodeName, PodKey, Reading, Roster, RosterPod, Timestamp, Usage};

use self::{
    claims::Claims,
    index::{Found, Index},
    nodes::{Entry, Expired, Nodes},
};
pub use self::{
    report::{Report, State},
    standing::Standing,
};
use super::{
    outcome::{FailedScrape, Newest, NoMetrics, PodUsage},
    pairs::{Pairs, Taken},
};

/// Who sent something.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its name, for people.
    pub name: Arc<str>,
    /// How often it scrapes each of its nodes.
    pub resolution: Duration,
}

#[derive(Debug, Default)]
pub(super) struct Points {
    max_age: Option<Duration>,
    nodes: Nodes,
    index: Index,
    claims: Claims,
}

impl Points {
    pub(super) fn new(max_age: Option<Duration>) -> Self {
        Self {
            max_age,
            ..Self::default()
        }
    }

    pub(super) fn take(&mut self, reading: Reading, source: &Source) -> Taken {
        let roster = Arc::clone(&reading.roster);
        let number = self.nodes.number(&reading.node, source);
        let Some(entry) = self.nodes.at_mut(number) else {
            return Taken::Older;
        };
        entry.resolution = source.resolution;
        entry.first_asked_at.get_or_insert(reading.asked_at);
        let taken = match &mut entry.pairs {
            None => {
                entry.pairs = Some(Pairs::first(reading));
                entry.expired = None;
                Taken::First
            }
            Some(pairs) => {
                pairs.at_resolution(source.resolution);
                pairs.take(reading)
            }
        };
        if taken != Taken::Older {
            self.claims.count(number);
            if self.index.follow(&mut self.nodes, number, &roster) {
                self.claims.question(number);
            }
        }
        taken
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
            entry.failed = Some(failed);
        }
    }

    /// Forgets samples that are too old to be served, and nodes that do not exist.
    /// Returns how many nodes lost their samples for age.
    pub(super) fn expire(&mut self, now: Timestamp, exists: impl Fn(&str) -> bool) -> usize {
        let mut gone = Vec::new();
        let mut expired = 0;
        let max_age = self.max_age;
        self.nodes.each(|number, entry| {
            if !exists(entry.name.as_str()) {
                gone.push(number);
                return;
            }
            if entry.too_old(now, max_age).is_some()
                && let Some(pairs) = entry.pairs.take()
            {
                expired += 1;
                entry.expired = Some(Expired {
                    renewed_at: pairs.renewed_at(),
                    asked_at: pairs.asked_at(),
                });
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
        let pairs = entry.fresh(now, self.max_age)?;
        let (point, before) = pairs.node();
        Usage::of_node(before, point).map_err(NoMetrics::NoUsage)
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
        let held: Vec<_> = asked
            .map(|((pod, bound), found)| self.held_at(pod, bound, found, now))
            .collect();
        held.into_iter()
            .map(|held| {
                let (entry, pairs, pod) = held?;
                self.whole_pod(entry, pairs, pod)
            })
            .collect()
    }

    /// What is held of a pod that is bound to this node, and was found there or
    /// elsewhere. Without a node, what was found counts.
    fn held_at<'a>(
        &'a self,
        key: &PodKey,
        bound: Option<&NodeName>,
        found: Option<Found<'a>>,
        now: Timestamp,
    ) -> Result<(&'a Entry, &'a Pairs, &'a RosterPod), NoMetrics> {
        let is_its = |entry: &Entry| bound.is_none_or(|bound| entry.name.is(bound));
        if let Some(Found { entry, pod }) = found
            && is_its(entry)
        {
            let pairs = entry.fresh(now, self.max_age)?;
            return Ok((entry, pairs, pod));
        }
        // Nobody reports it, or others do. Its node may, too, or say why it does not.
        let bound = bound.ok_or(NoMetrics::NeverReported)?;
        let entry = self.nodes.get(bound.as_str());
        let entry = entry.ok_or(NoMetrics::NeverReported)?;
        let pairs = entry.fresh(now, self.max_age)?;
        let pod = pairs.roster().find(key);
        let pod = pod.ok_or_else(|| NoMetrics::NotOnNode(bound.clone()))?;
        Ok((entry, pairs, pod))
    }

    fn whole_pod(
        &self,
        entry: &Entry,
        pairs: &Pairs,
        pod: &RosterPod,
    ) -> Result<PodUsage, NoMetrics> {
        let rows = pairs.rows().get(pod.rows()).unwrap_or_default();
        let mut usages = Vec::with_capacity(rows.len());
        for (at, row) in rows.iter().enumerate() {
            let (before, point) = (row.before(), row.point());
            let usage = Usage::of_container(before.as_ref(), &point, entry.resolution)
                .map_err(|reason| no_container(pairs.roster(), pod, at, reason))?;
            // By the kubelet's own clock: one container that it stopped
            // measuring must not be served for ever because others move on.
            let lag = pairs.newest_at().and_then(|newest| newest.since(usage.at));
            if let Some(lag) = lag.filter(|lag| *lag > entry.max_age(self.max_age)) {
                return Err(NoMetrics::TooOld(lag));
            }
            usages.push(usage);
        }
        PodUsage::new(pairs.roster(), pod, usages).ok_or(NoMetrics::NeverReported)
    }

    pub(super) fn key(&self, pod: &PodKey) -> Option<PodKey> {
        Some(self.index.of(&self.nodes, pod)?.pod.key.clone())
    }

    pub(super) fn nodes_of(&self, pod: &PodKey) -> Vec<NodeName> {
        self.index.nodes_of(&self.nodes, pod)
    }

    pub(super) fn roster(&self, node: &str) -> Option<Arc<Roster>> {
        self.nodes.get(node)?.roster.clone()
    }

    /// When the newest reading of each of `nodes` was asked for, and how often
    /// they are scraped; nothing if that was never said of any node.
    pub(super) fn newest(&self, nodes: Vec<NodeName>) -> Vec<(NodeName, Newest)> {
        let resolutions = self.nodes.all().map(|entry| entry.resolution);
        let Some(longest) = resolutions.max() else {
            return Vec::new();
        };
        let newest = |name: NodeName| {
            let entry = self.nodes.get(name.as_str());
            let pairs = entry.and_then(|entry| entry.pairs.as_ref());
            let newest = Newest {
                asked_at: pairs.map(Pairs::asked_at),
                resolution: entry.map_or(longest, |entry| entry.resolution),
            };
            (name, newest)
        };
        nodes.into_iter().map(newest).collect()
    }

    /// Nodes and containers that are held.
    pub(super) fn held(&self) -> (usize, usize) {
        let pairs = self.nodes.all().filter_map(|entry| entry.pairs.as_ref());
        pairs.fold((0, 0), |(nodes, containers), pairs| {
            (nodes + 1, containers + pairs.rows().len())
        })
    }
}

/// Why the container at this place of a pod keeps the pod from being served.
fn no_container(roster: &Roster, pod: &RosterPod, at: usize, reason: NoUsage) -> NoMetrics {
    match roster.containers_of(pod).get(at) {
        Some(name) => NoMetrics::Container(name.clone(), reason),
        None => NoMetrics::NoUsage(reason),
    }
}

#[cfg(test)]
mod tests;
