//! The versions and resources of the group, and their many names.

/// The group that is served.
pub(crate) const GROUP: &str = "metrics.k8s.io";

/// A version of the group. Both have the same fields and meanings
/// (docs/parity.md#discovery).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// `metrics.k8s.io/v1`
    V1,
    /// `metrics.k8s.io/v1beta1`
    V1Beta1,
}

impl Version {
    /// In the order of discovery: a client takes the first that it knows.
    pub(crate) const ALL: [Self; 2] = [Self::V1, Self::V1Beta1];

    /// The name of the version.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V1Beta1 => "v1beta1",
        }
    }

    /// The API version of an object.
    pub(crate) fn api_version(self) -> &'static str {
        match self {
            Self::V1 => "metrics.k8s.io/v1",
            Self::V1Beta1 => "metrics.k8s.io/v1beta1",
        }
    }
}

/// A resource of the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    /// What nodes use.
    Nodes,
    /// What pods use.
    Pods,
}

impl Resource {
    /// Its name in paths.
    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::Nodes => "nodes",
            Self::Pods => "pods",
        }
    }

    /// One of what it measures, in words.
    pub(crate) fn singular(self) -> &'static str {
        match self {
            Self::Nodes => "node",
            Self::Pods => "pod",
        }
    }

    /// What upstream calls a missing object, singular and plural as it comes.
    pub(crate) fn object(self) -> &'static str {
        match self {
            Self::Nodes => "node",
            Self::Pods => "pods",
        }
    }

    /// What upstream calls an object without metrics.
    pub(crate) fn metrics(self) -> &'static str {
        match self {
            Self::Nodes => "nodemetrics",
            Self::Pods => "podmetrics",
        }
    }

    /// The kind of an object.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Nodes => "NodeMetrics",
            Self::Pods => "PodMetrics",
        }
    }
}
