//! How much publishers may store and send, and the errors beyond it.

use std::{
    ops::{AddAssign, SubAssign},
    time::Duration,
};

use tributary_model::Roster;
use tributary_proto::limits::{
    BURST_BYTES, BYTES_PER_SECOND, CONTAINERS_PER_PUBLISHER, NODES_PER_STREAM,
    ROSTER_BYTES_PER_PUBLISHER, STREAMS, STREAMS_PER_PUBLISHER,
};

use super::super::pace::Rate;

/// A roster with more containers is large: four times what Kubernetes recommends for a node.
const LARGE_CONTAINERS: usize = 1_024;

/// A roster with more bytes of names is large, too.
const LARGE_BYTES: usize = 128 << 10;

/// The limits. A roster counts once, however many streams have it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) streams: usize,
    /// Nodes on streams: two scrapers for each, and twice for make-before-break.
    pub(super) nodes: usize,
    /// Nodes for which a stream reports a role.
    pub(super) claims: usize,
    pub(super) size: Size,
    pub(super) rate: Rate,
}

/// Several times the largest known clusters.
pub(super) const OF_PUBLISHER: Limits = Limits {
    streams: STREAMS_PER_PUBLISHER,
    nodes: 4 * NODES_PER_STREAM,
    claims: 8 * NODES_PER_STREAM,
    size: Size {
        containers: CONTAINERS_PER_PUBLISHER,
        bytes: ROSTER_BYTES_PER_PUBLISHER,
    },
    rate: Rate {
        burst: 2 * BURST_BYTES,
        per_second: 4 * BYTES_PER_SECOND,
    },
};

/// Twice the limits of one publisher, so that a greedy one leaves as much to others. [`open_to`] has
/// what is reserved for publishers that store little.
pub(super) const OF_ALL: Limits = Limits {
    streams: STREAMS,
    nodes: 8 * NODES_PER_STREAM,
    claims: 16 * NODES_PER_STREAM,
    size: Size {
        containers: 2 * CONTAINERS_PER_PUBLISHER,
        bytes: 2 * ROSTER_BYTES_PER_PUBLISHER,
    },
    rate: Rate {
        burst: 4 * BURST_BYTES,
        per_second: 8 * BYTES_PER_SECOND,
    },
};

/// What a publisher that stores little is never refused because of others, if there are at most 64
/// publishers: this many streams, and this part of all nodes, containers and bytes.
pub(super) const LITTLE_STREAMS: usize = 2;
const LITTLE: usize = 256;

/// How much of the limit `max` for all a publisher may use that will then store `own`. The last
/// quarter is reserved for those that store little.
pub(super) fn open_to(own: usize, max: usize) -> usize {
    if own <= max / LITTLE {
        max
    } else {
        without_kept(max)
    }
}

/// `max` without what is reserved for publishers that store little.
pub(super) fn without_kept(max: usize) -> usize {
    max - max / 4
}

/// The rate that a publisher always has, whatever others send: the replay and the samples of a
/// thousand nodes every 15 s.
pub(super) const GUARANTEED: Rate = Rate {
    burst: 16 << 20,
    per_second: 1 << 20,
};

/// The memory of a roster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::bus) struct Size {
    pub(super) containers: usize,
    /// Bytes of names, with their overhead in memory.
    pub(super) bytes: usize,
}

/// Whose limit was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bus) enum Whose {
    Stream,
    Publisher,
    All,
}

/// A limit was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::bus) enum TooMuch {
    #[error("more than {max} streams of {}", whose(*.of))]
    Streams { max: usize, of: Whose },
    #[error(
        "the last streams of this publisher broke the rules of the bus; the next one is admitted \
         in {}s", .0.as_secs() + 1
    )]
    Faults(Duration),
    #[error("more than {max} nodes of {}", whose(*.of))]
    Nodes { max: usize, of: Whose },
    #[error("more than {max} containers of {}", whose(*.of))]
    Containers { max: usize, of: Whose },
    #[error("names of more than {max} bytes of {}", whose(*.of))]
    Names { max: usize, of: Whose },
    #[error("more than {max} containers of {} on nodes with more than {LARGE_CONTAINERS}", whose(*.of))]
    LargeContainers { max: usize, of: Whose },
    #[error("names of more than {max} bytes of {} in rosters of more than {LARGE_BYTES}", whose(*.of))]
    LargeNames { max: usize, of: Whose },
}

impl TooMuch {
    /// Whose limit it is.
    pub(in crate::bus) fn of(self) -> Whose {
        match self {
            Self::Streams { of, .. }
            | Self::Nodes { of, .. }
            | Self::Containers { of, .. }
            | Self::Names { of, .. }
            | Self::LargeContainers { of, .. }
            | Self::LargeNames { of, .. } => of,
            Self::Faults(_) => Whose::Publisher,
        }
    }
}

fn whose(of: Whose) -> &'static str {
    match of {
        Whose::Stream => "one stream",
        Whose::Publisher => "one publisher",
        Whose::All => "all publishers",
    }
}

impl Size {
    /// The memory of `roster`.
    pub(super) fn of(roster: &Roster) -> Self {
        // The pod in the roster, and the headers of its two names.
        const POD: usize = 96;
        let pods = roster.pods().iter();
        let pods = pods.map(|pod| POD + pod.key.namespace.len() + pod.key.name.len());
        let containers = roster.rows().map(|(_, _, name)| 32 + name.as_str().len());
        Self {
            containers: roster.containers(),
            bytes: pods.sum::<usize>() + containers.sum::<usize>(),
        }
    }

    pub(super) fn is_large(self) -> bool {
        self.containers > LARGE_CONTAINERS || self.bytes > LARGE_BYTES
    }
}

impl AddAssign for Size {
    fn add_assign(&mut self, more: Self) {
        self.containers += more.containers;
        self.bytes += more.bytes;
    }
}

impl SubAssign for Size {
    fn sub_assign(&mut self, less: Self) {
        self.containers -= less.containers;
        self.bytes -= less.bytes;
    }
}
