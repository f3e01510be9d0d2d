//! Pods whose node the API server does not report.
//!
//! Every kube-apiserver prints the node ([`super::printed`]). But a proxy may answer every request with metadata only.
//! Then the frontend does not know the nodes, and any node could claim a pod. So it requests such pods one by one. That
//! needs the verb `get` on pods, which is not granted by default.

use std::{collections::BTreeMap, ops::Bound, sync::Arc, time::Duration};

use http::{HeaderValue, header};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Client, Error, Resource as _,
    api::{GetParams, Request},
};
use parking_lot::{Mutex, MutexGuard};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use tributary_model::{NodeName, PodKey};
use tributary_runtime::kube::from_json;

use super::{Catalog, uid::Uid};

/// How often pods are requested, and how many each time, one after another. This is a small load for an API server.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
const MOST: usize = 64;

/// After a request was refused or failed, none is sent for this long.
const PAUSE: Duration = Duration::from_mins(1);

/// The pods of the catalog that have no node. Cheap to clone; clones share them. There are at most as many as pods in
/// the catalog.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unplaced(Arc<Mutex<BTreeMap<PodKey, Asked>>>);

/// The result for such a pod.
#[derive(Clone, Debug)]
struct Asked {
    /// A later pod of the same name may be on another node.
    uid: Uid,
    /// Its node, when it is known.
    node: Option<NodeName>,
}

impl Unplaced {
    /// The node of a pod that was reported without one, if it was already requested. If not, it will be requested.
    pub(super) fn node_of(&self, key: &PodKey, uid: Uid) -> Option<NodeName> {
        let mut pods = self.lock();
        match pods.get(key) {
            Some(asked) if asked.uid == uid => asked.node.clone(),
            _ => {
                pods.insert(key.clone(), Asked { uid, node: None });
                None
            }
        }
    }

    /// Forgets a pod that was deleted, or was reported with its node.
    pub(super) fn forget(&self, key: &PodKey) {
        self.lock().remove(key);
    }

    /// Forgets all pods except those for which `exists` is true.
    pub(super) fn retain(&self, exists: impl Fn(&PodKey) -> bool) {
        self.lock().retain(|key, _| exists(key));
    }

    /// Up to [`MOST`] pods to request, starting with those after `after`.
    fn next(&self, after: Option<&PodKey>) -> Vec<(PodKey, Uid)> {
        let pods = self.lock();
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let ahead = pods.range::<PodKey, _>((after, Bound::Unbounded));
        let unknown = |(_, asked): &(_, &Asked)| asked.node.is_none();
        let ahead = ahead.filter(unknown).take(MOST);
        ahead.map(|(key, asked)| (key.clone(), asked.uid)).collect()
    }

