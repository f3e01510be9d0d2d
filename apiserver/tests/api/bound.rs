//! A pod's numbers count only from the node that it is bound to
//! (docs/decisions/0020-numbers-count-from-the-bound-node.md).

use axum::Router;

use crate::cluster::{Cluster, ask, container, names};

const PODS: &str = "/apis/metrics.k8s.io/v1beta1/pods";
const DB: &str = "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods/db-0";
const NAME: (&str, &str) = ("default", "db-0");

fn cluster() -> Cluster {
    let cluster = Cluster::empty();
    for node in ["n1", "n2"] {
        cluster.node(node, &[]);
    }
    cluster
}

/// `node` reports the pods, each with this many MiB.
fn report(cluster: &Cluster, node: &str, pods: &[((&'static str, &'static str), u64)]) {
    let pods: Vec<_> = pods
        .iter()
        .map(|(pod, mebibytes)| container(*pod, "main", (3_125_000_000, mebibytes << 20, None)))
        .collect();
    cluster.report(node, (18_750_000_000, 1_000_000, None), &pods);
}

/// The memory of the pod db-0, or the message of the refusal.
async fn db(router: &Router) -> String {
    let answer = ask(router, DB, &[]).await;
    let text = |from: &str, to: char| {
        let (_, rest) = answer.body.split_once(from).unwrap();
        rest.split(to).next().unwrap().to_owned()
    };
    if answer.status == 200 {
        text("\"memory\":\"", '"')
    } else {
        assert_eq!(answer.status, 404, "{}", answer.body);
        text("\"message\":\"", ',').replace('\\', "")
    }
}

#[tokio::test]
async fn a_pod_that_is_newer_than_the_watch_is_served_once_it_is_known() {
    let cluster = cluster();
    let router = cluster.clone().router();
    report(&cluster, "n1", &[(NAME, 1)]);
    report(&cluster, "n2", &[(NAME, 7)]);
    assert!(
        db(&router).await.contains("not found"),
        "{}",
        db(&router).await
    );
    assert_eq!(names(&router, PODS).await, [""; 0]);
    // Nothing was lost meanwhile: no further reading comes.
    cluster.bound_pod(NAME, "n1");
    assert_eq!(db(&router).await, "1Mi");
    assert_eq!(names(&router, PODS).await, ["db-0"]);
}

#[tokio::test]
async fn a_pod_that_is_recreated_elsewhere_is_served_from_one_node_at_any_time() {
    let mut cluster = cluster();
    let router = cluster.clone().router();
    cluster.bound_pod(NAME, "n1");
    report(&cluster, "n1", &[(NAME, 1)]);
    assert_eq!(db(&router).await, "1Mi");
    // It runs on another node, and the watch is late: what is known stays in force, also
    // beside one that claims it.
    report(&cluster, "n2", &[(NAME, 7)]);
    assert_eq!(db(&router).await, "1Mi");
    // The watch says so while both report it.
    cluster.bound_pod(NAME, "n2");
    assert_eq!(db(&router).await, "7Mi");
    // The old node is late, and still reports it.
    cluster.newer += 15_000;
    report(&cluster, "n1", &[(NAME, 1)]);
    assert_eq!(db(&router).await, "7Mi");
    for (node, expected) in [("n1", &[][..]), ("n2", &["db-0"])] {
        let path = format!("{PODS}?fieldSelector=spec.nodeName%3D{node}");
        assert_eq!(names(&router, &path).await, expected, "{node}");
    }
}

#[tokio::test]
async fn a_watch_that_is_late_loses_no_pod_that_moved_meanwhile() {
    let mut cluster = cluster();
    let router = cluster.clone().router();
    let stays = ("default", "stays");
    cluster.bound_pod(NAME, "n1");
    cluster.bound_pod(stays, "n1");
    cluster.newer -= 15_000;
    report(&cluster, "n1", &[(NAME, 1), (stays, 1)]);
    assert_eq!(names(&router, PODS).await, ["db-0", "stays"]);
    // Its old node has dropped it, and nobody can tell its new one from a stranger. What
    // the old one said is served for as long as after a failed scrape.
    cluster.newer += 15_000;
    report(&cluster, "n1", &[(stays, 1)]);
    report(&cluster, "n2", &[(NAME, 7)]);
    assert_eq!(names(&router, PODS).await, ["db-0", "stays"]);
    assert_eq!(db(&router).await, "1Mi");
    // What came in meanwhile counts as soon as the watch says where it is.
    cluster.bound_pod(NAME, "n2");
    assert_eq!(names(&router, PODS).await, ["db-0", "stays"]);
    assert_eq!(db(&router).await, "7Mi");
}

#[tokio::test]
async fn a_static_pod_is_as_any_other() {
    let cluster = cluster();
    let router = cluster.clone().router();
    // The kubelet reports it by the name of its mirror pod, which is bound from the
    // start; that the two have different uids is not looked at.
    let etcd = ("kube-system", "etcd-n1");
    report(&cluster, "n1", &[(etcd, 1)]);
    report(&cluster, "n2", &[(etcd, 7)]);
    cluster.bound_pod(etcd, "n1");
    assert_eq!(names(&router, PODS).await, ["etcd-n1"]);
    let path = "/apis/metrics.k8s.io/v1beta1/namespaces/kube-system/pods/etcd-n1";
    let answer = ask(&router, path, &[]).await;
    assert!(
        answer.body.contains("\"memory\":\"1Mi\""),
        "{}",
        answer.body
    );
}
