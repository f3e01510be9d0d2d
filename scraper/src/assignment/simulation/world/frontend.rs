//! A frontend, as far as scrapers notice.

use std::{collections::BTreeMap, time::Duration};

use tributary_model::{NodeName, Timestamp};

use super::RESOLUTION;

/// How often a frontend looks for overdue nodes.
const LOOK_EVERY_MS: i64 = 1_000;

#[derive(Debug)]
pub(super) struct Frontend {
    /// When each node was last asked, of what has arrived.
    newest: BTreeMap<NodeName, Timestamp>,
    report_at: BTreeMap<NodeName, Timestamp>,
    /// When it looks within a second: not all do at the same moment.
    offset_ms: i64,
}

impl Frontend {
    /// One that has just been told of all nodes.
    pub(super) fn new(nodes: &[NodeName], now: Timestamp, offset_ms: i64) -> Self {
        Self {
            newest: nodes.iter().map(|node| (node.clone(), now)).collect(),
            report_at: BTreeMap::new(),
            offset_ms,
        }
    }

    pub(super) fn take(&mut self, node: &NodeName, asked_at: Timestamp) {
        // A scrape that took long may bring what is older than what is there.
        let newest = self.newest.entry(node.clone()).or_insert(asked_at);
        *newest = asked_at.max(*newest);
    }

    /// The nodes to report now: overdue ones, and again after each resolution.
    pub(super) fn look(&mut self, now: Timestamp) -> Vec<String> {
        let mut report = Vec::new();
        if now.as_millis() % LOOK_EVERY_MS != self.offset_ms {
            return report;
        }
        for (node, newest) in &self.newest {
            if now <= newest.plus(RESOLUTION * 3 / 2) {
                self.report_at.remove(node);
                continue;
            }
            let at = self.report_at.entry(node.clone()).or_insert(now);
            if *at <= now {
                *at = now.plus(RESOLUTION);
                report.push(node.to_string());
            }
        }
        report
    }

    /// How old the newest sample of each node is.
    pub(super) fn ages(&self, now: Timestamp) -> impl Iterator<Item = (&NodeName, Duration)> {
        let ages = self.newest.iter();
        ages.map(move |(node, at)| (node, now.since(*at).unwrap()))
    }
}