    /// Sets the node of a pod, also in `catalog`, unless the name belongs to another pod by now.
    fn place(&self, key: &PodKey, uid: Uid, node: NodeName, catalog: &Catalog) {
        let mut pods = self.lock();
        if let Some(asked) = pods.get_mut(key).filter(|asked| asked.uid == uid) {
            asked.node = Some(node.clone());
            // The lock is still held, so that a later pod replaces both entries.
            catalog.place_pod(key, node);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PodKey, Asked>> {
        self.0.lock()
    }
}

/// Requests the nodes of pods that were reported without one, until `stop`.
pub(crate) async fn place_pods(
    client: Client,
    catalog: Catalog,
    unplaced: Unplaced,
    stop: CancellationToken,
) {
    let mut after = None;
    let mut pause = POLL_INTERVAL;
    let mut is_said = false;
    while let Some(()) = stop.run_until_cancelled(tokio::time::sleep(pause)).await {
        pause = POLL_INTERVAL;
        let pods = unplaced.next(after.as_ref());
        after = pods.last().map(|(key, _)| key.clone());
        if !pods.is_empty() && !is_said {
            warn!("the Kubernetes API does not report the nodes of pods; getting pods one by one");
            is_said = true;
        }
        for (key, uid) in pods {
            let asked = stop.run_until_cancelled(ask(&client, &key, uid)).await;
            match asked {
                None => return,
                Some(Ok(Some(node))) => unplaced.place(&key, uid, node, &catalog),
                Some(Ok(None)) => {}
                Some(Err(error)) => {
                    warn!(pod = %key, %error, "failed to get a pod; it is served from the node that reported it first");
                    pause = PAUSE;
                    break;
                }
            }
        }
    }
}

/// The node of a pod. `None` if it was deleted, or replaced by another pod of its name.
async fn ask(client: &Client, key: &PodKey, uid: Uid) -> Result<Option<NodeName>, Error> {
    let request = Request::new(Pod::url_path(&(), Some(&key.namespace)));
    let request = request.get(&key.name, &GetParams::default());
    let mut request = request.map_err(Error::BuildRequest)?;
    // This requests the whole pod. Without it the client requests metadata only.
    let whole = HeaderValue::from_static("application/json");
    request.headers_mut().insert(header::ACCEPT, whole);
    let found = match client.request_text(request).await {
        Ok(found) => found,
        Err(Error::Api(status)) if status.code == 404 => return Ok(None),
        Err(error) => return Err(error),
    };
    let found: Placed = from_json(&found).map_err(Error::SerdeError)?;
    let is_it = Uid::from(&*found.metadata.uid) == uid && !found.spec.node_name.is_empty();
    Ok(is_it.then(|| found.spec.node_name.into()))
}

/// The needed fields of a pod.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Placed {
    metadata: Meta,
    spec: Spec,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Meta {
    uid: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    node_name: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tributary_sim::nulled;

    use super::{super::PodRecord, *};

    fn key(name: &str) -> PodKey {
        PodKey::new("shop", name)
    }

    fn keys(pods: &[(PodKey, Uid)]) -> Vec<String> {
        pods.iter().map(|(key, _)| key.to_string()).collect()
    }

    #[test]
    fn a_successor_of_the_same_name_is_asked_for_again() {
        let (catalog, unplaced) = (Catalog::default(), Unplaced::default());
        let put = |uid: &str| {
            let node = unplaced.node_of(&key("db-0"), uid.into());
            catalog.put_pod(PodRecord {
                key: key("db-0"),
                node,
                labels: [("a", "b")].into_iter().collect(),
            });
            let pod = catalog.pod(&key("db-0")).unwrap();
            assert_eq!(pod.labels.get("a"), Some("b"));
            pod.node.clone()
        };
        assert_eq!(put("1"), None);
        unplaced.place(&key("db-0"), "1".into(), "n1".into(), &catalog);
        assert_eq!(
            catalog.pod(&key("db-0")).unwrap().node,
            Some("n1".into()),
            "at once"
        );
        assert_eq!(put("1"), Some("n1".into()), "after another event");
        assert!(unplaced.next(None).is_empty());
        assert_eq!(put("2"), None);
        // This is a late answer about the first pod.
        unplaced.place(&key("db-0"), "1".into(), "n1".into(), &catalog);
        assert_eq!(catalog.pod(&key("db-0")).unwrap().node, None);
        assert_eq!(keys(&unplaced.next(None)), ["shop/db-0"]);
        unplaced.forget(&key("db-0"));
        assert!(unplaced.next(None).is_empty());
    }

    #[test]
    fn all_get_their_turn_however_many_there_are() {
        let unplaced = Unplaced::default();
        for number in 0..150 {
            let key = key(&format!("web-{number:03}"));
            assert_eq!(unplaced.node_of(&key, "1".into()), None);
        }
        let first = unplaced.next(None);
        assert_eq!((first.len(), &*first[63].0.name), (64, "web-063"));
        let second = unplaced.next(Some(&first[63].0));
        assert_eq!((second.len(), &*second[63].0.name), (64, "web-127"));
        let third = unplaced.next(Some(&second[63].0));
        assert_eq!((third.len(), &*third[21].0.name), (22, "web-149"));
        unplaced.retain(|key| *key.name == *"web-007");
        assert_eq!(keys(&unplaced.next(None)), ["shop/web-007"]);
    }

    #[test]
    fn a_pod_in_which_anything_is_null_is_read() {
        let pod = json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "web-1",
            "uid": "u-1", "labels": {"a": "b"}}, "spec": {"nodeName": "n1",
            "containers": [{"name": "main"}]}});
        for (at, json) in nulled(&pod) {
            let read = from_json::<Placed>(&json);
            read.unwrap_or_else(|error| panic!("{at}: {error}"));
        }
    }
}
