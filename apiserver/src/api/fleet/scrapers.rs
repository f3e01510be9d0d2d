//! `Scraper`: a connected publisher, and its roles for nodes.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use serde::Serialize;
use tributary_model::{PodKey, Timestamp};

use super::{
    super::{Api, answer::PAGE, kind::Kind, objects::Object, params::ListParams, status::Refusal},
    FLEET, Moment, PACKAGE, Reported, Span, Text,
    schema::{self, Field, Type},
    selected,
    table::{AllColumns, Cell, Column, Tabled},
    write_status,
};
use crate::{
    catalog::Labels, k8s::resource::Resource, scrapers::node_roles::Publisher, store::State,
};

/// The resource.
pub(crate) static SCRAPERS: Resource = Resource {
    group: FLEET,
    plural: "scrapers",
    singular: "scraper",
    short: &[],
    kind: "Scraper",
    namespaced: false,
    protobuf: false,
    watched: true,
    fields: &[],
    about: "scraper",
    missing: ("scrapers", FLEET),
    mark: b'c',
    schemas: |version| {
        let description = "Scraper is a connected publisher, and the nodes that it scrapes.";
        schema::schemas(&SCRAPERS, version, description, STATUS)
    },
    package: PACKAGE,
};

/// A `Scraper`.
#[derive(Debug)]
pub(crate) struct Scraper {
    name: String,
    labels: Labels,
    now: Timestamp,
    status: Status,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    source: Text,
    #[serde(skip_serializing_if = "Text::is_empty")]
    version: Text,
    #[serde(skip_serializing_if = "Text::is_empty")]
    group: Text,
    #[serde(skip_serializing_if = "Text::is_empty")]
    instance: Text,
    #[serde(skip_serializing_if = "Option::is_none")]
    resolution: Option<Span>,
    streams: usize,
    nodes: Nodes,
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_sample: Option<Moment>,
}

/// The number of nodes for each role.
#[derive(Debug, Default, Serialize)]
struct Nodes {
    owned: usize,
    standby: usize,
    leaving: usize,
    rescued: usize,
    unserved: usize,
}

/// The schema of the status, for `kubectl explain`.
const STATUS: &[Field] = &[
    (
        "source",
        Type::Text,
        "Its --source-name: the name of its pod. The name of the object has ':' in place of '/' \
         and '%'.",
    ),
    (
        "version",
        Type::Text,
        "Its version. Absent if it does not report it.",
    ),
    (
        "group",
        Type::Text,
        "The group of scrapers that share nodes. Absent if the publisher reports none.",
    ),
    (
        "instance",
        Type::Text,
        "Different for every start of its process.",
    ),
    ("resolution", Type::Span, "How often it scrapes each node."),
    (
        "streams",
        Type::Count,
        "Its streams to the frontend that answers: one, and two while it replaces the first.",
    ),
    (
        "nodes",
        Type::Object(&[
            ("owned", Type::Count, "Nodes that it scrapes."),
            (
                "standby",
                Type::Count,
                "Nodes that it scrapes if their owners do not deliver them.",
            ),
            (
                "leaving",
                Type::Count,
                "Nodes of which it is a former owner, and which it still scrapes.",
            ),
            (
                "rescued",
                Type::Count,
                "Nodes that it scrapes because their owners do not deliver them.",
            ),
            (
                "unserved",
                Type::Count,
                "Of those that it scrapes, the nodes that have no metrics.",
            ),
        ]),
        "The roles that it reports. A publisher that shares its nodes with no other one may \
         report none.",
    ),
    (
        "oldestSample",
        Type::Moment,
        "The oldest of the newest samples of its nodes: when the kubelet was scraped.",
    ),
];

impl Scraper {
    fn new(source: &Arc<str>, now: Timestamp) -> Self {
        Self {
            name: source.replace(['/', '%'], ":"),
            labels: Labels::default(),
            now,
            status: Status {
                source: Text::of(source),
                ..Status::default()
            },
        }
    }

    /// Adds a stream of this scraper, with what the stream reports about it.
    fn hear(&mut self, publisher: &Publisher) {
        let status = &mut self.status;
        status.version = Text::of(&publisher.version);
        status.group = Text::of(&publisher.group);
        status.instance = Text::of(&publisher.instance);
        status.resolution = Some(Span(publisher.resolution));
        status.streams += 1;
    }

    /// All connected scrapers, sorted by name.
    fn all(api: &Api, now: Timestamp) -> Vec<Self> {
        let mut by_source: BTreeMap<Arc<str>, Self> = BTreeMap::new();
        // The values of the stream that began last are shown.
        for publisher in api.node_roles.publishers() {
            let source = &publisher.source;
            by_source
                .entry(Arc::clone(source))
                .or_insert_with(|| Self::new(source, now))
                .hear(&publisher);
        }
        let mut shares = Shares::of(api, now);
        let mut all: Vec<Self> = by_source.into_values().collect();
        for scraper in &mut all {
            if let Some((nodes, oldest)) = shares.0.remove(&scraper.status.source) {
                scraper.status.nodes = nodes;
                scraper.status.oldest_sample = oldest.map(Moment);
            }
        }
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }
}

