//! The watches that fill the catalog.
//!
//! Nodes as metadata, and running pods as they are printed ([`super::printed`]).
//! The types here decode names and labels and skip everything else where it stands
//! in the JSON, so managed fields and annotations are never built.

use std::{borrow::Cow, collections::BTreeMap};

use k8s_openapi::{api::core::v1::Node, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{Api, Client, Resource, runtime::watcher};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use tributary_model::{NodeName, PodKey};
use tributary_runtime::kube::{Change, Watched, keep, keep_decoded};

use super::{
    Catalog, NodeRecord, PodRecord, Unplaced,
    printed::{Printed, PrintedPod},
};
use crate::store::Store;

/// Watches all nodes into `catalog` until `stop`. Also those that
/// `--node-selector` leaves out: a request for one by name is told that it has
/// no metrics, not that it does not exist (PARITY 5.4).
pub(crate) async fn watch_nodes(client: Client, catalog: Catalog, stop: CancellationToken) {
    let config = watcher::Config::default();
    let api: Api<NodeMeta> = Api::all(client);
    let apply = |change| match change {
        Change::Replace(nodes) => catalog.set_nodes(nodes),
        Change::Put(node) => catalog.put_node(node),
        Change::Remove(node) => catalog.remove_node(node.name.as_str()),
    };
    let record = |node: NodeMeta| {
        let node = NodeRecord::from(node.0);
        let name = catalog.share_node(&node.name);
        NodeRecord { name, ..node }
    };
    keep(api, config, record, apply, stop).await;
}

/// Running pods: a kubelet reports no others.
const PODS: Watched = Watched {
    kind: "pods",
    path: "/api/v1/pods",
    fields: "status.phase=Running",
};

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
    keep_decoded(client, (PODS, Printed::default()), record, apply, stop).await;
}

/// The pod with the names and labels that are in memory already.
fn sharing(pod: PrintedPod, catalog: &Catalog, store: &Store, unplaced: &Unplaced) -> PodRecord {
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

impl From<ObjectMeta> for NodeRecord {
    fn from(meta: ObjectMeta) -> Self {
        Self {
            name: meta.name.unwrap_or_default().into(),
            labels: meta.labels.into_iter().flatten().collect(),
        }
    }
}

/// The part of an object's metadata that is wanted. What is not named here is
/// skipped while it is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wanted {
    metadata: WantedMeta,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WantedMeta {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    labels: Option<BTreeMap<String, String>>,
}

impl From<Wanted> for ObjectMeta {
    fn from(wanted: Wanted) -> Self {
        let meta = wanted.metadata;
        Self {
            name: meta.name,
            namespace: meta.namespace,
            uid: meta.uid,
            resource_version: meta.resource_version,
            labels: meta.labels,
            ..Self::default()
        }
    }
}

/// A type that the watch machinery accepts in place of a node and that holds only
/// what is [`Wanted`].
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "Wanted")]
struct NodeMeta(ObjectMeta);

impl From<Wanted> for NodeMeta {
    fn from(wanted: Wanted) -> Self {
        Self(wanted.into())
    }
}

impl Resource for NodeMeta {
    type DynamicType = ();
    type Scope = <Node as Resource>::Scope;

    fn kind(dt: &()) -> Cow<'_, str> {
        Node::kind(dt)
    }
    fn group(dt: &()) -> Cow<'_, str> {
        Node::group(dt)
    }
    fn version(dt: &()) -> Cow<'_, str> {
        Node::version(dt)
    }
    fn plural(dt: &()) -> Cow<'_, str> {
        Node::plural(dt)
    }
    fn meta(&self) -> &ObjectMeta {
        &self.0
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use tributary_model::{Columns, NodePoint, Reading, Remarks, Roster, RosterBuilder, Timestamp};

    use super::{super::Labels, *};
    use crate::store::Source;

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
    fn managed_fields_and_annotations_are_not_even_built() {
        let json = r#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{
            "name":"n1","uid":"u-1","resourceVersion":"7",
            "labels":{"zone":"a"},"annotations":{"a":"b"},
            "managedFields":[{"manager":"kubelet","fieldsV1":{"f:status":{}}}],
            "ownerReferences":[{"kind":"Machine"}]}}"#;
        let meta: NodeMeta = serde_json::from_str(json).unwrap();
        assert_eq!(meta.0.managed_fields, None);
        assert_eq!(meta.0.annotations, None);
        assert_eq!(meta.0.resource_version.as_deref(), Some("7"));
        assert_eq!(
            NodeRecord::from(meta.0),
            NodeRecord {
                name: "n1".into(),
                labels: [("zone", "a")].into_iter().collect(),
            }
        );
    }
}
