//! The `Warning` header: which answers have it, for which clients.

use std::time::Duration;

use tributary_apiserver::store::{FailedScrape, Source};
use tributary_model::Timestamp;

use crate::cluster::{Cluster, NEWER, NOW, ask};

const V1: &str = "/apis/metrics.k8s.io/v1beta1";
const KUBECTL: (&str, &str) = (
    "user-agent",
    "kubectl/v1.37.1 (linux/amd64) kubernetes/5a2b8f3",
);
const AUTOSCALER: (&str, &str) = (
    "user-agent",
    "kube-controller-manager/v1.37.1 (linux/amd64) kubernetes/5a2b8f3/horizontal-pod-autoscaler",
);

/// The small cluster, in which `n3` fails, with a pod on each node.
fn cluster() -> Cluster {
    let cluster = Cluster::small();
    cluster.bound_pod(("default", "web-1"), "n1");
    cluster.bound_pod(("default", "web-2"), "n1");
    cluster.bound_pod(("kube-system", "dns"), "n2");
    cluster.bound_pod(("jobs", "lost"), "n3");
    let failed = FailedScrape {
        asked_at: Timestamp::from_millis(NOW - 12_000),
        by: "scraper-2".into(),
        reason: "tls",
        message: "x509: unknown authority".into(),
    };
    let source = Source {
        name: "scraper-2".into(),
        resolution: Duration::from_secs(15),
    };
    cluster.api.store.fail(&"n3".into(), failed, &source);
    cluster
}

/// The text of the warning in the answer, if there is one, for this client.
async fn warned(cluster: &Cluster, path: &str, client: (&str, &str)) -> Option<String> {
    let router = cluster.clone().router();
    let answer = ask(&router, &format!("{V1}/{path}"), &[client]).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    assert!(answer.headers.get_all("warning").iter().count() <= 1);
    let warning = answer.header("warning")?;
    let text = warning.strip_prefix("299 - \"")?.strip_suffix('"')?;
    Some(
        text.strip_suffix("; see kubectl get nodescrapes")?
            .to_owned(),
    )
}

#[tokio::test]
async fn kubectl_is_warned_of_what_a_list_lacks() {
    let cluster = cluster();
    let nodes = Some("1 node has no metrics: n3 (tls)");
    let pods = Some("pods of 1 node have no metrics: n3 (tls)");
    for (path, text) in [
        ("nodes", nodes),
        ("nodes?labelSelector=!role", nodes),
        ("nodes?labelSelector=role%3Da", None),
        ("nodes?fieldSelector=metadata.name%3Dn3", nodes),
        ("nodes?fieldSelector=metadata.name%3Dn1", None),
        ("nodes?limit=1", nodes),
        ("pods", pods),
        ("namespaces/jobs/pods", pods),
        ("namespaces/default/pods", None),
        ("namespaces/none/pods", None),
        ("pods?labelSelector=app", None),
        ("pods?fieldSelector=spec.nodeName%3Dn3", pods),
        ("pods?fieldSelector=spec.nodeName%3Dn2", None),
        ("nodes/n1", None),
        ("namespaces/default/pods/web-1", None),
    ] {
        let found = warned(&cluster, path, KUBECTL).await;
        assert_eq!(found.as_deref(), text, "{path}");
        assert_eq!(warned(&cluster, path, AUTOSCALER).await, None, "{path}");
    }
}

#[tokio::test]
async fn kubectl_is_warned_of_old_metrics() {
    let mut cluster = cluster();
    // The samples are older than 1.5 resolutions, and younger than three.
    cluster.ask_at(NEWER + 30_000);
    for (path, text) in [
        (
            "nodes",
            "1 node has no metrics: n3 (tls); 2 nodes have old metrics: n1, n2",
        ),
        (
            "pods",
            "pods of 1 node have no metrics: n3 (tls); pods of 2 nodes have old metrics: n1, n2",
        ),
        ("nodes/n1", "1 node has old metrics: n1"),
        (
            "namespaces/default/pods",
            "pods of 1 node have old metrics: n1",
        ),
        (
            "namespaces/default/pods/web-1",
            "pods of 1 node have old metrics: n1",
        ),
    ] {
        let found = warned(&cluster, path, KUBECTL).await;
        assert_eq!(found.as_deref(), Some(text), "{path}");
        assert_eq!(warned(&cluster, path, AUTOSCALER).await, None, "{path}");
    }
}

#[tokio::test]
async fn a_list_in_parts_warns_once() {
    let cluster = cluster();
    let router = cluster.clone().router();
    let first = ask(&router, &format!("{V1}/nodes?limit=1"), &[KUBECTL]).await;
    let list: serde_json::Value = serde_json::from_str(&first.body).unwrap();
    let token = list["metadata"]["continue"].as_str().unwrap();
    assert!(first.header("warning").is_some());
    let path = format!("{V1}/nodes?limit=1&continue={token}");
    let next = ask(&router, &path, &[KUBECTL]).await;
    assert_eq!((next.status.as_u16(), next.header("warning")), (200, None));
}

#[tokio::test]
async fn nodes_outside_of_the_selector_are_not_missing() {
    let mut cluster = cluster();
    cluster.api.node_selector = Some("role".parse().unwrap());
    assert_eq!(warned(&cluster, "nodes", KUBECTL).await, None);
    assert_eq!(warned(&cluster, "pods", KUBECTL).await, None);
}

#[tokio::test]
async fn without_trouble_there_is_no_warning() {
    let cluster = cluster();
    cluster.api.catalog.remove_node("n3");
    for path in ["nodes", "pods", "namespaces/default/pods"] {
        assert_eq!(warned(&cluster, path, KUBECTL).await, None, "{path}");
    }
}
