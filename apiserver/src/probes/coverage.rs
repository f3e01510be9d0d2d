//! Whether this frontend has enough metrics to be ready.
//!
//! It becomes ready when two shares are reached: the share of nodes that are served or have a known reason why not, and
//! the share of nodes that are served. The first share makes it wait for samples that will arrive soon. The second
//! share keeps a frontend that lacks most of the cluster out of service, because an answer with a part of the pods
//! misleads autoscalers more than no answer.
//!
//! A ready frontend stays ready until less than half of either share is left. So it stays ready through a bad cycle,
//! and through a node pool that grows faster than samples arrive (docs/decisions/0004-readiness.md).

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;
use tributary_model::{NodeName, Timestamp};
use tributary_runtime::selector::Selector;

use super::Known;
use crate::{
    args::SampleArgs,
    store::{CoverageCounts, NoMetrics},
};

/// How long a result is used. Any caller may request it, and it reads every node.
const STANDS: Duration = Duration::from_millis(250);

/// How many nodes are read at a time to find an example.
const EXAMPLES: usize = 256;

/// The readiness check of samples.
#[derive(Debug)]
pub(crate) struct Coverage {
    pub(crate) known: Known,
    node_selector: Option<Selector>,
    /// The share of nodes that must be served or have a known reason, in percent.
    wanted: u8,
    /// The share of nodes that must be served, in percent.
    wanted_served: u8,
    ready: AtomicBool,
    /// The last result and its time.
    result: Mutex<Option<(Instant, Result<(), String>)>>,
}

impl Coverage {
    /// The check over the nodes that `node_selector` selects, with the shares in `args`.
    pub(crate) fn new(known: Known, node_selector: Option<Selector>, args: &SampleArgs) -> Self {
        Self {
            known,
            node_selector,
            wanted: args.readiness_coverage,
            wanted_served: args.readiness_served,
            ready: AtomicBool::new(false),
            result: Mutex::default(),
        }
    }

    /// Checks both shares. The error says which one is missing and why. The result is computed at most four times a
    /// second.
    pub(crate) fn check(&self) -> Result<(), String> {
        let now = Instant::now();
        // Locked while the result is computed, because others would compute the same.
        let mut result = self.result.lock();
        match &*result {
            Some((at, found)) if now < *at + STANDS => found.clone(),
            _ => {
                let nodes = self.nodes();
                let found = self.judge(&nodes);
                // A result about no nodes costs nothing, and is not kept. Otherwise a frontend would be ready for a
                // moment after its nodes were listed, and serve none of them.
                *result = (!nodes.is_empty()).then(|| (now, found.clone()));
                found
            }
        }
    }

    fn judge(&self, nodes: &[NodeName]) -> Result<(), String> {
        // Before the nodes are listed there are none, too. So this does not count as having been ready.
        if nodes.is_empty() {
            return Ok(());
        }
        let now = self.known.now();
        let counts = self.known.store.coverage(nodes, now);
        let known = nodes.len();
        let enough = self.is_enough(known, counts);
        self.ready.store(enough, Ordering::Relaxed);
        if enough {
            return Ok(());
        }
        let CoverageCounts {
            served,
            failing,
            unusable,
        } = counts;
        let silent = known - served - failing - unusable;
        let example = self.example(nodes, now, failing > 0).unwrap_or_default();
        Err(format!(
            "{served} of {known} nodes have metrics, {failing} fail to be scraped, \
             {unusable} report nothing usable, {silent} were not reported{example}"
        ))
    }

    /// Whether both shares are reached. After the frontend was ready, half of each is enough.
    fn is_enough(&self, known: usize, counts: CoverageCounts) -> bool {
        let CoverageCounts {
            served,
            failing,
            unusable,
        } = counts;
        let was_ready = self.ready.load(Ordering::Relaxed);
        let divisor = if was_ready { 2 } else { 1 };
        let reaches = |count: usize, wanted: u8| {
            let needed = known.saturating_mul(usize::from(wanted)) / divisor;
            count.saturating_mul(100) >= needed
        };
        served > 0
            && reaches(served + failing + unusable, self.wanted)
            && reaches(served, self.wanted_served)
    }

    /// A node without metrics, and the reason. A failing node is preferred, because others may only need time. Stops at
    /// the first suitable node.
    fn example(&self, nodes: &[NodeName], now: Timestamp, any_fails: bool) -> Option<String> {
        let node_roles = &self.known.node_roles;
        let mut chunks = nodes.chunks(EXAMPLES);
        let (node, why) = chunks.find_map(|nodes| {
            let reports = self.known.store.reports(nodes, now).into_iter();
            let mut missing = nodes
                .iter()
                .zip(reports)
                .filter_map(|(node, report)| Some((node, report.why_not?)));
            missing.find(|(_, why)| !any_fails || matches!(why, NoMetrics::Failed(_)))
        })?;
        if !any_fails && !node_roles.any() {
            return None;
        }
        let scrapers = node_roles.any().then(|| node_roles.of(node.as_str()));
        let scrapers = scrapers.map_or_else(String::new, |it| format!("; {it}"));
        Some(format!(" (node {node}: {why}{scrapers})"))
    }

