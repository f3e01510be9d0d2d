//! What `kubectl explain` and the aggregator read (docs/parity.md#openapi).

use axum::Router;
use serde_json::Value;

use crate::cluster::{Cluster, ask};

async fn json(router: &Router, path: &str) -> Value {
    let answer = ask(router, path, &[("accept", "application/json")]).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    serde_json::from_str(&answer.body).unwrap()
}

fn keys(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(|key| &**key)
        .collect()
}

#[tokio::test]
async fn the_index_leads_to_every_document() {
    let router = Cluster::unread().router();
    let index = json(&router, "/openapi/v3").await;
    assert_eq!(
        keys(&index["paths"]),
        [
            "apis",
            "apis/fleet.tributary.dev",
            "apis/fleet.tributary.dev/v1alpha1",
            "apis/metrics.k8s.io",
            "apis/metrics.k8s.io/v1",
            "apis/metrics.k8s.io/v1beta1",
            "version"
        ]
    );
    for (name, entry) in index["paths"].as_object().unwrap() {
        let url = entry["serverRelativeURL"].as_str().unwrap();
        let (path, hash) = url.split_once("?hash=").unwrap();
        assert_eq!(path, format!("/openapi/v3/{name}"));
        let answer = ask(&router, url, &[]).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("etag"), Some(&*format!("\"{hash}\"")));
        let forever = "public, max-age=31536000, immutable";
        assert_eq!(answer.header("cache-control"), Some(forever));
        let old = ask(&router, &format!("{path}?hash=45D4"), &[]).await;
        assert_eq!(old.status, 301);
        assert_eq!(old.header("location"), Some(url));
    }
    let unknown = ask(&router, "/openapi/v3/apis/metrics.k8s.io/v2", &[]).await;
    assert_eq!(unknown.status, 404);
}

/// kubectl finds the kind by the path of the list, and the schema by the kind.
#[tokio::test]
async fn explain_finds_the_kinds_and_their_fields() {
    let router = Cluster::unread().router();
    for version in ["v1", "v1beta1"] {
        let base = format!("/apis/metrics.k8s.io/{version}");
        let document = json(&router, &format!("/openapi/v3{base}")).await;
        assert_eq!(document["openapi"], "3.0.0");
        let schemas = &document["components"]["schemas"];
        for (resource, kind, fields) in [
            (
                "nodes",
                "NodeMetrics",
                &[
                    "apiVersion",
                    "kind",
                    "metadata",
                    "timestamp",
                    "usage",
                    "window",
                ],
            ),
            (
                "pods",
                "PodMetrics",
                &[
                    "apiVersion",
                    "containers",
                    "kind",
                    "metadata",
                    "timestamp",
                    "window",
                ],
            ),
        ] {
            let operation = &document["paths"][format!("{base}/{resource}")]["get"];
            let wanted = serde_json::json!({
                "group": "metrics.k8s.io", "kind": kind, "version": version
            });
            assert_eq!(operation["x-kubernetes-group-version-kind"], wanted);
            let schema = schemas.as_object().unwrap().values().find(|schema| {
                let kinds = schema["x-kubernetes-group-version-kind"].as_array();
                kinds.is_some_and(|kinds| kinds.contains(&wanted))
            });
            assert_eq!(keys(&schema.unwrap()["properties"]), fields);
        }
    }
}

#[tokio::test]
async fn version_2_has_all_that_can_be_asked() {
    let document = json(&Cluster::unread().router(), "/openapi/v2").await;
    assert_eq!(document["swagger"], "2.0");
    let mut ids: Vec<&str> = document["paths"]
        .as_object()
        .unwrap()
        .values()
        .map(|item| item["get"]["operationId"].as_str().unwrap())
        .collect();
    ids.sort_unstable();
    assert_eq!(
        ids,
        [
            "getAPIVersions",
            "getCodeVersion",
            "getFleetAPIGroup",
            "getFleetV1alpha1APIResources",
            "getMetricsAPIGroup",
            "getMetricsV1APIResources",
            "getMetricsV1beta1APIResources",
            "listFleetV1alpha1MetricsFrontend",
            "listFleetV1alpha1NamespacedPodUsage",
            "listFleetV1alpha1NodeScrape",
            "listFleetV1alpha1NodeUsage",
            "listFleetV1alpha1PodUsageForAllNamespaces",
            "listFleetV1alpha1Scraper",
            "listMetricsV1NamespacedPodMetrics",
            "listMetricsV1NodeMetrics",
            "listMetricsV1PodMetricsForAllNamespaces",
            "listMetricsV1beta1NamespacedPodMetrics",
            "listMetricsV1beta1NodeMetrics",
            "listMetricsV1beta1PodMetricsForAllNamespaces",
            "readFleetV1alpha1MetricsFrontend",
            "readFleetV1alpha1NamespacedPodUsage",
            "readFleetV1alpha1NodeScrape",
            "readFleetV1alpha1NodeUsage",
            "readFleetV1alpha1Scraper",
            "readMetricsV1NamespacedPodMetrics",
            "readMetricsV1NodeMetrics",
            "readMetricsV1beta1NamespacedPodMetrics",
            "readMetricsV1beta1NodeMetrics",
        ]
    );
    let name = "io.k8s.metrics.pkg.apis.metrics.v1beta1.NodeMetrics";
    let schema = &document["definitions"][name];
    assert_eq!(
        schema["required"],
        serde_json::json!(["timestamp", "window", "usage"])
    );
}
