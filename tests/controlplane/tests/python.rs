//! The official client for Python, which knows nothing of us.

use std::path::Path;

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::process::Command;
use tributary_controlplane::{
    components::VERSIONS,
    rig::{self, Rig},
};

use crate::with_pods;

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python");

/// Made by `run`.
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/.venv/bin/python");

/// What the program in `python/` sees of a namespace.
async fn seen(rig: &Rig, namespace: &str) -> anyhow::Result<Value> {
    anyhow::ensure!(
        Path::new(PYTHON).is_file(),
        "no {PYTHON}: run tests/controlplane/run, which makes it"
    );
    let output = Command::new(PYTHON)
        .arg(Path::new(DIRECTORY).join("metrics.py"))
        .arg(rig.plane.kubeconfig())
        .arg(namespace)
        .kill_on_drop(true)
        .output()
        .await?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{complaint}");
    serde_json::from_slice(&output.stdout).context("read what it printed")
}

#[test]
fn a_python_client_lists_and_gets_pods_and_nodes() -> anyhow::Result<()> {
    rig::share(async |rig| {
        with_pods(&rig, "python").await?;
        let kubectl = rig.kubectl()?;
        let pods = kubectl
            .ok(&["get", "pods", "-n", "python", "-o", "name"])
            .await?;
        let pods: Vec<&str> = pods
            .lines()
            .filter_map(|line| line.strip_prefix("pod/"))
            .collect();
        assert_eq!(pods.len(), 2, "{pods:?}");
        let seen = seen(&rig, "python").await?;
        for version in VERSIONS {
            assert_eq!(
                seen[version],
                json!({
                    "kinds": ["NodeMetricsList", "PodMetricsList"],
                    "nodes": ["node-00001", "node-00002", "node-00003"],
                    "node": [["cpu", "memory", "swap"], ["cpu", "memory", "swap"], ["cpu", "memory", "swap"]],
                    "pods": pods,
                    "pod": [["main", "sidecar"], ["main", "sidecar"]],
                    "everywhere": pods,
                    "pages": [[pods[0]], [pods[1]]],
                    "missing": { "code": 404, "reason": "NotFound" },
                }),
                "{version}"
            );
        }
        Ok(())
    })
}
