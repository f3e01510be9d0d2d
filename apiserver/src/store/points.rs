//! The pairs of all nodes, and where each pod is reported. Plain data behind
//! `&mut self`: no lock, no clock, no task.

mod index;
mod report;

use std::{collections::HashMap, sync::Arc, time::Duration};

use tributary_model::{
    ContainerName, NodeName, PodKey, Reading, Roster, RosterPod, Timestamp, Usage,
};

use self::index::{Found, Index};
pub use self::report::{Report, State};
use super::{
    outcome::{FailedScrape, Failure, Newest, NoMetrics, PodUsage},
    pairs::{Pairs, Taken},
};

/// By name. The hash is seeded anew in each process, and cheaper than the
/// standard one, which a list of everything would feel: it looks up every pod.
type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// Without a flag, samples are served for so many resolutions (DESIGN D6).
const MAX_AGE_IN_RESOLUTIONS: u32 = 3;

/// Who sent something.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its name, for people.
    pub name: Arc<str>,
    /// How often it scrapes each of its nodes.
    pub resolution: Duration,
}

/// What is left of samples that were too old: enough to say so. Which pods they
/// were of is in the index.
#[derive(Debug)]
struct Expired {
    renewed_at: Timestamp,
    asked_at: Timestamp,
}

#[derive(Debug)]
struct Entry {
    resolution: Duration,
    pairs: Option<Pairs>,
    expired: Option<Expired>,
    failed: Option<FailedScrape>,
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
    nodes: Map<NodeName, Entry>,
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
        let node = reading.node.clone();
        let roster = Arc::clone(&reading.roster);
        let entry = self.nodes.entry(node.clone());
        let entry = entry.or_insert_with(|| Entry::new(source));
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
            self.index.follow(&node, &roster);
        }
        taken
    }

    pub(super) fn fail(&mut self, node: NodeName, failed: FailedScrape, source: &Source) {
        let entry = self.nodes.entry(node);
        let entry = entry.or_insert_with(|| Entry::new(source));
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
        self.nodes.retain(|name, entry| {
            if !exists(name.as_str()) {
                gone.push(name.clone());
                return false;
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
            true
        });
        for node in gone {
            self.index.forget(node.as_str());
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
        // other: each is anywhere in memory, and the processor waits for several at
        // a time if little else is in between.
        let places: Vec<_> = pods
            .into_iter()
            .map(|(pod, preferred)| (pod, preferred, self.index.of(pod)))
            .collect();
        let held: Vec<_> = places
            .into_iter()
            .map(|(pod, preferred, found)| match found {
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
            let (entry, pairs) = self.fresh(found.node, now)?;
            return Ok((entry, pairs, found.pod));
        }
        let nodes = self.index.nodes_of(key);
        let home = self.home(key, &nodes, preferred);
        let (entry, pairs) = self.fresh(home.unwrap_or(found.node), now)?;
        let pod = pairs.roster().find(key).ok_or(NoMetrics::NeverReported)?;
        Ok((entry, pairs, pod))
    }

    fn fresh(&self, node: &NodeName, now: Timestamp) -> Result<(&Entry, &Pairs), NoMetrics> {
        let entry = self.nodes.get(node).ok_or(NoMetrics::NeverReported)?;
        Ok((entry, entry.fresh(now, self.max_age)?))
    }

    /// Nobody reports the pod; its node may say why.
    fn why_nowhere(&self, preferred: Option<&NodeName>, now: Timestamp) -> NoMetrics {
        let reason = preferred.map(|node| match self.nodes.get(node) {
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
            let pairs = self.nodes.get(*node).and_then(|entry| entry.pairs.as_ref());
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
        let names = pairs.roster().containers_of(pod);
        let mut containers: Vec<(ContainerName, Usage)> = Vec::with_capacity(names.len());
        for (row, name) in pod.rows().zip(names) {
            let point = pairs.newest().point(row);
            let usage = Usage::of_container(pairs.before(row), &point, entry.resolution)
                .map_err(|reason| NoMetrics::Container(name.clone(), reason))?;
            // By the kubelet's own clock: one container that it stopped
            // measuring must not be served for ever because others move on.
            let lag = pairs.newest_at().and_then(|newest| newest.since(usage.at));
            if let Some(lag) = lag.filter(|lag| *lag > entry.max_age(self.max_age)) {
                return Err(NoMetrics::TooOld(lag));
            }
            containers.push((name.clone(), usage));
        }
        let (_, earliest) = containers
            .iter()
            .min_by_key(|(_, usage)| usage.at)
            .ok_or(NoMetrics::NeverReported)?;
        Ok(PodUsage {
            at: earliest.at,
            window: earliest.window,
            containers,
        })
    }

    pub(super) fn nodes_of(&self, pod: &PodKey) -> Vec<NodeName> {
        self.index.nodes_of(pod)
    }

    /// Up to `max` pods that more than one node reports.
    pub(super) fn contested(&self, max: usize) -> Vec<PodKey> {
        self.index.contested().take(max).cloned().collect()
    }

    pub(super) fn roster(&self, node: &str) -> Option<Arc<Roster>> {
        self.index.roster(node)
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
        let resolutions = self.nodes.values().map(|entry| entry.resolution);
        let Some(longest) = resolutions.max() else {
            return Vec::new();
        };
        let newest = |name: NodeName| {
            let entry = self.nodes.get(&name);
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
        let pairs = self.nodes.values().filter_map(|entry| entry.pairs.as_ref());
        pairs.fold((0, 0), |(nodes, containers), pairs| {
            (nodes + 1, containers + pairs.newest().len())
        })
    }
}

impl Entry {
    fn max_age(&self, flag: Option<Duration>) -> Duration {
        flag.unwrap_or_else(|| self.resolution.saturating_mul(MAX_AGE_IN_RESOLUTIONS))
    }

    fn new(source: &Source) -> Self {
        Self {
            resolution: source.resolution,
            pairs: None,
            expired: None,
            failed: None,
        }
    }

    /// When somebody last asked with success, and when that brought something
    /// new.
    fn answered(&self) -> Option<(Timestamp, Timestamp)> {
        match (&self.pairs, &self.expired) {
            (Some(pairs), _) => Some((pairs.asked_at(), pairs.renewed_at())),
            (None, Some(expired)) => Some((expired.asked_at, expired.renewed_at)),
            (None, None) => None,
        }
    }

    fn too_old(&self, now: Timestamp, flag: Option<Duration>) -> Option<Duration> {
        let (_, renewed_at) = self.answered()?;
        let age = now.since(renewed_at)?;
        (age > self.max_age(flag)).then_some(age)
    }

    /// The pairs, if they may be served; if not, the best reason there is.
    fn fresh(&self, now: Timestamp, max_age: Option<Duration>) -> Result<&Pairs, NoMetrics> {
        let too_old = self.too_old(now, max_age);
        if let (Some(pairs), None) = (&self.pairs, too_old) {
            return Ok(pairs);
        }
        let asked_at = self.answered().map(|(asked_at, _)| asked_at);
        let failed = self.failed.as_ref();
        let failed = failed.filter(|failed| Some(failed.asked_at) > asked_at);
        Err(match (failed, too_old) {
            (Some(failed), _) => NoMetrics::Failed(Failure {
                ago: now.since(failed.asked_at).unwrap_or_default(),
                by: failed.by.to_string(),
                message: failed.message.to_string(),
            }),
            (None, Some(age)) => NoMetrics::TooOld(age),
            (None, None) => NoMetrics::NeverReported,
        })
    }
}

#[cfg(test)]
mod tests;
