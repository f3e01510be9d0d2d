//! `NodeUsage` and `PodUsage`: what this installation serves as `metrics.k8s.io`, also while another server is behind
//! that group. So both can be compared through kube-apiserver before a change-over
//! (docs/decisions/0037-switch.md).

use std::sync::Arc;

use serde_json::{Map, Value};
use tributary_model::{PodKey, Timestamp};

use super::{
    super::{
        Api,
        kind::Kind,
        nodes::NodeMetrics,
        objects::METRICS,
        params::ListParams,
        pods::{NODE_NAME, PodMetrics},
        status::Refusal,
    },
    FLEET, PACKAGE,
};
use crate::k8s::{
    openapi,
    resource::{Resource, Version},
};

/// The resource of nodes.
pub(crate) static NODE_USAGES: Resource = Resource {
    group: FLEET,
    plural: "nodeusages",
    singular: "nodeusage",
    short: &[],
    kind: "NodeUsage",
    namespaced: false,
    protobuf: false,
    watched: false,
    fields: &[],
    about: "node",
    missing: ("nodeusages", FLEET),
    mark: b'u',
    schemas: |version| schemas(include_str!("../openapi/nodes.json"), version),
    package: PACKAGE,
};

/// The resource of pods.
pub(crate) static POD_USAGES: Resource = Resource {
    group: FLEET,
    plural: "podusages",
    singular: "podusage",
    short: &[],
    kind: "PodUsage",
    namespaced: true,
    protobuf: false,
    watched: false,
    fields: &[NODE_NAME],
    about: "pod",
    missing: ("podusages", FLEET),
    mark: b'v',
    schemas: |version| schemas(include_str!("../openapi/pods.json"), version),
    package: PACKAGE,
};

/// The schemas of `metrics.k8s.io`, with the names of this group.
fn schemas(text: &str, version: Version) -> Map<String, Value> {
    let text = text
        .replace("io.k8s.metrics.pkg.apis.metrics", PACKAGE)
        .replace(METRICS, FLEET)
        .replace("NodeMetrics", "NodeUsage")
        .replace("PodMetrics", "PodUsage")
        .replace("ContainerMetrics", "ContainerUsage");
    openapi::schemas_in(&text, version)
}

/// The kind of nodes.
#[derive(Debug)]
pub(crate) struct NodeUsage;

/// The kind of pods.
#[derive(Debug)]
pub(crate) struct PodUsage;

impl Kind for NodeUsage {
    const RESOURCE: &'static Resource = &NODE_USAGES;
    type Object = NodeMetrics;

    fn is_synced(api: &Api) -> bool {
        NodeMetrics::is_synced(api)
    }

    fn get(api: &Arc<Api>, key: PodKey, now: Timestamp) -> Result<NodeMetrics, Refusal> {
        NodeMetrics::get(api, key, now).map_err(|refusal| refusal.about(&NODE_USAGES))
    }

    fn pages(
        api: Arc<Api>,
        namespace: Option<String>,
        params: ListParams,
        now: Timestamp,
    ) -> impl Iterator<Item = Vec<NodeMetrics>> + Send + 'static {
        NodeMetrics::pages(api, namespace, params, now)
    }
}

/// Autoscalers do not read this kind, so requests for it do not make scrapers scrape a node more often.
impl Kind for PodUsage {
    const RESOURCE: &'static Resource = &POD_USAGES;
    type Object = PodMetrics;

    fn is_synced(api: &Api) -> bool {
        PodMetrics::is_synced(api)
    }

    fn get(api: &Arc<Api>, key: PodKey, now: Timestamp) -> Result<PodMetrics, Refusal> {
        PodMetrics::get(api, key, now).map_err(|refusal| refusal.about(&POD_USAGES))
    }

    fn pages(
        api: Arc<Api>,
        namespace: Option<String>,
        params: ListParams,
        now: Timestamp,
    ) -> impl Iterator<Item = Vec<PodMetrics>> + Send + 'static {
        PodMetrics::pages(api, namespace, params, now)
    }
}
