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

/// A share that is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadShard {
    /// The number is not below the number of shards.
    #[error("--shard-index {index} is not below --shard-count {count}")]
    Beyond {
        /// `--shard-index`
        index: u32,
        /// `--shard-count`
        count: u32,
    },
    /// The name of the pod says no number either.
    #[error("--shard-count needs --shard-index, since --source-name {0} does not end in a number")]
    NoOrdinal(String),
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
            Err(BadShard::Beyond { index, count })
        }
    }

    /// The shard of a `StatefulSet`'s pod: the number at the end of its name.
    ///
    /// # Errors
    ///
    /// The name does not end in `-` and a number, or that is too high.
    pub fn of_pod(pod: &str, count: u32) -> Result<Self, BadShard> {
        let ordinal = pod.rsplit_once('-').map(|(_, ordinal)| ordinal);
        match ordinal.and_then(|ordinal| ordinal.parse().ok()) {
            Some(index) => Self::new(index, count),
            // The only one needs no number.
            None if count == 1 => Self::new(0, 1),
            None => Err(BadShard::NoOrdinal(pod.to_owned())),
        }
    }

    /// Our number.
    pub(crate) fn index(self) -> u32 {
        self.index
    }

    /// How many there are.
    pub(crate) fn count(self) -> u32 {
        self.count
    }
}

/// How much `member` wants `node`: FNV-1a over the node, a zero byte and the
/// member, then the finalizer of `MurmurHash3`, without which FNV's high bits hardly
/// depend on the last bytes.
pub(crate) fn score(member: &str, node: &str) -> u64 {
    Scores::of(node).score(member)
}

/// The scores of all members for one node: what they have in common is hashed
/// once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scores(u64);

impl Scores {
    /// Those for `node`.
    pub(crate) fn of(node: &str) -> Self {
        Self(fnv(0xcbf2_9ce4_8422_2325, node.bytes().chain([0])))
    }

    /// How much `member` wants the node.
    pub(crate) fn score(self, member: &str) -> u64 {
        finalize(fnv(self.0, member.bytes()))
    }
}

fn fnv(hash: u64, bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(hash, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
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

    #[test]
    fn the_score_is_part_of_the_protocol() {
        // Worked out apart from this code, from the definition above.
        assert_eq!(score("0", "node-00001"), 0xdc23_ef2d_4c84_f026);
    }

    #[test]
    fn a_shard_beyond_the_count_is_refused() {
        assert_eq!(
            Shard::new(3, 3).unwrap_err().to_string(),
            "--shard-index 3 is not below --shard-count 3"
        );
    }

    #[test]
    fn a_pod_of_a_stateful_set_knows_its_number() {
        assert_eq!(Shard::of_pod("scraper-2", 3), Shard::new(2, 3));
        assert_eq!(Shard::of_pod("my-scraper-0", 3), Shard::new(0, 3));
        assert_eq!(Shard::of_pod("scraper-3", 3), Shard::new(3, 3));
        assert_eq!(Shard::of_pod("laptop", 1), Shard::new(0, 1));
        assert_eq!(
            Shard::of_pod("scraper-7d9f-x2x", 3)
                .unwrap_err()
                .to_string(),
            "--shard-count needs --shard-index, since --source-name scraper-7d9f-x2x does not \
             end in a number"
        );
    }
}
