//! `NodeScrape`: the state of each node, its scrapers, and why it has no metrics.

use std::{sync::Arc, time::Duration};

use serde::Serialize;
use tributary_model::{Endpoint, NoUsage, PodKey, Timestamp};

use super::{
    super::{Api, answer::PAGE, kind::Kind, objects::Object, params::ListParams, status::Refusal},
    FLEET, Moment, PACKAGE, Reported, Span, Text,
    remedy::{self, Known},
    schema::{self, Field, Type},
    table::{AllColumns, Cell, Column, Tabled},
    write_status,
};
use crate::{
    catalog::{Labels, NodeRecord},
    k8s::{fields::Field as Selected, resource::Resource},
    store::{FailedScrape, NoMetrics, Report},
};

/// The resource.
pub(crate) static NODE_SCRAPES: Resource = Resource {
    group: FLEET,
    plural: "nodescrapes",
    singular: "nodescrape",
    short: &[],
    kind: "NodeScrape",
    namespaced: false,
    protobuf: false,
    watched: true,
    fields: &[STATE, OWNER],
    about: "node",
    missing: ("nodescrapes", FLEET),
    mark: b's',
    schemas: |version| {
        let description = "NodeScrape is the state of the metrics of a node: whether they are served, which \
             scrapers scrape it, and what is wrong.";
        schema::schemas(&NODE_SCRAPES, version, description, STATUS)
    },
    package: PACKAGE,
};

const STATE: &str = "status.state";
const OWNER: &str = "status.owner";

/// A `NodeScrape`.
#[derive(Debug)]
pub(crate) struct NodeScrape {
    node: Arc<NodeRecord>,
    now: Timestamp,
    status: Status,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    standby: Option<Text>,
    scrapers: Roles,
    #[serde(skip_serializing_if = "Option::is_none")]
    resolution: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sample: Option<Sample>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_failure: Option<Failure>,
}

/// The scrapers that have a role for the node.
#[derive(Debug, Default, Serialize)]
struct Roles {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    owners: Vec<Text>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    standby: Vec<Text>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    leaving: Vec<Text>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rescuers: Vec<Text>,
}

/// The newest sample.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Sample {
    scraped_at: Moment,
    #[serde(skip_serializing_if = "Option::is_none")]
    measured_at: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct Failure {
    time: Moment,
    reason: &'static str,
    message: Text,
    scraper: Text,
}

