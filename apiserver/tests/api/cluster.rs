//! A small cluster with known numbers, and a way to ask it.
//!
//! Nodes n1 (250m) and n2 (1500m) report; n3 does not. On n1 run web-1 (two
//! containers) and web-2; on n2 runs dns, with swap; `new` runs and is not reported.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Request, StatusCode},
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use tributary_apiserver::{
    api::{self, Api, Freshness, Own},
    catalog::{Catalog, Labels, NodeRecord, PodRecord},
    scrapers::{demand::Demand, node_roles::NodeRoles},
    store::{Source, Store},
};
use tributary_model::{
    Bytes, Columns, ContainerPoint, CoreNanos, CpuPoint, MemoryPoint, NodePoint, PodKey, Reading,
    Remarks, RosterBuilder, Timestamp,
};
use tributary_runtime::clock::Clock;

/// 2026-11-21T01:29:46.5Z, when everything is asked.
pub(crate) const NOW: i64 = 1_795_224_586_500;

/// 2026-11-21T01:29:44.25Z, when the newer samples were taken.
pub(crate) const NEWER: i64 = NOW - 2_250;

/// How far the two samples are apart.
const WINDOW: i64 = 12_500;

/// What a container spends in the window, and what it holds.
pub(crate) struct Container {
    pub(crate) pod: PodKey,
    pub(crate) name: &'static str,
    pub(crate) spent: u64,
    pub(crate) memory: u64,
    pub(crate) swap: Option<u64>,
}

pub(crate) fn container(
    pod: (&str, &str),
    name: &'static str,
    (spent, memory, swap): (u64, u64, Option<u64>),
) -> Container {
    let pod = PodKey::new(pod.0, pod.1);
    Container {
        pod,
        name,
        spent,
        memory,
        swap,
    }
}

/// A cluster before it is asked.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) api: Api,
    /// When the newer samples are taken, in milliseconds.
    pub(crate) newer: i64,
    /// How far the two samples are apart, in milliseconds.
    pub(crate) window: i64,
}

impl Cluster {
    /// Nothing known, nothing synced.
    pub(crate) fn unread() -> Self {
        let api = Api {
            catalog: Catalog::default(),
            store: Store::new(None),
            node_roles: NodeRoles::default(),
            demand: Demand::default(),
            freshness: Freshness::default(),
            clock: Clock::fixed(jiff::Timestamp::from_millisecond(NOW).unwrap()),
            node_selector: None,
            port: 10_250,
            beside: vec!["/livez".to_owned(), "/readyz".to_owned()],
            own: Own::named("frontend-0"),
            ending: CancellationToken::new(),
        };
        Self {
            api,
            newer: NEWER,
            window: WINDOW,
        }
    }

    /// Asks everything at another time.
    pub(crate) fn ask_at(&mut self, millis: i64) {
        let at = jiff::Timestamp::from_millisecond(millis).unwrap();
        self.api.clock = Clock::fixed(at);
    }

    /// Read, and without any object.
    pub(crate) fn empty() -> Self {
        let cluster = Self::unread();
        cluster.api.catalog.set_nodes(Vec::new());
        cluster.api.catalog.set_pods(Vec::new());
        cluster
    }

    /// The cluster of the module's description.
    pub(crate) fn small() -> Self {
        let cluster = Self::empty();
        cluster.node("n1", &[("role", "b")]);
        cluster.node("n2", &[("role", "a"), ("kubernetes.io/hostname", "n2")]);
        cluster.node("n3", &[]);
        cluster.pod("default", "web-1", &[("app", "web")]);
        cluster.pod("default", "web-2", &[("app", "web")]);
        cluster.pod("default", "new", &[]);
        cluster.pod("kube-system", "dns", &[("app", "dns")]);
        let web_1 = ("default", "web-1");
        cluster.report(
            "n1",
            (3_125_000_000, 1_616_273_408, None),
            &[
                container(web_1, "c2", (3_124_999_999, 1_000_003, None)),
                container(web_1, "c1", (3_125_000_000, 12_533_760, None)),
                container(("default", "web-2"), "c1", (12_500, 1_048_576, None)),
            ],
        );
        cluster.report(
            "n2",
            (18_750_000_000, 1_000_000, Some(0)),
            &[container(
                ("kube-system", "dns"),
                "d",
                (3_125_000_000, 536_870_912, Some(4096)),
            )],
        );
        cluster
    }

