//! `NodeScrape`: the state of each node, its scrapers, and why it has no metrics.

mod columns;
mod status;

use std::sync::Arc;

use tributary_model::{Freshness, PodKey, Timestamp};

use self::status::{STATUS, Status};
use super::{
    super::{Api, answer::PAGE, kind::Kind, objects::Object, params::ListParams, status::Refusal},
    FLEET, PACKAGE, Reported,
    remedy::Known,
    schema,
    table::AllColumns,
    write_status,
};
use crate::{
    catalog::{Labels, NodeRecord},
    k8s::{fields::Field, resource::Resource},
    store::Report,
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

impl NodeScrape {
    fn new(node: Arc<NodeRecord>, known: Known, freshness: Freshness, now: Timestamp) -> Self {
        let status = Status::new(known, freshness);
        Self { node, now, status }
    }

    /// The objects of these nodes.
    fn of(api: &Api, nodes: Vec<Arc<NodeRecord>>, now: Timestamp) -> Vec<Self> {
        let names: Vec<_> = nodes.iter().map(|node| node.name.clone()).collect();
        let reports = api.store.reports(&names, now);
        let reported = api.node_roles.any();
        let reports = reports.into_iter().zip(api.store.freshness(&names));
        let nodes = nodes.into_iter().zip(reports);
        let scrape = |(node, (report, freshness)): (Arc<NodeRecord>, (Report, Freshness))| {
            let scrapers = api.node_roles.of(node.name.as_str());
            let known = Known {
                report,
                scrapers,
                reported,
            };
            Self::new(node, known, freshness, now)
        };
        nodes.map(scrape).collect()
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
            only: params.fields.exact(Field::Name).map(Arc::from),
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
