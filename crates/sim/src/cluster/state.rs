//! The cluster's state: the objects of the API, and which pods run where. Plain data; [`Shared`](super::Shared) has the
//! lock.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use super::ReviewCounts;
use crate::identity::Access;
use crate::kubelet::Page;
use crate::objects::{Node, Pod};
use crate::store::{Key, NODES, Object, PODS, Store};

/// The state that changes.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) store: Store,
    pub(crate) access: Access,
    pub(crate) reviews: ReviewCounts,
    /// If each container is measured at its own times: the interval of those that change.
    pub(crate) cadvisor: Option<Duration>,
    /// The number of nodes that were ever added, for the next address.
    nodes: u32,
    on_node: HashMap<String, BTreeSet<Key>>,
    /// Pods that a kubelet reports although the API does not bind them to its node.
    ghosts: HashMap<String, BTreeMap<Key, Arc<Pod>>>,
    /// Core-nanoseconds of ended containers, by node.
    spent: HashMap<String, u64>,
    pages: HashMap<String, Arc<Page>>,
}

impl State {
    pub(crate) fn node(&self, name: &str) -> Option<&Arc<Node>> {
        match &self
            .store
            .get(&NODES, &(String::new(), name.to_owned()))?
            .object
        {
            Object::Node(node) => Some(node),
            Object::Pod(_) | Object::Other(_) => None,
        }
    }

    pub(crate) fn all_nodes(&self) -> Vec<Arc<Node>> {
        let names = self
            .store
            .range(&NODES, None)
            .map(|(key, _)| key.1.as_str());
        names.filter_map(|name| self.node(name).cloned()).collect()
    }

    pub(crate) fn pod(&self, key: &Key) -> Option<&Arc<Pod>> {
        match &self.store.get(&PODS, key)?.object {
            Object::Pod(pod) => Some(pod),
            Object::Node(_) | Object::Other(_) => None,
        }
    }

    pub(crate) fn pods_on(&self, node: &str) -> Vec<Key> {
        self.on_node
            .get(node)
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    }

    /// The next loopback address: 127.1.0.1 for the first node, never 127.0.x.y.
    pub(crate) fn next_address(&mut self) -> Ipv4Addr {
        self.nodes += 1;
        Ipv4Addr::from_bits(0x7f01_0000 + self.nodes)
    }

    pub(crate) fn put_node(&mut self, node: Node) {
        self.pages.remove(&node.name);
        self.store.put(&NODES, Object::Node(Arc::new(node)));
    }

    pub(crate) fn remove_node(&mut self, name: &str) -> bool {
        self.pages.remove(name);
        self.spent.remove(name);
        self.store
            .remove(&NODES, &(String::new(), name.to_owned()))
            .is_some()
    }

    pub(crate) fn put_pod(&mut self, mut pod: Pod) {
        if let Some(interval) = self.cadvisor {
            pod.start_clocks(interval);
        }
        let key = (pod.namespace.clone(), pod.name.clone());
        self.pages.remove(&pod.node);
        self.on_node
            .entry(pod.node.clone())
            .or_default()
            .insert(key);
        self.store.put(&PODS, Object::Pod(Arc::new(pod)));
    }

    /// Removes a pod. What its containers used until `now` stays in its node's counter.
    pub(crate) fn remove_pod(&mut self, key: &Key, now: i64) -> Option<Arc<Pod>> {
        let pod = Arc::clone(self.pod(key)?);
        for container in &pod.containers {
            self.spend(&pod.node, container.cpu_nanos(now));
        }
        if let Some(pods) = self.on_node.get_mut(&pod.node) {
            pods.remove(key);
        }
        self.pages.remove(&pod.node);
        self.store.remove(&PODS, key);
        Some(pod)
    }

    /// Adds core-nanoseconds of ended containers to a node.
    pub(crate) fn spend(&mut self, node: &str, nanos: u64) {
        let spent = self.spent.entry(node.to_owned()).or_default();
        *spent = spent.saturating_add(nanos);
    }

    /// Makes a node's kubelet report a pod that is not bound to the node in the API.
    pub(crate) fn put_ghost(&mut self, pod: Pod) {
        self.pages.remove(&pod.node);
        let key = (pod.namespace.clone(), pod.name.clone());
        self.ghosts
            .entry(pod.node.clone())
            .or_default()
            .insert(key, Arc::new(pod));
    }

    /// Removes the pods of [`Self::put_ghost`].
    pub(crate) fn remove_ghosts(&mut self, node: &str) {
        self.pages.remove(node);
        self.ghosts.remove(node);
    }

    /// The page of a node's kubelet.
    pub(crate) fn page(&mut self, name: &str) -> Option<Arc<Page>> {
        if let Some(page) = self.pages.get(name) {
            return Some(Arc::clone(page));
        }
        let node = self.node(name)?;
        let pods = self
            .on_node
            .get(name)
            .into_iter()
            .flatten()
            .filter_map(|key| self.pod(key));
        let ghosts = self.ghosts.get(name).into_iter().flat_map(BTreeMap::values);
        let spent = self.spent.get(name).copied().unwrap_or(0);
        let page = Arc::new(Page::new(node, spent, pods.chain(ghosts)));
        self.pages.insert(name.to_owned(), Arc::clone(&page));
        Some(page)
    }
}
