//! The real horizontal pod autoscaler.
//!
//! It aims at 100 milli-cores a pod and rounds up. Each demand lies well between two multiples of that, so there is one
//! right number of pods, from above as from below: 160 for 2, 560 for 6, 60 for 1.

use anyhow::Context as _;
use k8s_openapi::api::{
    apps::v1::Deployment, autoscaling::v2::HorizontalPodAutoscaler, core::v1::Event,
};
use kube::{Api, api::ListParams};
use serde_json::{Value, json};
use tributary_controlplane::{
    objects::{apply, deployment, namespace},
    patience::eventually,
    rig::{self, Rig},
};

/// An autoscaler of the Deployment `web` that aims at 100 milli-cores on average, and moves as soon as it can.
fn autoscaler(namespace: &str, metric: &Value) -> Value {
    let at_once = json!({
        "stabilizationWindowSeconds": 0,
        "policies": [{ "type": "Pods", "value": 20, "periodSeconds": 1 }],
    });
    json!({
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": { "namespace": namespace, "name": "web" },
        "spec": {
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" },
            "minReplicas": 1,
            "maxReplicas": 10,
            "behavior": { "scaleUp": at_once, "scaleDown": at_once },
            "metrics": [metric],
        },
    })
}

/// A Deployment of two pods under 160 milli-cores, with an autoscaler that has seen them.
async fn start(rig: &Rig, name: &str, metric: &Value) -> anyhow::Result<()> {
    namespace(&rig.client, name).await?;
    rig.workloads.demand(name, "web", "main", 160);
    rig.workloads.demand(name, "web", "sidecar", 0);
    apply(
        &rig.client,
        &deployment(name, "web", 2, &["main", "sidecar"]),
    )
    .await?;
    apply(&rig.client, &autoscaler(name, metric)).await?;
    let scalers = Api::<HorizontalPodAutoscaler>::namespaced(rig.client.clone(), name);
    eventually("the autoscaler has its metric", || async {
        let scaler = scalers.get("web").await?;
        let status = scaler.status.context("no status")?;
        let conditions = status.conditions.unwrap_or_default();
        let active = |kind: &str| {
            let mut found = conditions.iter();
            found.any(|condition| condition.type_ == kind && condition.status == "True")
        };
        anyhow::ensure!(active("ScalingActive"), "{conditions:?}");
        Ok(())
    })
    .await
}

/// Waits until the Deployment has this many pods.
async fn scaled_to(rig: &Rig, name: &str, wanted: i32) -> anyhow::Result<()> {
    let deployments = Api::<Deployment>::namespaced(rig.client.clone(), name);
    eventually("the deployment is scaled", || async {
        let web = deployments.get("web").await?;
        let ready = web.status.and_then(|status| status.ready_replicas);
        anyhow::ensure!(ready == Some(wanted), "{ready:?} of {wanted} pods");
        Ok(())
    })
    .await
}

/// The complaints of the autoscaler.
async fn complaints(rig: &Rig, name: &str) -> anyhow::Result<i32> {
    let events = Api::<Event>::namespaced(rig.client.clone(), name);
    let events = events.list(&ListParams::default()).await?;
    let failed = events.items.iter().filter(|event| {
        let reason = event.reason.as_deref().unwrap_or_default();
        reason.starts_with("FailedGet") || reason.starts_with("FailedComputeMetricsReplicas")
    });
    Ok(failed.map(|event| event.count.unwrap_or(1)).sum())
}

#[test]
fn a_deployment_follows_its_load_up_and_down() -> anyhow::Result<()> {
    rig::share(async |rig| {
        // Half of both containers' requests is 100 milli-cores.
        let target = json!({ "type": "Utilization", "averageUtilization": 50 });
        let metric = json!({ "type": "Resource", "resource": { "name": "cpu", "target": target } });
        start(&rig, "resource", &metric).await?;
        scaled_to(&rig, "resource", 2).await?;
        let before = complaints(&rig, "resource").await?;

        rig.workloads.demand("resource", "web", "main", 560);
        scaled_to(&rig, "resource", 6).await?;
        rig.workloads.demand("resource", "web", "main", 60);
        scaled_to(&rig, "resource", 1).await?;
        assert_eq!(complaints(&rig, "resource").await?, before);
        Ok(())
    })
}

#[test]
fn a_deployment_follows_the_load_of_one_container() -> anyhow::Result<()> {
    rig::share(async |rig| {
        let target = json!({ "type": "AverageValue", "averageValue": "100m" });
        let source = json!({ "name": "cpu", "container": "main", "target": target });
        let metric = json!({ "type": "ContainerResource", "containerResource": source });
        start(&rig, "container", &metric).await?;
        // What the other container burns is not its business.
        rig.workloads.demand("container", "web", "sidecar", 5_000);
        scaled_to(&rig, "container", 2).await?;
        let before = complaints(&rig, "container").await?;

        rig.workloads.demand("container", "web", "main", 560);
        scaled_to(&rig, "container", 6).await?;
        rig.workloads.demand("container", "web", "main", 60);
        scaled_to(&rig, "container", 1).await?;
        assert_eq!(complaints(&rig, "container").await?, before);
        Ok(())
    })
}
