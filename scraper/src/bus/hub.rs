//! The readings of every node for the replay, and every mailbox.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::{Mutex, MutexGuard};
use tributary_model::{NodeName, Reading};
use tributary_proto::v1::{ScrapeFailure, node_refused};

use super::{mailbox::Mailbox, metrics::BusMetrics};
use crate::assignment::ownership::NodeRole;

/// Readings of a node that come more slowly than this are stored as they come.
const SLOW: Duration = Duration::from_secs(8);

/// Of a node that is scraped more often, the two that are stored are this far apart at least. Many kubelets measure a container
/// every 10 to 20 s, and a container without two samples is not served.
const APART: Duration = Duration::from_secs(15);

/// What is stored of one node, for a frontend that is new.
#[derive(Clone, Debug, Default)]
pub(super) struct NodeHistory {
    pub(super) older: Option<Arc<Reading>>,
    /// One that is too close to the newest to make a pair with it, of a node that is
    /// scraped more often: the next older one.
    between: Option<Arc<Reading>>,
    pub(super) newest: Option<Arc<Reading>>,
    /// The last failure, if nothing succeeded since.
    pub(super) failure: Option<Arc<ScrapeFailure>>,
}

impl NodeHistory {
    /// Makes `reading` the newest. The older one is as far from it as a rate needs, if
    /// there is one, and not much further.
    fn advance(&mut self, reading: &Arc<Reading>) {
        let is_far = |it: &Reading, least: Duration| {
            let apart = reading.asked_at.since(it.asked_at);
            apart.is_some_and(|apart| apart >= least)
        };
        // One that brings no new sample takes the place of the newest, so that
        // those that are stored are different ones.
        if let Some(newest) = self.newest.replace(Arc::clone(reading))
            && newest.newest_at() < reading.newest_at()
        {
            if is_far(&newest, SLOW) || self.older.is_none() {
                (self.older, self.between) = (Some(newest), None);
            } else if self.between.as_deref().is_none_or(|it| is_far(it, APART)) {
                let between = self.between.replace(newest);
                self.older = between.or(self.older.take());
            }
        }
    }
}

#[derive(Debug, Default)]
struct Inner {
    nodes: HashMap<NodeName, NodeHistory>,
    /// What we are to the nodes to which we are something.
    roles: HashMap<NodeName, NodeRole>,
    /// Why frontends refuse some of the nodes.
    refused: HashMap<NodeName, node_refused::Reason>,
    mailboxes: Vec<Arc<Mailbox>>,
}

/// Takes what was scraped and leaves it for every frontend. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hub {
    inner: Arc<Mutex<Inner>>,
    metrics: BusMetrics,
}

/// A place in the hub for one stream: its mailbox, and what was stored when it
/// began. Dropping it closes the mailbox.
#[derive(Debug)]
pub(super) struct Subscription {
    hub: Hub,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) replay: Vec<(NodeName, NodeHistory)>,
}

impl Hub {
    pub(crate) fn new(metrics: BusMetrics) -> Self {
        Self {
            inner: Arc::default(),
            metrics,
        }
    }

    /// Keeps `reading` and leaves it for every frontend. Cannot block.
    pub(crate) fn publish(&self, reading: impl Into<Arc<Reading>>) {
        let reading = reading.into();
        let mut inner = self.lock();
        let history = inner.nodes.entry(reading.node.clone()).or_default();
        history.advance(&reading);
        history.failure = None;
        for mailbox in &inner.mailboxes {
            mailbox.put_reading(Arc::clone(&reading));
        }
    }

    /// Leaves word of a failed scrape. What was read stays.
    pub(crate) fn fail(&self, node: &NodeName, failure: ScrapeFailure) {
        let failure = Arc::new(failure);
        let mut inner = self.lock();
        let history = inner.nodes.entry(node.clone()).or_default();
        history.failure = Some(Arc::clone(&failure));
        for mailbox in &inner.mailboxes {
            mailbox.leave_failure(node, Arc::clone(&failure));
        }
    }

    /// Forgets a node that is no longer scraped here.
    pub(crate) fn release(&self, node: &NodeName) {
        let mut inner = self.lock();
        inner.nodes.remove(node);
        inner.refused.remove(node);
        for mailbox in &inner.mailboxes {
            mailbox.put_release(node);
        }
    }

    /// Leaves word of what we are to nodes, as far as that is new.
    pub(crate) fn publish_roles(&self, roles: Vec<(NodeName, NodeRole)>) {
        let mut inner = self.lock();
        let mut news = Vec::with_capacity(roles.len());
        for (node, standing) in roles {
            let before = match standing {
                NodeRole::None => inner.roles.remove(&node),
                _ => inner.roles.insert(node.clone(), standing),
            };
            if before.unwrap_or(NodeRole::None) != standing {
                news.push((node, standing));
            }
        }
        if !news.is_empty() {
            for mailbox in &inner.mailboxes {
                mailbox.put_roles(&news);
            }
        }
    }

