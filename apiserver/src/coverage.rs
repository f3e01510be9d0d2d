//! Whether this frontend is worth asking.
//!
//! It becomes ready once it serves enough of the nodes, or knows why it cannot,
//! and not when the first number arrives: a frontend that answers with a part
//! of the pods misleads autoscalers more than one that does not answer. Once
//! ready it stays so through a bad cycle, and through a node pool that grows
//! faster than samples come; it gives up when less than half of that share is
//! left (docs/decisions/0004-readiness.md).

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tributary_model::{NodeName, Timestamp};
use tributary_runtime::selector::Selector;

use crate::Held;

/// Answers the readiness check over samples.
#[derive(Debug)]
pub(crate) struct Coverage {
    pub(crate) held: Held,
    pub(crate) node_selector: Option<Selector>,
    /// Percent of the nodes.
    pub(crate) wanted: u8,
    pub(crate) ready: AtomicBool,
}

impl Coverage {
    /// Whether enough nodes are served; if not, which share is missing and why.
    pub(crate) fn check(&self) -> Result<(), String> {
        let nodes = self.nodes();
        let now = Timestamp::from_millis(self.held.clock.now_millis());
        let standing = self.held.store.standing(&nodes, now);
        let (known, served, failing) = (nodes.len(), standing.served, standing.failing);
        let wanted = usize::from(self.wanted);
        let needed = if self.ready.load(Ordering::Relaxed) {
            wanted / 2
        } else {
            wanted
        };
        let enough = known == 0 || (served > 0 && (served + failing) * 100 >= known * needed);
        self.ready.store(enough, Ordering::Relaxed);
        if enough {
            return Ok(());
        }
        let silent = known - served - failing;
        Err(format!(
            "{served} of {known} nodes have metrics, {failing} fail to be scraped, \
             {silent} were not reported"
        ))
    }

    fn nodes(&self) -> Vec<NodeName> {
        let Some(selector) = &self.node_selector else {
            return self.held.catalog.node_names();
        };
        let all = self.held.catalog.nodes_after(None, usize::MAX);
        let selected = all
            .iter()
            .filter(|node| selector.matches(|key| node.labels.get(key)));
        selected.map(|node| node.name.clone()).collect()
    }
}

/// The check as a closure for the health endpoints.
pub(crate) fn check(
    coverage: Arc<Coverage>,
) -> impl Fn() -> Result<(), String> + Send + Sync + 'static {
    move || coverage.check()
}
