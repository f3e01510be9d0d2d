//! Which pods and containers a node reports.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
};

use crate::names::{ContainerName, PodKey};

/// Names the content of a [`Roster`].
///
/// Two rosters with the same content have the same id whoever built them, so a
/// frontend that is fed by two scrapers holds one. It is a hash, not a proof:
/// whoever may publish a node may publish any numbers for it anyway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RosterId(pub u64);

/// The pods and containers of one node, in the order of a reading's columns.
///
/// # Invariants
///
/// - Pods come in the order of [`PodKey`], each once.
/// - The containers of a pod come in the order of their names, each once, and
///   there is at least one.
/// - The rows of the pods cover `0..containers()` without gap or overlap.
#[derive(Debug, PartialEq, Eq)]
pub struct Roster {
    id: RosterId,
    pods: Box<[RosterPod]>,
    containers: Box<[ContainerName]>,
}

/// One pod of a [`Roster`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RosterPod {
    /// Namespace and name.
    pub key: PodKey,
    first: u32,
    count: u32,
}

impl RosterPod {
    /// The rows of this pod's containers in the columns of a reading.
    pub fn rows(&self) -> Range<usize> {
        let first = widen(self.first);
        first..first + widen(self.count)
    }
}

/// Why a roster was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRoster {
    /// A name is empty or longer than Kubernetes allows anywhere (253 bytes).
    #[error("{what} name of {len} bytes in a roster, allowed are 1 to {MAX_NAME}")]
    Name {
        /// Which of the names: namespace, pod or container.
        what: &'static str,
        /// Its length in bytes.
        len: usize,
    },
    /// More containers than a node can hold.
    #[error("{containers} containers in a roster, allowed are {max}")]
    TooManyContainers {
        /// How many there were when the limit was passed.
        containers: usize,
        /// The limit.
        max: usize,
    },
    /// A pod without containers.
    #[error("pod {pod} without containers in a roster")]
    EmptyPod {
        /// The pod.
        pod: PodKey,
    },
    /// The same container twice.
    #[error("container {container} of pod {pod} twice in a roster")]
    Duplicate {
        /// The pod.
        pod: PodKey,
        /// The container.
        container: ContainerName,
    },
}

/// Longest name of anything in a roster: a DNS subdomain, the longest name that
/// Kubernetes allows.
pub const MAX_NAME: usize = 253;

impl Roster {
    /// The most containers that one node may report. Kubernetes recommends 110
    /// pods a node; this is many times what any kubelet runs.
    pub const MAX_CONTAINERS: usize = 20_000;

    /// What names this content.
    pub fn id(&self) -> RosterId {
        self.id
    }

    /// The pods, in order.
    pub fn pods(&self) -> &[RosterPod] {
        &self.pods
    }

    /// How many containers, that is rows, there are.
    pub fn containers(&self) -> usize {
        self.containers.len()
    }

    /// The name of the container in `row`.
    pub fn container(&self, row: usize) -> Option<&ContainerName> {
        self.containers.get(row)
    }

    /// The names of the containers of `pod`, which is one of this roster's.
    pub fn containers_of(&self, pod: &RosterPod) -> &[ContainerName] {
        self.containers_in(pod.rows())
    }

    /// The names of the containers in `rows`; none if there are fewer rows.
    pub fn containers_in(&self, rows: Range<usize>) -> &[ContainerName] {
        self.containers.get(rows).unwrap_or_default()
    }

    /// Where `key` stands among [`Roster::pods`].
    pub fn position(&self, key: &PodKey) -> Option<usize> {
        self.pods.binary_search_by(|pod| pod.key.cmp(key)).ok()
    }

    /// What is said of the pod `key`.
    pub fn find(&self, key: &PodKey) -> Option<&RosterPod> {
        self.pods.get(self.position(key)?)
    }

    /// Replaces names by equal ones that are in memory already, so that they are
    /// there once. What is not equal is not taken, and a roster that others hold
    /// too is left as it is.
    pub fn share_names(
        roster: &mut Arc<Self>,
        keys: impl Fn(&PodKey) -> PodKey,
        containers: impl Fn(&ContainerName) -> ContainerName,
    ) {
        let Some(roster) = Arc::get_mut(roster) else {
            return;
        };
        for pod in &mut roster.pods {
            let key = keys(&pod.key);
            if key == pod.key {
                pod.key = key;
            }
        }
        for container in &mut roster.containers {
            let name = containers(container);
            if name == *container {
                *container = name;
            }
        }
    }

