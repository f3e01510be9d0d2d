//! The `APIService`s, and what is behind them.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tributary_controlplane::{components::VERSIONS, patience::eventually, rig};

use crate::{get, with_pods};

#[test]
fn both_versions_become_available() -> anyhow::Result<()> {
    rig::share(async |rig| {
        let kubectl = rig.kubectl()?;
        for version in VERSIONS {
            let name = format!("{version}.metrics.k8s.io");
            let wait = ["wait", "apiservice", &name, "--for=condition=Available"];
            kubectl
                .ok(&[&wait[..], &["--timeout=60s"]].concat())
                .await?;
        }
        let versions = kubectl.ok(&["api-versions"]).await?;
        for version in VERSIONS {
            let line = format!("metrics.k8s.io/{version}");
            assert!(versions.lines().any(|found| found == line), "{versions}");
        }
        Ok(())
    })
}

#[test]
fn every_node_is_measured() -> anyhow::Result<()> {
    rig::share(async |rig| {
        let wanted: BTreeSet<String> = rig.cluster.nodes().into_iter().collect();
        assert_eq!(wanted.len(), 3);
        eventually("all nodes", || async {
            let nodes = get(&rig, "nodes").await?;
            let items = nodes["items"].as_array().cloned().unwrap_or_default();
            let names: BTreeSet<String> = items
                .iter()
                .filter_map(|node| node["metadata"]["name"].as_str().map(str::to_owned))
                .collect();
            anyhow::ensure!(names == wanted, "{names:?}");
            Ok(())
        })
        .await
    })
}

#[test]
fn a_container_that_burns_a_quarter_core_is_reported_so() -> anyhow::Result<()> {
    rig::share(async |rig| {
        with_pods(&rig, "burns").await?;
        rig.workloads.demand("burns", "web", "main", 500);
        eventually("250m each", || async {
            let pods = get(&rig, "namespaces/burns/pods").await?;
            let items = pods["items"].as_array().cloned().unwrap_or_default();
            let right = |pod: &&Value| {
                let containers = pod["containers"].as_array().cloned().unwrap_or_default();
                let mut main = containers.iter().filter(|found| found["name"] == "main");
                // Exact: the window and what was spent in it have the same ends.
                let exact = json!({ "cpu": "250m", "memory": "64Mi", "swap": "0" });
                main.any(|main| main["usage"] == exact)
            };
            anyhow::ensure!(items.iter().filter(right).count() == 2, "{pods}");
            Ok(())
        })
        .await
    })
}
