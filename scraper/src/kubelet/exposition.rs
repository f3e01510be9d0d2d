//! A borrowing reader of the Prometheus text format, version 0.0.4.
//!
//! It knows nothing of kubelets, allocates nothing and reads a line in two
//! steps: [`Exposition`] finds lines and their names, which is all that most
//! lines are asked for, and [`Line::series`] reads the rest of those that
//! matter. What is wrong with one line says nothing about the next, so every
//! error is about one line and reading goes on.
//!
//! More is accepted than the format allows where the meaning is plain: blanks
//! around anything, a carriage return before the end of line, any comment, a
//! last line without its end.

use std::borrow::Cow;

use memchr::{memchr, memchr2, memchr3, memrchr};

/// The lines of a page that are neither blank nor comments.
#[derive(Clone, Debug)]
pub struct Exposition<'a> {
    rest: &'a [u8],
    number: u32,
}

/// A line that is neither blank nor a comment, of which the name is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Counted from one, comments and blank lines included.
    pub number: u32,
    /// What stands before the labels or the first blank; may be empty or
    /// anything else that is no name.
    pub name: &'a [u8],
    /// The whole line.
    pub text: &'a [u8],
    rest: &'a [u8],
}

/// The parts of a line after its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Series<'a> {
    /// What stands between the braces; empty without braces.
    pub labels: Labels<'a>,
    tail: &'a [u8],
}

/// A value and, if there is one, its time, both as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample<'a> {
    /// To be read by [`Decimal::parse`](super::decimal::Decimal::parse).
    pub value: &'a [u8],
    /// Milliseconds since the epoch, if the line is a good one.
    pub at: Option<&'a [u8]>,
}

/// A line that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} cannot be read")]
pub struct Malformed {
    /// Its number, counted from one.
    pub line: u32,
}

/// The text of labels, to be iterated over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Labels<'a>(&'a [u8]);

/// Labels that cannot be read; those before the fault were given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("labels cannot be read")]
pub struct BadLabels;

/// The value of a label, as it stands between its quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelValue<'a> {
    quoted: &'a [u8],
    escaped: bool,
}

impl<'a> Exposition<'a> {
    /// Reads `page` from its start.
    pub fn new(page: &'a [u8]) -> Self {
        Self {
            rest: page,
            number: 0,
        }
    }

    fn next_text(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        self.number = self.number.saturating_add(1);
        let end = memchr(b'\n', self.rest).unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest.get(1..).unwrap_or_default();
        Some(text)
    }
}

impl<'a> Iterator for Exposition<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        loop {
            let text = trim_start(self.next_text()?);
            if matches!(text.first(), None | Some(b'#')) {
                continue;
            }
            let end = memchr3(b'{', b' ', b'\t', text).unwrap_or(text.len());
            let (name, rest) = text.split_at_checked(end)?;
            return Some(Line {
                number: self.number,
                name,
                text,
                rest,
            });
        }
    }
}

impl<'a> Line<'a> {
    /// Splits off the labels. What they say is checked when they are read.
    ///
    /// # Errors
    ///
    /// A brace is not closed.
    pub fn series(&self) -> Result<Series<'a>, Malformed> {
        let rest = trim_start(self.rest);
        let Some(inside) = rest.strip_prefix(b"{") else {
            return Ok(Series {
                labels: Labels(&[]),
                tail: rest,
            });
        };
        // The last brace closes: values and times have none, labels may.
        let parts = memrchr(b'}', inside).and_then(|end| inside.split_at_checked(end));
        let (labels, tail) = parts.ok_or(Malformed { line: self.number })?;
        Ok(Series {
            labels: Labels(labels),
            tail: tail.get(1..).unwrap_or_default(),
        })
    }

    /// Reads all of the line, also what [`Line::series`] leaves for later.
    ///
    /// # Errors
    ///
    /// This is no line of the format.
    pub fn check(&self) -> Result<(), Malformed> {
        let malformed = Malformed { line: self.number };
        let series = self.series()?;
        let labels_are_good = || series.labels.iter().all(|label| label.is_ok());
        // Without a name, the name is one of the labels, in quotes: the form
        // that allows every character.
        let good = match self.name {
            [] => self.rest.starts_with(b"{"),
            name => is_name(name) && labels_are_good(),
        };
        let sample = series.sample().ok_or(malformed)?;
        let is_number = super::decimal::is_number(sample.value);
        (good && is_number).then_some(()).ok_or(malformed)
    }
}

