//! Base64, also over several lines. What is long and no certificate is removed: keys are written so, in one line or in
//! many, indented, with escaped line breaks, as PEM or without it, and after anything that moves the border of its groups
//! of four letters. What is in it need not be known.
//!
//! Short lines are looked into: with a key in them, they are removed, too.

use std::borrow::Cow;

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use regex::Regex;

use super::REMOVED;

/// From how many letters on it is long. The lines of PEM and of `base64` are longer.
const LONG: usize = 40;

/// The shortest key has 48 bytes.
const SHORTEST_KEY: usize = 60;

/// How much may be between two lines of it: an indentation.
const BETWEEN: usize = 256;

/// Escaped line breaks, and what kubelets write in front of each line; or letters of either alphabet. Of the five dashes
/// around the titles of PEM at least one is left, so that a title is no line. Some encoders of JSON escape `/`.
const TOKEN: &str = r"(\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)[ \t]+|\\+[nrt])|-{0,4}(?:[A-Za-z0-9+/_]|\\/)(?:-{0,4}(?:[A-Za-z0-9+/_]|\\/))*-{0,4}={0,2}";

/// What may be between two lines: one line break, also an escaped one, and what is at the ends of lines.
const GLUE: &str = r#"^[ \t"'`,;+\\]*(?:\r?\n|(?:\\+r)?\\+n|\\+r)[ \t"'`]*(?:\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)[ \t]+)?(?:\\+t|[ \t"'`])*$"#;

/// What follows the last letter of a line that has nothing else.
const END: &str = r#"^(?:\z|["'`<\\]|[ \t,;+)\]}]*(?:[\r\n]|\z))"#;

/// How a certificate begins in PEM.
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";

/// Padding and bits at the end may be missing.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The compiled patterns.
#[derive(Debug)]
pub(super) struct Encoded {
    token: Regex,
    glue: Regex,
    end: Regex,
}

/// Base64 that belongs together.
struct Block<'a> {
    begin: usize,
    end: usize,
    lines: Vec<&'a str>,
}

impl Encoded {
    pub(super) fn new() -> Result<Self, regex::Error> {
        Ok(Self {
            token: Regex::new(TOKEN)?,
            glue: Regex::new(GLUE)?,
            end: Regex::new(END)?,
        })
    }

    /// The text without it, and how often it was there.
    pub(super) fn without<'a>(&self, text: &'a str) -> (Cow<'a, str>, usize) {
        let (mut clean, mut copied, mut removed) = (String::new(), 0, 0);
        for block in self.blocks(text).iter().filter(|block| block.is_secret()) {
            clean.push_str(text.get(copied..block.begin).unwrap_or_default());
            clean.push_str(REMOVED);
            copied = block.end;
            removed += 1;
        }
        if removed == 0 {
            return (Cow::Borrowed(text), 0);
        }
        clean.push_str(text.get(copied..).unwrap_or_default());
        (Cow::Owned(clean), removed)
    }

    fn blocks<'a>(&self, text: &'a str) -> Vec<Block<'a>> {
        let mut blocks: Vec<Block<'a>> = Vec::new();
        for token in self.token.captures_iter(text) {
            let (None, Some(line)) = (token.get(1), token.get(0)) else {
                continue;
            };
            let (begin, end, line) = (line.start(), line.end(), line.as_str());
            match blocks.last_mut() {
                Some(block) if self.goes_on(block, text, begin, end) => {
                    block.lines.push(line);
                    block.end = end;
                }
                _ => blocks.push(Block {
                    begin,
                    end,
                    lines: vec![line],
                }),
            }
        }
        blocks
    }

    /// Whether what is at `begin..end` is the next line of the block.
    fn goes_on(&self, block: &Block<'_>, text: &str, begin: usize, end: usize) -> bool {
        let is_padded = block.lines.last().is_some_and(|line| line.ends_with('='));
        let between = text.get(block.end..begin).unwrap_or_default();
        let rest = text.get(end..).unwrap_or_default();
        !is_padded
            && between.len() <= BETWEEN
            && self.glue.is_match(between)
            && self.end.is_match(rest)
    }
}

impl Block<'_> {
    fn is_secret(&self) -> bool {
        let is_long = self.lines.iter().any(|line| is_long(line));
        if !is_long && self.end - self.begin < SHORTEST_KEY {
            return false;
        }
        let letters: String = self.lines.concat();
        let letters: String = letters
            .chars()
            .filter(|letter| !matches!(letter, '=' | '\\'))
            .map(|letter| match letter {
                '-' => '+',
                '_' => '/',
                other => other,
            })
            .collect();
        (is_long || has_key(&letters)) && !is_certificate(&letters)
    }
}

/// Whether it has a long part in one of both alphabets. Names of Kubernetes and paths have letters of both, or only small
/// ones; numbers in hexadecimal lack some letters, too.
fn is_long(line: &str) -> bool {
    let is_mixed = |part: &str| {
        let has = |kind: fn(&u8) -> bool| part.as_bytes().iter().any(kind);
        part.len() >= LONG
            && has(u8::is_ascii_digit)
            && has(u8::is_ascii_lowercase)
            && has(u8::is_ascii_uppercase)
    };
    line.split(['-', '_']).any(is_mixed) || line.split(['+', '/']).any(is_mixed)
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
        let pem = super::patterns::KEY.as_bytes();
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
        && !text.contains(super::patterns::KEY)
        && text.contains(BEGIN)
        && parts.all(is_one)
}

#[cfg(test)]
mod tests;
