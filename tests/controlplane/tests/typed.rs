//! A program that uses kube-rs, as an operator would.

use std::collections::BTreeSet;

use kube::{
    Api,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams},
};
use tributary_controlplane::{components::VERSIONS, rig};

use crate::with_pods;

fn resource(version: &str, kind: &str, plural: &str) -> ApiResource {
    let kind = GroupVersionKind::gvk("metrics.k8s.io", version, kind);
    ApiResource::from_gvk_with_plural(&kind, plural)
}

#[test]
fn a_rust_client_lists_and_gets_pods_and_nodes() -> anyhow::Result<()> {
    rig::share(async |rig| {
        with_pods(&rig, "typed").await?;
        for version in VERSIONS {
            let kind = resource(version, "PodMetrics", "pods");
            let pods = Api::<DynamicObject>::namespaced_with(rig.client.clone(), "typed", &kind);
            let list = pods.list(&ListParams::default().labels("app=web")).await?;
            assert_eq!(list.items.len(), 2);
            for listed in list {
                let name = listed.metadata.name.unwrap_or_default();
                let pod = pods.get(&name).await?;
                let containers = pod.data["containers"]
                    .as_array()
                    .cloned()
                    .unwrap_or_default();
                let names: Vec<_> = containers.iter().map(|found| &found["name"]).collect();
                assert_eq!(names, ["main", "sidecar"]);
            }
            let kind = resource(version, "NodeMetrics", "nodes");
            let nodes = Api::<DynamicObject>::all_with(rig.client.clone(), &kind);
            let names = nodes.list(&ListParams::default()).await?.into_iter();
            let names: BTreeSet<_> = names.filter_map(|node| node.metadata.name).collect();
            assert_eq!(names, rig.cluster.nodes().into_iter().collect());
            assert!(nodes.get("node-00001").await?.data["usage"]["cpu"].is_string());
            let refused = nodes.get("node-00009").await.unwrap_err();
            assert!(
                refused.to_string().contains("\"node-00009\" not found"),
                "{refused}"
            );
        }
        Ok(())
    })
}

#[test]
fn pages_hold_each_pod_once() -> anyhow::Result<()> {
    rig::share(async |rig| {
        with_pods(&rig, "pages").await?;
        let kind = resource("v1beta1", "PodMetrics", "pods");
        let pods = Api::<DynamicObject>::namespaced_with(rig.client.clone(), "pages", &kind);
        let mut page = ListParams::default().limit(1);
        let mut names = Vec::new();
        loop {
            let list = pods.list(&page).await?;
            assert!(list.items.len() <= 1);
            names.extend(list.items.into_iter().filter_map(|pod| pod.metadata.name));
            match list.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => page = page.continue_token(&token),
                None => break,
            }
        }
        let whole = pods.list(&ListParams::default()).await?.into_iter();
        let whole: Vec<_> = whole.filter_map(|pod| pod.metadata.name).collect();
        assert_eq!((names.len(), names), (2, whole));
        Ok(())
    })
}
