//! The metrics of tokens for kubelets; their names and help texts exist only here.

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

/// What requesting tokens for kubelets counts. Clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct TokenMetrics {
    /// Requests that gave no token.
    pub(crate) failures: Counter,
    /// When the newest token expires, in seconds since 1970.
    pub(crate) expires: Gauge,
}

impl TokenMetrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let new = Self::default();
        let token = registry.sub_registry_with_prefix("tributary_kubelet_token");
        token.register(
            "request_failures",
            "Failed requests for a token for kubelets",
            new.failures.clone(),
        );
        token.register(
            "expiration_timestamp_seconds",
            "When the newest token for kubelets expires; 0 without one",
            new.expires.clone(),
        );
        new
    }
}
