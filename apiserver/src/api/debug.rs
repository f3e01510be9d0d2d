//! `/debug/nodes`: what the frontend knows about each node, for operators and scripts that look for the reason of a
//! gap. It is JSON, but not an API: fields may be added or changed.
//!
//! Callers need the permission `get` on the path, as for `/metrics`.

use std::{convert::Infallible, sync::Arc};

use axum::{
    body::Body,
    extract::{Query, Request, State},
    response::Response,
};
use bytes::Bytes;
use futures::stream;
use serde::Serialize;
use serde_json::Value;
use tributary_model::{Endpoint, NodeName, Timestamp};

use super::{
    SharedApi,
    answer::{PAGE, typed},
    nodes::NODES as NODE_METRICS,
    status::Refusal,
};
use crate::{
    k8s::accept::Encoding,
    scrapers::node_roles::Scrapers,
    store::{Report, State as NodeState},
};

/// The path.
pub(crate) const NODES: &str = "/debug/nodes";

/// `GET /debug/nodes`: all nodes by name, written page by page while they are sent.
///
/// `?node=` selects one node, `?state=` the nodes in a state. `?limit=` is the most nodes in the answer. If there are
/// more, the answer ends with the value for `?continue=`.
pub(crate) async fn nodes(
    State(api): State<SharedApi>,
    request: Request,
) -> Result<Response, Refusal> {
    let query = NodeQuery::read(&request)?;
    if !api.catalog.nodes_synced() {
        return Err(Refusal::NotSynced(&NODE_METRICS));
    }
    let now = Timestamp::from_millis(api.clock.now_millis());
    let only = match &query.node {
        None => None,
        Some(name) => match api.catalog.node(name) {
            Some(node) => Some(node.name.clone()),
            None => {
                return Err(Refusal::NoObject(&NODE_METRICS, name.clone()));
            }
        },
    };
    let pages = Pages {
        api,
        now,
        only,
        query,
        last: None,
        begun: false,
        done: false,
    };
    let pages = pages.map(Ok::<_, Infallible>);
    let body = Body::from_stream(stream::iter(pages));
    Ok(typed(Encoding::Json, body))
}

/// The parameters of the query.
struct NodeQuery {
    node: Option<String>,
    state: Option<NodeState>,
    limit: usize,
    after: Option<String>,
}

impl NodeQuery {
    fn read(request: &Request) -> Result<Self, Refusal> {
        let pairs: Query<Vec<(String, String)>> = Query::try_from_uri(request.uri())
            .map_err(|error| Refusal::BadRequest(error.body_text()))?;
        let mut query = Self {
            node: None,
            state: None,
            limit: usize::MAX,
            after: None,
        };
        for (name, value) in pairs.0 {
            match name.as_str() {
                "node" => query.node = Some(value),
                "continue" => query.after = Some(value),
                "state" => {
                    let state = NodeState::ALL.iter().find(|state| state.as_str() == value);
                    let unknown =
                        || Refusal::BadRequest(format!("no node has the state {value:?}"));
                    query.state = Some(*state.ok_or_else(unknown)?);
                }
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| *limit > 0);
                    let bad =
                        || Refusal::BadRequest(format!("limit {value:?} is no number above 0"));
                    query.limit = limit.ok_or_else(bad)?;
                }
                _ => {}
            }
        }
        Ok(query)
    }
}

/// The document in pieces, one for each page of nodes.
struct Pages {
    api: SharedApi,
    now: Timestamp,
    query: NodeQuery,
    only: Option<NodeName>,
    /// The last node that was sent.
    last: Option<NodeName>,
    begun: bool,
    done: bool,
}

impl Pages {
    /// The next names, selected or not.
    fn names(&mut self) -> Vec<NodeName> {
        if let Some(only) = self.only.take() {
            self.done = true;
            return vec![only];
        }
        let after = self.query.after.as_deref();
        let records = self.api.catalog.nodes_after(after, PAGE);
        self.done = records.len() < PAGE;
        let last = records.last();
        self.query.after = last.map(|node| node.name.to_string());
        records.iter().map(|node| node.name.clone()).collect()
    }

    /// Appends the selected nodes of a page. Returns whether there are more than the limit.
    fn write(&mut self, out: &mut String) -> bool {
        let names = self.names();
        let reports = self.api.store.reports(&names, self.now);
        for (name, report) in names.into_iter().zip(reports) {
            if self.query.state.is_some_and(|state| state != report.state) {
                continue;
            }
            if self.query.limit == 0 {
                return true;
            }
            self.query.limit -= 1;
            let scrapers = self.api.node_roles.of(name.as_str());
            let node = NodeReport::new(&name, &report, &scrapers, self.now);
            out.push_str(if self.last.is_some() { ",\n" } else { "\n" });
            // Serializing a node cannot fail.
            out.push_str(&serde_json::to_string(&node).unwrap_or_default());
            self.last = Some(name);
        }
        false
    }
}

impl Iterator for Pages {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if self.done {
            return None;
        }
        let mut out = String::new();
        if !std::mem::replace(&mut self.begun, true) {
            out.push_str("{\"nodes\":[");
        }
        let more = self.write(&mut out);
        self.done |= more;
        if self.done {
            out.push_str("\n]");
            if let Some(last) = self.last.as_ref().filter(|_| more) {
                out.push_str(",\"continue\":");
                out.push_str(&Value::from(last.as_str()).to_string());
            }
            out.push_str("}\n");
        }
        Some(out.into())
    }
}

/// A node in the answer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NodeReport<'a> {
    node: &'a str,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    owners: Vec<&'a str>,
    standby: Vec<&'a str>,
    leaving: Vec<&'a str>,
    rescuers: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resolution_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    newest_sample: Option<Moment>,
    /// The endpoint of the kubelet, if it is not `/metrics/resource`.
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_failure: Option<Failure<'a>>,
}

/// When a kubelet was scraped, by the frontend's clock.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Moment {
    time: String,
    age_seconds: f64,
}

#[derive(Serialize)]
struct Failure<'a> {
    #[serde(flatten)]
    at: Moment,
    reason: &'static str,
    message: &'a str,
    by: &'a str,
}

impl<'a> NodeReport<'a> {
    fn new(name: &'a NodeName, report: &'a Report, scrapers: &'a Scrapers, now: Timestamp) -> Self {
        let fallback = report.endpoint.filter(|it| *it != Endpoint::default());
        let names = |list: &'a [Arc<str>]| list.iter().map(|name| &**name).collect();
        Self {
            node: name.as_str(),
            state: report.state.as_str(),
            reason: report.why_not.as_ref().map(ToString::to_string),
            owners: names(&scrapers.owners),
            standby: names(&scrapers.standby),
            leaving: names(&scrapers.leaving),
            rescuers: names(&scrapers.rescuers),
            resolution_seconds: report.resolution.map(|every| every.as_secs_f64()),
            newest_sample: report.sampled_at.map(|at| Moment::new(at, now)),
            endpoint: fallback.map(Endpoint::path),
            last_failure: report.failed.as_ref().map(|failed| Failure {
                at: Moment::new(failed.asked_at, now),
                reason: failed.reason,
                message: &failed.message,
                by: &failed.by,
            }),
        }
    }
}

impl Moment {
    fn new(at: Timestamp, now: Timestamp) -> Self {
        let time = jiff::Timestamp::from_millisecond(at.as_millis());
        Self {
            time: time.map_or_else(|_| String::new(), |time| time.to_string()),
            age_seconds: now.since(at).unwrap_or_default().as_secs_f64(),
        }
    }
}
