//! Resources for tests of code that serves any resource.

use super::{Resource, Resources, Version};

/// A resource without namespaces.
pub(crate) static NODES: Resource = BOTH;

const BOTH: Resource = Resource {
    group: "metrics.k8s.io",
    plural: "nodes",
    singular: "",
    short: &[],
    kind: "NodeMetrics",
    namespaced: false,
    protobuf: true,
    watched: false,
    fields: &[],
    about: "node",
    missing: ("node", ""),
    mark: b'n',
    schemas: |_| serde_json::Map::new(),
    package: "io.k8s.metrics.pkg.apis.metrics",
};

/// A resource in namespaces, with its own field.
pub(crate) static PODS: Resource = Resource {
    plural: "pods",
    kind: "PodMetrics",
    namespaced: true,
    fields: &["spec.nodeName"],
    about: "pod",
    missing: ("pods", ""),
    mark: b'p',
    ..BOTH
};

/// Both resources, in two versions.
pub(crate) fn resources() -> Resources {
    let versions = [
        ("v1", "metrics.k8s.io/v1"),
        ("v1beta1", "metrics.k8s.io/v1beta1"),
    ];
    let versions = versions.map(|(name, api_version)| Version { name, api_version });
    let of = |version| [(version, &NODES), (version, &PODS)];
    versions.into_iter().flat_map(of).collect()
}
