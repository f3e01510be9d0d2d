use serde_json::json;

use super::*;
use crate::{
    commands::tests::{FLAGS, named},
    explain::{hpa, node, pod},
    kube_api::fake::Fake,
    metrics_api::V1BETA1 as METRICS,
};

fn now() -> jiff::Timestamp {
    "2026-11-29T17:00:00Z".parse().unwrap()
}

/// A node and a pod with metrics, and the connected scrapers.
fn served(state: &str, remedy: &str, scrapers: &[&str]) -> KubeApi {
    let reading = json!({ "timestamp": "2026-11-29T16:59:50Z", "window": "15s" });
    let scrape =
        json!({ "metadata": { "name": "n-0" }, "status": { "state": state, "remedy": remedy } });
    let object = json!({
        "metadata": { "name": "web" }, "spec": { "nodeName": "n-0", "containers": [] },
        "status": { "phase": "Running" },
    });
    let scraper = |name: &&str| json!({ "metadata": { "name": name } });
    let mut api = Fake::default()
        .with("/api/v1/nodes/n-0", 200, json!({ "metadata": {} }))
        .with("/api/v1/namespaces/default/pods/web", 200, object)
        .with(&format!("{METRICS}/nodes/n-0"), 200, reading.clone())
        .with(
            &format!("{METRICS}/namespaces/default/pods/web"),
            200,
            reading,
        )
        .with(&format!("{FLEET}/nodescrapes/n-0"), 200, scrape)
        .list(
            &format!("{FLEET}/scrapers"),
            &scrapers.iter().map(scraper).collect(),
        )
        .api();
    api.commands = named();
    api
}

/// What is explained of the node and of the pod.
async fn both(api: &KubeApi) -> [Explained; 2] {
    [node(api, "n-0", now()).await, pod(api, "web", now()).await]
}

#[tokio::test]
async fn metrics_that_nothing_renews_are_not_healthy() {
    for explained in both(&served("served", "", &["s-0"])).await {
        assert_eq!(explained.outcome, Outcome::Healthy);
    }
    let none = "no scraper is connected to the frontend that answers: what it has expires";
    let of_node = "no scraper brings newer samples of the node: what the frontend has expires";
    for (api, why, code, name) in [
        (
            served("served", "", &[]),
            none,
            "TRB023",
            "NoScraperConnected",
        ),
        (
            served("late", "NoScraper", &["s-0"]),
            of_node,
            "TRB048",
            "NoScraper",
        ),
    ] {
        for explained in both(&api).await {
            assert_eq!(explained.outcome, Outcome::Findings);
            assert!(
                explained.title.ends_with(": has metrics, which expire"),
                "{}",
                explained.title
            );
            assert_eq!(explained.lines("why"), [why]);
            let explain = format!("{name}: kubectl tributary {FLAGS} explain trouble {code}");
            assert_eq!(explained.lines("what to do"), [explain]);
            assert_eq!(explained.document()["why"][0]["trouble"], code);
        }
    }
}

#[tokio::test]
async fn an_api_that_is_not_registered_is_not_a_node_that_is_not_found() {
    let object =
        json!({ "metadata": { "name": "web" }, "spec": { "nodeName": "n-0", "containers": [] } });
    let mut api = Fake::default()
        .with("/api/v1/namespaces/default/pods/web", 200, object)
        .api();
    api.commands = named();
    for explained in both(&api).await {
        assert_eq!(explained.outcome, Outcome::Findings);
        let why = "metrics.k8s.io/v1beta1 is not registered: autoscalers and older kubectl top have no metrics";
        assert_eq!(explained.lines("why"), [why]);
        let explain =
            format!("ApiServiceMissing: kubectl tributary {FLAGS} explain trouble TRB002");
        assert_eq!(explained.lines("what to do"), [explain]);
        let document = explained.document();
        let unread = document["unread"].as_array().unwrap().iter();
        let mut messages = unread.map(|it| &it["message"]);
        assert!(
            messages.any(|it| it == "fleet.tributary.dev is not registered"),
            "{document}"
        );
    }
}

#[tokio::test]
async fn a_namespace_that_is_not_there_is_named() {
    let missing = "namespaces \"shop\" not found";
    let absent = |what: &str| json!({ "message": format!("{what} \"web\" not found") });
    let mut api = Fake::default()
        .with(METRICS, 200, json!({}))
        .with(
            "/api/v1/namespaces/shop",
            404,
            json!({ "message": missing }),
        )
        .with("/api/v1/namespaces/shop/pods/web", 404, absent("pods"))
        .api();
    api.namespace = "shop".to_owned();
    let of_pod = pod(&api, "web", now()).await;
    assert_eq!(of_pod.lines("Kubernetes"), [missing]);
    let of_scaler = hpa(&api, "web", now()).await;
    assert_eq!(of_scaler.lines("why"), [missing]);
    assert_eq!(of_scaler.outcome, Outcome::Findings);

    // The namespace is there, or may not be read.
    for (status, answer) in [(200, json!({ "metadata": {} })), (403, json!({}))] {
        let api = Fake::default()
            .with(METRICS, 200, json!({}))
            .with("/api/v1/namespaces/default", status, answer)
            .with("/api/v1/namespaces/default/pods/web", 404, absent("pods"))
            .api();
        let of_pod = pod(&api, "web", now()).await;
        assert_eq!(of_pod.lines("Kubernetes"), ["pods \"web\" not found"]);
    }
}
