//! The roles of scrapers for nodes, as publishers report them.
//!
//! They are for operators: no metrics depend on them. Roles are kept while the stream of their publisher is open, so
//! each name belongs to a connected scraper.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::{RwLock, RwLockWriteGuard};
use tributary_model::NodeName;
use tributary_proto::limits::NODES_PER_STREAM;

/// The role of a publisher for a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It scrapes the node.
    Owner,
    /// It scrapes the node if the owners do not deliver.
    Standby,
    /// The former owner. It scrapes the node for two more resolutions.
    Leaving,
    /// It scrapes the node because the owners do not deliver.
    Rescuer,
}

/// The publishers that have a role for a node, by name.
///
/// # Invariants
///
/// Each list is sorted and has each name once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scrapers {
    /// The scrapers that own it.
    pub owners: Vec<Arc<str>>,
    /// The scrapers that stand by.
    pub standby: Vec<Arc<str>>,
    /// Its former owners.
    pub leaving: Vec<Arc<str>>,
    /// The scrapers that rescue it.
    pub rescuers: Vec<Arc<str>>,
}

/// What a publisher reports about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publisher {
    /// Its name.
    pub source: Arc<str>,
    /// Its version. Empty if it reports none.
    pub version: Arc<str>,
    /// Its group. Empty for the default one.
    pub group: Arc<str>,
    /// Differs for every start of its process. Empty if it reports none.
    pub instance: Arc<str>,
    /// How often it scrapes each node.
    pub resolution: Duration,
}

/// The reports of all publishers. Cheap to clone; clones share them.
#[derive(Clone, Debug, Default)]
pub struct NodeRoles {
    said: Arc<RwLock<HashMap<NodeName, Vec<Claim>>>>,
    /// The publishers by stream, in the order in which the streams began.
    present: Arc<RwLock<BTreeMap<u64, Publisher>>>,
    streams: Arc<AtomicU64>,
}

/// A publisher is connected until this is dropped.
#[derive(Debug)]
pub struct Present {
    node_roles: NodeRoles,
    stream: u64,
}

#[derive(Debug)]
struct Claim {
    stream: u64,
    source: Arc<str>,
    role: Role,
    may: May,
}

/// Whether a publisher may publish a node. This is checked when roles are read, because labels of nodes change, and the
/// first roles arrive before nodes are listed.
#[derive(Clone)]
struct May(Arc<dyn Fn(&str) -> bool + Send + Sync>);

impl fmt::Debug for May {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("May")
    }
}

/// The roles that one stream reports. Dropping it removes them.
///
/// # Invariants
///
/// `nodes` are the nodes with a role, at most [`NODES_PER_STREAM`].
#[derive(Debug)]
pub struct StreamRoles {
    node_roles: NodeRoles,
    stream: u64,
    source: Arc<str>,
    may: May,
    nodes: HashSet<NodeName>,
}

impl NodeRoles {
    /// Records that `publisher` is connected, until the result is dropped.
    pub fn arrived(&self, publisher: Publisher) -> Present {
        let stream = self.streams.fetch_add(1, Ordering::Relaxed);
        self.present_mut().insert(stream, publisher);
        Present {
            node_roles: self.clone(),
            stream,
        }
    }

    /// The connected publishers, once for each stream, in the order in which the streams began.
    pub fn publishers(&self) -> Vec<Publisher> {
        let present = self.present.read();
        present.values().cloned().collect()
    }

    fn present_mut(&self) -> RwLockWriteGuard<'_, BTreeMap<u64, Publisher>> {
        self.present.write()
    }

    /// The roles of one stream of the publisher `source`, for any node.
    pub fn stream_roles(&self, source: Arc<str>) -> StreamRoles {
        self.stream_roles_among(source, |_| true)
    }

    /// The same, but a role counts only while the publisher `may` publish the node.
    pub fn stream_roles_among(
        &self,
        source: Arc<str>,
        may: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> StreamRoles {
        StreamRoles {
            node_roles: self.clone(),
            stream: self.streams.fetch_add(1, Ordering::Relaxed),
            source,
            may: May(Arc::new(may)),
            nodes: HashSet::new(),
        }
    }

    /// The scrapers with a role for `node`.
    pub fn of(&self, node: &str) -> Scrapers {
        let mut scrapers = Scrapers::default();
        let said = self.said.read();
        let stream_roles = said.get(node).into_iter().flatten();
        for claim in stream_roles.filter(|claim| (claim.may.0)(node)) {
            let list = match claim.role {
                Role::Owner => &mut scrapers.owners,
                Role::Standby => &mut scrapers.standby,
                Role::Leaving => &mut scrapers.leaving,
                Role::Rescuer => &mut scrapers.rescuers,
            };
            // A publisher that reconnects has two streams for a moment.
            if let Err(at) = list.binary_search(&claim.source) {
                list.insert(at, Arc::clone(&claim.source));
            }
        }
        scrapers
    }

    /// Whether any publisher reports its roles. Old scrapers, and a single scraper, do not.
    pub fn any(&self) -> bool {
        let said = self.said.read();
        !said.is_empty()
    }

    fn change<T>(&self, change: impl FnOnce(&mut HashMap<NodeName, Vec<Claim>>) -> T) -> T {
        change(&mut self.said.write())
    }
}