/// The schema of the status, for `kubectl explain`.
const STATUS: &[Field] = &[
    (
        "state",
        Type::OneOf(&[
            "served",
            "late",
            "incomplete",
            "unreported",
            "expired",
            "failing",
        ]),
        "The state of the node. served: it has metrics. late: it has metrics, and the next sample \
         is late. incomplete: it is scraped, and nothing can be computed from its samples. \
         unreported: no scraper has reported it. expired: its newest sample is too old to be \
         served. failing: scrapes fail, and its newest sample is too old to be served.",
    ),
    (
        "reason",
        Type::Text,
        "Why it has no metrics, in a word: that of the last failure if the node is failing. Absent \
         if it has metrics.",
    ),
    ("message", Type::Text, "The same as a sentence."),
    (
        "remedy",
        Type::OneOf(&remedy::ALL),
        "What to do about it: the title of a section in docs/FLEET.md. Absent if there is nothing \
         to do.",
    ),
    (
        "owner",
        Type::Text,
        "The scraper that scrapes the node; the first by name if there are several. The field \
         selector status.owner matches any of them.",
    ),
    (
        "standby",
        Type::Text,
        "The scraper that scrapes the node if the owner does not deliver it; the first by name.",
    ),
    (
        "scrapers",
        Type::Object(&[
            ("owners", Type::Texts, "The scrapers that scrape it."),
            (
                "standby",
                Type::Texts,
                "The scrapers that scrape it if the owners do not deliver it.",
            ),
            (
                "leaving",
                Type::Texts,
                "The former owners, which still scrape it for two resolutions.",
            ),
            (
                "rescuers",
                Type::Texts,
                "The scrapers that scrape it because the owners do not deliver it.",
            ),
        ]),
        "All connected scrapers that report a role for the node.",
    ),
    (
        "resolution",
        Type::Span,
        "How often it is scraped, as the scraper that reported it last says.",
    ),
    (
        "sample",
        Type::Object(&[
            (
                "scrapedAt",
                Type::Moment,
                "When the kubelet was scraped, by the clock of the frontend that answers.",
            ),
            (
                "measuredAt",
                Type::Moment,
                "When the kubelet measured the node's CPU, by its own clock. Absent if the node has \
                 no metrics.",
            ),
            (
                "window",
                Type::Span,
                "The time over which the CPU usage that is served is a mean.",
            ),
            (
                "endpoint",
                Type::Text,
                "The path on the kubelet, if it is not /metrics/resource.",
            ),
        ]),
        "The newest sample.",
    ),
    (
        "lastFailure",
        Type::Object(&[
            ("time", Type::Moment, "When the kubelet was scraped."),
            (
                "reason",
                Type::Text,
                "What kind of failure: address, dial, tls, auth, status, timeout, too-large, \
                 malformed, empty, or refused by the frontend.",
            ),
            ("message", Type::Text, "The scraper's message."),
            ("scraper", Type::Text, "The scraper."),
        ]),
        "The last scrape that failed. It stays after later scrapes succeed.",
    ),
];

impl NodeScrape {
    fn new(node: Arc<NodeRecord>, known: Known, now: Timestamp) -> Self {
        let remedy = remedy::of(&known);
        let Known {
            report, scrapers, ..
        } = known;
        let failed = report.failed.as_ref();
        let why_not = report.why_not.as_ref();
        let measured = report.measured;
        let fallback = report.endpoint.filter(|it| *it != Endpoint::default());
        let status = Status {
            state: report.state.as_str(),
            reason: why_not.map(|why| reason(why, failed)),
            message: why_not.map(|why| message(why, failed)),
            remedy,
            owner: scrapers.owners.first().map(Text::of),
            standby: scrapers.standby.first().map(Text::of),
            scrapers: Roles {
                owners: Text::all(scrapers.owners),
                standby: Text::all(scrapers.standby),
                leaving: Text::all(scrapers.leaving),
                rescuers: Text::all(scrapers.rescuers),
            },
            resolution: report.resolution.map(Span),
            sample: report.sampled_at.map(|at| Sample {
                scraped_at: Moment(at),
                measured_at: measured.map(|(at, _)| Moment(at)),
                window: measured.map(|(_, window)| Span(window)),
                endpoint: fallback.map(Endpoint::path),
            }),
            last_failure: report.failed.map(|failed| Failure {
                time: Moment(failed.asked_at),
                reason: failed.reason,
                message: Text::of(&failed.message),
                scraper: Text::of(&failed.by),
            }),
        };
        Self { node, now, status }
    }

    /// The objects of these nodes.
    fn of(api: &Api, nodes: Vec<Arc<NodeRecord>>, now: Timestamp) -> Vec<Self> {
        let names: Vec<_> = nodes.iter().map(|node| node.name.clone()).collect();
        let reports = api.store.reports(&names, now);
        let reported = api.node_roles.any();
        let nodes = nodes.into_iter().zip(reports);
        let scrape = |(node, report): (Arc<NodeRecord>, Report)| {
            let scrapers = api.node_roles.of(node.name.as_str());
            let known = Known {
                report,
                scrapers,
                reported,
            };
            Self::new(node, known, now)
        };
        nodes.map(scrape).collect()
    }
}

