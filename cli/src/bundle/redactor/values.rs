//! What follows the name of a secret: how long its value is, in whichever syntax it is written.

use std::ops::Range;

use super::{
    REMOVED,
    lines::after_prefix,
    reader::{Reader, is_blank, is_quote},
};

/// What separates a name from its value. `:` is looked at last.
const SIGNS: [&str; 11] = [
    ":=", "=>", "->", "==", "=", "\\u003d", "\\u003a", "\\u003e", "%3d", "%3a", ":",
];

/// Values that are none.
const NOTHING: [&str; 8] = [
    "-",
    "~",
    "false",
    "nil",
    "none",
    "null",
    "true",
    "undefined",
];

/// How many constructors may be around a value: `Some(String("..` has two.
const WRAPPED: usize = 4;

/// The sign after a name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Separator {
    /// Where the value begins.
    pub(super) value: usize,
    /// Whether it is a colon with a blank or a line break after it.
    pub(super) is_colon: bool,
    /// Whether the name is in quotes.
    pub(super) is_quoted: bool,
    /// Whether name and value are those of XML: `<name>value</name>`.
    is_element: bool,
}

/// A name, and where it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name {
    pub(super) begin: usize,
    pub(super) end: usize,
    /// How far its line is indented: its value may go on in lines that are indented further.
    pub(super) indent: usize,
    /// Whether its line begins with it.
    pub(super) is_first: bool,
    /// Whether it is that of a header.
    pub(super) is_header: bool,
}

/// What follows a name, if a value does.
pub(super) fn separator(reader: &Reader<'_>, name: Name) -> Option<Separator> {
    let end = name.end;
    let separator = |value, is_colon, is_quoted, is_element| Separator {
        value,
        is_colon,
        is_quoted,
        is_element,
    };
    if reader.byte(end) == Some(b'>') && reader.before(name.begin) == Some(b'<') {
        return Some(separator(end + 1, false, false, true));
    }
    let slashes = reader.run(end, |byte| byte == b'\\');
    let is_quoted = reader.byte(slashes).is_some_and(is_quote);
    let mut at = if is_quoted { slashes + 1 } else { end };
    if is_quoted && reader.byte(at) == Some(b']') {
        at += 1;
    }
    at = reader.run(at, is_blank);
    let sign = sign(reader, at)?;
    let value = reader.run(at + sign, is_blank);
    let is_colon = sign == 1 && reader.byte(at) == Some(b':');
    let is_open = value > at + sign || matches!(reader.byte(value), None | Some(b'\n' | b'\r'));
    Some(separator(value, is_colon && is_open, is_quoted, false))
}

/// How long the sign is.
fn sign(reader: &Reader<'_>, at: usize) -> Option<usize> {
    // A path of Rust, or a URL.
    if reader.has(at, "::") || reader.has(at, "://") {
        return None;
    }
    let sign = SIGNS.iter().find(|sign| reader.has(at, sign))?;
    Some(sign.len())
}

/// Where the value is, without its quotes. `None` if there is none, or if it was removed already.
pub(super) fn value(reader: &Reader<'_>, name: Name, after: Separator) -> Option<Range<usize>> {
    let at = unwrapped(reader, after.value);
    if reader.has(at, REMOVED) {
        return None;
    }
    let first = reader.byte(at)?;
    if let Some(quoted) = quoted(reader, at) {
        let is_removed = reader.has(quoted.start, REMOVED);
        return Some(quoted).filter(|quoted| !quoted.is_empty() && !is_removed);
    }
    match first {
        b'\n' | b'\r' => below(reader, at, name.indent),
        b'[' | b'{' | b'(' => bracketed(reader, at, first),
        b'|' | b'>' => block(reader, at, name.indent).or_else(|| word(reader, at, name, after)),
        _ => word(reader, at, name, after),
    }
}

