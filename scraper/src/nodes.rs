//! Node objects -> targets: where each kubelet is to be asked.

mod object;
mod target;

use std::{collections::BTreeMap, sync::Arc};

use kube::Client;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tributary_model::NodeName;
use tributary_runtime::kube::{Change, Watched, keep};

use self::object::Node;
pub(crate) use self::target::path_of;
pub use self::target::{AddressRules, NoAddress, Target};

/// The nodes that are scraped, whoever scrapes them.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    by_name: BTreeMap<NodeName, Arc<Target>>,
    listed: bool,
}

impl Targets {
    /// These, as if listed.
    #[cfg(test)]
    pub(crate) fn of(targets: impl IntoIterator<Item = Target>) -> Self {
        let mut all = Self::default();
        all.apply(Change::Replace(targets.into_iter().collect()));
        all
    }

    /// Whether the nodes were listed at all: before that, no node means nothing.
    pub fn listed(&self) -> bool {
        self.listed
    }

    /// The target of this node.
    pub fn get(&self, node: &str) -> Option<&Arc<Target>> {
        self.by_name.get(node)
    }

    /// The targets in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Target>> {
        self.by_name.values()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Whether anything is other than before.
    fn apply(&mut self, change: Change<Target>) -> bool {
        match change {
            Change::Replace(targets) => {
                let was_listed = std::mem::replace(&mut self.listed, true);
                // What has no name is none.
                let named = targets.into_iter().filter(is_named);
                let new: BTreeMap<_, _> = named
                    .map(|target| (target.node.clone(), Arc::new(target)))
                    .collect();
                let changed = new != self.by_name;
                if changed {
                    self.by_name = new;
                }
                changed || !was_listed
            }
            Change::Put(target) if !is_named(&target) => false,
            Change::Put(target) => {
                // A node reports its status every few minutes, mostly the same.
                if self
                    .get(target.node.as_str())
                    .is_some_and(|it| **it == target)
                {
                    return false;
                }
                self.by_name.insert(target.node.clone(), Arc::new(target));
                true
            }
            Change::Remove(target) => self.by_name.remove(&target.node).is_some(),
        }
    }
}

fn is_named(target: &Target) -> bool {
    !target.node.as_str().is_empty()
}

/// Keeps the targets current until `stop`.
///
/// `selector` is a label selector and may be empty: the API server applies it.
/// All nodes that it selects are targets, ready or not
/// (docs/parity.md#which-nodes). While the API cannot be reached the last set
/// stays.
pub async fn watch_nodes(
    client: Client,
    selector: &str,
    rules: AddressRules,
    targets: watch::Sender<Targets>,
    stop: CancellationToken,
) {
    let nodes = Watched {
        labels: selector.to_owned(),
        ..Watched::all("nodes", "/api/v1/nodes")
    };
    keep(
        client,
        nodes,
        |node: Node| rules.target(&node),
        |change| {
            targets.send_if_modified(|targets| targets.apply(change));
        },
        stop,
    )
    .await;
}

#[cfg(test)]
mod tests;
