//! Numbers as Go's Prometheus client prints them: `strconv.AppendFloat(value, 'g', -1, 64)`.

/// The most digits a double always keeps.
const DIGITS: usize = 15;

/// Writes `mantissa / 10^scale` as Go prints the nearest double.
///
/// The shortest digits, in scientific form if the exponent is below -4 or at least 6: 491520, but 2.121728e+07. Numbers
/// of more than 15 digits are cut off there, because a double does not keep more in general: a CPU counter beyond
/// eleven core-days then ends in tens of nanoseconds or more.
pub(crate) fn write(mantissa: u64, scale: u32, out: &mut Vec<u8>) {
    let mut buffer = [b'0'; 20];
    let digits = digits_of(mantissa, &mut buffer);
    if digits.is_empty() {
        out.push(b'0');
        return;
    }
    let scale = i64::from(scale);
    // The power of ten of the first digit.
    let exponent = i64::try_from(digits.len()).unwrap_or(0) - 1 - scale;
    let kept = digits.get(..digits.len().min(DIGITS)).unwrap_or(digits);
    let end = kept
        .iter()
        .rposition(|digit| *digit != b'0')
        .map_or(1, |last| last + 1);
    let kept = kept.get(..end).unwrap_or(kept);
    if !(-4..6).contains(&exponent) {
        scientific(kept, exponent, out);
    } else if let Ok(whole) = usize::try_from(exponent) {
        let whole = whole + 1;
        let (before, after) = kept.split_at_checked(whole).unwrap_or((kept, &[]));
        out.extend_from_slice(before);
        out.resize(out.len() + whole - before.len(), b'0');
        if !after.is_empty() {
            out.push(b'.');
            out.extend_from_slice(after);
        }
    } else {
        out.extend_from_slice(b"0.");
        let zeros = usize::try_from(-exponent - 1).unwrap_or(0);
        out.resize(out.len() + zeros, b'0');
        out.extend_from_slice(kept);
    }
}

fn scientific(digits: &[u8], exponent: i64, out: &mut Vec<u8>) {
    if let Some((first, rest)) = digits.split_first() {
        out.push(*first);
        if !rest.is_empty() {
            out.push(b'.');
            out.extend_from_slice(rest);
        }
    }
    out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
    if exponent.unsigned_abs() < 10 {
        out.push(b'0');
    }
    integer(exponent.unsigned_abs(), out);
}

/// Writes a whole number in full.
pub(crate) fn integer(value: u64, out: &mut Vec<u8>) {
    let mut buffer = [b'0'; 20];
    let digits = digits_of(value, &mut buffer);
    out.extend_from_slice(if digits.is_empty() { b"0" } else { digits });
}

/// The decimal digits, none for zero.
fn digits_of(mut value: u64, buffer: &mut [u8; 20]) -> &[u8] {
    let mut start = buffer.len();
    for (index, place) in buffer.iter_mut().enumerate().rev() {
        if value == 0 {
            break;
        }
        *place = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
        start = index;
    }
    buffer.get(start..).unwrap_or(&[])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(mantissa: u64, scale: u32) -> String {
        let mut out = Vec::new();
        write(mantissa, scale, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_look_as_in_the_pages_of_a_real_kubelet() {
        for (mantissa, scale, text) in [
            (7_139_915_453, 9, "7.139915453"),
            (3_878_793, 9, "0.003878793"),
            (431_804_173, 9, "0.431804173"),
            (21_217_280, 0, "2.121728e+07"),
            (491_520, 0, "491520"),
            (2_334_720, 0, "2.33472e+06"),
            (3_402_162_176, 0, "3.402162176e+09"),
            (7_250_367_519_314, 9, "7250.367519314"),
            (1_795_229_411_175_841, 6, "1.79522941117584e+09"),
            (0, 0, "0"),
        ] {
            assert_eq!(printed(mantissa, scale), text);
        }
    }

    #[test]
    fn the_exponent_appears_where_go_puts_it() {
        for (mantissa, scale, text) in [
            (999_999, 0, "999999"),
            (1_000_000, 0, "1e+06"),
            (100_000, 0, "100000"),
            (10_000_000_000, 9, "10"),
            (100, 9, "1e-07"),
            (99_999, 9, "9.9999e-05"),
            (100_000, 9, "0.0001"),
            (250_500_000_000, 9, "250.5"),
            (u64::MAX, 0, "1.84467440737095e+19"),
        ] {
            assert_eq!(printed(mantissa, scale), text);
        }
    }
}
