//! Secrets that are known by their shape alone.

use std::ops::Range;

use super::reader::{Reader, is_blank, is_quote};

/// How tokens of clouds, registries and hosts of code begin, and how many letters follow at least, among them digits.
const PREFIXES: [(&str, usize); 36] = [
    ("AGE-SECRET-KEY-", 20),
    ("AKIA", 16),
    ("AIza", 30),
    ("ASIA", 16),
    ("PMAK-", 20),
    ("SG.", 20),
    ("atlasv1.", 20),
    ("dapi", 30),
    ("dckr_oat_", 16),
    ("dckr_pat_", 16),
    ("dop_v1_", 16),
    ("ghb_", 16),
    ("gho_", 16),
    ("ghp_", 16),
    ("ghr_", 16),
    ("ghs_", 16),
    ("ghu_", 16),
    ("github_pat_", 16),
    ("gldt-", 16),
    ("glpat-", 16),
    ("glptt-", 16),
    ("glrt-", 16),
    ("hvb.", 16),
    ("hvr.", 16),
    ("hvs.", 16),
    ("k8s-aws-v1.", 16),
    ("npm_", 24),
    ("pypi-", 30),
    ("rk_live_", 16),
    ("shpat_", 16),
    ("sk-ant-", 16),
    ("sk-proj-", 16),
    ("sk_live_", 16),
    ("sk_test_", 16),
    ("xox", 12),
    ("ya29.", 16),
];

/// How the part of a JSON web token begins: JSON in base64.
const JSON: &str = "eyJ";

/// How hashes of passwords name their method.
const HASHES: [&str; 16] = [
    "1", "2", "2a", "2b", "2x", "2y", "5", "6", "7", "apr1", "argon2", "argon2d", "argon2i",
    "argon2id", "scrypt", "y",
];

/// JSON web tokens. They are removed before base64, of which they have parts.
pub(super) fn web_tokens(reader: &Reader<'_>, length: usize) -> Vec<Range<usize>> {
    let (mut found, mut at) = (Vec::new(), 0);
    while at < length {
        let begin = reader.run(at, |byte| !byte.is_ascii_alphanumeric());
        let word = reader.run(begin, |byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if reader.has(begin, JSON) && reader.part(begin, begin + JSON.len()) == JSON {
            let end = reader.run(begin, |byte| {
                byte.is_ascii_alphanumeric() || b"_-.".contains(&byte)
            });
            let token = reader.part(begin, end).trim_end_matches(['.', '-']);
            if token.len() > 9 && token.contains('.') {
                found.push(begin..begin + token.len());
            }
            at = end;
            continue;
        }
        at = word.max(begin + 1);
    }
    found
}

/// The secret in a word, as far as its end.
pub(super) fn secret(reader: &Reader<'_>, begin: usize, end: usize) -> Option<Range<usize>> {
    let word = reader.part(begin, end);
    let kept = word.trim_end_matches(['.', '-']);
    let whole = || Some(begin..begin + kept.len());
    if is_join_token(kept) || (kept == "sha256" && is_access_token(reader, end)) {
        let more = reader.run(end, |byte| byte == b'~');
        let letters = reader.run(more, |byte| {
            byte.is_ascii_alphanumeric() || b"-_".contains(&byte)
        });
        return if more > end {
            Some(begin..letters)
        } else {
            whole()
        };
    }
    let mut at = 0;
    for part in kept.split_inclusive(['-', '_', '.']) {
        if kept.get(at..).is_some_and(has_prefix) {
            return whole();
        }
        at += part.len();
    }
    let json = kept.find(JSON)?;
    let rest = kept.len() - json;
    (rest >= 9).then_some(begin + json..begin + kept.len())
}

/// A token with which a node joins a cluster.
fn is_join_token(word: &str) -> bool {
    let is_part = |part: &str, length: usize| {
        let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        part.len() == length && part.bytes().all(is_letter)
    };
    let parts = word.split_once('.');
    parts.is_some_and(|(id, secret)| is_part(id, 6) && is_part(secret, 16))
}

/// A token of `OpenShift`: `sha256~` and more.
fn is_access_token(reader: &Reader<'_>, end: usize) -> bool {
    let letters = reader.run(end + 1, |byte| {
        byte.is_ascii_alphanumeric() || b"-_".contains(&byte)
    });
    reader.byte(end) == Some(b'~') && letters > end + 20
}

fn has_prefix(part: &str) -> bool {
    let mut prefixes = PREFIXES.iter();
    prefixes.any(|(prefix, least)| {
        let Some(rest) = part.strip_prefix(prefix) else {
            return false;
        };
        let letters = rest.bytes().filter(u8::is_ascii_alphanumeric);
        let letters: Vec<u8> = letters.take(*least).collect();
        letters.len() == *least && letters.iter().any(u8::is_ascii_digit)
    })
}

/// The hash of a password that begins at a `$`.
pub(super) fn hash(reader: &Reader<'_>, begin: usize) -> Option<Range<usize>> {
    let name = reader.run(begin + 1, |byte| byte.is_ascii_alphanumeric());
    if reader.byte(name) != Some(b'$') || !HASHES.contains(&reader.part(begin + 1, name)) {
        return None;
    }
    let end = reader.run(name + 1, |byte| {
        !byte.is_ascii_whitespace() && !is_quote(byte) && byte != b'<'
    });
    (end - name > 8).then_some(begin..end)
}

/// How many numbers in a row are bytes of something: a key that a program has printed as a list.
const BYTES: usize = 24;

/// The numbers from a bracket on, if they are such a list.
pub(super) fn bytes(reader: &Reader<'_>, bracket: usize) -> Option<Range<usize>> {
    let is_between = |byte: u8| is_blank(byte) || matches!(byte, b',' | b'\n' | b'\r');
    let (mut at, mut numbers, mut end) = (bracket + 1, 0, bracket + 1);
    loop {
        at = reader.run(at, is_between);
        let digits = if reader.has(at, "0x") { at + 2 } else { at };
        let radix = if digits > at { 16 } else { 10 };
        at = reader.run(digits, |byte| byte.is_ascii_hexdigit());
        if at > digits + 3 || u8::from_str_radix(reader.part(digits, at), radix).is_err() {
            break;
        }
        (numbers, end) = (numbers + 1, at);
    }
    (numbers >= BYTES).then_some(bracket + 1..end)
}
