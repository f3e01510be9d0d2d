//! A real API server says on which node a pod is, and others are not believed.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde_json::Value;
use tributary_controlplane::{
    patience::eventually,
    rig::{self, Rig},
};
use tributary_sim::{PodSpec, Usage};

use crate::{get, with_pods};

const NAMESPACE: &str = "claimed";

/// How often each kubelet was asked.
fn requests(rig: &Rig) -> anyhow::Result<BTreeMap<String, u64>> {
    let asked = |node: String| {
        let stats = rig.cluster.kubelet_stats(&node)?;
        Ok((node, stats.requests))
    };
    rig.cluster.nodes().into_iter().map(asked).collect()
}

/// The names of the pods, all of which use less than a stranger says.
async fn served(rig: &Rig, selector: &str) -> anyhow::Result<Vec<String>> {
    let list = get(rig, &format!("namespaces/{NAMESPACE}/pods{selector}")).await?;
    let items = list.get("items").and_then(Value::as_array);
    let mut names = Vec::new();
    for item in items.context("items")? {
        let text = item.to_string();
        assert!(!text.contains("\"memory\":\"64Gi\""), "{text}");
        let name = item.pointer("/metadata/name").and_then(Value::as_str);
        names.push(name.context("name")?.to_owned());
    }
    Ok(names)
}

#[test]
fn pods_are_served_from_the_nodes_that_they_are_bound_to() -> anyhow::Result<()> {
    rig::share(async |rig| {
        with_pods(&rig, NAMESPACE).await?;
        let pods = rig.cluster.pods().into_iter();
        let pods: Vec<String> = pods
            .filter(|(namespace, _)| namespace == NAMESPACE)
            .map(|(_, name)| name)
            .collect();
        let nodes = rig.cluster.nodes();
        let mut homes = BTreeMap::new();
        for node in &nodes {
            let here = rig.cluster.pods_on(node);
            for name in &pods {
                if here.contains(&(NAMESPACE.to_owned(), name.clone())) {
                    homes.insert(name.clone(), node.clone());
                    continue;
                }
                // Few cores: the node is that of other tests too, and is not served with more than it has.
                let usage = Usage::steady(1_000, 64 << 30);
                let ghost = PodSpec::new(NAMESPACE, name, node).container("main", usage);
                rig.cluster.add_ghost(ghost.container("sidecar", usage));
            }
        }
        let before = requests(&rig)?;
        eventually("all kubelets were asked", || async {
            anyhow::ensure!(served(&rig, "").await?.len() == 2, "pods are missing");
            let now = requests(&rig)?;
            let asked =
                |(node, now): (&String, &u64)| Some(*now) >= before.get(node).map(|was| was + 4);
            anyhow::ensure!(now.iter().all(asked), "{now:?}");
            Ok(())
        })
        .await?;
        for node in &nodes {
            let selector = format!("?fieldSelector=spec.nodeName%3D{node}");
            let here = homes.iter().filter(|(_, home)| *home == node);
            let here: Vec<String> = here.map(|(name, _)| name.clone()).collect();
            assert_eq!(served(&rig, &selector).await?, here, "{node}");
        }
        for node in &nodes {
            rig.cluster.remove_ghosts(node);
        }
        Ok(())
    })
}
