//! Requests against clusters of 500 and 5,000 nodes with 30 pods each, from the
//! router to the last byte of the body, without a socket.
//!
//! `list_all_pods` prints bytes per second; a request for one pod or one
//! namespace must cost what its answer is, not what the cluster is
//! (docs/PERFORMANCE.md).

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot be set up has nothing to say"
)]

use std::{
    hint::black_box,
    sync::{Arc, LazyLock},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, HttpBody as _},
    http::Request,
};
use divan::{Bencher, counter::BytesCount};
use http_body_util::BodyExt as _;
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use tributary_apiserver::{
    api::{self, Api, Freshness, Own},
    catalog::{Catalog, Labels, NodeRecord, PodRecord},
    scrapers::{demand::Demand, node_roles::NodeRoles},
    store::{Source, Store},
};
use tributary_model::{
    Bytes, Columns, ContainerPoint, CoreNanos, CpuPoint, MemoryPoint, NodeName, NodePoint, PodKey,
    Reading, Remarks, RosterBuilder, Timestamp,
};
use tributary_runtime::clock::Clock;

/// Nodes. `tests/instructions` counts on the small one, which is quick to set up.
const SIZES: [usize; 2] = [500, 5_000];
/// On each node, which are the pods of one namespace; two containers each.
const PODS: usize = 30;
const NOW: i64 = 1_795_224_586_500;

const ALL: &str = "/apis/metrics.k8s.io/v1beta1/pods";
const SELECTED: &str =
    "/apis/metrics.k8s.io/v1beta1/namespaces/ns-0250/pods?labelSelector=app%3Dweb";
const ONE: &str = "/apis/metrics.k8s.io/v1beta1/namespaces/ns-0250/pods/web-7d4b9c6f5-00015";

fn main() {
    divan::main();
}

const JSON: &[(&str, &str)] = &[("accept", "application/json")];
const PROTOBUF: &[(&str, &str)] = &[("accept", "application/vnd.kubernetes.protobuf")];
const TABLE: &[(&str, &str)] = &[("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
/// As kubectl and the HPA controller ask.
const PACKED: &[(&str, &str)] = &[
    ("accept", "application/vnd.kubernetes.protobuf, */*"),
    ("accept-encoding", "gzip"),
];

#[divan::bench(args = SIZES, sample_count = 20)]
fn list_all_pods(bencher: Bencher<'_, '_>, nodes: usize) {
    measure(bencher, nodes, ALL, JSON);
}

#[divan::bench(args = SIZES, sample_count = 20)]
fn list_all_pods_in_protobuf(bencher: Bencher<'_, '_>, nodes: usize) {
    measure(bencher, nodes, ALL, PROTOBUF);
}

#[divan::bench(args = SIZES, sample_count = 20)]
fn list_all_pods_in_protobuf_gzip(bencher: Bencher<'_, '_>, nodes: usize) {
    measure(bencher, nodes, ALL, PACKED);
}

#[divan::bench(args = SIZES, sample_count = 20)]
fn list_all_pods_as_table(bencher: Bencher<'_, '_>, nodes: usize) {
    measure(bencher, nodes, ALL, TABLE);
}

#[divan::bench(args = SIZES, sample_count = 20)]
fn list_all_nodes(bencher: Bencher<'_, '_>, nodes: usize) {
    measure(bencher, nodes, "/apis/metrics.k8s.io/v1beta1/nodes", JSON);
}

#[divan::bench(args = SIZES)]
fn list_one_namespace_by_label(bencher: Bencher<'_, '_>, nodes: usize) {
    measure(bencher, nodes, SELECTED, JSON);
}

#[divan::bench(args = SIZES)]
fn list_one_namespace_by_label_in_protobuf(bencher: Bencher<'_, '_>, nodes: usize) {
    measure(bencher, nodes, SELECTED, PROTOBUF);
}

#[divan::bench(args = SIZES)]
fn get_one_pod(bencher: Bencher<'_, '_>, nodes: usize) {
    measure(bencher, nodes, ONE, JSON);
}

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().build().unwrap());
static SMALL: LazyLock<Router> = LazyLock::new(|| api::router(cluster(SIZES[0])));
static LARGE: LazyLock<Router> = LazyLock::new(|| api::router(cluster(SIZES[1])));

fn measure(bencher: Bencher<'_, '_>, nodes: usize, path: &str, headers: &[(&str, &str)]) {
    let router: &Router = if nodes == SIZES[0] { &SMALL } else { &LARGE };
    let size = RUNTIME.block_on(ask(router, path, headers));
    bencher
        .counter(BytesCount::new(size))
        .bench(|| measured(|| RUNTIME.block_on(ask(router, black_box(path), headers))));
}

/// What `tests/instructions` counts, and nothing else.
#[inline(never)]
fn measured<T>(work: impl FnOnce() -> T) -> T {
    work()
}

/// Reads the answer as a connection does, piece by piece. Returns its length.
async fn ask(router: &Router, path: &str, headers: &[(&str, &str)]) -> usize {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::empty()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200, "{path}");
    let mut body = response.into_body();
    let mut size = 0;
    while !body.is_end_stream() {
        let Some(frame) = body.frame().await else {
            break;
        };
        size += frame.unwrap().into_data().unwrap().len();
    }
    size
}

