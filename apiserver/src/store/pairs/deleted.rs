//! Pods of a node that do not exist any longer, for as long as pages may have them.
//!
//! A page that was asked for before a pod was deleted may arrive after it, and a
//! kubelet may have a pod on its page for a while after it is deleted. What such a page
//! has of it is not remembered when another page lacks it: a new pod of the same name
//! may come to the same node.

use std::{collections::BTreeMap, time::Duration};

use tributary_model::{PodKey, Timestamp};

/// A kubelet may have a pod on its page for so long after it was deleted.
const LINGERS: Duration = Duration::from_secs(30);

/// A page may be late by this many resolutions. What is remembered of one that was asked
/// for longer ago is not served.
const RESOLUTIONS: u32 = 4;

/// How many of one node are known: as many as containers that may be remembered.
const MAX: usize = 2_048;

/// Pods of a node, and when each was deleted, by our clock.
#[derive(Debug, Default)]
pub(super) struct Deleted(BTreeMap<PodKey, Timestamp>);

impl Deleted {
    /// Takes in that a pod was deleted.
    pub(super) fn add(&mut self, pod: &PodKey, at: Timestamp) {
        let Self(pods) = self;
        if pods.len() >= MAX && !pods.contains_key(pod) {
            let first = pods.iter().min_by_key(|(_, at)| **at);
            let first = first.map(|(pod, _)| pod.clone());
            first.and_then(|first| pods.remove(&first));
        }
        pods.insert(pod.clone(), at);
    }

    /// Whether a pod was deleted after a page was asked for.
    pub(super) fn is_after(&self, pod: &PodKey, asked_at: Timestamp) -> bool {
        self.0.get(pod).is_some_and(|at| *at > asked_at)
    }

    /// Whether what a page has of a pod that was asked for at this moment is of one that
    /// was deleted, and not of a new one.
    pub(super) fn is_on_page(&self, pod: &PodKey, asked_at: Timestamp) -> bool {
        let at = self.0.get(pod);
        at.is_some_and(|at| asked_at.since(*at).is_none_or(|after| after <= LINGERS))
    }

    /// Forgets those that no page can have any longer.
    pub(super) fn forget(&mut self, now: Timestamp, resolution: Duration) {
        let lasts = LINGERS.max(resolution.saturating_mul(RESOLUTIONS));
        self.0
            .retain(|_, at| now.since(*at).is_none_or(|ago| ago <= lasts));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const R: Duration = Duration::from_secs(15);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(second * 1_000)
    }

    fn pod(number: usize) -> PodKey {
        PodKey::new("shop", format!("job-{number:05}"))
    }

    #[test]
    fn a_page_may_have_a_deleted_pod_for_half_a_minute() {
        let mut deleted = Deleted::default();
        deleted.add(&pod(0), at(100));
        assert!(deleted.is_on_page(&pod(0), at(90)));
        assert!(deleted.is_on_page(&pod(0), at(130)));
        assert!(!deleted.is_on_page(&pod(0), at(131)));
        assert!(!deleted.is_on_page(&pod(1), at(90)));
    }

    #[test]
    fn one_is_known_for_four_resolutions() {
        let mut deleted = Deleted::default();
        deleted.add(&pod(0), at(100));
        for now in [90, 160] {
            deleted.forget(at(now), R);
            assert!(deleted.is_on_page(&pod(0), at(100)), "{now}");
        }
        deleted.forget(at(161), R);
        assert!(!deleted.is_on_page(&pod(0), at(100)));
    }

    #[test]
    fn those_deleted_longest_ago_make_room_for_others() {
        let mut deleted = Deleted::default();
        for number in 0..3_000 {
            let second = i64::try_from(number).unwrap();
            deleted.add(&pod(number), at(second));
        }
        assert_eq!(deleted.0.len(), 2_048);
        let known = [951, 952, 2_999].map(|number| deleted.is_on_page(&pod(number), at(0)));
        assert_eq!(known, [false, true, true]);
    }
}
