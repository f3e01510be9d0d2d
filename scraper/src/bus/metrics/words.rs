//! What labels say, in the words that logs have for it.

use tributary_proto::v1::{node_refused, publish_request::Message};

pub(super) const KINDS: [&str; 7] = [
    "hello",
    "roster",
    "reading",
    "scrape_failure",
    "released",
    "share",
    "synced",
];

/// What a message is.
pub(super) fn kind(message: &Message) -> &'static str {
    match message {
        Message::Hello(_) => "hello",
        Message::Roster(_) => "roster",
        Message::Reading(_) => "reading",
        Message::ScrapeFailure(_) => "scrape_failure",
        Message::Released(_) => "released",
        Message::Synced(_) => "synced",
        Message::Share(_) => "share",
    }
}

pub(super) const NODE_REFUSED: [node_refused::Reason; 9] = [
    node_refused::Reason::Unspecified,
    node_refused::Reason::Invalid,
    node_refused::Reason::Message,
    node_refused::Reason::Containers,
    node_refused::Reason::Names,
    node_refused::Reason::Publisher,
    node_refused::Reason::Frontend,
    node_refused::Reason::NotAllowed,
    node_refused::Reason::UnknownNode,
];

/// Why a frontend refused a node: a word for labels of metrics and fields of
/// logs.
pub(crate) fn node_refused(reason: node_refused::Reason) -> &'static str {
    use node_refused::Reason;
    match reason {
        Reason::Unspecified => "unspecified",
        Reason::Invalid => "invalid",
        Reason::Message => "message",
        Reason::Containers => "containers",
        Reason::Names => "names",
        Reason::Publisher => "publisher",
        Reason::Frontend => "frontend",
        Reason::NotAllowed => "not-allowed",
        Reason::UnknownNode => "unknown-node",
    }
}
