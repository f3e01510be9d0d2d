//! Both components on a real control plane. Without its programs every test fails and says how to get them.

mod access;
mod autoscaling;
mod bundle;
mod claims;
mod credentials;
mod discovery;
mod doctor;
mod explain_hpa;
mod fleet;
mod forwarded;
mod publishers;
mod python;
mod reaction;
mod realnode;
mod requests;
mod rotation;
mod serving;
mod switch;
mod top;
mod typed;

use anyhow::Context as _;
use serde_json::Value;
use tributary_controlplane::{
    objects::{apply, deployment, namespace},
    patience::eventually,
    rig::{Rig, Size},
};

/// A namespace with a Deployment `web` of two pods, and waits until both are measured, and the nodes.
async fn with_pods(rig: &Rig, name: &str) -> anyhow::Result<()> {
    namespace(&rig.client, name).await?;
    let object = deployment(name, "web", 2, &["main", "sidecar"]);
    apply(&rig.client, &object).await?;
    eventually("two pods and all nodes are measured", || async {
        let pods = count(&get(rig, &format!("namespaces/{name}/pods")).await?);
        let nodes = count(&get(rig, "nodes").await?);
        let all = Size::SMALL.nodes;
        anyhow::ensure!(pods == 2 && nodes >= all, "{pods} pods, {nodes} nodes");
        Ok(())
    })
    .await
}

/// How many items a list has.
fn count(list: &Value) -> usize {
    let items = list.get("items").and_then(Value::as_array);
    items.map_or(0, Vec::len)
}

/// What the aggregator answers for a path of v1beta1, to an administrator.
async fn get(rig: &Rig, path: &str) -> anyhow::Result<Value> {
    let path = format!("/apis/metrics.k8s.io/v1beta1/{path}");
    let request = http::Request::get(&path).body(Vec::new())?;
    let text = rig.client.request_text(request).await;
    serde_json::from_str(&text.with_context(|| path.clone())?).context(path)
}
