//! Objects and lists as they are, byte by byte (docs/parity.md#objects).

use crate::cluster::{Cluster, ask, container, get};

const N1: &str = concat!(
    r#""metadata":{"name":"n1","creationTimestamp":"2026-11-21T01:29:46Z","labels":{"role":"b"}},"#,
    r#""timestamp":"2026-11-21T01:29:44Z","window":"12.5s","#,
    r#""usage":{"cpu":"250m","memory":"1578392Ki"}}"#
);

const WEB_1: &str = concat!(
    r#""metadata":{"name":"web-1","namespace":"default","#,
    r#""creationTimestamp":"2026-11-21T01:29:46Z","labels":{"app":"web"}},"#,
    r#""timestamp":"2026-11-21T01:29:44Z","window":"12.5s","containers":["#,
    r#"{"name":"c1","usage":{"cpu":"250m","memory":"12240Ki"}},"#,
    r#"{"name":"c2","usage":{"cpu":"249999999n","memory":"1000003"}}]}"#
);

const DNS: &str = concat!(
    r#""metadata":{"name":"dns","namespace":"kube-system","#,
    r#""creationTimestamp":"2026-11-21T01:29:46Z","labels":{"app":"dns"}},"#,
    r#""timestamp":"2026-11-21T01:29:44Z","window":"12.5s","containers":["#,
    r#"{"name":"d","usage":{"cpu":"250m","memory":"512Mi","swap":"4Ki"}}]}"#
);

#[tokio::test]
async fn slashes_at_the_end_are_forgiven() {
    let router = Cluster::small().router();
    for path in [
        "/version",
        "/apis/metrics.k8s.io",
        "/apis/metrics.k8s.io/v1beta1",
        "/apis/metrics.k8s.io/v1beta1/nodes",
        "/apis/metrics.k8s.io/v1beta1/nodes/n1",
        "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods/web-1",
        "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods",
    ] {
        for slashes in ["/", "//", "///"] {
            let with_slashes = ask(&router, &format!("{path}{slashes}"), &[]).await;
            assert_eq!(with_slashes.status, 200, "{path}{slashes}");
            let without = ask(&router, path, &[]).await;
            assert_eq!(with_slashes.body, without.body, "{path}{slashes}");
        }
    }
    for path in ["/apis//", "//", "//apis/metrics.k8s.io/v1beta1/nodes"] {
        assert_eq!(ask(&router, path, &[]).await.status, 404, "{path}");
    }
}

/// As kube-apiserver does for its own resources: no namespace is all of them.
#[tokio::test]
async fn an_empty_namespace_is_none() {
    let router = Cluster::small().router();
    let base = "/apis/metrics.k8s.io/v1beta1";
    let all = get(&router, &format!("{base}/pods")).await;
    assert!(all.contains(WEB_1) && all.contains(DNS), "{all}");
    for path in [
        "namespaces//pods",
        "namespaces//pods/",
        "namespaces/%2Fpods",
    ] {
        assert_eq!(get(&router, &format!("{base}/{path}")).await, all, "{path}");
    }
}

