//! Objects as JSON, in full, as `PartialObjectMetadata` or as rows of a Table.

use std::sync::LazyLock;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::table::{self, Include};
use crate::objects::{Map, Node, Phase, Pod};
use crate::store::{Kind, Object};

/// The part of an object that the client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The whole object.
    Full,
    /// `PartialObjectMetadata`.
    Metadata,
    /// Rows of a Table.
    Table(Include),
}

impl Shape {
    /// The shape that `Accept` requests.
    pub(super) fn of(accept: &str, include: Include) -> Self {
        if accept.contains("as=Table") {
            Self::Table(include)
        } else if accept.contains("as=PartialObjectMetadata") {
            Self::Metadata
        } else {
            Self::Full
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Meta<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    namespace: &'a str,
    uid: &'a str,
    resource_version: String,
    creation_timestamp: String,
    labels: &'a Map,
    #[serde(skip_serializing_if = "Map::is_empty")]
    annotations: &'a Map,
    managed_fields: &'static Value,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Partial<'a> {
    kind: &'static str,
    api_version: &'static str,
    metadata: Meta<'a>,
}

/// Managed fields, which every real object has and every reader should skip.
static MANAGED_FIELDS: LazyLock<Value> = LazyLock::new(|| {
    json!([{
        "manager": "kubelet",
        "operation": "Update",
        "apiVersion": "v1",
        "time": "2026-11-21T00:00:00Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": { "f:metadata": { "f:labels": { ".": {}, "f:app": {} } }, "f:status": { "f:conditions": {} } },
        "subresource": "status",
    }])
});

const PARTIAL: &str = "PartialObjectMetadata";
const META_VERSION: &str = "meta.k8s.io/v1";

/// A date in the format of the API.
pub(crate) fn date(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Appends an object's JSON, or its row.
pub(super) fn write(kind: &Kind, object: &Object, version: u64, shape: Shape, out: &mut Vec<u8>) {
    if let Shape::Table(include) = shape {
        return table::write_row(kind, object, version, include, out);
    }
    let meta = match object {
        Object::Node(node) => Some(node_meta(node, version)),
        Object::Pod(pod) => Some(pod_meta(pod, version)),
        Object::Other(_) => None,
    };
    let written = match (shape, meta) {
        (Shape::Metadata, Some(metadata)) => serde_json::to_writer(
            out,
            &Partial {
                kind: PARTIAL,
                api_version: META_VERSION,
                metadata,
            },
        ),
        (Shape::Metadata, None) => {
            let full = value(kind, object, version);
            let partial = json!({ "kind": PARTIAL, "apiVersion": META_VERSION, "metadata": full.get("metadata") });
            serde_json::to_writer(out, &partial)
        }
        (Shape::Full | Shape::Table(_), _) => {
            serde_json::to_writer(out, &value(kind, object, version))
        }
    };
    // Writing values to memory cannot fail.
    written.ok();
}

/// An object in full.
pub(crate) fn value(kind: &Kind, object: &Object, version: u64) -> Value {
    let mut value = match object {
        Object::Node(node) => node_value(node, version),
        Object::Pod(pod) => pod_value(pod, version),
        Object::Other(value) => {
            let mut value = Value::clone(value);
            if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
                metadata.insert("resourceVersion".to_owned(), json!(version.to_string()));
            }
            value
        }
    };
    if let Some(value) = value.as_object_mut() {
        value.insert("kind".to_owned(), json!(kind.name));
        value.insert("apiVersion".to_owned(), json!(kind.api_version()));
    }
    value
}

fn node_meta(node: &Node, version: u64) -> Meta<'_> {
    Meta {
        name: &node.name,
        namespace: "",
        uid: &node.uid,
        resource_version: version.to_string(),
        creation_timestamp: date(node.created),
        labels: &node.labels,
        annotations: &node.annotations,
        managed_fields: &MANAGED_FIELDS,
    }
}

fn pod_meta(pod: &Pod, version: u64) -> Meta<'_> {
    Meta {
        name: &pod.name,
        namespace: &pod.namespace,
        uid: &pod.uid,
        resource_version: version.to_string(),
        creation_timestamp: date(pod.created),
        labels: &pod.labels,
        annotations: &pod.annotations,
        managed_fields: &MANAGED_FIELDS,
    }
}

fn node_value(node: &Node, version: u64) -> Value {
    let created = date(node.created);
    let ready = if node.ready { "True" } else { "Unknown" };
    json!({
        "metadata": node_meta(node, version),
        "spec": { "podCIDR": "10.0.0.0/24", "providerID": format!("simulated://{}", node.name) },
        "status": {
            "addresses": [
                { "type": "InternalIP", "address": node.address.to_string() },
                { "type": "Hostname", "address": node.name },
            ],
            "allocatable": { "cpu": "7800m", "memory": "32505856Ki", "pods": "110", "ephemeral-storage": "100Gi" },
            "capacity": { "cpu": "8", "memory": "33554432Ki", "pods": "110", "ephemeral-storage": "100Gi" },
            "conditions": [{
                "type": "Ready",
                "status": ready,
                "reason": if node.ready { "KubeletReady" } else { "NodeStatusUnknown" },
                "message": "simulated",
                "lastHeartbeatTime": created,
                "lastTransitionTime": created,
            }],
            "daemonEndpoints": { "kubeletEndpoint": { "Port": node.port } },
            "nodeInfo": {
                "architecture": "amd64",
                "bootID": node.uid,
                "containerRuntimeVersion": "containerd://2.1.0",
                "kernelVersion": "6.12.0",
                "kubeProxyVersion": "",
                "kubeletVersion": "v1.36.0",
                "machineID": node.uid,
                "operatingSystem": "linux",
                "osImage": "Simulated Linux",
                "systemUUID": node.uid,
            },
        },
    })
}

fn pod_value(pod: &Pod, version: u64) -> Value {
    let running = pod.phase == Phase::Running;
    let containers = pod.containers.iter().map(|container| {
        json!({
            "name": container.name,
            "image": "registry.example/app:1",
            "resources": { "requests": { "cpu": "100m", "memory": "128Mi" } },
        })
    });
    let statuses = pod.containers.iter().map(|container| {
        let started = Timestamp::from_millisecond(container.started).map(date).unwrap_or_default();
        json!({
            "name": container.name,
            "image": "registry.example/app:1",
            "imageID": "sha256:0",
            "ready": running,
            "started": running,
            "restartCount": container.restarts,
            "state": if running { json!({ "running": { "startedAt": started } }) } else { json!({}) },
        })
    });
    json!({
        "metadata": pod_meta(pod, version),
        "spec": { "nodeName": pod.node, "restartPolicy": "Always", "containers": containers.collect::<Vec<_>>() },
        "status": {
            "phase": pod.phase.as_str(),
            "startTime": date(pod.created),
            "conditions": [{ "type": "Ready", "status": if running { "True" } else { "False" } }],
            "containerStatuses": statuses.collect::<Vec<_>>(),
        },
    })
}
