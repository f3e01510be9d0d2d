//! Nodes that a publisher names and that do not exist.
//!
//! Their samples are not stored. But a publisher may see a new node sooner than this frontend. So
//! some names are remembered: when the node exists its roster is requested, and the newest reading
//! comes with it.

use std::time::Duration;

use tokio::time::Instant;
use tributary_model::NodeName;

/// The most names of one stream. Other nodes are requested at their next reading.
const MOST: usize = 64;

/// How often they are checked.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The names of one stream. Pure: the date is an argument.
#[derive(Debug, Default)]
pub(super) struct Unknown {
    nodes: Vec<NodeName>,
    look_at: Option<Instant>,
}

impl Unknown {
    pub(super) fn put(&mut self, node: NodeName, now: Instant) {
        if self.nodes.len() >= MOST || self.nodes.contains(&node) {
            return;
        }
        self.nodes.push(node);
        self.look_at.get_or_insert(now + POLL_INTERVAL);
    }

    pub(super) fn forget(&mut self, node: &str) {
        self.nodes.retain(|known| known.as_str() != node);
    }

    /// When to check again, if there is any name.
    pub(super) fn look_at(&self) -> Option<Instant> {
        self.look_at.filter(|_| !self.nodes.is_empty())
    }

    /// A node that exists by now. While there are some, they are returned one after another. Then
    /// there is a pause until the next check.
    pub(super) fn take(
        &mut self,
        there: impl Fn(&NodeName) -> bool,
        now: Instant,
    ) -> Option<NodeName> {
        let found = self.nodes.iter().position(there);
        let Some(at) = found else {
            // A node that does not exist at a check is requested at its next reading.
            self.nodes.clear();
            self.look_at = None;
            return None;
        };
        self.look_at = Some(now);
        Some(self.nodes.swap_remove(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_node_that_comes_to_be_is_found_once() {
        let start = Instant::now();
        let mut unknown = Unknown::default();
        assert_eq!(unknown.look_at(), None);
        for name in ["n1", "n2", "n1", "n3"] {
            unknown.put(name.into(), start);
        }
        unknown.forget("n3");
        assert_eq!(unknown.look_at(), Some(start + POLL_INTERVAL));
        let later = start + POLL_INTERVAL;
        let there = |node: &NodeName| node.as_str() == "n2";
        assert_eq!(unknown.take(there, later), Some("n2".into()));
        assert_eq!(unknown.look_at(), Some(later));
        assert_eq!(unknown.take(there, later), None);
        assert_eq!(unknown.look_at(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn kept_names_have_a_limit() {
        let now = Instant::now();
        let mut unknown = Unknown::default();
        for n in 0..1_000 {
            unknown.put(format!("n{n}").as_str().into(), now);
        }
        assert_eq!(unknown.nodes.len(), 64);
        assert_eq!(unknown.take(|node| node.as_str() == "n64", now), None);
    }
}
