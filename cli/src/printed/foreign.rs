//! What comes from others, and what a terminal does with it.

use std::{fmt::Write as _, ops::RangeInclusive};

use serde::Serialize;
use serde_json::Value;

use super::Paint;
use crate::args::Output;

/// What follows ESC in our own text.
const COLOURS: [&str; 6] = ["[0m", "[1m", "[2m", "[31m", "[32m", "[33m"];

/// What a terminal does not show, by the Unicode standard: characters that are ignored unless a program knows them
/// (`Default_Ignorable_Code_Point`), which are variation selectors, fillers, joiners and what changes the direction of text,
/// also those that have no meaning yet; annotations; and a letter of Braille without dots.
const INVISIBLE: [RangeInclusive<char>; 21] = [
    '\u{ad}'..='\u{ad}',
    '\u{34f}'..='\u{34f}',
    '\u{61c}'..='\u{61c}',
    '\u{115f}'..='\u{1160}',
    '\u{17b4}'..='\u{17b5}',
    '\u{180b}'..='\u{180f}',
    '\u{200b}'..='\u{200f}',
    '\u{202a}'..='\u{202e}',
    '\u{2060}'..='\u{206f}',
    '\u{2800}'..='\u{2800}',
    '\u{3164}'..='\u{3164}',
    '\u{fe00}'..='\u{fe0f}',
    '\u{feff}'..='\u{feff}',
    '\u{ffa0}'..='\u{ffa0}',
    '\u{fff0}'..='\u{fff8}',
    '\u{fff9}'..='\u{fffb}',
    '\u{13430}'..='\u{1343f}',
    '\u{16fe4}'..='\u{16fe4}',
    '\u{1bca0}'..='\u{1bca3}',
    '\u{1d173}'..='\u{1d17a}',
    '\u{e0000}'..='\u{e0fff}',
];

/// Whether a terminal obeys it, or people do not see it: control characters (with C1, which some terminals take for ESC
/// sequences), what changes the direction of text, what is invisible, and what separates words or lines, except a blank.
fn is_obeyed(letter: char) -> bool {
    if letter.is_ascii() {
        return letter.is_ascii_control();
    }
    letter.is_control()
        || letter.is_whitespace()
        || INVISIBLE.iter().any(|range| range.contains(&letter))
}

fn visible(letter: char) -> char {
    if is_obeyed(letter) { ' ' } else { letter }
}

/// Text that comes from others, on one line, without what a terminal would obey.
#[must_use]
pub fn harmless(text: &str) -> String {
    text.chars().map(visible).collect()
}

/// A document as it is written: text for people, or JSON for programs. Nothing in it that others sent is obeyed by a
/// terminal.
#[must_use]
pub fn shown(
    output: Output,
    paint: Paint,
    text: impl FnOnce() -> String,
    document: &impl Serialize,
) -> String {
    match output {
        Output::Text => ours(&text(), paint),
        Output::Json => json(document),
    }
}

/// A document as one line of JSON, with what a terminal would obey as `\u` and its number.
#[must_use]
pub fn json(document: &impl Serialize) -> String {
    let document = serde_json::to_value(document).unwrap_or(Value::Null);
    let text = document.to_string();
    let mut escaped = String::with_capacity(text.len() + 1);
    for letter in text.chars() {
        if is_obeyed(letter) {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                write!(escaped, "\\u{unit:04x}").ok();
            }
        } else {
            escaped.push(letter);
        }
    }
    escaped.push('\n');
    escaped
}

/// Text with line breaks, and with colours if there are any.
fn ours(text: &str, paint: Paint) -> String {
    let mut clean = String::with_capacity(text.len());
    for (index, part) in text.split('\x1b').enumerate() {
        let mut colours = COLOURS.iter().filter(|_| index > 0 && paint.colours);
        let rest = match colours.find_map(|code| Some((code, part.strip_prefix(code)?))) {
            Some((code, rest)) => {
                clean.push('\x1b');
                clean.push_str(code);
                rest
            }
            None => part,
        };
        let kept = |letter: char| {
            if letter == '\n' {
                '\n'
            } else {
                visible(letter)
            }
        };
        clean.extend(rest.chars().map(kept));
    }
    clean
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Clears the screen, the same by C1, moves to the left, turns text round, hides text, breaks the line.
    const HOSTILE: &str = "a\x1b[2Jb\u{9b}2Jc\x08d\u{202e}e\u{200b}f\u{e0041}g\u{2028}h\x7fi";

    #[test]
    fn a_terminal_is_not_given_what_it_would_obey() {
        assert_eq!(harmless(HOSTILE), "a [2Jb 2Jc d e f g h i");
        assert_eq!(harmless("a\r\nb\tc"), "a  b c");
        assert_eq!(harmless("Grüße 語 🚀"), "Grüße 語 🚀");
    }

    #[test]
    fn what_people_do_not_see_becomes_blank() {
        let mut found = 0;
        for range in [
            0..=0x1f,
            0x7f..=0xa0,
            0xad..=0xad,
            0x34f..=0x34f,
            0x61c..=0x61c,
            0x115f..=0x1160,
            0x1680..=0x1680,
            0x17b4..=0x17b5,
            0x180b..=0x180f,
            0x2000..=0x200f,
            0x2028..=0x202f,
            0x205f..=0x206f,
            0x2800..=0x2800,
            0x3000..=0x3000,
            0x3164..=0x3164,
            0xfe00..=0xfe0f,
            0xfeff..=0xfeff,
            0xffa0..=0xffa0,
            0xfff0..=0xfffb,
            0x1_3430..=0x1_343f,
            0x1_bca0..=0x1_bca3,
            0x1_d173..=0x1_d17a,
            0xe_0000..=0xe_0fff,
        ] {
            for letter in range.filter_map(char::from_u32) {
                let text = format!("a{letter}b");
                assert_eq!(harmless(&text), "a b", "{:x}", u32::from(letter));
                let json = json(&text);
                let line = json.strip_suffix('\n').unwrap();
                assert!(!line.contains(letter), "{:x}", u32::from(letter));
                found += 1;
            }
        }
        assert_eq!(found, 4_277);
        for text in [
            "Grüße",
            "語",
            "한국어",
            "عربي",
            "🚀",
            "é\u{301}",
            "\u{fffd}",
            "a b",
        ] {
            assert_eq!(harmless(text), text);
        }
    }

    #[test]
    fn text_has_our_colours_and_line_breaks_and_nothing_else_that_is_obeyed() {
        let text = || format!("\x1b[31mbad\x1b[0m\n{HOSTILE}\n\x1b[31");
        let coloured = Paint { colours: true };
        assert_eq!(
            shown(Output::Text, coloured, text, &()),
            "\x1b[31mbad\x1b[0m\na[2Jb 2Jc d e f g h i\n[31"
        );
        assert_eq!(
            shown(Output::Text, Paint::PLAIN, text, &()),
            "[31mbad[0m\na[2Jb 2Jc d e f g h i\n[31"
        );
    }

    #[test]
    fn json_is_the_same_document_and_visible() {
        let document = json!({ "name": HOSTILE, "n": [1, null, "Grüße 🚀"] });
        let text = json(&document);
        assert_eq!(
            text,
            concat!(
                r#"{"n":[1,null,"Grüße 🚀"],"name":"a\u001b[2Jb\u009b2Jc\bd\u202ee\u200bf\udb40\udc41g\u2028h\u007fi"}"#,
                "\n"
            )
        );
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), document);
    }
}
