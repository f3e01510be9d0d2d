//! `NodeMetrics`: the usage of nodes.

use std::{sync::Arc, time::Duration};

use tributary_model::{NodeName, PodKey, Timestamp, Usage};

use super::{
    Api,
    answer::PAGE,
    kind::Kind,
    objects::{self, Amounts, METRICS, Object},
    params::ListParams,
    status::Refusal,
    table::{UsageColumns, Used},
    warning::{Warned, Whose},
};
use crate::{
    catalog::{Labels, NodeRecord},
    k8s::{fields::Field, openapi, resource::Resource},
};

/// The resource.
pub(crate) static NODES: Resource = Resource {
    group: METRICS,
    plural: "nodes",
    // `node` would hide the core resource from kubectl (docs/parity.md#discovery).
    singular: "",
    short: &[],
    kind: "NodeMetrics",
    namespaced: false,
    protobuf: true,
    watched: false,
    fields: &[],
    about: "node",
    missing: ("node", ""),
    mark: b'n',
    schemas: |version| openapi::schemas_in(include_str!("openapi/nodes.json"), version),
    package: "io.k8s.metrics.pkg.apis.metrics",
};

/// A `NodeMetrics`.
#[derive(Debug)]
pub(crate) struct NodeMetrics {
    pub(super) node: Arc<NodeRecord>,
    pub(super) usage: Usage,
}

impl Kind for NodeMetrics {
    const RESOURCE: &'static Resource = &NODES;
    type Object = Self;
    const WARNED: Option<Warned<Self>> = Some(Warned {
        whose: Whose::Nodes,
        node: |metrics| Some(&metrics.node.name),
        retain: |api, _, params, nodes| {
            nodes.retain(|troubled| {
                let node = api.catalog.node(troubled.node.as_str());
                node.is_some_and(|node| is_selected(&node, params))
            });
        },
    });

    fn is_synced(api: &Api) -> bool {
        api.catalog.nodes_synced()
    }

    fn get(api: &Arc<Api>, key: PodKey, now: Timestamp) -> Result<Self, Refusal> {
        let name = &*key.name;
        let Some(node) = api.catalog.node(name) else {
            return Err(Refusal::NoObject(&NODES, name.to_owned()));
        };
        match api.store.node(name, now) {
            Ok(usage) => Ok(Self { node, usage }),
            Err(why) => Err(Refusal::NoMetrics {
                resource: &NODES,
                by: api.scraped_by(&node.name),
                name: name.to_owned(),
                why,
            }),
        }
    }

    fn pages(
        api: Arc<Api>,
        _namespace: Option<String>,
        params: ListParams,
        now: Timestamp,
    ) -> impl Iterator<Item = Vec<Self>> + Send + 'static {
        Pages::new(api, params, now)
    }
}

impl Object for NodeMetrics {
    type Columns = UsageColumns;

    fn name(&self) -> &str {
        self.node.name.as_str()
    }

    fn labels(&self) -> &Labels {
        &self.node.labels
    }

    fn measured_at(&self) -> Option<Timestamp> {
        Some(self.usage.at)
    }

    fn fields(&self, out: &mut Vec<u8>) {
        objects::measured(out, self.usage.at, self.usage.window);
        out.push(b',');
        self.total().write(out);
    }

    fn protobuf(&self, out: &mut Vec<u8>) {
        objects::measured_protobuf(out, self.usage.at, self.usage.window);
        self.total().protobuf(out, 4);
    }
}

impl Used for NodeMetrics {
    fn total(&self) -> Amounts {
        (&self.usage).into()
    }

    fn window(&self) -> Duration {
        self.usage.window
    }
}

/// The nodes of a list that have metrics, in pages, sorted by name.
struct Pages {
    api: Arc<Api>,
    params: ListParams,
    now: Timestamp,
    /// The last node of the previous page.
    after: Option<NodeName>,
    /// Whether the last page was read.
    done: bool,
}

impl Pages {
    fn new(api: Arc<Api>, params: ListParams, now: Timestamp) -> Self {
        let after = params
            .after
            .as_ref()
            .map(|key| NodeName::from(Arc::clone(&key.name)));
        Self {
            api,
            params,
            now,
            after,
            done: false,
        }
    }

    /// The next records, selected or not.
    fn records(&mut self) -> Option<Vec<Arc<NodeRecord>>> {
        if self.done {
            return None;
        }
        let after = self.after.take();
        if let Some(name) = self.params.fields.exact(Field::Name) {
            self.done = true;
            let ahead = after.is_none_or(|after| after.as_str() < name);
            let node = self.api.catalog.node(name).filter(|_| ahead);
            return Some(node.into_iter().collect());
        }
        let after = after.as_ref().map(NodeName::as_str);
        let records = self.api.catalog.nodes_after(after, PAGE);
        self.done = records.len() < PAGE;
        self.after = records.last().map(|node| node.name.clone());
        Some(records)
    }

    fn wants(&self, node: &NodeRecord) -> bool {
        let served = self.api.node_selector.as_ref();
        is_selected(node, &self.params) && served.is_none_or(|selector| node.labels.meet(selector))
    }
}

fn is_selected(node: &NodeRecord, params: &ListParams) -> bool {
    node.labels.meet(&params.labels) && params.fields.matches(node.name.as_str(), "")
}

impl Iterator for Pages {
    type Item = Vec<NodeMetrics>;

    fn next(&mut self) -> Option<Vec<NodeMetrics>> {
        let records = self.records()?;
        let items = records
            .into_iter()
            .filter(|node| self.wants(node))
            .filter_map(|node| {
                let usage = self.api.store.node(node.name.as_str(), self.now).ok()?;
                Some(NodeMetrics { node, usage })
            });
        Some(items.collect())
    }
}