/// The roles of each source, and the oldest of the newest samples of its nodes.
#[derive(Default)]
struct Shares(HashMap<Text, (Nodes, Option<Timestamp>)>);

impl Shares {
    fn of(api: &Api, now: Timestamp) -> Self {
        let mut shares = Self::default();
        for nodes in api.catalog.node_names().chunks(PAGE) {
            for (node, (state, age)) in nodes.iter().zip(api.store.states(nodes, now)) {
                let scrapers = api.node_roles.of(node.as_str());
                let sampled_at = age.map(|age| now.minus(age));
                for source in scrapers.owners.iter().chain(&scrapers.rescuers) {
                    let (nodes, oldest) = shares.0.entry(Text::of(source)).or_default();
                    nodes.unserved += usize::from(!matches!(state, State::Served | State::Late));
                    *oldest = [*oldest, sampled_at].into_iter().flatten().min();
                }
                shares.count(&scrapers.owners, |nodes| &mut nodes.owned);
                shares.count(&scrapers.standby, |nodes| &mut nodes.standby);
                shares.count(&scrapers.leaving, |nodes| &mut nodes.leaving);
                shares.count(&scrapers.rescuers, |nodes| &mut nodes.rescued);
            }
        }
        shares
    }

    fn count(&mut self, sources: &[Arc<str>], role: impl Fn(&mut Nodes) -> &mut usize) {
        for source in sources {
            let (nodes, _) = self.0.entry(Text::of(source)).or_default();
            *role(nodes) += 1;
        }
    }
}

impl Kind for Scraper {
    const RESOURCE: &'static Resource = &SCRAPERS;
    type Object = Self;

    fn is_synced(api: &Api) -> bool {
        api.catalog.nodes_synced()
    }

    fn get(api: &Arc<Api>, key: PodKey, now: Timestamp) -> Result<Self, Refusal> {
        let mut all = Self::all(api, now).into_iter();
        all.find(|scraper| scraper.name == *key.name)
            .ok_or_else(|| Refusal::NoObject(&SCRAPERS, key.name.as_ref().to_owned()))
    }

    fn pages(
        api: Arc<Api>,
        _namespace: Option<String>,
        params: ListParams,
        now: Timestamp,
    ) -> impl Iterator<Item = Vec<Self>> + Send + 'static {
        std::iter::once_with(move || selected(Self::all(&api, now), &params))
    }

    fn gone(key: &PodKey) -> Option<Self> {
        Some(Self::new(&key.name, Timestamp::from_millis(0)))
    }
}

impl Object for Scraper {
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

impl Reported for Scraper {
    fn has(&self, _path: &str, _value: &str) -> bool {
        false
    }
}

impl Tabled for Scraper {
    const COLUMNS: &'static [Column<Self>] = &[
        Column {
            name: "Version",
            kind: "string",
            wide: false,
            description: "Its version",
            cell: |scraper| Cell::known(scraper.status.version.as_str()),
        },
        Column {
            name: "Group",
            kind: "string",
            wide: false,
            description: "The group of scrapers that share nodes",
            cell: |scraper| {
                Cell::text(Some(scraper.status.group.as_str()).filter(|it| !it.is_empty()))
            },
        },
        Column {
            name: "Nodes",
            kind: "integer",
            wide: false,
            description: "Nodes that it scrapes",
            cell: |scraper| Cell::count(scraper.status.nodes.owned),
        },
        Column {
            name: "Standby",
            kind: "integer",
            wide: false,
            description: "Nodes that it scrapes if their owners do not deliver them",
            cell: |scraper| Cell::count(scraper.status.nodes.standby),
        },
        Column {
            name: "Rescued",
            kind: "integer",
            wide: false,
            description: "Nodes that it scrapes because their owners do not deliver them",
            cell: |scraper| Cell::count(scraper.status.nodes.rescued),
        },
        Column {
            name: "Unserved",
            kind: "integer",
            wide: false,
            description: "Of those that it scrapes, the nodes that have no metrics",
            cell: |scraper| Cell::count(scraper.status.nodes.unserved),
        },
        Column {
            name: "Oldest",
            kind: "string",
            wide: false,
            description: "The greatest age of the newest sample of a node of its own",
            cell: |scraper| {
                let oldest = scraper.status.oldest_sample.map(|oldest| oldest.0);
                Cell::ago(oldest, scraper.now)
            },
        },
        Column {
            name: "Resolution",
            kind: "string",
            wide: true,
            description: "How often it scrapes each node",
            cell: |scraper| Cell::text(scraper.status.resolution.map(Span::text).as_deref()),
        },
        Column {
            name: "Streams",
            kind: "integer",
            wide: true,
            description: "Its streams to the frontend that answers",
            cell: |scraper| Cell::count(scraper.status.streams),
        },
        Column {
            name: "Instance",
            kind: "string",
            wide: true,
            description: "Different for every start of its process",
            cell: |scraper| Cell::known(scraper.status.instance.as_str()),
        },
    ];
}