/// Why a node has no metrics, as one word.
fn reason(why: &NoMetrics, failed: Option<&FailedScrape>) -> &'static str {
    match why {
        NoMetrics::Failed(_) => failed.map_or("unspecified", |failed| failed.reason),
        NoMetrics::NeverReported => "never-reported",
        NoMetrics::TooOld(_) => "too-old",
        NoMetrics::NothingNew(_) => "nothing-new",
        NoMetrics::Recovering(_) | NoMetrics::NoUsage(NoUsage::NoPrevious) => "one-sample",
        NoMetrics::NotOnNode
        | NoMetrics::Unreadable
        | NoMetrics::NoUsage(_)
        | NoMetrics::Container(..) => "unusable",
    }
}

/// Why a node has no metrics, as a sentence. It has no ages, because the status has times.
fn message(why: &NoMetrics, failed: Option<&FailedScrape>) -> String {
    match why {
        NoMetrics::Failed(failure) => failed.map_or_else(
            || failure.message.clone(),
            |failed| failed.message.to_string(),
        ),
        NoMetrics::TooOld(_) => "its newest sample is too old to be served".to_owned(),
        NoMetrics::NothingNew(_) => "the kubelet reports nothing new".to_owned(),
        NoMetrics::Recovering(_) => "waiting for a second sample".to_owned(),
        why => why.to_string(),
    }
}

impl Kind for NodeScrape {
    const RESOURCE: &'static Resource = &NODE_SCRAPES;
    type Object = Self;

    fn is_synced(api: &Api) -> bool {
        api.catalog.nodes_synced()
    }

    fn get(api: &Arc<Api>, key: PodKey, now: Timestamp) -> Result<Self, Refusal> {
        let node = api.catalog.node(&key.name).into_iter().collect();
        let mut found = Self::of(api, node, now);
        let name = key.name.as_ref();
        found
            .pop()
            .ok_or_else(|| Refusal::NoObject(&NODE_SCRAPES, name.to_owned()))
    }

    fn pages(
        api: Arc<Api>,
        _namespace: Option<String>,
        params: ListParams,
        now: Timestamp,
    ) -> impl Iterator<Item = Vec<Self>> + Send + 'static {
        let after = params.after.as_ref().map(|key| Arc::clone(&key.name));
        Pages {
            api,
            now,
            after,
            only: params.fields.exact(Selected::Name).map(Arc::from),
            params,
            done: false,
        }
    }

    fn gone(key: &PodKey) -> Option<Self> {
        let node = NodeRecord {
            name: Arc::clone(&key.name).into(),
            labels: Labels::default(),
        };
        Some(Self {
            node: Arc::new(node),
            now: Timestamp::from_millis(0),
            status: Status {
                state: "gone",
                ..Status::default()
            },
        })
    }
}

/// The nodes of a list, in pages, sorted by name.
struct Pages {
    api: Arc<Api>,
    params: ListParams,
    now: Timestamp,
    /// The only selected node, if one is selected by name.
    only: Option<Arc<str>>,
    /// The last node of the previous page.
    after: Option<Arc<str>>,
    /// Whether the last page was read.
    done: bool,
}

impl Pages {
    /// The next nodes, selected or not.
    fn records(&mut self) -> Option<Vec<Arc<NodeRecord>>> {
        if self.done {
            return None;
        }
        let after = self.after.take();
        let after = after.as_deref();
        if let Some(only) = &self.only {
            self.done = true;
            let node = self.api.catalog.node(only);
            let ahead = |_: &Arc<NodeRecord>| after.is_none_or(|after| after < &**only);
            return Some(node.into_iter().filter(ahead).collect());
        }
        let records = self.api.catalog.nodes_after(after, PAGE);
        self.done = records.len() < PAGE;
        self.after = records.last().map(|node| node.name.as_str().into());
        Some(records)
    }
}

impl Iterator for Pages {
    type Item = Vec<NodeScrape>;

