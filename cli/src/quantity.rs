//! Quantities of Kubernetes as milli-values, rounded up as `MilliValue` of Go does.

/// The milli-value of a quantity: `250m` is 250, `64Mi` is 67,108,864,000. `None` if it is no quantity, or too large.
pub(crate) fn milli(text: &str) -> Option<i64> {
    let end = text.find(|letter: char| {
        !letter.is_ascii_digit() && letter != '.' && letter != '-' && letter != '+'
    });
    let (number, suffix) = text.split_at_checked(end.unwrap_or(text.len()))?;
    let (factor, divisor) = scale(suffix)?;
    let (negative, digits) = match number.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let joined: i128 = format!("{whole}{fraction}").parse().ok()?;
    let places = u32::try_from(fraction.len()).ok()?;
    let below = divisor.checked_mul(10_i128.checked_pow(places)?)?;
    let above = joined.checked_mul(factor)?;
    let above = if negative { -above } else { above };
    // Up, also for negative ones.
    let rounded = above.div_euclid(below) + i128::from(above.rem_euclid(below) != 0);
    i64::try_from(rounded).ok()
}

/// A quantity as a number, with the digits that Go's `AsApproximateFloat64` keeps of one that the API wrote. `None` if it is no
/// quantity.
pub(crate) fn near(text: &str) -> Option<f64> {
    let (digits, exponent) = match text.strip_suffix(['n', 'u', 'm']) {
        Some(digits) if text.ends_with('m') => (digits, -3),
        Some(digits) if text.ends_with('u') => (digits, -6),
        Some(digits) => (digits, -9),
        None => (text, 0),
    };
    let Ok(base) = digits.parse::<f64>() else {
        // A larger one, of which thousandths are enough.
        return format!("{}e-3", milli(text)?).parse().ok();
    };
    let power: f64 = format!("1e{exponent}").parse().ok()?;
    Some(base * power)
}

/// By what a number with this suffix is multiplied and divided to be a milli-value.
fn scale(suffix: &str) -> Option<(i128, i128)> {
    let power =
        |base: i128, exponent: u32| Some((base.checked_pow(exponent)?.checked_mul(1_000)?, 1));
    match suffix {
        "n" => Some((1, 1_000_000)),
        "u" => Some((1, 1_000)),
        "m" => Some((1, 1)),
        "" => Some((1_000, 1)),
        "k" => power(1_000, 1),
        "M" => power(1_000, 2),
        "G" => power(1_000, 3),
        "T" => power(1_000, 4),
        "P" => power(1_000, 5),
        "E" => power(1_000, 6),
        "Ki" => power(1_024, 1),
        "Mi" => power(1_024, 2),
        "Gi" => power(1_024, 3),
        "Ti" => power(1_024, 4),
        "Pi" => power(1_024, 5),
        "Ei" => power(1_024, 6),
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E'])?;
            let exponent: i32 = exponent.parse().ok()?;
            let size = 10_i128.checked_pow(exponent.unsigned_abs())?;
            if exponent < 0 {
                Some((1_000, size))
            } else {
                Some((size.checked_mul(1_000)?, 1))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{milli, near};

    #[test]
    fn parts_are_the_numbers_of_go() {
        for (text, expected) in [
            ("0", 0.0),
            ("1", 1.0),
            ("50m", 0.05),
            ("12500u", 0.0125),
            ("1k", 1_000.0),
        ] {
            let number = near(text).unwrap();
            assert!((number - expected).abs() < 1e-12, "{text}: {number}");
        }
        assert_eq!(near("x"), None);
    }

    #[test]
    fn quantities_are_milli_values_rounded_up() {
        for (text, expected) in [
            ("0", 0),
            ("1", 1_000),
            ("250m", 250),
            ("1500000n", 2),
            ("1000001n", 2),
            ("1000000n", 1),
            ("0.1", 100),
            (".5", 500),
            ("1.5k", 1_500_000),
            ("64Mi", 67_108_864_000),
            ("1e3", 1_000_000),
            ("1E-1", 100),
            ("-1500u", -1),
        ] {
            assert_eq!(milli(text), Some(expected), "{text}");
        }
        for text in ["", "m", "1x", "one", "9e99"] {
            assert_eq!(milli(text), None, "{text}");
        }
    }
}
