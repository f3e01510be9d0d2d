//! How clients find the group (docs/parity.md#discovery).

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
    let fleet = concat!(
        r#""name":"fleet.tributary.dev","versions":[{"groupVersion":"fleet.tributary.dev/v1alpha1","version":"v1alpha1"}],"#,
        r#""preferredVersion":{"groupVersion":"fleet.tributary.dev/v1alpha1","version":"v1alpha1"}"#
    );
    let group = format!(r#"{{"kind":"APIGroup","apiVersion":"v1",{fleet}}}"#);
    assert_eq!(get(&router, "/apis/fleet.tributary.dev").await, group);
    let groups = format!(
        r#"{{"kind":"APIGroupList","groups":[{{{fields},{address}}},{{{fleet},{address}}}]}}"#
    );
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
    "/apis/fleet.tributary.dev",
    "/apis/fleet.tributary.dev/v1alpha1",
    "/apis/metrics.k8s.io",
    "/apis/metrics.k8s.io/v1",
    "/apis/metrics.k8s.io/v1beta1",
    "/livez",
    "/openapi/v2",
    "/openapi/v3",
    "/openapi/v3/",
    "/readyz",
    "/version"
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

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
    application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";

fn aggregated(version: &str) -> String {
    let resources = concat!(
        r#""resources":[{"resource":"nodes","responseKind":{"group":"","version":"","kind":"NodeMetrics"},"scope":"Cluster","singularResource":"","verbs":["get","list"]},"#,
        r#"{"resource":"pods","responseKind":{"group":"","version":"","kind":"PodMetrics"},"scope":"Namespaced","singularResource":"","verbs":["get","list"]}],"freshness":"Current"}"#,
    );
    let fleet = [
        ("nodescrape", "NodeScrape"),
        ("scraper", "Scraper"),
        ("metricsfrontend", "MetricsFrontend"),
    ];
    let fleet = fleet.map(|(name, kind)| {
        format!(
            concat!(
                r#"{{"resource":"{}s","responseKind":{{"group":"","version":"","kind":"{}"}},"#,
                r#""scope":"Cluster","singularResource":"{}","verbs":["get","list","watch"]}}"#
            ),
            name, kind, name
        )
    });
    let usages = concat!(
        r#"{"resource":"nodeusages","responseKind":{"group":"","version":"","kind":"NodeUsage"},"scope":"Cluster","singularResource":"nodeusage","verbs":["get","list"]},"#,
        r#"{"resource":"podusages","responseKind":{"group":"","version":"","kind":"PodUsage"},"scope":"Namespaced","singularResource":"podusage","verbs":["get","list"]}"#,
    );
    let fleet = [&fleet[..], &[usages.to_owned()]].concat().join(",");
    format!(
        concat!(
            r#"{{"kind":"APIGroupDiscoveryList","apiVersion":"apidiscovery.k8s.io/{version}","metadata":{{}},"#,
            r#""items":[{{"metadata":{{"name":"metrics.k8s.io"}},"versions":[{{"version":"v1",{resources},{{"version":"v1beta1",{resources}]}},"#,
            r#"{{"metadata":{{"name":"fleet.tributary.dev"}},"versions":[{{"version":"v1alpha1","resources":[{fleet}],"freshness":"Current"}}]}}]}}"#,
            "\n"
        ),
        version = version,
        resources = resources,
        fleet = fleet
    )
}

#[tokio::test]
async fn the_aggregator_gets_everything_in_one_document_and_then_304() {
    let router = Cluster::unread().router();
    let accept = ("accept", AGGREGATED);
    let answer = ask(&router, "/apis", &[accept]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body, aggregated("v2"));
    for (name, value) in [
        (
            "content-type",
            "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        ),
        ("vary", "Accept"),
        ("cache-control", "public"),
    ] {
        assert_eq!(answer.header(name), Some(value));
    }
    let tag = answer.header("etag").unwrap();
    assert_eq!(tag.len(), 130, "SHA-512 in hex and two quotes: {tag}");
    let again = ask(&router, "/apis", &[accept, ("if-none-match", tag)]).await;
    assert_eq!((again.status.as_u16(), &*again.body), (304, ""));
    assert_eq!(again.header("etag"), Some(tag));
    assert_eq!(again.header("vary"), Some("Accept"));

    let older = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";
    let older = ask(&router, "/apis", &[("accept", older)]).await;
    assert_eq!(older.body, aggregated("v2beta1"));
}

#[tokio::test]
async fn discovery_is_served_in_every_encoding() {
    let router = Cluster::unread().router();
    let yaml = [("accept", "application/yaml")];
    let answer = ask(&router, "/apis/metrics.k8s.io", &yaml).await;
    assert_eq!(
        answer.body,
        "apiVersion: v1\nkind: APIGroup\nname: metrics.k8s.io\npreferredVersion:\n  \
         groupVersion: metrics.k8s.io/v1\n  version: v1\nversions:\n\
         - groupVersion: metrics.k8s.io/v1\n  version: v1\n\
         - groupVersion: metrics.k8s.io/v1beta1\n  version: v1beta1\n"
    );
    let protobuf = [("accept", "application/vnd.kubernetes.protobuf")];
    let answer = ask(&router, "/apis/metrics.k8s.io", &protobuf).await;
    assert_eq!(
        answer.bytes,
        b"k8s\0\x0a\x0e\x0a\x02v1\x12\x08APIGroup\x12\x65\
          \x0a\x0emetrics.k8s.io\
          \x12\x17\x0a\x11metrics.k8s.io/v1\x12\x02v1\
          \x12\x21\x0a\x16metrics.k8s.io/v1beta1\x12\x07v1beta1\
          \x1a\x17\x0a\x11metrics.k8s.io/v1\x12\x02v1\
          \x1a\x00\x22\x00"
    );
}

#[tokio::test]
async fn the_version_is_ours() {
    let router = Cluster::unread().router();
    let answer = ask(&router, "/version", &[]).await;
    assert!(answer.body.starts_with("{\n  \"major\": \"0\",\n"));
    let version: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(version["gitVersion"], "v0.1.0");
    assert_eq!(version["compiler"], "rustc");
}
