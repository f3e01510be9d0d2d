//! The served groups, with their versions, resources and names.
//!
//! Discovery, OpenAPI and the router read [`GROUPS`]. Counters of requests and reviews get their names from
//! [`resources`]. A kind is one file with its [`Resource`] and its [`Kind`], and a line here.

use super::{
    fleet::{
        FLEET,
        frontends::MetricsFrontend,
        nodescrapes::NodeScrape,
        scrapers::Scraper,
        usages::{NodeUsage, PodUsage},
    },
    handlers,
    kind::Kind,
    nodes::NodeMetrics,
    objects::METRICS,
    pods::PodMetrics,
};
use crate::k8s::resource::{Resource, Resources, Version};

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
            Registered::of::<NodeUsage>(),
            Registered::of::<PodUsage>(),
        ],
    },
];

/// All resources of all groups, for code that needs only their names.
pub(crate) fn resources() -> Resources {
    let of = |group: &'static Group| {
        let versions = group.versions.iter();
        versions.flat_map(|version| group.resources().map(|resource| (*version, resource)))
    };
    GROUPS.iter().flat_map(of).collect()
}

/// A group of the API.
#[derive(Debug)]
pub(crate) struct Group {
    /// Its name.
    pub(crate) name: &'static str,
    /// The group in the names of operations.
    pub(crate) word: &'static str,
    /// The versions in the order of discovery. A client uses the first one that it knows.
    pub(crate) versions: &'static [Version],
    /// The kinds in the order of discovery.
    pub(crate) kinds: &'static [Registered],
}

/// A kind in its group.
#[derive(Debug)]
pub(crate) struct Registered {
    /// Its names.
    pub(crate) resource: &'static Resource,
    /// Lists its objects.
    pub(super) list: handlers::List,
    /// Answers with one of them.
    pub(super) one: handlers::One,
}

impl Registered {
    const fn of<K: Kind>() -> Self {
        Self {
            resource: K::RESOURCE,
            list: handlers::list::<K>,
            one: handlers::one::<K>,
        }
    }
}

/// Each exists once, so its address identifies it.
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
    #[cfg(test)]
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
}
