//! Numbers of a page, exact.
//!
//! A page says `7.139915453` core-seconds and we count nanoseconds. Through a
//! float that may come out one too low; read as digits and a power of ten it
//! cannot, and is faster.

/// A number as digits and a power of ten.
///
/// # Invariants
///
/// Worth `digits` times ten to the `exponent`, cut after nineteen significant
/// digits, which are more than any float has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decimal {
    digits: u64,
    exponent: i32,
}

/// Why a text is not a number that can be counted with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadNumber {
    /// Not a decimal number: also hexadecimal ones and digits with underscores.
    #[error("not a number")]
    Malformed,
    /// `NaN` or an infinity.
    #[error("not finite")]
    NotFinite,
    /// Below zero.
    #[error("negative")]
    Negative,
    /// More than a counter holds.
    #[error("too large")]
    Overflow,
}

/// Below this another digit fits an `u64`, whatever it is.
const ROOM: u64 = 1_000_000_000_000_000_000;

impl Decimal {
    /// Reads a number in the spelling of the exposition format, at least zero.
    pub(super) fn parse(text: &[u8]) -> Result<Self, BadNumber> {
        let (negative, text) = match text.split_first() {
            Some((b'-', rest)) => (true, rest),
            Some((b'+', rest)) => (false, rest),
            _ => (false, text),
        };
        if !matches!(text.first(), Some(b'0'..=b'9' | b'.')) {
            return Err(if is_not_finite(text) {
                BadNumber::NotFinite
            } else {
                BadNumber::Malformed
            });
        }
        let number = Self::unsigned(text)?;
        if negative && number.digits > 0 {
            return Err(BadNumber::Negative);
        }
        Ok(number)
    }

    fn unsigned(text: &[u8]) -> Result<Self, BadNumber> {
        let (mut digits, mut exponent) = (0_u64, 0_i32);
        let (mut seen, mut after_point) = (false, false);
        let mut bytes = text.iter();
        for byte in bytes.by_ref() {
            match byte {
                b'0'..=b'9' => {
                    seen = true;
                    if digits < ROOM {
                        digits = digits * 10 + u64::from(byte - b'0');
                        exponent -= i32::from(after_point);
                    } else {
                        exponent = exponent.saturating_add(i32::from(!after_point));
                    }
                }
                b'.' if !after_point => after_point = true,
                b'e' | b'E' if seen => {
                    exponent = exponent.saturating_add(power(bytes.as_slice())?);
                    return Ok(Self { digits, exponent });
                }
                _ => return Err(BadNumber::Malformed),
            }
        }
        if seen {
            Ok(Self { digits, exponent })
        } else {
            Err(BadNumber::Malformed)
        }
    }

    /// This number times ten to the `shift`, cut to a whole number.
    ///
    /// # Errors
    ///
    /// [`BadNumber::Overflow`] from `u64::MAX` on, which the columns of a
    /// reading use for what is missing.
    pub(super) fn scaled(self, shift: i32) -> Result<u64, BadNumber> {
        if self.digits == 0 {
            return Ok(0);
        }
        let power = self.exponent.saturating_add(shift);
        let factor = 10_u64.checked_pow(power.unsigned_abs());
        let whole = if power < 0 {
            // Dividing by more than any `u64` leaves nothing.
            factor.map_or(0, |factor| self.digits / factor)
        } else {
            factor
                .and_then(|factor| self.digits.checked_mul(factor))
                .filter(|whole| *whole != u64::MAX)
                .ok_or(BadNumber::Overflow)?
        };
        Ok(whole)
    }
}

/// Whether this is a number of the format, one that cannot be counted with
/// included.
pub(super) fn is_number(text: &[u8]) -> bool {
    !matches!(Decimal::parse(text), Err(BadNumber::Malformed))
}

fn is_not_finite(text: &[u8]) -> bool {
    ["nan", "inf", "infinity"]
        .iter()
        .any(|word| text.eq_ignore_ascii_case(word.as_bytes()))
}

/// The digits after an `e`. Huge ones saturate: the number is then zero or too
/// large whatever they are.
fn power(text: &[u8]) -> Result<i32, BadNumber> {
    let (negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(BadNumber::Malformed);
    }
    let power = digits.iter().fold(0_i32, |power, digit| {
        power
            .saturating_mul(10)
            .saturating_add(i32::from(digit - b'0'))
    });
    Ok(if negative { -power } else { power })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nanos(text: &str) -> Result<u64, BadNumber> {
        Decimal::parse(text.as_bytes()).and_then(|number| number.scaled(9))
    }

    #[test]
    fn seconds_become_nanoseconds_to_the_last_digit() {
        for (text, expected) in [
            ("7.139915453", 7_139_915_453),
            ("0.003878793", 3_878_793),
            ("7254.950014541", 7_254_950_014_541),
            ("1.795229411156014e+09", 1_795_229_411_156_014_000),
            ("2.121728e+07", 21_217_280_000_000_000),
            ("1e-10", 0),
            ("1.9999999999", 1_999_999_999),
            ("-0", 0),
            ("+5", 5_000_000_000),
            (".5", 500_000_000),
            ("5.", 5_000_000_000),
            ("0e999999999999", 0),
            ("1e-999999999999", 0),
            ("000000000000000000000000001", 1_000_000_000),
            ("0.00000000000000000000000001e26", 1_000_000_000),
            ("0.1234567891234567891234", 123_456_789),
        ] {
            assert_eq!(nanos(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn bytes_are_cut_to_whole_ones() {
        let bytes = |text: &str| Decimal::parse(text.as_bytes()).unwrap().scaled(0);
        assert_eq!(bytes("3.391307776e+09"), Ok(3_391_307_776));
        assert_eq!(bytes("0.5"), Ok(0));
        assert_eq!(
            bytes("18446744073709551614"),
            Ok(18_446_744_073_709_551_610)
        );
        assert_eq!(bytes("99999999999999999999999"), Err(BadNumber::Overflow));
    }

    #[test]
    fn what_cannot_be_counted_with_says_why() {
        for (text, expected) in [
            ("NaN", BadNumber::NotFinite),
            ("+Inf", BadNumber::NotFinite),
            ("-Inf", BadNumber::NotFinite),
            ("-1", BadNumber::Negative),
            ("1e30", BadNumber::Overflow),
            ("1e999999999999", BadNumber::Overflow),
            ("18446744074", BadNumber::Overflow),
            ("0x1p-2", BadNumber::Malformed),
            ("1_000", BadNumber::Malformed),
            ("1e", BadNumber::Malformed),
            ("1.2.3", BadNumber::Malformed),
            (".", BadNumber::Malformed),
            ("-", BadNumber::Malformed),
            ("", BadNumber::Malformed),
            ("e5", BadNumber::Malformed),
        ] {
            assert_eq!(nanos(text), Err(expected), "{text}");
        }
    }
}
