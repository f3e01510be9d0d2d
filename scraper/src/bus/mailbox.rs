//! What one frontend has not been sent yet: at most one reading per node.
//!
//! A slow frontend loses history, never freshness, and its mailbox cannot grow
//! past the number of nodes of this scraper
//! (docs/decisions/0011-newest-per-node-wins.md).

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tributary_model::{NodeName, Reading};
use tributary_proto::v1::ScrapeFailure;

use super::metrics::BusMetrics;
use crate::assignment::ownership::NodeRole;

/// What is new about one node.
#[derive(Debug, Default, PartialEq)]
pub(super) struct News {
    pub(super) reading: Option<Arc<Reading>>,
    /// A failure after that reading.
    pub(super) failure: Option<Arc<ScrapeFailure>>,
    /// No longer scraped here. What came before it need not be told.
    pub(super) released: bool,
    /// The frontend lacks the roster of the newest reading.
    pub(super) roster_wanted: bool,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Nodes in the order in which they first had news.
    order: VecDeque<NodeName>,
    news: HashMap<NodeName, News>,
    /// What we have become to which nodes.
    roles: HashMap<NodeName, NodeRole>,
}

/// The mail of one frontend.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    waiting: Mutex<Waiting>,
    arrived: Notify,
    metrics: BusMetrics,
}

impl Mailbox {
    pub(super) fn new(metrics: BusMetrics) -> Self {
        Self {
            metrics,
            ..Self::default()
        }
    }

    /// Leaves a reading, in place of an unread one of the same node.
    pub(super) fn put_reading(&self, reading: Arc<Reading>) {
        let node = reading.node.clone();
        let replaced = self.leave(&node, |news| {
            news.failure = None;
            news.released = false;
            news.reading.replace(reading).is_some()
        });
        if replaced {
            self.metrics.replaced();
        }
    }

    /// Leaves word of a failure, beside an unread reading.
    pub(super) fn leave_failure(&self, node: &NodeName, failure: Arc<ScrapeFailure>) {
        self.leave(node, |news| {
            news.released = false;
            news.failure = Some(failure);
        });
    }

    /// Leaves word that a node is no longer scraped here, beside an unread
    /// reading: it may be the last that anybody has.
    pub(super) fn put_release(&self, node: &NodeName) {
        self.leave(node, |news| {
            news.failure = None;
            news.released = true;
        });
    }

    /// Leaves word that a roster is wanted.
    pub(super) fn leave_roster_wanted(&self, node: &NodeName) {
        self.leave(node, |news| news.roster_wanted = true);
    }

    /// Leaves word of what we have become to nodes.
    pub(super) fn put_roles(&self, roles: &[(NodeName, NodeRole)]) {
        let mut waiting = self.lock();
        waiting.roles.extend(roles.iter().cloned());
        drop(waiting);
        self.arrived.notify_one();
    }

    /// All that we have become to nodes, without waiting.
    pub(super) fn take_roles(&self) -> HashMap<NodeName, NodeRole> {
        std::mem::take(&mut self.lock().roles)
    }

    /// The oldest news, without waiting.
    pub(super) fn try_take(&self) -> Option<(NodeName, News)> {
        let mut waiting = self.lock();
        let node = waiting.order.pop_front()?;
        let news = waiting.news.remove(&node)?;
        Some((node, news))
    }

    /// Waits until there is something to take.
    pub(super) async fn wait_nonempty(&self) {
        loop {
            // Registered before looking, so that nothing left in between is
            // missed.
            let arrived = self.arrived.notified();
            if !self.is_empty() {
                return;
            }
            arrived.await;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        let waiting = self.lock();
        waiting.order.is_empty() && waiting.roles.is_empty()
    }

    /// How many nodes have news.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().order.len()
    }

    fn leave<T>(&self, node: &NodeName, write: impl FnOnce(&mut News) -> T) -> T {
        let mut waiting = self.lock();
        if !waiting.news.contains_key(node) {
            waiting.order.push_back(node.clone());
        }
        let written = write(waiting.news.entry(node.clone()).or_default());
        drop(waiting);
        self.arrived.notify_one();
        written
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock()
    }
}

/// A reading of `node` with one container, asked for at one time and measured
/// at another.
#[cfg(test)]
pub(super) fn reading(node: &str, asked_ms: i64, sample_ms: i64) -> Reading {
    Reading {
        asked_at: tributary_model::Timestamp::from_millis(asked_ms),
        ..reading_of(node, "web", sample_ms)
    }
}

/// A reading of `node` with one container, of this pod.
#[cfg(test)]
pub(super) fn reading_of(node: &str, pod: &str, at_ms: i64) -> Reading {
    use tributary_model::{
        Columns, CoreNanos, CpuPoint, NodePoint, PodKey, Remarks, RosterBuilder, Timestamp,
    };
    let mut builder = RosterBuilder::default();
    builder
        .add(PodKey::new("shop", pod), "main".into())
        .unwrap();
    let mut columns = Columns::missing(1);
    columns.set_cpu(
        0,
        Some(CpuPoint {
            total: CoreNanos(7),
            at: Timestamp::from_millis(at_ms),
        }),
    );
    Reading {
        node: node.into(),
        roster: builder.build(),
        asked_at: Timestamp::from_millis(at_ms),
        point: NodePoint::default(),
        columns,
        remarks: Remarks::default(),
    }
}

#[cfg(test)]
mod tests {
    use tributary_model::Timestamp;

    use super::*;

    #[test]
    fn the_newest_of_a_node_takes_the_place_of_an_unread_one() {
        let mailbox = Mailbox::default();
        for (node, asked) in [("n1", 1), ("n2", 2), ("n1", 3)] {
            mailbox.put_reading(Arc::new(reading(node, asked, asked)));
        }
        assert_eq!(mailbox.len(), 2);
        let (node, news) = mailbox.try_take().unwrap();
        assert_eq!(node.as_str(), "n1");
        assert_eq!(news.reading.unwrap().asked_at, Timestamp::from_millis(3));
        assert_eq!(mailbox.metrics.replaced_total(), 1);
        assert_eq!(mailbox.try_take().unwrap().0.as_str(), "n2");
        assert!(mailbox.try_take().is_none());
    }

    #[test]
    fn a_failure_stands_beside_the_reading_before_it_and_goes_with_the_next() {
        let mailbox = Mailbox::default();
        let failure = Arc::new(ScrapeFailure::default());
        mailbox.put_reading(Arc::new(reading("n1", 1, 1)));
        mailbox.leave_failure(&"n1".into(), Arc::clone(&failure));
        let (_, news) = mailbox.try_take().unwrap();
        assert!(news.reading.is_some() && news.failure.is_some());
        mailbox.leave_failure(&"n1".into(), failure);
        mailbox.put_reading(Arc::new(reading("n1", 2, 2)));
        assert!(mailbox.try_take().unwrap().1.failure.is_none());
    }

    #[tokio::test]
    async fn who_waits_is_woken() {
        let mailbox = Arc::new(Mailbox::default());
        let ((), ()) = tokio::join!(mailbox.wait_nonempty(), async {
            tokio::task::yield_now().await;
            mailbox.put_release(&"n1".into());
        });
        assert!(mailbox.try_take().unwrap().1.released);
        let ((), ()) = tokio::join!(mailbox.wait_nonempty(), async {
            tokio::task::yield_now().await;
            mailbox.put_roles(&[("n1".into(), NodeRole::Owner)]);
        });
        assert_eq!(mailbox.take_roles().len(), 1);
    }
}
