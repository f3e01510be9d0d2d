//! Which nodes lack fresh samples, so that their standbys scrape them
//! (docs/decisions/0009-leases-and-ownership.md).
//!
//! All streams get one list: a frontend does not know the standbys of a node, and a scraper skips
//! nodes of others.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use tributary_model::{NodeName, Timestamp, overdue_after};
use tributary_proto::limits::OVERDUE_NODES;
use tributary_runtime::{clock::Clock, log_limiter::LogLimiter};

use super::BusMetrics;
use crate::{
    catalog::Catalog,
    store::{Newest, Store},
};

/// Nodes are checked eight times in a resolution, but at least this often, so that a rescue begins
/// soon after the deadline.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The shortest interval, whatever resolution a publisher claims.
const LOOK_AT_MOST_EVERY: Duration = Duration::from_millis(50);

/// The nodes without fresh samples, and when each is reported next.
#[derive(Debug, Default)]
pub(crate) struct Overdue {
    next: HashMap<NodeName, Timestamp>,
}

impl Overdue {
    /// The nodes to report now, and how many are overdue in all.
    ///
    /// A node is reported when its newest sample is older than 1.5 resolutions, and again after
    /// each resolution in which it stays overdue. A node without any sample has 1.5 resolutions
    /// from now.
    fn take(&mut self, nodes: &[(NodeName, Newest)], now: Timestamp) -> (Vec<NodeName>, usize) {
        let (mut report, mut overdue) = (Vec::new(), 0);
        for (name, newest) in nodes {
            let patience = overdue_after(newest.resolution);
            if let Some(asked_at) = newest.asked_at {
                if now <= asked_at.plus(patience) {
                    self.next.remove(name);
                    continue;
                }
                self.next.entry(name.clone()).or_insert(now);
            }
            let first = now.plus(patience);
            let next = self.next.entry(name.clone()).or_insert(first);
            overdue += usize::from(newest.asked_at.is_some() || *next <= now);
            if *next <= now && report.len() < OVERDUE_NODES {
                *next = now.plus(newest.resolution);
                report.push(name.clone());
            }
        }
        if self.next.len() > nodes.len() {
            let there: HashSet<&NodeName> = nodes.iter().map(|(name, _)| name).collect();
            self.next.retain(|name, _| there.contains(name));
        }
        (report, overdue)
    }
}

/// The log lines about overdue nodes. A publisher chooses its resolution, and with it how often
/// this changes. The last state is always logged.
#[derive(Debug, Default)]
struct OverdueLog {
    log_limiter: LogLimiter,
    said: bool,
    /// The last state, and how often it changed without a log line.
    seen: bool,
    changes: u64,
}

impl OverdueLog {
    /// Takes the state. If it should be logged now, returns it with the number of changes that were
    /// not logged.
    fn take(&mut self, overdue: bool) -> Option<(bool, u64)> {
        if self.seen != overdue {
            self.seen = overdue;
            self.changes += 1;
        }
        if self.said == overdue || self.log_limiter.allow().is_none() {
            return None;
        }
        self.said = overdue;
        Some((overdue, std::mem::take(&mut self.changes).saturating_sub(1)))
    }
}

/// Reports for every stream. A slow stream misses some; nodes that stay overdue are reported again.
pub(crate) type Report = Arc<[NodeName]>;

/// Checks for overdue nodes until `stop` and sends them to every stream.
pub(crate) async fn report_overdue(
    catalog: Catalog,
    store: Store,
    clock: Clock,
    metrics: BusMetrics,
    reports: watch::Sender<Report>,
    stop: CancellationToken,
) {
    let mut overdue = Overdue::default();
    let mut log = OverdueLog::default();
    let mut wait = POLL_INTERVAL;
    while stop
        .run_until_cancelled(tokio::time::sleep(wait))
        .await
        .is_some()
    {
        let nodes = store.newest(catalog.node_names());
        // No publisher has ever connected, so no stream needs it.
        let Some(resolution) = nodes.iter().map(|(_, newest)| newest.resolution).min() else {
            continue;
        };
        wait = (resolution / 8).clamp(LOOK_AT_MOST_EVERY, POLL_INTERVAL);
        let now = Timestamp::from_millis(clock.now_millis());
        let (report, count) = overdue.take(&nodes, now);
        metrics
            .overdue
            .set(i64::try_from(count).unwrap_or(i64::MAX));
        match log.take(count > 0) {
            Some((true, suppressed)) => {
                warn!(nodes = count, suppressed, "nodes are overdue");
            }
            Some((false, suppressed)) => info!(suppressed, "no node is overdue"),
            None => {}
        }
        if !report.is_empty() {
            reports.send_replace(report.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESOLUTION: Duration = Duration::from_secs(10);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    /// The times at which a node is reported, if it is checked every second until 60. It was last scraped at
    /// `asked_at`.
    fn reports(asked_at: &[i64]) -> Vec<i64> {
        let mut overdue = Overdue::default();
        let reported = |now: &i64| {
            let newest = Newest {
                asked_at: asked_at
                    .iter()
                    .rev()
                    .find(|asked| *asked <= now)
                    .map(|at_| at(*at_)),
                resolution: RESOLUTION,
            };
            let (report, _) = overdue.take(&[("n1".into(), newest)], at(*now));
            !report.is_empty()
        };
        (0..=60).filter(reported).collect()
    }

    #[test]
    fn a_node_is_reported_after_one_and_a_half_resolutions_and_then_after_each() {
        assert_eq!(reports(&[0, 10, 20]), [36, 46, 56]);
        assert_eq!(reports(&[0, 10, 20, 30, 40, 50]), [0_i64; 0]);
        assert_eq!(reports(&[0, 30, 40]), [16, 26, 56]);
    }

    #[test]
    fn a_node_that_was_never_scraped_is_reported_too() {
        assert_eq!(reports(&[]), [15, 25, 35, 45, 55]);
        assert_eq!(reports(&[14, 24, 34, 44, 54]), [0_i64; 0]);
    }

    #[test]
    fn a_report_has_a_maximum_and_the_rest_comes_next() {
        let mut overdue = Overdue::default();
        let newest = Newest {
            asked_at: Some(at(0)),
            resolution: RESOLUTION,
        };
        let nodes: Vec<_> = (0..5_000)
            .map(|n| (format!("n{n}").into(), newest))
            .collect();
        let mut sizes = Vec::new();
        for now in 16..19 {
            let (report, count) = overdue.take(&nodes, at(now));
            assert_eq!(count, 5_000);
            sizes.push(report.len());
        }
        assert_eq!(sizes, [4_096, 904, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn however_often_it_changes_there_are_few_lines_and_the_last_is_true() {
        let mut log = OverdueLog::default();
        let mut lines = Vec::new();
        // There are ten changes a second for 25 seconds, and then none.
        for take in 0..400_u32 {
            let overdue = take < 250 && take.is_multiple_of(2);
            if let Some((overdue, suppressed)) = log.take(overdue) {
                lines.push((take / 10, overdue, suppressed));
            }
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        assert_eq!(
            lines,
            [
                (0, true, 0),
                (10, false, 100),
                (20, true, 100),
                (30, false, 46)
            ]
        );
    }

    #[test]
    fn a_node_that_is_gone_is_forgotten() {
        let mut overdue = Overdue::default();
        let newest = Newest {
            asked_at: Some(at(0)),
            resolution: RESOLUTION,
        };
        overdue.take(&[("n1".into(), newest), ("n2".into(), newest)], at(20));
        overdue.take(&[("n2".into(), newest)], at(21));
        assert_eq!(overdue.next.len(), 1);
    }
}
