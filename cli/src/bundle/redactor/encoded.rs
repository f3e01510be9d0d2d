//! Base64, also over several lines. What is long and no certificate is removed: keys are written so, in one line or in
//! many, indented, with escaped line breaks, as PEM or without it, and after anything that moves the border of its groups
//! of four letters. What is in it need not be known.
//!
//! Short lines are looked into: with a key in them, they are removed, too.

use std::{borrow::Cow, ops::Range};

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use super::{
    keys::KEY,
    lines::{after_prefix, timestamp},
    reader::{Reader, is_blank, is_quote},
};

/// From how many letters on it is long. The lines of PEM and of `base64` are longer.
const LONG: usize = 40;

/// From how many letters on it is long if it looks random: tokens and generated passwords are. Names are shorter, or in
/// words.
const RANDOM: usize = 24;

/// The shortest key has 48 bytes.
const SHORTEST_KEY: usize = 60;

/// How much may be between two lines of it: an indentation, or what is written in front of each line of a log.
const BETWEEN: usize = 256;

/// How many dashes may be between two letters. The titles of PEM have five.
const DASHES: usize = 4;

/// How a certificate begins in PEM.
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";

/// Padding and bits at the end may be missing.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Letters that some encoders of JSON and of URLs escape.
const ESCAPED: [(&str, char); 7] = [
    ("\\/", '/'),
    ("\\u002b", '+'),
    ("\\u002f", '/'),
    ("\\u003d", '='),
    ("%2b", '+'),
    ("%2f", '/'),
    ("%3d", '='),
];

/// Base64 that belongs together.
struct Block {
    lines: Vec<Range<usize>>,
    is_long: bool,
    is_padded: bool,
}

/// Where it is.
pub(super) fn encoded(reader: &Reader<'_>, length: usize) -> Vec<Range<usize>> {
    let (mut found, mut block, mut at) = (Vec::new(), None::<Block>, 0);
    while at < length {
        if let Some(end) = skipped(reader, at) {
            at = end;
            continue;
        }
        let letters = letters(reader, at);
        let end = padded(reader, letters);
        if letters == at {
            at += 1;
            continue;
        }
        let line = at..end;
        let is_long = end - at >= RANDOM && is_long(&plain(reader.part(at, end)));
        let is_padded = end > letters;
        at = end;
        match &mut block {
            Some(block) if block.goes_on(reader, &line) => {
                block.lines.push(line);
                block.is_long |= is_long;
                block.is_padded = is_padded;
            }
            _ => {
                found.extend(block.take().and_then(|block| block.secret(reader)));
                block = Some(Block {
                    lines: vec![line],
                    is_long,
                    is_padded,
                });
            }
        }
    }
    found.extend(block.and_then(|block| block.secret(reader)));
    found
}

/// The end of what is no letter although it looks so: what is in front of lines, and escaped line breaks.
fn skipped(reader: &Reader<'_>, at: usize) -> Option<usize> {
    if at == 0 || reader.before(at) == Some(b'\n') {
        let end = after_prefix(reader, at);
        if end > at {
            return Some(end);
        }
    }
    match reader.byte(at)? {
        b'0'..=b'9' => timestamp(reader, at),
        b'\\' => {
            let end = reader.run(at, |byte| byte == b'\\');
            if matches!(reader.byte(end), Some(b'n' | b'r' | b't')) {
                return Some(end + 1);
            }
            // The last one may escape a letter.
            (end - 1 > at).then_some(end - 1)
        }
        _ => None,
    }
}

/// How long a letter of either alphabet is; 0 if there is none.
fn letter(reader: &Reader<'_>, at: usize) -> usize {
    match reader.byte(at) {
        Some(byte) if is_letter(byte) => 1,
        Some(b'\\' | b'%') => {
            let mut escaped = ESCAPED.iter().filter(|(_, letter)| *letter != '=');
            let escaped = escaped.find(|(text, _)| reader.has(at, text));
            escaped.map_or(0, |(text, _)| text.len())
        }
        _ => 0,
    }
}

fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'_')
}

