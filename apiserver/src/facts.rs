//! Who scrapes which node, in the words of the publishers.
//!
//! For people: nothing that is served depends on it. What a publisher said goes
//! with its stream, so a name that is shown belongs to somebody who is connected.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    sync::{
        Arc, PoisonError, RwLock, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tributary_model::NodeName;
use tributary_proto::limits::NODES_PER_STREAM;

/// What a publisher is to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It scrapes the node.
    Owner,
    /// It will if the owners do not deliver.
    Standby,
    /// The node is another's now, and it goes on for a moment.
    Leaving,
    /// It scrapes the node because the owners do not deliver.
    Rescuer,
}

/// The publishers that have something to do with a node, by name.
///
/// # Invariants
///
/// Each list is sorted, and holds a name once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scrapers {
    /// Who scrapes it.
    pub owners: Vec<Arc<str>>,
    /// Who will if those fail.
    pub standby: Vec<Arc<str>>,
    /// Who does for a moment yet.
    pub leaving: Vec<Arc<str>>,
    /// Who does because the owners do not deliver.
    pub rescuers: Vec<Arc<str>>,
}

/// What a publisher says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publisher {
    /// Its name.
    pub source: Arc<str>,
    /// Its version; empty if it does not say it.
    pub version: Arc<str>,
    /// The group of those that share their nodes; empty for the default one.
    pub group: Arc<str>,
    /// Different for every start of its process; empty if it does not say it.
    pub instance: Arc<str>,
    /// How often it scrapes each node.
    pub resolution: Duration,
}

/// What all publishers say. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    said: Arc<RwLock<HashMap<NodeName, Vec<Claim>>>>,
    /// By stream, in the order in which they began.
    present: Arc<RwLock<BTreeMap<u64, Publisher>>>,
    streams: Arc<AtomicU64>,
}

/// A publisher is connected until this is dropped.
#[derive(Debug)]
pub struct Present {
    facts: Facts,
    stream: u64,
}

#[derive(Debug)]
struct Claim {
    stream: u64,
    source: Arc<str>,
    role: Role,
    may: May,
}

/// Whether a publisher may speak of a node, as things are when it is asked for:
/// labels of nodes change, and the first claims come before nodes are listed.
#[derive(Clone)]
struct May(Arc<dyn Fn(&str) -> bool + Send + Sync>);

impl fmt::Debug for May {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("May")
    }
}

/// What one stream says. Dropping it takes that back.
///
/// # Invariants
///
/// `nodes` are those of which something is said, at most [`NODES_PER_STREAM`].
#[derive(Debug)]
pub struct Claims {
    facts: Facts,
    stream: u64,
    source: Arc<str>,
    may: May,
    nodes: HashSet<NodeName>,
}

impl Facts {
    /// Takes in that `publisher` is connected.
    pub fn arrived(&self, publisher: Publisher) -> Present {
        let stream = self.streams.fetch_add(1, Ordering::Relaxed);
        self.present_mut().insert(stream, publisher);
        Present {
            facts: self.clone(),
            stream,
        }
    }

    /// Who is connected, once for each stream, in the order in which they came.
    pub fn publishers(&self) -> Vec<Publisher> {
        let present = self.present.read().unwrap_or_else(PoisonError::into_inner);
        present.values().cloned().collect()
    }

    fn present_mut(&self) -> RwLockWriteGuard<'_, BTreeMap<u64, Publisher>> {
        self.present.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for what the publisher `source` says on one stream, of any node.
    pub fn claims(&self, source: Arc<str>) -> Claims {
        self.claims_among(source, |_| true)
    }

