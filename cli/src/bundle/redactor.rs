//! Removes secrets from text and from objects before they are written.
//!
//! Of pods, annotations and logs only what is of use is kept, by lists ([`pods`], [`objects`], `logs`): what others write there may have
//! any form. In what is kept, secrets are found by shape. Where it is not clear whether something is a secret, it is removed, so a
//! harmless word is removed here and there.
//!
//! - What has the name of a secret is one, in whichever syntax name and value are written ([`names`], [`values`]).
//! - What is long and looks random is one, unless it is a certificate ([`encoded`]).
//! - Some have a shape of their own ([`keys`], [`shapes`]).
//!
//! # Invariants
//!
//! - A value is replaced as a whole, never shortened.
//! - Certificates, names of Secrets and paths of files are not secrets.
//! - Each byte of a text is looked at a limited number of times, whatever the text is.

mod encoded;
mod keys;
mod lines;
mod names;
mod objects;
mod pods;
mod reader;
mod scan;
mod shapes;
mod values;

use std::{borrow::Cow, ops::Range};

use self::reader::Reader;
pub(super) use self::{objects::Kind, pods::CONTAINERS};

/// What is in place of a secret.
pub(super) const REMOVED: &str = "<removed>";

/// A text without secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Clean {
    pub(super) text: String,
    /// How many secrets there were.
    pub(super) removed: usize,
    /// How many bytes were looked at, some of them more than once.
    pub(super) steps: usize,
}

/// Where secrets of one kind are in a text of this length.
type Stage = fn(&Reader<'_>, usize) -> Vec<Range<usize>>;

/// The text without secrets, and without colours and the ends of lines that are too long.
pub(super) fn clean(text: &str) -> Clean {
    let text = lines::without_colours(text);
    let mut clean = Clean {
        text: lines::cut(&text).into_owned(),
        ..Clean::default()
    };
    let stages: [Stage; 4] = [
        keys::private_keys,
        shapes::web_tokens,
        encoded::encoded,
        scan::secrets,
    ];
    for stage in stages {
        let reader = Reader::new(&clean.text);
        let found = stage(&reader, clean.text.len());
        clean.steps += reader.steps();
        if let Some((text, removed)) = reader::without(&clean.text, found) {
            clean.text = text;
            clean.removed += removed;
        }
    }
    clean
}

/// Removes secrets, and counts them.
#[derive(Debug, Default)]
pub(super) struct Redactor {
    removed: usize,
    /// How much text the object that is looked at may still have.
    left: usize,
}

impl Redactor {
    /// How many values were removed since this was last asked.
    pub(super) fn take_count(&mut self) -> usize {
        std::mem::take(&mut self.removed)
    }

    /// Counts values that were removed elsewhere.
    pub(super) fn count(&mut self, removed: usize) {
        self.removed += removed;
    }

    /// The text without secrets.
    pub(super) fn text<'a>(&mut self, text: &'a str) -> Cow<'a, str> {
        let Clean {
            text: clean,
            removed,
            ..
        } = clean(text);
        self.removed += removed;
        if clean == text {
            return Cow::Borrowed(text);
        }
        Cow::Owned(clean)
    }
}

#[cfg(test)]
mod tests;
