//! What is read of a Node object.
//!
//! A real one is 10 to 30 KB, most of it managed fields and names of images. The
//! rest of it is skipped while it is decoded, so it is never in memory.

use std::borrow::Cow;

use k8s_openapi::{
    ClusterResourceScope, api::core::v1 as core, apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::Resource;
use serde::Deserialize;

/// A Node object, as far as it says how to reach its kubelet.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "Wire")]
pub(super) struct Node {
    /// The name and the resource version; nothing else is filled in.
    metadata: ObjectMeta,
    pub(super) path: Option<String>,
    pub(super) addresses: Vec<Address>,
    pub(super) port: i32,
    pub(super) ready: bool,
}

/// One of the addresses of a node.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Address {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) address: String,
}

impl Node {
    pub(super) fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }
}

impl Resource for Node {
    type DynamicType = ();
    type Scope = ClusterResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        core::Node::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        core::Node::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        core::Node::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        core::Node::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[derive(Deserialize)]
struct Wire {
    metadata: WireMeta,
    #[serde(default)]
    status: WireStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireMeta {
    name: Option<String>,
    resource_version: Option<String>,
    #[serde(default)]
    annotations: WireAnnotations,
}

#[derive(Default, Deserialize)]
struct WireAnnotations {
    #[serde(rename = "metrics.k8s.io/resource-metrics-path")]
    path: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct WireStatus {
    addresses: Option<Vec<Address>>,
    daemon_endpoints: WireEndpoints,
    conditions: Option<Vec<WireCondition>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct WireEndpoints {
    kubelet_endpoint: WireEndpoint,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct WireEndpoint {
    port: i32,
}

#[derive(Deserialize)]
struct WireCondition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

impl From<Wire> for Node {
    fn from(wire: Wire) -> Self {
        let ready = wire
            .status
            .conditions
            .iter()
            .flatten()
            .any(|condition| condition.kind == "Ready" && condition.status == "True");
        Self {
            metadata: ObjectMeta {
                name: wire.metadata.name,
                resource_version: wire.metadata.resource_version,
                ..ObjectMeta::default()
            },
            path: wire.metadata.annotations.path,
            addresses: wire.status.addresses.unwrap_or_default(),
            port: wire.status.daemon_endpoints.kubelet_endpoint.port,
            ready,
        }
    }
}
