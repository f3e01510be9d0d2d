//! `MetricsFrontend`: the frontend that answers. Frontends do not know each other, so each of them answers with a list
//! of one object: itself.

use std::sync::Arc;

use serde::Serialize;
use tributary_model::{PodKey, Timestamp};

use super::{
    super::{Api, kind::Kind, objects::Object, params::ListParams, status::Refusal},
    FLEET, Moment, PACKAGE, Reported,
    schema::{self, Field, Type},
    selected,
    table::{AllColumns, Cell, Column, Tabled},
    write_status,
};
use crate::{catalog::Labels, k8s::resource::Resource, store::CoverageCounts};

/// The resource.
pub(crate) static METRICS_FRONTENDS: Resource = Resource {
    group: FLEET,
    plural: "metricsfrontends",
    singular: "metricsfrontend",
    short: &[],
    kind: "MetricsFrontend",
    namespaced: false,
    protobuf: false,
    watched: true,
    fields: &[],
    about: "frontend",
    missing: ("metricsfrontends", FLEET),
    mark: b'f',
    schemas: |version| {
        let description = "MetricsFrontend is the frontend that answers, and what it serves. Frontends do not \
             know each other: each describes itself alone.";
        schema::schemas(&METRICS_FRONTENDS, version, description, STATUS)
    },
    package: PACKAGE,
};

/// A `MetricsFrontend`.
#[derive(Debug)]
pub(crate) struct MetricsFrontend {
    name: Arc<str>,
    labels: Labels,
    now: Timestamp,
    date: Timestamp,
    status: Status,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    version: &'static str,
    coverage: Coverage,
    streams: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_sample: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_expires: Option<Moment>,
}

/// The number of its nodes in each state.
#[derive(Debug, Default, Serialize)]
struct Coverage {
    nodes: usize,
    served: usize,
    failing: usize,
    unusable: usize,
    unreported: usize,
}

/// The schema of the status, for `kubectl explain`.
const STATUS: &[Field] = &[
    ("version", Type::Text, "Its version."),
    (
        "coverage",
        Type::Object(&[
            (
                "nodes",
                Type::Count,
                "Nodes that exist, of those that --node-selector selects.",
            ),
            (
                "served",
                Type::Count,
                "Nodes that have metrics, or of which a pod has.",
            ),
            ("failing", Type::Count, "Nodes that cannot be scraped."),
            (
                "unusable",
                Type::Count,
                "Nodes that are scraped and report nothing that can be served.",
            ),
            (
                "unreported",
                Type::Count,
                "Nodes that have no metrics for a reason that is not known.",
            ),
        ]),
        "Nodes by their state. Readiness depends on these numbers.",
    ),
    ("streams", Type::Count, "Open streams of publishers."),
    (
        "oldestSample",
        Type::Moment,
        "The oldest of the newest samples of all nodes: when the kubelet was scraped.",
    ),
    (
        "certificateExpires",
        Type::Moment,
        "When its serving certificate expires.",
    ),
];

impl MetricsFrontend {
    fn own(api: &Api, now: Timestamp) -> Self {
        let nodes = api.served_nodes();
        let CoverageCounts {
            served,
            failing,
            unusable,
        } = api.store.coverage(&nodes, now);
        let ages = api.store.states(&nodes, now).into_iter();
        let oldest = ages.filter_map(|(_, age)| age).max();
        Self {
            name: Arc::clone(&api.own.name),
            labels: Labels::default(),
            now,
            date: Timestamp::from_millis(api.clock.date().as_millisecond()),
            status: Status {
                version: env!("CARGO_PKG_VERSION"),
                coverage: Coverage {
                    nodes: nodes.len(),
                    served,
                    failing,
                    unusable,
                    unreported: nodes.len().saturating_sub(served + failing + unusable),
                },
                streams: api.node_roles.publishers().len(),
                oldest_sample: oldest.map(|age| Moment(now.minus(age))),
                certificate_expires: api.own.certificate_expires().map(Moment),
            },
        }
    }
}

impl Kind for MetricsFrontend {
    const RESOURCE: &'static Resource = &METRICS_FRONTENDS;
    type Object = Self;

    fn is_synced(api: &Api) -> bool {
        api.catalog.nodes_synced()
    }

    fn get(api: &Arc<Api>, key: PodKey, now: Timestamp) -> Result<Self, Refusal> {
        let missing = || Refusal::NoObject(&METRICS_FRONTENDS, key.name.as_ref().to_owned());
        let own = *key.name == *api.own.name;
        own.then(|| Self::own(api, now)).ok_or_else(missing)
    }

    fn pages(
        api: Arc<Api>,
        _namespace: Option<String>,
        params: ListParams,
        now: Timestamp,
    ) -> impl Iterator<Item = Vec<Self>> + Send + 'static {
        std::iter::once_with(move || selected(vec![Self::own(&api, now)], &params))
    }

    fn gone(key: &PodKey) -> Option<Self> {
        Some(Self {
            name: Arc::clone(&key.name),
            labels: Labels::default(),
            now: Timestamp::from_millis(0),
            date: Timestamp::from_millis(0),
            status: Status::default(),
        })
    }
}

impl Object for MetricsFrontend {
    type Columns = AllColumns;
    const MADE_WHEN_ASKED: bool = false;

    fn name(&self) -> &str {
        &self.name
    }

    fn labels(&self) -> &Labels {
        &self.labels
    }

    fn fields(&self, out: &mut Vec<u8>) {
        write_status(out, &self.status);
    }
}

impl Reported for MetricsFrontend {
    fn has(&self, _path: &str, _value: &str) -> bool {
        false
    }
}

impl Tabled for MetricsFrontend {
    const COLUMNS: &'static [Column<Self>] = &[
        Column {
            name: "Version",
            kind: "string",
            wide: false,
            description: "Its version",
            cell: |frontend| Cell::known(frontend.status.version),
        },
        Column {
            name: "Served",
            kind: "string",
            wide: false,
            description: "Nodes that have metrics, of those that exist",
            cell: |frontend| {
                let Coverage { nodes, served, .. } = frontend.status.coverage;
                Cell::Text(format!("{served}/{nodes}"))
            },
        },
        Column {
            name: "Failing",
            kind: "integer",
            wide: false,
            description: "Nodes that cannot be scraped",
            cell: |frontend| Cell::count(frontend.status.coverage.failing),
        },
        Column {
            name: "Streams",
            kind: "integer",
            wide: false,
            description: "Open streams of publishers",
            cell: |frontend| Cell::count(frontend.status.streams),
        },
        Column {
            name: "Oldest",
            kind: "string",
            wide: false,
            description: "The greatest age of the newest sample of a node",
            cell: |frontend| {
                let oldest = frontend.status.oldest_sample.map(|oldest| oldest.0);
                Cell::ago(oldest, frontend.now)
            },
        },
        Column {
            name: "Certificate",
            kind: "string",
            wide: false,
            description: "The time until its serving certificate expires",
            cell: |frontend| {
                let expires = frontend.status.certificate_expires.map(|expires| expires.0);
                let left = expires.map(|at| at.since(frontend.date).unwrap_or_default());
                Cell::span(left)
            },
        },
    ];
}
