//! What is stored of a node or pod, on its way to a usage.

use std::{sync::Arc, time::Duration};

use tributary_model::{NanoCores, NoUsage, Roster, RosterPod, Rules, Timestamp, Usage};

use super::{
    super::{
        outcome::{NoMetrics, PodUsage},
        pairs::{GonePod, Pairs, Row},
    },
    nodes::Entry,
};

/// A sample is served for this many of its own windows, if that is longer than samples
/// are served otherwise: a kubelet that measures every minute has nothing newer.
const WINDOWS: u32 = 2;

/// But not for longer than this.
const LONGEST: Duration = Duration::from_mins(15);

/// A node that is scraped.
#[derive(Clone, Copy, Debug)]
pub(super) struct NodeView<'a> {
    pub(super) entry: &'a Entry,
    pub(super) pairs: &'a Pairs,
    now: Timestamp,
    max_age: Duration,
    /// What was seen first at this moment or later is young enough, whatever its
    /// window.
    since: Timestamp,
    rules: Rules,
}

/// A pod on it, or one that was on it until just now.
#[derive(Clone, Copy, Debug)]
pub(super) struct PodView<'a> {
    view: NodeView<'a>,
    roster: &'a Arc<Roster>,
    pod: &'a RosterPod,
    rows: &'a [Row],
    /// Where the page may say why a row has no value.
    is_on_page: bool,
}

impl<'a> NodeView<'a> {
    pub(super) fn new(
        entry: &'a Entry,
        pairs: &'a Pairs,
        since: Timestamp,
        now: Timestamp,
        max_age: Duration,
    ) -> Self {
        Self {
            entry,
            pairs,
            now,
            max_age,
            since,
            rules: Rules {
                resolution: entry.resolution,
                most: pairs.most(),
            },
        }
    }

    /// The usage of a row, or why there is none; an error of its own if it is too old.
    #[inline]
    pub(super) fn usage(&self, row: &Row) -> Result<Result<Usage, NoUsage>, NoMetrics> {
        let usage = row.usage(self.rules);
        if row.seen_at() < self.since {
            self.is_in_rhythm(row, &usage)?;
        }
        Ok(usage)
    }

    /// Whether a sample counts although it was first seen long ago: by its own rhythm
    /// and not by that of others on the page. The only one there is has none.
    #[cold]
    fn is_in_rhythm(&self, row: &Row, usage: &Result<Usage, NoUsage>) -> Result<(), NoMetrics> {
        let window = match usage {
            Ok(usage) => usage.window,
            Err(NoUsage::NoPrevious) => Duration::ZERO,
            Err(_) => return Ok(()),
        };
        let own = window.saturating_mul(WINDOWS).min(LONGEST);
        let age = self.now.since(row.seen_at()).unwrap_or_default();
        if age > self.max_age.max(own) {
            return Err(NoMetrics::NothingNew(age));
        }
        Ok(())
    }

    /// Whether the last page that has a pod is young enough to be served.
    pub(super) fn is_missed_briefly(&self, gone: &GonePod) -> bool {
        let age = self.now.since(gone.asked_at);
        age.is_none_or(|age| age <= self.max_age)
    }

    /// `no`, or what was wrong before the first sample: that there is no second one yet
    /// says nothing.
    pub(super) fn because(&self, no: NoMetrics, reason: NoUsage) -> NoMetrics {
        match &self.entry.failed_before {
            Some(before) if reason == NoUsage::NoPrevious && self.now <= before.until => {
                NoMetrics::Recovering(before.failed.at(self.now))
            }
            _ => no,
        }
    }
}

impl<'a> PodView<'a> {
    pub(super) fn of(view: NodeView<'a>, pod: &'a RosterPod) -> Self {
        Self {
            view,
            roster: view.pairs.roster(),
            pod,
            rows: view.pairs.rows(),
            is_on_page: true,
        }
    }

    /// A pod that the newest page lacks.
    pub(super) fn of_gone(view: NodeView<'a>, gone: &'a GonePod) -> Option<Self> {
        Some(Self {
            view,
            roster: gone.roster(),
            pod: gone.roster().pods().first()?,
            rows: &gone.rows,
            is_on_page: false,
        })
    }

    /// The usage of all its containers.
    pub(super) fn usage_of_pod(self) -> Result<PodUsage, NoMetrics> {
        let rows = self.rows.get(self.pod.rows()).unwrap_or_default();
        let mut usages = Vec::with_capacity(rows.len());
        for (at, row) in rows.iter().enumerate() {
            let usage = self.view.usage(row)?;
            usages.push(usage.map_err(|reason| self.no_container(at, reason))?);
        }
        let of_all = usages
            .iter()
            .fold(0_u64, |sum, usage| sum.saturating_add(usage.cpu.0));
        if NanoCores(of_all) > self.view.rules.most {
            return Err(NoMetrics::NoUsage(NoUsage::RateOutOfRange));
        }
        PodUsage::new(self.roster, self.pod, usages).ok_or(NoMetrics::NeverReported)
    }

    /// Why the container at this place of the pod keeps it from being served.
    fn no_container(&self, at: usize, reason: NoUsage) -> NoMetrics {
        let no_value = matches!(reason, NoUsage::NoCpu | NoUsage::NoMemory);
        let row = self.pod.rows().start + at;
        let said = (no_value && self.is_on_page).then(|| self.view.pairs.withheld(row));
        let said = said.flatten().unwrap_or(reason);
        let no = match self.roster.containers_of(self.pod).get(at) {
            Some(name) => NoMetrics::Container(name.clone(), said),
            None => NoMetrics::NoUsage(said),
        };
        self.view.because(no, reason)
    }
}