impl<'a> Series<'a> {
    /// The value and its time; `None` if there is no value or more than these
    /// (an exemplar, as `OpenMetrics` has them, is more).
    pub fn sample(&self) -> Option<Sample<'a>> {
        let (value, rest) = word(self.tail)?;
        let Some((at, rest)) = word(rest) else {
            return Some(Sample { value, at: None });
        };
        word(rest).is_none().then_some(Sample {
            value,
            at: Some(at),
        })
    }
}

impl<'a> Labels<'a> {
    /// Whether there are no labels, with or without braces.
    pub fn is_empty(&self) -> bool {
        trim_start(self.0).is_empty()
    }

    /// Whether the text between the braces is `parts`, one after another.
    pub fn are(&self, parts: &[&str]) -> bool {
        let mut rest = self.0;
        for part in parts {
            let Some(after) = rest.strip_prefix(part.as_bytes()) else {
                return false;
            };
            rest = after;
        }
        rest.is_empty()
    }

    /// The labels in their order: name and value. Ends after the first error.
    pub fn iter(&self) -> impl Iterator<Item = Result<(&'a [u8], LabelValue<'a>), BadLabels>> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            rest = trim_start(rest);
            if rest.is_empty() {
                return None;
            }
            let label = split_label(rest);
            rest = label.map_or(&[], |(_, _, rest)| rest);
            Some(match label {
                Some((name, value, _)) => Ok((name, value)),
                None => Err(BadLabels),
            })
        })
    }
}

/// Name, value and what follows the comma.
fn split_label(text: &[u8]) -> Option<(&[u8], LabelValue<'_>, &[u8])> {
    let (name, rest) = text.split_at_checked(memchr(b'=', text)?)?;
    let name = trim_end(name);
    let quoted = trim_start(rest.get(1..)?).strip_prefix(b"\"")?;
    let (value, rest) = split_quoted(quoted)?;
    let rest = trim_start(rest);
    let rest = match rest.first() {
        None => rest,
        Some(b',') => rest.get(1..)?,
        Some(_) => return None,
    };
    is_name(name).then_some((name, value, rest))
}

/// What stands before the closing quote and what follows it.
fn split_quoted(text: &[u8]) -> Option<(LabelValue<'_>, &[u8])> {
    let mut from = 0;
    loop {
        let at = from + memchr2(b'"', b'\\', text.get(from..)?)?;
        if text.get(at) == Some(&b'"') {
            let value = LabelValue {
                quoted: text.get(..at)?,
                escaped: from > 0,
            };
            return Some((value, text.get(at + 1..)?));
        }
        from = at + 2;
    }
}

impl<'a> LabelValue<'a> {
    /// Whether this is `text`, escapes undone.
    pub fn is(&self, text: &str) -> bool {
        if self.escaped {
            *self.unescaped() == *text.as_bytes()
        } else {
            self.quoted == text.as_bytes()
        }
    }

    /// The bytes as they stand there, if nothing in them is escaped.
    pub fn verbatim(&self) -> Option<&'a [u8]> {
        (!self.escaped).then_some(self.quoted)
    }

    /// The bytes with escapes undone. An escape that is none stays as it is, as
    /// Prometheus does it.
    pub fn unescaped(&self) -> Cow<'a, [u8]> {
        if !self.escaped {
            return Cow::Borrowed(self.quoted);
        }
        let mut out = Vec::with_capacity(self.quoted.len());
        let mut rest = self.quoted;
        while let [byte, after @ ..] = rest {
            let (plain, after) = match (byte, after) {
                (b'\\', [b'n', after @ ..]) => (b'\n', after),
                (b'\\', [escaped @ (b'\\' | b'"'), after @ ..]) => (*escaped, after),
                _ => (*byte, after),
            };
            out.push(plain);
            rest = after;
        }
        Cow::Owned(out)
    }
}

/// `[a-zA-Z_:][a-zA-Z0-9_:]*`
fn is_name(text: &[u8]) -> bool {
    let is_first = |byte: &u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b':');
    text.first().is_some_and(is_first)
        && text
            .iter()
            .all(|byte| is_first(byte) || byte.is_ascii_digit())
}

/// The first word and what follows it.
fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = trim_start(text);
    // Words are short: `memchr3` would cost more than it saves.
    let end = text
        .iter()
        .position(|byte| is_blank(*byte))
        .unwrap_or(text.len());
    text.split_at_checked(end)
        .filter(|(word, _)| !word.is_empty())
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r')
}

fn trim_start(mut text: &[u8]) -> &[u8] {
    while let Some((first, rest)) = text.split_first()
        && is_blank(*first)
    {
        text = rest;
    }
    text
}

fn trim_end(mut text: &[u8]) -> &[u8] {
    while let Some((last, rest)) = text.split_last()
        && is_blank(*last)
    {
        text = rest;
    }
    text
}

#[cfg(test)]
mod tests;
