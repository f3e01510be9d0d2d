//! The limits of the bus. What is over one is refused for the node that it is
//! about; the stream goes on. Only what no kubelet can bring about ends it.

use std::time::Duration;

use tributary_model::{MAX_NAME, Roster};

use crate::v1;

/// The protocol version of this code.
///
/// A stream of every version that is accepted is kept in `tests/e2e/streams`:
/// record one before this is raised.
pub const PROTOCOL: u32 = 1;

/// The oldest protocol version that a frontend accepts.
pub const OLDEST_PROTOCOL: u32 = 1;

/// Bytes of one message. Any [`Roster`] fits, as its names are at most
/// [`Roster::MAX_NAME_BYTES`] and a container costs 12 bytes beside them at most,
/// and so does a reading of [`Roster::MAX_CONTAINERS`] rows, of 64 bytes at most.
/// A publisher checks all the same, and says that the scrape failed if not.
pub const MESSAGE_BYTES: usize = 4 << 20;

/// Nodes on one stream: the largest clusters known, and one scraper for all.
pub const NODES_PER_STREAM: usize = 20_000;

/// Streams of one frontend: scrapers of a very large installation, twice, for
/// make-before-break.
pub const STREAMS: usize = 256;

/// Streams of one publisher: all scrapers may show the same certificate, so this
/// is much, but not all, so that one cannot keep the others out.
pub const STREAMS_PER_PUBLISHER: usize = 128;

/// Containers of all nodes of one publisher, and the bytes of their names:
/// several times the largest clusters known. A roster counts once, however many
/// streams bring it.
pub const CONTAINERS_PER_PUBLISHER: usize = 2_000_000;

/// See [`CONTAINERS_PER_PUBLISHER`].
pub const ROSTER_BYTES_PER_PUBLISHER: usize = 256 << 20;

/// What one stream may send in the long run, in bytes as they are in memory. The
/// largest clusters known need a third of it at a resolution of ten seconds; with one
/// second there has to be a scraper for each few thousand nodes.
pub const BYTES_PER_SECOND: usize = 16 << 20;

/// What it may send at once: the replay of as many nodes as it may have.
pub const BURST_BYTES: usize = 256 << 20;

/// A message counts as one of this many bytes at least.
pub const LEAST_MESSAGE_BYTES: usize = 4 << 10;

/// How long a publisher may take until its `Hello`.
pub const HELLO_WITHIN: Duration = Duration::from_secs(10);

/// The longest interval between two scrapes of a node. It decides how long samples are served.
pub const LONGEST_RESOLUTION: Duration = Duration::from_hours(1);

/// Nodes in one `Overdue`. More are told a moment later; the longest names fit.
pub const OVERDUE_NODES: usize = 4_096;

/// Nodes in one `Wanted`. More are not scraped more often; the longest names fit.
pub const WANTED_NODES: usize = 4_096;

/// For how long nodes may be wanted by one `Wanted`.
pub const WANTED_FOR: Duration = Duration::from_mins(1);

/// Nodes in one `Share`. More are told in the next; the longest names fit.
pub const SHARE_NODES: usize = 4_096;

/// Bytes of the text of a failure. What is longer is cut off, not refused.
pub const FAILURE_TEXT: usize = 1024;

/// The limits as a frontend announces them.
pub fn announce() -> v1::Limits {
    v1::Limits {
        message_bytes: wide(MESSAGE_BYTES),
        nodes: wide(NODES_PER_STREAM),
        containers_per_node: wide(Roster::MAX_CONTAINERS),
        name_bytes: wide(MAX_NAME),
    }
}

fn wide(limit: usize) -> u64 {
    u64::try_from(limit).unwrap_or(u64::MAX)
}