impl StreamRoles {
    /// Sets the role of the publisher for `nodes`. `None` removes it. Returns how many nodes were over the limit.
    pub fn take(&mut self, role: Option<Role>, nodes: Vec<NodeName>) -> usize {
        let node_roles = self.node_roles.clone();
        let mut refused = 0;
        node_roles.change(|said| {
            for node in nodes {
                if role.is_some() && self.is_too_many(&node) {
                    refused += 1;
                    continue;
                }
                forget(said, &node, self.stream);
                let Some(role) = role else {
                    self.nodes.remove(&node);
                    continue;
                };
                // Most nodes have one.
                let claims = said
                    .entry(node.clone())
                    .or_insert_with(|| Vec::with_capacity(1));
                claims.push(Claim {
                    stream: self.stream,
                    source: Arc::clone(&self.source),
                    role,
                    may: self.may.clone(),
                });
                self.nodes.insert(node);
            }
        });
        refused
    }

    /// The number of nodes with a role.
    pub fn count(&self) -> usize {
        self.nodes.len()
    }

    fn is_too_many(&self, node: &NodeName) -> bool {
        self.nodes.len() >= NODES_PER_STREAM && !self.nodes.contains(node)
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.node_roles.present_mut().remove(&self.stream);
    }
}

impl Drop for StreamRoles {
    fn drop(&mut self) {
        let nodes = std::mem::take(&mut self.nodes);
        self.node_roles.change(|said| {
            for node in nodes {
                forget(said, &node, self.stream);
            }
        });
    }
}

fn forget(said: &mut HashMap<NodeName, Vec<Claim>>, node: &NodeName, stream: u64) {
    if let Some(stream_roles) = said.get_mut(node) {
        stream_roles.retain(|claim| claim.stream != stream);
        if stream_roles.is_empty() {
            said.remove(node);
        }
    }
}

impl Scrapers {
    /// Whether no scraper has a role for the node.
    pub fn is_empty(&self) -> bool {
        self.owners.is_empty()
            && self.standby.is_empty()
            && self.leaving.is_empty()
            && self.rescuers.is_empty()
    }
}

