//! What is printed: text, colours, tables, and the exit code.
//!
//! Names and messages come from others, who may want a terminal to obey them. [`shown`] is the last step of every
//! document, and leaves only line breaks and our own colours. That others break no line of ours is up to [`Table`],
//! [`Paint`] and [`harmless`].

mod errors;
mod foreign;
mod table;

use std::{io::IsTerminal, process::ExitCode, time::Duration};

use jiff::Timestamp;
use serde::Serialize;

pub(crate) use self::errors::Documents;
pub use self::{
    foreign::{harmless, json, shown},
    table::Table,
};

/// What a command came to. The order is that of precedence: findings are certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Nothing is wrong.
    Healthy,
    /// Something could not be read, so it is not known whether something is wrong.
    Unknown,
    /// Something is wrong.
    Findings,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(outcome.code())
    }
}

impl Outcome {
    /// The exit code.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Healthy => 0,
            Self::Findings => 1,
            Self::Unknown => 2,
        }
    }
}

/// Colours, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paint {
    colours: bool,
}

impl Paint {
    /// No colours.
    pub const PLAIN: Self = Self { colours: false };

    /// Colours if `output` is a terminal, and they are wanted.
    pub fn of(output: &impl IsTerminal, unwanted: bool) -> Self {
        let colours = output.is_terminal() && !unwanted;
        Self { colours }
    }

    fn with(self, code: &str, text: &str) -> String {
        let text = harmless(text);
        if self.colours && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text
        }
    }

    /// What is wrong.
    #[must_use]
    pub fn bad(self, text: &str) -> String {
        self.with("31", text)
    }

    /// What may become wrong, or is not known.
    #[must_use]
    pub fn warn(self, text: &str) -> String {
        self.with("33", text)
    }

    /// What is right.
    #[must_use]
    pub fn good(self, text: &str) -> String {
        self.with("32", text)
    }

    /// A title.
    #[must_use]
    pub fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    /// What is less important.
    #[must_use]
    pub fn faint(self, text: &str) -> String {
        self.with("2", text)
    }
}

/// A number of things in words: `1 node`, `2 nodes`.
#[must_use]
pub fn count(number: usize, thing: &str) -> String {
    match number {
        1 => format!("1 {thing}"),
        _ => format!("{number} {thing}s"),
    }
}

/// The first names of a list, and how many more there are.
#[must_use]
pub fn some_of(names: impl IntoIterator<Item: AsRef<str>>, most: usize) -> String {
    let mut names = names.into_iter();
    let shown: Vec<String> = names
        .by_ref()
        .take(most)
        .map(|name| name.as_ref().to_owned())
        .collect();
    let text = shown.join(", ");
    match names.count() {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}

/// A span of time as kubectl writes ages: `4s`, `3m12s`, `71d`.
#[must_use]
pub fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => match seconds % 60 {
            0 => format!("{minutes}m"),
            rest => format!("{minutes}m{rest}s"),
        },
        600..10_800 => format!("{minutes}m"),
        10_800..172_800 => format!("{hours}h"),
        _ => format!("{days}d"),
    }
}

/// The time from `earlier` to `later`; none if it is the other way round.
#[must_use]
pub fn between(earlier: Timestamp, later: Timestamp) -> Duration {
    Duration::try_from(later.duration_since(earlier)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_more_than_what_is_unknown() {
        let most = [Outcome::Unknown, Outcome::Findings, Outcome::Healthy];
        assert_eq!(most.into_iter().max(), Some(Outcome::Findings));
        let codes = [Outcome::Healthy, Outcome::Findings, Outcome::Unknown];
        assert_eq!(codes.map(Outcome::code), [0, 1, 2]);
    }

    #[test]
    fn there_are_colours_only_where_they_are_wanted() {
        let colours = Paint { colours: true };
        assert_eq!(colours.bad("no"), "\x1b[31mno\x1b[0m");
        assert_eq!(Paint::PLAIN.bad("no"), "no");
    }

    #[test]
    fn long_lists_are_cut_and_counted() {
        assert_eq!(some_of(["a", "b"], 2), "a, b");
        assert_eq!(some_of(["a", "b", "c", "d"], 2), "a, b and 2 more");
        assert_eq!([count(1, "node"), count(0, "node")], ["1 node", "0 nodes"]);
    }

    #[test]
    fn spans_are_written_as_kubectl_does() {
        let spans = [4, 119, 120, 192, 700, 11_000, 6_134_400];
        let texts = spans.map(|seconds| span(Duration::from_secs(seconds)));
        assert_eq!(texts, ["4s", "119s", "2m", "3m12s", "11m", "3h", "71d"]);
    }
}
