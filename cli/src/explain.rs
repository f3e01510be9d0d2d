//! `explain`: one node, pod, autoscaler or trouble, and why it is as it is.

pub mod hpa;
mod node;
mod pod;
mod reading;

use std::fmt::Write as _;

use serde::{Serialize, Serializer, ser::SerializeMap as _};

pub use self::{hpa::hpa, node::node, pod::pod};
use crate::{
    catalogue::Code,
    printed::{Outcome, Paint, harmless},
};

/// The width of the column of titles.
const TITLES: usize = 12;

/// What is said of one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// What it is, and how it stands.
    pub title: String,
    /// Whether it has metrics.
    pub outcome: Outcome,
    facts: Vec<(&'static str, Vec<String>)>,
}

impl Explained {
    fn new(title: impl Into<String>, outcome: Outcome) -> Self {
        Self {
            title: title.into(),
            outcome,
            facts: Vec::new(),
        }
    }

    /// One more line. Empty ones say nothing.
    fn line(&mut self, title: &'static str, line: impl Into<String>) {
        let line = line.into();
        if line.is_empty() {
            return;
        }
        match self.facts.last_mut() {
            Some((last, lines)) if *last == title => lines.push(line),
            _ => self.facts.push((title, vec![line])),
        }
    }

    /// The lines with a title.
    #[must_use]
    pub fn lines(&self, title: &str) -> &[String] {
        let found = self.facts.iter().find(|(known, _)| *known == title);
        found.map_or(&[], |(_, lines)| lines)
    }

    /// For people.
    #[must_use]
    pub fn text(&self, paint: Paint) -> String {
        let title = harmless(&self.title);
        let title = match self.outcome {
            Outcome::Healthy => paint.good(&title),
            Outcome::Unknown => paint.warn(&title),
            Outcome::Findings => paint.bad(&title),
        };
        let mut text = format!("{title}\n");
        for (title, lines) in &self.facts {
            for (index, line) in lines.iter().enumerate() {
                let title = if index == 0 { title } else { "" };
                let title = paint.faint(&format!("{title:<TITLES$}"));
                writeln!(text, "  {title}{}", harmless(line)).ok();
            }
        }
        text
    }
}

impl Serialize for Explained {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_map(None)?;
        fields.serialize_entry("title", &self.title)?;
        fields.serialize_entry("outcome", &self.outcome)?;
        for (title, lines) in &self.facts {
            fields.serialize_entry(title, lines)?;
        }
        fields.end()
    }
}

/// A trouble of the catalogue, by its code or its name.
///
/// # Errors
///
/// There is none.
pub fn trouble(word: &str) -> anyhow::Result<String> {
    let code = Code::find(word);
    let code =
        code.ok_or_else(|| anyhow::anyhow!("no trouble {word:?}: codes are TRB001 and so on"))?;
    Ok(code.section())
}
