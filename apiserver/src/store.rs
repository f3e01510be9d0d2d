//! The newest samples of every node, and the usages computed from them.

mod outcome;

use std::sync::{Arc, RwLock};

use tributary_model::{NodeName, PodKey, Timestamp, Usage};

pub use self::outcome::{Failure, NoMetrics, PodUsage};

#[derive(Debug, Default)]
struct Points {}

/// The samples for many threads. The lock lives and dies inside one call.
#[derive(Clone, Debug, Default)]
pub struct Store(Arc<RwLock<Points>>);

impl Store {
    /// What `node` used.
    pub fn node(&self, node: &str, now: Timestamp) -> Result<Usage, NoMetrics> {
        let _ = (node, now, &self.0);
        Err(NoMetrics::NeverReported)
    }

    /// What each of `pods` used, in the same order, under one lock: callers
    /// pass a page of a list, not all of it.
    ///
    /// A pod that several nodes report is taken from the node given with it,
    /// where one is, then from the node on which it started last (DESIGN 3.6).
    pub fn pods<'a>(
        &self,
        pods: impl IntoIterator<Item = (&'a PodKey, Option<&'a NodeName>)>,
        now: Timestamp,
    ) -> Vec<Result<PodUsage, NoMetrics>> {
        let _ = (now, &self.0);
        pods.into_iter().map(|_| Err(NoMetrics::NeverReported)).collect()
    }

    /// The nodes that report the pod; more than one while it moves.
    pub fn nodes_of(&self, pod: &PodKey) -> Vec<NodeName> {
        let _ = (pod, &self.0);
        Vec::new()
    }
}
