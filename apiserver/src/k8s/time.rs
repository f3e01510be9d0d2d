//! Times and durations as Kubernetes writes them.

use std::time::Duration;

use jiff::tz::Offset;
use tributary_model::Timestamp;

use super::json;

/// Appends a time in RFC 3339 and UTC, cut to whole seconds (docs/parity.md#objects).
pub(crate) fn moment(out: &mut Vec<u8>, at: Timestamp) {
    // RFC 3339 has the years 0 to 9999 only, and no kubelet reports others.
    let at = jiff::Timestamp::from_second(at.as_seconds()).unwrap_or(jiff::Timestamp::MAX);
    let at = Offset::UTC.to_datetime(at);
    let year = u64::try_from(at.year()).unwrap_or_default();
    json::padded(out, year, 4);
    for (before, part) in [
        (b'-', at.month()),
        (b'-', at.day()),
        (b'T', at.hour()),
        (b':', at.minute()),
        (b':', at.second()),
    ] {
        out.push(before);
        json::padded(out, u64::try_from(part).unwrap_or_default(), 2);
    }
    out.push(b'Z');
}

/// Appends a duration as Go's `Duration.String` prints it: `15s`, `1m0.5s`, `500ms`. A duration that Go cannot
/// represent (292 years) becomes the longest that it can.
pub(crate) fn span(out: &mut Vec<u8>, span: Duration) {
    let nanos = u64::try_from(span.as_nanos())
        .unwrap_or(u64::MAX)
        .min(i64::MAX.unsigned_abs());
    match nanos {
        0 => out.extend_from_slice(b"0s"),
        1..1_000 => with_unit(out, nanos, 0, "ns"),
        1_000..1_000_000 => with_unit(out, nanos, 3, "µs"),
        1_000_000..1_000_000_000 => with_unit(out, nanos, 6, "ms"),
        _ => clock(out, nanos),
    }
}

fn clock(out: &mut Vec<u8>, nanos: u64) {
    const MINUTE: u64 = 60_000_000_000;
    let minutes = nanos / MINUTE;
    if minutes >= 60 {
        json::number(out, minutes / 60);
        out.push(b'h');
    }
    if minutes > 0 {
        json::number(out, minutes % 60);
        out.push(b'm');
    }
    with_unit(out, nanos % MINUTE, 9, "s");
}

/// Appends `nanos` in a unit of `10^digits` nanoseconds, with a fraction if there is one.
fn with_unit(out: &mut Vec<u8>, nanos: u64, digits: usize, unit: &str) {
    let scale = (0..digits).fold(1_u64, |scale, _| scale * 10);
    json::number(out, nanos / scale);
    let fraction = nanos % scale;
    if fraction > 0 {
        out.push(b'.');
        json::padded(out, fraction, digits);
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
    out.extend_from_slice(unit.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn moments_are_whole_seconds_in_utc() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_763_688_586_999, "2025-11-21T01:29:46Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (i64::MAX, "9999-12-30T22:00:00Z"),
        ] {
            assert_eq!(
                written(|out| moment(out, Timestamp::from_millis(millis))),
                text
            );
        }
    }

    #[test]
    fn spans_are_go_durations() {
        for (nanos, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_100, "1.1µs"),
            (2_200_000, "2.2ms"),
            (500_000_000, "500ms"),
            (15_000_000_000, "15s"),
            (11_987_000_000, "11.987s"),
            (12_014_000_000, "12.014s"),
            (60_500_000_000, "1m0.5s"),
            (3_600_000_000_000, "1h0m0s"),
            (5_025_000_000_001, "1h23m45.000000001s"),
            (u64::MAX, "2562047h47m16.854775807s"),
        ] {
            assert_eq!(written(|out| span(out, Duration::from_nanos(nanos))), text);
        }
    }
}
