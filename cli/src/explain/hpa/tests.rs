use serde_json::{Value, json};

use super::*;
use crate::{kube_api::fake::Fake, printed::Paint};

fn now() -> Timestamp {
    "2026-11-29T17:00:00Z".parse().unwrap()
}

fn pod(name: &str, cpu: &str) -> (Value, Value) {
    let object = json!({
        "metadata": { "name": name },
        "spec": { "containers": [{ "name": "main", "resources": { "requests": { "cpu": "100m" } } }] },
        "status": {
            "phase": "Running", "startTime": "2026-11-29T16:00:00Z",
            "conditions": [
                { "type": "Ready", "status": "True", "lastTransitionTime": "2026-11-29T16:00:10Z" },
            ],
        },
    });
    let metrics = json!({
        "metadata": { "name": name }, "timestamp": "2026-11-29T16:59:50Z", "window": "15s",
        "containers": [{ "name": "main", "usage": { "cpu": cpu } }],
    });
    (object, metrics)
}

async fn of(metric: Value, pods: &[(Value, Value)]) -> Explained {
    let scaler = json!({
        "metadata": { "namespace": "default", "name": "web" },
        "spec": {
            "minReplicas": 1, "maxReplicas": 10, "metrics": [metric],
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" },
        },
        "status": { "desiredReplicas": 2, "conditions": [
            { "type": "AbleToScale", "status": "True", "reason": "ReadyForNewScale", "message": "recommended size matches current size" },
        ] },
    });
    let scale =
        json!({ "spec": { "replicas": 2 }, "status": { "replicas": 2, "selector": "app=web" } });
    let objects: Vec<&Value> = pods.iter().map(|(object, _)| object).collect();
    let metrics: Vec<&Value> = pods.iter().map(|(_, metrics)| metrics).collect();
    let namespace = "namespaces/default";
    let api = Fake::default()
        .with(
            &format!("/apis/autoscaling/v2/{namespace}/horizontalpodautoscalers/web"),
            200,
            scaler.clone(),
        )
        .with(
            &format!("/apis/apps/v1/{namespace}/deployments/web/scale"),
            200,
            scale,
        )
        .list(
            &format!("/api/v1/{namespace}/pods?labelSelector=app%3Dweb"),
            &json!(objects),
        )
        .list(
            &format!("/apis/metrics.k8s.io/v1beta1/{namespace}/pods?labelSelector=app%3Dweb"),
            &json!(metrics),
        )
        .list(
            &format!("/apis/autoscaling/v2/{namespace}/horizontalpodautoscalers"),
            &json!([scaler]),
        )
        .api();
    hpa(&api, "web", now()).await
}

fn half_of_the_requests() -> Value {
    json!({ "type": "Resource", "resource": {
        "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 50 },
    } })
}

#[tokio::test]
async fn an_autoscaler_is_replayed_with_the_metrics_of_now() {
    let explained = of(
        half_of_the_requests(),
        &[pod("web-1", "80m"), pod("web-2", "80000000n")],
    )
    .await;
    let expected = "\
autoscaler default/web: 2 would become 4
  target      deployment/web: 2 wanted, between 1 and 10
  metric      cpu: 80 % of the requests, target 50 %: ratio 1.60
                2 pods counted
                proposes 4: the ratio times the pods that count, rounded up
  limits      DesiredWithinRange: 4 computed, 4 allowed
  next sync   AbleToScale True SucceededRescale
              ScalingActive True ValidMetricFound
              ScalingLimited False DesiredWithinRange
  controller  AbleToScale True ReadyForNewScale: recommended size matches current size
  rules       those of Kubernetes 1.37, with the default flags of kube-controller-manager
";
    assert_eq!(explained.text(Paint::PLAIN), expected);
    assert_eq!(explained.outcome, Outcome::Healthy);
    let condition =
        |kind, status, reason| json!({ "type": kind, "status": status, "reason": reason });
    let document = json!({
        "title": "autoscaler default/web: 2 would become 4", "outcome": "healthy",
        "kind": "HorizontalPodAutoscaler", "namespace": "default", "name": "web",
        "target": "deployment/web", "replicas": 2, "minReplicas": 1, "maxReplicas": 10,
        "desired": 4, "computed": 4, "doubt": null, "rival": null, "notReplayed": [],
        "metrics": [{
            "resource": "cpu", "container": null,
            "target": { "type": "Utilization", "value": 50 },
            "proposal": {
                "replicas": 4, "reason": "Computed", "usage": 80, "ratio": 1.6,
                "assumedRatio": null,
                "pods": { "counted": 2, "notCounted": [], "missing": [], "ignored": [] },
            },
        }],
        "conditions": [
            condition("AbleToScale", "True", "SucceededRescale"),
            condition("ScalingActive", "True", "ValidMetricFound"),
            condition("ScalingLimited", "False", "DesiredWithinRange"),
        ],
        "controller": [{
            "type": "AbleToScale", "status": "True", "reason": "ReadyForNewScale",
            "message": "recommended size matches current size",
        }],
        "why": [], "unread": [],
    });
    assert_eq!(explained.document(), document);
}

#[tokio::test]
async fn a_missing_request_is_said_as_the_controller_says_it() {
    let (mut object, metrics) = pod("web-1", "80m");
    object["spec"]["containers"][0]["resources"] = json!({});
    let explained = of(half_of_the_requests(), &[(object, metrics)]).await;
    assert_eq!(explained.outcome, Outcome::Findings);
    let why = "  missing request for cpu in container main of Pod web-1";
    assert_eq!(explained.lines("metric"), ["cpu: cannot be computed", why]);
    assert_eq!(
        explained.title,
        "autoscaler default/web: stays at 2, because it cannot be computed"
    );
}

#[tokio::test]
async fn a_scale_down_waits_for_its_window() {
    let average = json!({ "type": "ContainerResource", "containerResource": {
        "name": "cpu", "container": "main", "target": { "type": "AverageValue", "averageValue": "100m" },
    } });
    let explained = of(average, &[pod("web-1", "20m"), pod("web-2", "20m")]).await;
    assert_eq!(explained.title, "autoscaler default/web: 2 would become 1");
    let window = "scales down to the highest recommendation of the last 300s, which only the controller knows";
    assert_eq!(explained.lines("limits")[1], window);
    assert!(
        explained.lines("metric")[0]
            .starts_with("cpu of container main: a mean of 20m, target 100m")
    );
}

#[tokio::test]
async fn a_container_that_a_pod_lacks_is_said_as_the_controller_says_it() {
    let metric = json!({ "type": "ContainerResource", "containerResource": {
        "name": "cpu", "container": "mesh", "target": { "type": "Utilization", "averageUtilization": 50 },
    } });
    let explained = of(metric, &[pod("web-1", "80m")]).await;
    // Metrics are asked for first, and none has the container.
    let why = "  did not receive metrics for targeted pods (pods might be unready)";
    assert_eq!(explained.lines("metric")[1], why);
    let next = [
        "AbleToScale True SucceededGetScale",
        "ScalingActive False FailedGetContainerResourceMetric",
    ];
    assert_eq!(explained.lines("next sync"), next);
}
