//! Where each pod is reported.

use std::{collections::BTreeMap, hash::BuildHasher as _, sync::Arc};

use hashbrown::hash_table::{Entry, HashTable};
use slab::Slab;
use tributary_model::{NodeName, PodKey, Roster, RosterPod};

use super::Map;

/// The nodes that report each pod.
///
/// Pods are kept by where they stand, not by name: the names are in the rosters,
/// which a list of everything has to read anyway.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// One of the places of each pod: nearly always the only one.
    places: HashTable<Place>,
    hasher: foldhash::fast::RandomState,
    /// The pods that more than one node reports, with all of these.
    contested: BTreeMap<PodKey, Vec<u32>>,
    /// What each node reports, by its number.
    followed: Slab<Followed>,
    numbers: Map<NodeName, u32>,
}

/// A node, and where a pod stands in its roster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    node: u32,
    at: u32,
}

#[derive(Debug)]
struct Followed {
    node: NodeName,
    roster: Arc<Roster>,
}

/// Where a pod is to be found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found<'a> {
    /// One of the nodes that report it.
    pub(super) node: &'a NodeName,
    /// What that node's roster says of it.
    pub(super) pod: &'a RosterPod,
    /// Other nodes report it too.
    pub(super) contested: bool,
}

impl Index {
    /// A node that reports the pod.
    pub(super) fn of(&self, pod: &PodKey) -> Option<Found<'_>> {
        let place = self.places.find(self.hasher.hash_one(pod), |place| {
            key_at(&self.followed, *place) == Some(pod)
        })?;
        let followed = followed(&self.followed, place.node)?;
        Some(Found {
            node: &followed.node,
            pod: pod_at(&followed.roster, place.at)?,
            contested: !self.contested.is_empty() && self.contested.contains_key(pod),
        })
    }

    /// All nodes that report the pod.
    pub(super) fn nodes_of(&self, pod: &PodKey) -> Vec<NodeName> {
        let Some(numbers) = self.contested.get(pod) else {
            return self
                .of(pod)
                .map(|found| found.node.clone())
                .into_iter()
                .collect();
        };
        let nodes = numbers
            .iter()
            .filter_map(|node| followed(&self.followed, *node));
        nodes.map(|followed| followed.node.clone()).collect()
    }

    /// The pods that more than one node reports.
    pub(super) fn contested(&self) -> impl Iterator<Item = &PodKey> {
        self.contested.keys()
    }

    /// What a node reports, or did before its samples were too old.
    pub(super) fn roster(&self, node: &str) -> Option<Arc<Roster>> {
        let number = self.numbers.get(node)?;
        Some(Arc::clone(&followed(&self.followed, *number)?.roster))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Takes in what `node` reports from now on.
    pub(super) fn follow(&mut self, node: &NodeName, roster: &Arc<Roster>) {
        let number = self.number(node, roster);
        let Some(followed) = slot(&mut self.followed, number) else {
            return;
        };
        let before = std::mem::replace(&mut followed.roster, Arc::clone(roster));
        if Arc::ptr_eq(&before, roster) {
            // New, or the same as ever.
            return;
        }
        // Places are told apart by their numbers first, so all that do not hold any
        // more go before others come.
        let stays = |at, pod: &RosterPod, other| {
            pod_at(other, at).is_some_and(|other| other.key == pod.key)
        };
        for (at, pod) in (0..).zip(before.pods()) {
            if !stays(at, pod, roster) {
                self.remove(Place { node: number, at }, &pod.key);
            }
        }
        for (at, pod) in (0..).zip(roster.pods()) {
            if !stays(at, pod, &before) {
                self.add(Place { node: number, at }, &pod.key);
            }
        }
    }

    /// Forgets a node and what it reported.
    pub(super) fn forget(&mut self, node: &str) {
        let Some(number) = self.numbers.remove(node) else {
            return;
        };
        let Some(followed) = slot(&mut self.followed, number) else {
            return;
        };
        let roster = Arc::clone(&followed.roster);
        for (at, pod) in (0..).zip(roster.pods()) {
            self.remove(Place { node: number, at }, &pod.key);
        }
        if let Ok(number) = usize::try_from(number) {
            self.followed.try_remove(number);
        }
    }

    /// The number of a node; a new one's pods are added.
    fn number(&mut self, node: &NodeName, roster: &Arc<Roster>) -> u32 {
        if let Some(number) = self.numbers.get(node) {
            return *number;
        }
        let number = self.followed.insert(Followed {
            node: node.clone(),
            roster: Arc::clone(roster),
        });
        // As many nodes as an u32 counts do not fit into memory.
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        self.numbers.insert(node.clone(), number);
        for (at, pod) in (0..).zip(roster.pods()) {
            self.add(Place { node: number, at }, &pod.key);
        }
        number
    }

    fn add(&mut self, place: Place, pod: &PodKey) {
        let (followed, hasher) = (&self.followed, &self.hasher);
        let entry = self.places.entry(
            hasher.hash_one(pod),
            |place| key_at(followed, *place) == Some(pod),
            |place| key_at(followed, *place).map_or(0, |key| hasher.hash_one(key)),
        );
        match entry {
            Entry::Vacant(free) => {
                free.insert(place);
            }
            Entry::Occupied(first) => {
                let nodes = self.contested.entry(pod.clone());
                let nodes = nodes.or_insert_with(|| vec![first.get().node]);
                nodes.push(place.node);
            }
        }
    }

    /// `place` is not where the pod is any more.
    fn remove(&mut self, place: Place, pod: &PodKey) {
        let mut next = None;
        if let Some(nodes) = self.contested.get_mut(pod) {
            nodes.retain(|node| *node != place.node);
            next = nodes.first().copied();
            if nodes.len() < 2 {
                self.contested.remove(pod);
            }
        }
        let hash = self.hasher.hash_one(pod);
        if let Ok(mut held) = self.places.find_entry(hash, |held| *held == place) {
            match next.and_then(|node| place_in(&self.followed, node, pod)) {
                Some(other) => *held.get_mut() = other,
                None => {
                    held.remove();
                }
            }
        }
    }
}

