//! Where each pod is reported.

use std::{
    collections::{BTreeMap, hash_map::Entry},
    slice,
};

use tributary_model::{NodeName, PodKey, Roster};

use super::Map;

/// The nodes that report each pod.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// One of the nodes that report a pod: nearly always the only one.
    pods: Map<PodKey, Place>,
    /// The pods that more than one node reports, with all of these.
    contested: BTreeMap<PodKey, Vec<NodeName>>,
}

#[derive(Debug)]
struct Place {
    node: NodeName,
    /// Where the pod stands in the node's roster.
    at: u32,
}

/// Where a pod is to be found.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Found<'a> {
    /// The nodes that report it.
    pub(super) nodes: &'a [NodeName],
    /// Where it stands in the roster of one of these.
    pub(super) at: usize,
}

impl Index {
    /// The nodes that report a pod.
    pub(super) fn of(&self, pod: &PodKey) -> Found<'_> {
        let Some(place) = self.pods.get(pod) else {
            return Found::default();
        };
        let only = slice::from_ref(&place.node);
        Found {
            nodes: self.contested.get(pod).map_or(only, Vec::as_slice),
            at: usize::try_from(place.at).unwrap_or(usize::MAX),
        }
    }

    /// The pods that more than one node reports.
    pub(super) fn contested(&self) -> impl Iterator<Item = &PodKey> {
        self.contested.keys()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.pods.len()
    }

    /// Follows a node from one roster to the next.
    pub(super) fn follow(&mut self, node: &NodeName, before: Option<&Roster>, after: &Roster) {
        for (at, pod) in (0..).zip(after.pods()) {
            if before.is_some_and(|before| before.position(&pod.key).is_some()) {
                self.moved(node, &pod.key, at);
            } else {
                self.add(node, &pod.key, at);
            }
        }
        for pod in before.iter().flat_map(|before| before.pods()) {
            if after.position(&pod.key).is_none() {
                self.remove(node, &pod.key);
            }
        }
    }

    fn add(&mut self, node: &NodeName, pod: &PodKey, at: u32) {
        let node = node.clone();
        match self.pods.entry(pod.clone()) {
            Entry::Vacant(free) => {
                free.insert(Place { node, at });
            }
            Entry::Occupied(first) => {
                let nodes = self.contested.entry(pod.clone());
                let nodes = nodes.or_insert_with(|| vec![first.get().node.clone()]);
                nodes.push(node);
            }
        }
    }

    fn moved(&mut self, node: &NodeName, pod: &PodKey, at: u32) {
        if let Some(place) = self.pods.get_mut(pod)
            && place.node == *node
        {
            place.at = at;
        }
    }

    /// `node` does not report the pod any more.
    pub(super) fn remove(&mut self, node: &NodeName, pod: &PodKey) {
        let Some(nodes) = self.contested.get_mut(pod) else {
            if self.pods.get(pod).is_some_and(|place| place.node == *node) {
                self.pods.remove(pod);
            }
            return;
        };
        nodes.retain(|has| has != node);
        if let (Some(first), Some(place)) = (nodes.first(), self.pods.get_mut(pod)) {
            place.node = first.clone();
        }
        if nodes.len() < 2 {
            self.contested.remove(pod);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tributary_model::RosterBuilder;

    use super::*;

    fn key(pod: &str) -> PodKey {
        PodKey::new("shop", pod)
    }

    fn roster(pods: &[&str]) -> Arc<Roster> {
        let mut builder = RosterBuilder::default();
        for pod in pods {
            builder.add(key(pod), "main".into()).unwrap();
        }
        builder.build()
    }

    #[test]
    fn the_place_of_a_pod_follows_the_roster() {
        let (before, after) = (roster(&["b", "c"]), roster(&["a", "c"]));
        let mut index = Index::default();
        let node = NodeName::from("n1");
        index.follow(&node, None, &before);
        assert_eq!((index.of(&key("b")).at, index.of(&key("c")).at), (0, 1));
        index.follow(&node, Some(&before), &roster(&["c"]));
        assert_eq!(index.of(&key("c")).at, 0);
        index.follow(&node, Some(&roster(&["c"])), &after);
        assert_eq!((index.of(&key("a")).at, index.of(&key("c")).at), (0, 1));
        assert!(index.of(&key("b")).nodes.is_empty());
    }
}
