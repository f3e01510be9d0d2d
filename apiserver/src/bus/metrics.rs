//! Metrics of the frontend's side of the bus.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use tributary_runtime::serve::ServeMetrics;

/// Why a message is refused.
const REFUSED: [&str; 14] = [
    "roster",
    "reading",
    "failure",
    "share",
    "streams",
    "nodes",
    "containers",
    "names",
    "node",
    "unknown-node",
    "message",
    "malformed",
    "source",
    "protocol",
];

/// Metrics of the bus. Cheap to clone; clones share their counters.
#[derive(Clone, Debug, Default)]
pub struct BusMetrics {
    /// Streams that are open.
    pub(super) streams: Gauge,
    /// Nodes whose samples are overdue.
    pub(super) overdue: Gauge,
    /// Reports of such nodes, over all streams.
    pub(super) reports: Counter,
    /// How often a stream needed a permit to have messages decoded.
    pub(super) decode_permits: Counter,
    /// How often a stream was throttled.
    pub(super) throttled: Counter,
    /// Metrics of all servers that accept streams.
    pub(super) serve: ServeMetrics,
    readings: Family<Outcome, Counter>,
    refused: Family<Reason, Counter>,
    failures: Counter,
    rosters: Counter,
    need_roster: Counter,
    unknown: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

impl BusMetrics {
    /// Registers the counters; names and help texts exist only here.
    pub fn register(registry: &mut Registry) -> Self {
        let new = Self {
            serve: ServeMetrics::register("bus", registry),
            ..Self::default()
        };
        let bus = registry.sub_registry_with_prefix("tributary_bus");
        bus.register(
            "streams",
            "Streams of publishers that are open",
            new.streams.clone(),
        );
        bus.register(
            "nodes_overdue",
            "Nodes whose newest sample is older than 1.5 resolutions",
            new.overdue.clone(),
        );
        bus.register(
            "overdue_reports",
            "Reports of overdue nodes to publishers",
            new.reports.clone(),
        );
        bus.register(
            "decode_permits",
            "Permits that streams needed to have messages decoded",
            new.decode_permits.clone(),
        );
        bus.register(
            "throttled",
            "Waits of a stream because it sends too fast",
            new.throttled.clone(),
        );
        bus.register(
            "readings",
            "Readings stored, by outcome",
            new.readings.clone(),
        );
        bus.register(
            "refused",
            "Messages and streams refused, by reason",
            new.refused.clone(),
        );
        bus.register(
            "scrape_failures",
            "Failed scrapes that publishers reported",
            new.failures.clone(),
        );
        bus.register("rosters", "Rosters stored", new.rosters.clone());
        bus.register(
            "rosters_requested",
            "Readings that named an unknown roster",
            new.need_roster.clone(),
        );
        bus.register(
            "unknown_messages",
            "Messages of a later version, which are skipped",
            new.unknown.clone(),
        );
        new.create_series();
        new
    }

    /// Creates each series at 0, because a rule must not wait for the first event.
    fn create_series(&self) {
        for outcome in ["first", "newer", "repeated", "older", "clock_set"] {
            drop(self.readings.get_or_create(&Outcome { outcome }));
        }
        for reason in REFUSED {
            drop(self.refused.get_or_create(&Reason { reason }));
        }
    }

    pub(super) fn reading(&self, outcome: &'static str) {
        self.readings.get_or_create(&Outcome { outcome }).inc();
    }

    pub(super) fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&Reason { reason }).inc();
    }

    pub(super) fn failure(&self) {
        self.failures.inc();
    }

    pub(super) fn roster(&self) {
        self.rosters.inc();
    }

    pub(super) fn need_roster(&self) {
        self.need_roster.inc();
    }

    pub(super) fn unknown(&self) {
        self.unknown.inc();
    }
}
