//! YAML, protobuf, gzip, and what every answer carries
//! (docs/parity.md#encodings).

use std::io::Read as _;

use flate2::read::GzDecoder;

use crate::cluster::{Cluster, ask, container};

const BASE: &str = "/apis/metrics.k8s.io/v1beta1";
const YAML: (&str, &str) = ("accept", "application/yaml");
const PROTOBUF: (&str, &str) = ("accept", "application/vnd.kubernetes.protobuf");
const GZIP: (&str, &str) = ("accept-encoding", "gzip");

#[tokio::test]
async fn a_list_in_yaml_reads_as_upstream_prints_it() {
    let router = Cluster::small().router();
    let path = format!("{BASE}/nodes?labelSelector=role%3Da");
    let answer = ask(&router, &path, &[YAML, ("user-agent", "curl/8")]).await;
    assert_eq!(answer.header("content-type"), Some("application/yaml"));
    assert_eq!(
        answer.body,
        r#"apiVersion: metrics.k8s.io/v1beta1
items:
- metadata:
    creationTimestamp: "2026-11-21T01:29:46Z"
    labels:
      kubernetes.io/hostname: n2
      role: a
    name: n2
  timestamp: "2026-11-21T01:29:44Z"
  usage:
    cpu: 1500m
    memory: "1000000"
    swap: "0"
  window: 12.5s
kind: NodeMetricsList
metadata: {}
"#
    );
    let path = format!("{BASE}/nodes?labelSelector=none");
    assert_eq!(
        ask(&router, &path, &[YAML]).await.body,
        "apiVersion: metrics.k8s.io/v1beta1\nitems: []\nkind: NodeMetricsList\nmetadata: {}\n"
    );
}

#[tokio::test]
async fn an_object_in_yaml_is_a_document() {
    let router = Cluster::small().router();
    let path = format!("{BASE}/namespaces/kube-system/pods/dns");
    assert_eq!(
        ask(&router, &path, &[YAML]).await.body,
        r#"apiVersion: metrics.k8s.io/v1beta1
containers:
- name: d
  usage:
    cpu: 250m
    memory: 512Mi
    swap: 4Ki
kind: PodMetrics
metadata:
  creationTimestamp: "2026-11-21T01:29:46Z"
  labels:
    app: dns
  name: dns
  namespace: kube-system
timestamp: "2026-11-21T01:29:44Z"
window: 12.5s
"#
    );
}

#[tokio::test]
async fn a_table_in_yaml_is_a_table() {
    let router = Cluster::small().router();
    let accept = ("accept", "application/yaml;as=Table;v=v1;g=meta.k8s.io");
    let path = format!("{BASE}/nodes?limit=1&includeObject=None");
    assert_eq!(
        ask(&router, &path, &[accept]).await.body,
        r#"apiVersion: meta.k8s.io/v1
columnDefinitions:
- description: Name of the resource
  format: name
  name: Name
  priority: 0
  type: string
- description: ""
  format: quantity
  name: cpu
  priority: 0
  type: string
- description: ""
  format: quantity
  name: memory
  priority: 0
  type: string
- description: ""
  format: duration
  name: Window
  priority: 0
  type: string
kind: Table
metadata:
  continue: AW4vbjE
rows:
- cells:
  - n1
  - 250m
  - 1578392Ki
  - 12.5s
  object: null
"#
    );
}

/// One node, by hand from generated.proto. 1795224586 and 12500000000 as varints
/// are 8ae883d806 and 80babbc82e.
const N1: &[u8] = b"\x0a\x25\x0a\x02n1\x12\x00\x1a\x00\x22\x00\x2a\x00\x32\x00\x38\x00\
    \x42\x08\x08\x8a\xe8\x83\xd8\x06\x10\x00\x5a\x09\x0a\x04role\x12\x01b\
    \x12\x08\x08\x88\xe8\x83\xd8\x06\x10\x00\x1a\x06\x08\x80\xba\xbb\xc8\x2e\
    \x22\x0d\x0a\x03cpu\x12\x06\x0a\x04250m\
    \x22\x15\x0a\x06memory\x12\x0b\x0a\x091578392Ki";

fn wrapped(api_version: &str, kind: &str, message: &[u8]) -> Vec<u8> {
    let short = |bytes: &[u8]| u8::try_from(bytes.len()).unwrap();
    let mut out = b"k8s\0\x0a".to_vec();
    out.push(u8::try_from(api_version.len() + kind.len() + 4).unwrap());
    out.extend([0x0a, short(api_version.as_bytes())]);
    out.extend(api_version.bytes());
    out.extend([0x12, short(kind.as_bytes())]);
    out.extend(kind.bytes());
    out.extend([0x12, short(message)]);
    out.extend(message);
    out.extend(b"\x1a\x00\x22\x00");
    out
}

