//! Amounts of memory, as Kubernetes writes them.

use std::{fmt, str::FromStr};

/// Bytes, as in `65536`, `64Ki` or `4Mi`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteSize(u64);

/// Not an amount of memory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an amount of memory such as 65536, 64Ki or 4Mi")]
pub struct BadSize(String);

/// The largest first.
const UNITS: [(&str, u64); 2] = [("Mi", 1 << 20), ("Ki", 1 << 10)];

impl ByteSize {
    /// How many bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteSize {
    type Err = BadSize;

    fn from_str(text: &str) -> Result<Self, BadSize> {
        read(text).map(Self).ok_or_else(|| BadSize(text.to_owned()))
    }
}

fn read(text: &str) -> Option<u64> {
    let unit = UNITS
        .iter()
        .find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, *bytes)));
    let (number, bytes) = unit.unwrap_or((text, 1));
    // `parse` would take a sign, too.
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = number.parse().ok().filter(|_| is_number)?;
    number.checked_mul(bytes)
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |bytes: u64| self.0 > 0 && self.0.is_multiple_of(bytes);
        match UNITS.iter().find(|(_, bytes)| whole(*bytes)) {
            Some((unit, bytes)) => write!(f, "{}{unit}", self.0 / bytes),
            None => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written_as_kubernetes_does() {
        for (text, bytes, written) in [
            ("0", 0, "0"),
            ("65536", 65_536, "64Ki"),
            ("65537", 65_537, "65537"),
            ("64Ki", 65_536, "64Ki"),
            ("4Mi", 4_194_304, "4Mi"),
            ("4096Ki", 4_194_304, "4Mi"),
        ] {
            let size: ByteSize = text.parse().unwrap();
            assert_eq!((size.bytes(), size.to_string().as_str()), (bytes, written));
        }
        for text in [
            "",
            "Mi",
            "-1",
            "+1",
            "4MB",
            "4M",
            "4 Mi",
            "1.5Mi",
            "1e3",
            "18446744073709551615Ki",
        ] {
            assert_eq!(text.parse::<ByteSize>(), Err(BadSize(text.to_owned())));
        }
    }
}
