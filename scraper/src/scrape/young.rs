//! Containers that a page has for the first time, and when to scrape the node again for their
//! second sample (docs/decisions/0036-new-pods.md).
//!
//! A kubelet measures a container when it starts, and then after 10 to 20 s; or at every request.
//! Without a second sample a pod has no metrics. So its node is scraped once or twice more, when
//! the kubelet can have that sample, and then in its ordinary rhythm.

use std::{sync::Arc, time::Duration};

use tributary_model::{ContainerName, Freshness, MIN_WINDOW, PodKey, Reading, Roster, Timestamp};

/// After the first sample: half of the containers have a second one by then, and all of them.
const MEASURED_AFTER: [Duration; 2] = [Duration::from_secs(15), Duration::from_millis(20_500)];

/// And no node is scraped again sooner than after this.
const APART: Duration = MIN_WINDOW;

/// If all samples of a page are closer to each other, the kubelet may measure at every request.
const AT_REQUEST: Duration = Duration::from_secs(1);

/// The longest that is waited for a second sample.
const LONGEST: Duration = Duration::from_secs(30);

/// The most containers of a node that are waited for. One that has more new ones at a time is
/// scraped again for these.
const MOST: usize = 64;

/// The containers of a node that have one sample only.
#[derive(Debug, Default)]
pub(super) struct Young {
    roster: Option<Arc<Roster>>,
    waiting: Vec<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    pod: PodKey,
    container: ContainerName,
    /// The stamp of its first sample, by the node's clock.
    stamp: Timestamp,
    /// When it was measured, by this scraper's clock.
    measured: Timestamp,
    at_request: bool,
}

impl Young {
    /// Takes in a page that was asked for at `began`, which the reading tells by another clock, of
    /// a kubelet that measures like this. Returns when to scrape the node again, if that is worth a
    /// scrape.
    pub(super) fn take(
        &mut self,
        reading: &Reading,
        began: Timestamp,
        freshness: Freshness,
    ) -> Option<Timestamp> {
        self.waiting.retain(|waiting| {
            let is_new = stamp(reading, &waiting.pod, &waiting.container) == Some(waiting.stamp);
            let waited = began.since(waiting.measured).unwrap_or_default();
            is_new && waited < LONGEST
        });
        let before = self.roster.replace(Arc::clone(&reading.roster));
        // Of the first page of all nothing is new.
        if let Some(before) = before
            && !Arc::ptr_eq(&before, &reading.roster)
        {
            let at_request = match freshness {
                Freshness::EveryRequest => true,
                Freshness::Periodic { .. } => false,
                Freshness::Unknown => is_measured_at_request(reading),
            };
            self.add(&before, reading, began, at_request);
        }
        let next = self.waiting.iter().filter_map(|it| it.next(began));
        next.min()
    }

    fn add(&mut self, before: &Roster, reading: &Reading, began: Timestamp, at_request: bool) {
        for (row, pod, container) in reading.roster.rows() {
            let known = before.find(pod).map(|pod| before.containers_of(pod));
            if known.is_some_and(|known| known.contains(container)) {
                continue;
            }
            let Some(cpu) = reading.columns.cpu(row) else {
                continue;
            };
            if self.waiting.len() >= MOST {
                return;
            }
            // By a clock that is ahead it may seem to be in the future.
            let age = reading.asked_at.since(cpu.at).unwrap_or_default();
            self.waiting.push(Waiting {
                pod: pod.clone(),
                container: container.clone(),
                stamp: cpu.at,
                measured: began.minus(age),
                at_request,
            });
        }
    }
}

impl Waiting {
    /// The next moment after `began` at which there may be a second sample.
    fn next(&self, began: Timestamp) -> Option<Timestamp> {
        let at_request = self.at_request.then_some(MIN_WINDOW);
        let moments = at_request.into_iter().chain(MEASURED_AFTER);
        let mut moments = moments.map(|after| self.measured.plus(after));
        let next = moments.find(|at| *at > began)?;
        Some(next.max(began.plus(APART)))
    }
}

/// When the kubelet measured a container.
fn stamp(reading: &Reading, pod: &PodKey, container: &ContainerName) -> Option<Timestamp> {
    let roster = &reading.roster;
    let found = roster.find(pod)?;
    let at = roster
        .containers_of(found)
        .iter()
        .position(|it| it == container)?;
    Some(reading.columns.cpu(found.rows().start + at)?.at)
}

/// Whether all samples of a page are of almost the same moment.
fn is_measured_at_request(reading: &Reading) -> bool {
    let rows = 0..reading.columns.len();
    let stamps = || {
        rows.clone()
            .filter_map(|row| Some(reading.columns.cpu(row)?.at))
    };
    let span = stamps().min().zip(stamps().max());
    let apart = span.and_then(|(first, last)| last.since(first));
    apart.is_some_and(|apart| apart < AT_REQUEST)
}

