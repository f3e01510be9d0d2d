//! Which pods and containers a node reports.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    ops::Range,
    sync::Arc,
};

use crate::names::{ContainerName, PodKey, is_dns_label, is_dns_subdomain};

/// The pods and containers of one node, in the order of a reading's columns.
///
/// # Invariants
///
/// - Pods come in the order of [`PodKey`], each once.
/// - The containers of a pod come in the order of their names, each once, and
///   there is at least one.
/// - The rows of the pods cover `0..containers()` without gap or overlap.
/// - Every name is one that Kubernetes allows: namespaces and containers are DNS
///   labels, pods are DNS subdomains. So none has a control character, and none
///   needs an escape anywhere.
/// - There are at most [`Roster::MAX_CONTAINERS`] containers, and the names are
///   at most [`Roster::MAX_NAME_BYTES`].
///
/// Two rosters are the same if their contents are: there is no shorter name of a
/// content, because a hash of names that tenants choose can be made to collide.
#[derive(Debug, PartialEq, Eq)]
pub struct Roster {
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
    /// A name is not one that Kubernetes allows.
    #[error("{what} name of {len} bytes in a roster is no {wanted}: `{shown}`")]
    Name {
        /// Which of the names: namespace, pod or container.
        what: &'static str,
        /// Its length in bytes.
        len: usize,
        /// What it should be.
        wanted: &'static str,
        /// Its beginning, with what cannot be printed escaped.
        shown: String,
    },
    /// More containers than a node can hold.
    #[error("{containers} containers in a roster, allowed are {max}")]
    TooManyContainers {
        /// How many there were when the limit was passed.
        containers: usize,
        /// The limit.
        max: usize,
    },
    /// The names are more bytes than a node may have.
    #[error("names of more than {max} bytes in a roster")]
    TooManyNameBytes {
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

/// Longest name of a pod or node: a DNS subdomain, the longest name that
/// Kubernetes allows.
pub const MAX_NAME: usize = 253;

impl Roster {
    /// The most containers that one node may report. Kubernetes recommends 110
    /// pods a node; this is many times what any kubelet runs.
    pub const MAX_CONTAINERS: usize = 20_000;

    /// The most bytes that all names of one node may have: the namespace and name
    /// of every pod, and the name of every container. [`Roster::MAX_CONTAINERS`]
    /// fit with 52 bytes each; 500 pods of four containers with the longest names
    /// that Kubernetes allows have 284,000. With both limits a roster fits into a
    /// message of the bus, whatever it holds.
    pub const MAX_NAME_BYTES: usize = 1 << 20;

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
    pub fn intern_names(
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
    /// Of all names.
    bytes: usize,
}

impl RosterBuilder {
    /// Adds a container.
    ///
    /// # Errors
    ///
    /// A name is not one that Kubernetes allows, the container is there already,
    /// or the roster would be larger than a node's may be. Then nothing changes.
    pub fn add(&mut self, pod: PodKey, container: ContainerName) -> Result<(), InvalidRoster> {
        let room = Room {
            containers: self.containers,
            bytes: self.bytes,
        };
        let added = match self.pods.entry(pod) {
            Entry::Occupied(of_pod) if of_pod.get().contains(&container) => {
                let pod = of_pod.key().clone();
                return Err(InvalidRoster::Duplicate { pod, container });
            }
            Entry::Occupied(mut of_pod) => {
                let bytes = container_name(&container)?;
                let added = room.take(bytes)?;
                of_pod.get_mut().insert(container);
                added
            }
            Entry::Vacant(place) => {
                let bytes = pod_names(place.key())? + container_name(&container)?;
                let added = room.take(bytes)?;
                place.insert(BTreeSet::from([container]));
                added
            }
        };
        (self.containers, self.bytes) = (added.containers, added.bytes);
        Ok(())
    }

    /// Takes a pod out again, with all of its containers.
    pub fn remove(&mut self, pod: &PodKey) {
        if let Some(gone) = self.pods.remove(pod) {
            let names = gone.iter().map(|container| container.as_str().len());
            self.bytes -= pod.namespace.len() + pod.name.len() + names.sum::<usize>();
            self.containers -= gone.len();
        }
    }

    /// The roster, in canonical order.
    pub fn build(self) -> Arc<Roster> {
        let mut pods = Vec::with_capacity(self.pods.len());
        let mut containers = Vec::with_capacity(self.containers);
        let mut first = 0;
        for (key, of_pod) in self.pods {
            let mut count = 0;
            for container in of_pod {
                containers.push(container);
                count += 1;
            }
            pods.push(RosterPod { key, first, count });
            first += count;
        }
        Arc::new(Roster {
            pods: pods.into(),
            containers: containers.into(),
        })
    }
}

/// How much of a roster is taken.
#[derive(Clone, Copy)]
struct Room {
    containers: usize,
    bytes: usize,
}

impl Room {
    /// What is taken with one container more, and this many bytes of names.
    fn take(self, bytes: usize) -> Result<Self, InvalidRoster> {
        let taken = Self {
            containers: self.containers + 1,
            bytes: self.bytes + bytes,
        };
        if taken.containers > Roster::MAX_CONTAINERS {
            return Err(InvalidRoster::TooManyContainers {
                containers: taken.containers,
                max: Roster::MAX_CONTAINERS,
            });
        }
        if taken.bytes > Roster::MAX_NAME_BYTES {
            let max = Roster::MAX_NAME_BYTES;
            return Err(InvalidRoster::TooManyNameBytes { max });
        }
        Ok(taken)
    }
}

/// The bytes of the names of a pod, if they are names.
fn pod_names(pod: &PodKey) -> Result<usize, InvalidRoster> {
    if !is_dns_label(&pod.namespace) {
        return Err(no_name("namespace", "DNS label", &pod.namespace));
    }
    if !is_dns_subdomain(&pod.name) {
        return Err(no_name("pod", "DNS subdomain", &pod.name));
    }
    Ok(pod.namespace.len() + pod.name.len())
}

/// The bytes of the name of a container, if it is one.
fn container_name(name: &ContainerName) -> Result<usize, InvalidRoster> {
    if !is_dns_label(name.as_str()) {
        return Err(no_name("container", "DNS label", name.as_str()));
    }
    Ok(name.as_str().len())
}

fn no_name(what: &'static str, wanted: &'static str, name: &str) -> InvalidRoster {
    const LONGEST: usize = 80;
    InvalidRoster::Name {
        what,
        len: name.len(),
        wanted,
        shown: name.escape_debug().take(LONGEST).collect(),
    }
}

fn widen(count: u32) -> usize {
    // Lossless on every platform that tokio runs on; zero would be caught by
    // the limits of the slice it indexes.
    usize::try_from(count).unwrap_or_default()
}

#[cfg(test)]
mod tests;
