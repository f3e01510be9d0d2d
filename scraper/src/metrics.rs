//! Every metric of this binary; names and help texts exist only here.

mod words;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};
use tributary_model::Endpoint;
use tributary_proto::v1::{node_refused::Reason as NodeRefused, publish_request::Message};

pub(crate) use self::words::node_refused;
use self::words::{KINDS, NODE_REFUSED, kind};
use crate::{
    kubelet::{PageCounters, Reason, decode::Refused},
    leases::BadLease,
    ownership::{Counts, Move, When},
};

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

/// What scraping counts. Clones count together.
#[derive(Clone, Debug)]
pub(crate) struct ScrapeMetrics {
    /// Nodes that this scraper asks.
    pub(crate) nodes: Gauge,
    /// Nodes that are asked at `--fast-resolution`.
    pub(crate) fast: Gauge,
    /// Wishes for one more of these that there was no room for.
    pub(crate) fast_refused: Counter,
    /// Scrapes in flight.
    pub(crate) in_flight: Gauge,
    /// How long kubelets take, those that fail too.
    pub(crate) duration: Histogram,
    outcomes: Family<Outcome, Counter>,
    readings: Family<Source, Counter>,
    refused: Family<Kind, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Source {
    endpoint: &'static str,
}

impl ScrapeMetrics {
    /// `pages` are counted by those who read them.
    pub(crate) fn register(registry: &mut Registry, pages: PageCounters) -> Self {
        let new = Self {
            nodes: Gauge::default(),
            fast: Gauge::default(),
            fast_refused: Counter::default(),
            in_flight: Gauge::default(),
            // 1 ms to 16 s.
            duration: Histogram::new(exponential_buckets(0.001, 2.0, 15)),
            outcomes: Family::default(),
            readings: Family::default(),
            refused: Family::default(),
        };
        let scrape = registry.sub_registry_with_prefix("tributary_scrape");
        scrape.register(
            "nodes",
            "Nodes that this scraper scrapes",
            new.nodes.clone(),
        );
        new.register_fast(scrape);
        scrape.register("in_flight", "Scrapes in flight", new.in_flight.clone());
        scrape.register_with_unit(
            "duration",
            "How long kubelets take to answer, failures included",
            Unit::Seconds,
            new.duration.clone(),
        );
        scrape.register(
            "outcomes",
            "Scrapes by outcome: ok, or the kind of failure",
            new.outcomes.clone(),
        );
        scrape.register(
            "readings",
            "Scrapes that gave numbers, by the endpoint of the kubelet",
            new.readings.clone(),
        );
        scrape.register(
            "series_refused",
            "Parts of kubelet pages that were refused, by reason",
            new.refused.clone(),
        );
        scrape.register_with_unit(
            "page",
            "Pages read, after inflation",
            Unit::Bytes,
            pages.bytes,
        );
        scrape.register(
            "large_pages_waited",
            "Pages over 1 MiB that had to wait for the memory of others",
            pages.waited,
        );
        // What never happened is 0: a rule must not wait for the first time.
        for outcome in ["ok"].into_iter().chain(Reason::ALL.map(Reason::as_str)) {
            drop(new.outcomes.get_or_create(&Outcome { outcome }));
        }
        for endpoint in Endpoint::ALL.map(Endpoint::as_str) {
            drop(new.readings.get_or_create(&Source { endpoint }));
        }
        for kind in Refused::ALL.map(Refused::as_str) {
            drop(new.refused.get_or_create(&Kind { kind }));
        }
        new
    }

    fn register_fast(&self, scrape: &mut Registry) {
        scrape.register(
            "fast_nodes",
            "Nodes that are scraped at --fast-resolution",
            self.fast.clone(),
        );
        scrape.register(
            "fast_nodes_refused",
            "Wishes of frontends to scrape a node at --fast-resolution, when enough are",
            self.fast_refused.clone(),
        );
    }

    pub(crate) fn outcome(&self, outcome: &'static str) {
        self.outcomes.get_or_create(&Outcome { outcome }).inc();
    }

