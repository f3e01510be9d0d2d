//! Decides which texts are plain in YAML, and quotes the others.
//!
//! The rules are those of go-yaml v2: a text that would be read as another type gets double quotes, a text with
//! indicators gets single quotes, and a text with several lines becomes a block.

/// Appends a text as the value of a key at `indent`.
pub(super) fn value(out: &mut Vec<u8>, text: &str, indent: usize) {
    let marks = Marks::of(text);
    if text.contains('\n') && !marks.special && !text.ends_with(' ') && !text.starts_with(' ') {
        block(out, text, indent + 2);
    } else {
        line(out, text, &marks);
    }
}

/// Appends a key.
pub(super) fn key(out: &mut Vec<u8>, text: &str) {
    line(out, text, &Marks::of(text));
}

fn line(out: &mut Vec<u8>, text: &str, marks: &Marks) {
    if marks.special || text.contains('\n') || reads_as_other(text) {
        double_quoted(out, text);
    } else if marks.indicators || text.starts_with(' ') || text.ends_with(' ') {
        out.push(b'\'');
        out.extend_from_slice(text.replace('\'', "''").as_bytes());
        out.push(b'\'');
    } else {
        out.extend_from_slice(text.as_bytes());
    }
}

/// What a text contains that matters to YAML.
struct Marks {
    /// A character that would be read as structure or comment.
    indicators: bool,
    /// A character that only double quotes can represent.
    special: bool,
}

impl Marks {
    fn of(text: &str) -> Self {
        let mut marks = Self {
            indicators: text.starts_with("---") || text.starts_with("..."),
            special: false,
        };
        let mut before = ' ';
        let mut characters = text.chars().peekable();
        let mut first = true;
        while let Some(character) = characters.next() {
            let ends = characters
                .peek()
                .is_none_or(|next| matches!(next, ' ' | '\t'));
            marks.indicators |= match character {
                ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%'
                | '@' | '`' => first,
                '#' => matches!(before, ' ' | '\t' | '\n'),
                ':' => ends,
                '?' | '-' => first && ends,
                _ => false,
            };
            // Every other style loses a space before a line end.
            marks.special |= character == '\n' && before == ' ' && !first;
            marks.special |= match character {
                '\n' => false,
                '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => true,
                other => other.is_control(),
            };
            before = character;
            first = false;
        }
        marks
    }
}

fn double_quoted(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for character in text.chars() {
        let code = u32::from(character);
        let escaped = match character {
            '"' => "\\\"".to_owned(),
            '\\' => "\\\\".to_owned(),
            '\n' => "\\n".to_owned(),
            '\r' => "\\r".to_owned(),
            '\t' => "\\t".to_owned(),
            '\u{2028}' => "\\L".to_owned(),
            '\u{2029}' => "\\P".to_owned(),
            '\u{feff}' => "\\uFEFF".to_owned(),
            other if other.is_control() => format!("\\x{code:02X}"),
            other => other.to_string(),
        };
        out.extend_from_slice(escaped.as_bytes());
    }
    out.push(b'"');
}

/// Appends a literal block, with its last line end if there is one.
fn block(out: &mut Vec<u8>, text: &str, indent: usize) {
    let chomp = match (text.ends_with('\n'), text.ends_with("\n\n")) {
        (false, _) => "-",
        (true, false) => "",
        (true, true) => "+",
    };
    out.extend_from_slice(format!("|{chomp}").as_bytes());
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        out.push(b'\n');
        if !line.is_empty() {
            out.resize(out.len() + indent, b' ');
            out.extend_from_slice(line.as_bytes());
        }
    }
}

/// Whether a reader would read `text` as another type.
fn reads_as_other(text: &str) -> bool {
    const WORDS: [&str; 8] = ["true", "false", "yes", "no", "on", "off", "y", "n"];
    const NULLS: [&str; 4] = ["", "~", "null", "<<"];
    const FLOATS: [&str; 4] = [".nan", ".inf", "+.inf", "-.inf"];
    let lower = text.to_ascii_lowercase();
    let known = WORDS.contains(&&*lower) || NULLS.contains(&&*lower) || FLOATS.contains(&&*lower);
    // `True` and `TRUE` count, but `tRUE` does not. Of mixed cases only `.NaN` and `.Inf` count.
    let rest = text.get(1..).unwrap_or_default();
    let cased = rest.chars().all(|c| !c.is_ascii_uppercase()) || text == text.to_ascii_uppercase();
    (known && (cased || rest == "NaN" || rest.ends_with("Inf")))
        || is_number(text)
        || is_time(text)
        || is_sexagesimal(text)
}

