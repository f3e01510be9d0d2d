//! The watches that fill the catalog.
//!
//! Nodes as metadata, and running pods as they are printed ([`super::printed`]).
//! The types here decode names and labels and skip everything else where it stands
//! in the JSON, so managed fields and annotations are never built.

use kube::Client;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use tributary_model::{NodeName, PodKey};
use tributary_runtime::kube::{Change, Watched, keep, keep_decoded};

use super::{
    Catalog, Labels, NodeRecord, PodRecord, Unplaced,
    printed::{Printed, PrintedPod},
    refused::Kind,
};
use crate::store::Store;

/// Watches all nodes into `catalog` until `stop`. Also those that
/// `--node-selector` leaves out: a request for one by name is told that it has
/// no metrics, not that it does not exist (docs/parity.md#selection).
pub(crate) async fn watch_nodes(client: Client, catalog: Catalog, stop: CancellationToken) {
    // What has no name is none.
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

/// Running pods: a kubelet reports no others.
fn running_pods() -> Watched {
    Watched {
        fields: "status.phase=Running".to_owned(),
        ..Watched::all("pods", "/api/v1/pods")
    }
}

/// Watches running pods into `catalog` until `stop`. Pods that are reported before
/// they are known here have the name that `store` has. Those that come without a
/// node go into `unplaced`.
pub(crate) async fn watch_pods(
    client: Client,
    (catalog, store, unplaced): (Catalog, Store, Unplaced),
    stop: CancellationToken,
) {
    let apply = |change| match change {
        Change::Replace(pods) => {
            catalog.set_pods(pods);
            unplaced.retain(|key| catalog.pod(key).is_some());
            store.question_all();
        }
        Change::Put(pod) => {
            let (key, node) = (pod.key.clone(), pod.node.clone());
            catalog.put_pod(pod);
            if let Some(node) = node {
                store.bound(&key, &node);
            }
        }
        Change::Remove(pod) => {
            unplaced.forget(&pod.key);
            catalog.remove_pod(&pod.key);
            // Another one of its name may follow, whose numbers these are not.
            if let Some(node) = &pod.node {
                store.deleted(&pod.key, node);
            }
        }
    };
    let record = |pod: PrintedPod| sharing(pod, &catalog, &store, &unplaced);
    let read = (running_pods(), Printed::default());
    keep_decoded(client, read, record, apply, stop).await;
}

/// The pod with the names and labels that are in memory already.
fn sharing(pod: PrintedPod, catalog: &Catalog, store: &Store, unplaced: &Unplaced) -> PodRecord {
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

/// The part of an object that is wanted. What is not named here is skipped while it is
/// read.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Named {
    metadata: Meta,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Meta {
    name: String,
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
mod tests {
    use std::{sync::Arc, time::Duration};

    use serde_json::json;
    use tributary_model::{Columns, NodePoint, Reading, Remarks, Roster, RosterBuilder, Timestamp};

    use tributary_runtime::kube::from_json;

    use super::*;
    use crate::{nulls::nulled, store::Source};

    fn printed(name: &str) -> PrintedPod {
        PrintedPod {
            key: PodKey::new("shop", name),
            uid: "u-1".into(),
            labels: Labels::default(),
            node: Some("n1".to_owned()),
        }
    }

    fn roster(names: &[&str]) -> Arc<Roster> {
        let mut builder = RosterBuilder::default();
        for name in names {
            let key = PodKey::new("shop", *name);
            builder.add(key, "main".into()).unwrap();
        }
        builder.build()
    }

    fn same(one: &PodKey, other: &PodKey) -> bool {
        Arc::ptr_eq(&one.name, &other.name) && Arc::ptr_eq(&one.namespace, &other.namespace)
    }

    #[test]
    fn names_are_in_memory_once_whoever_comes_first() {
        let (catalog, store) = (Catalog::default(), Store::new(None));
        let unplaced = Unplaced::default();
        let put = |name| {
            let pod = sharing(printed(name), &catalog, &store, &unplaced);
            catalog.put_pod(pod);
        };
        put("known");
        let mut roster = roster(&["known", "reported"]);
        catalog.share_names(&mut roster);
        let reading = Reading {
            node: "n1".into(),
            roster: Arc::clone(&roster),
            asked_at: Timestamp::from_millis(0),
            point: NodePoint::default(),
            columns: Columns::missing(2),
            remarks: Remarks::default(),
        };
        let source = Source {
            name: "s".into(),
            resolution: Duration::from_secs(15),
        };
        store.take(reading, &source);
        put("reported");
        for (pod, name) in roster.pods().iter().zip(["known", "reported"]) {
            let known = catalog.pod(&PodKey::new("shop", name)).unwrap();
            assert!(same(&known.key, &pod.key), "{name}");
            assert!(
                known
                    .node
                    .as_ref()
                    .unwrap()
                    .is(&catalog.share_node(&"n1".into()))
            );
        }
    }

    #[test]
    fn labels_that_are_too_many_are_counted() {
        let (catalog, store) = (Catalog::default(), Store::new(None));
        let unplaced = Unplaced::default();
        for labels in [1, 1_639, 60_000] {
            let labels = (0..labels).map(|n| (format!("{n:05}"), ""));
            let labels = labels.collect::<Labels>();
            let pod = PrintedPod {
                labels,
                ..printed("a")
            };
            catalog.put_pod(sharing(pod, &catalog, &store, &unplaced));
        }
        let refused = Kind::ALL.map(|kind| catalog.labels_refused(kind));
        assert_eq!(refused, [0, 2]);
        let pod = catalog.pod(&PodKey::new("shop", "a")).unwrap();
        assert!(pod.labels.are_refused());
        assert!(pod.node.is_some());
    }

    #[test]
    fn of_a_node_the_name_and_the_labels_are_read() {
        let json = r#"{"kind":"Node","apiVersion":"v1","metadata":{
            "name":"n1","uid":"u-1","resourceVersion":"7",
            "labels":{"zone":"a","empty":null},"annotations":{"a":"b"},
            "managedFields":[{"manager":"kubelet","fieldsV1":{"f:status":{}}}],
            "ownerReferences":[{"kind":"Machine"}]}}"#;
        let node: Named = from_json(json).unwrap();
        assert_eq!(
            NodeRecord::from(node),
            NodeRecord {
                name: "n1".into(),
                labels: [("zone", "a"), ("empty", "")].into_iter().collect(),
            }
        );
    }

    #[test]
    fn a_node_in_which_anything_is_null_is_read() {
        let node = json!({"kind": "Node", "apiVersion": "v1", "metadata": {"name": "n1",
            "resourceVersion": "7", "labels": {"zone": "a"}, "annotations": {"a": "b"}},
            "status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.1"}]}});
        for (at, json) in nulled(&node) {
            let node = from_json::<Named>(&json);
            let node = node.unwrap_or_else(|error| panic!("{at}: {error}"));
            let is_named = !node.metadata.name.is_empty();
            assert_eq!(
                is_named,
                !matches!(&*at, "" | "/metadata" | "/metadata/name"),
                "{at}"
            );
        }
    }
}