    /// Every row with the names that identify it across rosters of this node.
    pub fn rows(&self) -> impl Iterator<Item = (usize, &PodKey, &ContainerName)> {
        self.pods.iter().flat_map(move |pod| {
            pod.rows()
                .zip(self.containers_of(pod))
                .map(move |(row, container)| (row, &pod.key, container))
        })
    }
}

/// Gathers names in any order and makes a [`Roster`] of them.
#[derive(Debug, Default)]
pub struct RosterBuilder {
    pods: BTreeMap<PodKey, BTreeSet<ContainerName>>,
    containers: usize,
}

impl RosterBuilder {
    /// Adds a container. Adding the same one again is refused and changes nothing.
    pub fn add(&mut self, pod: PodKey, container: ContainerName) -> Result<(), InvalidRoster> {
        check_name("namespace", &pod.namespace)?;
        check_name("pod", &pod.name)?;
        check_name("container", container.as_str())?;
        if self.containers >= Roster::MAX_CONTAINERS {
            return Err(InvalidRoster::TooManyContainers {
                containers: self.containers + 1,
                max: Roster::MAX_CONTAINERS,
            });
        }
        let of_pod = self.pods.entry(pod.clone()).or_default();
        if !of_pod.insert(container.clone()) {
            return Err(InvalidRoster::Duplicate { pod, container });
        }
        self.containers += 1;
        Ok(())
    }

    /// Takes a pod out again, with all of its containers.
    pub fn remove(&mut self, pod: &PodKey) {
        let gone = self.pods.remove(pod);
        self.containers -= gone.map_or(0, |containers| containers.len());
    }

    /// The roster, in canonical order.
    pub fn build(self) -> Arc<Roster> {
        let mut hash = Fnv::default();
        let mut pods = Vec::with_capacity(self.pods.len());
        let mut containers = Vec::with_capacity(self.containers);
        let mut first = 0;
        for (key, of_pod) in self.pods {
            hash.text(&key.namespace);
            hash.text(&key.name);
            let mut count = 0;
            for container in of_pod {
                hash.text(container.as_str());
                containers.push(container);
                count += 1;
            }
            hash.end_of_pod();
            pods.push(RosterPod { key, first, count });
            first += count;
        }
        Arc::new(Roster {
            id: RosterId(hash.0),
            pods: pods.into(),
            containers: containers.into(),
        })
    }
}

fn check_name(what: &'static str, name: &str) -> Result<(), InvalidRoster> {
    match name.len() {
        1..=MAX_NAME => Ok(()),
        len => Err(InvalidRoster::Name { what, len }),
    }
}

/// FNV-1a, 64 bits: names the content of a roster, the same in every process
/// and version. Not keyed: see [`RosterId`] on what it need not withstand.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn byte(&mut self, byte: u8) {
        self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }

    /// A name and its end. 0xff occurs in no UTF-8 text.
    fn text(&mut self, text: &str) {
        text.bytes().for_each(|byte| self.byte(byte));
        self.byte(0xff);
    }

    fn end_of_pod(&mut self) {
        self.byte(0xfe);
    }
}

