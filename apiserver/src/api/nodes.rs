//! `NodeMetrics`: get and list.

use std::sync::Arc;

use axum::{extract::Request, response::Response};
use tributary_model::{NodeName, Timestamp};

use super::{
    Api, Served,
    accept::Subject,
    answer::{Answer, PAGE},
    fields::Field,
    kinds::Resource,
    objects::Item,
    params::ListParams,
    status::Refusal,
};
use crate::catalog::NodeRecord;

/// `GET .../nodes`
pub(crate) async fn list(served: Served, request: Request) -> Result<Response, Refusal> {
    let params = ListParams::read(request.uri(), Resource::Nodes)?;
    let answer = Answer::to(&request, &served, Resource::Nodes, Subject::List)?;
    let limit = params.limit;
    let pages = Pages::new(served.api, params, answer.now);
    Ok(answer.list(pages, limit).await)
}

/// `GET .../nodes/{name}`
pub(crate) fn get(served: &Served, name: String, request: &Request) -> Result<Response, Refusal> {
    let answer = Answer::to(request, served, Resource::Nodes, Subject::Object)?;
    let Some(node) = served.api.catalog.node(&name) else {
        return Err(Refusal::NoObject {
            resource: Resource::Nodes,
            name,
        });
    };
    match served.api.store.node(&name, answer.now) {
        Ok(usage) => Ok(answer.one(&Item::Node(node, usage))),
        Err(why) => Err(Refusal::NoMetrics {
            resource: Resource::Nodes,
            by: served.api.scraped_by(&node.name),
            name,
            why,
        }),
    }
}

/// The nodes of a list that have metrics, page by page, by name.
struct Pages {
    api: Arc<Api>,
    params: ListParams,
    now: Timestamp,
    /// What the next page comes after.
    after: Option<NodeName>,
    /// There is no next page.
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

    /// The next records, whether or not they are wanted, and where to go on.
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
        node.labels.meet(&self.params.labels)
            && served.is_none_or(|selector| node.labels.meet(selector))
            && self.params.fields.matches(node.name.as_str(), "")
    }
}

impl Iterator for Pages {
    type Item = Vec<Item>;

    fn next(&mut self) -> Option<Vec<Item>> {
        let records = self.records()?;
        let items = records
            .into_iter()
            .filter(|node| self.wants(node))
            .filter_map(|node| {
                let usage = self.api.store.node(node.name.as_str(), self.now).ok()?;
                Some(Item::Node(node, usage))
            });
        Some(items.collect())
    }
}
