//! Canonical Kubernetes quantities, as `resource.Quantity` prints them.
//!
//! A quantity has one canonical text: with the largest suffix that leaves a whole number. CPU has powers of 1,000 from
//! `n` on, memory has powers of 1,024 (docs/parity.md#objects).

use tributary_model::{Bytes, NanoCores};

use super::json;

const DECIMAL: [&str; 7] = ["n", "u", "m", "", "k", "M", "G"];
const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/// Appends a CPU rate: `250m`, `1500064486n`, `2`.
pub(crate) fn cpu(out: &mut Vec<u8>, rate: NanoCores) {
    scaled::<1000>(out, kubernetes(rate.0), &DECIMAL);
}

/// Appends an amount of memory: `1536Ki`, `1000003`.
pub(crate) fn bytes(out: &mut Vec<u8>, amount: Bytes) {
    match kubernetes(amount.0) {
        // Below 1,024 upstream uses decimal suffixes: 1000 is `1k`.
        small @ 0..1024 => scaled::<1000>(out, small, &["", "k"]),
        large => scaled::<1024>(out, large, &BINARY),
    }
}

/// The value after upstream's int64 arithmetic, which drops the last digit above `i64::MAX` (docs/parity.md#rates).
fn kubernetes(value: u64) -> u64 {
    if i64::try_from(value).is_ok() {
        value
    } else {
        value / 10 * 10
    }
}

/// The base is a constant, so that the compiler removes the divisions.
fn scaled<const BASE: u64>(out: &mut Vec<u8>, mut value: u64, suffixes: &[&str]) {
    if value == 0 {
        out.push(b'0');
        return;
    }
    let mut suffix = "";
    for (at, next) in suffixes.iter().enumerate() {
        if at > 0 {
            if !value.is_multiple_of(BASE) {
                break;
            }
            value /= BASE;
        }
        suffix = next;
    }
    json::number(out, value);
    out.extend_from_slice(suffix.as_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cpu_text(nanos: u64) -> String {
        let mut out = Vec::new();
        cpu(&mut out, NanoCores(nanos));
        String::from_utf8(out).unwrap()
    }

    fn memory_text(amount: u64) -> String {
        let mut out = Vec::new();
        bytes(&mut out, Bytes(amount));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn cpu_is_written_as_kubernetes_writes_it() {
        for (nanos, text) in [
            (0, "0"),
            (1, "1n"),
            (999, "999n"),
            (1_000, "1u"),
            (1_500_064_486, "1500064486n"),
            (12_500_000, "12500u"),
            (1_000_000, "1m"),
            (250_000_000, "250m"),
            (1_000_000_000, "1"),
            (1_500_000_000, "1500m"),
            (2_000_000_000_000, "2k"),
            (10_000_000_000_000_000_000, "10G"),
            (9_223_372_036_854_775_807, "9223372036854775807n"),
            // Above `i64::MAX` the last digit is dropped.
            (9_223_372_036_854_775_809, "9223372036854775800n"),
            (18_446_744_073_709_551_615, "18446744073709551610n"),
        ] {
            assert_eq!(cpu_text(nanos), text, "{nanos}");
        }
    }

    #[test]
    fn memory_is_written_as_kubernetes_writes_it() {
        for (amount, text) in [
            (0, "0"),
            (1, "1"),
            (1000, "1k"),
            (1001, "1001"),
            (1023, "1023"),
            (1024, "1Ki"),
            (2000, "2000"),
            (1_616_273_408, "1578392Ki"),
            (1_048_576, "1Mi"),
            (1_572_864, "1536Ki"),
            (1_000_003, "1000003"),
            (1_000_000, "1000000"),
            (536_870_912, "512Mi"),
            (1 << 60, "1Ei"),
            (1 << 63, "9223372036854775800"),
            (18_446_744_073_709_551_615, "18446744073709551610"),
        ] {
            assert_eq!(memory_text(amount), text, "{amount}");
        }
    }

    /// The value that a client reads.
    fn read(text: &str) -> u128 {
        let split = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let (digits, suffix) = text.split_at(split);
        let factor = match suffix {
            "Ki" => 1 << 10,
            "Mi" => 1 << 20,
            "Gi" => 1 << 30,
            "Ti" => 1 << 40,
            "Pi" => 1 << 50,
            "Ei" => 1 << 60,
            "" => 1,
            "k" => 1000,
            other => panic!("{other}"),
        };
        digits.parse::<u128>().unwrap() * factor
    }

    proptest! {
        #[test]
        fn a_client_reads_back_what_was_measured(amount in 0_u64..=(1 << 62)) {
            prop_assert_eq!(read(&memory_text(amount)), u128::from(amount));
        }

        #[test]
        fn more_memory_never_reads_as_less(one in any::<u64>(), other in any::<u64>()) {
            let (less, more) = (one.min(other), one.max(other));
            prop_assert!(read(&memory_text(less)) <= read(&memory_text(more)));
        }
    }
}