    pub(crate) fn node(&self, name: &str, labels: &[(&str, &str)]) {
        self.api.catalog.put_node(NodeRecord {
            name: name.into(),
            labels: labels.iter().copied().collect::<Labels>(),
        });
    }

    pub(crate) fn pod(&self, namespace: &str, name: &str, labels: &[(&str, &str)]) {
        self.api.catalog.put_pod(PodRecord {
            key: PodKey::new(namespace, name),
            node: None,
            labels: labels.iter().copied().collect::<Labels>(),
        });
    }

    /// A pod that is bound to `node`, in place of an earlier one of its name.
    pub(crate) fn bound_pod(&self, (namespace, name): (&str, &str), node: &str) {
        self.api.catalog.put_pod(PodRecord {
            key: PodKey::new(namespace, name),
            node: Some(node.into()),
            labels: Labels::default(),
        });
    }

    /// Two readings of `node`, which spends and holds so much itself.
    pub(crate) fn report(
        &self,
        node: &str,
        (spent, memory, swap): (u64, u64, Option<u64>),
        containers: &[Container],
    ) {
        let mut roster = RosterBuilder::default();
        for container in containers {
            roster
                .add(container.pod.clone(), container.name.into())
                .unwrap();
        }
        let roster = roster.build();
        let source = Source {
            name: "scraper-0".into(),
            resolution: Duration::from_secs(15),
        };
        for (at, spent_yet) in [(self.newer - self.window, 0), (self.newer, 1)] {
            let cpu = |spent: u64| CpuPoint {
                total: CoreNanos(1_000 + spent_yet * spent),
                at: Timestamp::from_millis(at),
            };
            let memory_point = |bytes: u64| MemoryPoint {
                working_set: Bytes(bytes),
                at: Timestamp::from_millis(at),
            };
            let mut columns = Columns::missing(roster.containers());
            for (row, pod, name) in roster.rows() {
                let container = containers
                    .iter()
                    .find(|one| one.pod == *pod && one.name == name.as_str())
                    .unwrap();
                let point = ContainerPoint {
                    cpu: Some(cpu(container.spent)),
                    memory: Some(memory_point(container.memory)),
                    started: Some(Timestamp::from_millis(self.newer - 3_600_000)),
                    swap: container.swap.map(Bytes),
                };
                columns.set(row, &point);
            }
            let reading = Reading {
                node: node.into(),
                roster: Arc::clone(&roster),
                asked_at: Timestamp::from_millis(at),
                point: NodePoint {
                    cpu: Some(cpu(spent)),
                    memory: Some(memory_point(memory)),
                    swap: swap.map(Bytes),
                },
                columns,
                remarks: Remarks::default(),
            };
            self.api.store.take(reading, &source);
        }
    }

    pub(crate) fn router(self) -> Router {
        api::router(self.api)
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// As text, with marks for what is none.
    pub(crate) body: String,
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// Sends a request and reads all of the answer.
pub(crate) async fn send(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    Answer {
        status: head.status,
        headers: head.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
        bytes: body.to_vec(),
    }
}

/// A GET with these headers.
pub(crate) async fn ask(router: &Router, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(router, request.body(Body::empty()).unwrap()).await
}

/// The body of a GET that succeeds, without the line end after it.
pub(crate) async fn get(router: &Router, path: &str) -> String {
    let answer = ask(router, path, &[]).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    answer.body.strip_suffix('\n').unwrap().to_owned()
}

/// The names of the objects in a list.
pub(crate) async fn names(router: &Router, path: &str) -> Vec<String> {
    let list: serde_json::Value = serde_json::from_str(&get(router, path).await).unwrap();
    let name = |item: &serde_json::Value| item["metadata"]["name"].as_str().unwrap().to_owned();
    list["items"].as_array().unwrap().iter().map(name).collect()
}
