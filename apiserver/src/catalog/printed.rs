//! Reads pods as the API server prints them.
//!
//! With a request for a Table, like that of `kubectl get -o wide`, the API server returns for each pod the metadata and
//! some short cells. One of the cells is the node. So it has all that is needed of a pod, in 2 % more bytes than the
//! metadata alone and half the bytes of whole pods (docs/decisions/0020-numbers-count-from-the-bound-node.md). Only
//! names, labels and nodes are decoded.
//!
//! A server that does not print answers with whole pods, from which the same fields are read, or with metadata only. In
//! that case the node is not known ([`super::unplaced`]).

use std::borrow::Cow;

use kube::Error;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;
use tributary_model::PodKey;
use tributary_runtime::kube::{Change, Decode, Event, LeftOut, Page, failure, from_json, version};

use super::{Labels, uid::Uid};

/// The column with the node of a pod.
const COLUMN: &str = "Node";

/// The text of an empty cell.
const NONE: &str = "<none>";

/// A printed pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PrintedPod {
    pub(super) key: PodKey,
    /// Distinguishes it from an earlier pod of the same name.
    pub(super) uid: Uid,
    pub(super) labels: Labels,
    /// The node to which it is bound, if the answer has it.
    pub(super) node: Option<String>,
}

/// Reads lists and events of pods.
#[derive(Debug, Default)]
pub(super) struct Printed {
    /// The index of the cell with the node. A list has it, and so has the first event of a watch. Other events have the
    /// same columns.
    node_at: Option<usize>,
}

impl Decode for Printed {
    type Item = PrintedPod;

    const ACCEPT: Option<&'static str> =
        Some("application/json;as=Table;g=meta.k8s.io;v=v1,application/json;q=0.9");

    fn page(&mut self, json: &str) -> Result<Page<PrintedPod>, Error> {
        let answer: Answer<'_> = from_json(json).map_err(Error::SerdeError)?;
        let meta = &answer.metadata;
        let next = (!meta.next.is_empty()).then(|| meta.next.to_string());
        let version = meta.resource_version.to_string();
        let mut left_out = LeftOut::default();
        let items = self.pods(answer, &mut left_out);
        Ok(Page {
            items,
            version,
            next,
            left_out,
        })
    }

    fn event(&mut self, json: &str) -> Result<Event<PrintedPod>, Error> {
        let Line { kind, object } = from_json(json).map_err(Error::SerdeError)?;
        let change: Option<fn(PrintedPod) -> Change<PrintedPod>> = match &*kind {
            "ADDED" | "MODIFIED" => Some(Change::Put),
            "DELETED" => Some(Change::Remove),
            "BOOKMARK" => None,
            _ => return Err(failure(json)),
        };
        let mut event = self.read(object, change);
        if kind == "DELETED" && event.left_out.count() > 0 {
            // The names are enough to remove the pod.
            let named = named(object.get());
            if !named.is_empty() {
                event.changes = named.into_iter().map(Change::Remove).collect();
                event.left_out = LeftOut::default();
            }
        }
        Ok(event)
    }
}

impl Printed {
    /// Reads the pods of an event. A bookmark has none.
    fn read(
        &mut self,
        object: &RawValue,
        change: Option<fn(PrintedPod) -> Change<PrintedPod>>,
    ) -> Event<PrintedPod> {
        let mut left_out = LeftOut::default();
        let answer: Option<Answer<'_>> = left_out.read(object.get());
        let Some(answer) = answer else {
            return Event {
                version: version(object),
                changes: Vec::new(),
                left_out,
            };
        };
        let version = answer.metadata.resource_version.to_string();
        let changes = if let Some(change) = change {
            let pods = self.pods(answer, &mut left_out);
            pods.into_iter().map(change).collect()
        } else {
            // The first event has the columns.
            self.columns(&answer);
            Vec::new()
        };
        Event {
            version,
            changes,
            left_out,
        }
    }

    fn columns(&mut self, answer: &Answer<'_>) {
        if let Some(columns) = &answer.column_definitions {
            self.node_at = columns.iter().position(|column| column.name == COLUMN);
        }
    }

    /// The pods. An object without a name is skipped.
    fn pods(&mut self, answer: Answer<'_>, left_out: &mut LeftOut) -> Vec<PrintedPod> {
        let mut pods = self.all(answer, left_out);
        pods.retain(|pod| !pod.key.name.is_empty());
        pods
    }

