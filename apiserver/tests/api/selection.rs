//! Which objects a list has (docs/parity.md#selection).

use crate::cluster::{Cluster, container, get, names};

const NODES: &str = "/apis/metrics.k8s.io/v1beta1/nodes";
const PODS: &str = "/apis/metrics.k8s.io/v1beta1/pods";
const DEFAULT: &str = "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods";

#[tokio::test]
async fn labels_select() {
    let router = Cluster::small().router();
    for (path, selector, expected) in [
        (PODS, "app%3Dweb", &["web-1", "web-2"][..]),
        (PODS, "app%20in%20(dns)", &["dns"]),
        (PODS, "!app", &[]),
        (NODES, "role!%3Da", &["n1"]),
        (NODES, "kubernetes.io/hostname", &["n2"]),
        (DEFAULT, "app%3Ddns", &[]),
    ] {
        let found = names(&router, &format!("{path}?labelSelector={selector}")).await;
        assert_eq!(found, expected, "{path} {selector}");
    }
}

/// The API server does not bound how many labels an object has.
#[tokio::test]
async fn an_object_with_too_many_labels_is_served_and_selected_by_none() {
    let cluster = Cluster::small();
    let many: Vec<String> = (0..60_000).map(|n| format!("{n:05}")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|key| (&**key, "")).collect();
    cluster.pod("default", "web-1", &[&[("app", "web")], &*many].concat());
    cluster.node("n1", &[&[("role", "a")], &*many].concat());
    let router = cluster.router();
    for (path, selector, expected) in [
        (PODS, "", &["web-1", "web-2", "dns"][..]),
        (PODS, "app%3Dweb", &["web-2"]),
        (PODS, "00001", &[]),
        (PODS, "!00001", &["web-2", "dns"]),
        (PODS, "app%20notin%20(dns)", &["web-2"]),
        (NODES, "", &["n1", "n2"]),
        (NODES, "role!%3Da", &[]),
        (NODES, "!00001", &["n2"]),
    ] {
        let found = names(&router, &format!("{path}?labelSelector={selector}")).await;
        assert_eq!(found, expected, "{path} {selector}");
    }
    for path in [format!("{DEFAULT}/web-1"), format!("{NODES}/n1")] {
        let object = get(&router, &path).await;
        assert!(!object.contains("labels"), "{object}");
    }
}

#[tokio::test]
async fn fields_select() {
    let router = Cluster::small().router();
    for (path, selector, expected) in [
        (PODS, "metadata.name%3Ddns", &["dns"][..]),
        (PODS, "metadata.namespace%3Dkube-system", &["dns"]),
        (
            PODS,
            "metadata.namespace!%3Dkube-system",
            &["web-1", "web-2"],
        ),
        (
            PODS,
            "metadata.name%3Dweb-1,metadata.namespace%3Ddefault",
            &["web-1"],
        ),
        (PODS, "metadata.name%3Dweb-1,metadata.name!%3Dweb-1", &[]),
        (DEFAULT, "metadata.name%3Dweb-2", &["web-2"]),
        (DEFAULT, "metadata.name%3Dnew", &[]),
        (DEFAULT, "metadata.namespace%3Dkube-system", &[]),
        (NODES, "metadata.name%3Dn2", &["n2"]),
        (NODES, "metadata.name!%3Dn2", &["n1"]),
        (NODES, "metadata.name%3Dn3", &[]),
        (NODES, "metadata.namespace%3D", &["n1", "n2"]),
        (NODES, "metadata.namespace%3Dx", &[]),
    ] {
        let found = names(&router, &format!("{path}?fieldSelector={selector}")).await;
        assert_eq!(found, expected, "{path} {selector}");
    }
}

#[tokio::test]
async fn pods_are_selected_by_their_node() {
    let router = Cluster::small().router();
    for (selector, expected) in [
        ("spec.nodeName%3Dn1", &["web-1", "web-2"][..]),
        ("spec.nodeName%3D%3Dn2", &["dns"]),
        ("spec.nodeName!%3Dn1", &["dns"]),
        ("spec.nodeName%3Dn1,metadata.name%3Dweb-2", &["web-2"]),
        ("spec.nodeName%3Dn3", &[]),
    ] {
        let found = names(&router, &format!("{PODS}?fieldSelector={selector}")).await;
        assert_eq!(found, expected, "{selector}");
    }
}

#[tokio::test]
async fn labels_and_fields_must_both_hold() {
    let router = Cluster::small().router();
    let path = format!("{PODS}?labelSelector=app%3Dweb&fieldSelector=metadata.name!%3Dweb-1");
    assert_eq!(names(&router, &path).await, ["web-2"]);
}

#[tokio::test]
async fn a_list_of_nodes_keeps_to_the_node_selector_and_a_get_does_not() {
    let mut cluster = Cluster::small();
    cluster.api.node_selector = Some("role=a".parse().unwrap());
    let router = cluster.router();
    assert_eq!(names(&router, NODES).await, ["n2"]);
    assert!(
        names(&router, &format!("{NODES}?labelSelector=role%3Db"))
            .await
            .is_empty()
    );
    get(&router, &format!("{NODES}/n1")).await;
}

#[tokio::test]
async fn a_pod_that_does_not_exist_is_not_served_though_it_is_reported() {
    let cluster = Cluster::small();
    let gone = container(("default", "gone"), "c", (12_500, 1024, None));
    cluster.report("n3", (12_500, 1024, None), &[gone]);
    let router = cluster.router();
    assert_eq!(names(&router, PODS).await, ["web-1", "web-2", "dns"]);
    assert_eq!(names(&router, NODES).await, ["n1", "n2", "n3"]);
}