/// Prints the end of a sentence: `owned by a and b, rescued by c, d stands by`.
impl fmt::Display for Scrapers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.owners.is_empty() {
            f.write_str("no connected scraper owns it")?;
        } else {
            write!(f, "owned by {}", self.owners.join(" and "))?;
        }
        if !self.leaving.is_empty() {
            write!(f, ", left by {}", self.leaving.join(" and "))?;
        }
        if !self.rescuers.is_empty() {
            write!(f, ", rescued by {}", self.rescuers.join(" and "))?;
        }
        match &*self.standby {
            [] => Ok(()),
            [one] => write!(f, ", {one} stands by"),
            more => write!(f, ", {} stand by", more.join(" and ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream_roles(node_roles: &NodeRoles, source: &str) -> StreamRoles {
        node_roles.stream_roles(source.into())
    }

    fn nodes(names: &[&str]) -> Vec<NodeName> {
        names.iter().map(|name| (*name).into()).collect()
    }

    #[test]
    fn a_node_knows_who_scrapes_it_and_who_would() {
        let node_roles = NodeRoles::default();
        assert!(!node_roles.any());
        let (mut a, mut b) = (
            stream_roles(&node_roles, "a"),
            stream_roles(&node_roles, "b"),
        );
        a.take(Some(Role::Owner), nodes(&["n1", "n2"]));
        b.take(Some(Role::Standby), nodes(&["n1"]));
        assert!(node_roles.any());
        assert_eq!(node_roles.of("n1").to_string(), "owned by a, b stands by");
        assert_eq!(node_roles.of("n2").to_string(), "owned by a");
        let unassigned = node_roles.of("n3");
        assert_eq!(unassigned.to_string(), "no connected scraper owns it");
        assert!(unassigned.is_empty());
    }

    #[test]
    fn a_publisher_is_there_as_long_as_each_of_its_streams() {
        let node_roles = NodeRoles::default();
        let publisher = |source: &str, version: &str| Publisher {
            source: source.into(),
            version: version.into(),
            group: "".into(),
            instance: "".into(),
            resolution: Duration::from_secs(15),
        };
        let first = node_roles.arrived(publisher("b", "1"));
        let other = node_roles.arrived(publisher("a", ""));
        let again = node_roles.arrived(publisher("b", "2"));
        let versions = || -> Vec<(String, String)> {
            let reported = node_roles.publishers().into_iter();
            reported
                .map(|it| (it.source.to_string(), it.version.to_string()))
                .collect()
        };
        let pair = |source: &str, version: &str| (source.to_owned(), version.to_owned());
        assert_eq!(versions(), [pair("b", "1"), pair("a", ""), pair("b", "2")]);
        drop(first);
        assert_eq!(versions(), [pair("a", ""), pair("b", "2")]);
        drop((other, again));
        assert_eq!(versions(), []);
    }

    #[test]
    fn a_role_takes_the_place_of_the_one_before_it() {
        let node_roles = NodeRoles::default();
        let mut a = stream_roles(&node_roles, "a");
        a.take(Some(Role::Standby), nodes(&["n1"]));
        a.take(Some(Role::Rescuer), nodes(&["n1"]));
        assert_eq!(
            node_roles.of("n1").to_string(),
            "no connected scraper owns it, rescued by a"
        );
        a.take(None, nodes(&["n1"]));
        assert!(node_roles.of("n1").is_empty());
    }

    #[test]
    fn what_is_said_of_a_node_counts_while_its_publisher_may_speak_of_it() {
        let node_roles = NodeRoles::default();
        let allowed = Arc::new(RwLock::new(vec!["n2"]));
        let known = Arc::clone(&allowed);
        let may = move |node: &str| known.read().contains(&node);
        let mut a = node_roles.stream_roles_among("a".into(), may);
        a.take(Some(Role::Owner), nodes(&["n1", "n2"]));
        assert!(node_roles.of("n1").is_empty());
        assert_eq!(node_roles.of("n2").owners, ["a".into()]);
        *allowed.write() = vec!["n1"];
        assert_eq!(node_roles.of("n1").owners, ["a".into()]);
        assert!(node_roles.of("n2").is_empty());
        // A stream may remove a role for a node that it may not publish.
        a.take(None, nodes(&["n2"]));
        *allowed.write() = vec!["n1", "n2"];
        assert!(node_roles.of("n2").is_empty());
    }

    #[test]
    fn what_a_stream_said_goes_with_it_but_not_what_its_successor_says() {
        let node_roles = NodeRoles::default();
        let mut before = stream_roles(&node_roles, "a");
        before.take(Some(Role::Owner), nodes(&["n1", "n2"]));
        let mut after = stream_roles(&node_roles, "a");
        after.take(Some(Role::Owner), nodes(&["n1"]));
        assert_eq!(node_roles.of("n1").owners, ["a".into()]);
        drop(before);
        assert_eq!(node_roles.of("n1").owners, ["a".into()]);
        assert!(node_roles.of("n2").is_empty());
        drop(after);
        assert!(!node_roles.any());
    }

    #[test]
    fn nodes_of_a_stream_have_a_limit() {
        let node_roles = NodeRoles::default();
        let mut a = stream_roles(&node_roles, "a");
        let many = (0..NODES_PER_STREAM).map(|n| format!("n{n}").into());
        assert_eq!(a.take(Some(Role::Owner), many.collect()), 0);
        let one_more = nodes(&["n1", "another"]);
        assert_eq!(a.take(Some(Role::Standby), one_more.clone()), 1);
        assert!(node_roles.of("another").is_empty());
        assert_eq!(a.take(None, one_more), 0);
        assert_eq!(a.take(Some(Role::Owner), nodes(&["another"])), 0);
        assert_eq!(node_roles.of("another").owners, ["a".into()]);
    }
}
