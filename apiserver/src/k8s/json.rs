//! Writes the parts of JSON lists directly into bytes.
//!
//! A list of 150,000 pods has about forty megabytes. A tree of values, or a `String` for each field, would cost more
//! than everything else in a request. The bytes are the same as those of Go's `encoding/json`, which clients and golden
//! files expect.

/// Appends `text` as a JSON string. Like Go, it escapes the characters of HTML markup, and the two line separators that
/// old JavaScript cannot read.
pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let bytes = text.as_bytes();
    if !bytes.iter().any(|byte| may_need_escape(*byte)) {
        out.extend_from_slice(bytes);
        out.push(b'"');
        return;
    }
    let mut clean = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let taken = match byte {
            b'"' | b'\\' | 0..=0x1f | b'<' | b'>' | b'&' => 1,
            0xe2 if is_line_end(bytes.get(at..at + 3)) => 3,
            _ => continue,
        };
        out.extend_from_slice(bytes.get(clean..at).unwrap_or_default());
        escape(out, *byte, bytes.get(at + 2).copied());
        clean = at + taken;
    }
    out.extend_from_slice(bytes.get(clean..).unwrap_or_default());
    out.push(b'"');
}

/// Whether `byte` can begin a character that must be escaped. It may also begin other characters.
fn may_need_escape(byte: u8) -> bool {
    // Names are short, so looking up each byte is faster than comparing many bytes at once.
    ESCAPED
        .get(usize::from(byte))
        .is_some_and(|escaped| *escaped)
}

#[expect(
    clippy::indexing_slicing,
    reason = "a constant, so the compiler has tried every index"
)]
const ESCAPED: [bool; 256] = {
    let mut escaped = [false; 256];
    let mut byte = 0;
    while byte < escaped.len() {
        // Control characters, and `" & < > \` and the first byte of U+2028.
        escaped[byte] = matches!(byte, 0..=0x1f | 0x22 | 0x26 | 0x3c | 0x3e | 0x5c | 0xe2);
        byte += 1;
    }
    escaped
};

/// U+2028 and U+2029.
fn is_line_end(character: Option<&[u8]>) -> bool {
    matches!(character, Some([0xe2, 0x80, 0xa8 | 0xa9]))
}

fn escape(out: &mut Vec<u8>, byte: u8, third: Option<u8>) {
    let text: &[u8] = match byte {
        b'"' => br#"\""#,
        b'\\' => br"\\",
        b'\n' => br"\n",
        b'\r' => br"\r",
        b'\t' => br"\t",
        0x08 => br"\b",
        0x0c => br"\f",
        0xe2 if third == Some(0xa8) => br"\u2028",
        0xe2 => br"\u2029",
        other => {
            out.extend_from_slice(br"\u00");
            out.push(hex(other >> 4));
            out.push(hex(other & 0xf));
            return;
        }
    };
    out.extend_from_slice(text);
}

fn hex(nibble: u8) -> u8 {
    match nibble {
        0..=9 => b'0' + nibble,
        _ => b'a' + (nibble - 10),
    }
}

/// Appends a whole number.
pub(crate) fn number(out: &mut Vec<u8>, value: u64) {
    padded(out, value, 1);
}

/// Appends a whole number with zeros before it up to `width` digits.
pub(crate) fn padded(out: &mut Vec<u8>, value: u64, width: usize) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(value).as_bytes();
    for _ in digits.len()..width {
        out.push(b'0');
    }
    out.extend_from_slice(digits);
}

/// Indents compact JSON by two spaces for each level, in pieces of any size, so that a streamed list need not be in
/// memory.
///
/// It prints like Go's `json.Indent`: empty objects and arrays stay on one line.
#[derive(Debug, Default)]
pub(crate) struct Indenter {
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// Whether the last written character opened an object or array.
    opened: bool,
}

impl Indenter {
    /// All of `compact`, indented.
    pub(crate) fn whole(compact: &[u8]) -> Vec<u8> {
        Self::default().feed(compact)
    }

    /// The next piece, indented.
    pub(crate) fn feed(&mut self, piece: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(piece.len() * 2);
        for byte in piece {
            if self.in_string {
                self.within_string(*byte);
                out.push(*byte);
            } else if !byte.is_ascii_whitespace() {
                self.structure(*byte, &mut out);
            }
        }
        out
    }

    fn within_string(&mut self, byte: u8) {
        if self.escaped {
            self.escaped = false;
        } else if byte == b'\\' {
            self.escaped = true;
        } else if byte == b'"' {
            self.in_string = false;
        }
    }

    fn structure(&mut self, byte: u8, out: &mut Vec<u8>) {
        let was_opened = std::mem::take(&mut self.opened);
        if matches!(byte, b'}' | b']') {
            self.depth = self.depth.saturating_sub(1);
            if !was_opened {
                self.line(out);
            }
            out.push(byte);
            return;
        }
        if was_opened {
            self.line(out);
        }
        out.push(byte);
        match byte {
            b'{' | b'[' => {
                self.depth += 1;
                self.opened = true;
            }
            b',' => self.line(out),
            b':' => out.push(b' '),
            b'"' => self.in_string = true,
            _ => {}
        }
    }

    fn line(&self, out: &mut Vec<u8>) {
        out.push(b'\n');
        out.resize(out.len() + 2 * self.depth, b' ');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn quoted(text: &str) -> String {
        let mut out = Vec::new();
        string(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn strings_are_escaped_as_go_escapes_them() {
        assert_eq!(quoted("plain-name.1"), r#""plain-name.1""#);
        assert_eq!(quoted(r#"a"b\c"#), r#""a\"b\\c""#);
        assert_eq!(
            quoted("\n\r\t\u{8}\u{c}\u{1}\u{1f}"),
            r#""\n\r\t\b\f\u0001\u001f""#
        );
        assert_eq!(quoted("<a&b>"), r#""\u003ca\u0026b\u003e""#);
        assert_eq!(quoted("\u{2028}x\u{2029}"), r#""\u2028x\u2029""#);
        assert_eq!(quoted("…é\u{7f}"), "\"…é\u{7f}\"");
    }

    #[test]
    fn numbers_have_all_their_digits() {
        for (value, text) in [
            (0, "0"),
            (7, "7"),
            (10, "10"),
            (u64::MAX, "18446744073709551615"),
        ] {
            let mut out = Vec::new();
            number(&mut out, value);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }

    #[test]
    fn indented_json_looks_as_go_prints_it() {
        let compact = br#"{"a":{},"b":[],"c":[{"d":"x{,}\"y"},1],"e":null}"#;
        let expected = r#"{
  "a": {},
  "b": [],
  "c": [
    {
      "d": "x{,}\"y"
    },
    1
  ],
  "e": null
}"#;
        assert_eq!(
            String::from_utf8(Indenter::whole(compact)).unwrap(),
            expected
        );
        let mut pieces = Indenter::default();
        let piecemeal: Vec<u8> = compact
            .chunks(3)
            .flat_map(|piece| pieces.feed(piece))
            .collect();
        assert_eq!(String::from_utf8(piecemeal).unwrap(), expected);
        assert_eq!(Indenter::whole(expected.as_bytes()), expected.as_bytes());
    }

    proptest! {
        #[test]
        fn any_string_reads_back(text in any::<String>()) {
            let read: String = serde_json::from_str(&quoted(&text)).unwrap();
            prop_assert_eq!(read, text);
        }
    }
}
