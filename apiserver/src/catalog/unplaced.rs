//! Pods whose node the API server does not say.
//!
//! There is no such kube-apiserver: each prints the node ([`super::printed`]).
//! Something in between that answers with metadata alone, whatever it is asked for,
//! leaves us without, and then anybody may claim a pod. So these are asked for one
//! by one. It takes the verb `get` on pods, which is not granted by default.

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

/// How often pods are asked for, and how many then, one after the other: as much as
/// an API server does not feel.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
const MOST: usize = 64;

/// Nothing is asked for so long after a request was refused or failed.
const PAUSE: Duration = Duration::from_mins(1);

/// The pods of the catalog that came without a node. Cheap to clone. There are at
/// most as many as pods in the catalog.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unplaced(Arc<Mutex<BTreeMap<PodKey, Asked>>>);

/// What was learned of such a pod.
#[derive(Clone, Debug)]
struct Asked {
    /// A successor of the same name is another pod, on another node.
    uid: Uid,
    /// Its node, once that is known.
    node: Option<NodeName>,
}

impl Unplaced {
    /// The node of a pod that came without one, if that was asked for already. If
    /// not, it will be.
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

    /// The pod is gone, or it came with its node.
    pub(super) fn forget(&self, key: &PodKey) {
        self.lock().remove(key);
    }

    /// Forgets all pods but those that `exists` knows.
    pub(super) fn retain(&self, exists: impl Fn(&PodKey) -> bool) {
        self.lock().retain(|key, _| exists(key));
    }

    /// Up to [`MOST`] pods to ask for, those after `after` first.
    fn next(&self, after: Option<&PodKey>) -> Vec<(PodKey, Uid)> {
        let pods = self.lock();
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let ahead = pods.range::<PodKey, _>((after, Bound::Unbounded));
        let unknown = |(_, asked): &(_, &Asked)| asked.node.is_none();
        let ahead = ahead.filter(unknown).take(MOST);
        ahead.map(|(key, asked)| (key.clone(), asked.uid)).collect()
    }

    /// Notes the node of a pod, in `catalog` too, unless it is another pod by now.
    fn place(&self, key: &PodKey, uid: Uid, node: NodeName, catalog: &Catalog) {
        let mut pods = self.lock();
        if let Some(asked) = pods.get_mut(key).filter(|asked| asked.uid == uid) {
            asked.node = Some(node.clone());
            // With the lock: a successor that comes now replaces both.
            catalog.place_pod(key, node);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PodKey, Asked>> {
        self.0.lock()
    }
}

/// Asks for pods that came without a node until `stop`.
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

/// The node of a pod, unless it is gone or was followed by another of its name.
async fn ask(client: &Client, key: &PodKey, uid: Uid) -> Result<Option<NodeName>, Error> {
    let request = Request::new(Pod::url_path(&(), Some(&key.namespace)));
    let request = request.get(&key.name, &GetParams::default());
    let mut request = request.map_err(Error::BuildRequest)?;
    // All of it, where the client would ask for metadata.
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

/// What is read of a pod.
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
        // An answer about the first that is late.
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
