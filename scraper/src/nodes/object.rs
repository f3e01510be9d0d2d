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
    /// How many CPUs it has, in thousandths.
    pub(super) cpu_millis: Option<u64>,
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

/// What may be absent may be `null`, too: proxies and other API servers write that.
#[derive(Deserialize)]
struct Wire {
    metadata: WireMeta,
    status: Option<WireStatus>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireMeta {
    name: Option<String>,
    resource_version: Option<String>,
    annotations: Option<WireAnnotations>,
}

#[derive(Default, Deserialize)]
struct WireAnnotations {
    #[serde(rename = "metrics.k8s.io/resource-metrics-path")]
    path: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireStatus {
    addresses: Option<Vec<Address>>,
    daemon_endpoints: Option<WireEndpoints>,
    conditions: Option<Vec<WireCondition>>,
    capacity: Option<WireCapacity>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireEndpoints {
    kubelet_endpoint: Option<WireEndpoint>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireEndpoint {
    port: Option<i32>,
}

#[derive(Default, Deserialize)]
struct WireCapacity {
    cpu: Option<String>,
}

#[derive(Deserialize)]
struct WireCondition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

impl From<Wire> for Node {
    fn from(wire: Wire) -> Self {
        let status = wire.status.unwrap_or_default();
        let conditions = status.conditions.iter().flatten();
        let ready = conditions
            .clone()
            .any(|condition| condition.kind == "Ready" && condition.status == "True");
        let kubelet = status.daemon_endpoints.and_then(|it| it.kubelet_endpoint);
        let cpu = status.capacity.and_then(|capacity| capacity.cpu);
        Self {
            metadata: ObjectMeta {
                name: wire.metadata.name,
                resource_version: wire.metadata.resource_version,
                ..ObjectMeta::default()
            },
            path: wire.metadata.annotations.and_then(|it| it.path),
            addresses: status.addresses.unwrap_or_default(),
            port: kubelet.and_then(|kubelet| kubelet.port).unwrap_or_default(),
            ready,
            cpu_millis: cpu.and_then(|cpu| millis(&cpu)),
        }
    }
}

/// A quantity of CPUs in thousandths, as Node objects have it: `8`, `7.5` or `7500m`.
/// Of another form it is not known.
fn millis(quantity: &str) -> Option<u64> {
    if let Some(millis) = quantity.strip_suffix('m') {
        return millis.parse().ok();
    }
    let (whole, part) = quantity.split_once('.').unwrap_or((quantity, ""));
    let whole: u64 = whole.parse().ok()?;
    let part: u64 = format!("{part:0<3}").get(..3)?.parse().ok()?;
    whole.checked_mul(1_000)?.checked_add(part)
}
