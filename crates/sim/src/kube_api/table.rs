//! Objects as a Table, as the API server prints them for `kubectl get -o wide`.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::render::{self, Shape};
use crate::objects::{Phase, Pod};
use crate::store::{Kind, Object, PODS};

/// The part of the object that a row contains: `includeObject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Include {
    /// The metadata, which is the default.
    Metadata,
    /// The whole object.
    Object,
    /// Nothing.
    None,
}

impl Include {
    /// Reads the value of the parameter. `None` for unknown values.
    pub(super) fn of(text: &str) -> Option<Self> {
        match text {
            "" | "Metadata" => Some(Self::Metadata),
            "Object" => Some(Self::Object),
            "None" => Some(Self::None),
            _ => None,
        }
    }
}

/// The columns of pods, including those of `-o wide`, which an API server always prints.
static PODS_COLUMNS: LazyLock<Value> = LazyLock::new(|| {
    let column = |name: &str, priority: u8| {
        let format = if name == "Name" { "name" } else { "" };
        json!({ "name": name, "type": "string", "format": format, "description": "simulated", "priority": priority })
    };
    json!([
        column("Name", 0),
        column("Ready", 0),
        column("Status", 0),
        column("Restarts", 0),
        column("Age", 0),
        column("IP", 1),
        column("Node", 1),
        column("Nominated Node", 1),
        column("Readiness Gates", 1),
    ])
});

/// The columns of kinds that an API server does not print.
static OTHER_COLUMNS: LazyLock<Value> = LazyLock::new(|| {
    json!([
        { "name": "Name", "type": "string", "format": "name", "description": "simulated", "priority": 0 },
        { "name": "Created At", "type": "date", "format": "", "description": "simulated", "priority": 0 },
    ])
});

/// The columns of a kind.
pub(super) fn columns(kind: &Kind) -> &'static Value {
    if *kind == PODS {
        &PODS_COLUMNS
    } else {
        &OTHER_COLUMNS
    }
}

/// Appends the row of an object.
pub(super) fn write_row(
    kind: &Kind,
    object: &Object,
    version: u64,
    include: Include,
    out: &mut Vec<u8>,
) {
    let cells = match object {
        Object::Pod(pod) => pod_cells(pod),
        Object::Node(node) => json!([node.name, render::date(node.created)]),
        Object::Other(value) => {
            let metadata = value.get("metadata");
            let field = |name: &str| metadata.and_then(|metadata| metadata.get(name));
            json!([field("name"), field("creationTimestamp")])
        }
    };
    out.extend_from_slice(b"{\"cells\":");
    out.extend_from_slice(cells.to_string().as_bytes());
    out.extend_from_slice(b",\"object\":");
    match include {
        Include::Metadata => render::write(kind, object, version, Shape::Metadata, out),
        Include::Object => render::write(kind, object, version, Shape::Full, out),
        Include::None => out.extend_from_slice(b"null"),
    }
    out.push(b'}');
}

/// Appends a Table with one row, which is empty for a bookmark. Only the first event of a watch has columns.
pub(super) fn write_table(columns: Option<&Value>, version: u64, row: &[u8], out: &mut Vec<u8>) {
    let columns = columns.unwrap_or(&Value::Null);
    let head = format!(
        "{{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":{{\"resourceVersion\":\"{version}\"}},\
         \"columnDefinitions\":{columns},\"rows\":["
    );
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(row);
    out.extend_from_slice(b"]}");
}

/// The row of a bookmark: an object that does not exist, with a version.
pub(super) fn bookmark_row(kind: &Kind, version: u64, annotations: &Value) -> Value {
    let cells = if *kind == PODS {
        json!([
            "",
            "0/0",
            "",
            "0",
            "<unknown>",
            "<none>",
            "<none>",
            "<none>",
            "<none>"
        ])
    } else {
        json!(["", null])
    };
    let metadata = json!({
        "resourceVersion": version.to_string(),
        "creationTimestamp": null,
        "annotations": annotations,
    });
    let object = json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata });
    json!({ "cells": cells, "object": object })
}

fn pod_cells(pod: &Pod) -> Value {
    let all = pod.containers.len();
    let ready = if pod.phase == Phase::Running { all } else { 0 };
    let restarts: u32 = pod
        .containers
        .iter()
        .map(|container| container.restarts)
        .sum();
    let node = if pod.node.is_empty() {
        "<none>"
    } else {
        &pod.node
    };
    json!([
        pod.name,
        format!("{ready}/{all}"),
        pod.phase.as_str(),
        restarts.to_string(),
        "5m",
        "<none>",
        node,
        "<none>",
        "<none>",
    ])
}