    fn next(&mut self) -> Option<Vec<NodeScrape>> {
        let mut nodes = self.records()?;
        let labels = &self.params.labels;
        nodes.retain(|node| node.labels.meet(labels));
        let mut found = NodeScrape::of(&self.api, nodes, self.now);
        found.retain(|node| node.is_selected(&self.params));
        Some(found)
    }
}

impl Object for NodeScrape {
    type Columns = AllColumns;
    const MADE_WHEN_ASKED: bool = false;

    fn name(&self) -> &str {
        self.node.name.as_str()
    }

    fn labels(&self) -> &Labels {
        &self.node.labels
    }

    fn fields(&self, out: &mut Vec<u8>) {
        write_status(out, &self.status);
    }
}

impl Reported for NodeScrape {
    fn has(&self, path: &str, value: &str) -> bool {
        match path {
            STATE => self.status.state == value,
            OWNER => match &*self.status.scrapers.owners {
                [] => value.is_empty(),
                owners => owners.iter().any(|owner| owner.as_str() == value),
            },
            _ => false,
        }
    }
}

impl Tabled for NodeScrape {
    const COLUMNS: &'static [Column<Self>] = &[
        Column {
            name: "State",
            kind: "string",
            wide: false,
            description: "The state of the node",
            cell: |node| Cell::text(Some(node.status.state)),
        },
        Column {
            name: "Owner",
            kind: "string",
            wide: false,
            description: "The scraper that scrapes it",
            cell: |node| Cell::text(node.status.owner.as_ref().map(Text::as_str)),
        },
        Column {
            name: "Standby",
            kind: "string",
            wide: false,
            description: "The scraper that scrapes it if the owner does not deliver it",
            cell: |node| Cell::text(node.status.standby.as_ref().map(Text::as_str)),
        },
        Column {
            name: "Sample",
            kind: "string",
            wide: false,
            description: "The time since the scrape of the newest sample",
            cell: |node| Cell::ago(node.scraped_at(), node.now),
        },
        Column {
            name: "Kubelet",
            kind: "string",
            wide: false,
            description: "The age of its numbers at that scrape, by the kubelet's clock",
            cell: |node| Cell::span(node.behind()),
        },
        Column {
            name: "Reason",
            kind: "string",
            wide: false,
            description: "Why it has no metrics",
            cell: |node| Cell::text(node.status.reason),
        },
        Column {
            name: "Resolution",
            kind: "string",
            wide: true,
            description: "How often it is scraped",
            cell: |node| Cell::text(node.status.resolution.map(Span::text).as_deref()),
        },
        Column {
            name: "Remedy",
            kind: "string",
            wide: true,
            description: "What to do about it: a section in docs/FLEET.md",
            cell: |node| Cell::text(node.status.remedy),
        },
        Column {
            name: "Failed",
            kind: "string",
            wide: true,
            description: "The time since the last scrape that failed",
            cell: |node| match &node.status.last_failure {
                Some(failure) => Cell::ago(Some(failure.time.0), node.now),
                None => Cell::text(None),
            },
        },
        Column {
            name: "Message",
            kind: "string",
            wide: true,
            description: "Why it has no metrics, as a sentence",
            cell: |node| Cell::text(node.status.message.as_deref()),
        },
    ];
}

impl NodeScrape {
    fn scraped_at(&self) -> Option<Timestamp> {
        self.status
            .sample
            .as_ref()
            .map(|sample| sample.scraped_at.0)
    }

    /// How old the newest sample was when the kubelet was scraped.
    fn behind(&self) -> Option<Duration> {
        let measured_at = self.status.sample.as_ref()?.measured_at?;
        Some(self.scraped_at()?.since(measured_at.0).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::State;

    #[test]
    fn every_state_is_described() {
        let (_, kind, _) = STATUS.iter().find(|(name, ..)| *name == "state").unwrap();
        let Type::OneOf(words) = kind else {
            panic!("{kind:?}");
        };
        assert_eq!(State::ALL.map(State::as_str).as_slice(), *words);
    }
}
