//! Which scraper owns which node.
//!
//! Rendezvous hashing: every member scores every node, and the members of a
//! node are ranked by score. Chosen over a ring because there is nothing to
//! keep: the same members and the same node give the same ranking in every
//! process, with no state to hand over, and a member that leaves moves only the
//! nodes it owned.
//!
//! # Invariants
//!
//! The hash is part of the protocol between scrapers. Changing it during a
//! rolling update makes two of them claim a node, or none; it needs a new
//! protocol version.

/// A fixed share of the nodes: this scraper is number `index` of `count`.
///
/// Its members are called by their numbers, `0` to `count - 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: u32,
    count: u32,
}

/// A number that is not below the number of shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("--shard-index {index} is not below --shard-count {count}")]
pub struct BadShard {
    index: u32,
    count: u32,
}

impl Shard {
    /// Shard `index` of `count`.
    ///
    /// # Errors
    ///
    /// There is no such shard.
    pub fn new(index: u32, count: u32) -> Result<Self, BadShard> {
        if index < count {
            Ok(Self { index, count })
        } else {
            Err(BadShard { index, count })
        }
    }

    /// Whether this scraper is the one that asks `node`.
    pub fn owns(self, node: &str) -> bool {
        // The lower number wins a tie, in every process.
        let owner = (0..self.count).max_by_key(|member| {
            let score = score(&member.to_string(), node);
            (score, std::cmp::Reverse(*member))
        });
        owner == Some(self.index)
    }
}

/// How much `member` wants `node`: FNV-1a over the node, a zero byte and the
/// member, then the finalizer of `MurmurHash3`, without which FNV's high bits hardly
/// depend on the last bytes.
fn score(member: &str, node: &str) -> u64 {
    let bytes = node.bytes().chain([0]).chain(member.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    finalize(hash)
}

/// Spreads a hash over all bits.
pub(crate) fn finalize(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

/// A number that is stable for `name`, in every process and version.
pub(crate) fn stable(name: &str) -> u64 {
    score("", name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owners(count: u32, node: &str) -> Vec<u32> {
        let owns = |index: &u32| Shard::new(*index, count).unwrap().owns(node);
        (0..count).filter(owns).collect()
    }

    #[test]
    fn every_node_has_one_owner() {
        for node in 0..1_000 {
            assert_eq!(owners(4, &format!("node-{node:05}")).len(), 1);
        }
    }

    #[test]
    fn the_hash_is_part_of_the_protocol() {
        let owner_of = |node: &str| owners(3, node)[0];
        assert_eq!(score("0", "node-00001"), SCORE_OF_THE_FIRST);
        let all: Vec<u32> = (1..=9).map(|n| owner_of(&format!("node-{n:05}"))).collect();
        assert_eq!(all, OWNERS);
    }

    // Worked out apart from this code, from the definition above.
    const SCORE_OF_THE_FIRST: u64 = 0xdc23_ef2d_4c84_f026;
    const OWNERS: [u32; 9] = [0, 2, 1, 0, 1, 0, 1, 1, 2];

    #[test]
    fn shares_are_even() {
        let mut shares = [0_u32; 5];
        for node in 0..5_000 {
            let owner = owners(5, &format!("node-{node:05}"))[0];
            shares[usize::try_from(owner).unwrap()] += 1;
        }
        // A fair share is 1000; four standard deviations are 113.
        assert!(
            shares.iter().all(|share| (887..=1113).contains(share)),
            "{shares:?}"
        );
    }

    #[test]
    fn a_new_member_takes_nodes_and_moves_no_others() {
        let mut moved = 0;
        for node in 0..1_000 {
            let node = format!("node-{node:05}");
            let (before, after) = (owners(4, &node)[0], owners(5, &node)[0]);
            if before != after {
                assert_eq!(after, 4, "{node} moved between old members");
                moved += 1;
            }
        }
        assert!((150..=250).contains(&moved), "{moved} of 1000 moved");
    }

    #[test]
    fn a_shard_beyond_the_count_is_refused() {
        assert_eq!(
            Shard::new(3, 3).unwrap_err().to_string(),
            "--shard-index 3 is not below --shard-count 3"
        );
    }
}
