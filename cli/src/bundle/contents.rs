//! The files of a bundle, while they are gathered.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::redactor::{Kind, Redactor};
use crate::printed::harmless;

/// A file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct File {
    /// Its path in the archive.
    pub name: String,
    /// What it is.
    pub about: String,
    /// Its length.
    pub bytes: usize,
    /// How many values were removed from it.
    pub removed: usize,
    /// What is in it.
    #[serde(skip)]
    pub text: String,
}

/// What should be in the bundle and is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// What it is.
    pub what: String,
    /// Why.
    pub reason: String,
}

/// Files without secrets.
///
/// # Invariants
///
/// - All texts went through the redactor.
/// - Together they are no longer than the limit.
#[derive(Debug)]
pub struct Contents {
    /// When it was begun.
    pub made_at: Timestamp,
    pub(super) files: Vec<File>,
    pub(super) missing: Vec<Missing>,
    /// Whether anything in it is from the cluster.
    pub(super) answered: bool,
    redactor: Redactor,
    /// How many bytes are left.
    left: usize,
}

impl Contents {
    pub(super) fn new(made_at: Timestamp, most: usize) -> Result<Self, regex::Error> {
        Ok(Self {
            made_at,
            files: Vec::new(),
            missing: Vec::new(),
            answered: false,
            redactor: Redactor::new()?,
            left: most,
        })
    }

    /// The files so far.
    pub fn files(&self) -> &[File] {
        &self.files
    }

    /// What could not be read.
    pub fn missing(&self) -> &[Missing] {
        &self.missing
    }

    /// How many bytes are left for files.
    pub(super) fn left(&self) -> usize {
        self.left
    }

    /// An object without secrets, on one line.
    pub(super) fn clean(&mut self, kind: Kind, object: Value) -> String {
        self.redactor.object(kind, object).to_string()
    }

    /// Adds a text.
    pub(super) fn text(&mut self, name: String, about: String, text: &str) {
        let clean = self.redactor.text(text).into_owned();
        self.add(name, about, clean);
    }

    /// Adds an object.
    pub(super) fn object(&mut self, name: &str, about: &str, object: Value) {
        let clean = self.redactor.object(Kind::Ordinary, object);
        let text = format!("{clean:#}\n");
        self.add(name.to_owned(), about.to_owned(), text);
    }

    /// Adds a text that went through the redactor, if there is room for it.
    pub(super) fn add(&mut self, name: String, about: String, text: String) {
        let removed = self.redactor.take_count();
        let bytes = text.len();
        let Some(left) = self.left.checked_sub(bytes) else {
            let reason = format!("{bytes} bytes do not fit: --max-size");
            return self.miss(name, &reason);
        };
        self.left = left;
        self.files.push(File {
            name,
            about,
            bytes,
            removed,
            text,
        });
    }

    /// Adds that something could not be read.
    pub(super) fn miss(&mut self, what: impl Into<String>, reason: &str) {
        let reason = harmless(&self.redactor.text(reason));
        self.redactor.take_count();
        self.missing.push(Missing {
            what: what.into(),
            reason,
        });
    }
}
