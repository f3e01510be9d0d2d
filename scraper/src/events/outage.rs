//! When Events about one node are due. Pure: the time is an argument.

use std::time::Duration;

use tributary_model::Timestamp;

/// How often an Event is written again while its node stays lost. Kubernetes deletes Events an hour after they were
/// written.
const AGAIN: Duration = Duration::from_mins(30);

/// When Events are due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// How long a node must be lost.
    pub(super) delay: Duration,
    /// How often it is scraped.
    pub(super) resolution: Duration,
}

/// An Event is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// How long the node has been lost.
    pub(super) for_seconds: u64,
}

/// The failures of one node since its last good scrape.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outage {
    /// The first of them.
    since: Option<Timestamp>,
    /// When a frontend reported last that no scraper delivers it.
    overdue: Option<Timestamp>,
    /// When an Event was handed over last.
    reported: Option<Timestamp>,
}

impl Outage {
    /// A frontend reports that no scraper delivers the node.
    pub(crate) fn overdue(&mut self, now: Timestamp) {
        self.overdue = Some(now);
    }

    /// A scrape failed.
    pub(super) fn failed(&mut self, rules: &Rules, now: Timestamp) -> Option<Due> {
        let since = *self.since.get_or_insert(now);
        let lost = now.since(since).unwrap_or_default();
        // Frontends report a node again after each resolution. Without a report another scraper delivers it, or no
        // frontend is connected.
        let delivered = |at| now.since(at).is_none_or(|age| age > 3 * rules.resolution);
        let again = |at| now.since(at).is_none_or(|age| age < AGAIN);
        let is_due = lost >= rules.delay
            && !self.overdue.is_none_or(delivered)
            && !self.reported.is_some_and(again);
        is_due.then_some(Due {
            for_seconds: lost.as_secs(),
        })
    }

    /// An Event was handed over.
    pub(super) fn reported(&mut self, now: Timestamp) {
        self.reported = Some(now);
    }

    /// Whether an Event was handed over.
    pub(super) fn is_reported(&self) -> bool {
        self.reported.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules {
        delay: Duration::from_mins(5),
        resolution: Duration::from_secs(15),
    };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    /// The seconds at which an Event was due, of a node that fails every 15 s until `end`.
    fn due(end: i64, is_overdue: impl Fn(i64) -> bool) -> Vec<i64> {
        let (mut outage, mut due) = (Outage::default(), Vec::new());
        for second in (0..=end).step_by(15) {
            if is_overdue(second) {
                outage.overdue(at(second));
            }
            if outage.failed(&RULES, at(second)).is_some() {
                outage.reported(at(second));
                due.push(second);
            }
        }
        due
    }

    #[test]
    fn a_lost_node_is_reported_after_the_delay_and_every_half_hour() {
        assert_eq!(due(299, |_| true), [0_i64; 0]);
        assert_eq!(due(4_000, |_| true), [300, 2_100, 3_900]);
    }

    #[test]
    fn a_node_that_another_scraper_delivers_is_not_reported() {
        assert_eq!(due(4_000, |_| false), [0_i64; 0]);
        assert_eq!(due(4_000, |second| second < 250), [0_i64; 0]);
        assert_eq!(due(4_000, |second| second >= 1_000), [1_005, 2_805]);
    }
}
