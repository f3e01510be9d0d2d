//! The pairs of all nodes, and where each pod is reported. Plain data behind
//! `&mut self`: no lock, no clock, no task.

mod index;
mod nodes;
mod report;

use std::{sync::Arc, time::Duration};

use tributary_model::{NoUsage, NodeName, PodKey, Reading, Roster, RosterPod, Timestamp, Usage};

pub use self::report::{Report, State};
use self::{
    index::{Found, Index},
    nodes::{Entry, Expired, Nodes},
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

/// How the nodes stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Nodes with samples that are served.
    pub served: usize,
    /// Other nodes of which it is known why they have none.
    pub failing: usize,
}

#[derive(Debug, Default)]
pub(super) struct Points {
    max_age: Option<Duration>,
    nodes: Nodes,
    index: Index,
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
            self.index.follow(&mut self.nodes, number, &roster);
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
        let (keys, preferred): (Vec<_>, Vec<_>) = pods.into_iter().unzip();
        let found = self.index.all(&self.nodes, &keys);
        let asked = keys.into_iter().zip(preferred).zip(found);
        let held: Vec<_> = asked
            .map(|((pod, preferred), found)| match found {
                Some(found) => self.held_at(pod, preferred, found, now),
                None => Err(self.why_nowhere(preferred, now)),
            })
            .collect();
        held.into_iter()
            .map(|held| {
                let (entry, pairs, pod) = held?;
                self.whole_pod(entry, pairs, pod)
            })
            .collect()
    }

    /// What is held of a pod that is reported.
    fn held_at<'a>(
        &'a self,
        key: &PodKey,
        preferred: Option<&NodeName>,
        found: Found<'a>,
        now: Timestamp,
    ) -> Result<(&'a Entry, &'a Pairs, &'a RosterPod), NoMetrics> {
        if !found.contested {
            let pairs = found.entry.fresh(now, self.max_age)?;
            return Ok((found.entry, pairs, found.pod));
        }
        let nodes = self.index.nodes_of(&self.nodes, key);
        let home = self.home(key, &nodes, preferred);
        let entry = home.and_then(|home| self.nodes.get(home.as_str()));
        let entry = entry.unwrap_or(found.entry);
        let pairs = entry.fresh(now, self.max_age)?;
        let pod = pairs.roster().find(key).ok_or(NoMetrics::NeverReported)?;
        Ok((entry, pairs, pod))
    }

    /// Nobody reports the pod; its node may say why.
    fn why_nowhere(&self, preferred: Option<&NodeName>, now: Timestamp) -> NoMetrics {
        let reason = preferred.map(|node| match self.nodes.get(node.as_str()) {
            None => NoMetrics::NeverReported,
            Some(entry) => match entry.fresh(now, self.max_age) {
                Ok(_) => NoMetrics::NotOnNode(node.clone()),
                Err(reason) => reason,
            },
        });
        reason.unwrap_or(NoMetrics::NeverReported)
    }

    /// The node to believe about a pod that several report: the one where it
    /// is known to run, else the one where it started last (DESIGN 3.6).
    fn home<'a>(
        &self,
        key: &PodKey,
        nodes: &'a [NodeName],
        preferred: Option<&NodeName>,
    ) -> Option<&'a NodeName> {
        if let Some(found) = nodes.iter().find(|node| Some(*node) == preferred) {
            return Some(found);
        }
        nodes.iter().max_by_key(|node| {
            let entry = self.nodes.get(node.as_str());
            let pairs = entry.and_then(|entry| entry.pairs.as_ref());
            let started = pairs.and_then(|pairs| pairs.started(pairs.roster().find(key)?));
            (started, *node)
        })
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

    /// Up to `max` pods that more than one node reports.
    pub(super) fn contested(&self, max: usize) -> Vec<PodKey> {
        self.index.contested().take(max).cloned().collect()
    }

    pub(super) fn roster(&self, node: &str) -> Option<Arc<Roster>> {
        self.nodes.get(node)?.roster.clone()
    }

    /// How `nodes` stand.
    pub(super) fn standing(&self, nodes: &[NodeName], now: Timestamp) -> Standing {
        let mut standing = Standing::default();
        for node in nodes {
            match self.node(node.as_str(), now) {
                Ok(_) => standing.served += 1,
                Err(NoMetrics::Failed(_)) => standing.failing += 1,
                Err(_) => {}
            }
        }
        standing
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
