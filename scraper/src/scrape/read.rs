//! What becomes of a page.

use std::sync::Arc;

use tracing::info;
use tributary_model::{NodeName, Timestamp};

use super::{Loop, outcome::count_refused};
use crate::kubelet::decode::Decoded;

impl Loop {
    /// Hands on the page of a node that was requested at `began`, and finds out when the node is
    /// scraped next.
    pub(super) fn read(&mut self, node: &NodeName, decoded: Decoded, began: Timestamp) {
        let Some(scraped) = self.scraped.get_mut(node) else {
            return;
        };
        let metrics = &self.scraping.metrics;
        metrics.outcome("ok");
        count_refused(metrics, node, &decoded, &mut scraped.refusing);
        let endpoint = decoded.reading.remarks.endpoint;
        metrics.reading(endpoint);
        if std::mem::replace(&mut scraped.endpoint, endpoint) != endpoint {
            info!(%node, path = endpoint.path(), "node is read from another endpoint");
        }
        if scraped.failing.take().is_some() {
            info!(%node, "node is scraped again");
        }
        let reading = Arc::new(decoded.reading);
        let before = scraped.learner.freshness();
        let look = scraped.learner.take(&reading, began);
        let freshness = scraped.learner.freshness();
        metrics.freshness.learned(Some(before), Some(freshness));
        if let Some(median) = look.median() {
            metrics.freshness.distances.observe(median.as_secs_f64());
        }
        let again = scraped.young.take(&reading, began, freshness);
        let earliest = scraped.learner.earliest();
        self.scraping.hub.publish(reading);
        let now = self.monotonic.now();
        if again.is_some_and(|at| self.schedule.sooner(node, at, now)) {
            metrics.sooner.inc();
        }
        if earliest.is_some_and(|at| self.schedule.postpone(node, at, began)) {
            metrics.freshness.postponed.inc();
        }
    }
}
