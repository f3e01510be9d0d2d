//! A pod: whether it has metrics, and why not.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::{
    Explained, Why,
    node::of_status,
    reading::Answer,
    unfed::{self, Expires},
};
use crate::{
    fleet::{FLEET, NodeScrape},
    kube_api::{Failure, KubeApi, path},
    printed::Outcome,
};

/// Explains a pod of the namespace of the API.
pub async fn pod(api: &KubeApi, name: &str, now: Timestamp) -> Explained {
    let namespace = api.namespace.as_str();
    let of_cluster = path("/api/v1/namespaces", &[namespace, "pods", name]);
    let names = ["namespaces", namespace, "pods", name];
    let (object, answer, scrapers) = futures::join!(
        api.get::<Pod>(&of_cluster),
        Answer::read(api, &names),
        unfed::scrapers(api),
    );
    let (state, outcome) = match &answer.reading {
        Ok(_) => ("has metrics", Outcome::Healthy),
        Err(Failure::NotFound(_)) => ("has no metrics", Outcome::Findings),
        Err(_) => ("cannot be read", Outcome::Unknown),
    };
    let mut explained = Explained::new(format!("pod {namespace}/{name}: {state}"), outcome);
    for (field, value) in [("kind", "Pod"), ("namespace", namespace), ("name", name)] {
        explained.detail(field, value);
    }
    explained.detail("state", state);
    let mut node = None;
    match object {
        Ok(pod) => {
            node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
            let status = pod.status.as_ref();
            explained.detail("phase", status.and_then(|status| status.phase.clone()));
            explained.detail("node", &node);
            explained.line("Kubernetes", of_pod(&pod));
        }
        Err(failure) => {
            let failure = api.or_no_namespace(failure).await;
            explained.unread("Kubernetes", &failure);
        }
    }
    answer.explain(&mut explained);
    match &answer.reading {
        Ok(reading) => reading.explain(now, &mut explained),
        Err(Failure::NotFound(message)) => {
            if !unfed::is_unregistered(api, answer.root, &mut explained).await {
                explained.why(&Why::of_metrics(message));
            }
        }
        Err(failure) => explained.unread("answer", failure),
    }
    let scrape = match node {
        Some(node) => of_node(api, &node, now, &mut explained).await,
        None => None,
    };
    if let Some(expires) = Expires::of(scrapers.as_deref(), scrape.as_ref()) {
        expires.explain(api, &mut explained);
    }
    explained
}

/// What the fleet says of the node of the pod.
async fn of_node(
    api: &KubeApi,
    node: &str,
    now: Timestamp,
    explained: &mut Explained,
) -> Option<NodeScrape> {
    let scraped = path(FLEET, &["nodescrapes", node]);
    match api.get::<NodeScrape>(&scraped).await {
        Ok(scrape) => {
            explained.line("node", format!("{node}: {}", scrape.status.state));
            of_status(&scrape.status, api, now, explained);
            Some(scrape)
        }
        Err(failure) => {
            let failure = unfed::of_fleet(api, failure).await;
            explained.unread("node", &failure);
            None
        }
    }
}

