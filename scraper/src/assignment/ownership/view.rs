//! The members of a group as one of them sees them.

use std::{cmp::Reverse, sync::Arc, time::Duration};

use crate::assignment::shard::{Scores, Shard};

/// The name of a scraper within its group.
pub(crate) type Member = Arc<str>;

/// Another scraper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) name: Member,
    /// It has been a member for so long that it has scraped all of its nodes.
    pub(crate) established: bool,
}

/// The members of a group as one of them sees them.
///
/// # Invariants
///
/// `others` are sorted by name, each once, and without `me`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    me: Member,
    others: Vec<Peer>,
    /// Whether the members are known.
    sure: bool,
}

impl View {
    /// `me` and the other members.
    pub(crate) fn new(me: Member, mut others: Vec<Peer>) -> Self {
        others.retain(|other| other.name != me);
        others.sort_by(|a, b| a.name.cmp(&b.name));
        others.dedup_by(|a, b| a.name == b.name);
        let sure = true;
        Self { me, others, sure }
    }

    /// `me`, while the other members are unknown. Others may well exist. So this scraper ranks
    /// after them for every node, and scrapes what no other member delivers.
    pub(crate) fn unsure(me: Member) -> Self {
        let sure = false;
        let others = Vec::new();
        Self { me, others, sure }
    }

    /// Whether the members are known.
    pub(crate) fn is_sure(&self) -> bool {
        self.sure
    }

    /// The members of fixed shards, named by their numbers. They always count.
    pub(crate) fn fixed(shard: Shard) -> Self {
        let others = (0..shard.count()).map(|index| Peer {
            name: index.to_string().into(),
            established: false,
        });
        Self::new(shard.index().to_string().into(), others.collect())
    }

    /// How many members rank before this scraper for `node`. 0 for its first owner.
    pub(crate) fn rank(&self, node: &str) -> usize {
        if !self.sure {
            return usize::MAX;
        }
        self.ahead(node, self.others.iter().map(|peer| &peer.name))
    }

    /// This scraper's rank for `node`, if it was `rank` before `turnover`. It costs one hash for
    /// each member that joined or left, however many members there are.
    pub(crate) fn rank_after(&self, turnover: &Turnover, rank: usize, node: &str) -> usize {
        let came = self.ahead(node, turnover.came.iter());
        let went = self.ahead(node, turnover.went.iter());
        (rank + came).saturating_sub(went)
    }

    /// The members that joined and left since `before`, in which this scraper has the same name.
    pub(crate) fn turnover(&self, before: &Self) -> Turnover {
        let missing = |of: &Self, from: &Self| {
            let lacks = |peer: &&Peer| {
                let found = from.others.binary_search_by(|it| it.name.cmp(&peer.name));
                found.is_err()
            };
            let missing = of.others.iter().filter(lacks);
            missing.map(|peer| Member::clone(&peer.name)).collect()
        };
        Turnover {
            came: missing(self, before),
            went: missing(before, self),
        }
    }

    /// A part of `span` for `node` that differs between members.
    pub(crate) fn share_of(&self, span: Duration, node: &str) -> Duration {
        let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX).max(1);
        Duration::from_millis(Scores::of(node).score(&self.me) % millis)
    }

    /// How many of `members` rank before this scraper for `node`.
    fn ahead<'a>(&'a self, node: &str, members: impl Iterator<Item = &'a Member>) -> usize {
        let scores = Scores::of(node);
        let ours = Self::claim(scores, &self.me);
        members
            .filter(|member| Self::claim(scores, member) > ours)
            .count()
    }

    /// The first in rank for `node` except this scraper.
    pub(crate) fn first_peer(&self, node: &str) -> Option<&Peer> {
        let scores = Scores::of(node);
        let others = self.others.iter();
        others.max_by_key(|other| Self::claim(scores, &other.name))
    }

    /// The members besides this scraper.
    #[cfg(test)]
    pub(crate) fn others(&self) -> &[Peer] {
        &self.others
    }

    /// All members, sorted by name, this scraper included.
    #[cfg(test)]
    pub(crate) fn members(&self) -> Vec<Member> {
        let others = self.others.iter().map(|peer| Member::clone(&peer.name));
        let mut all: Vec<Member> = others.chain([Member::clone(&self.me)]).collect();
        all.sort();
        all
    }

    /// The number of members, this scraper included.
    pub(crate) fn len(&self) -> usize {
        self.others.len() + 1
    }

    /// Whether both views have the same members. Their details may differ.
    pub(crate) fn same_members(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.others.iter(), other.others.iter());
        let names = ours.map(|peer| &peer.name);
        self.me == other.me && self.sure == other.sure && names.eq(theirs.map(|peer| &peer.name))
    }

    /// Compares members by their rank for a node. The lower name wins a tie, in every process.
    fn claim(scores: Scores, member: &Member) -> (u64, Reverse<&Member>) {
        (scores.score(member), Reverse(member))
    }
}

/// The members that joined and left between two views.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Turnover {
    came: Vec<Member>,
    went: Vec<Member>,
}

