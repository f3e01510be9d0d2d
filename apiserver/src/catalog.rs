//! The nodes and running pods that exist, with their labels.
//!
//! The API serves the name and labels of an object, and the numbers of a pod only from the node to which it is bound.
//! [`watch`] and [`printed`] drop the rest (managed fields, annotations, owners) while they decode, so it is never in
//! memory.
//!
//! Both kinds are sorted in the order in which they are served. A list is read in pages that start after a key. So a
//! reader holds the lock for one page only, and the same key continues a list for a client ([`crate::api`]).

mod claims;
mod labels;
mod pod;
mod printed;
mod refused;
mod uid;
mod unplaced;
mod watch;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, mem,
    ops::Bound,
    sync::Arc,
};

use parking_lot::{Mutex, RwLock};
use tributary_model::{NodeName, PodKey, Roster, RosterPod};

pub use self::labels::Labels;
pub(crate) use self::{
    claims::watch_claims,
    refused::Kind,
    unplaced::{Unplaced, place_pods},
    watch::{Pods, watch_nodes, watch_pods},
};
use self::{labels::Interner, pod::Pod, refused::Refused};

/// The most pods that are looked up under one lock.
const PAGE: usize = 500;

/// The needed parts of a Node object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRecord {
    /// Its name.
    pub name: NodeName,
    /// Its labels.
    pub labels: Labels,
}

/// The needed parts of a running Pod object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodRecord {
    /// Namespace and name.
    pub key: PodKey,
    /// The node to which it is bound. Only that node's numbers are served. `None` if the API server does not report it.
    pub node: Option<NodeName>,
    /// Its labels.
    pub labels: Labels,
}

/// The objects. Plain data without a lock.
#[derive(Debug, Default)]
struct Records {
    nodes: BTreeMap<NodeName, Arc<NodeRecord>>,
    pods: BTreeSet<Pod>,
    /// Whether each kind was listed once.
    nodes_synced: bool,
    pods_synced: bool,
}

/// The objects for many threads. No lock is held after a call returns.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    records: Arc<RwLock<Records>>,
    texts: Arc<Mutex<Interner>>,
    refused: Arc<Refused>,
}

impl Catalog {
    /// The node called `name`, if it exists.
    pub fn node(&self, name: &str) -> Option<Arc<NodeRecord>> {
        self.read(|records| records.nodes.get(name).cloned())
    }

    /// The pod called `key`, if it exists and runs.
    pub fn pod(&self, key: &PodKey) -> Option<Arc<PodRecord>> {
        self.read(|records| records.pods.get(key).map(|pod| Arc::clone(&pod.record)))
    }