/// What Kubernetes says of the pod, and what follows from it.
fn of_pod(pod: &Pod) -> String {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
    match (phase.unwrap_or("no phase"), node) {
        (phase, None) => format!("{phase}: bound to no node, so nothing runs"),
        (phase @ ("Succeeded" | "Failed"), Some(node)) => {
            format!("{phase} on {node}: it has ended, so it has no metrics")
        }
        (phase, Some(node)) => format!("{phase} on {node}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        explain::node, kube_api::fake::Fake, metrics_api::V1BETA1 as METRICS, printed::Paint,
    };

    fn now() -> Timestamp {
        "2026-11-29T17:00:00Z".parse().unwrap()
    }

    fn running() -> Fake {
        let object = json!({
            "metadata": { "name": "web" },
            "spec": { "nodeName": "n-0", "containers": [] },
            "status": { "phase": "Running" },
        });
        Fake::default().with(METRICS, 200, json!({})).with(
            "/api/v1/namespaces/default/pods/web",
            200,
            object,
        )
    }

    #[tokio::test]
    async fn a_pod_with_metrics_shows_its_containers() {
        let usage = json!({ "cpu": "250m", "memory": "65536Ki" });
        let reading = json!({
            "timestamp": "2026-11-29T16:59:50Z", "window": "15s",
            "containers": [{ "name": "main", "usage": usage }],
        });
        let path = format!("{METRICS}/namespaces/default/pods/web");
        let explained = pod(&running().with(&path, 200, reading).api(), "web", now()).await;
        assert_eq!(explained.outcome, Outcome::Healthy);
        let text = explained.text(Paint::PLAIN);
        assert!(
            text.contains(
                "  usage       CONTAINER  CPU   MEMORY\n              main       250m  64Mi\n"
            ),
            "{text}"
        );
    }

    #[tokio::test]
    async fn where_only_v1_is_served_that_is_asked_and_named() {
        let group = json!({ "name": "metrics.k8s.io", "versions": [
            { "groupVersion": "metrics.k8s.io/v1", "version": "v1" },
        ] });
        let reading = json!({ "timestamp": "2026-11-29T16:59:50Z", "window": "15s" });
        let v1 = "/apis/metrics.k8s.io/v1";
        let served = Fake::default()
            .with("/apis/metrics.k8s.io", 200, group)
            .with(v1, 200, json!({}));
        let has = served
            .clone()
            .with(
                &format!("{v1}/namespaces/default/pods/web"),
                200,
                reading.clone(),
            )
            .with(&format!("{v1}/nodes/n-0"), 200, reading);
        for explained in [
            pod(&has.api(), "web", now()).await,
            node(&has.api(), "n-0", now()).await,
        ] {
            assert_eq!(explained.outcome, Outcome::Healthy);
            assert_eq!(explained.lines("answer"), ["metrics.k8s.io/v1"]);
            assert_eq!(explained.document()["asked"], "metrics.k8s.io/v1");
        }
        // That v1beta1 is not registered is not the reason.
        let without = pod(&served.api(), "web", now()).await;
        let missing = format!("{v1}/namespaces/default/pods/web not found");
        assert_eq!(without.lines("why"), [missing]);
    }

    #[tokio::test]
    async fn a_pod_without_metrics_gives_the_reason_of_the_frontend() {
        let why =
            json!({ "message": "no metrics for pod \"default/web\": waiting for a second sample" });
        let path = format!("{METRICS}/namespaces/default/pods/web");
        let explained = pod(&running().with(&path, 404, why).api(), "web", now()).await;
        assert_eq!(explained.outcome, Outcome::Findings);
        let expected = "no metrics for pod \"default/web\": waiting for a second sample";
        assert_eq!(explained.lines("why"), [expected]);
        assert_eq!(explained.lines("Kubernetes"), ["Running on n-0"]);
    }

    #[tokio::test]
    async fn programs_get_what_people_get_in_fields() {
        let why = json!({ "message": "no metrics for pod \"default/web\"" });
        let scrape = json!({ "metadata": { "name": "n-0" }, "status": {
            "state": "failing", "reason": "tls", "message": "x509", "remedy": "KubeletCertificate",
        } });
        let api = running()
            .with(&format!("{METRICS}/namespaces/default/pods/web"), 404, why)
            .with(&format!("{FLEET}/nodescrapes/n-0"), 200, scrape)
            .api();
        let explained = pod(&api, "web", now()).await;
        let reasons = ["no metrics for pod \"default/web\"", "tls: x509"];
        assert_eq!(explained.lines("why"), reasons);
        let mut document = explained.document();
        let scrape = document.as_object_mut().unwrap().remove("scrape").unwrap();
        assert_eq!(scrape["remedy"], "KubeletCertificate");
        let expected = json!({
            "title": "pod default/web: has no metrics", "outcome": "findings",
            "kind": "Pod", "namespace": "default", "name": "web", "state": "has no metrics",
            "phase": "Running", "node": "n-0", "asked": "metrics.k8s.io/v1beta1", "unread": [],
            "why": [
                {
                    "from": "metrics.k8s.io", "reason": "", "trouble": null,
                    "message": "no metrics for pod \"default/web\"",
                },
                {
                    "from": "fleet.tributary.dev", "reason": "tls", "message": "x509",
                    "trouble": "TRB042",
                },
            ],
        });
        assert_eq!(document, expected);
    }

    #[test]
    fn what_kubernetes_says_explains_some_of_it() {
        let of = |value| of_pod(&serde_json::from_value(value).unwrap());
        let pending = json!({ "metadata": {}, "status": { "phase": "Pending" } });
        assert_eq!(of(pending), "Pending: bound to no node, so nothing runs");
        let ended = json!({ "metadata": {}, "spec": { "nodeName": "n", "containers": [] }, "status": { "phase": "Failed" } });
        assert_eq!(of(ended), "Failed on n: it has ended, so it has no metrics");
    }
}