fn cluster(size: usize) -> Api {
    let (catalog, store) = (Catalog::default(), Store::new(None));
    let mut nodes = Vec::with_capacity(size);
    let mut pods = Vec::with_capacity(size * PODS);
    for number in 0..size {
        let node = format!("node-{number:04}");
        let labels = [("kubernetes.io/hostname", &*node), ("zone", "a")];
        let name = catalog.share_node(&node.as_str().into());
        nodes.push(NodeRecord {
            name: name.clone(),
            labels: labels.into_iter().collect(),
        });
        let keys: Vec<PodKey> = (0..PODS)
            .map(|pod| {
                let name = format!("web-7d4b9c6f5-{pod:05}");
                PodKey::new(format!("ns-{number:04}"), name)
            })
            .collect();
        report(&store, &name, &keys);
        pods.extend(keys.into_iter().map(|key| PodRecord {
            key,
            node: Some(name.clone()),
            labels: Labels::from_iter([("app", "web"), ("pod-template-hash", "7d4b9c6f5")]),
        }));
    }
    catalog.set_nodes(nodes);
    catalog.set_pods(pods);
    Api {
        catalog,
        store,
        node_roles: NodeRoles::default(),
        demand: Demand::default(),
        freshness: Freshness::default(),
        clock: Clock::fixed(jiff::Timestamp::from_millisecond(NOW).unwrap()),
        node_selector: None,
        port: 443,
        beside: Vec::new(),
        own: Own::named("frontend-0"),
        ending: CancellationToken::new(),
    }
}

fn report(store: &Store, node: &NodeName, pods: &[PodKey]) {
    let mut roster = RosterBuilder::default();
    for pod in pods {
        roster.add(pod.clone(), "nginx".into()).unwrap();
        roster.add(pod.clone(), "sidecar".into()).unwrap();
    }
    let roster = roster.build();
    let source = Source {
        name: "scraper-0".into(),
        resolution: Duration::from_secs(15),
    };
    for (at, total) in [(NOW - 17_000, 1_000_000_000), (NOW - 2_000, 4_750_064_486)] {
        let at = Timestamp::from_millis(at);
        let cpu = Some(CpuPoint {
            total: CoreNanos(total),
            at,
        });
        let memory = Some(MemoryPoint {
            working_set: Bytes(12_533_760),
            at,
        });
        let mut columns = Columns::missing(roster.containers());
        for row in 0..roster.containers() {
            let point = ContainerPoint {
                cpu,
                memory,
                started: Some(Timestamp::from_millis(NOW - 3_600_000)),
                swap: None,
            };
            columns.set(row, &point);
        }
        let reading = Reading {
            node: node.clone(),
            roster: Arc::clone(&roster),
            asked_at: at,
            point: NodePoint {
                cpu,
                memory,
                swap: None,
            },
            columns,
            remarks: Remarks::default(),
        };
        store.take(reading, &source);
    }
}
