//! Every key here is invented.

use base64::engine::general_purpose::{STANDARD as PADDED, URL_SAFE_NO_PAD};
use rcgen::KeyPair;

use super::{
    super::{REMOVED, Redactor},
    *,
};

/// Bytes that look random, and are the same each time.
fn noise(count: usize) -> Vec<u8> {
    let next = |state: &mut u32| {
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Some(*state)
    };
    let states = std::iter::repeat_n((), count).scan(7_u32, |state, ()| next(state));
    states.map(|state| state.to_be_bytes()[0]).collect()
}

/// A key in PEM, and as PKCS#8, PKCS#1, SEC1 and PKCS#8 of an Edwards curve.
fn keys() -> Vec<Vec<u8>> {
    let key = KeyPair::generate().unwrap();
    let with = |begin: &[u8], secret: usize| [begin, &*noise(secret)].concat();
    let edwards = [
        0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
    ];
    vec![
        key.serialize_pem().into_bytes(),
        key.serialize_der(),
        with(&[0x30, 0x82, 4, 0xa4, 2, 1, 0, 2, 0x82, 1, 1, 0], 1_180),
        with(&[0x30, 0x77, 2, 1, 1, 4, 0x20], 114),
        with(&edwards, 32),
    ]
}

/// Certificates in PEM. They are always the same ones, because some certificates look as if they had a token in them.
const ONE: &str = include_str!("one.pem");
const TWO: &str = include_str!("two.pem");

/// Certificates in PEM, one and two, and one in DER.
fn certificates() -> [Vec<u8>; 3] {
    let der = decoded(
        &ONE.lines()
            .filter(|line| !line.contains("--"))
            .collect::<String>(),
    );
    [ONE.into(), [ONE, TWO].concat().into(), der]
}

/// In lines of so many letters.
fn wrapped(letters: &str, width: usize, glue: &str) -> String {
    let letters: Vec<char> = letters.chars().collect();
    let lines = letters.chunks(width).map(|line| line.iter().collect());
    lines.collect::<Vec<String>>().join(glue)
}

/// What is written between two lines.
const GLUES: [&str; 8] = [
    "\n",
    "\r\n",
    "\n    ",
    "\\n",
    "\\r\\n",
    "\\\\n",
    "\",\n  \"",
    "\n2026-11-30T00:00:00.123456789Z ",
];

fn redactor() -> Redactor {
    Redactor::default()
}

/// The longest part of the letters that is still there.
fn left(letters: &str, clean: &str) -> usize {
    let parts =
        clean.split(|letter: char| !letter.is_ascii_alphanumeric() && !"+/-_".contains(letter));
    let known = parts.filter(|part| !part.is_empty() && letters.contains(part));
    known.map(str::len).max().unwrap_or(0)
}

#[test]
fn nothing_of_a_key_is_left_however_it_is_written() {
    let mut redactor = redactor();
    for (kind, key) in keys().iter().enumerate() {
        for shift in 0..4 {
            // What precedes it moves the border of the groups of four letters.
            let bytes = [&b"abc"[..shift], key.as_slice()].concat();
            for letters in [PADDED.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
                for width in [10_000, 76, 64, 40, 20, 8] {
                    for glue in GLUES {
                        let text =
                            format!("a key: {}\nnext line\n", wrapped(&letters, width, glue));
                        let clean = redactor.text(&text);
                        assert_eq!(
                            clean, "a key: <removed>\nnext line\n",
                            "{kind} {shift} {width} {glue:?}\n{text}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn nothing_of_a_key_is_left_where_the_text_around_it_is_base64_too() {
    let mut redactor = redactor();
    for key in keys() {
        for before in ["", "x", "xy", "xyz", "config/", "A1b2"] {
            let letters = PADDED.encode(&key);
            for width in [10_000, 64, 8] {
                let text = format!("{before}{}", wrapped(&letters, width, "\n"));
                assert_eq!(left(&letters, &redactor.text(&text)), 0, "{text}");
            }
        }
        // Twice.
        let twice = PADDED.encode(PADDED.encode(&key));
        assert_eq!(redactor.text(&twice), REMOVED);
        // In JSON that escapes what it need not.
        let escaped = PADDED.encode(&key).replace('/', "\\/");
        assert_eq!(
            redactor.text(&format!("\"{escaped}\"")),
            format!("\"{REMOVED}\"")
        );
    }
}

#[test]
fn certificates_stay_however_they_are_written() {
    let mut redactor = redactor();
    for certificate in certificates() {
        let letters = PADDED.encode(&certificate);
        for width in [10_000, 76, 64, 40, 20] {
            for glue in GLUES {
                let text = format!("caBundle: {}\nnext line\n", wrapped(&letters, width, glue));
                assert_eq!(redactor.text(&text), text, "{width} {glue:?}");
            }
        }
        // A log begins or ends somewhere.
        let (cut, _) = letters.split_at(letters.len() / 2);
        let is_pem = certificate.starts_with(b"-----BEGIN");
        assert_eq!(redactor.text(cut) == cut, is_pem);
    }
    assert_eq!(redactor.text(ONE), ONE);
    let indented = ONE.replace('\n', "\n    ");
    assert_eq!(redactor.text(&indented), indented);
    let escaped = ONE.replace('\n', "\\n");
    assert_eq!(redactor.text(&escaped), escaped);
    let in_log = ONE.replace('\n', "\n2026-11-30T00:00:00.123456789Z ");
    assert_eq!(redactor.text(&in_log), in_log);
}

#[test]
fn a_key_beside_a_certificate_is_removed() {
    let mut redactor = redactor();
    let [certificate, _, der] = certificates();
    for key in keys() {
        for pair in [
            [certificate.clone(), key.clone()].concat(),
            [key.clone(), certificate.clone()].concat(),
            [der.clone(), key.clone()].concat(),
        ] {
            assert_eq!(redactor.text(&PADDED.encode(pair)), REMOVED);
        }
    }
}
