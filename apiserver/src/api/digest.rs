//! A number for the content of a list: the `resourceVersion` of kinds that can be watched. A client that watches sends
//! the version of the list that it has.
//!
//! The number is computed from the content only. So any frontend can find out whether a client has the current list.

use std::hash::{BuildHasher as _, Hasher as _};

use foldhash::quality::FixedState;

use super::objects::Object;

/// An arbitrary number. It must be the same in all frontends.
const SEED: u64 = 0x7472_6962;

/// The hash of one object.
pub(super) fn of<T: Object>(object: &T, scratch: &mut Vec<u8>) -> u64 {
    scratch.clear();
    object.metadata(scratch, b"");
    object.fields(scratch);
    FixedState::with_seed(SEED).hash_one(&**scratch)
}

/// Computes the version of a list, object by object.
pub(super) struct Digest {
    names: <FixedState as std::hash::BuildHasher>::Hasher,
    contents: <FixedState as std::hash::BuildHasher>::Hasher,
}

/// The version of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version {
    /// The hash of the keys of the objects.
    names: u64,
    /// The hash of their contents.
    contents: u64,
}

impl Default for Digest {
    fn default() -> Self {
        let state = FixedState::with_seed(SEED);
        Self {
            names: state.build_hasher(),
            contents: state.build_hasher(),
        }
    }
}

impl Digest {
    /// Adds an object: its namespace and name, and the hash of its content.
    pub(super) fn add(&mut self, namespace: &str, name: &str, content: u64) {
        for part in [namespace, name] {
            self.names.write(part.as_bytes());
            self.names.write_u8(0xff);
        }
        self.contents.write_u64(content);
    }

    /// The version of a list of all added objects.
    pub(super) fn version(&self) -> Version {
        Version {
            names: self.names.finish(),
            contents: self.contents.finish(),
        }
    }

    /// The version of the list of `objects`.
    pub(super) fn version_of<T: Object>(objects: &[T]) -> Version {
        let (mut digest, mut scratch) = (Self::default(), Vec::new());
        for object in objects {
            let content = of(object, &mut scratch);
            digest.add(object.namespace(), object.name(), content);
        }
        digest.version()
    }
}

impl Version {
    /// Reads a version. `None` if the text is not one of ours.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let number: u128 = text.parse().ok()?;
        Some(Self {
            names: u64::try_from(number >> 64).ok()?,
            contents: u64::try_from(number & u128::from(u64::MAX)).ok()?,
        })
    }

    /// Whether the list has the same objects, perhaps with other contents.
    pub(super) fn has_names_of(self, other: Self) -> bool {
        self.names == other.names
    }
}

/// A whole number, as clients expect.
impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let number = u128::from(self.names) << 64 | u128::from(self.contents);
        write!(f, "{number}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(objects: &[(&str, u64)]) -> Version {
        let mut digest = Digest::default();
        for (name, content) in objects {
            digest.add("", name, *content);
        }
        digest.version()
    }

    #[test]
    fn names_and_contents_are_distinguished() {
        let before = version(&[("a", 1), ("b", 2)]);
        assert_eq!(version(&[("a", 1), ("b", 2)]), before);
        let changed = version(&[("a", 1), ("b", 3)]);
        assert!(changed != before && changed.has_names_of(before));
        for other in [
            &[("a", 1)][..],
            &[("a", 1), ("c", 2)],
            &[("ab", 1), ("", 2)],
            &[],
        ] {
            assert!(!version(other).has_names_of(before), "{other:?}");
        }
    }

    #[test]
    fn a_version_is_read_as_it_is_written() {
        let one = version(&[("a", 1)]);
        assert_eq!(Version::parse(&one.to_string()), Some(one));
        for text in ["", "x", "-1", "340282366920938463463374607431768211456"] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
    }
}