    /// Takes down that a frontend refuses a node. Returns whether that is news:
    /// the node is one of ours, and was not refused for this reason before.
    pub(super) fn refused(&self, node: &str, reason: node_refused::Reason) -> bool {
        let mut inner = self.lock();
        let Some((node, _)) = inner.nodes.get_key_value(node) else {
            return false;
        };
        let node = node.clone();
        inner.refused.insert(node, reason) != Some(reason)
    }

    /// A place for a new stream.
    pub(super) fn subscribe(&self) -> Subscription {
        let mailbox = Arc::new(Mailbox::new(self.metrics.clone()));
        let mut inner = self.lock();
        inner.mailboxes.push(Arc::clone(&mailbox));
        let roles = inner.roles.iter();
        let roles: Vec<_> = roles.map(|(node, is)| (node.clone(), *is)).collect();
        mailbox.put_roles(&roles);
        let nodes = inner.nodes.iter();
        Subscription {
            hub: self.clone(),
            mailbox,
            replay: nodes
                .map(|(node, history)| (node.clone(), history.clone()))
                .collect(),
        }
    }

    /// The newest reading of a node.
    pub(super) fn newest(&self, node: &str) -> Option<Arc<Reading>> {
        self.lock().nodes.get(node)?.newest.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut inner = self.hub.lock();
        inner
            .mailboxes
            .retain(|mailbox| !Arc::ptr_eq(mailbox, &self.mailbox));
    }
}

#[cfg(test)]
mod tests {
    use tributary_model::Timestamp;

    use super::*;
    use crate::bus::mailbox::reading;

    #[test]
    fn the_two_newest_distinct_readings_are_kept() {
        let hub = Hub::default();
        for (second, sample) in [(10, 10), (20, 20), (30, 20), (40, 40), (50, 40)] {
            hub.publish(reading("n1", second * 1_000, sample));
        }
        let mut place = hub.subscribe();
        let (_, history) = place.replay.pop().unwrap();
        let asked = |reading: Option<Arc<Reading>>| reading.unwrap().asked_at;
        assert_eq!(asked(history.newest), Timestamp::from_millis(50_000));
        assert_eq!(asked(history.older), Timestamp::from_millis(30_000));
    }

    #[test]
    fn the_two_of_a_node_that_is_scraped_every_second_have_two_samples_of_each_container() {
        let hub = Hub::default();
        for second in 0..60 {
            hub.publish(reading("n1", second * 1_000, second));
            let (_, history) = hub.subscribe().replay.pop().unwrap();
            let [newest, older] = [history.newest, history.older]
                .map(|reading| reading.map(|reading| reading.asked_at.as_seconds()));
            assert_eq!(newest, Some(second));
            let apart = older.map(|older| second - older);
            let fits = apart.is_some_and(|apart| (15..=31).contains(&apart));
            assert!(second < 15 || fits, "{second} {apart:?}");
        }
    }

    #[test]
    fn a_failure_is_kept_until_the_next_success() {
        let hub = Hub::default();
        hub.publish(reading("n1", 1, 10));
        hub.fail(&"n1".into(), ScrapeFailure::default());
        let (_, history) = hub.subscribe().replay.pop().unwrap();
        assert!(history.failure.is_some() && history.newest.is_some());
        hub.publish(reading("n1", 2, 20));
        assert!(hub.subscribe().replay[0].1.failure.is_none());
    }

    #[test]
    fn a_released_node_is_not_replayed() {
        let hub = Hub::default();
        hub.publish(reading("n1", 1, 10));
        hub.release(&"n1".into());
        assert!(hub.subscribe().replay.is_empty());
    }

    #[test]
    fn a_node_that_is_refused_is_news_once() {
        use node_refused::Reason::{Containers, Names};
        let hub = Hub::default();
        assert!(!hub.refused("n1", Names));
        hub.publish(reading("n1", 1, 10));
        assert!(hub.refused("n1", Names));
        assert!(!hub.refused("n1", Names));
        assert!(hub.refused("n1", Containers));
        hub.release(&"n1".into());
        hub.publish(reading("n1", 2, 20));
        assert!(hub.refused("n1", Containers));
    }

    #[test]
    fn a_place_that_is_given_up_gets_no_more_mail() {
        let hub = Hub::default();
        let place = hub.subscribe();
        let mailbox = Arc::clone(&place.mailbox);
        drop(place);
        hub.publish(reading("n1", 1, 10));
        assert_eq!(mailbox.len(), 0);
    }
}