    /// Up to `max` nodes after `after`, sorted by name.
    pub fn nodes_after(&self, after: Option<&str>, max: usize) -> Vec<Arc<NodeRecord>> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.read(|records| {
            let nodes = records.nodes.range::<str, _>((from, Bound::Unbounded));
            nodes.take(max).map(|(_, node)| Arc::clone(node)).collect()
        })
    }

    /// Up to `max` pods after `after`, sorted by namespace and name. If `namespace` is given, only its pods.
    pub fn pods_after(
        &self,
        namespace: Option<&str>,
        after: Option<&PodKey>,
        max: usize,
    ) -> Vec<Arc<PodRecord>> {
        // The empty name is before every pod of the namespace.
        let first = namespace.map(|namespace| PodKey::new(namespace, ""));
        let from = match (after, &first) {
            (Some(after), Some(first)) => Bound::Excluded(after.max(first)),
            (Some(after), None) => Bound::Excluded(after),
            (None, Some(first)) => Bound::Excluded(first),
            (None, None) => Bound::Unbounded,
        };
        self.read(|records| {
            records
                .pods
                .range::<PodKey, _>((from, Bound::Unbounded))
                .map(|pod| &pod.record)
                .take_while(|pod| namespace.is_none_or(|wanted| *pod.key.namespace == *wanted))
                .take(max)
                .cloned()
                .collect()
        })
    }

    /// Replaces the names in a roster by equal names that are in memory already.
    pub fn intern_names(&self, roster: &mut Arc<Roster>) {
        let known = |key: &PodKey| match self.pod(key) {
            Some(pod) => pod.key.clone(),
            None => PodKey {
                namespace: self.texts(|texts| texts.text(&key.namespace)),
                name: Arc::clone(&key.name),
            },
        };
        Roster::intern_names(roster, known, |container| {
            self.texts(|texts| texts.text(container.as_str())).into()
        });
    }

    /// The equal node name that is in memory already. Comparing it then needs no look at the text.
    pub fn share_node(&self, node: &NodeName) -> NodeName {
        self.texts(|texts| texts.text(node.as_str())).into()
    }

    /// How many of `pods`, which `node` reports, are bound to other nodes, and one of them. It takes the lock once, so
    /// callers pass a part of a roster.
    pub(crate) fn bound_elsewhere(
        &self,
        node: &NodeName,
        pods: &[RosterPod],
    ) -> (usize, Option<Arc<PodRecord>>) {
        let elsewhere = |pod: &Pod| {
            pod.record
                .node
                .as_ref()
                .is_some_and(|bound| !bound.is(node))
        };
        self.read(|records| {
            let known = pods.iter().filter_map(|pod| records.pods.get(&pod.key));
            let mut elsewhere = known.filter(|pod| elsewhere(pod));
            let first = elsewhere.next().map(|pod| Arc::clone(&pod.record));
            (usize::from(first.is_some()) + elsewhere.count(), first)
        })
    }

    /// Counts and logs refused labels.
    fn look_at_labels(&self, kind: Kind, name: &dyn fmt::Display, labels: &Labels) {
        self.refused.look(kind, name, labels);
    }

    /// How often an object of this kind had too many labels.
    pub(crate) fn labels_refused(&self, kind: Kind) -> u64 {
        self.refused.count(kind)
    }

    /// The number of nodes, and the number of pods.
    pub fn len(&self) -> (usize, usize) {
        self.read(|records| (records.nodes.len(), records.pods.len()))
    }

    /// The names of all nodes.
    pub fn node_names(&self) -> Vec<NodeName> {
        self.read(|records| records.nodes.keys().cloned().collect())
    }

    /// Whether all nodes were listed once.
    pub fn nodes_synced(&self) -> bool {
        self.read(|records| records.nodes_synced)
    }

    /// Whether all pods were listed once.
    pub fn pods_synced(&self) -> bool {
        self.read(|records| records.pods_synced)
    }

    /// Adds a node, or replaces the node of that name.
    pub fn put_node(&self, node: NodeRecord) {
        self.write(|records| {
            records.nodes.insert(node.name.clone(), Arc::new(node));
        });
    }

    /// Adds a pod, or replaces the pod of that name.
    pub fn put_pod(&self, pod: PodRecord) {
        self.put(pod.into());
    }

    /// Adds a pod, or replaces the pod of that name. Returns the replaced pod if it was another pod with the same name.
    fn put(&self, pod: Pod) -> Option<Arc<PodRecord>> {
        let uid = pod.uid();
        let known = self.write(|records| records.pods.replace(pod))?;
        (known.uid() != uid).then_some(known.record)
    }

    /// Sets the node of a pod that has none.
    fn place_pod(&self, key: &PodKey, node: NodeName) {
        self.write(|records| {
            let pod = records.pods.get(key);
            if let Some(pod) = pod.filter(|pod| pod.record.node.is_none()) {
                let pod = pod.on(node);
                records.pods.replace(pod);
            }
        });
    }

    /// Removes a node.
    pub fn remove_node(&self, name: &str) {
        self.write(|records| {
            records.nodes.remove(name);
        });
    }

    /// Removes a pod and returns it.
    pub fn remove_pod(&self, key: &PodKey) -> Option<Arc<PodRecord>> {
        let known = self.write(|records| records.pods.take(key));
        known.map(|pod| pod.record)
    }

    /// Replaces all nodes by those of a complete list.
    pub fn set_nodes(&self, nodes: Vec<NodeRecord>) {
        let nodes = nodes
            .into_iter()
            .map(|node| (node.name.clone(), Arc::new(node)))
            .collect();
        self.write(|records| {
            records.nodes_synced = true;
            records.nodes = nodes;
        });
    }

    /// Replaces all pods by those of a complete list.
    pub fn set_pods(&self, pods: Vec<PodRecord>) {
        self.set(pods.into_iter().map(Pod::from));
    }

    /// Replaces all pods by those of a complete list. If the list has a pod twice, the last one counts. Returns the
    /// pods that no longer exist. Another pod of the same name may exist.
    fn set(&self, pods: impl Iterator<Item = Pod>) -> Vec<Arc<PodRecord>> {
        // Made at once, its nodes are full, and take half the memory. Of equal elements the last one stays.
        let listed: BTreeSet<Pod> = pods.collect();
        let before = self.write(|records| {
            records.pods_synced = true;
            mem::replace(&mut records.pods, listed)
        });
        let before: Vec<Pod> = before.into_iter().collect();
        let mut gone = Vec::new();
        for page in before.chunks(PAGE) {
            self.read(|records| {
                let now = |pod: &Pod| records.pods.get(pod.key());
                let is_gone = |pod: &&Pod| now(pod).is_none_or(|now| now.uid() != pod.uid());
                gone.extend(
                    page.iter()
                        .filter(is_gone)
                        .map(|pod| Arc::clone(&pod.record)),
                );
            });
        }
        gone
    }

    fn read<T>(&self, ask: impl FnOnce(&Records) -> T) -> T {
        ask(&self.records.read())
    }

    fn write<T>(&self, change: impl FnOnce(&mut Records) -> T) -> T {
        change(&mut self.records.write())
    }

    fn texts<T>(&self, edit: impl FnOnce(&mut Interner) -> T) -> T {
        edit(&mut self.texts.lock())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(namespace: &str, name: &str) -> PodRecord {
        PodRecord {
            key: PodKey::new(namespace, name),
            node: Some("n1".into()),
            labels: Labels::default(),
        }
    }

    fn names(pods: &[Arc<PodRecord>]) -> Vec<String> {
        pods.iter().map(|pod| pod.key.to_string()).collect()
    }

    #[test]
    fn pages_follow_one_another_and_stay_in_the_namespace() {
        let catalog = Catalog::default();
        for (namespace, name) in [("b", "z"), ("b", "a"), ("a", "q"), ("c", "a"), ("b", "m")] {
            catalog.put_pod(pod(namespace, name));
        }
        let page = catalog.pods_after(Some("b"), None, 2);
        assert_eq!(names(&page), ["b/a", "b/m"]);
        let page = catalog.pods_after(Some("b"), Some(&page[1].key), 2);
        assert_eq!(names(&page), ["b/z"]);
        assert_eq!(
            names(&catalog.pods_after(None, Some(&PodKey::new("b", "m")), 9)),
            ["b/z", "c/a"]
        );
        assert_eq!(
            names(&catalog.pods_after(Some("b"), Some(&PodKey::new("a", "x")), 9)),
            ["b/a", "b/m", "b/z"]
        );
        assert!(catalog.pods_after(Some("bb"), None, 9).is_empty());
    }

    #[test]
    fn a_full_list_replaces_everything_and_counts_as_synced() {
        let catalog = Catalog::default();
        catalog.put_pod(pod("a", "old"));
        assert!(!catalog.pods_synced());
        catalog.set_pods(vec![pod("a", "new")]);
        assert!(catalog.pods_synced());
        assert_eq!(names(&catalog.pods_after(None, None, 9)), ["a/new"]);
        assert_eq!(catalog.pod(&PodKey::new("a", "old")), None);
    }

    #[test]
    fn of_a_pod_that_a_list_has_twice_the_last_one_counts() {
        let catalog = Catalog::default();
        let moved = PodRecord {
            node: Some("n2".into()),
            ..pod("a", "x")
        };
        catalog.set_pods(vec![pod("a", "x"), pod("a", "b"), moved]);
        assert_eq!(names(&catalog.pods_after(None, None, 9)), ["a/b", "a/x"]);
        let found = catalog.pod(&PodKey::new("a", "x")).unwrap();
        assert_eq!(found.node, Some("n2".into()));
    }

    #[test]
    fn a_pod_takes_as_little_memory_as_before_its_node_was_known() {
        assert_eq!(size_of::<PodRecord>(), 64);
    }

    #[test]
    fn nodes_come_by_name() {
        let catalog = Catalog::default();
        for name in ["n2", "n10", "n1"] {
            catalog.put_node(NodeRecord {
                name: name.into(),
                labels: Labels::default(),
            });
        }
        let after: Vec<String> = catalog
            .nodes_after(Some("n1"), 9)
            .iter()
            .map(|node| node.name.to_string())
            .collect();
        assert_eq!(after, ["n10", "n2"]);
        catalog.remove_node("n10");
        assert_eq!(catalog.node("n10"), None);
    }
}