    fn nodes(&self) -> Vec<NodeName> {
        let Some(selector) = &self.node_selector else {
            return self.known.catalog.node_names();
        };
        let all = self.known.catalog.nodes_after(None, usize::MAX);
        let selected = all.iter().filter(|node| node.labels.meet(selector));
        selected.map(|node| node.name.clone()).collect()
    }
}

/// The check as a closure for the health endpoints.
pub(crate) fn check(
    coverage: Arc<Coverage>,
) -> impl Fn() -> Result<(), String> + Send + Sync + 'static {
    move || coverage.check()
}

#[cfg(test)]
mod tests {
    use tributary_runtime::clock::Clock;

    use super::*;
    use crate::{
        catalog::{Catalog, Labels, NodeRecord},
        scrapers::node_roles::{NodeRoles, Role},
        store::{FailedScrape, Source, Store},
    };

    fn coverage(nodes: &[&str]) -> Coverage {
        let catalog = Catalog::default();
        let record = |name: &&str| NodeRecord {
            name: (*name).into(),
            labels: Labels::default(),
        };
        catalog.set_nodes(nodes.iter().map(record).collect());
        Coverage {
            known: Known {
                catalog,
                store: Store::new(None),
                node_roles: NodeRoles::default(),
                clock: Clock::fixed("2026-11-21T10:00:00Z".parse().unwrap()),
            },
            node_selector: None,
            wanted: 90,
            wanted_served: 50,
            ready: AtomicBool::new(false),
            result: Mutex::default(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_result_lasts_for_a_moment_however_often_it_is_asked() {
        let coverage = coverage(&["n1"]);
        let missing = "0 of 1 nodes have metrics, 0 fail to be scraped, \
                       0 report nothing usable, 1 were not reported";
        assert_eq!(coverage.check(), Err(missing.to_owned()));
        coverage.known.catalog.set_nodes(Vec::new());
        tokio::time::advance(Duration::from_millis(249)).await;
        assert_eq!(coverage.check(), Err(missing.to_owned()));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(coverage.check(), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_result_about_no_nodes_does_not_last_when_nodes_are_listed() {
        let coverage = coverage(&[]);
        assert_eq!(coverage.check(), Ok(()));
        coverage.known.catalog.set_nodes(vec![NodeRecord {
            name: "n1".into(),
            labels: Labels::default(),
        }]);
        assert!(coverage.check().is_err());
    }

    #[test]
    fn a_probe_before_the_nodes_are_listed_lowers_no_share() {
        let coverage = coverage(&[]);
        assert_eq!(coverage.check(), Ok(()));
        let counts = CoverageCounts {
            served: 2,
            ..CoverageCounts::default()
        };
        assert!(!coverage.is_enough(3, counts));
    }

    #[test]
    fn ready_takes_a_share_served_and_a_share_answered_for() {
        for (known, [served, failing, unusable], starts, stays) in [
            // No node, all nodes, and four of five.
            (5, [0, 5, 0], false, false),
            (5, [5, 0, 0], true, true),
            (5, [4, 0, 1], true, true),
            (5, [4, 1, 0], true, true),
            (5, [4, 0, 0], false, true),
            // One node of ten, whatever the state of the others.
            (10, [1, 9, 0], false, false),
            (10, [1, 0, 9], false, false),
            // One of two nodes is down.
            (2, [1, 1, 0], true, true),
            (3, [1, 2, 0], false, true),
            (100, [50, 40, 0], true, true),
            (100, [49, 51, 0], false, true),
            (100, [25, 20, 0], false, true),
            (100, [24, 76, 0], false, false),
            (100, [44, 0, 0], false, false),
        ] {
            let coverage = coverage(&[]);
            let counts = CoverageCounts {
                served,
                failing,
                unusable,
            };
            let case = format!("{counts:?} of {known}");
            assert_eq!(coverage.is_enough(known, counts), starts, "{case}");
            coverage.ready.store(true, Ordering::Relaxed);
            assert_eq!(coverage.is_enough(known, counts), stays, "ready, {case}");
        }
    }

    #[test]
    fn what_is_missing_is_named_with_an_example() {
        let coverage = coverage(&["n1", "n2"]);
        let missing = "0 of 2 nodes have metrics, 0 fail to be scraped, \
                       0 report nothing usable, 2 were not reported";
        assert_eq!(coverage.judge(&coverage.nodes()), Err(missing.to_owned()));
        let mut stream_roles = coverage.known.node_roles.stream_roles("s1".into());
        stream_roles.take(Some(Role::Owner), vec!["n1".into()]);
        assert_eq!(
            coverage.judge(&coverage.nodes()),
            Err(format!(
                "{missing} (node n1: no scraper has reported it yet; owned by s1)"
            ))
        );
        let failed = FailedScrape {
            asked_at: Timestamp::from_millis(coverage.known.clock.now_millis() - 3_000),
            by: "s2".into(),
            reason: "dial",
            message: "connection refused".into(),
        };
        let source = Source {
            name: "s2".into(),
            resolution: Duration::from_secs(15),
        };
        coverage.known.store.fail(&"n2".into(), failed, &source);
        assert_eq!(
            coverage.judge(&coverage.nodes()),
            Err(
                "0 of 2 nodes have metrics, 1 fail to be scraped, 0 report nothing usable, 1 were not reported (node n2: \
                 last scrape failed 3s ago by s2: connection refused; no connected scraper \
                 owns it)"
                    .to_owned()
            )
        );
    }
}
