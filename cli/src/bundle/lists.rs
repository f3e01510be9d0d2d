//! Which objects are read, and where.

use super::redactor::Kind;
use crate::{fleet::FLEET, kube_api::path};

/// The label of our objects, as a selector.
const OURS: &str = "labelSelector=app.kubernetes.io%2Fname%3Dtributary";

/// The label of the Leases of scrapers, as a selector.
const OF_SCRAPERS: &str = "labelSelector=tributary.dev%2Fgroup";

/// Events of which an object is a node, as a selector.
const ABOUT_NODES: &str = "fieldSelector=involvedObject.kind%3DNode";

/// Which objects of a kind are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// All.
    Cluster,
    /// Those with our label, in the namespace of Tributary if it is known.
    Ours,
    /// All in the namespace of Tributary, or in all if it is not known.
    Namespace,
    /// The same, or only those of scrapers if it is not known.
    Leases,
    /// Those about nodes, in the namespace where Kubernetes puts them.
    Nodes,
    /// Those in the namespace of the caller's choice, or all.
    Scaled,
}

/// Name of the file, what it is, path of the group, plural, place, and how secrets are removed. The most useful ones come
/// first.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    Place,
    Kind,
);

const APPS: &str = "/apis/apps/v1";
const CORE: &str = "/api/v1";

#[rustfmt::skip]
const ROWS: [Row; 16] = [
    ("apiservices.json", "how API groups are registered", "/apis/apiregistration.k8s.io/v1", "apiservices", Place::Cluster, Kind::Ordinary),
    ("metricsfrontends.json", "the frontend that answered", FLEET, "metricsfrontends", Place::Cluster, Kind::Ordinary),
    ("scrapers.json", "the connected scrapers", FLEET, "scrapers", Place::Cluster, Kind::Ordinary),
    ("nodescrapes.json", "the state of each node", FLEET, "nodescrapes", Place::Cluster, Kind::Ordinary),
    ("deployments.json", "Deployments of Tributary", APPS, "deployments", Place::Ours, Kind::Ordinary),
    ("statefulsets.json", "StatefulSets of Tributary", APPS, "statefulsets", Place::Ours, Kind::Ordinary),
    ("daemonsets.json", "DaemonSets of Tributary", APPS, "daemonsets", Place::Ours, Kind::Ordinary),
    (PODS, "pods of Tributary", CORE, "pods", Place::Ours, Kind::Ordinary),
    ("services.json", "Services of Tributary", CORE, "services", Place::Ours, Kind::Ordinary),
    ("endpointslices.json", "endpoints of these Services", "/apis/discovery.k8s.io/v1", "endpointslices", Place::Ours, Kind::Ordinary),
    ("leases.json", "Leases in the namespace of Tributary", "/apis/coordination.k8s.io/v1", "leases", Place::Leases, Kind::Ordinary),
    ("configmaps.json", "ConfigMaps of Tributary, with names and sizes of their data", CORE, "configmaps", Place::Ours, Kind::ConfigMap),
    ("events.json", "events in the namespace of Tributary", CORE, "events", Place::Namespace, Kind::Ordinary),
    ("node-events.json", "events of nodes", CORE, "events", Place::Nodes, Kind::Ordinary),
    ("horizontalpodautoscalers.json", "HorizontalPodAutoscalers", "/apis/autoscaling/v2", "horizontalpodautoscalers", Place::Scaled, Kind::Application),
    ("nodes.json", "Nodes, without annotations and images", CORE, "nodes", Place::Cluster, Kind::Node),
];

/// A list of objects that becomes a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct List {
    /// The name of the file.
    pub(super) file: &'static str,
    /// What it is.
    pub(super) about: &'static str,
    /// Where it is read.
    pub(super) path: String,
    /// How secrets are removed.
    pub(super) kind: Kind,
}

/// The file of the pods, whose logs follow.
pub(super) const PODS: &str = "pods.json";

/// The files of workloads and their pods. If all are empty, Tributary is not there, or has other labels.
pub(super) const WORKLOADS: [&str; 4] = [
    "deployments.json",
    "statefulsets.json",
    "daemonsets.json",
    PODS,
];

/// The lists, the most useful ones first. Workloads are those in `namespace`, or all with our label; autoscalers those in
/// `scaled`, or all.
pub(super) fn all(namespace: Option<&str>, scaled: Option<&str>) -> Vec<List> {
    let list = |(file, about, group, plural, place, kind): Row| {
        let within = |namespace| in_namespace(group, plural, namespace);
        let path = match (place, namespace) {
            (Place::Cluster, _) => within(None),
            (Place::Ours, _) => format!("{}?{OURS}", within(namespace)),
            (Place::Leases, None) => format!("{}?{OF_SCRAPERS}", within(None)),
            (Place::Namespace | Place::Leases, _) => within(namespace),
            (Place::Nodes, _) => format!("{}?{ABOUT_NODES}", within(Some("default"))),
            (Place::Scaled, _) => within(scaled),
        };
        List {
            file,
            about,
            path,
            kind,
        }
    };
    ROWS.into_iter().map(list).collect()
}

fn in_namespace(group: &str, plural: &str, namespace: Option<&str>) -> String {
    match namespace {
        Some(namespace) => path(group, &["namespaces", namespace, plural]),
        None => path(group, &[plural]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_read() {
        for namespace in [None, Some("sys")] {
            for list in all(namespace, namespace) {
                assert!(!list.path.contains("secret"), "{list:?}");
            }
        }
    }

    #[test]
    fn workloads_are_those_of_the_namespace_or_all() {
        let path = |namespace: Option<&str>, file: &str| {
            let lists = all(namespace, None);
            lists
                .into_iter()
                .find(|list| list.file == file)
                .unwrap()
                .path
        };
        let selector = "labelSelector=app.kubernetes.io%2Fname%3Dtributary";
        assert_eq!(
            path(Some("sys"), PODS),
            format!("/api/v1/namespaces/sys/pods?{selector}")
        );
        assert_eq!(path(None, PODS), format!("/api/v1/pods?{selector}"));
        assert_eq!(
            path(Some("sys"), "leases.json"),
            "/apis/coordination.k8s.io/v1/namespaces/sys/leases"
        );
        assert_eq!(
            path(None, "leases.json"),
            "/apis/coordination.k8s.io/v1/leases?labelSelector=tributary.dev%2Fgroup"
        );
    }
}
