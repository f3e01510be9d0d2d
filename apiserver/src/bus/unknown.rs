//! Nodes that a publisher speaks of and that do not exist.
//!
//! Nothing that is said of them is kept. A publisher may know of a new node
//! sooner than we do, though, so some names are kept: when the node exists its
//! roster is asked for, and the newest reading comes with it.

use std::time::Duration;

use tokio::time::Instant;
use tributary_model::NodeName;

/// Names that are kept of one stream. What is beyond is asked for at the next
/// reading of the node.
const MOST: usize = 64;

/// How often they are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);

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
        self.look_at.get_or_insert(now + LOOK_EVERY);
    }

    pub(super) fn forget(&mut self, node: &str) {
        self.nodes.retain(|known| known.as_str() != node);
    }

    /// When to look again, if there is anything to look for.
    pub(super) fn look_at(&self) -> Option<Instant> {
        self.look_at.filter(|_| !self.nodes.is_empty())
    }

    /// A node that is there by now. While there are some, they are taken one after
    /// another; else it is a while until the next look.
    pub(super) fn take(
        &mut self,
        there: impl Fn(&NodeName) -> bool,
        now: Instant,
    ) -> Option<NodeName> {
        let found = self.nodes.iter().position(there);
        let Some(at) = found else {
            // Whoever is not there after a look is asked for at its next reading.
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
        assert_eq!(unknown.look_at(), Some(start + LOOK_EVERY));
        let later = start + LOOK_EVERY;
        let there = |node: &NodeName| node.as_str() == "n2";
        assert_eq!(unknown.take(there, later), Some("n2".into()));
        assert_eq!(unknown.look_at(), Some(later));
        assert_eq!(unknown.take(there, later), None);
        assert_eq!(unknown.look_at(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_names_are_kept_and_no_more() {
        let now = Instant::now();
        let mut unknown = Unknown::default();
        for n in 0..1_000 {
            unknown.put(format!("n{n}").as_str().into(), now);
        }
        assert_eq!(unknown.nodes.len(), 64);
        assert_eq!(unknown.take(|node| node.as_str() == "n64", now), None);
    }
}
