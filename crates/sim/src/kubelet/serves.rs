//! The page that a kubelet has.

/// The only page of a kubelet. Other paths get 404.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Serves {
    /// `/metrics/resource`, or where the node's annotation says.
    #[default]
    Resource,
    /// `/metrics/resource/v1alpha1`, as a kubelet 1.14.
    ResourceV1alpha1,
    /// `/stats/summary`, as a kubelet 1.8 or a virtual one.
    StatsSummary,
    /// None.
    Nothing,
}

impl Serves {
    /// The path, unless the node's annotation decides it.
    pub(super) fn path(self) -> Option<&'static str> {
        match self {
            Self::Resource | Self::Nothing => None,
            Self::ResourceV1alpha1 => Some("/metrics/resource/v1alpha1"),
            Self::StatsSummary => Some("/stats/summary"),
        }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::StatsSummary => "application/json",
            _ => "text/plain; version=0.0.4; charset=utf-8; escaping=underscores",
        }
    }
}

/// The subresource of nodes that a request to this path needs permission for.
pub(super) fn subresource(path: &str) -> &'static str {
    if path == "/stats" || path.starts_with("/stats/") {
        "stats"
    } else {
        "metrics"
    }
}
