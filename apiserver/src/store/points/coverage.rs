//! How many nodes are served, and of how many others it is known why they are not.

use tributary_model::{NoUsage, NodeName, Timestamp, served_for};

use super::{super::outcome::NoMetrics, Points, nodes::Entry, view::PodView};

/// How many pods of a node are looked at if the node's own usage cannot be served: readiness is asked for all the time, and
/// a kubelet may report very many pods that cannot be served.
const MOST_LOOKED_AT: usize = 100;

/// How nodes stand. Each is counted once; those in none of these were not reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CoverageCounts {
    /// Nodes of which the usage is served, or that of a pod where the node's own is not
    /// to be expected.
    pub served: usize,
    /// Nodes whose scrape fails.
    pub failing: usize,
    /// Nodes that are scraped, and report nothing that can be served.
    pub unusable: usize,
}

impl Points {
    /// How `nodes` stand.
    pub(in crate::store) fn coverage(&self, nodes: &[NodeName], now: Timestamp) -> CoverageCounts {
        let mut coverage = CoverageCounts::default();
        for node in nodes {
            let reason = match self.node(node.as_str(), now) {
                Ok(_) => {
                    coverage.served += 1;
                    continue;
                }
                Err(NoMetrics::Failed(_)) => {
                    coverage.failing += 1;
                    continue;
                }
                Err(reason) => reason,
            };
            let Some(entry) = self.nodes.get(node.as_str()) else {
                continue;
            };
            let is_unusable = match reason {
                NoMetrics::NoUsage(NoUsage::NoPrevious) | NoMetrics::Recovering(_) => {
                    has_waited(entry, now)
                }
                // The kubelet answers, and gives nothing, or what it gave before.
                NoMetrics::NoUsage(_) | NoMetrics::NothingNew(_) => true,
                _ => false,
            };
            if !is_unusable {
                // A pod that started a moment ago is served before the node and the
                // other pods are. It does not answer for them.
                continue;
            }
            if self.serves_a_pod(entry, now) {
                coverage.served += 1;
            } else {
                coverage.unusable += 1;
            }
        }
        coverage
    }

    /// Whether the usage of any of the first pods on this node can be served.
    fn serves_a_pod(&self, entry: &Entry, now: Timestamp) -> bool {
        let Ok(view) = self.view(entry, now) else {
            return false;
        };
        let mut pods = view.pairs.roster().pods().iter().take(MOST_LOOKED_AT);
        pods.any(|pod| PodView::of(view, pod).usage_of_pod().is_ok())
    }
}

/// Whether a node that still waits for a second sample counts as answered for: its kubelet
/// measures more slowly than it is scraped.
fn has_waited(entry: &Entry, now: Timestamp) -> bool {
    let patience = served_for(entry.resolution);
    let waits = entry.first_asked_at.and_then(|first| now.since(first));
    waits.is_some_and(|waits| waits > patience)
}
