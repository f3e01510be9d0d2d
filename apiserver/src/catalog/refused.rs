//! Counts and logs objects whose labels were refused.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;
use tracing::warn;

use super::labels::{Labels, MOST_OF_NODE, MOST_OF_POD};

/// The shortest time between two log lines about one kind.
const APART: Duration = Duration::from_mins(1);

/// The kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nodes.
    Nodes,
    /// Pods.
    Pods,
}

impl Kind {
    /// Both kinds.
    pub(crate) const ALL: [Self; 2] = [Self::Nodes, Self::Pods];

    /// The name for labels of metrics and fields of logs.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Nodes => "nodes",
            Self::Pods => "pods",
        }
    }

    /// The most bytes of labels that are kept.
    fn most(self) -> usize {
        match self {
            Self::Nodes => MOST_OF_NODE,
            Self::Pods => MOST_OF_POD,
        }
    }
}

/// The number of refusals of each kind.
#[derive(Debug, Default)]
pub(super) struct Refused {
    nodes: OfKind,
    pods: OfKind,
}

/// The refusals of one kind. Each kind has its own log limit, so that pods of tenants cannot hide a line about a node.
#[derive(Debug, Default)]
struct OfKind {
    count: AtomicU64,
    said: Mutex<Option<Instant>>,
}

impl Refused {
    /// Counts and logs an object if its labels were refused.
    pub(super) fn look(&self, kind: Kind, name: &dyn fmt::Display, labels: &Labels) {
        if !labels.are_refused() {
            return;
        }
        let of_kind = self.of(kind);
        of_kind.count.fetch_add(1, Ordering::Relaxed);
        if of_kind.allow() {
            let (kind, limit) = (kind.as_str(), kind.most());
            warn!(
                kind, %name, limit,
                "object has more bytes of labels than are kept; lists with a label selector lack it"
            );
        }
    }

    /// The number of refusals of this kind.
    pub(super) fn count(&self, kind: Kind) -> u64 {
        self.of(kind).count.load(Ordering::Relaxed)
    }

    fn of(&self, kind: Kind) -> &OfKind {
        match kind {
            Kind::Nodes => &self.nodes,
            Kind::Pods => &self.pods,
        }
    }
}

impl OfKind {
    fn allow(&self) -> bool {
        let now = Instant::now();
        let mut last = self.said.lock();
        let may = last.is_none_or(|last| now >= last + APART);
        if may {
            *last = Some(now);
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pods_hide_nothing_that_is_said_of_a_node() {
        let refused = Refused::default();
        let say = |kind| refused.of(kind).allow();
        assert!(say(Kind::Pods));
        assert!(say(Kind::Nodes));
        assert!(!say(Kind::Pods) && !say(Kind::Nodes));
        tokio::time::advance(APART).await;
        assert!(say(Kind::Nodes) && say(Kind::Pods));
    }
}
