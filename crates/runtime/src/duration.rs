//! Durations in Go's format, which flags of metrics-server have.

use std::{fmt, str::FromStr, time::Duration};

/// A duration, which may be negative: `15s`, `1m30s`, `1.5h`, `-2ms`, `0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GoDuration(i64);

/// A text that a flag does not take for a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadDuration {
    /// It is none.
    #[error("`{0}` is not a duration such as 15s or 1m30s")]
    Form(String),
    /// It is negative where it must not be.
    #[error("`{0}` is negative")]
    Negative(String),
}

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// If one unit is a prefix of another, the longer one is first.
const UNITS: [(&str, i64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", NANOS_PER_SECOND),
    ("m", 60 * NANOS_PER_SECOND),
    ("h", 3_600 * NANOS_PER_SECOND),
];

impl GoDuration {
    /// This many seconds.
    pub const fn from_secs(seconds: i64) -> Self {
        Self(seconds.saturating_mul(NANOS_PER_SECOND))
    }

    /// Nanoseconds.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Reads a duration for a flag.
    ///
    /// # Errors
    ///
    /// It is negative, or not a duration.
    pub fn read_positive(text: &str) -> Result<Duration, BadDuration> {
        let read: Self = text.parse()?;
        let negative = || BadDuration::Negative(text.to_owned());
        read.positive().ok_or_else(negative)
    }

    /// This duration, unless it is negative.
    pub fn positive(self) -> Option<Duration> {
        u64::try_from(self.0).ok().map(Duration::from_nanos)
    }
}

/// A longer duration becomes 292 years, the longest in Go.
impl From<Duration> for GoDuration {
    fn from(span: Duration) -> Self {
        Self(i64::try_from(span.as_nanos()).unwrap_or(i64::MAX))
    }
}

impl FromStr for GoDuration {
    type Err = BadDuration;

    fn from_str(text: &str) -> Result<Self, BadDuration> {
        parse(text)
            .map(Self)
            .ok_or_else(|| BadDuration::Form(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut sum = 0_i64;
    while sum == 0 || !rest.is_empty() {
        let is_number = |c: char| c.is_ascii_digit() || c == '.';
        let (number, after) = rest.split_at_checked(rest.find(|c| !is_number(c))?)?;
        let (unit, nanos) = UNITS.iter().find(|(unit, _)| {
            let end = after.strip_prefix(unit);
            end.is_some_and(|end| end.is_empty() || end.starts_with(is_number))
        })?;
        sum = sum.checked_add(amount(number, *nanos)?)?;
        rest = after.strip_prefix(unit)?;
        if rest.is_empty() {
            break;
        }
    }
    Some(sign * sum)
}

/// `number`, a text of digits and points, times `nanos`.
fn amount(number: &str, nanos: i64) -> Option<i64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole: i64 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let (mut part, mut scale) = (0_i64, nanos);
    for digit in fraction.chars() {
        scale /= 10;
        part = part.checked_add(i64::from(digit.to_digit(10)?).checked_mul(scale)?)?;
    }
    whole.checked_mul(nanos)?.checked_add(part)
}

impl fmt::Display for GoDuration {
    /// Prints like Go's `Duration.String`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.0.unsigned_abs();
        let sign = if self.0 < 0 { "-" } else { "" };
        let with_fraction = |value: u64, digits: usize| {
            let unit = 10_u64.pow(u32::try_from(digits).unwrap_or(0));
            let text = format!("{}.{:0digits$}", value / unit, value % unit);
            let text = text.trim_end_matches('0').trim_end_matches('.');
            text.to_owned()
        };
        match total {
            0 => return f.write_str("0s"),
            1..1_000 => return write!(f, "{sign}{total}ns"),
            1_000..1_000_000 => return write!(f, "{sign}{}\u{b5}s", with_fraction(total, 3)),
            1_000_000..1_000_000_000 => return write!(f, "{sign}{}ms", with_fraction(total, 6)),
            _ => {}
        }
        let minute = 60_000_000_000;
        let (hours, minutes) = (total / (60 * minute), total / minute % 60);
        f.write_str(sign)?;
        if hours > 0 {
            write!(f, "{hours}h")?;
        }
        if total >= minute {
            write!(f, "{minutes}m")?;
        }
        write!(f, "{}s", with_fraction(total % minute, 9))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_print_as_in_go() {
        for (text, nanos, printed) in [
            ("0", 0, "0s"),
            ("-0", 0, "0s"),
            ("0s", 0, "0s"),
            ("15s", 15_000_000_000, "15s"),
            ("60s", 60_000_000_000, "1m0s"),
            ("1m30s", 90_000_000_000, "1m30s"),
            ("1.5s", 1_500_000_000, "1.5s"),
            (".5m", 30_000_000_000, "30s"),
            ("1.h", 3_600_000_000_000, "1h0m0s"),
            ("1h1ms", 3_600_001_000_000, "1h0m0.001s"),
            ("0s5s", 5_000_000_000, "5s"),
            ("-2ms", -2_000_000, "-2ms"),
            ("+1500us", 1_500_000, "1.5ms"),
            ("11.112s", 11_112_000_000, "11.112s"),
            ("999ns", 999, "999ns"),
        ] {
            let duration: GoDuration = text.parse().unwrap();
            assert_eq!(
                (duration.as_nanos(), duration.to_string().as_str()),
                (nanos, printed),
                "{text}"
            );
        }
    }

    #[test]
    fn other_things_are_no_durations() {
        for text in [
            "",
            "-",
            "s",
            "5",
            "1.2.3s",
            ".s",
            "1d",
            "1 s",
            "1s ",
            "9999999999h",
            "1sm",
        ] {
            assert!(text.parse::<GoDuration>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_a_span_that_is_not_negative_is_one_for_waiting() {
        assert_eq!(
            GoDuration::from_secs(2).positive(),
            Some(Duration::from_secs(2))
        );
        assert_eq!(GoDuration::from_secs(-2).positive(), None);
        for (text, error) in [
            ("-2s", "`-2s` is negative"),
            ("2", "`2` is not a duration such as 15s or 1m30s"),
        ] {
            let read = GoDuration::read_positive(text);
            assert_eq!(read.unwrap_err().to_string(), error);
        }
    }
}
