//! How much all nodes together remember of containers that their newest pages lack.

use super::super::pairs::{Pairs, Room};

/// The most containers of all nodes together.
const MOST: usize = 500_000;

/// What is left when there were more: an eighth is free then, so that room is seldom made.
const LEFT: usize = MOST - MOST / 8;

/// How much is stored of containers that the newest pages of their nodes lack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Remembered {
    /// How many there are.
    pub(crate) containers: usize,
    /// How many were forgotten so far because there was no room.
    pub(crate) forgotten: u64,
}

impl Remembered {
    /// Lets `change` change what a node remembers, which is `most` containers afterwards, or fewer.
    pub(super) fn follow<T>(
        &mut self,
        pairs: &mut Pairs,
        most: usize,
        change: impl FnOnce(&mut Pairs, &mut Room) -> T,
    ) -> T {
        self.containers -= pairs.remembered();
        let mut room = Room { most, forgotten: 0 };
        let changed = change(pairs, &mut room);
        self.containers += pairs.remembered();
        self.forgotten += u64::try_from(room.forgotten).unwrap_or_default();
        changed
    }

    /// A node is forgotten with everything.
    pub(super) fn drop(&mut self, pairs: Option<&Pairs>) {
        self.containers -= pairs.map_or(0, Pairs::remembered);
    }

    /// Whether all nodes together have more than there is room for.
    pub(super) fn is_full(self) -> bool {
        self.containers > MOST
    }
}

/// How many containers each node may have if `nodes` have these. Those that have the most lose first: a node loses
/// nothing because others have more than it.
pub(super) fn most_of_each(mut nodes: Vec<usize>) -> usize {
    nodes.sort_unstable();
    let (mut left, mut others) = (LEFT, nodes.len());
    for containers in nodes {
        let each = left / others;
        if containers > each {
            return each;
        }
        left -= containers;
        others -= 1;
    }
    MOST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nodes_that_have_the_most_lose_first() {
        // 437,500 are left: 427,500 for the 250 of the greedy ones.
        let mut nodes = vec![2_048; 250];
        nodes.extend([30; 333]);
        nodes.push(10);
        assert_eq!(most_of_each(nodes), 1_710);
        assert_eq!(most_of_each(vec![100; 5_000]), 87);
        // They fit.
        assert_eq!(most_of_each(vec![400, 437_100]), 500_000);
        assert_eq!(most_of_each(vec![401, 437_100]), 437_099);
        assert_eq!(most_of_each(vec![]), 500_000);
    }
}