#[cfg(test)]
mod tests {
    use tributary_model::{Columns, CoreNanos, CpuPoint, NodePoint, Remarks, RosterBuilder};

    use super::*;

    /// A page that was asked for at a second, with these pods and the seconds of their samples.
    fn page(second: i64, pods: &[(&str, i64)]) -> Reading {
        let mut builder = RosterBuilder::default();
        for (pod, _) in pods {
            builder
                .add(PodKey::new("shop", *pod), "main".into())
                .unwrap();
        }
        let roster = builder.build();
        let mut columns = Columns::missing(pods.len());
        for (row, key, _) in roster.rows() {
            let (_, at) = pods.iter().find(|(pod, _)| *pod == &*key.name).unwrap();
            let point = CpuPoint {
                total: CoreNanos(1),
                at: seconds(*at),
            };
            columns.set_cpu(row, Some(point));
        }
        Reading {
            node: "n1".into(),
            roster,
            asked_at: seconds(second),
            point: NodePoint::default(),
            columns,
            remarks: Remarks::default(),
        }
    }

    fn seconds(second: i64) -> Timestamp {
        Timestamp::from_millis(second * 1_000)
    }

    /// In how many milliseconds the node is to be scraped again, by a clock of the scraper that
    /// began an hour later.
    fn next(young: &mut Young, page: &Reading) -> Option<i64> {
        next_of(young, page, Freshness::Unknown)
    }

    fn next_of(young: &mut Young, page: &Reading, freshness: Freshness) -> Option<i64> {
        let began = Timestamp::from_millis(page.asked_at.as_millis() - 3_600_000);
        let at = young.take(page, began, freshness)?;
        Some(at.as_millis() - began.as_millis())
    }

    #[test]
    fn a_node_with_a_new_pod_is_scraped_again_when_there_may_be_a_second_sample() {
        let mut young = Young::default();
        assert_eq!(next(&mut young, &page(100, &[("a", 95)])), None);
        let both = |at, new| page(at, &[("a", 95), ("b", new)]);
        assert_eq!(next(&mut young, &both(115, 110)), Some(10_000));
        assert_eq!(next(&mut young, &both(125, 110)), Some(5_500));
        assert_eq!(next(&mut young, &both(131, 110)), None);
        // There it is, and nothing is waited for.
        assert_eq!(next(&mut young, &both(145, 140)), None);
        assert!(young.waiting.is_empty());
    }

    #[test]
    fn with_a_kubelet_that_measures_at_every_request_it_is_after_the_shortest_window() {
        let mut young = Young::default();
        next(&mut young, &page(100, &[("a", 100)]));
        let both = |at| page(at, &[("a", at), ("b", at)]);
        assert_eq!(next(&mut young, &both(115)), Some(5_000));
        assert_eq!(next(&mut young, &both(120)), None);
        // A node with one pod looks as if: then there is nothing new, and the rest is waited.
        let mut young = Young::default();
        next(&mut young, &page(100, &[]));
        let one = |at| page(at, &[("b", 115)]);
        assert_eq!(next(&mut young, &one(115)), Some(5_000));
        assert_eq!(next(&mut young, &one(120)), Some(10_000));
    }

    #[test]
    fn what_is_learned_of_the_kubelet_counts_more_than_one_page() {
        let (alone, together) = ([("a", 95), ("b", 115)], [("a", 115), ("b", 115)]);
        let typical = Duration::from_secs(10);
        for (pods, freshness, expected) in [
            (&alone, Freshness::EveryRequest, 5_000),
            (&together, Freshness::Unknown, 5_000),
            (&together, Freshness::Periodic { typical }, 15_000),
        ] {
            let mut young = Young::default();
            next_of(&mut young, &page(100, &pods[..1]), freshness);
            let again = next_of(&mut young, &page(115, pods), freshness);
            assert_eq!(again, Some(expected), "{pods:?} {freshness:?}");
        }
    }

    #[test]
    fn a_pod_that_leaves_or_never_has_a_second_sample_is_not_waited_for() {
        let mut young = Young::default();
        next(&mut young, &page(100, &[("a", 90)]));
        next(&mut young, &page(115, &[("a", 90), ("b", 110)]));
        assert_eq!(next(&mut young, &page(120, &[("a", 90)])), None);
        next(&mut young, &page(135, &[("a", 90), ("c", 130)]));
        assert_eq!(young.waiting.len(), 1);
        next(&mut young, &page(160, &[("a", 90), ("c", 130)]));
        assert!(young.waiting.is_empty());
    }

    #[test]
    fn no_more_containers_are_waited_for_than_some() {
        let mut young = Young::default();
        next(&mut young, &page(100, &[("a", 90)]));
        let names: Vec<String> = (0..100).map(|n| format!("p{n:03}")).collect();
        let pods: Vec<(&str, i64)> = names.iter().map(|name| (name.as_str(), 110)).collect();
        next(&mut young, &page(115, &pods));
        assert_eq!(young.waiting.len(), 64);
    }
}
