//! Where each pod is reported.

use std::{collections::BTreeMap, hash::BuildHasher as _, sync::Arc};

use hashbrown::hash_table::{Entry, HashTable};
use tributary_model::{NodeName, PodKey, Roster, RosterPod};

use super::nodes::{self, Nodes, PodLocation};

/// The nodes that report each pod.
///
/// Pods are kept by where they stand, not by name: the names are in the rosters,
/// which a list of everything has to read anyway.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// The place where each pod was reported first, of those where it still is: nearly
    /// always the only one.
    locations: HashTable<PodLocation>,
    hasher: foldhash::fast::RandomState,
    /// The pods that more than one node reports, with all of these, the first in front.
    contested: BTreeMap<PodKey, Vec<u32>>,
}

/// Where a pod is to be found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found<'a> {
    /// The node that reported it first, of those that do.
    pub(super) entry: &'a nodes::Entry,
    /// What that node's roster says of it.
    pub(super) pod: &'a RosterPod,
}

impl Index {
    /// A node that reports the pod.
    pub(super) fn of<'a>(&self, nodes: &'a Nodes, pod: &PodKey) -> Option<Found<'a>> {
        self.find(nodes, pod, self.hasher.hash_one(pod))
    }

    /// [`Index::of`] each of `pods`, in the same order. One step after the other,
    /// each for all of them: every step looks at another place in memory, and the
    /// processor waits for several at a time if little else is in between.
    pub(super) fn all<'a>(&self, nodes: &'a Nodes, pods: &[&PodKey]) -> Vec<Option<Found<'a>>> {
        let hashes: Vec<u64> = pods.iter().map(|pod| self.hasher.hash_one(pod)).collect();
        let first = |hash: &u64| self.locations.iter_hash(*hash).next();
        let likely: Vec<Option<&PodLocation>> = hashes.iter().map(first).collect();
        let likely: Vec<Option<Found<'_>>> = likely
            .into_iter()
            .map(|location| found(nodes, *location?))
            .collect();
        let steps = pods.iter().zip(hashes).zip(likely);
        let all = steps.map(|((pod, hash), likely)| match likely {
            Some(found) if found.pod.key.is(pod) => Some(found),
            _ => self.find(nodes, pod, hash),
        });
        all.collect()
    }

    fn find<'a>(&self, nodes: &'a Nodes, pod: &PodKey, hash: u64) -> Option<Found<'a>> {
        let location = self
            .locations
            .find(hash, |location| is(nodes, *location, pod))?;
        found(nodes, *location)
    }

    /// The numbers of all nodes that report the pod.
    pub(super) fn numbers_of(&self, nodes: &Nodes, pod: &PodKey) -> Vec<u32> {
        if let Some(numbers) = self.contested.get(pod) {
            return numbers.clone();
        }
        let hash = self.hasher.hash_one(pod);
        let location = self
            .locations
            .find(hash, |location| is(nodes, *location, pod));
        location.map(|location| location.node).into_iter().collect()
    }

    /// All nodes that report the pod, the first in front.
    pub(super) fn nodes_of(&self, nodes: &Nodes, pod: &PodKey) -> Vec<NodeName> {
        let numbers = self.numbers_of(nodes, pod).into_iter();
        let entries = numbers.filter_map(|number| nodes.at(number));
        entries.map(|entry| entry.name.clone()).collect()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.locations.len()
    }

    /// Takes in what the node with this number reports from now on. Returns whether
    /// that is another roster than before.
    pub(super) fn follow(&mut self, nodes: &mut Nodes, number: u32, roster: &Arc<Roster>) -> bool {
        let Some(entry) = nodes.at_mut(number) else {
            return false;
        };
        let before = entry.roster.replace(Arc::clone(roster));
        if before
            .as_ref()
            .is_some_and(|stored| Arc::ptr_eq(stored, roster))
        {
            return false;
        }
        let before = before.as_deref();
        let first = self.first_on(number, roster);
        // Places are told apart by their numbers first, so all that do not hold any
        // more go before others come.
        let stays = |at: usize, pod: &RosterPod, other: Option<&Roster>| {
            let other = other.and_then(|other| other.pods().get(at));
            other.is_some_and(|other| other.key == pod.key)
        };
        for (at, pod) in before.map(Roster::pods).into_iter().flatten().enumerate() {
            if !stays(at, pod, Some(roster)) {
                self.remove(nodes, location(number, at), &pod.key);
            }
        }
        for (at, pod) in roster.pods().iter().enumerate() {
            if !stays(at, pod, before) {
                self.add(nodes, location(number, at), &pod.key);
            }
        }
        for pod in first {
            self.put_first(nodes, number, &pod);
        }
        true
    }

    /// The pods that others report, too, that this node reported first, and that it
    /// goes on reporting in `roster`.
    fn first_on(&self, number: u32, roster: &Roster) -> Vec<PodKey> {
        if self.contested.is_empty() {
            return Vec::new();
        }
        let pods = roster.pods().iter().map(|pod| &pod.key);
        let numbers = |pod: &PodKey| self.contested.get(pod);
        pods.filter(|pod| numbers(pod).is_some_and(|all| all.first() == Some(&number)))
            .cloned()
            .collect()
    }

    /// Lets the node with this number be the first that reported the pod: it did, and
    /// only moved it within its roster.
    fn put_first(&mut self, nodes: &Nodes, number: u32, pod: &PodKey) {
        let Some(numbers) = self.contested.get_mut(pod) else {
            return;
        };
        let Some(at) = numbers.iter().position(|other| *other == number) else {
            return;
        };
        if let Some(before) = numbers.get_mut(..=at) {
            before.rotate_right(1);
        }
        let hash = self.hasher.hash_one(pod);
        if let Ok(mut stored) = self
            .locations
            .find_entry(hash, |location| is(nodes, *location, pod))
            && let Some(location) = nodes.location_of(number, pod)
        {
            *stored.get_mut() = location;
        }
    }

    /// Forgets what a node reported.
    pub(super) fn forget(&mut self, nodes: &mut Nodes, number: u32) {
        let Some(roster) = nodes.at(number).and_then(|entry| entry.roster.clone()) else {
            return;
        };
        for (at, pod) in roster.pods().iter().enumerate() {
            self.remove(nodes, location(number, at), &pod.key);
        }
        if let Some(entry) = nodes.at_mut(number) {
            entry.roster = None;
        }
    }

    fn add(&mut self, nodes: &Nodes, location: PodLocation, pod: &PodKey) {
        let hasher = &self.hasher;
        let key = |location: &PodLocation| nodes.pod_at(*location).map(|pod| &pod.key);
        let entry = self.locations.entry(
            hasher.hash_one(pod),
            |location| is(nodes, *location, pod),
            |location| key(location).map_or(0, |key| hasher.hash_one(key)),
        );
        match entry {
            Entry::Vacant(free) => {
                free.insert(location);
            }
            Entry::Occupied(first) => {
                let numbers = self.contested.entry(pod.clone());
                let numbers = numbers.or_insert_with(|| vec![first.get().node]);
                numbers.push(location.node);
            }
        }
    }

    /// `location` is no longer the location of the pod.
    fn remove(&mut self, nodes: &Nodes, location: PodLocation, pod: &PodKey) {
        let mut next = None;
        if let Some(numbers) = self.contested.get_mut(pod) {
            numbers.retain(|node| *node != location.node);
            next = numbers.first().copied();
            if numbers.len() < 2 {
                self.contested.remove(pod);
            }
        }
        let hash = self.hasher.hash_one(pod);
        if let Ok(mut stored) = self
            .locations
            .find_entry(hash, |stored| *stored == location)
        {
            match next.and_then(|node| nodes.location_of(node, pod)) {
                Some(other) => *stored.get_mut() = other,
                None => {
                    stored.remove();
                }
            }
        }
    }
}

