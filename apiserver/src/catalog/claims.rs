//! Nodes that report pods that are bound to other nodes: claims.
//!
//! Their numbers for these pods are never served, because [`crate::store`] checks the node of a pod for each request.
//! This module counts the claims. The log names a node that repeats them, because an attacker may control it.
//!
//! A roster is checked when it has changed, when one of its pods was bound to another node, and as long as it has a
//! claim. So nothing is done while nothing changes.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;
use tracing::warn;
use tributary_model::{NodeName, Roster};

use super::{Catalog, PodRecord};
use crate::store::Store;

/// How often changed rosters are checked.
const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// The most pods that are looked up under one lock.
const PAGE: usize = 500;

/// A node is named after this many checks in a row with claims: one minute. A pod that is created again on another node
/// may be on two pages for a moment.
const LOOKS: u32 = 12;

/// The most nodes that are named at a check. With a whole pool of nodes the first lines say enough, and one line counts
/// the others.
const LINES: usize = 3;

/// The claims of a node.
#[derive(Debug)]
struct Claims {
    node: NodeName,
    /// The number of claimed pods.
    pods: usize,
    /// One of these pods.
    example: Arc<PodRecord>,
}

/// Checks for claims until `stop`.
pub(crate) async fn watch_claims(catalog: Catalog, store: Store, stop: CancellationToken) {
    let mut watch = Watch::default();
    let sleep = || tokio::time::sleep(POLL_INTERVAL);
    while stop.run_until_cancelled(sleep()).await.is_some() {
        look(&catalog, &store, &mut watch).await;
    }
}

/// Checks once.
async fn look(catalog: &Catalog, store: &Store, watch: &mut Watch) {
    // The pods are not listed yet. All rosters are checked after that.
    if !catalog.pods_synced() {
        return;
    }
    let mut seen = Vec::new();
    for (node, roster) in store.questioned() {
        let claims = claims(catalog, &node, &roster).await;
        store.refuse(&node, claims.as_ref().map_or(0, |claims| claims.pods));
        seen.extend(claims);
    }
    let (lines, more) = watch.look(&seen);
    for Claims {
        node,
        pods,
        example,
    } in lines
    {
        let bound_to = example.node.as_ref().map(NodeName::as_str);
        warn!(
            %node, pods, example = %example.key, bound_to,
            "node reports pods that are bound to other nodes; its numbers of them are not served"
        );
    }
    if more > 0 {
        warn!(
            nodes = more,
            "more nodes report pods that are bound to other nodes"
        );
    }
}

async fn claims(catalog: &Catalog, node: &NodeName, roster: &Roster) -> Option<Claims> {
    let (mut pods, mut example) = (0, None);
    for page in roster.pods().chunks(PAGE) {
        let (more, one) = catalog.bound_elsewhere(node, page);
        pods += more;
        example = example.or(one);
        tokio::task::yield_now().await;
    }
    Some(Claims {
        node: node.clone(),
        pods,
        example: example?,
    })
}

/// The number of checks in a row in which each node had claims.
#[derive(Debug, Default)]
struct Watch(HashMap<NodeName, u32>);

impl Watch {
    /// Takes all nodes with claims. Returns those to name, and the number of others that should be named.
    fn look<'a>(&mut self, seen: &'a [Claims]) -> (Vec<&'a Claims>, usize) {
        let mut known = HashMap::new();
        let mut settled = Vec::new();
        for claims in seen {
            let looks = self.0.get(&claims.node).map_or(1, |looks| looks + 1);
            if looks == LOOKS {
                settled.push(claims);
            }
            known.insert(claims.node.clone(), looks.min(LOOKS));
        }
        // It has at most one entry for each node.
        self.0 = known;
        let more = settled.len().saturating_sub(LINES);
        settled.truncate(LINES);
        (settled, more)
    }
}

#[cfg(test)]
mod tests;
