//! Nodes that report pods which are bound to other nodes.
//!
//! Their numbers for these pods are served to nobody ([`crate::store`] looks at
//! the node of a pod whenever it is asked). Here such claims are counted, and a
//! node that goes on with them is named in the log: it may be that somebody has
//! taken it over.
//!
//! A roster is looked at when it has changed, when a pod of it was bound to another
//! node, and as long as something in it is refused; so nothing is done while
//! nothing changes.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;
use tracing::warn;
use tributary_model::{NodeName, Roster};

use super::{Catalog, PodRecord};
use crate::store::Store;

/// How often rosters that have changed are looked at.
const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// Pods that are looked up under one lock.
const PAGE: usize = 500;

/// A node is named when it made claims at this many looks in a row, a minute. A pod
/// that is recreated elsewhere may be on two pages for a moment.
const LOOKS: u32 = 12;

/// This many nodes are named at a look. With a whole pool of them the first say
/// enough, and the others are counted in one line.
const LINES: usize = 3;

/// What a node claims that is not its own.
#[derive(Debug)]
struct Claims {
    node: NodeName,
    /// How many pods.
    pods: usize,
    /// One of them.
    example: Arc<PodRecord>,
}

/// Looks for claims until `stop`.
pub(crate) async fn watch_claims(catalog: Catalog, store: Store, stop: CancellationToken) {
    let mut watch = Watch::default();
    let sleep = || tokio::time::sleep(POLL_INTERVAL);
    while stop.run_until_cancelled(sleep()).await.is_some() {
        look(&catalog, &store, &mut watch).await;
    }
}

/// Looks once.
async fn look(catalog: &Catalog, store: &Store, watch: &mut Watch) {
    // Which pods there are is not known yet: all of them are looked at then.
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

/// At how many looks in a row each node made claims.
#[derive(Debug, Default)]
struct Watch(HashMap<NodeName, u32>);

impl Watch {
    /// Takes in all nodes that make claims now. Returns those to name, and how many
    /// others there are to name.
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
        // At most as many as there are nodes.
        self.0 = known;
        let more = settled.len().saturating_sub(LINES);
        settled.truncate(LINES);
        (settled, more)
    }
}

#[cfg(test)]
mod tests;
