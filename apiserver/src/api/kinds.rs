//! The groups that are served, their versions and resources, and their many names.
//!
//! Whatever asks which resources there are, be it discovery, OpenAPI, counters of
//! requests or reviews, reads [`GROUPS`]. A kind is one file with its [`Resource`]
//! and its [`Kind`], and a line here.

use super::{
    fleet::{FLEET, frontends::MetricsFrontend, nodescrapes::NodeScrape, scrapers::Scraper},
    kind::{self, Kind},
    nodes::NodeMetrics,
    pods::PodMetrics,
};

/// All groups.
pub(crate) static GROUPS: [Group; 2] = [
    Group {
        name: METRICS,
        word: "Metrics",
        // Both have the same fields and meanings (docs/parity.md#discovery).
        versions: &[
            Version {
                name: "v1",
                api_version: "metrics.k8s.io/v1",
            },
            Version {
                name: "v1beta1",
                api_version: "metrics.k8s.io/v1beta1",
            },
        ],
        kinds: &[
            Registered::of::<NodeMetrics>(),
            Registered::of::<PodMetrics>(),
        ],
    },
    Group {
        name: FLEET,
        word: "Fleet",
        versions: &[Version {
            name: "v1alpha1",
            api_version: "fleet.tributary.dev/v1alpha1",
        }],
        kinds: &[
            Registered::of::<NodeScrape>(),
            Registered::of::<Scraper>(),
            Registered::of::<MetricsFrontend>(),
        ],
    },
];

/// The group of resource metrics.
pub(crate) const METRICS: &str = "metrics.k8s.io";

/// A group of the API.
#[derive(Debug)]
pub(crate) struct Group {
    /// Its name.
    pub(crate) name: &'static str,
    /// What stands for it in the names of operations.
    pub(crate) word: &'static str,
    /// In the order of discovery: a client takes the first that it knows.
    pub(crate) versions: &'static [Version],
    /// In the order of discovery.
    pub(crate) kinds: &'static [Registered],
}

/// A version of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    /// Its name.
    pub(crate) name: &'static str,
    /// The API version of an object: with the group.
    pub(crate) api_version: &'static str,
}

/// A kind in its group.
#[derive(Debug)]
pub(crate) struct Registered {
    /// Its names.
    pub(crate) resource: &'static Resource,
    /// Lists its objects.
    pub(super) list: kind::List,
    /// Answers with one of them.
    pub(super) one: kind::One,
}

/// What can be asked for: the names of a kind, and what it can do.
#[derive(Debug)]
pub(crate) struct Resource {
    /// The group that it is of.
    pub(crate) group: &'static str,
    /// Its name in paths.
    pub(crate) plural: &'static str,
    /// What one is called in commands; empty if that would hide another resource.
    pub(crate) singular: &'static str,
    /// What it is called in commands, too.
    pub(crate) short: &'static [&'static str],
    /// The kind of an object.
    pub(crate) kind: &'static str,
    /// Whether objects are in namespaces. What those hold is for tenants.
    pub(crate) namespaced: bool,
    /// Whether it is served in protobuf beside JSON and YAML.
    pub(crate) protobuf: bool,
    /// Whether it can be watched. Lists then have a version.
    pub(crate) watched: bool,
    /// By which fields objects can be selected, beside name and namespace.
    pub(crate) fields: &'static [&'static str],
    /// One of what it is about, in words.
    pub(crate) about: &'static str,
    /// The kind in the error for a missing object, and the group, if the error has one.
    pub(crate) missing: (&'static str, &'static str),
    /// What its tokens bear, which continue lists of no other resource.
    pub(crate) mark: u8,
    /// The schemas in a version, by name: of an object, a list, and their parts.
    pub(crate) schemas: fn(Version) -> serde_json::Map<String, serde_json::Value>,
    /// What the names of these two begin with, before the version.
    pub(crate) package: &'static str,
}

impl Registered {
    const fn of<K: Kind>() -> Self {
        Self {
            resource: K::RESOURCE,
            list: kind::list::<K>,
            one: kind::one::<K>,
        }
    }
}

/// There is one of each, at one place.
impl PartialEq for Registered {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.resource, other.resource)
    }
}

impl Eq for Registered {}

impl Group {
    /// The group of this name.
    pub(crate) fn find(name: &str) -> Option<&'static Self> {
        GROUPS.iter().find(|group| group.name == name)
    }

    /// The version of this name.
    pub(crate) fn version(&self, name: &str) -> Option<Version> {
        let mut versions = self.versions.iter();
        versions.find(|version| version.name == name).copied()
    }

    /// Its resources.
    pub(crate) fn resources(&self) -> impl Iterator<Item = &'static Resource> {
        self.kinds.iter().map(|kind| kind.resource)
    }

    /// The kind of this name in paths.
    pub(crate) fn kind(&self, plural: &str) -> Option<&'static Registered> {
        let mut kinds = self.kinds.iter();
        kinds.find(|kind| kind.resource.plural == plural)
    }

    /// The resource of this name in paths.
    pub(crate) fn resource(&self, plural: &str) -> Option<&'static Resource> {
        Some(self.kind(plural)?.resource)
    }
}

impl Resource {
    /// What can be done with it.
    pub(crate) fn verbs(&self) -> &'static [&'static str] {
        if self.watched {
            &["get", "list", "watch"]
        } else {
            &["get", "list"]
        }
    }

    /// As upstream names it in refusals: with the group.
    pub(crate) fn qualified(&self) -> String {
        format!("{}.{}", self.plural, self.group)
    }
}
