//! Distinguishes an object from an earlier one of the same name.

use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};

/// The UID of an object, in 16 bytes instead of 36 characters.
///
/// Kubernetes uses UUIDs. For any other text this is a hash, which is enough to distinguish two pods of one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Uid([u8; 16]);

impl From<&str> for Uid {
    fn from(text: &str) -> Self {
        Self(uuid(text).unwrap_or_else(|| hash(text)).to_be_bytes())
    }
}

impl Uid {
    /// Half of it, which is also enough to distinguish two objects of one name.
    pub(super) fn short(self) -> u64 {
        BuildHasherDefault::<DefaultHasher>::default().hash_one(self)
    }
}

fn uuid(text: &str) -> Option<u128> {
    let parts: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    let hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    (lengths == [8, 4, 4, 4, 12] && parts.iter().all(|part| hex(part)))
        .then(|| u128::from_str_radix(&parts.concat(), 16).ok())
        .flatten()
}

fn hash(text: &str) -> u128 {
    BuildHasherDefault::<DefaultHasher>::default()
        .hash_one(text)
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_kept_whole() {
        let uid = Uid::from("c3c8a1c4-5f0e-4d3a-9d60-1b2f3a4c5d6e");
        let bytes = 0xc3c8_a1c4_5f0e_4d3a_9d60_1b2f_3a4c_5d6e_u128.to_be_bytes();
        assert_eq!(uid, Uid(bytes));
        for other in [
            "c3c8a1c4-5f0e-4d3a-9d60-1b2f3a4c5d6f",
            "d3c8a1c4-5f0e-4d3a-9d60-1b2f3a4c5d6e",
        ] {
            assert_ne!(uid, Uid::from(other));
            assert_ne!(uid.short(), Uid::from(other).short());
        }
    }

    #[test]
    fn any_other_text_differs_from_the_next() {
        for text in ["", "u-1", "+3c8a1c4-5f0e-4d3a-9d60-1b2f3a4c5d6e"] {
            assert_eq!(Uid::from(text), Uid::from(text));
            assert_ne!(Uid::from(text), Uid::from("u-2"), "{text}");
        }
    }
}