fn widen(count: u32) -> usize {
    // Lossless on every platform that tokio runs on; zero would be caught by
    // the bounds of the slice it indexes.
    usize::try_from(count).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roster(containers: &[(&str, &str, &str)]) -> Arc<Roster> {
        let mut builder = RosterBuilder::default();
        for (namespace, pod, container) in containers {
            builder
                .add(PodKey::new(*namespace, *pod), (*container).into())
                .unwrap();
        }
        builder.build()
    }

    #[test]
    fn order_of_arrival_does_not_matter() {
        let one = roster(&[("b", "x", "main"), ("a", "y", "side"), ("a", "y", "main")]);
        let other = roster(&[("a", "y", "main"), ("a", "y", "side"), ("b", "x", "main")]);
        assert_eq!(one, other);
        let rows: Vec<String> = one
            .rows()
            .map(|(row, pod, container)| format!("{row} {pod} {container}"))
            .collect();
        assert_eq!(rows, ["0 a/y main", "1 a/y side", "2 b/x main"]);
    }

    #[test]
    fn a_pod_is_found_by_namespace_and_name() {
        let roster = roster(&[("a", "x", "m"), ("a", "y", "m"), ("b", "x", "m")]);
        let wanted = PodKey::new("a", "y");
        assert_eq!(roster.find(&wanted).unwrap().key, wanted);
        assert_eq!(roster.find(&PodKey::new("b", "y")), None);
    }

    #[test]
    fn content_makes_the_id() {
        let one = roster(&[("a", "xy", "z")]);
        assert_ne!(one.id(), roster(&[("a", "x", "yz")]).id());
        assert_ne!(one.id(), roster(&[("ax", "y", "z")]).id());
        assert_ne!(
            roster(&[("a", "x", "p"), ("a", "x", "q")]).id(),
            roster(&[("a", "x", "p"), ("q", "r", "s")]).id()
        );
        // Part of the protocol: it may not change within bus v1.
        assert_eq!(one.id(), RosterId(0x66a1_b822_acb5_95b6));
    }

    #[test]
    fn the_same_container_twice_is_refused() {
        let mut builder = RosterBuilder::default();
        let pod = PodKey::new("a", "x");
        builder.add(pod.clone(), "main".into()).unwrap();
        assert_eq!(
            builder.add(pod, "main".into()).unwrap_err().to_string(),
            "container main of pod a/x twice in a roster"
        );
        assert_eq!(builder.build().containers(), 1);
    }

    #[test]
    fn a_pod_that_is_taken_out_leaves_nothing() {
        let mut builder = RosterBuilder::default();
        for (pod, container) in [("x", "main"), ("x", "side"), ("y", "main")] {
            builder
                .add(PodKey::new("a", pod), container.into())
                .unwrap();
        }
        builder.remove(&PodKey::new("a", "x"));
        builder.remove(&PodKey::new("a", "z"));
        assert_eq!(builder.build(), roster(&[("a", "y", "main")]));
    }

    #[test]
    fn names_have_a_length() {
        let mut builder = RosterBuilder::default();
        let long = "n".repeat(254);
        assert_eq!(
            builder
                .add(PodKey::new("a", &*long), "main".into())
                .unwrap_err()
                .to_string(),
            "pod name of 254 bytes in a roster, allowed are 1 to 253"
        );
        assert_eq!(
            builder
                .add(PodKey::new("", "x"), "main".into())
                .unwrap_err()
                .to_string(),
            "namespace name of 0 bytes in a roster, allowed are 1 to 253"
        );
    }

    #[test]
    fn names_are_shared_if_they_are_equal_and_nobody_else_has_the_roster() {
        let make = || {
            let mut builder = RosterBuilder::default();
            for name in ["x", "y"] {
                builder.add(PodKey::new("a", name), "m".into()).unwrap();
            }
            builder.build()
        };
        let (key, container) = (PodKey::new("a", "x"), ContainerName::from("m"));
        let share = |roster: &mut Arc<Roster>| {
            Roster::share_names(roster, |_| key.clone(), |_| container.clone());
        };
        let at = |name: &ContainerName| name.as_str().as_ptr();
        let mut roster = make();
        share(&mut roster);
        assert!(Arc::ptr_eq(&roster.pods()[0].key.name, &key.name));
        assert_eq!(at(roster.container(1).unwrap()), at(&container));
        assert_eq!((&roster, roster.id()), (&make(), make().id()));
        let mut held = make();
        let other = Arc::clone(&held);
        share(&mut held);
        assert!(!Arc::ptr_eq(&other.pods()[0].key.name, &key.name));
        assert_ne!(at(other.container(1).unwrap()), at(&container));
    }

    #[test]
    fn a_pod_is_found_by_its_key() {
        let roster = roster(&[("a", "x", "m"), ("a", "y", "m"), ("b", "x", "m")]);
        assert_eq!(roster.position(&PodKey::new("a", "y")), Some(1));
        assert_eq!(roster.position(&PodKey::new("b", "y")), None);
    }
}
