//! The bounds of a stream. A message over one ends the stream with a status
//! that says which.

use tributary_model::{MAX_NAME, Roster};

use crate::v1;

/// The protocol version of this code.
pub const PROTOCOL: u32 = 1;

/// The oldest protocol version that a frontend accepts.
pub const OLDEST_PROTOCOL: u32 = 1;

/// Bytes of one message. A roster of [`Roster::MAX_CONTAINERS`] with long names
/// and a reading of as many rows fit.
pub const MESSAGE_BYTES: usize = 4 << 20;

/// Nodes on one stream: the largest clusters known, and one scraper for all.
pub const NODES_PER_STREAM: usize = 20_000;

/// Streams of one frontend: scrapers of a very large installation, twice, for
/// make-before-break.
pub const STREAMS: usize = 256;

/// Nodes in one `Overdue`. More are told a moment later; the longest names fit.
pub const OVERDUE_NODES: usize = 4_096;

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
