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
use tributary_model::{Endpoint, Freshness};

use crate::kubelet::{PageCounters, Reason, decode::Refused};

/// Limits between which distances of samples are counted, in seconds: those of cAdvisor are 10 to 30.
const DISTANCES: [f64; 12] = [
    0.5, 1.0, 2.0, 5.0, 9.0, 11.0, 15.0, 20.0, 30.0, 60.0, 150.0, 600.0,
];

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
    /// What is learned of kubelets.
    pub(crate) freshness: FreshnessMetrics,
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
            freshness: FreshnessMetrics::new(),
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
        new.freshness.register(scrape);
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

/// What is learned of kubelets from the stamps of samples. Clones count together.
#[derive(Clone, Debug)]
pub(crate) struct FreshnessMetrics {
    kubelets: Family<Measures, Gauge>,
    /// How far apart samples are, once for each page with new ones.
    pub(crate) distances: Histogram,
    /// Scrapes at the fast resolution that waited for something new.
    pub(crate) postponed: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Measures {
    freshness: &'static str,
}

impl FreshnessMetrics {
    fn new() -> Self {
        let new = Self {
            kubelets: Family::default(),
            distances: Histogram::new(DISTANCES),
            postponed: Counter::default(),
        };
        for freshness in Freshness::WORDS {
            drop(new.kubelets.get_or_create(&Measures { freshness }));
        }
        new
    }

    fn register(&self, scrape: &mut Registry) {
        scrape.register(
            "kubelets",
            "Kubelets by what is known of when they measure",
            self.kubelets.clone(),
        );
        scrape.register_with_unit(
            "sample_distance",
            "Median distance between two samples of a container, of each page with new ones",
            Unit::Seconds,
            self.distances.clone(),
        );
        scrape.register(
            "fast_postponed",
            "Scrapes at --fast-resolution that waited, since the kubelet had nothing new sooner",
            self.postponed.clone(),
        );
    }

    /// Counts that a kubelet measures like this now, and before like that. `None`: it is not
    /// scraped.
    pub(crate) fn learned(&self, before: Option<Freshness>, now: Option<Freshness>) {
        let [before, now] = [before, now].map(|it| it.map(Freshness::as_str));
        if before == now {
            return;
        }
        if let Some(freshness) = before {
            self.kubelets.get_or_create(&Measures { freshness }).dec();
        }
        if let Some(freshness) = now {
            self.kubelets.get_or_create(&Measures { freshness }).inc();
        }
    }

    /// How many kubelets are known to measure like this.
    #[cfg(test)]
    pub(crate) fn kubelets(&self, freshness: &'static str) -> i64 {
        self.kubelets.get_or_create(&Measures { freshness }).get()
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