fn location(node: u32, at: usize) -> PodLocation {
    // A roster has fewer (`Roster::MAX_CONTAINERS`).
    let at = u32::try_from(at).unwrap_or(u32::MAX);
    PodLocation { node, at }
}

/// What stands there.
fn found(nodes: &Nodes, location: PodLocation) -> Option<Found<'_>> {
    Some(Found {
        entry: nodes.at(location.node)?,
        pod: nodes.pod_at(location)?,
    })
}

/// Whether `pod` stands there.
fn is(nodes: &Nodes, location: PodLocation, pod: &PodKey) -> bool {
    nodes
        .pod_at(location)
        .is_some_and(|found| found.key.is(pod))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tributary_model::RosterBuilder;

    use super::*;
    use crate::store::Source;

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

    /// An index with its nodes.
    #[derive(Default)]
    struct Indexed(Index, Nodes);

    impl Indexed {
        fn follow(&mut self, node: &str, pods: &[&str]) {
            let source = Source {
                name: "s".into(),
                resolution: Duration::from_secs(15),
            };
            let number = self.1.number(&node.into(), &source);
            self.0.follow(&mut self.1, number, &roster(pods));
        }

        fn forget(&mut self, node: &str) {
            let mut number = None;
            self.1.each(|found, entry| {
                if entry.name.as_str() == node {
                    number = Some(found);
                }
            });
            self.0.forget(&mut self.1, number.unwrap());
            self.1.remove(number.unwrap());
            assert!(self.1.get(node).is_none());
        }

        /// The nodes that report each of the pods, and whose row is found.
        fn found(&self, pods: &[&str]) -> Vec<String> {
            let Self(index, nodes) = self;
            let of = |pod: &&str| {
                let key = key(pod);
                let names = index.nodes_of(nodes, &key);
                let names: Vec<&str> = names.iter().map(NodeName::as_str).collect();
                let found = index.of(nodes, &key);
                assert_eq!(found.is_some(), !names.is_empty());
                let all = index.all(nodes, &[&key, &key]);
                for again in all {
                    let node = |found: Found<'_>| found.entry.name.clone();
                    assert_eq!(again.map(node), found.map(node));
                }
                if let Some(found) = found {
                    assert_eq!(found.pod.key, key);
                    assert_eq!(names.first(), Some(&found.entry.name.as_str()));
                }
                format!("{pod}: {}", names.join(" "))
            };
            pods.iter().map(of).collect()
        }
    }

    #[test]
    fn a_pod_is_found_wherever_it_stands_in_the_roster() {
        let mut index = Indexed::default();
        index.follow("n1", &["b", "c"]);
        assert_eq!(index.found(&["a", "b", "c"]), ["a: ", "b: n1", "c: n1"]);
        index.follow("n1", &["c"]);
        assert_eq!(index.found(&["b", "c"]), ["b: ", "c: n1"]);
        index.follow("n1", &["a", "c"]);
        assert_eq!(index.found(&["a", "b", "c"]), ["a: n1", "b: ", "c: n1"]);
        assert_eq!(index.0.len(), 2);
        index.forget("n1");
        assert_eq!(index.found(&["a", "c"]), ["a: ", "c: "]);
        assert_eq!(index.0.len(), 0);
    }

    #[test]
    fn a_pod_of_two_nodes_is_found_on_the_one_that_remains() {
        let mut index = Indexed::default();
        index.follow("n1", &["a", "b"]);
        index.follow("n2", &["b", "c"]);
        index.follow("n3", &["0", "b"]);
        assert_eq!(index.found(&["a", "b"]), ["a: n1", "b: n1 n2 n3"]);
        // It moves within the roster of the first, which stays the first.
        index.follow("n1", &["b"]);
        assert_eq!(index.found(&["a", "b"]), ["a: ", "b: n1 n2 n3"]);
        index.follow("n2", &["a", "b", "c"]);
        assert_eq!(index.found(&["a", "b"]), ["a: n2", "b: n1 n3 n2"]);
        index.forget("n2");
        assert_eq!(index.found(&["b", "c"]), ["b: n1 n3", "c: "]);
        // A new node gets the number of the one that is gone.
        index.follow("n2", &["c"]);
        index.follow("n3", &["0"]);
        assert_eq!(index.found(&["0", "b", "c"]), ["0: n3", "b: n1", "c: n2"]);
        assert_eq!(index.0.contested.len(), 0);
        assert_eq!(index.0.len(), 3);
    }

    #[test]
    fn a_thousand_pods_that_change_places_are_all_found() {
        let mut index = Indexed::default();
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
                let name = format!("n{node}");
                index.follow(&name, &pods);
            }
            let expected: Vec<String> = (0..names.len())
                .map(|at| format!("{}: n{}", names[at], (at + round) % 10))
                .collect();
            assert_eq!(index.found(&names), expected, "{round}");
            assert_eq!((index.0.len(), index.0.contested.len()), (1_000, 0));
        }
    }
}
