//! Objects with more labels than are kept: how many, and which.

use std::{
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;
use tracing::warn;

use super::labels::{Labels, MOST};

/// How far lines in the log are apart at least.
const APART: Duration = Duration::from_mins(1);

/// Of what the labels are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Of nodes.
    Nodes,
    /// Of pods.
    Pods,
}

impl Kind {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::Nodes, Self::Pods];

    /// A word for labels of metrics and fields of logs.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Nodes => "nodes",
            Self::Pods => "pods",
        }
    }
}

/// How often labels were refused, of each kind.
#[derive(Debug, Default)]
pub(super) struct Refused {
    nodes: AtomicU64,
    pods: AtomicU64,
    said: Mutex<Option<Instant>>,
}

impl Refused {
    /// Looks at what was read of an object.
    pub(super) fn look(&self, kind: Kind, name: &dyn fmt::Display, labels: &Labels) {
        if !labels.are_refused() {
            return;
        }
        self.counter(kind).fetch_add(1, Ordering::Relaxed);
        if self.may_say() {
            let kind = kind.as_str();
            warn!(
                kind, %name, limit = MOST,
                "object has more bytes of labels than are kept; lists with a label selector lack it"
            );
        }
    }

    /// How often labels of this kind were refused.
    pub(super) fn count(&self, kind: Kind) -> u64 {
        self.counter(kind).load(Ordering::Relaxed)
    }

    fn counter(&self, kind: Kind) -> &AtomicU64 {
        match kind {
            Kind::Nodes => &self.nodes,
            Kind::Pods => &self.pods,
        }
    }

    fn may_say(&self) -> bool {
        let now = Instant::now();
        let mut last = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let may = last.is_none_or(|last| now >= last + APART);
        if may {
            *last = Some(now);
        }
        may
    }
}