    /// The same. It counts for the nodes of which the publisher `may` speak, at the
    /// time when somebody asks.
    pub fn claims_among(
        &self,
        source: Arc<str>,
        may: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> Claims {
        Claims {
            facts: self.clone(),
            stream: self.streams.fetch_add(1, Ordering::Relaxed),
            source,
            may: May(Arc::new(may)),
            nodes: HashSet::new(),
        }
    }

    /// Who has to do with `node`.
    pub fn of(&self, node: &str) -> Scrapers {
        let mut scrapers = Scrapers::default();
        let said = self.said.read().unwrap_or_else(PoisonError::into_inner);
        let claims = said.get(node).into_iter().flatten();
        for claim in claims.filter(|claim| (claim.may.0)(node)) {
            let list = match claim.role {
                Role::Owner => &mut scrapers.owners,
                Role::Standby => &mut scrapers.standby,
                Role::Leaving => &mut scrapers.leaving,
                Role::Rescuer => &mut scrapers.rescuers,
            };
            // One that redials has two streams for a moment.
            if let Err(at) = list.binary_search(&claim.source) {
                list.insert(at, Arc::clone(&claim.source));
            }
        }
        scrapers
    }

    /// Whether any publisher says what it is to nodes. Those that are older or
    /// share with nobody do not.
    pub fn any(&self) -> bool {
        let said = self.said.read().unwrap_or_else(PoisonError::into_inner);
        !said.is_empty()
    }

    fn change<T>(&self, change: impl FnOnce(&mut HashMap<NodeName, Vec<Claim>>) -> T) -> T {
        change(&mut self.said.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Claims {
    /// Takes in what the publisher is to `nodes`; `None` is nothing any more.
    /// Returns how many were too many.
    pub fn take(&mut self, role: Option<Role>, nodes: Vec<NodeName>) -> usize {
        let facts = self.facts.clone();
        let mut refused = 0;
        facts.change(|said| {
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
                said.entry(node.clone()).or_default().push(Claim {
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

    /// Of how many nodes something is said.
    pub fn count(&self) -> usize {
        self.nodes.len()
    }

    fn is_too_many(&self, node: &NodeName) -> bool {
        self.nodes.len() >= NODES_PER_STREAM && !self.nodes.contains(node)
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.facts.present_mut().remove(&self.stream);
    }
}

impl Drop for Claims {
    fn drop(&mut self) {
        let nodes = std::mem::take(&mut self.nodes);
        self.facts.change(|said| {
            for node in nodes {
                forget(said, &node, self.stream);
            }
        });
    }
}

fn forget(said: &mut HashMap<NodeName, Vec<Claim>>, node: &NodeName, stream: u64) {
    if let Some(claims) = said.get_mut(node) {
        claims.retain(|claim| claim.stream != stream);
        if claims.is_empty() {
            said.remove(node);
        }
    }
}

impl Scrapers {
    /// Whether nobody has to do with the node.
    pub fn is_empty(&self) -> bool {
        self.owners.is_empty()
            && self.standby.is_empty()
            && self.leaving.is_empty()
            && self.rescuers.is_empty()
    }
}

/// As the end of a sentence: `owned by a and b, rescued by c, d stands by`.
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

    fn claims(facts: &Facts, source: &str) -> Claims {
        facts.claims(source.into())
    }

    fn nodes(names: &[&str]) -> Vec<NodeName> {
        names.iter().map(|name| (*name).into()).collect()
    }

    #[test]
    fn a_node_knows_who_scrapes_it_and_who_would() {
        let facts = Facts::default();
        assert!(!facts.any());
        let (mut a, mut b) = (claims(&facts, "a"), claims(&facts, "b"));
        a.take(Some(Role::Owner), nodes(&["n1", "n2"]));
        b.take(Some(Role::Standby), nodes(&["n1"]));
        assert!(facts.any());
        assert_eq!(facts.of("n1").to_string(), "owned by a, b stands by");
        assert_eq!(facts.of("n2").to_string(), "owned by a");
        let nobody = facts.of("n3");
        assert_eq!(nobody.to_string(), "no connected scraper owns it");
        assert!(nobody.is_empty());
    }

    #[test]
    fn a_publisher_is_there_as_long_as_each_of_its_streams() {
        let facts = Facts::default();
        let publisher = |source: &str, version: &str| Publisher {
            source: source.into(),
            version: version.into(),
            group: "".into(),
            instance: "".into(),
            resolution: Duration::from_secs(15),
        };
        let first = facts.arrived(publisher("b", "1"));
        let other = facts.arrived(publisher("a", ""));
        let again = facts.arrived(publisher("b", "2"));
        let versions = || -> Vec<(String, String)> {
            let told = facts.publishers().into_iter();
            told.map(|it| (it.source.to_string(), it.version.to_string()))
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
        let facts = Facts::default();
        let mut a = claims(&facts, "a");
        a.take(Some(Role::Standby), nodes(&["n1"]));
        a.take(Some(Role::Rescuer), nodes(&["n1"]));
        assert_eq!(
            facts.of("n1").to_string(),
            "no connected scraper owns it, rescued by a"
        );
        a.take(None, nodes(&["n1"]));
        assert!(facts.of("n1").is_empty());
    }

    #[test]
    fn what_is_said_of_a_node_counts_while_its_publisher_may_speak_of_it() {
        let facts = Facts::default();
        let allowed = Arc::new(RwLock::new(vec!["n2"]));
        let known = Arc::clone(&allowed);
        let may = move |node: &str| known.read().unwrap().contains(&node);
        let mut a = facts.claims_among("a".into(), may);
        a.take(Some(Role::Owner), nodes(&["n1", "n2"]));
        assert!(facts.of("n1").is_empty());
        assert_eq!(facts.of("n2").owners, ["a".into()]);
        *allowed.write().unwrap() = vec!["n1"];
        assert_eq!(facts.of("n1").owners, ["a".into()]);
        assert!(facts.of("n2").is_empty());
        // It may give up what it may not have.
        a.take(None, nodes(&["n2"]));
        *allowed.write().unwrap() = vec!["n1", "n2"];
        assert!(facts.of("n2").is_empty());
    }

    #[test]
    fn what_a_stream_said_goes_with_it_but_not_what_its_successor_says() {
        let facts = Facts::default();
        let mut before = claims(&facts, "a");
        before.take(Some(Role::Owner), nodes(&["n1", "n2"]));
        let mut after = claims(&facts, "a");
        after.take(Some(Role::Owner), nodes(&["n1"]));
        assert_eq!(facts.of("n1").owners, ["a".into()]);
        drop(before);
        assert_eq!(facts.of("n1").owners, ["a".into()]);
        assert!(facts.of("n2").is_empty());
        drop(after);
        assert!(!facts.any());
    }

    #[test]
    fn a_stream_may_speak_of_so_many_nodes_and_no_more() {
        let facts = Facts::default();
        let mut a = claims(&facts, "a");
        let many = (0..NODES_PER_STREAM).map(|n| format!("n{n}").into());
        assert_eq!(a.take(Some(Role::Owner), many.collect()), 0);
        let one_more = nodes(&["n1", "another"]);
        assert_eq!(a.take(Some(Role::Standby), one_more.clone()), 1);
        assert!(facts.of("another").is_empty());
        assert_eq!(a.take(None, one_more), 0);
        assert_eq!(a.take(Some(Role::Owner), nodes(&["another"])), 0);
        assert_eq!(facts.of("another").owners, ["a".into()]);
    }
}
