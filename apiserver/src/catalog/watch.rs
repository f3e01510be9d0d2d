//! The watches that fill the catalog.
//!
//! Nodes are read as metadata, and running pods as they are printed ([`super::printed`]). The types here decode names
//! and labels and skip other fields, so managed fields and annotations are never built.

use std::sync::Arc;

use kube::Client;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use tributary_model::{NodeName, PodKey, Timestamp};
use tributary_runtime::{
    clock::Clock,
    kube::{Change, Watched, keep, keep_decoded},
};

use super::{
    Catalog, Labels, NodeRecord, PodRecord, Unplaced, labels,
    pod::Pod,
    printed::{Printed, PrintedPod},
    refused::Kind,
};
use crate::store::Store;

/// Watches all nodes into `catalog` until `stop`. These include nodes that `--node-selector` does not select: a GET of
/// one says that the node has no metrics, not that it does not exist (docs/parity.md#selection).
pub(crate) async fn watch_nodes(client: Client, catalog: Catalog, stop: CancellationToken) {
    // An object without a name is skipped.
    let is_one = |node: &NodeRecord| !node.name.as_str().is_empty();
    let apply = |change| match change {
        Change::Replace(mut nodes) => {
            nodes.retain(is_one);
            catalog.set_nodes(nodes);
        }
        Change::Put(node) if !is_one(&node) => {}
        Change::Put(node) => catalog.put_node(node),
        Change::Remove(node) => catalog.remove_node(node.name.as_str()),
    };
    let record = |node: Named| {
        let node = NodeRecord::from(node);
        catalog.look_at_labels(Kind::Nodes, &node.name, &node.labels);
        let name = catalog.share_node(&node.name);
        NodeRecord { name, ..node }
    };
    let nodes = Watched::all("nodes", "/api/v1/nodes");
    keep(client, nodes, record, apply, stop).await;
}

/// Running pods. A kubelet reports no other pods.
fn running_pods() -> Watched {
    Watched {
        fields: "status.phase=Running".to_owned(),
        ..Watched::all("pods", "/api/v1/pods")
    }
}

/// What changes of pods update. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Pods {
    /// The catalog, which has all pods.
    pub(crate) catalog: Catalog,
    /// The store, which has the samples. A pod that a kubelet reported first has its name there already.
    pub(crate) store: Store,
    /// The pods that are reported without a node.
    pub(crate) unplaced: Unplaced,
    /// The clock for the ages of samples.
    pub(crate) clock: Clock,
}

impl Pods {
    fn apply(&self, change: Change<Pod>) {
        match change {
            Change::Replace(pods) => {
                // Nodes have reported some of them while they were listed.
                let pods = pods.into_iter().map(|pod| match self.store.key(pod.key()) {
                    Some(key) => pod.named(key),
                    None => pod,
                });
                let gone = self.catalog.set(pods);
                self.unplaced.retain(|key| self.catalog.pod(key).is_some());
                for pod in gone {
                    self.deleted(&pod);
                }
                self.store.question_all();
            }
            Change::Put(pod) => {
                let record = Arc::clone(&pod.record);
                if let Some(before) = self.catalog.put(pod) {
                    self.deleted(&before);
                }
                if let Some(node) = &record.node {
                    self.store.bound(&record.key, node);
                }
            }
            Change::Remove(Pod { record: pod, .. }) => {
                self.unplaced.forget(&pod.key);
                match self.catalog.remove_pod(&pod.key) {
                    Some(known) if known.node.is_some() => self.deleted(&known),
                    _ => self.deleted(&pod),
                }
            }
        }
    }

    /// Removes the samples of a deleted pod, because they are not those of a later pod of the same name.
    fn deleted(&self, pod: &PodRecord) {
        if let Some(node) = &pod.node {
            let now = Timestamp::from_millis(self.clock.now_millis());
            self.store.deleted(&pod.key, node, now);
        }
    }

    fn reported(&self, pod: PrintedPod) -> Pod {
        let uid = pod.uid;
        let pod = interned(pod, &self.catalog, &self.store, &self.unplaced);
        Pod::new(pod, uid)
    }
}

/// Watches running pods into `pods` until `stop`.
pub(crate) async fn watch_pods(client: Client, pods: Pods, stop: CancellationToken) {
    keep_decoded(
        client,
        running_pods(),
        Printed::default(),
        |pod| pods.reported(pod),
        |change| pods.apply(change),
        stop,
    )
    .await;
}

/// The pod, with names and labels that are in memory already.
fn interned(pod: PrintedPod, catalog: &Catalog, store: &Store, unplaced: &Unplaced) -> PodRecord {
    catalog.look_at_labels(Kind::Pods, &pod.key, &pod.labels);
    let reported = store.key(&pod.key);
    let node = match &pod.node {
        Some(node) => {
            unplaced.forget(&pod.key);
            Some(node.as_str().into())
        }
        None => unplaced.node_of(&pod.key, pod.uid),
    };
    catalog.texts(|texts| PodRecord {
        node: node.map(|node: NodeName| texts.text(node.as_str()).into()),
        key: PodKey {
            namespace: texts.text(&pod.key.namespace),
            name: reported.map_or(pod.key.name, |reported| reported.name),
        },
        labels: texts.labels(pod.labels),
    })
}

/// The needed part of an object. Other fields are skipped while it is read.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Named {
    metadata: Meta,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Meta {
    name: String,
    #[serde(deserialize_with = "labels::of_node")]
    labels: Labels,
}

impl From<Named> for NodeRecord {
    fn from(node: Named) -> Self {
        Self {
            name: node.metadata.name.into(),
            labels: node.metadata.labels,
        }
    }
}

#[cfg(test)]
mod tests;