/// Whether it is an integer in one of four bases or a decimal fraction, with underscores anywhere.
fn is_number(text: &str) -> bool {
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return false;
    }
    let plain = text.replace('_', "");
    let digits = plain.strip_prefix(['+', '-']).unwrap_or(&plain);
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = digits.to_ascii_lowercase().strip_prefix(prefix) {
            return u64::from_str_radix(digits, radix).is_ok();
        }
    }
    let ours = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-');
    // Rust reads the same decimal fractions as go-yaml, except for words, which are excluded before.
    digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.chars().all(ours)
        && digits.parse::<f64>().is_ok_and(f64::is_finite)
}

/// Whether it is a date like `2006-1-2`, alone or before a time of day.
fn is_time(text: &str) -> bool {
    let (date, time) = match text.split_once(['T', 't', ' ']) {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let parts: Vec<&str> = date.split('-').collect();
    let within = |part: &str, most: u8| part.parse().is_ok_and(|part| (1..=most).contains(&part));
    let [year, month, day] = *parts else {
        return false;
    };
    let ours = |c: char| c.is_ascii_digit() || matches!(c, ':' | '.' | '+' | '-' | 'Z');
    year.len() == 4
        && year.bytes().all(|byte| byte.is_ascii_digit())
        && within(month, 12)
        && within(day, 31)
        && time.is_none_or(|time| time.matches(':').count() >= 2 && time.chars().all(ours))
}

/// Whether it is like `1:30`, which a reader of YAML 1.1 reads as ninety.
fn is_sexagesimal(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let mut parts = digits.split(':');
    let whole = parts.next().is_some_and(|part| {
        part.starts_with(|c: char| c.is_ascii_digit())
            && part.chars().all(|c| c.is_ascii_digit() || c == '_')
    });
    let mut any = false;
    let mut sixtieth = |part: &str| {
        any = true;
        let part = part.split('.').next().unwrap_or_default();
        part.len() <= 2 && part.parse::<u8>().is_ok_and(|part| part < 60)
    };
    whole && parts.all(&mut sixtieth) && any
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected texts were printed by sigs.k8s.io/yaml v1.6.0.
    #[test]
    fn texts_are_quoted_only_if_they_must() {
        for (text, yaml) in [
            ("web-1", "web-1"),
            ("kubernetes.io/hostname", "kubernetes.io/hostname"),
            ("1499982561n", "1499982561n"),
            ("11.985s", "11.985s"),
            ("250m", "250m"),
            ("", r#""""#),
            ("0", r#""0""#),
            ("2k", "2k"),
            ("1e3", r#""1e3""#),
            ("1_000", r#""1_000""#),
            ("0x1F", r#""0x1F""#),
            ("0xg", "0xg"),
            ("089", r#""089""#),
            ("-.5", r#""-.5""#),
            ("1.2.3", "1.2.3"),
            ("true", r#""true""#),
            ("tRUE", "tRUE"),
            (".NaN", r#"".NaN""#),
            ("Yes", r#""Yes""#),
            ("y", r#""y""#),
            ("null", r#""null""#),
            ("~", r#""~""#),
            ("2026-11-21T01:29:46Z", r#""2026-11-21T01:29:46Z""#),
            ("2026-11-21", r#""2026-11-21""#),
            ("2026-13-21", "2026-13-21"),
            ("12:30", r#""12:30""#),
            ("12:75", "12:75"),
            ("a: b", "'a: b'"),
            ("a:b", "a:b"),
            ("a #b", "'a #b'"),
            ("a#b", "a#b"),
            ("'q'", "'''q'''"),
            ("x'q'", "x'q'"),
            ("-", "'-'"),
            ("-a", "-a"),
            ("---a", "'---a'"),
            (" a", "' a'"),
            ("<unknown>", "<unknown>"),
            ("\u{e9}", "\u{e9}"),
            ("a\tb\u{1}", r#""a\tb\x01""#),
            ("a\nb", "|-\n  a\n  b"),
            ("a\n\nb: c\n", "|\n  a\n\n  b: c"),
        ] {
            let mut out = Vec::new();
            value(&mut out, text, 0);
            assert_eq!(String::from_utf8(out).unwrap(), yaml, "{text:?}");
        }
    }
}