    fn all(&mut self, answer: Answer<'_>, left_out: &mut LeftOut) -> Vec<PrintedPod> {
        self.columns(&answer);
        if let Some(rows) = answer.rows {
            let row = |row: &RawValue| {
                let row: Row<'_> = left_out.read(row.get())?;
                let cell = self.node_at.and_then(|at| row.cells.get(at));
                Some(pod(row.object.metadata, cell.and_then(Cell::node)))
            };
            return rows.into_iter().filter_map(row).collect();
        }
        let Some(items) = answer.items else {
            // The event of a server that does not print has the pod itself.
            return vec![pod(answer.metadata, node(answer.spec.as_ref()))];
        };
        let item = |item: &RawValue| {
            let item: Object<'_> = left_out.read(item.get())?;
            Some(pod(item.metadata, node(item.spec.as_ref())))
        };
        items.into_iter().filter_map(item).collect()
    }
}

fn pod(meta: Meta<'_>, node: Option<&str>) -> PrintedPod {
    PrintedPod {
        key: PodKey::new(&*meta.namespace, &*meta.name),
        uid: Uid::from(&*meta.uid),
        labels: meta.labels,
        node: node.map(str::to_owned),
    }
}

/// The pods of an event, with only their key and UID.
fn named(json: &str) -> Vec<PrintedPod> {
    let event: NamedPods<'_> = from_json(json).unwrap_or_default();
    let pods = match event.rows {
        Some(rows) => rows.into_iter().map(|row| row.object.metadata).collect(),
        None => vec![event.metadata],
    };
    let pods = pods.into_iter().filter(|pod| !pod.name.is_empty());
    let pod = |name: Name<'_>| PrintedPod {
        key: PodKey::new(&*name.namespace, &*name.name),
        uid: Uid::from(""),
        labels: Labels::default(),
        node: None,
    };
    pods.map(pod).collect()
}

fn node<'a>(spec: Option<&'a Spec<'_>>) -> Option<&'a str> {
    spec.map(|spec| &*spec.node_name)
        .filter(|node| !node.is_empty())
}

/// A Table, a list, or, in an event, an object that is not printed.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Answer<'a> {
    #[serde(borrow)]
    metadata: Meta<'a>,
    #[serde(borrow)]
    spec: Option<Spec<'a>>,
    #[serde(borrow)]
    column_definitions: Option<Vec<Column<'a>>>,
    #[serde(borrow)]
    rows: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    items: Option<Vec<&'a RawValue>>,
}

/// The metadata of a list or of an object.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Meta<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    namespace: Cow<'a, str>,
    #[serde(borrow)]
    uid: Cow<'a, str>,
    #[serde(borrow)]
    resource_version: Cow<'a, str>,
    #[serde(borrow, rename = "continue")]
    next: Cow<'a, str>,
    labels: Labels,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec<'a> {
    #[serde(borrow)]
    node_name: Cow<'a, str>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Column<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Row<'a> {
    #[serde(borrow)]
    cells: Vec<Cell<'a>>,
    #[serde(borrow)]
    object: Object<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Object<'a> {
    #[serde(borrow)]
    metadata: Meta<'a>,
    #[serde(borrow)]
    spec: Option<Spec<'a>>,
}

/// A Table or an object, of which only names are read.
#[derive(Default, Deserialize)]
#[serde(default)]
struct NamedPods<'a> {
    #[serde(borrow)]
    metadata: Name<'a>,
    #[serde(borrow)]
    rows: Option<Vec<NamedRow<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NamedRow<'a> {
    #[serde(borrow)]
    object: NamedObject<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NamedObject<'a> {
    #[serde(borrow)]
    metadata: Name<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Name<'a> {
    #[serde(borrow)]
    namespace: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
}

/// Any JSON value. Only a text is kept.
#[derive(Deserialize)]
#[serde(untagged)]
enum Cell<'a> {
    Text(#[serde(borrow)] Cow<'a, str>),
    Other(IgnoredAny),
}

impl Cell<'_> {
    /// The node in this cell.
    fn node(&self) -> Option<&str> {
        match self {
            Self::Text(text) if !text.is_empty() && text != NONE => Some(text),
            Self::Text(_) | Self::Other(IgnoredAny) => None,
        }
    }
}

/// A line of a watch.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[cfg(test)]
mod tests;
