//! Lines of logs: colours, what precedes their text, and how long they may be.

use std::borrow::Cow;

use super::reader::{Reader, is_blank};

/// The longest line that is kept, in bytes. The rest of a longer one is left out.
pub(super) const LONGEST: usize = 32 << 10;

/// The text without colours of terminals, which may be between a name and its value.
pub(super) fn without_colours(text: &str) -> Cow<'_, str> {
    const BEGIN: &str = "\x1b[";
    let mut parts = text.split(BEGIN);
    let first = parts.next().unwrap_or_default();
    if first.len() == text.len() {
        return Cow::Borrowed(text);
    }
    let mut clean = first.to_owned();
    for part in parts {
        let reader = Reader::new(part);
        let numbers = reader.run(0, |byte| matches!(byte, b'0'..=b'9' | b';' | b':' | b'?'));
        let letter = reader.run(numbers, |byte| matches!(byte, b' '..=b'/'));
        if matches!(reader.byte(letter), Some(b'@'..=b'~')) {
            clean.push_str(part.get(letter + 1..).unwrap_or_default());
        } else {
            clean.push_str(BEGIN);
            clean.push_str(part);
        }
    }
    Cow::Owned(clean)
}

/// The text with no line that is too long. What is kept of such a line ends between two words: a part of a secret would not
/// be known as one.
pub(super) fn cut(text: &str) -> Cow<'_, str> {
    if text.split('\n').all(|line| line.len() <= LONGEST) {
        return Cow::Borrowed(text);
    }
    let lines = text.split('\n').map(|line| {
        if line.len() <= LONGEST {
            return Cow::Borrowed(line);
        }
        let begin = line.as_bytes().get(..LONGEST).unwrap_or_default();
        let end = begin.iter().rposition(u8::is_ascii_whitespace);
        let kept = line.get(..end.unwrap_or(0)).unwrap_or_default();
        let more = line.len() - kept.len();
        Cow::Owned(format!("{kept}<{more} bytes of this line left out>"))
    });
    Cow::Owned(lines.collect::<Vec<_>>().join("\n"))
}

/// Where the text of a line begins: after what kubelets, runtimes and klog write in front of it.
pub(super) fn after_prefix(reader: &Reader<'_>, begin: usize) -> usize {
    let mut at = timestamp(reader, begin).unwrap_or(begin);
    for stream in ["stdout F ", "stdout P ", "stderr F ", "stderr P "] {
        if reader.has(at, stream) {
            at += stream.len();
        }
    }
    klog(reader, at).unwrap_or(at)
}

/// The end of a timestamp of RFC 3339 and the blank after it.
pub(super) fn timestamp(reader: &Reader<'_>, begin: usize) -> Option<usize> {
    let mut at = begin;
    for sign in "dddd-dd-ddT".bytes() {
        let byte = reader.byte(at)?;
        let fits = if sign == b'd' {
            byte.is_ascii_digit()
        } else {
            byte == sign
        };
        if !fits {
            return None;
        }
        at += 1;
    }
    at = reader.run(at, |byte| {
        byte.is_ascii_digit() || matches!(byte, b':' | b'.')
    });
    at = match reader.byte(at)? {
        b'Z' => at + 1,
        b'+' | b'-' => reader.run(at + 1, |byte| byte.is_ascii_digit() || byte == b':'),
        _ => return None,
    };
    reader.byte(at).is_some_and(is_blank).then_some(at + 1)
}

/// The end of what klog writes first: `I1130 01:02:03.000000       1 main.go:12] `.
fn klog(reader: &Reader<'_>, begin: usize) -> Option<usize> {
    if !matches!(reader.byte(begin)?, b'I' | b'W' | b'E' | b'F') {
        return None;
    }
    let is_digit = |byte: u8| byte.is_ascii_digit();
    let date = reader.run(begin + 1, is_digit);
    if date != begin + 5 || reader.byte(date)? != b' ' {
        return None;
    }
    let time = reader.run(date + 1, |byte| {
        is_digit(byte) || matches!(byte, b':' | b'.')
    });
    let thread = reader.run(reader.run(time, is_blank), is_digit);
    let file = reader.run(thread, is_blank);
    let end = reader.run(file, |byte| !matches!(byte, b' ' | b'\t' | b'\n' | b']'));
    (file > thread && reader.has(end, "] ")).then_some(end + 2)
}
