//! What is read of a Node object.
//!
//! A real one is 10 to 30 KB, most of it managed fields and names of images. The
//! rest of it is skipped while it is decoded, so it is never in memory.

use serde::Deserialize;

/// A Node object, as far as it says how to reach its kubelet.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "Wire")]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) path: Option<String>,
    pub(super) addresses: Vec<Address>,
    pub(super) port: i32,
    pub(super) ready: bool,
    /// How many CPUs it has, in thousandths.
    pub(super) cpu_millis: Option<u64>,
}

/// One of the addresses of a node.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Address {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) address: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Wire {
    metadata: WireMeta,
    status: WireStatus,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireMeta {
    name: String,
    uid: String,
    annotations: WireAnnotations,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireAnnotations {
    #[serde(rename = "metrics.k8s.io/resource-metrics-path")]
    path: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireStatus {
    addresses: Vec<Address>,
    daemon_endpoints: WireEndpoints,
    conditions: Vec<WireCondition>,
    capacity: WireCapacity,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireEndpoints {
    kubelet_endpoint: WireEndpoint,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct WireEndpoint {
    port: i32,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireCapacity {
    cpu: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireCondition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

impl From<Wire> for Node {
    fn from(wire: Wire) -> Self {
        let status = wire.status;
        let is_ready = |it: &WireCondition| it.kind == "Ready" && it.status == "True";
        let cpu = status.capacity.cpu;
        Self {
            name: wire.metadata.name,
            uid: wire.metadata.uid,
            path: wire.metadata.annotations.path,
            ready: status.conditions.iter().any(is_ready),
            addresses: status.addresses,
            port: status.daemon_endpoints.kubelet_endpoint.port,
            cpu_millis: cpu.and_then(|cpu| millis(&cpu)),
        }
    }
}

/// A quantity of CPUs in thousandths. `None` if it has another form, or is 0: no node is
/// without a CPU, but some virtual nodes say so.
fn millis(quantity: &str) -> Option<u64> {
    thousandths(quantity).filter(|millis| *millis > 0)
}

/// A quantity as Node objects have it, in thousandths: `8`, `7.5` or `7500m`.
fn thousandths(quantity: &str) -> Option<u64> {
    if let Some(millis) = quantity.strip_suffix('m') {
        return millis.parse().ok();
    }
    let (whole, part) = quantity.split_once('.').unwrap_or((quantity, ""));
    let whole: u64 = whole.parse().ok()?;
    let part: u64 = format!("{part:0<3}").get(..3)?.parse().ok()?;
    whole.checked_mul(1_000)?.checked_add(part)
}
