//! What a text costs, whatever its author intends.

use serde_json::json;

use super::{
    super::{Kind, clean, lines::LONGEST},
    KEY, redactor, text,
};

/// Texts that are repeated: each begins something again and again, and ends it late or never.
const HOSTILE: &[&str] = &[
    "a",
    " ",
    "\n",
    "\\",
    "\"",
    "'",
    "\\\"",
    "-",
    "=",
    "@",
    "://",
    "a://b:c",
    "a://b:c/",
    "a:b@",
    "u:p@tcp",
    "token",
    "token ",
    "token=",
    "token:",
    "token: ",
    "token: |\n",
    "token:\n  a:",
    "token=\"",
    "token=\\\"",
    "token=[",
    "token: [\n",
    "token={",
    "token=(\n",
    "token=Some(",
    "token=,",
    "name: token value: ",
    "value:name:token ",
    "\"value\":\"\",\"name\":\"token\",",
    "{\"name\":\"token\"",
    "--token ",
    "-u a:",
    "[1,",
    "[",
    "{",
    "$6$",
    "$6$a",
    "basic ",
    "Authorization: ",
    "eyJ",
    "eyJhbGci.",
    "ghp_",
    "abcdef.0123456789abcde",
    "-----BEGIN PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----\n",
    "-----END PRIVATE KEY-----\n",
    "a\n-----END PRIVATE KEY-----",
    "-----BEGIN ",
    "A1b2C3d4\\n",
    "A1b2C3d4\n",
    "A1b2 ,;",
    "2026-11-30T",
    "2026-11-30T00:00:00Z ",
    "I1130 00:00:00 1 a:1] ",
    "<token>",
    "\x1b[",
    "\x1b[31;",
    "\u{e9}",
];

/// How many bytes are looked at in a text of this many bytes.
fn steps(part: &str, bytes: usize) -> usize {
    let repeated = part.repeat(bytes / part.len() + 1);
    clean(&repeated).steps
}

#[test]
fn each_byte_is_looked_at_a_limited_number_of_times() {
    const BYTES: usize = 15_000;
    for part in HOSTILE {
        let (once, twice) = (steps(part, BYTES), steps(part, 2 * BYTES));
        assert!(once < 500 * BYTES, "{part:?}: {once}");
        assert!(
            twice < once.saturating_mul(5) / 2 + 10_000,
            "{part:?}: {once} {twice}"
        );
        let lines = format!("{}\n", part.repeat(1_000 / part.len() + 1)).repeat(4);
        let more = lines.repeat(2);
        let (once, twice) = (clean(&lines).steps, clean(&more).steps);
        assert!(
            twice < once.saturating_mul(5) / 2 + 10_000,
            "{part:?}: {once} {twice}"
        );
    }
}

#[test]
fn a_line_that_is_too_long_is_cut_between_words_and_says_so() {
    let words = "node ".repeat(LONGEST / 5 + 10);
    let kept = "node ".repeat(LONGEST / 5);
    let kept = kept.trim_end();
    let more = words.len() - kept.len();
    let clean = text(&format!("before\n{words}\nafter\n"));
    assert_eq!(
        clean,
        format!("before\n{kept}<{more} bytes of this line left out>\nafter\n")
    );
    // A part of a secret is not known as one.
    let secret = format!("{}postgres://u:hunter2", " ".repeat(LONGEST - 20));
    let line = format!("{secret}{}@db/", "x".repeat(LONGEST));
    assert!(!text(&line).contains("hunter"), "{}", text(&line));
    let word = "x".repeat(LONGEST + 1);
    assert_eq!(
        text(&word),
        format!("<{} bytes of this line left out>", LONGEST + 1)
    );
}

#[test]
fn a_key_in_a_long_text_is_found() {
    let lines = "node scraped node=worker-1 elapsed_ms=12\n".repeat(2_000);
    let clean = text(&format!("{lines}{KEY}\n{lines}"));
    assert_eq!(clean, format!("{lines}<removed>\n{lines}"));
}

#[test]
fn an_object_with_too_much_text_is_kept_in_part() {
    let items = vec!["x".repeat(3 << 20); 4];
    let clean = redactor().object(Kind::Ordinary, json!({ "items": items }));
    let cut = "<3145728 bytes of this line left out>";
    let removed = "<removed>";
    assert_eq!(clean, json!({ "items": [cut, cut, removed, removed] }));
}
