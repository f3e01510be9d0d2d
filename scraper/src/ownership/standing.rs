//! What a scraper is to each node, for those who want to know.

use tributary_model::NodeName;

use super::{Ownership, Role};

/// What we are to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Others scrape it.
    None,
    /// We scrape it.
    Owner,
    /// We will if its owners do not deliver.
    Standby,
    /// It is another's now; we go on for a moment.
    Leaving,
    /// We scrape it since its owners do not deliver.
    Rescuer,
}

impl Ownership {
    /// The nodes to which we may have become something else since this was asked
    /// last, and what we are to them now.
    pub(crate) fn news(&mut self) -> Vec<(NodeName, Standing)> {
        let changed = std::mem::take(&mut self.changed);
        changed
            .into_iter()
            .map(|name| {
                let standing = self.standing(&name);
                (name, standing)
            })
            .collect()
    }

    fn standing(&self, name: &NodeName) -> Standing {
        let Some(node) = self.nodes.get(name) else {
            return Standing::None;
        };
        match node.role {
            Role::Owner { .. } => Standing::Owner,
            Role::Leaving { .. } => Standing::Leaving,
            Role::Rescuer { .. } => Standing::Rescuer,
            Role::Idle if node.rank == self.replicas => Standing::Standby,
            Role::Idle => Standing::None,
        }
    }
}
