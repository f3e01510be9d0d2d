//! Writes the parts of protobuf answers directly into bytes.
//!
//! The bytes are the same as those of Go's generated marshallers (gogo-proto, proto2): fields sorted by number,
//! required fields even if they are empty, maps sorted by key. A message is written before its length is known. There
//! is room for the length before it, and the message is moved by a byte or two if the length needs more or less.

/// The bytes before and after a message ([`envelope`]).
#[derive(Debug)]
pub(crate) struct Envelope {
    /// Magic, kind, and the length of the message.
    pub(crate) before: Vec<u8>,
    /// Two empty fields.
    pub(crate) after: &'static [u8],
}

/// The `runtime.Unknown` in which Kubernetes wraps a message of `length` bytes.
pub(crate) fn envelope(api_version: &str, kind: &str, length: usize) -> Envelope {
    let mut before = b"k8s\0".to_vec();
    message(&mut before, 1, |out| {
        text(out, 1, api_version);
        text(out, 2, kind);
    });
    before.push(tag(2));
    varint(&mut before, u64::try_from(length).unwrap_or(u64::MAX));
    Envelope {
        before,
        // The fields contentEncoding and contentType.
        after: &[0x1a, 0, 0x22, 0],
    }
}

/// `message` in its envelope.
pub(crate) fn wrapped(api_version: &str, kind: &str, message: &[u8]) -> Vec<u8> {
    let Envelope { mut before, after } = envelope(api_version, kind, message.len());
    before.extend_from_slice(message);
    before.extend_from_slice(after);
    before
}

/// Appends a text field.
pub(crate) fn text(out: &mut Vec<u8>, field: u8, value: &str) {
    begin(out, field, value.len());
    out.extend_from_slice(value.as_bytes());
}

/// Appends the beginning of a field of `length` bytes. The caller appends the bytes.
fn begin(out: &mut Vec<u8>, field: u8, length: usize) {
    if let Ok(short @ ..0x80) = u8::try_from(length) {
        out.extend_from_slice(&[tag(field), short]);
        return;
    }
    out.push(tag(field));
    varint(out, u64::try_from(length).unwrap_or(u64::MAX));
}

/// Appends an integer field. Negative numbers take ten bytes.
pub(crate) fn number(out: &mut Vec<u8>, field: u8, value: i64) {
    out.push(field << 3);
    varint(out, value.cast_unsigned());
}

/// Appends a field that `write` fills: a message, or a text that is written in parts.
pub(crate) fn message(out: &mut Vec<u8>, field: u8, write: impl FnOnce(&mut Vec<u8>)) {
    fill::<1>(out, field, write);
}

/// The same as [`message`], for content that is usually longer than 127 bytes.
pub(crate) fn long_message(out: &mut Vec<u8>, field: u8, write: impl FnOnce(&mut Vec<u8>)) {
    fill::<2>(out, field, write);
}

/// Reserves `ROOM` bytes for the length. If the length needs another number of bytes, the content is moved.
fn fill<const ROOM: usize>(out: &mut Vec<u8>, field: u8, write: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len() + 1;
    out.extend_from_slice([tag(field), 0, 0].get(..=ROOM).unwrap_or_default());
    let from = out.len();
    write(out);
    let length = out.len().saturating_sub(from);
    if ROOM == 1
        && let Ok(short @ ..0x80) = u8::try_from(length)
        && let Some(place) = out.get_mut(at)
    {
        *place = short;
        return;
    }
    let needed = varint_length(length);
    if needed != ROOM {
        if needed > ROOM {
            out.resize(at + needed + length, 0);
        }
        out.copy_within(from..from + length, at + needed);
        out.truncate(at + needed + length);
    }
    let places = out.get_mut(at..at + needed).unwrap_or_default();
    let mut left = u64::try_from(length).unwrap_or(u64::MAX);
    for place in &mut *places {
        *place = low(left) | 0x80;
        left >>= 7;
    }
    if let Some(last) = places.last_mut() {
        *last &= 0x7f;
    }
}

/// The number of bytes of a varint.
fn varint_length(mut value: usize) -> usize {
    let mut bytes = 1;
    while value >= 0x80 {
        value >>= 7;
        bytes += 1;
    }
    bytes
}

/// Appends the metadata of a list, which is field 1 of every list. `token` continues the list.
pub(crate) fn list_meta(out: &mut Vec<u8>, token: &str) {
    message(out, 1, |out| {
        // The fields selfLink and resourceVersion.
        text(out, 1, "");
        text(out, 2, "");
        text(out, 3, token);
    });
}

/// The tag of a field with a length.
const fn tag(field: u8) -> u8 {
    field << 3 | 2
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(low(value) | 0x80);
        value >>= 7;
    }
    out.push(low(value));
}

fn low(value: u64) -> u8 {
    u8::try_from(value & 0x7f).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out);
        out
    }

    #[test]
    fn numbers_take_seven_bits_per_byte() {
        for (value, bytes) in [
            (0, &[0x08, 0][..]),
            (127, &[0x08, 0x7f]),
            (128, &[0x08, 0x80, 1]),
            (404, &[0x08, 0x94, 3]),
            (
                -1,
                &[
                    0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1,
                ],
            ),
        ] {
            assert_eq!(written(|out| number(out, 1, value)), bytes, "{value}");
        }
    }

    #[test]
    fn a_message_has_its_length_before_it_however_long() {
        assert_eq!(written(|out| message(out, 4, |_| ())), [0x22, 0]);
        assert_eq!(
            written(|out| message(out, 4, |out| text(out, 1, "ab"))),
            [0x22, 4, 0x0a, 2, b'a', b'b']
        );
        let long = "x".repeat(300);
        let mut expected = vec![0x7f, 0x22, 0xaf, 2, 0x0a, 0xac, 2];
        expected.extend_from_slice(long.as_bytes());
        let mut out = vec![0x7f];
        message(&mut out, 4, |out| text(out, 1, &long));
        assert_eq!(out, expected);
    }

    #[test]
    fn a_long_message_is_the_same_whatever_room_was_left_for_its_length() {
        for length in [0, 1, 126, 127, 128, 300, 16_383, 16_384, 2_097_152] {
            let content = "x".repeat(length);
            let write = |out: &mut Vec<u8>| out.extend_from_slice(content.as_bytes());
            let short = written(|out| message(out, 4, write));
            let long = written(|out| long_message(out, 4, write));
            assert!(short == long, "{length}");
            assert_eq!(long.len(), 1 + varint_length(length) + length);
        }
        assert_eq!(
            written(|out| long_message(out, 4, |out| text(out, 1, "ab"))),
            [0x22, 4, 0x0a, 2, b'a', b'b']
        );
    }

    #[test]
    fn the_envelope_names_the_kind() {
        assert_eq!(
            wrapped("v1", "Status", &[1, 2, 3]),
            b"k8s\0\x0a\x0c\x0a\x02v1\x12\x06Status\x12\x03\x01\x02\x03\x1a\x00\x22\x00"
        );
    }
}