#[tokio::test]
async fn a_node_in_protobuf_has_the_bytes_of_go() {
    let router = Cluster::small().router();
    for version in ["metrics.k8s.io/v1", "metrics.k8s.io/v1beta1"] {
        let answer = ask(&router, &format!("/apis/{version}/nodes/n1"), &[PROTOBUF]).await;
        assert_eq!(answer.header("content-type"), Some(PROTOBUF.1));
        assert_eq!(answer.bytes, wrapped(version, "NodeMetrics", N1));
    }
}

#[tokio::test]
async fn metadata_alone_is_served_in_protobuf() {
    let router = Cluster::small().router();
    let accept = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;\
                  v=v1;g=meta.k8s.io";
    let path = format!("{BASE}/nodes?labelSelector=role%3Db");
    let answer = ask(&router, &path, &[("accept", accept)]).await;
    let mut list = b"\x0a\x06\x0a\x00\x12\x00\x1a\x00\x12\x27".to_vec();
    list.extend(&N1[..0x27]);
    assert_eq!(
        answer.bytes,
        wrapped("meta.k8s.io/v1", "PartialObjectMetadataList", &list)
    );
}

#[tokio::test]
async fn the_token_of_a_page_stands_in_protobuf_too() {
    let router = Cluster::small().router();
    let answer = ask(&router, &format!("{BASE}/nodes?limit=1"), &[PROTOBUF]).await;
    let metadata = b"\x0a\x0d\x0a\x00\x12\x00\x1a\x07AW4vbjE";
    let at = answer
        .bytes
        .windows(metadata.len())
        .position(|part| part == metadata);
    assert!(at.is_some(), "{}", answer.body);
}

/// 1,500 pods on one node: more than a page, more than 128 KiB in every encoding.
fn large() -> Cluster {
    let cluster = Cluster::empty();
    cluster.node("n1", &[]);
    let names: Vec<String> = (0..1_500)
        .map(|number| format!("pod-{number:05}"))
        .collect();
    let mut containers = Vec::new();
    for name in &names {
        cluster.pod("default", name, &[("app", "web")]);
        containers.push(container(("default", name), "c", (12_500, 1024, None)));
    }
    cluster.report("n1", (12_500, 1024, None), &containers);
    cluster
}

#[tokio::test]
async fn a_long_list_says_its_length_in_protobuf() {
    let answer = ask(&large().router(), &format!("{BASE}/pods"), &[PROTOBUF]).await;
    // Each with two bytes before it: metadata, times, the container and its usages.
    let metadata = 11 + 2 + 9 + 2 + 2 + 2 + 2 + 10 + 12;
    let container = 3 + (2 + 5 + 6) + (2 + 8 + 7);
    let item = (2 + metadata) + 10 + 8 + (2 + container);
    let list = 8 + 1_500 * (2 + item);
    let before = 4 + (2 + 40) + 4;
    assert_eq!(answer.bytes.len(), before + list + 4);
    assert_eq!(
        answer.header("content-length"),
        Some(&*answer.bytes.len().to_string())
    );
}

#[tokio::test]
async fn what_is_long_is_compressed_for_who_asks() {
    let router = large().router();
    let path = format!("{BASE}/pods");
    for accept in ["application/json", YAML.1, PROTOBUF.1] {
        let plain = ask(&router, &path, &[("accept", accept)]).await;
        assert_eq!(plain.header("content-encoding"), None);
        assert!(plain.bytes.len() > 128 * 1024, "{accept}");

        let packed = ask(&router, &path, &[("accept", accept), GZIP]).await;
        assert_eq!(packed.header("content-encoding"), Some("gzip"));
        assert_eq!(packed.header("vary"), Some("accept-encoding"));
        assert_eq!(packed.header("content-length"), None);
        assert!(packed.bytes.len() < plain.bytes.len() / 4, "{accept}");
        let mut read = Vec::new();
        GzDecoder::new(&*packed.bytes)
            .read_to_end(&mut read)
            .unwrap();
        assert!(read == plain.bytes, "{accept}");
    }
    let short = ask(&router, &format!("{BASE}/nodes"), &[GZIP]).await;
    assert_eq!(short.header("content-encoding"), None);
    assert_eq!(short.header("vary"), None);
}

#[tokio::test]
async fn every_answer_has_the_id_of_its_request() {
    let router = Cluster::small().router();
    for path in ["/apis", "/nothing", "/openapi/v3", BASE] {
        let own = ask(&router, path, &[("audit-id", "abc-1")]).await;
        assert_eq!(own.header("audit-id"), Some("abc-1"), "{path}");
        let new = ask(&router, path, &[]).await;
        assert_eq!(new.header("audit-id").unwrap().len(), 36, "{path}");
        assert_eq!(new.header("cache-control"), Some("no-cache, private"));
    }
}
