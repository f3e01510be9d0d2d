//! The rosters of one stream, bounded.

use std::collections::HashMap;

use tributary_model::NodeName;
use tributary_proto::{
    convert::WireRoster,
    limits::{CONTAINERS_PER_STREAM, NODES_PER_STREAM, ROSTER_BYTES_PER_STREAM},
};

/// What readings may refer to.
///
/// # Invariants
///
/// `containers` and `bytes` are those of all that is held, and within the bounds
/// of the schema.
#[derive(Debug, Default)]
pub(super) struct Rosters {
    held: HashMap<NodeName, Held>,
    containers: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Held {
    wire: WireRoster,
    bytes: usize,
}

/// A bound was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TooMuch {
    #[error("more than {NODES_PER_STREAM} nodes on one stream")]
    Nodes,
    #[error("more than {CONTAINERS_PER_STREAM} containers on one stream")]
    Containers,
    #[error("names of more than {ROSTER_BYTES_PER_STREAM} bytes on one stream")]
    Names,
}

impl Rosters {
    /// Takes the roster of a node, with so many bytes of names, instead of the one
    /// before.
    pub(super) fn put(
        &mut self,
        node: NodeName,
        wire: WireRoster,
        bytes: usize,
    ) -> Result<(), TooMuch> {
        self.remove(node.as_str());
        let containers = self.containers + wire.roster.containers();
        let all = self.bytes + bytes;
        if self.held.len() >= NODES_PER_STREAM {
            return Err(TooMuch::Nodes);
        }
        if containers > CONTAINERS_PER_STREAM {
            return Err(TooMuch::Containers);
        }
        if all > ROSTER_BYTES_PER_STREAM {
            return Err(TooMuch::Names);
        }
        (self.containers, self.bytes) = (containers, all);
        self.held.insert(node, Held { wire, bytes });
        Ok(())
    }

    pub(super) fn get(&self, node: &str) -> Option<&WireRoster> {
        Some(&self.held.get(node)?.wire)
    }

    pub(super) fn remove(&mut self, node: &str) {
        if let Some(held) = self.held.remove(node) {
            self.containers -= held.wire.roster.containers();
            self.bytes -= held.bytes;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.held.len()
    }
}

#[cfg(test)]
mod tests {
    use tributary_model::{PodKey, RosterBuilder};

    use super::*;

    fn wire(containers: usize) -> WireRoster {
        let mut builder = RosterBuilder::default();
        for row in 0..containers {
            let name = format!("c{row}");
            builder
                .add(PodKey::new("shop", "web"), name.as_str().into())
                .unwrap();
        }
        WireRoster {
            roster: builder.build(),
            id: 1,
            rows: None,
        }
    }

    #[test]
    fn the_bounds_are_those_of_the_schema() {
        let mut rosters = Rosters::default();
        let whole = wire(20_000);
        for node in 0..100 {
            let node = format!("n{node}").as_str().into();
            assert_eq!(rosters.put(node, whole.clone(), 1), Ok(()));
        }
        let one = || wire(1);
        assert_eq!(
            rosters.put("more".into(), one(), 1),
            Err(TooMuch::Containers)
        );
        rosters.remove("n0");
        assert_eq!(rosters.put("more".into(), one(), 1), Ok(()));
        let bytes = ROSTER_BYTES_PER_STREAM - 100;
        assert_eq!(rosters.put("long".into(), one(), bytes), Ok(()));
        assert_eq!(rosters.put("longer".into(), one(), 1), Err(TooMuch::Names));
        assert_eq!(rosters.len(), 101);
    }

    #[test]
    fn a_node_counts_once_however_often_its_roster_changes() {
        let mut rosters = Rosters::default();
        for _ in 0..1_000 {
            assert_eq!(rosters.put("n1".into(), wire(3), 1 << 20), Ok(()));
        }
        assert_eq!((rosters.len(), rosters.containers), (1, 3));
        assert_eq!(rosters.bytes, 1 << 20);
    }

    #[test]
    fn there_are_so_many_nodes_and_no_more() {
        let mut rosters = Rosters::default();
        let one = wire(1);
        for node in 0..NODES_PER_STREAM {
            let node = format!("n{node}").as_str().into();
            assert_eq!(rosters.put(node, one.clone(), 1), Ok(()));
        }
        assert_eq!(rosters.put("more".into(), one, 1), Err(TooMuch::Nodes));
    }
}
