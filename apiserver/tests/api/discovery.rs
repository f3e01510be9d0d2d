//! How clients find the group (PARITY 5.1).

use crate::cluster::{Cluster, ask, get};

#[tokio::test]
async fn the_group_is_described_with_both_versions() {
    let router = Cluster::unread().router();
    let fields = concat!(
        r#""name":"metrics.k8s.io","versions":[{"groupVersion":"metrics.k8s.io/v1","version":"v1"},"#,
        r#"{"groupVersion":"metrics.k8s.io/v1beta1","version":"v1beta1"}],"#,
        r#""preferredVersion":{"groupVersion":"metrics.k8s.io/v1","version":"v1"}"#
    );
    let group = format!(r#"{{"kind":"APIGroup","apiVersion":"v1",{fields}}}"#);
    assert_eq!(get(&router, "/apis/metrics.k8s.io").await, group);
    assert_eq!(get(&router, "/apis/metrics.k8s.io/").await, group);
    let address =
        r#""serverAddressByClientCIDRs":[{"clientCIDR":"0.0.0.0/0","serverAddress":":10250"}]"#;
    let groups = format!(r#"{{"kind":"APIGroupList","groups":[{{{fields},{address}}}]}}"#);
    assert_eq!(get(&router, "/apis").await, groups);
    assert_eq!(get(&router, "/apis/").await, groups);
}

#[tokio::test]
async fn each_version_has_nodes_and_pods() {
    let router = Cluster::unread().router();
    for version in ["v1", "v1beta1"] {
        let expected = format!(
            concat!(
                r#"{{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"metrics.k8s.io/{}","resources":["#,
                r#"{{"name":"nodes","singularName":"","namespaced":false,"kind":"NodeMetrics","verbs":["get","list"]}},"#,
                r#"{{"name":"pods","singularName":"","namespaced":true,"kind":"PodMetrics","verbs":["get","list"]}}]}}"#
            ),
            version
        );
        assert_eq!(
            get(&router, &format!("/apis/metrics.k8s.io/{version}")).await,
            expected
        );
        assert_eq!(
            get(&router, &format!("/apis/metrics.k8s.io/{version}/")).await,
            expected
        );
    }
}

const PATHS: &str = r#"{
  "paths": [
    "/apis",
    "/apis/metrics.k8s.io",
    "/apis/metrics.k8s.io/v1",
    "/apis/metrics.k8s.io/v1beta1",
    "/livez",
    "/readyz"
  ]
}"#;

#[tokio::test]
async fn the_root_lists_the_paths_and_so_does_what_is_unknown_outside_of_the_group() {
    let router = Cluster::unread().router();
    let root = ask(&router, "/", &[]).await;
    assert_eq!((root.status.as_u16(), &*root.body), (200, PATHS));
    for path in ["/api", "/apis/foo", "/apis/metrics.k8s.iox", "/nothing"] {
        let answer = ask(&router, path, &[("user-agent", "curl/8")]).await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.body),
            (404, PATHS),
            "{path}"
        );
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
    let below = ask(&router, "/apis/metrics.k8s.io/v2/nodes", &[]).await;
    assert_eq!(below.status, 404);
    assert!(
        below
            .body
            .contains("the server could not find the requested resource")
    );
}
