//! The metrics of scraping; their names and help texts exist only here.

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

use crate::kubelet::{PageCounters, Reason, decode::Refused};

/// What scraping counts. Clones count together.
#[derive(Clone, Debug)]
pub(crate) struct ScrapeMetrics {
    /// Nodes that this scraper asks.
    pub(crate) nodes: Gauge,
    /// Nodes that are asked at `--fast-resolution`.
    pub(crate) fast: Gauge,
    /// Wishes for one more of these that there was no room for.
    pub(crate) fast_refused: Counter,
    /// Scrapes ahead of the rhythm of a node, for new containers.
    pub(crate) sooner: Counter,
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

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

impl ScrapeMetrics {
    /// `pages` are counted by those who read them.
    pub(crate) fn register(registry: &mut Registry, pages: PageCounters) -> Self {
        let new = Self {
            nodes: Gauge::default(),
            fast: Gauge::default(),
            fast_refused: Counter::default(),
            sooner: Counter::default(),
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
        register_pages(scrape, pages);
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

    /// Scrapes beside the ordinary ones.
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
        scrape.register(
            "new_containers",
            "Scrapes ahead of the resolution, for containers that have one sample only",
            self.sooner.clone(),
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

fn register_pages(scrape: &mut Registry, pages: PageCounters) {
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
}
