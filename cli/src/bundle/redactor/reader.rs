//! A text that is looked at byte by byte, and what is removed of one.
//!
//! What is looked at is counted, and must not grow faster than the text: texts come from others, who would like to keep the
//! command busy.

use std::{cell::Cell, cmp::Reverse, ops::Range};

use super::REMOVED;

/// A text, and how many of its bytes were looked at.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    text: &'a str,
    steps: Cell<usize>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            steps: Cell::new(0),
        }
    }

    /// How many bytes were looked at, some of them more than once.
    pub(super) fn steps(&self) -> usize {
        self.steps.get()
    }

    fn step(&self, bytes: usize) {
        self.steps.set(self.steps.get().saturating_add(bytes));
    }

    pub(super) fn byte(&self, at: usize) -> Option<u8> {
        self.step(1);
        self.text.as_bytes().get(at).copied()
    }

    pub(super) fn before(&self, at: usize) -> Option<u8> {
        self.byte(at.checked_sub(1)?)
    }

    /// Whether the text goes on with this, in upper or lower case.
    pub(super) fn has(&self, at: usize, what: &str) -> bool {
        self.step(what.len());
        let part = self.text.as_bytes().get(at..at + what.len());
        part.is_some_and(|part| part.eq_ignore_ascii_case(what.as_bytes()))
    }

    /// The end of the bytes from `begin` on of which each is in a class.
    pub(super) fn run(&self, begin: usize, is_in: impl Fn(u8) -> bool) -> usize {
        let rest = self.text.as_bytes().get(begin..).unwrap_or_default();
        let end = rest.iter().position(|byte| !is_in(*byte));
        let length = end.unwrap_or(rest.len());
        self.step(length + 1);
        begin + length
    }

    pub(super) fn end_of_line(&self, at: usize) -> usize {
        self.run(at, |byte| byte != b'\n')
    }

    /// The begin of the line that ends at `end`, or `from` if that is later.
    pub(super) fn begin_of_line(&self, from: usize, end: usize) -> usize {
        let text = self.text.get(from..end).unwrap_or_default();
        let begin = text.rfind('\n').map_or(from, |at| from + at + 1);
        self.step(end.saturating_sub(begin));
        begin
    }

    pub(super) fn part(&self, begin: usize, end: usize) -> &'a str {
        self.step(end.saturating_sub(begin));
        self.text.get(begin..end).unwrap_or_default()
    }
}

pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

pub(super) fn is_quote(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'' | b'`')
}

/// The text without these parts, and how many there are. Where some overlap, they are one.
pub(super) fn without(text: &str, mut parts: Vec<Range<usize>>) -> Option<(String, usize)> {
    if parts.is_empty() {
        return None;
    }
    parts.sort_by_key(|part| (part.start, Reverse(part.end)));
    let (mut clean, mut copied, mut removed) = (String::with_capacity(text.len()), 0, 0);
    for part in parts {
        if removed > 0 && part.start < copied {
            copied = copied.max(part.end);
            continue;
        }
        clean.push_str(text.get(copied..part.start).unwrap_or_default());
        clean.push_str(REMOVED);
        copied = part.end;
        removed += 1;
    }
    clean.push_str(text.get(copied..).unwrap_or_default());
    Some((clean, removed))
}
