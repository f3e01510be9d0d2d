//! `nodeusages` and `podusages` of the fleet: the metrics, whichever server is behind `metrics.k8s.io`.

use serde_json::{Value, json};

use crate::cluster::{Cluster, ask, get};

const METRICS: &str = "/apis/metrics.k8s.io/v1beta1";
const FLEET: &str = "/apis/fleet.tributary.dev/v1alpha1";

#[tokio::test]
async fn usages_are_the_metrics_under_the_name_of_the_fleet() {
    let router = Cluster::small().router();
    for (metrics, usages, (kind, other)) in [
        ("nodes", "nodeusages", ("NodeMetricsList", "NodeUsageList")),
        ("nodes/n2", "nodeusages/n2", ("NodeMetrics", "NodeUsage")),
        ("pods", "podusages", ("PodMetricsList", "PodUsageList")),
        (
            "namespaces/default/pods?labelSelector=app%3Dweb",
            "namespaces/default/podusages?labelSelector=app%3Dweb",
            ("PodMetricsList", "PodUsageList"),
        ),
        (
            "namespaces/kube-system/pods/dns",
            "namespaces/kube-system/podusages/dns",
            ("PodMetrics", "PodUsage"),
        ),
    ] {
        let expected = get(&router, &format!("{METRICS}/{metrics}")).await;
        let expected = expected
            .replace(&format!("{kind:?}"), &format!("{other:?}"))
            .replace("metrics.k8s.io/v1beta1", "fleet.tributary.dev/v1alpha1");
        let answer = get(&router, &format!("{FLEET}/{usages}")).await;
        assert_eq!(answer, expected);
        assert!(answer.contains(other), "{answer}");
    }
}

#[tokio::test]
async fn a_usage_that_is_missing_is_one_of_the_fleet() {
    let router = Cluster::small().router();
    let answer = ask(&router, &format!("{FLEET}/nodeusages/n9"), &[]).await;
    let status: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(
        (&status["message"], &status["details"]),
        (
            &json!("nodeusages.fleet.tributary.dev \"n9\" not found"),
            &json!({ "name": "n9", "group": "fleet.tributary.dev", "kind": "nodeusages" })
        )
    );
    let answer = ask(&router, &format!("{FLEET}/podusages?watch=true"), &[]).await;
    assert_eq!(answer.status, 405);
}

#[tokio::test]
async fn usages_are_described() {
    let router = Cluster::small().router();
    let path = "/openapi/v3/apis/fleet.tributary.dev/v1alpha1";
    let document: Value = serde_json::from_str(&ask(&router, path, &[]).await.body).unwrap();
    for (resource, kind) in [("nodeusages", "NodeUsage"), ("podusages", "PodUsage")] {
        let schema =
            &document["components"]["schemas"][format!("dev.tributary.fleet.v1alpha1.{kind}")];
        let named =
            json!([{ "group": "fleet.tributary.dev", "kind": kind, "version": "v1alpha1" }]);
        assert_eq!(schema["x-kubernetes-group-version-kind"], named);
        assert!(document["paths"][format!("{FLEET}/{resource}")]["get"].is_object());
    }
}

#[tokio::test]
async fn every_answer_says_which_server_it_is_from() {
    let router = Cluster::small().router();
    for path in ["/apis", METRICS, "/apis/metrics.k8s.io/v1/nodes", "/none"] {
        let answer = ask(&router, path, &[]).await;
        assert_eq!(answer.header("server"), Some("tributary"), "{path}");
    }
}