impl Turnover {
    /// How many joined and left.
    pub(crate) fn len(&self) -> usize {
        self.came.len() + self.went.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rank(index: u32, count: u32, node: &str) -> usize {
        View::fixed(Shard::new(index, count).unwrap()).rank(node)
    }

    fn owner(count: u32, node: &str) -> u32 {
        let owners: Vec<u32> = (0..count).filter(|n| rank(*n, count, node) == 0).collect();
        assert_eq!(owners.len(), 1, "{node} has the owners {owners:?}");
        owners[0]
    }

    fn node(n: u32) -> String {
        format!("node-{n:05}")
    }

    #[test]
    fn owners_are_part_of_the_protocol() {
        // Computed apart from this code, from the definition in shard.rs.
        let owners: Vec<u32> = (1..=9).map(|n| owner(3, &node(n))).collect();
        assert_eq!(owners, [0, 2, 1, 0, 1, 0, 1, 1, 2]);
    }

    #[test]
    fn ranks_by_names_are_part_of_the_protocol() {
        // Computed apart from this code, from the definition in shard.rs.
        for (node, expected) in [
            ("node-a", "cdba"),
            ("node-b", "dbca"),
            ("ip-10-0-0-1.ec2.internal", "cabd"),
            ("gke-pool-1", "cabd"),
        ] {
            let name = |letter: char| Member::from(format!("scraper-6c7f-{letter}"));
            let peer = |letter| Peer {
                name: name(letter),
                established: true,
            };
            for (rank, letter) in expected.chars().enumerate() {
                let view = View::new(name(letter), "abcd".chars().map(peer).collect());
                assert_eq!(view.rank(node), rank, "{node} {letter}");
            }
        }
    }

    #[test]
    fn members_with_the_same_view_agree_on_every_rank() {
        for n in 0..1_000 {
            let mut ranks: Vec<usize> = (0..7).map(|index| rank(index, 7, &node(n))).collect();
            ranks.sort_unstable();
            assert_eq!(ranks, [0, 1, 2, 3, 4, 5, 6]);
        }
    }

    #[test]
    fn shares_of_nodes_and_of_pods_are_even() {
        let (mut nodes, mut pods) = ([0_u32; 5], [0_u32; 5]);
        for n in 0..5_000 {
            let owner = usize::try_from(owner(5, &node(n))).unwrap();
            nodes[owner] += 1;
            // Three nodes in four are small, one is full.
            pods[owner] += if n % 4 == 0 { 110 } else { 10 };
        }
        println!("5000 nodes over 5 scrapers: {nodes:?} nodes, {pods:?} pods");
        // Fair shares are 1000 nodes and 35,000 pods; four standard deviations
        // are 113 and 6,300.
        assert!(nodes.iter().all(|n| (887..=1_113).contains(n)), "{nodes:?}");
        assert!(
            pods.iter().all(|n| (28_700..=41_300).contains(n)),
            "{pods:?}"
        );
    }

    #[test]
    fn standbys_of_one_owner_are_spread_over_all_others() {
        let mut standbys = [0_u32; 5];
        for n in 0..5_000 {
            let node = node(n);
            if owner(5, &node) == 0 {
                let second = (0..5_usize).find(|index| {
                    let index = u32::try_from(*index).unwrap();
                    rank(index, 5, &node) == 1
                });
                standbys[second.unwrap()] += 1;
            }
        }
        // A fair share of about 1000 is 250; four standard deviations are 55.
        assert_eq!(standbys[0], 0);
        assert!(
            standbys[1..].iter().all(|n| (185..=315).contains(n)),
            "{standbys:?}"
        );
    }

    #[test]
    fn a_new_member_takes_nodes_and_moves_no_others() {
        let mut moved = 0;
        for n in 0..1_000 {
            let (before, after) = (owner(4, &node(n)), owner(5, &node(n)));
            if before != after {
                assert_eq!(after, 4, "{} moved between old members", node(n));
                moved += 1;
            }
        }
        assert!((150..=250).contains(&moved), "{moved} of 1000 moved");
    }

    #[test]
    fn a_rank_that_follows_joins_and_leaves_is_the_rank_computed_again() {
        let view = |members: std::ops::Range<u32>| {
            let peer = |index: u32| Peer {
                name: format!("scraper-{index}").into(),
                established: true,
            };
            View::new("scraper-100".into(), members.map(peer).collect())
        };
        for (from, to) in [
            (0..5, 0..5),
            (0..5, 0..6),
            (0..5, 1..5),
            (0..40, 20..90),
            (0..1, 5..9),
        ] {
            let (before, after) = (view(from), view(to));
            let turnover = after.turnover(&before);
            for n in 0..300 {
                let node = node(n);
                let followed = after.rank_after(&turnover, before.rank(&node), &node);
                assert_eq!(followed, after.rank(&node), "{node} {turnover:?}");
            }
        }
        let turnover = view(3..6).turnover(&view(0..4));
        let names =
            |members: &[Member]| members.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(names(&turnover.came), ["scraper-4", "scraper-5"]);
        assert_eq!(
            names(&turnover.went),
            ["scraper-0", "scraper-1", "scraper-2"]
        );
    }

    #[test]
    fn a_member_is_there_once() {
        let peer = |name: &str| Peer {
            name: name.into(),
            established: true,
        };
        let view = View::new("a".into(), vec![peer("b"), peer("a"), peer("b")]);
        assert_eq!(view.len(), 2);
        assert_eq!(view.first_peer("n"), Some(&peer("b")));
    }
}
