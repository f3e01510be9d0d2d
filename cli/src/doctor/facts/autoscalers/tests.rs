use serde_json::{Value, json};

use super::*;
use crate::kube_api::fake::Fake;

fn scaler(metric: &Value, target: &str) -> Value {
    json!({
        "metadata": { "namespace": "shop", "name": "web" },
        "spec": {
            "maxReplicas": 3, "metrics": [metric],
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": target },
        },
    })
}

fn container(name: &str, requests: &Value) -> Value {
    json!({ "name": name, "resources": { "requests": requests } })
}

/// The API with one pod of the target `web`, and these autoscalers.
fn cluster(scalers: &Value, pod: &Value) -> Fake {
    let scale = json!({ "metadata": {}, "status": { "replicas": 1, "selector": "app=web" } });
    Fake::default()
        .list("/apis/autoscaling/v2/horizontalpodautoscalers", scalers)
        .with(
            "/apis/apps/v1/namespaces/shop/deployments/web/scale",
            200,
            scale,
        )
        .list(
            "/api/v1/namespaces/shop/pods?labelSelector=app%3Dweb",
            &json!([pod]),
        )
}

async fn found(metric: Value, pod: Value) -> Vec<Lacking> {
    let api = cluster(&json!([scaler(&metric, "web")]), &pod).api();
    scalers(&api, None).await.unwrap().lacking
}

fn pod(containers: &Value) -> Value {
    json!({ "metadata": { "name": "web-1" }, "spec": { "containers": containers } })
}

fn of_pods() -> Value {
    json!({ "type": "Resource", "resource": {
        "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 50 },
    } })
}

#[tokio::test]
async fn one_container_without_a_request_is_found() {
    let containers = json!([
        container("main", &json!({ "cpu": "1" })),
        container("proxy", &json!({ "memory": "1Mi" })),
    ]);
    let found = found(of_pods(), pod(&containers)).await;
    let [one] = &*found else { panic!("{found:?}") };
    assert_eq!(
        (&*one.container, &*one.target, &*one.resource),
        ("proxy", "deployment/web", "cpu")
    );
    assert_eq!(one.pods, ["web-1"]);
}

#[tokio::test]
async fn pods_with_requests_and_pods_that_have_ended_are_fine() {
    let right = json!([container("main", &json!({ "cpu": "1" }))]);
    assert!(found(of_pods(), pod(&right)).await.is_empty());
    let mut ended = pod(&json!([container("main", &json!({}))]));
    ended["status"] = json!({ "phase": "Succeeded" });
    assert!(found(of_pods(), ended).await.is_empty());
}

#[tokio::test]
async fn only_what_the_metric_needs_counts() {
    let containers = json!([
        container("main", &json!({ "cpu": "1" })),
        container("proxy", &json!({}))
    ]);
    let of_one = json!({ "type": "ContainerResource", "containerResource": {
        "name": "cpu", "container": "main", "target": { "type": "Utilization", "averageUtilization": 50 },
    } });
    assert!(found(of_one, pod(&containers)).await.is_empty());
    let absolute = json!({ "type": "Resource", "resource": {
        "name": "cpu", "target": { "type": "AverageValue", "averageValue": "100m" },
    } });
    assert!(found(absolute, pod(&containers)).await.is_empty());
}

#[tokio::test]
async fn sidecars_need_requests_too() {
    let mut with_sidecar = pod(&json!([container("main", &json!({ "cpu": "1" }))]));
    with_sidecar["spec"]["initContainers"] = json!([{ "name": "mesh", "restartPolicy": "Always" }]);
    assert_eq!(found(of_pods(), with_sidecar).await[0].container, "mesh");
}

#[tokio::test]
async fn an_autoscaler_with_an_odd_target_hides_no_other() {
    let without = pod(&json!([container("main", &json!({}))]));
    let scale = |target: &str| format!("/apis/apps/v1/namespaces/shop/deployments/{target}/scale");
    for (target, encoded) in [
        ("a b", "a%20b"),
        ("a?b", "a%3Fb"),
        ("a#b", "a%23b"),
        ("a\u{202e}\n", "a%E2%80%AE%0A"),
    ] {
        let both = json!([scaler(&of_pods(), target), scaler(&of_pods(), "web")]);
        let fake = cluster(&both, &without);
        let seen = scalers(&fake.api(), None).await.unwrap();
        assert_eq!(seen.lacking.len(), 1, "{target}");
        assert_eq!(seen.unread, [], "{target}");
        assert!(fake.asked().contains(&scale(encoded)), "{target}");

        // Also if it cannot be read.
        let fake = fake.with(&scale(encoded), 500, json!({ "message": "broken" }));
        let seen = scalers(&fake.api(), None).await.unwrap();
        assert_eq!(seen.lacking.len(), 1, "{target}");
        assert_eq!(seen.unread.len(), 1, "{target}");
        assert_eq!(seen.unread[0].why, Failure::Failed("broken".to_owned()));
    }
}

#[tokio::test]
async fn where_no_target_can_be_read_only_some_are_looked_at() {
    let many: Vec<Value> = (0..100).map(|_| scaler(&of_pods(), "odd")).collect();
    let odd = "/apis/apps/v1/namespaces/shop/deployments/odd/scale";
    let fake = cluster(&json!(many), &json!({})).with(odd, 403, json!({ "message": "forbidden" }));
    let seen = scalers(&fake.api(), None).await.unwrap();
    assert_eq!((seen.lacking.len(), seen.unread.len()), (0, 8));
    assert!(fake.asked().len() < 20, "{:?}", fake.asked());
}

#[tokio::test]
async fn a_namespace_that_is_not_there_is_not_one_without_autoscalers() {
    let list = "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers";
    let path = "/api/v1/namespaces/shop";
    let of = async |status: u16, answer: Value| {
        let api = Fake::default().list(list, &json!([]));
        scalers(&api.with(path, status, answer).api(), Some("shop")).await
    };
    let missing = json!({ "message": "namespaces \"shop\" not found" });
    assert_eq!(
        of(404, missing).await,
        Err(Failure::NotFound(
            "namespaces \"shop\" not found".to_owned()
        ))
    );
    assert_eq!(
        of(200, json!({ "metadata": { "name": "shop" } })).await,
        Ok(Scalers::default())
    );
    let forbidden = json!({ "message": "namespaces is forbidden" });
    assert_eq!(of(403, forbidden).await, Ok(Scalers::default()));
}