    pub(crate) fn reading(&self, endpoint: Endpoint) {
        let endpoint = endpoint.as_str();
        self.readings.get_or_create(&Source { endpoint }).inc();
    }

    pub(crate) fn refused(&self, kind: &'static str, count: u64) {
        self.refused.get_or_create(&Kind { kind }).inc_by(count);
    }
}

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

/// What sharing the work counts. Clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct AssignmentMetrics {
    /// Scrapers of our group, us included.
    pub(crate) members: Gauge,
    /// Failed renewals of this scraper's Lease.
    pub(crate) lease_failures: Counter,
    /// Expired leases that we deleted.
    pub(crate) leases_cleaned: Counter,
    /// Scrapers that live and do not count, since they are too many.
    pub(crate) members_ignored: Gauge,
    leases_ignored: Family<Ignored, Counter>,
    /// Reports of overdue nodes that came faster than they were read.
    pub(crate) reports_dropped: Counter,
    nodes: Family<Role, Gauge>,
    changes: Family<Kind, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Role {
    role: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ignored {
    reason: &'static str,
}

impl AssignmentMetrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let new = Self::default();
        let assignment = registry.sub_registry_with_prefix("tributary_assignment");
        assignment.register(
            "members",
            "Members of the group, including this scraper",
            new.members.clone(),
        );
        assignment.register(
            "lease_failures",
            "Failed renewals of this scraper's Lease",
            new.lease_failures.clone(),
        );
        assignment.register(
            "leases_cleaned",
            "Expired Leases that this scraper deleted",
            new.leases_cleaned.clone(),
        );
        assignment.register(
            "members_ignored",
            "Scrapers that do not count as members, because there are too many",
            new.members_ignored.clone(),
        );
        assignment.register(
            "leases_ignored",
            "Leases of the group that do not count, by reason",
            new.leases_ignored.clone(),
        );
        for reason in BadLease::ALL.map(BadLease::as_str) {
            drop(new.leases_ignored.get_or_create(&Ignored { reason }));
        }
        assignment.register(
            "overdue_reports_dropped",
            "Reports of overdue nodes that arrived faster than they were read",
            new.reports_dropped.clone(),
        );
        assignment.register(
            "nodes",
            "Nodes by the role of this scraper: owner, standby, leaving, rescuer",
            new.nodes.clone(),
        );
        assignment.register(
            "changes",
            "Changes of this scraper's nodes, by kind",
            new.changes.clone(),
        );
        for kind in [
            "own_at_once",
            "own_at_phase",
            "expedite",
            "rescue",
            "release",
        ] {
            drop(new.changes.get_or_create(&Kind { kind }));
        }
        new.count(Counts::default());
        new
    }

    pub(crate) fn lease_ignored(&self, why: BadLease, count: u64) {
        let reason = why.as_str();
        self.leases_ignored
            .get_or_create(&Ignored { reason })
            .inc_by(count);
    }

    #[cfg(test)]
    pub(crate) fn leases_ignored_total(&self, why: BadLease) -> u64 {
        let reason = why.as_str();
        self.leases_ignored.get_or_create(&Ignored { reason }).get()
    }

    pub(crate) fn moved(&self, change: &Move) {
        let kind = match change {
            Move::Own(_, When::AtOnce) => "own_at_once",
            Move::Own(_, When::AtPhase) => "own_at_phase",
            Move::Expedite(_) => "expedite",
            Move::Rescue(..) => "rescue",
            Move::Release(_) => "release",
        };
        self.changes.get_or_create(&Kind { kind }).inc();
    }

    pub(crate) fn count(&self, counts: Counts) {
        for (role, nodes) in [
            ("owner", counts.owned),
            ("standby", counts.standby),
            ("leaving", counts.leaving),
            ("rescuer", counts.rescued),
        ] {
            self.nodes.get_or_create(&Role { role }).set(gauge(nodes));
        }
    }
}

fn gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
