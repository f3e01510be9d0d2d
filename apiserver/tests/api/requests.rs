//! Every request that real clients were recorded to send through kube-apiserver
//! 1.36: kubectl 1.27 and 1.33, the HPA controller, the aggregator.

use crate::cluster::{Cluster, ask};

const PROTOBUF: Option<&str> = Some("application/vnd.kubernetes.protobuf, */*");
const JSON: Option<&str> = Some("application/json");
const TABLE: Option<&str> = Some(
    "application/json;as=Table;v=v1;g=meta.k8s.io,\
     application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
);
const AGGREGATED: Option<&str> = Some(
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
     application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
);

const KUBECTL: &str = "kubectl.1.33/v1.33.1 (linux/amd64)";
const HPA: &str = "kube-controller-manager/v0.0.0 (linux/amd64)";
const GO: &str = "Go-http-client/1.1";

/// Path below the version, accept, agent; status and kind of the answer.
const REQUESTS: &[(&str, Option<&str>, &str, u16, &str)] = &[
    ("/nodes", PROTOBUF, KUBECTL, 200, "NodeMetricsList"),
    ("/nodes/node-00001", PROTOBUF, KUBECTL, 200, "NodeMetrics"),
    ("/pods", PROTOBUF, KUBECTL, 200, "PodMetricsList"),
    (
        "/namespaces/ns-0000/pods?labelSelector=app%3Dapp-1",
        PROTOBUF,
        KUBECTL,
        200,
        "PodMetricsList",
    ),
    (
        "?timeout=32s",
        Some("application/json, */*"),
        KUBECTL,
        200,
        "APIResourceList",
    ),
    ("/nodes?limit=500", TABLE, KUBECTL, 200, "Table"),
    (
        "/namespaces/ns-0000/pods?limit=500",
        TABLE,
        KUBECTL,
        200,
        "Table",
    ),
    (
        "/namespaces/ns-0000/pods?limit=500",
        JSON,
        KUBECTL,
        200,
        "PodMetricsList",
    ),
    ("/pods?limit=5", TABLE, KUBECTL, 200, "Table"),
    ("/nodes?limit=500&timeout=3s", TABLE, KUBECTL, 200, "Table"),
    (
        "/nodes?timeout=3s&watch=true",
        TABLE,
        KUBECTL,
        405,
        "Status",
    ),
    (
        "/namespaces/ns-0000/pods/nosuch",
        TABLE,
        KUBECTL,
        404,
        "Status",
    ),
    (
        "/namespaces/ns-0000/pods/nosuch",
        PROTOBUF,
        KUBECTL,
        404,
        "Status",
    ),
    ("", None, GO, 200, "APIResourceList"),
    (
        "/namespaces/ns-0000/pods?labelSelector=app%3Dweb%2Ctier%3Dfront",
        PROTOBUF,
        HPA,
        200,
        "PodMetricsList",
    ),
];

#[tokio::test]
async fn recorded_requests_are_answered_in_both_versions() {
    let cluster = Cluster::small();
    cluster.node("node-00001", &[]);
    cluster.report("node-00001", (12_500, 1024, None), &[]);
    let router = cluster.router();
    for version in ["v1", "v1beta1"] {
        for (path, accept, agent, status, kind) in REQUESTS {
            let path = format!("/apis/metrics.k8s.io/{version}{path}");
            let mut headers = vec![
                ("user-agent", *agent),
                ("accept-encoding", "gzip"),
                ("x-remote-user", "kubernetes-admin"),
                ("x-remote-group", "system:masters"),
            ];
            headers.extend(accept.map(|accept| ("accept", accept)));
            let answer = ask(&router, &path, &headers).await;
            assert_eq!(answer.status, *status, "{path}: {}", answer.body);
            assert_eq!(answer.header("content-encoding"), None);
            let protobuf = *accept == PROTOBUF;
            let (kind_of, start) = if protobuf {
                // Magic, the tag of the kind, and two lengths.
                let api_version = match *kind {
                    "Status" => "v1".to_owned(),
                    _ => format!("metrics.k8s.io/{version}"),
                };
                let (long, short) = (api_version.len(), kind.len());
                let mut start = b"k8s\0\x0a".to_vec();
                start.push(u8::try_from(long + short + 4).unwrap());
                start.extend([0x0a, u8::try_from(long).unwrap()]);
                start.extend(api_version.bytes());
                start.extend([0x12, u8::try_from(short).unwrap()]);
                start.extend(kind.bytes());
                ("application/vnd.kubernetes.protobuf", start)
            } else {
                let start = format!("{{\"kind\":\"{kind}\",");
                ("application/json", start.into_bytes())
            };
            assert_eq!(answer.header("content-type"), Some(kind_of));
            assert!(answer.bytes.starts_with(&start), "{path}: {}", answer.body);
        }
    }
}

#[tokio::test]
async fn the_aggregator_and_explain_find_what_they_ask_for() {
    let router = Cluster::small().router();
    for (path, accept) in [
        ("/apis", AGGREGATED),
        ("/openapi/v2", JSON),
        ("/openapi/v3", None),
        ("/openapi/v3/apis/metrics.k8s.io/v1beta1", JSON),
    ] {
        let headers: Vec<_> = accept
            .map(|accept| ("accept", accept))
            .into_iter()
            .collect();
        let answer = ask(&router, path, &headers).await;
        assert_eq!(answer.status, 200, "{path}");
        let tag = answer.header("etag").unwrap().to_owned();
        let mut headers = headers;
        headers.push(("if-none-match", &tag));
        assert_eq!(ask(&router, path, &headers).await.status, 304, "{path}");
    }
}
