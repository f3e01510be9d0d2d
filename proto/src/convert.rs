//! The model's types to messages and back.
//!
//! What comes from the wire is checked on the way in: whoever holds a model
//! value need not ask where it came from. [`Invalid`] says what is wrong; it
//! becomes a gRPC status at the border, in the server.

mod reading;
mod roster;

use tonic::Status;
use tributary_model::{InvalidRoster, MAX_NAME, NodeName, is_dns_subdomain};

pub use self::{
    reading::{reading_from_wire, reading_to_wire},
    roster::{WireRoster, roster_from_wire, roster_to_wire},
};
use crate::limits::FAILURE_TEXT;

/// Why a message is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// A node name is not one that Kubernetes allows.
    #[error("node name of {0} bytes is no DNS subdomain of 1 to {MAX_NAME} bytes")]
    NodeName(usize),
    /// A source, group or instance name is too long, or has a character that is
    /// not visible.
    #[error("{what} of {len} bytes, allowed are up to {MAX_NAME} of visible ASCII")]
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
    /// A pod that cannot be read has a name that Kubernetes does not allow.
    #[error("node {node}: name of an unreadable pod is not one that Kubernetes allows")]
    PodName {
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
/// It is no DNS subdomain.
pub fn node_name(name: &str) -> Result<NodeName, Invalid> {
    if is_dns_subdomain(name) {
        Ok(name.into())
    } else {
        Err(Invalid::NodeName(name.len()))
    }
}

/// A name that may be empty, checked: it is shown in logs and answers.
///
/// # Errors
///
/// It is too long, or has a character that is not visible.
pub fn short_name(what: &'static str, name: String) -> Result<String, Invalid> {
    if name.len() <= MAX_NAME && name.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(name)
    } else {
        let len = name.len();
        Err(Invalid::Name { what, len })
    }
}

/// The text of a failure, as it may stand in a log and on a terminal: without
/// what controls either, and cut to its limit at a character's border.
pub fn failure_text(mut text: String) -> String {
    if text.contains(is_control) {
        text = text.replace(is_control, " ");
    }
    if text.len() > FAILURE_TEXT {
        let end = (0..=FAILURE_TEXT)
            .rev()
            .find(|at| text.is_char_boundary(*at));
        text.truncate(end.unwrap_or_default());
    }
    text
}

/// Whether a character moves the cursor, ends a line, or turns the direction of
/// what follows it.
fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_loses_what_controls_a_log_or_a_terminal() {
        let forged = "dial\n2026-11-29 WARN forged\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}2J\u{202e}x";
        assert_eq!(
            failure_text(forged.to_owned()),
            "dial 2026-11-29 WARN forged ]0;owned  [2J 2J x"
        );
        let plain = "certificate is not for \u{fc}ber.example";
        assert_eq!(failure_text(plain.to_owned()), plain);
    }

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
        assert_eq!(node_name("n1.example").unwrap().as_str(), "n1.example");
        for name in ["", "n\n1", "N1", &"n".repeat(254)] {
            assert_eq!(
                node_name(name).unwrap_err(),
                Invalid::NodeName(name.len()),
                "{name:?}"
            );
        }
        for name in ["", "Scraper_0:a/b", &"s".repeat(253)] {
            assert_eq!(short_name("source", name.to_owned()).unwrap(), name);
        }
        for name in ["s\u{1b}[2J", "a b", "\u{e4}", &"s".repeat(254)] {
            assert_eq!(
                short_name("source", name.to_owned())
                    .unwrap_err()
                    .to_string(),
                format!(
                    "source of {} bytes, allowed are up to 253 of visible ASCII",
                    name.len()
                )
            );
        }
    }
}
