//! Where the pods run that more than one node reports.
//!
//! Metadata does not say on which node a pod runs, and whole pods cost too much
//! to watch for the few that are ever in doubt: a pod of a stateful set that
//! moved, for the moments in which the old kubelet still reports it. So a pod
//! is asked for by name, once, when two nodes claim it
//! (docs/decisions/0003-where-a-pod-runs.md).

use std::{collections::HashMap, time::Duration};

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client};
use tokio_util::sync::CancellationToken;
use tracing::debug;
use tributary_model::{NodeName, PodKey};

use super::{Catalog, PodRecord, Uid};
use crate::store::Store;

/// Nodes of contested pods, by pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Homes(HashMap<PodKey, (Uid, NodeName)>);

impl Homes {
    /// The node on which `pod` runs, if it is contested and has been asked for.
    pub fn of(&self, pod: &PodRecord) -> Option<&NodeName> {
        let (uid, node) = self.0.get(&pod.key)?;
        // A pod of the same name that came after it runs elsewhere.
        (*uid == pod.uid).then_some(node)
    }

    /// Notes that `pod` runs on `node`.
    pub fn insert(&mut self, pod: &PodRecord, node: NodeName) {
        self.0.insert(pod.key.clone(), (pod.uid, node));
    }
}

/// How often new contests are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Contests settled at a time; the rest are decided by the newest start, which
/// is nearly always right.
const MOST: usize = 64;

/// Asks for contested pods until `stop`.
pub(crate) async fn settle_homes(
    client: Client,
    catalog: Catalog,
    store: Store,
    stop: CancellationToken,
) {
    let sleep = || tokio::time::sleep(LOOK_EVERY);
    while stop.run_until_cancelled(sleep()).await.is_some() {
        let contested = store.contested(MOST);
        let known = catalog.homes();
        if contested.is_empty() && *known == Homes::default() {
            continue;
        }
        let mut homes = Homes::default();
        for pod in contested.iter().filter_map(|key| catalog.pod(key)) {
            let home = match known.of(&pod) {
                Some(home) => Some(home.clone()),
                None => stop.run_until_cancelled(ask(&client, &pod)).await.flatten(),
            };
            if let Some(home) = home {
                homes.insert(&pod, home);
            }
        }
        catalog.set_homes(homes);
    }
}

async fn ask(client: &Client, pod: &PodRecord) -> Option<NodeName> {
    let api: Api<Pod> = Api::namespaced(client.clone(), &pod.key.namespace);
    match api.get_opt(&pod.key.name).await {
        Ok(found) => {
            let found = found?;
            (found.metadata.uid.as_deref().map(Uid::from) == Some(pod.uid))
                .then(|| found.spec?.node_name)
                .flatten()
                .map(Into::into)
        }
        Err(error) => {
            debug!(pod = %pod.key, %error, "cannot ask where a pod runs");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Labels, *};

    #[test]
    fn a_successor_of_the_same_name_has_another_home() {
        let pod = |uid: &str| PodRecord {
            key: PodKey::new("shop", "db-0"),
            uid: uid.into(),
            labels: Labels::default(),
        };
        let mut homes = Homes::default();
        homes.insert(&pod("1"), "n1".into());
        assert_eq!(homes.of(&pod("1")), Some(&"n1".into()));
        assert_eq!(homes.of(&pod("2")), None);
    }
}
