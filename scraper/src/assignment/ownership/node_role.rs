//! The role of a scraper for each node, for the frontends.

use tributary_model::NodeName;

use super::{Ownership, Role};

/// The role of this scraper for a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeRole {
    /// Others scrape it.
    None,
    /// It scrapes the node in the ordinary way.
    Owner,
    /// It scrapes the node if the owners do not deliver it.
    Standby,
    /// Another member owns the node now. It goes on for a moment.
    Leaving,
    /// It scrapes the node because the owners do not deliver it.
    Rescuer,
}

impl Ownership {
    /// The nodes whose role may have changed since the last call, with the current role.
    pub(crate) fn news(&mut self) -> Vec<(NodeName, NodeRole)> {
        let changed = std::mem::take(&mut self.changed);
        changed
            .into_iter()
            .map(|name| {
                let standing = self.standing(&name);
                (name, standing)
            })
            .collect()
    }

    fn standing(&self, name: &NodeName) -> NodeRole {
        let Some(node) = self.nodes.get(name) else {
            return NodeRole::None;
        };
        match node.role {
            Role::Owner { .. } => NodeRole::Owner,
            Role::Leaving { .. } => NodeRole::Leaving,
            Role::Rescuer { .. } => NodeRole::Rescuer,
            Role::Idle if node.rank == self.replicas => NodeRole::Standby,
            Role::Idle => NodeRole::None,
        }
    }
}