/// The end of the letters that begin here. Of the dashes around the titles of PEM at least one is left, so that a title is no
/// line.
fn letters(reader: &Reader<'_>, begin: usize) -> usize {
    let (mut end, mut at) = (begin, begin);
    loop {
        let mut dashes = at;
        while dashes - at <= DASHES && reader.byte(dashes) == Some(b'-') {
            dashes += 1;
        }
        if dashes - at > DASHES {
            return end;
        }
        let length = letter(reader, dashes);
        if length == 0 {
            return if end > begin { dashes } else { begin };
        }
        at = reader.run(dashes + length, is_letter);
        end = at;
    }
}

/// The end of the padding, of which there are two letters at most.
fn padded(reader: &Reader<'_>, letters: usize) -> usize {
    let mut end = letters;
    for _ in 0..2 {
        let signs = ["=", "\\u003d", "%3d"];
        let sign = signs.iter().find(|sign| reader.has(end, sign));
        end += sign.map_or(0, |sign| sign.len());
    }
    end
}

/// The letters, none of them escaped.
fn plain(text: &str) -> Cow<'_, str> {
    if !text.contains(['\\', '%']) {
        return Cow::Borrowed(text);
    }
    let (reader, mut plain, mut at) = (Reader::new(text), String::new(), 0);
    while at < text.len() {
        let mut escaped = ESCAPED.iter();
        if let Some((escaped, letter)) = escaped.find(|(escaped, _)| reader.has(at, escaped)) {
            plain.push(*letter);
            at += escaped.len();
        } else {
            plain.push_str(reader.part(at, at + 1));
            at += 1;
        }
    }
    Cow::Owned(plain)
}

impl Block {
    /// Whether this is the next line of it.
    fn goes_on(&self, reader: &Reader<'_>, line: &Range<usize>) -> bool {
        let Some(last) = self.lines.last().filter(|_| !self.is_padded) else {
            return false;
        };
        let between = line.start - last.end;
        between > 0
            && between <= BETWEEN
            && glued(reader, last.end) == Some(line.start)
            && has_end(reader, line.end)
    }

    /// Where it is, if it is a secret.
    fn secret(self, reader: &Reader<'_>) -> Option<Range<usize>> {
        let (first, last) = (self.lines.first()?.start, self.lines.last()?.end);
        if !self.is_long && last - first < SHORTEST_KEY {
            return None;
        }
        let lines = self.lines.iter();
        let letters = lines.map(|line| plain(reader.part(line.start, line.end)));
        let letters: String = letters.collect::<Vec<_>>().concat();
        let letters: String = letters
            .chars()
            .filter(|letter| *letter != '=')
            .map(|letter| match letter {
                '-' => '+',
                '_' => '/',
                other => other,
            })
            .collect();
        let is_secret = (self.is_long || has_key(&letters)) && !is_certificate(&letters);
        is_secret.then_some(first..last)
    }
}

/// Where the next line may begin: after one line break, also an escaped one, and what is at the ends of lines.
fn glued(reader: &Reader<'_>, end: usize) -> Option<usize> {
    let is_filler = |byte: u8| is_blank(byte) || is_quote(byte);
    let mut at = reader.run(end, |byte| is_filler(byte) || b",;+\\".contains(&byte));
    let is_escaped = reader.before(at) == Some(b'\\');
    match reader.byte(at)? {
        b'\r' if reader.byte(at + 1) == Some(b'\n') => at = after_prefix(reader, at + 2),
        b'\n' => at = after_prefix(reader, at + 1),
        b'n' if is_escaped => at += 1,
        b'r' if is_escaped => {
            at += 1;
            let slashes = reader.run(at, |byte| byte == b'\\');
            if slashes > at && reader.byte(slashes) == Some(b'n') {
                at = slashes + 1;
            }
        }
        _ => return None,
    }
    at = reader.run(at, is_filler);
    at = timestamp(reader, at).unwrap_or(at);
    loop {
        at = reader.run(at, is_filler);
        let slashes = reader.run(at, |byte| byte == b'\\');
        if slashes == at || reader.byte(slashes) != Some(b't') {
            return Some(at);
        }
        at = slashes + 1;
    }
}

