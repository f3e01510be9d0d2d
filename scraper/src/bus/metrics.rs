//! The metrics of sending to frontends; their names and help texts exist only here.

mod words;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use tributary_proto::v1::{node_refused::Reason as NodeRefused, publish_request::Message};

pub(super) use self::words::node_refused;
use self::words::{KINDS, NODE_REFUSED, kind};

/// What the sending half of the bus counts. Clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct BusMetrics {
    /// Frontends that have taken our stream.
    pub(crate) connected: Gauge,
    /// Names that could not be looked up, each time.
    pub(crate) lookup_failures: Counter,
    known: Gauge,
    left_out: Gauge,
    denied: Counter,
    replaced: Counter,
    sent: Family<Kind, Counter>,
    oversized: Family<Kind, Counter>,
    nodes_refused: Family<Why, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Why {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

impl BusMetrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let new = Self::default();
        let bus = registry.sub_registry_with_prefix("tributary_bus");
        bus.register(
            "frontends_connected",
            "Frontends that have accepted this scraper's stream",
            new.connected.clone(),
        );
        bus.register(
            "frontends_known",
            "Frontends that this scraper sends to, connected or not",
            new.known.clone(),
        );
        bus.register(
            "frontends_skipped",
            "Frontends that this scraper knows and does not send to, because there are too many",
            new.left_out.clone(),
        );
        bus.register(
            "lookup_failures",
            "Lookups of the name of a frontend that failed or took longer than 5 s",
            new.lookup_failures.clone(),
        );
        bus.register(
            "streams_denied",
            "Streams that a frontend refused because of this scraper's credentials or permissions",
            new.denied.clone(),
        );
        bus.register(
            "readings_replaced",
            "Readings dropped because a newer one of the same node came before they were sent",
            new.replaced.clone(),
        );
        bus.register("messages_sent", "Messages sent, by kind", new.sent.clone());
        bus.register(
            "messages_oversized",
            "Messages longer than a frontend accepts, each sent as a failure of its node instead",
            new.oversized.clone(),
        );
        for kind in KINDS {
            drop(new.sent.get_or_create(&Kind { kind }));
        }
        for kind in ["roster", "reading"] {
            drop(new.oversized.get_or_create(&Kind { kind }));
        }
        bus.register(
            "nodes_refused",
            "Refusals of one node by a frontend, by reason",
            new.nodes_refused.clone(),
        );
        for reason in NODE_REFUSED {
            let reason = node_refused(reason);
            drop(new.nodes_refused.get_or_create(&Why { reason }));
        }
        new
    }

    pub(crate) fn node_refused(&self, reason: NodeRefused) {
        let reason = node_refused(reason);
        self.nodes_refused.get_or_create(&Why { reason }).inc();
    }

    pub(crate) fn frontends_known(&self, count: usize) {
        self.known.set(gauge(count));
    }

    /// Returns what it was before.
    pub(crate) fn frontends_left_out(&self, count: usize) -> usize {
        let before = self.left_out.set(gauge(count));
        usize::try_from(before).unwrap_or_default()
    }

    pub(crate) fn denied(&self) {
        self.denied.inc();
    }

    pub(crate) fn replaced(&self) {
        self.replaced.inc();
    }

    pub(crate) fn sent(&self, message: &Message) {
        let kind = kind(message);
        self.sent.get_or_create(&Kind { kind }).inc();
    }

    pub(crate) fn oversized(&self, message: &Message) {
        let kind = kind(message);
        self.oversized.get_or_create(&Kind { kind }).inc();
    }

    #[cfg(test)]
    pub(crate) fn oversized_total(&self, kind: &'static str) -> u64 {
        self.oversized.get_or_create(&Kind { kind }).get()
    }

    #[cfg(test)]
    pub(crate) fn known(&self) -> i64 {
        self.known.get()
    }

    #[cfg(test)]
    pub(crate) fn replaced_total(&self) -> u64 {
        self.replaced.get()
    }
}

/// `count` for a gauge.
fn gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