/// Where it begins within `Some(..)`, `[]byte(..)`, `b".."` and the like.
fn unwrapped(reader: &Reader<'_>, mut at: usize) -> usize {
    for _ in 0..WRAPPED {
        let begin = if reader.has(at, "[]") { at + 2 } else { at };
        let word = reader.run(begin, |byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let text = reader.part(begin, word);
        let is_type = begin > at
            || (text.starts_with(|letter: char| letter.is_ascii_uppercase())
                && text.bytes().all(|byte| byte.is_ascii_alphabetic()));
        match reader.byte(word) {
            Some(b'(') if is_type => at = word + 1,
            Some(b'{') if begin > at => return word,
            Some(quote) if is_quote(quote) && ["b", "r", "u"].contains(&text) => return word,
            _ => break,
        }
    }
    at
}

/// What is between quotes, perhaps escaped ones. One without its pair ends with the line.
pub(super) fn quoted(reader: &Reader<'_>, at: usize) -> Option<Range<usize>> {
    let begin = reader.run(at, |byte| byte == b'\\');
    let quote = reader.byte(begin).filter(|byte| is_quote(*byte))?;
    let level = begin - at;
    let mut end = begin + 1;
    loop {
        end = reader.run(end, |byte| byte != quote && byte != b'\\' && byte != b'\n');
        let slashes = reader.run(end, |byte| byte == b'\\');
        if reader.byte(slashes) != Some(quote) {
            if slashes > end {
                end = slashes;
                continue;
            }
            return Some(begin + 1..end);
        }
        let count = slashes - end;
        let is_pair = if level == 0 {
            count.is_multiple_of(2)
        } else {
            count <= level
        };
        if is_pair {
            let inner = if level == 0 { slashes } else { end };
            return Some(begin + 1..inner);
        }
        end = slashes + 1;
    }
}

/// A list or an object that ends in its line, or a list that goes on in the next ones.
fn bracketed(reader: &Reader<'_>, begin: usize, open: u8) -> Option<Range<usize>> {
    let close = match open {
        b'[' => b']',
        b'{' => b'}',
        _ => b')',
    };
    let (mut depth, mut at, mut is_text) = (0_usize, begin, false);
    while let Some(byte) = reader.byte(at).filter(|byte| *byte != b'\n') {
        if byte == b'"' {
            is_text = !is_text;
        } else if byte == open && !is_text {
            depth += 1;
        } else if byte == close && !is_text {
            depth = depth.saturating_sub(1);
        }
        at += 1;
        if depth == 0 {
            let inner = reader.part(begin + 1, at - 1).trim();
            return (!inner.is_empty() && inner != REMOVED).then_some(begin..at);
        }
    }
    let is_empty = reader.part(begin + 1, at).trim().is_empty();
    match open {
        // Its fields have names.
        b'{' if is_empty => None,
        b'{' => Some(begin..at),
        _ => Some(begin..elements(reader, at)),
    }
}

/// The end of the lines that are elements of a list.
fn elements(reader: &Reader<'_>, mut end: usize) -> usize {
    while reader.byte(end) == Some(b'\n') {
        let begin = reader.run(after_prefix(reader, end + 1), is_blank);
        let stop = reader.end_of_line(begin);
        let rest = reader.part(begin, stop).trim_end();
        if rest.starts_with([']', ')', '}']) {
            return begin + 1;
        }
        let is_text = rest.starts_with(['"', '\'']) && rest.ends_with(['"', '\'']);
        let is_word = !rest.is_empty() && !rest.contains([' ', '\t']);
        if !is_text && !is_word && !rest.ends_with(',') {
            break;
        }
        end = stop;
    }
    end
}

/// The lines below the name that are its value: what is indented further, and has no names of its own.
fn below(reader: &Reader<'_>, at: usize, indent: usize) -> Option<Range<usize>> {
    let mut end = reader.run(at, |byte| byte == b'\r');
    let mut begin = None;
    while reader.byte(end) == Some(b'\n') {
        let line = after_prefix(reader, end + 1);
        let first = reader.run(line, is_blank);
        let stop = reader.end_of_line(first);
        let rest = reader.part(first, stop).trim_end();
        let item = rest.strip_prefix("- ");
        let is_inner = first - line > indent || (first - line == indent && item.is_some());
        if rest.is_empty() || !is_inner || has_name(reader, first, stop) {
            break;
        }
        begin.get_or_insert(first);
        end = stop;
    }
    begin.map(|begin| begin..end)
}

/// Whether a line of YAML or JSON is a name with a value, or opens an object.
fn has_name(reader: &Reader<'_>, begin: usize, end: usize) -> bool {
    let begin = if reader.has(begin, "- ") {
        begin + 2
    } else {
        begin
    };
    let quote = reader.run(begin, is_quote);
    let is_quoted = quote > begin;
    let name = reader.run(quote, |byte| {
        let is_other = is_quoted || !b": \t{".contains(&byte);
        is_other && byte != b'\n' && !is_quote(byte)
    });
    let colon = reader.run(name, |byte| is_quote(byte) || is_blank(byte));
    let is_colon = reader.byte(colon) == Some(b':');
    let next = reader.byte(colon + 1);
    let is_end = is_quoted || colon + 1 >= end || next.is_some_and(is_blank);
    reader.byte(begin) == Some(b'{') || (is_colon && is_end)
}

/// The lines of a block of YAML.
fn block(reader: &Reader<'_>, at: usize, indent: usize) -> Option<Range<usize>> {
    let sign = reader.run(at + 1, |byte| matches!(byte, b'+' | b'-' | b'0'..=b'9'));
    let mut line_end = reader.run(sign, |byte| is_blank(byte) || byte == b'\r');
    let mut end = None;
    while reader.byte(line_end) == Some(b'\n') {
        let line = after_prefix(reader, line_end + 1);
        let first = reader.run(line, is_blank);
        let stop = reader.end_of_line(first);
        let is_empty = reader.part(first, stop).trim().is_empty();
        if !is_empty && first - line <= indent {
            break;
        }
        if !is_empty {
            end = Some(stop);
        }
        line_end = stop;
    }
    end.map(|end| at..end)
}

/// A word, the rest of a line of YAML, or the value of a header.
fn word(reader: &Reader<'_>, at: usize, name: Name, after: Separator) -> Option<Range<usize>> {
    let mut end = if name.is_header {
        reader.run(at, |byte| {
            !matches!(byte, b'\r' | b'\n' | b'\\') && !is_quote(byte)
        })
    } else if name.is_first && after.is_colon && !after.is_quoted {
        let end = reader.end_of_line(at);
        end - usize::from(reader.before(end) == Some(b'\r') && end > at)
    } else {
        end_of_word(reader, at, name, after)
    };
    // In `token: password: x` and `token = password = x` the value is the last word.
    loop {
        let next = reader.run(end, is_blank);
        let sign = sign(reader, next).filter(|_| next > end);
        let is_open = next > end && reader.before(end) == Some(b':');
        if sign.is_none() && !is_open {
            break;
        }
        let value = reader.run(next + sign.unwrap_or(0), is_blank);
        let stop = end_of_word(reader, value, name, after);
        let quoted = quoted(reader, value).map(|quoted| quoted.end);
        let stop = quoted.unwrap_or(stop);
        if stop <= end {
            break;
        }
        end = stop;
    }
    let text = reader.part(at, end);
    let bare = text
        .trim_end_matches([',', ';', '}', ']', ')'])
        .to_ascii_lowercase();
    let is_nothing = bare.is_empty() || NOTHING.contains(&bare.as_str());
    (end > at && !is_nothing).then_some(at..end)
}

fn end_of_word(reader: &Reader<'_>, at: usize, name: Name, after: Separator) -> usize {
    let is_query = matches!(reader.before(name.begin), Some(b'?' | b'&'));
    let end = reader.run(at, |byte| {
        let is_end = match byte {
            b'"' => true,
            b'&' => is_query,
            b'<' => after.is_element,
            b',' | b'}' | b']' => after.is_quoted,
            other => other.is_ascii_whitespace(),
        };
        !is_end
    });
    // A quote within quotes.
    let mut escaped = end;
    while reader.byte(end) == Some(b'"') && escaped > at && reader.before(escaped) == Some(b'\\') {
        escaped -= 1;
    }
    escaped
}