fn followed(all: &Slab<Followed>, node: u32) -> Option<&Followed> {
    all.get(usize::try_from(node).ok()?)
}

fn slot(all: &mut Slab<Followed>, node: u32) -> Option<&mut Followed> {
    all.get_mut(usize::try_from(node).ok()?)
}

fn pod_at(roster: &Roster, at: u32) -> Option<&RosterPod> {
    roster.pods().get(usize::try_from(at).ok()?)
}

fn key_at(all: &Slab<Followed>, place: Place) -> Option<&PodKey> {
    let followed = followed(all, place.node)?;
    Some(&pod_at(&followed.roster, place.at)?.key)
}

fn place_in(all: &Slab<Followed>, node: u32, pod: &PodKey) -> Option<Place> {
    let at = followed(all, node)?.roster.position(pod)?;
    let at = u32::try_from(at).ok()?;
    Some(Place { node, at })
}

#[cfg(test)]
mod tests {
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

    /// The nodes that report each of the pods, and whose row is found.
    fn found(index: &Index, pods: &[&str]) -> Vec<String> {
        let of = |pod: &&str| {
            let key = key(pod);
            let nodes = index.nodes_of(&key);
            let nodes: Vec<&str> = nodes.iter().map(NodeName::as_str).collect();
            let found = index.of(&key);
            assert_eq!(found.is_some(), !nodes.is_empty());
            if let Some(found) = found {
                assert_eq!(found.pod.key, key);
                assert!(nodes.contains(&found.node.as_str()));
                assert_eq!(found.contested, nodes.len() > 1);
            }
            format!("{pod}: {}", nodes.join(" "))
        };
        pods.iter().map(of).collect()
    }

    #[test]
    fn a_pod_is_found_wherever_it_stands_in_the_roster() {
        let mut index = Index::default();
        let node = NodeName::from("n1");
        index.follow(&node, &roster(&["b", "c"]));
        assert_eq!(found(&index, &["a", "b", "c"]), ["a: ", "b: n1", "c: n1"]);
        index.follow(&node, &roster(&["c"]));
        assert_eq!(found(&index, &["b", "c"]), ["b: ", "c: n1"]);
        index.follow(&node, &roster(&["a", "c"]));
        assert_eq!(found(&index, &["a", "b", "c"]), ["a: n1", "b: ", "c: n1"]);
        assert_eq!(index.len(), 2);
        index.forget("n1");
        assert_eq!(found(&index, &["a", "c"]), ["a: ", "c: "]);
        assert_eq!(index.len(), 0);
    }

    #[test]
    fn a_pod_of_two_nodes_is_found_on_the_one_that_remains() {
        let mut index = Index::default();
        let [one, two, three] = ["n1", "n2", "n3"].map(NodeName::from);
        index.follow(&one, &roster(&["a", "b"]));
        index.follow(&two, &roster(&["b", "c"]));
        index.follow(&three, &roster(&["0", "b"]));
        assert_eq!(found(&index, &["a", "b"]), ["a: n1", "b: n1 n2 n3"]);
        // It moves within the roster of the first.
        index.follow(&one, &roster(&["b"]));
        assert_eq!(found(&index, &["a", "b"]), ["a: ", "b: n2 n3 n1"]);
        index.forget("n2");
        assert_eq!(found(&index, &["b", "c"]), ["b: n3 n1", "c: "]);
        // A new node gets the number of the one that is gone.
        index.follow(&two, &roster(&["c"]));
        index.follow(&three, &roster(&["0"]));
        assert_eq!(found(&index, &["0", "b", "c"]), ["0: n3", "b: n1", "c: n2"]);
        assert_eq!(index.contested().count(), 0);
        assert_eq!(index.len(), 3);
    }

    #[test]
    fn a_thousand_pods_that_change_places_are_all_found() {
        let mut index = Index::default();
        let names: Vec<String> = (0..1_000).map(|pod| format!("p{pod:03}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        for round in 0..20 {
            for node in 0..10 {
                // Each node has a tenth of them, one further in each round.
                let of_node = |at: &usize| (at + round) % 10 == node;
                let pods: Vec<&str> = (0..names.len())
                    .filter(of_node)
                    .map(|at| names[at])
                    .collect();
                let name = NodeName::from(format!("n{node}").as_str());
                index.follow(&name, &roster(&pods));
            }
            let expected: Vec<String> = (0..names.len())
                .map(|at| format!("{}: n{}", names[at], (at + round) % 10))
                .collect();
            assert_eq!(found(&index, &names), expected, "{round}");
            assert_eq!((index.len(), index.contested().count()), (1_000, 0));
        }
    }
}
