//! Removes secrets from text and from objects before they are written.
//!
//! Reading is by shape, not by a list of our own secrets: what is in a log or an annotation was chosen by others. Where it is
//! not clear whether something is a secret, it is removed, so a harmless word is removed here and there.
//!
//! # Invariants
//!
//! - A value is replaced as a whole, never shortened.
//! - Certificates, names of Secrets and paths of files are not secrets.

mod encoded;
mod names;
mod objects;
mod patterns;

use std::borrow::Cow;

use regex::{Captures, Regex};

pub(super) use self::objects::Kind;
use self::{names::is_secret, patterns::Patterns};

/// What is in place of a secret.
pub(super) const REMOVED: &str = "<removed>";

/// How many names may be in the values of names. What is deeper is removed.
const DEPTH: usize = 8;

/// Removes secrets, and counts them.
#[derive(Debug)]
pub(super) struct Redactor {
    patterns: Patterns,
    removed: usize,
}

impl Redactor {
    /// A redactor that has removed nothing yet.
    ///
    /// # Errors
    ///
    /// A pattern is wrong. They are constants, and tests compile them.
    pub(super) fn new() -> Result<Self, regex::Error> {
        Ok(Self {
            patterns: Patterns::new()?,
            removed: 0,
        })
    }

    /// How many values were removed since this was last asked.
    pub(super) fn take_count(&mut self) -> usize {
        std::mem::take(&mut self.removed)
    }

    /// The text without secrets.
    pub(super) fn text<'a>(&mut self, text: &'a str) -> Cow<'a, str> {
        let Self { patterns, removed } = self;
        let mut text = patterns.colours.replace_all(text, "");
        let has_key = text.contains(patterns::KEY);
        let keys = patterns.keys.iter().filter(|_| has_key);
        for whole in keys.chain([&patterns.token]) {
            text = replaced(text, whole, removed, |_| Some(REMOVED.to_owned()));
        }
        let (without, count) = patterns.encoded.without(&text);
        if count > 0 {
            *removed += count;
            text = Cow::Owned(without.into_owned());
        }
        for whole in &patterns.whole {
            text = replaced(text, whole, removed, |_| Some(REMOVED.to_owned()));
        }
        for after in &patterns.after {
            text = replaced(text, after, removed, |found| {
                Some(format!("{}{REMOVED}", part(found, 1)))
            });
        }
        for userinfo in &patterns.userinfo {
            text = replaced(text, userinfo, removed, |found| {
                Some(format!("{}{REMOVED}{}", part(found, 1), part(found, 2)))
            });
        }
        text = replaced(text, &patterns.scheme, removed, |found| {
            let is_prose = patterns::PROSE.contains(&&*part(found, 2).to_ascii_lowercase());
            (!is_prose).then(|| format!("{}{REMOVED}", part(found, 1)))
        });
        for named in &patterns.named {
            text = without_values(text, named, removed, DEPTH);
        }
        text
    }
}

/// Removes what follows the names of secrets. The value of another name may have names in it, too, and so on.
fn without_values<'a>(
    text: Cow<'a, str>,
    named: &Regex,
    removed: &mut usize,
    depth: usize,
) -> Cow<'a, str> {
    replaced(text, named, removed, |found| {
        let value = part(found, 3);
        let (before, after) = quotes(&value)?;
        let begins = part(found, 1);
        // `failed to read /run/token: no such file`
        let is_path = begins.starts_with('/') && begins.ends_with(": ");
        if is_secret(&part(found, 2)) && !is_path {
            return Some(format!("{begins}{before}{REMOVED}{after}"));
        }
        let Some(depth) = depth.checked_sub(1) else {
            return Some(format!("{begins}{REMOVED}"));
        };
        let mut inner = 0;
        let value = without_values(Cow::Borrowed(&value), named, &mut inner, depth);
        (inner > 0).then(|| format!("{begins}{value}"))
    })
}

fn part(found: &Captures<'_>, group: usize) -> String {
    let found = found.get(group);
    found.map_or_else(String::new, |found| found.as_str().to_owned())
}

/// The quotes around a value. `None` if nothing is between them, or if it was removed already.
fn quotes(value: &str) -> Option<(&str, &str)> {
    let is_quote = |letter: char| matches!(letter, '"' | '\\' | '\'');
    let inner = value.trim_matches(is_quote);
    if inner.is_empty() || inner == REMOVED {
        return None;
    }
    let after = value.trim_start_matches(is_quote);
    let before = value.len() - after.len();
    Some((value.get(..before)?, after.get(inner.len()..)?))
}

/// The text with every match replaced, unless `by` has nothing to put in its place.
fn replaced<'a>(
    text: Cow<'a, str>,
    pattern: &Regex,
    removed: &mut usize,
    by: impl Fn(&Captures<'_>) -> Option<String>,
) -> Cow<'a, str> {
    let mut changed = 0;
    let new = pattern.replace_all(&text, |found: &Captures<'_>| {
        by(found).map_or_else(
            || part(found, 0),
            |new| {
                changed += 1;
                new
            },
        )
    });
    if changed == 0 {
        return text;
    }
    *removed += changed;
    Cow::Owned(new.into_owned())
}

#[cfg(test)]
mod tests;
