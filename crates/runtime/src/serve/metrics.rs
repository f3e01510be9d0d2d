//! What a server counts.

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// What a server counts. Cheap to clone; all clones count together.
#[derive(Clone, Debug, Default)]
pub struct ServeMetrics {
    /// Connections that are open.
    pub open: Gauge,
    /// TLS handshakes that failed.
    pub handshake_errors: Counter,
    /// Connections that were closed to make room, or not taken in.
    pub(super) evicted: Family<Evicted, Counter>,
    /// Requests refused for their head: too many header fields, or a path that is
    /// too long.
    pub(super) heads_refused: Counter,
    /// Connections that could not be accepted, for lack of descriptors or memory.
    pub(super) accept_errors: Counter,
    /// Panics of handlers, of the bodies of answers and of connections.
    pub(super) panics: Counter,
}

/// Why a connection was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Evicted {
    reason: Reason,
}

/// What there was no room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Reason {
    /// More connections from this address.
    Share,
    /// More connections.
    Total,
    /// More descriptors.
    Descriptors,
    /// A newcomer, because all others are trusted.
    Refused,
}

impl EncodeLabelValue for Reason {
    fn encode(
        &self,
        encoder: &mut prometheus_client::encoding::LabelValueEncoder<'_>,
    ) -> Result<(), std::fmt::Error> {
        let word = match self {
            Self::Share => "address-share",
            Self::Total => "total",
            Self::Descriptors => "descriptors",
            Self::Refused => "refused",
        };
        EncodeLabelValue::encode(&word, encoder)
    }
}

impl ServeMetrics {
    /// Registers the counters of the server called `name`, which is a part of the
    /// names: `tributary_NAME_connections`. The errors of handshakes are left to
    /// servers that have TLS.
    pub fn register(name: &str, registry: &mut Registry) -> Self {
        let metrics = Self::default();
        for reason in [
            Reason::Share,
            Reason::Total,
            Reason::Descriptors,
            Reason::Refused,
        ] {
            drop(metrics.evicted.get_or_create(&Evicted { reason }));
        }
        let own = registry.sub_registry_with_prefix(format!("tributary_{name}"));
        own.register(
            "connections",
            "Connections that are open",
            metrics.open.clone(),
        );
        own.register(
            "connections_evicted",
            "Connections that were closed to make room for others, by what there was no room for",
            metrics.evicted.clone(),
        );
        own.register(
            "heads_refused",
            "Requests refused with 431 or 414: too many header fields, or a path that is too long",
            metrics.heads_refused.clone(),
        );
        own.register(
            "accept_errors",
            "Connections that could not be accepted for lack of descriptors or memory",
            metrics.accept_errors.clone(),
        );
        own.register(
            "panics",
            "Panics while a request was answered, each a bug",
            metrics.panics.clone(),
        );
        metrics
    }

    pub(super) fn evicted(&self, reason: Reason) {
        self.evicted.get_or_create(&Evicted { reason }).inc();
    }

    #[cfg(test)]
    pub(super) fn evictions(&self, reason: Reason) -> u64 {
        self.evicted.get_or_create(&Evicted { reason }).get()
    }
}
