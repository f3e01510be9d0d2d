//! Private keys in PEM, also those of which one end was cut off.

use std::ops::Range;

use super::{
    lines::after_prefix,
    reader::{Reader, is_quote},
};

/// What a private key has.
pub(super) const KEY: &str = "PRIVATE KEY";

/// Around the titles of PEM.
const DASHES: &str = "-----";

/// How many lines a key has whose beginning was cut off.
const LINES: usize = 100;

/// From how many letters on the last word of a line is a part of a key, whatever is before it.
const LONG: usize = 16;

/// A title: its first and its last line have one.
struct Title {
    is_first: bool,
    begin: usize,
    end: usize,
}

/// A key that goes on in the next line.
struct Begun {
    begin: usize,
    end: usize,
    /// How much is in front of it, as in front of each of its lines.
    before: usize,
}

/// Where private keys are.
pub(super) fn private_keys(reader: &Reader<'_>, length: usize) -> Vec<Range<usize>> {
    let (mut found, mut key, mut free) = (Vec::new(), None::<Begun>, 0);
    let mut line = 0;
    while line < length {
        let end = reader.end_of_line(line);
        let (mut at, mut has_title) = (line, false);
        while let Some(title) = title(reader, at, end) {
            (at, has_title) = (title.end, true);
            if title.is_first {
                key.get_or_insert(Begun {
                    begin: title.begin,
                    end,
                    before: title.begin - line,
                });
                continue;
            }
            let begin = key.take().map(|key| key.begin);
            let begin = begin.unwrap_or_else(|| body_before(reader, free, line));
            found.push(begin..title.end);
            free = title.end;
        }
        key = key.and_then(|mut key| {
            let inner = line + key.before;
            let is_inner = inner < end && is_body(reader, inner, end);
            if has_title || is_inner || is_body(reader, line, end) {
                key.end = end;
                return Some(key);
            }
            found.push(key.begin..key.end);
            free = line;
            None
        });
        line = end + 1;
    }
    found.extend(key.map(|key| key.begin..key.end));
    found
}

/// The next title of a private key before `end`.
fn title(reader: &Reader<'_>, mut at: usize, end: usize) -> Option<Title> {
    loop {
        at = reader.run(at, |byte| byte != b'-' && byte != b'\n');
        if at >= end {
            return None;
        }
        let dashes = reader.run(at, |byte| byte == b'-');
        let begin = dashes
            .checked_sub(DASHES.len())
            .filter(|begin| *begin >= at);
        at = dashes;
        let (is_first, name) = if reader.has(dashes, "BEGIN ") {
            (true, dashes + "BEGIN ".len())
        } else {
            (false, dashes + "END ".len())
        };
        let Some(begin) = begin.filter(|_| is_first || reader.has(dashes, "END ")) else {
            continue;
        };
        let is_name = |byte: u8| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b' ');
        let name_end = reader.run(name, is_name);
        if reader.has(name_end, DASHES) && reader.part(name, name_end).contains(KEY) {
            return Some(Title {
                is_first,
                begin,
                end: name_end + DASHES.len(),
            });
        }
    }
}

/// Where the key begins whose last line is at `line`. Nothing before `free` belongs to it.
fn body_before(reader: &Reader<'_>, free: usize, line: usize) -> usize {
    let mut begin = line.max(free);
    for _ in 0..LINES {
        let Some(end) = begin.checked_sub(1).filter(|end| *end > free) else {
            break;
        };
        let before = reader.begin_of_line(free, end);
        if !is_body(reader, before, end) {
            break;
        }
        begin = before;
    }
    begin
}

/// Whether a line may be one between the titles.
fn is_body(reader: &Reader<'_>, line: usize, end: usize) -> bool {
    const HEADERS: [&str; 5] = ["Proc-Type:", "DEK-Info:", "Version:", "Comment:", "Hash:"];
    let text = reader.part(after_prefix(reader, line).min(end), end).trim();
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=_-".contains(&byte);
    let around =
        |letter: char| letter == ',' || letter == '\\' || u8::try_from(letter).is_ok_and(is_quote);
    let last = text.rsplit([' ', '\t']).next().unwrap_or_default();
    let letters = last.trim_matches(around);
    let is_alone = last.len() == text.len();
    let is_part = !letters.is_empty() && letters.bytes().all(is_letter);
    let is_title = text.contains(DASHES);
    text.is_empty()
        || HEADERS.iter().any(|header| text.starts_with(header))
        || (is_part && !is_title && (is_alone || letters.len() >= LONG))
}
