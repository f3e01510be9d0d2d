//! The model's types to messages and back.
//!
//! What comes from the wire is checked on the way in: whoever holds a model
//! value need not ask where it came from. [`Invalid`] says what is wrong; it
//! becomes a gRPC status at the border, in the server.

mod reading;
mod roster;

use tonic::Status;
use tributary_model::{InvalidRoster, MAX_NAME, NodeName};

pub use self::{
    reading::{reading_from_wire, reading_to_wire},
    roster::{WireRoster, roster_from_wire, roster_to_wire},
};
use crate::limits::FAILURE_TEXT;

/// Why a message is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// A node name is empty or too long.
    #[error("node name of {0} bytes, allowed are 1 to {MAX_NAME}")]
    NodeName(usize),
    /// A source, group or instance name is too long, or the source's is empty.
    #[error("{what} of {len} bytes, allowed are up to {MAX_NAME}")]
    Name {
        /// Which name.
        what: &'static str,
        /// Its length.
        len: usize,
    },
    /// A roster breaks its rules.
    #[error("node {node}: {error}")]
    Roster {
        /// Of which node.
        node: NodeName,
        /// What is wrong.
        error: InvalidRoster,
    },
    /// The first pod of a roster has no namespace to take over.
    #[error("node {node}: first pod of a roster without namespace")]
    NoNamespace {
        /// Of which node.
        node: NodeName,
    },
    /// A column is neither absent nor as long as the roster.
    #[error("node {node}: column {column} has {len} entries, the roster has {rows}")]
    Column {
        /// Of which node.
        node: NodeName,
        /// The field of the column.
        column: &'static str,
        /// Its length.
        len: usize,
        /// The rows of the roster.
        rows: usize,
    },
    /// A time does not fit.
    #[error("node {node}: a time in {column} is out of range")]
    Time {
        /// Of which node.
        node: NodeName,
        /// The field of the column.
        column: &'static str,
    },
}

impl From<Invalid> for Status {
    fn from(invalid: Invalid) -> Self {
        Self::invalid_argument(invalid.to_string())
    }
}

/// The name of a node, checked.
///
/// # Errors
///
/// It is empty or too long.
pub fn node_name(name: &str) -> Result<NodeName, Invalid> {
    match name.len() {
        1..=MAX_NAME => Ok(name.into()),
        len => Err(Invalid::NodeName(len)),
    }
}

/// A name that may be empty, checked.
///
/// # Errors
///
/// It is too long.
pub fn short_name(what: &'static str, name: String) -> Result<String, Invalid> {
    match name.len() {
        0..=MAX_NAME => Ok(name),
        len => Err(Invalid::Name { what, len }),
    }
}

/// The text of a failure, cut to its limit at a character's border.
pub fn failure_text(mut text: String) -> String {
    if text.len() > FAILURE_TEXT {
        let end = (0..=FAILURE_TEXT)
            .rev()
            .find(|at| text.is_char_boundary(*at));
        text.truncate(end.unwrap_or_default());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(failure_text("short".to_owned()), "short");
        let cut = failure_text("\u{e4}".repeat(1000) + "x");
        assert_eq!(cut.len(), 1024);
        let cut = failure_text("x".to_owned() + &"\u{e4}".repeat(1000));
        assert_eq!(cut.len(), 1023);
    }

    #[test]
    fn names_have_limits() {
        assert_eq!(node_name("n1").unwrap().as_str(), "n1");
        assert_eq!(node_name("").unwrap_err(), Invalid::NodeName(0));
        assert_eq!(
            short_name("source", "s".repeat(300))
                .unwrap_err()
                .to_string(),
            "source of 300 bytes, allowed are up to 253"
        );
    }
}