#[tokio::test]
async fn a_node_is_served_in_both_versions() {
    let router = Cluster::small().router();
    for version in ["v1", "v1beta1"] {
        assert_eq!(
            get(&router, &format!("/apis/metrics.k8s.io/{version}/nodes/n1")).await,
            format!(r#"{{"kind":"NodeMetrics","apiVersion":"metrics.k8s.io/{version}",{N1}"#)
        );
    }
}

#[tokio::test]
async fn a_list_of_nodes_leaves_out_those_without_metrics() {
    let router = Cluster::small().router();
    let n2 = concat!(
        r#"{"metadata":{"name":"n2","creationTimestamp":"2026-11-21T01:29:46Z","#,
        r#""labels":{"kubernetes.io/hostname":"n2","role":"a"}},"#,
        r#""timestamp":"2026-11-21T01:29:44Z","window":"12.5s","#,
        r#""usage":{"cpu":"1500m","memory":"1000000","swap":"0"}}"#
    );
    let expected = format!(
        r#"{{"kind":"NodeMetricsList","apiVersion":"metrics.k8s.io/v1beta1","metadata":{{}},"items":[{{{N1},{n2}]}}"#
    );
    assert_eq!(
        get(&router, "/apis/metrics.k8s.io/v1beta1/nodes").await,
        expected
    );
    assert_eq!(
        get(&router, "/apis/metrics.k8s.io/v1beta1/nodes/").await,
        expected
    );
    assert_eq!(
        get(&router, "/apis/metrics.k8s.io/v1beta1/nodes/?x").await,
        expected
    );
}

#[tokio::test]
async fn a_pod_is_served_with_its_containers_by_name() {
    let router = Cluster::small().router();
    assert_eq!(
        get(
            &router,
            "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods/web-1"
        )
        .await,
        format!(r#"{{"kind":"PodMetrics","apiVersion":"metrics.k8s.io/v1beta1",{WEB_1}"#)
    );
}

#[tokio::test]
async fn a_list_of_pods_is_by_namespace_and_name() {
    let router = Cluster::small().router();
    let web_2 = concat!(
        r#"{"metadata":{"name":"web-2","namespace":"default","#,
        r#""creationTimestamp":"2026-11-21T01:29:46Z","labels":{"app":"web"}},"#,
        r#""timestamp":"2026-11-21T01:29:44Z","window":"12.5s","containers":["#,
        r#"{"name":"c1","usage":{"cpu":"1u","memory":"1Mi"}}]}"#
    );
    let list = |items: &str| {
        format!(
            r#"{{"kind":"PodMetricsList","apiVersion":"metrics.k8s.io/v1","metadata":{{}},"items":[{items}]}}"#
        )
    };
    assert_eq!(
        get(&router, "/apis/metrics.k8s.io/v1/pods").await,
        list(&format!("{{{WEB_1},{web_2},{{{DNS}"))
    );
    for path in ["namespaces/default/pods", "namespaces/default/pods/"] {
        assert_eq!(
            get(&router, &format!("/apis/metrics.k8s.io/v1/{path}")).await,
            list(&format!("{{{WEB_1},{web_2}"))
        );
    }
    assert_eq!(
        get(&router, "/apis/metrics.k8s.io/v1/namespaces/none/pods").await,
        list("")
    );
}

#[tokio::test]
async fn an_empty_cluster_is_an_empty_list_and_not_null() {
    let router = Cluster::empty().router();
    assert_eq!(
        get(&router, "/apis/metrics.k8s.io/v1beta1/nodes").await,
        r#"{"kind":"NodeMetricsList","apiVersion":"metrics.k8s.io/v1beta1","metadata":{},"items":[]}"#
    );
}

#[tokio::test]
async fn a_small_answer_says_how_long_it_is_and_is_for_no_cache() {
    let router = Cluster::small().router();
    let answer = ask(&router, "/apis/metrics.k8s.io/v1beta1/nodes/n1", &[]).await;
    assert_eq!(
        answer.header("content-length"),
        Some(&*answer.body.len().to_string())
    );
    assert_eq!(answer.header("cache-control"), Some("no-cache, private"));
}

#[tokio::test]
async fn people_get_indented_json() {
    let router = Cluster::small().router();
    let path = "/apis/metrics.k8s.io/v1beta1/nodes?labelSelector=role%3Db";
    let expected = r#"{
  "kind": "NodeMetricsList",
  "apiVersion": "metrics.k8s.io/v1beta1",
  "metadata": {},
  "items": [
    {
      "metadata": {
        "name": "n1",
        "creationTimestamp": "2026-11-21T01:29:46Z",
        "labels": {
          "role": "b"
        }
      },
      "timestamp": "2026-11-21T01:29:44Z",
      "window": "12.5s",
      "usage": {
        "cpu": "250m",
        "memory": "1578392Ki"
      }
    }
  ]
}"#;
    assert_eq!(
        ask(&router, &format!("{path}&pretty=true"), &[]).await.body,
        expected
    );
    let curl = ask(&router, path, &[("user-agent", "curl/8.5.0")]).await;
    assert_eq!(curl.body, expected);
    assert_eq!(
        curl.header("content-length"),
        Some(&*expected.len().to_string())
    );
}

#[tokio::test]
async fn names_are_written_so_that_they_cannot_break_out_of_quotes() {
    let cluster = Cluster::empty();
    cluster.pod("default", "odd", &[("a", "<b>&\"c\"")]);
    let odd = container(("default", "odd"), "c", (12_500, 1, None));
    cluster.report("n1", (12_500, 1, None), &[odd]);
    let router = cluster.router();
    let body = get(
        &router,
        "/apis/metrics.k8s.io/v1/namespaces/default/pods/odd",
    )
    .await;
    assert!(
        body.contains(r#""labels":{"a":"\u003cb\u003e\u0026\"c\""}"#),
        "{body}"
    );
}
