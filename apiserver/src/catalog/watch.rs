//! The watches that fill the catalog.
//!
//! Nodes and running pods, as metadata. The types here decode names and labels
//! and skip everything else where it stands in the JSON, so managed fields and
//! annotations are never built.

use std::{borrow::Cow, collections::BTreeMap};

use k8s_openapi::{
    api::core::v1::{Node, Pod},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{Api, Client, Resource, runtime::watcher};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use tributary_model::PodKey;
use tributary_runtime::kube::{Change, keep};

use super::{Catalog, Labels, NodeRecord, PodRecord, Uid};
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
    keep(api, config, |node| NodeRecord::from(node.0), apply, stop).await;
}

/// Watches running pods into `catalog` until `stop`. Pods that are reported before
/// they are known here have the name that `store` has.
pub(crate) async fn watch_pods(
    client: Client,
    (catalog, store): (Catalog, Store),
    stop: CancellationToken,
) {
    let config = watcher::Config::default().fields("status.phase=Running");
    let api: Api<PodMeta> = Api::all(client);
    let apply = |change| match change {
        Change::Replace(pods) => catalog.set_pods(pods),
        Change::Put(pod) => catalog.put_pod(pod),
        Change::Remove(pod) => catalog.remove_pod(&pod.key),
    };
    let record = |pod: PodMeta| sharing(pod.0.into(), &catalog, &store);
    keep(api, config, record, apply, stop).await;
}

/// The pod with the names and labels that are in memory already.
fn sharing(pod: PodRecord, catalog: &Catalog, store: &Store) -> PodRecord {
    let reported = store.key(&pod.key);
    let PodRecord { key, uid, labels } = pod;
    catalog.texts(|texts| PodRecord {
        key: PodKey {
            namespace: texts.text(&key.namespace),
            name: reported.map_or(key.name, |reported| reported.name),
        },
        uid,
        labels: texts.labels(labels),
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

impl From<ObjectMeta> for PodRecord {
    fn from(meta: ObjectMeta) -> Self {
        Self {
            key: PodKey::new(
                meta.namespace.unwrap_or_default(),
                meta.name.unwrap_or_default(),
            ),
            uid: Uid::from(meta.uid.as_deref().unwrap_or_default()),
            labels: meta.labels.into_iter().flatten().collect::<Labels>(),
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

/// A type that the watch machinery accepts in place of `$of` and that holds
/// only what is [`Wanted`].
macro_rules! metadata_of {
    ($name:ident, $of:ty) => {
        #[derive(Clone, Debug, Deserialize)]
        #[serde(from = "Wanted")]
        struct $name(ObjectMeta);

        impl From<Wanted> for $name {
            fn from(wanted: Wanted) -> Self {
                Self(wanted.into())
            }
        }

        impl Resource for $name {
            type DynamicType = ();
            type Scope = <$of as Resource>::Scope;

            fn kind(dt: &()) -> Cow<'_, str> {
                <$of as Resource>::kind(dt)
            }
            fn group(dt: &()) -> Cow<'_, str> {
                <$of as Resource>::group(dt)
            }
            fn version(dt: &()) -> Cow<'_, str> {
                <$of as Resource>::version(dt)
            }
            fn plural(dt: &()) -> Cow<'_, str> {
                <$of as Resource>::plural(dt)
            }
            fn meta(&self) -> &ObjectMeta {
                &self.0
            }
            fn meta_mut(&mut self) -> &mut ObjectMeta {
                &mut self.0
            }
        }
    };
}

metadata_of!(NodeMeta, Node);
metadata_of!(PodMeta, Pod);

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use tributary_model::{Columns, NodePoint, Reading, Roster, RosterBuilder, Timestamp};

    use super::*;
    use crate::store::Source;

    fn record(name: &str) -> PodRecord {
        PodRecord {
            key: PodKey::new("shop", name),
            uid: "u-1".into(),
            labels: Labels::default(),
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
        catalog.put_pod(sharing(record("known"), &catalog, &store));
        let mut roster = roster(&["known", "reported"]);
        catalog.share_names(&mut roster);
        let reading = Reading {
            node: "n1".into(),
            roster: Arc::clone(&roster),
            asked_at: Timestamp::from_millis(0),
            point: NodePoint::default(),
            columns: Columns::missing(2),
        };
        let source = Source {
            name: "s".into(),
            resolution: Duration::from_secs(15),
        };
        store.take(reading, &source);
        catalog.put_pod(sharing(record("reported"), &catalog, &store));
        for (pod, name) in roster.pods().iter().zip(["known", "reported"]) {
            let known = catalog.pod(&PodKey::new("shop", name)).unwrap();
            assert!(same(&known.key, &pod.key), "{name}");
        }
    }

    #[test]
    fn managed_fields_and_annotations_are_not_even_built() {
        let json = r#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{
            "name":"web-1","namespace":"shop","uid":"u-1","resourceVersion":"7",
            "labels":{"app":"web"},"annotations":{"a":"b"},
            "managedFields":[{"manager":"kubelet","fieldsV1":{"f:status":{}}}],
            "ownerReferences":[{"kind":"ReplicaSet"}]}}"#;
        let meta: PodMeta = serde_json::from_str(json).unwrap();
        assert_eq!(meta.0.managed_fields, None);
        assert_eq!(meta.0.annotations, None);
        assert_eq!(meta.0.resource_version.as_deref(), Some("7"));
        assert_eq!(
            PodRecord::from(meta.0),
            PodRecord {
                key: PodKey::new("shop", "web-1"),
                uid: "u-1".into(),
                labels: [("app", "web")].into_iter().collect(),
            }
        );
    }
}