/// Whether what follows is what follows the last letter of a line that has nothing else.
fn has_end(reader: &Reader<'_>, end: usize) -> bool {
    match reader.byte(end) {
        None => true,
        Some(byte) if is_quote(byte) || matches!(byte, b'<' | b'\\') => true,
        Some(_) => {
            let is_filler = |byte: u8| is_blank(byte) || b",;+)]}".contains(&byte);
            let next = reader.run(end, is_filler);
            matches!(reader.byte(next), None | Some(b'\r' | b'\n'))
        }
    }
}

/// Whether it has a long part in one of both alphabets. Names of Kubernetes and paths have letters of both, or only small
/// ones; numbers in hexadecimal lack some letters, too.
fn is_long(line: &str) -> bool {
    let is_secret = |part: &str| {
        let has = |kind: fn(&u8) -> bool| part.as_bytes().iter().any(kind);
        let is_mixed =
            has(u8::is_ascii_digit) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase);
        is_mixed && (part.len() >= LONG || (part.len() >= RANDOM && is_random(part)))
    };
    line.split(['-', '_']).any(is_secret) || line.split(['+', '/']).any(is_secret)
}

/// Whether digits, small and large letters follow each other without an order: in words they seldom change.
fn is_random(part: &str) -> bool {
    let kinds = part.bytes().filter_map(|byte| match byte {
        b'0'..=b'9' => Some(0),
        b'a'..=b'z' => Some(1),
        b'A'..=b'Z' => Some(2),
        _ => None,
    });
    let kinds: Vec<i32> = kinds.collect();
    let changes = kinds.windows(2).filter(|pair| pair.first() != pair.last());
    changes.count() * 5 >= part.len() * 2
}

fn decoded(letters: &str) -> Vec<u8> {
    // One letter alone is no byte.
    let whole = letters.len() - usize::from(letters.len() % 4 == 1);
    let letters = letters.get(..whole).unwrap_or_default();
    LENIENT.decode(letters).unwrap_or_default()
}

/// Whether there is a private key in it, wherever its groups of four letters begin.
fn has_key(letters: &str) -> bool {
    (0..4).any(|shift| {
        let bytes = decoded(letters.get(shift..).unwrap_or_default());
        let pem = KEY.as_bytes();
        bytes.windows(pem.len()).any(|part| part == pem) || bytes.windows(8).any(is_begin_of_der)
    })
}

/// The version of a key in DER, and what follows it. Behind that is the secret.
fn is_begin_of_der(part: &[u8]) -> bool {
    matches!(
        part,
        // PKCS#8: 0 and the algorithm; 1 and one of those of Edwards curves.
        [2, 1, 0, 0x30, _, 6, ..] | [2, 1, 1, 0x30, _, 6, 3, 0x2b]
        // PKCS#1: 0 and a long number.
        | [2, 1, 0, 2, 0x81 | 0x82, ..]
        // SEC1: 1 and some bytes.
        | [2, 1, 1, 4, 0x1c..=0x42, ..]
    )
}

/// Whether it is one certificate in DER, or some in PEM, of which the end may be cut off; and nothing else.
fn is_certificate(letters: &str) -> bool {
    let bytes = decoded(letters);
    if let Ok((rest, _)) = x509_parser::parse_x509_certificate(&bytes) {
        return rest.is_empty();
    }
    let text = String::from_utf8_lossy(&bytes);
    let mut parts = text.split(BEGIN);
    let is_begun = |rest: &str| BEGIN.starts_with(rest.trim());
    let is_one = |part: &str| {
        let (body, rest) = part
            .split_once("-----END CERTIFICATE-----")
            .unwrap_or((part, ""));
        let may = |letter: char| letter.is_ascii_alphanumeric() || "+/=-\r\n ".contains(letter);
        body.chars().all(may) && is_begun(rest)
    };
    parts.next().is_some_and(|before| before.trim().is_empty())
        && !text.contains(KEY)
        && text.contains(BEGIN)
        && parts.all(is_one)
}

#[cfg(test)]
mod tests;
