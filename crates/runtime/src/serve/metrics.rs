//! Metrics of a server.

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// Metrics of a server. Cheap to clone; clones share their counters.
#[derive(Clone, Debug, Default)]
pub struct ServeMetrics {
    /// Connections that are open.
    pub open: Gauge,
    /// TLS handshakes that failed.
    pub handshake_errors: Counter,
    /// Connections that were evicted or not admitted.
    pub(super) evicted: Family<Evicted, Counter>,
    /// Requests that were refused for their head: too many header fields, or too long a path.
    pub(super) heads_refused: Counter,
    /// Connections that were closed because their peers sent too many control frames of HTTP/2.
    pub(super) control_frames_refused: Counter,
    /// Answers that their peers did not get completely.
    cut: Family<AnswerCut, Counter>,
    /// Connections that could not be accepted, for lack of descriptors or memory.
    pub(super) accept_errors: Counter,
    /// Panics of handlers, of response bodies and of connections.
    pub(super) panics: Counter,
}

/// Why a connection was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Evicted {
    reason: Reason,
}

/// The limit that caused an eviction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Reason {
    /// Connections of this address.
    PerSource,
    /// All connections.
    Total,
    /// File descriptors.
    Descriptors,
    /// A new connection, because all others are trusted.
    Refused,
}

impl EncodeLabelValue for Reason {
    fn encode(
        &self,
        encoder: &mut prometheus_client::encoding::LabelValueEncoder<'_>,
    ) -> Result<(), std::fmt::Error> {
        let word = match self {
            Self::PerSource => "address-share",
            Self::Total => "total",
            Self::Descriptors => "descriptors",
            Self::Refused => "refused",
        };
        EncodeLabelValue::encode(&word, encoder)
    }
}

/// Why an answer was not sent completely.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnswerCut {
    reason: Cut,
}

/// Why an answer was not sent completely although its connection was open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Cut {
    /// Its peer read nothing of it, and another request needed its permit.
    Room,
    /// It took too long.
    Deadline,
}

impl EncodeLabelValue for Cut {
    fn encode(
        &self,
        encoder: &mut prometheus_client::encoding::LabelValueEncoder<'_>,
    ) -> Result<(), std::fmt::Error> {
        let word = match self {
            Self::Room => "room",
            Self::Deadline => "deadline",
        };
        EncodeLabelValue::encode(&word, encoder)
    }
}

impl ServeMetrics {
    /// Registers the metrics of the server `name`. The name is part of theirs: `tributary_NAME_connections`. Servers
    /// with TLS register the errors of handshakes, too.
    pub fn register(name: &str, registry: &mut Registry) -> Self {
        let metrics = Self::default();
        for reason in [
            Reason::PerSource,
            Reason::Total,
            Reason::Descriptors,
            Reason::Refused,
        ] {
            drop(metrics.evicted.get_or_create(&Evicted { reason }));
        }
        for reason in [Cut::Room, Cut::Deadline] {
            drop(metrics.cut.get_or_create(&AnswerCut { reason }));
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
            "control_frames_refused",
            "Connections closed because their peers sent too many control frames of HTTP/2",
            metrics.control_frames_refused.clone(),
        );
        own.register(
            "answers_cut",
            "Answers that were not sent to their end, by why: room for others, or too late",
            metrics.cut.clone(),
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

    pub(super) fn cut(&self, reason: Cut) {
        self.cut.get_or_create(&AnswerCut { reason }).inc();
    }

    pub(super) fn evicted(&self, reason: Reason) {
        self.evicted.get_or_create(&Evicted { reason }).inc();
    }

    #[cfg(test)]
    pub(super) fn answers_cut(&self, reason: Cut) -> u64 {
        self.cut.get_or_create(&AnswerCut { reason }).get()
    }

    #[cfg(test)]
    pub(super) fn evictions(&self, reason: Reason) -> u64 {
        self.evicted.get_or_create(&Evicted { reason }).get()
    }
}
