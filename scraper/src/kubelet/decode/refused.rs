//! What was not used, and why.

use std::fmt;

use crate::kubelet::decimal::BadNumber;

/// Why a series was not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refused {
    /// It is about a container and has no labels.
    NoLabels,
    /// A label that names the container is missing, twice there, or no name that
    /// Kubernetes allows: namespaces and containers are DNS labels, pods are DNS
    /// subdomains.
    BadLabel,
    /// `NaN` or an infinity.
    NotFinite,
    /// Below zero.
    Negative,
    /// More than a counter holds, or more bytes than a node may have.
    Overflow,
    /// Its time is negative, no whole number or after the year 9999.
    BadTimestamp,
    /// The page has said this already. If it says something else of CPU or memory,
    /// neither counts: one of the two is of a run that is over.
    Duplicate,
    /// It is not as the format wants it.
    Malformed,
}

impl Refused {
    /// Every reason.
    pub const ALL: [Self; 8] = [
        Self::NoLabels,
        Self::BadLabel,
        Self::NotFinite,
        Self::Negative,
        Self::Overflow,
        Self::BadTimestamp,
        Self::Duplicate,
        Self::Malformed,
    ];

    /// A word for labels of metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoLabels => "no-labels",
            Self::BadLabel => "bad-label",
            Self::NotFinite => "not-finite",
            Self::Negative => "negative",
            Self::Overflow => "overflow",
            Self::BadTimestamp => "bad-timestamp",
            Self::Duplicate => "duplicate",
            Self::Malformed => "malformed",
        }
    }

    fn index(self) -> usize {
        Self::ALL
            .iter()
            .position(|refused| *refused == self)
            .unwrap_or_default()
    }
}

impl From<BadNumber> for Refused {
    fn from(error: BadNumber) -> Self {
        match error {
            BadNumber::Malformed => Self::Malformed,
            BadNumber::NotFinite => Self::NotFinite,
            BadNumber::Negative => Self::Negative,
            BadNumber::Overflow => Self::Overflow,
        }
    }
}

/// How many series of one page were refused, by reason, with one example.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    counts: [u32; Refused::ALL.len()],
    example: Option<Example>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Example {
    refused: Refused,
    at: At,
    text: String,
}

/// Where on a page a series stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    /// On this line, counted from one.
    Line(u32),
    /// In the node of a summary.
    Node,
    /// In this pod of a summary, counted from one.
    Pod(u32),
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(number) => write!(f, "line {number}"),
            Self::Node => f.write_str("node"),
            Self::Pod(number) => write!(f, "pod {number}"),
        }
    }
}

impl Refusals {
    /// How many for this reason.
    pub fn count(&self, refused: Refused) -> u32 {
        self.counts.get(refused.index()).copied().unwrap_or(0)
    }

    /// How many for any reason.
    pub fn total(&self) -> u32 {
        self.counts
            .iter()
            .fold(0, |sum: u32, count| sum.saturating_add(*count))
    }

    /// The reasons that occurred and how often.
    pub fn iter(&self) -> impl Iterator<Item = (Refused, u32)> {
        Refused::ALL
            .into_iter()
            .zip(self.counts)
            .filter(|(_, count)| *count > 0)
    }

    pub(super) fn add(&mut self, refused: Refused, at: At, text: &[u8]) {
        if let Some(count) = self.counts.get_mut(refused.index()) {
            *count = count.saturating_add(1);
        }
        self.example.get_or_insert_with(|| Example {
            refused,
            at,
            text: beginning(text),
        });
    }
}

impl fmt::Display for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} series refused", self.total())?;
        if let Some(example) = &self.example {
            let Example { refused, at, text } = example;
            write!(f, ", first {at} ({}): `{text}`", refused.as_str())?;
        }
        Ok(())
    }
}

/// Of a line, what may stand in a message: its beginning, in ASCII.
pub(super) fn beginning(text: &[u8]) -> String {
    const LONGEST: usize = 120;
    text.iter()
        .take(LONGEST)
        .flat_map(|byte| byte.escape_ascii())
        .map(char::from)
        .collect()
}
