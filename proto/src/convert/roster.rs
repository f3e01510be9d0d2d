//! Rosters to messages and back.

use std::{collections::HashSet, sync::Arc};

use tributary_model::{ContainerName, NodeName, PodKey, Roster, RosterBuilder};

use super::{Invalid, node_name};
use crate::v1;

/// The roster of `node` as a message, in canonical order, by the name `id`, which
/// names no other roster of the node on the stream.
pub fn roster_to_wire(node: &NodeName, roster: &Roster, id: u64) -> v1::Roster {
    let mut before = "";
    let pods = roster.pods().iter().map(|pod| {
        let namespace = &*pod.key.namespace;
        let shown = if namespace == before { "" } else { namespace };
        before = namespace;
        v1::roster::Pod {
            namespace: shown.to_owned(),
            name: pod.key.name.to_string(),
            containers: roster
                .containers_of(pod)
                .iter()
                .map(ToString::to_string)
                .collect(),
        }
    });
    v1::Roster {
        node: node.to_string(),
        id,
        pods: pods.collect(),
    }
}

/// A roster from a message, with the order in which the publisher lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireRoster {
    /// The roster.
    pub roster: Arc<Roster>,
    /// The id that the publisher's readings will name.
    pub id: u64,
    /// The row of the roster for each entry of a column; `None` if both have
    /// the same order, as ours always have.
    pub rows: Option<Box<[u16]>>,
}

/// The node and roster of a message.
///
/// # Errors
///
/// [`Invalid`] says which rule of the schema is broken.
pub fn roster_from_wire(message: &v1::Roster) -> Result<(NodeName, WireRoster), Invalid> {
    let node = node_name(&message.node)?;
    let refused = |error| Invalid::Roster {
        node: node.clone(),
        error,
    };
    let mut builder = RosterBuilder::default();
    let mut listed = Vec::new();
    let mut names = HashSet::new();
    let mut namespace: Arc<str> = "".into();
    for pod in &message.pods {
        if !pod.namespace.is_empty() {
            namespace = pod.namespace.as_str().into();
        } else if namespace.is_empty() {
            return Err(Invalid::NoNamespace { node });
        }
        let key = PodKey::new(Arc::clone(&namespace), pod.name.as_str());
        if pod.containers.is_empty() {
            return Err(refused(tributary_model::InvalidRoster::EmptyPod {
                pod: key,
            }));
        }
        for container in &pod.containers {
            let container = shared(&mut names, container);
            builder
                .add(key.clone(), container.clone())
                .map_err(refused)?;
            listed.push((key.clone(), container));
        }
    }
    let roster = builder.build();
    let rows = permutation(&roster, &listed);
    let id = message.id;
    Ok((node, WireRoster { roster, id, rows }))
}

/// A name; equal ones share memory, as most containers have one of a few.
fn shared(names: &mut HashSet<ContainerName>, name: &str) -> ContainerName {
    if let Some(known) = names.get(name) {
        return known.clone();
    }
    let new = ContainerName::from(name);
    names.insert(new.clone());
    new
}

/// The rows of `listed`, if they have another order. As small as the most containers of a node permit: each stream may have
/// an order of its own.
fn permutation(roster: &Roster, listed: &[(PodKey, ContainerName)]) -> Option<Box<[u16]>> {
    let same = roster
        .rows()
        .zip(listed)
        .all(|((_, pod, container), (key, name))| pod == key && container == name);
    if same {
        return None;
    }
    let row_of = |(key, name): &(PodKey, ContainerName)| {
        let pod = roster.pods().get(roster.position(key)?)?;
        let at = roster.containers_of(pod).binary_search(name).ok()?;
        u16::try_from(pod.rows().start + at).ok()
    };
    Some(listed.iter().filter_map(row_of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(namespace: &str, name: &str, containers: &[&str]) -> v1::roster::Pod {
        v1::roster::Pod {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            containers: containers.iter().map(ToString::to_string).collect(),
        }
    }

    fn message(pods: Vec<v1::roster::Pod>) -> v1::Roster {
        v1::Roster {
            node: "n1".to_owned(),
            id: 7,
            pods,
        }
    }

    #[test]
    fn a_roster_survives_the_journey() {
        let there = message(vec![
            pod("a", "x", &["m", "s"]),
            pod("", "y", &["m"]),
            pod("b", "x", &["m"]),
        ]);
        let (node, wire) = roster_from_wire(&there).unwrap();
        assert_eq!(node.as_str(), "n1");
        assert_eq!((wire.id, &wire.rows), (7, &None));
        assert_eq!(roster_to_wire(&node, &wire.roster, 7), there);
    }

    #[test]
    fn a_foreign_order_is_mapped() {
        let there = message(vec![pod("b", "x", &["s", "m"]), pod("a", "x", &["m"])]);
        let (_, wire) = roster_from_wire(&there).unwrap();
        // a/x/m is row 0, b/x/m row 1, b/x/s row 2.
        assert_eq!(wire.rows.as_deref(), Some(&[2, 1, 0][..]));
    }

    #[test]
    fn rules_are_kept() {
        let refusal = |pods| roster_from_wire(&message(pods)).unwrap_err().to_string();
        assert_eq!(
            refusal(vec![pod("", "x", &["m"])]),
            "node n1: first pod of a roster without namespace"
        );
        assert_eq!(
            refusal(vec![pod("a", "x", &[])]),
            "node n1: pod a/x without containers in a roster"
        );
        assert_eq!(
            refusal(vec![pod("a", "x", &["m"]), pod("a", "x", &["m"])]),
            "node n1: container m of pod a/x twice in a roster"
        );
        assert_eq!(
            refusal(vec![pod("a", "", &["m"])]),
            "node n1: pod name of 0 bytes in a roster is no DNS subdomain: ``"
        );
        assert_eq!(
            refusal(vec![pod("a", "x", &["m\u{1b}[2J"])]),
            "node n1: container name of 5 bytes in a roster is no DNS label: `m\\u{1b}[2J`"
        );
    }
}
