//! Which nodes report pods that are bound to others, as far as that is known: the
//! store knows no objects, so [`crate::catalog`] looks, at those rosters that may
//! have changed the answer, and says what it found.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use tributary_model::{NodeName, PodKey, Roster};

use super::Points;

/// Nodes by number.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// Those to be looked at. At most as many as there are nodes.
    questioned: BTreeSet<u32>,
    /// Of those that report pods of other nodes, how many these are.
    refused: BTreeMap<u32, usize>,
    /// How many pods in all readings counted for nothing.
    total: u64,
}

impl Claims {
    /// Counts what is refused in a reading of a node.
    pub(super) fn count(&mut self, number: u32) {
        if let Some(pods) = self.refused.get(&number) {
            let pods = u64::try_from(*pods).unwrap_or(u64::MAX);
            self.total = self.total.saturating_add(pods);
        }
    }

    /// Marks a node to be looked at.
    pub(super) fn question(&mut self, number: u32) {
        self.questioned.insert(number);
    }

    /// The node is no more; its number may get to another.
    pub(super) fn forget(&mut self, number: u32) {
        self.questioned.remove(&number);
        self.refused.remove(&number);
    }
}

impl Points {
    /// Whether another node than `node` reports the pod.
    pub(in crate::store) fn is_claimed(&self, pod: &PodKey, node: &NodeName) -> bool {
        let numbers = self.index.numbers_of(&self.nodes, pod);
        numbers
            .into_iter()
            .any(|number| self.is_other(number, node))
    }

    /// Marks all other nodes than `node` that report the pod.
    pub(in crate::store) fn question(&mut self, pod: &PodKey, node: &NodeName) {
        for number in self.index.numbers_of(&self.nodes, pod) {
            if self.is_other(number, node) {
                self.claims.question(number);
            }
        }
    }

    fn is_other(&self, number: u32, node: &NodeName) -> bool {
        let entry = self.nodes.at(number);
        entry.is_some_and(|entry| !entry.name.is(node))
    }

    pub(in crate::store) fn question_all(&mut self) {
        let claims = &mut self.claims;
        self.nodes.each(|number, _| claims.question(number));
    }

    /// The nodes that are marked, and those of which something is refused, with what
    /// they report. The marks are gone then.
    pub(in crate::store) fn questioned(&mut self) -> Vec<(NodeName, Arc<Roster>)> {
        let mut numbers = std::mem::take(&mut self.claims.questioned);
        numbers.extend(self.claims.refused.keys());
        let entries = numbers.into_iter().filter_map(|number| {
            let entry = self.nodes.at(number)?;
            Some((entry.name.clone(), entry.roster.clone()?))
        });
        entries.collect()
    }

    /// Takes in how many pods in the roster of `node` are bound to other nodes.
    pub(in crate::store) fn refuse(&mut self, node: &NodeName, pods: usize) {
        let Some(number) = self.nodes.known(node) else {
            return;
        };
        if pods == 0 {
            self.claims.refused.remove(&number);
        } else {
            self.claims.refused.insert(number, pods);
        }
    }

    /// How many pods in readings counted for nothing, and how many nodes report such
    /// pods.
    pub(in crate::store) fn refused(&self) -> (u64, usize) {
        (self.claims.total, self.claims.refused.len())
    }
}
