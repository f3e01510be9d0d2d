//! `fleet.tributary.dev`: which scrapers scrape each node, and why a node has no metrics
//! (docs/decisions/0029-fleet-group.md).
//!
//! Each kind is a file with its [`Resource`](crate::k8s::resource::Resource), its status, and the schema and columns of
//! the status. This file has what all kinds share.

pub(super) mod frontends;
pub(super) mod nodescrapes;
mod remedy;
mod schema;
pub(super) mod scrapers;
mod table;
pub(super) mod usages;

use std::{sync::Arc, time::Duration};

use serde::{Serialize, Serializer};
use tributary_model::Timestamp;

use super::{objects::Object, params::ListParams};
use crate::k8s::time;

/// The name of the group.
pub(crate) const FLEET: &str = "fleet.tributary.dev";

/// The prefix of the names of its schemas.
const PACKAGE: &str = "dev.tributary.fleet";

/// An object of this group: metadata and a status.
trait Reported: Object {
    /// Whether the field at `path`, which is one of the resource's fields, has `value`.
    fn has(&self, path: &str, value: &str) -> bool;

    /// Whether `params` select it.
    fn is_selected(&self, params: &ListParams) -> bool {
        self.labels().meet(&params.labels)
            && params.fields.matches(self.name(), self.namespace())
            && params
                .fields
                .matches_more(|path, value| self.has(path, value))
    }
}

/// The objects that `params` select, sorted by name.
fn selected<T: Reported>(mut objects: Vec<T>, params: &ListParams) -> Vec<T> {
    let after = params.after.as_ref().map(|key| &*key.name);
    objects.retain(|object| {
        after.is_none_or(|after| object.name() > after) && object.is_selected(params)
    });
    objects
}

/// Appends `,"status":{..}`.
fn write_status(out: &mut Vec<u8>, status: &impl Serialize) {
    out.extend_from_slice(br#","status":"#);
    if let Err(error) = serde_json::to_writer(&mut *out, status) {
        // Serializing a status cannot fail.
        tracing::error!(%error, "failed to write a status of this server");
    }
}

/// A text in a status. It shares memory with its source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Text(Option<Arc<str>>);

impl Text {
    fn of(text: &Arc<str>) -> Self {
        Self(Some(Arc::clone(text)))
    }

    fn all(texts: Vec<Arc<str>>) -> Vec<Self> {
        texts.into_iter().map(Some).map(Self).collect()
    }

    fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }

    fn is_empty(&self) -> bool {
        self.as_str().is_empty()
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A time in a status: RFC 3339 in UTC with whole seconds, as everywhere in Kubernetes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Moment(Timestamp);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = Vec::with_capacity(20);
        time::moment(&mut out, self.0);
        serializer.serialize_str(str::from_utf8(&out).unwrap_or_default())
    }
}

/// A duration in a status, as Go prints it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span(Duration);

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.text())
    }
}

impl Span {
    fn text(self) -> String {
        let mut out = Vec::with_capacity(8);
        time::span(&mut out, self.0);
        String::from_utf8(out).unwrap_or_default()
    }
}
