//! Where on a kubelet numbers come from.

/// An endpoint of a kubelet that gives numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `/metrics/resource`, since Kubernetes 1.18, or a page of this form at the path
    /// that the node names.
    #[default]
    Resource,
    /// `/metrics/resource/v1alpha1`, of Kubernetes 1.14 to 1.19.
    ResourceV1alpha1,
    /// `/stats/summary`, of every Kubernetes: JSON, with times in whole seconds.
    StatsSummary,
}

impl Endpoint {
    /// Every endpoint, the best first.
    pub const ALL: [Self; 3] = [Self::Resource, Self::ResourceV1alpha1, Self::StatsSummary];

    /// Its path.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Resource => "/metrics/resource",
            Self::ResourceV1alpha1 => "/metrics/resource/v1alpha1",
            Self::StatsSummary => "/stats/summary",
        }
    }

    /// A word for labels of metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Resource => "resource",
            Self::ResourceV1alpha1 => "resource-v1alpha1",
            Self::StatsSummary => "stats-summary",
        }
    }
}
