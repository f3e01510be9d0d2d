//! Names that are cheap to clone and cannot be mixed up.

use std::{borrow::Borrow, fmt, sync::Arc};

/// The name of a Node object.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName(Arc<str>);

/// The name of a container, unique within its pod.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerName(Arc<str>);

/// The namespace and name of a pod. Orders by namespace, then name, in bytes:
/// the order of every list the API serves (PARITY 5.3).
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
