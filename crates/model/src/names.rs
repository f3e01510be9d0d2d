//! Names that are cheap to clone and cannot be mixed up.

use std::{borrow::Borrow, fmt, sync::Arc};

use crate::roster::MAX_NAME;

/// Longest name of a namespace or container: a DNS label.
pub const MAX_LABEL: usize = 63;

/// Whether `text` is a DNS label, as the names of namespaces and containers are
/// (RFC 1123 as Kubernetes has it): 1 to 63 of `a` to `z`, `0` to `9` and `-`,
/// which is neither first nor last.
pub fn is_dns_label(text: &str) -> bool {
    text.len() <= MAX_LABEL && is_part(text.as_bytes())
}

/// Whether `text` is a DNS subdomain, as the names of pods and nodes are: up to
/// 253 bytes, parts as in a DNS label but of any length, with `.` in between.
pub fn is_dns_subdomain(text: &str) -> bool {
    let bytes = text.as_bytes();
    // Most have one part.
    let is_right = || is_part(bytes) || bytes.split(|byte| *byte == b'.').all(is_part);
    text.len() <= MAX_NAME && is_right()
}

fn is_part(bytes: &[u8]) -> bool {
    let is_end = |byte: Option<&u8>| byte.is_some_and(|byte| is_letter(*byte));
    is_end(bytes.first()) && is_end(bytes.last()) && bytes.iter().all(|byte| may_be_inside(*byte))
}

fn is_letter(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

/// By a table: every byte of every name that is new is looked at.
fn may_be_inside(byte: u8) -> bool {
    ALLOWED
        .get(usize::from(byte))
        .is_some_and(|allowed| *allowed)
}

#[expect(clippy::indexing_slicing, reason = "a bad place would not compile")]
static ALLOWED: [bool; 256] = {
    let mut allowed = [false; 256];
    let mut byte = 0;
    while byte < allowed.len() {
        // `-`, digits, lower case letters.
        allowed[byte] = matches!(byte, 0x2d | 0x30..=0x39 | 0x61..=0x7a);
        byte += 1;
    }
    allowed
};

/// The name of a Node object.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName(Arc<str>);

/// The name of a container, unique within its pod.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerName(Arc<str>);

/// The namespace and name of a pod. Orders by namespace, then name, in bytes:
/// the order of every list the API serves (docs/parity.md#objects).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodKey {
    /// The namespace of the pod.
    pub namespace: Arc<str>,
    /// Its name, unique within the namespace at any moment.
    pub name: Arc<str>,
}

impl PodKey {
    /// The key of the pod `name` in `namespace`.
    pub fn new(namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// Whether this is `other`; quicker than `==` where both share memory, because
    /// then no name is looked at.
    pub fn is(&self, other: &Self) -> bool {
        let same = |one, other| Arc::ptr_eq(one, other) || one == other;
        same(&self.name, &other.name) && same(&self.namespace, &other.namespace)
    }
}

impl fmt::Display for PodKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

macro_rules! name {
    ($type:ident) => {
        impl $type {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Whether this is `other`; quicker than `==` where both share memory.
            pub fn is(&self, other: &Self) -> bool {
                Arc::ptr_eq(&self.0, &other.0) || self == other
            }
        }

        impl<T: Into<Arc<str>>> From<T> for $type {
            fn from(name: T) -> Self {
                Self(name.into())
            }
        }

        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    };
}

name!(NodeName);
name!(ContainerName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_kubernetes_allows() {
        for (name, is_label, is_subdomain) in [
            ("web", true, true),
            ("0", true, true),
            ("kube-apiserver-node-1", true, true),
            ("etcd-ip-10-0-0-1.ec2.internal", false, true),
            ("a.b", false, true),
            ("a--b", true, true),
            ("", false, false),
            ("-a", false, false),
            ("a-", false, false),
            ("a-.b", false, false),
            ("a..b", false, false),
            (".a", false, false),
            ("a.", false, false),
            ("A", false, false),
            ("a_b", false, false),
            ("a b", false, false),
            ("a\"b", false, false),
            ("a\\b", false, false),
            ("a\u{1b}", false, false),
            ("a\n", false, false),
            ("\u{e4}", false, false),
        ] {
            assert_eq!(is_dns_label(name), is_label, "{name:?}");
            assert_eq!(is_dns_subdomain(name), is_subdomain, "{name:?}");
        }
        assert!(is_dns_label(&"a".repeat(63)) && !is_dns_label(&"a".repeat(64)));
        assert!(is_dns_subdomain(&"a".repeat(253)) && !is_dns_subdomain(&"a".repeat(254)));
    }
}
