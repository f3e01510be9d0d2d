//! Reports of frontends about a node, and which member rescues it.
//!
//! A frontend reports a node when its newest sample is 1.5 resolutions old, but at least 4 s, and
//! again after each resolution. Samples are served for three resolutions. So there is one attempt by rank: at the
//! first report the standby scrapes the node, and at the second one, 2.5 resolutions after the
//! sample, all members do. A member may have ended, hang, or not exist at all. The node is served,
//! however many of those rank before this scraper.

use std::time::Duration;

use tributary_model::{Timestamp, first_rescue};

/// A node without a report for the first number of resolutions is no longer overdue. After the
/// second number its earlier rescues no longer count.
const STREAK: u32 = 3;
const RECOVERED: u32 = 64;

/// Later rescues last up to `2^MOST_DOUBLINGS` times as long as the first one.
const MOST_DOUBLINGS: u32 = 3;

/// After this many reports in a row all members scrape the node.
const ALL_RESCUE_AT: u32 = 2;

/// Members that are not first begin within this part of a resolution, not all at one instant.
const SPREAD: u32 = 20;

/// The reports about a node.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reports {
    /// How many reports in a row said that it is overdue.
    count: u32,
    last: Option<Timestamp>,
    /// How many rescues there were since it was well, and how many of them failed at once.
    rescues: u32,
    misses: u32,
    not_before: Option<Timestamp>,
}

/// When a member that may rescue a node begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    AtOnce,
    /// Within this time, because many members do.
    Within(Duration),
}

impl Reports {
    /// Counts a report. Returns whether it is new: every frontend reports a node once in a
    /// resolution.
    pub(super) fn take(&mut self, resolution: Duration, now: Timestamp) -> bool {
        let ago = self.last.and_then(|last| now.since(last));
        if ago.is_some_and(|ago| ago < resolution * 3 / 4) {
            return false;
        }
        if ago.is_none_or(|ago| ago > resolution * RECOVERED) {
            *self = Self::default();
        } else if ago.is_some_and(|ago| ago > resolution * STREAK) {
            self.count = 0;
        }
        self.count = self.count.saturating_add(1);
        self.last = Some(now);
        true
    }

    /// Whether the node may still be overdue, because the next report is not due yet.
    pub(super) fn are_recent(&self, resolution: Duration, now: Timestamp) -> bool {
        let ago = self.last.and_then(|last| now.since(last));
        ago.is_some_and(|ago| ago <= resolution)
    }

    /// Whether this scraper should rescue the node. `foremost` means that it is the standby, or
    /// that its last scrape of the node succeeded.
    pub(super) fn turn(
        &self,
        foremost: bool,
        resolution: Duration,
        now: Timestamp,
    ) -> Option<Turn> {
        if self.not_before.is_some_and(|at| at > now) {
            return None;
        }
        if foremost {
            return Some(Turn::AtOnce);
        }
        (self.count >= ALL_RESCUE_AT).then_some(Turn::Within(resolution / SPREAD))
    }

    /// Counts a rescue that begins. Returns how long it lasts.
    pub(super) fn rescue(&mut self, resolution: Duration) -> Duration {
        let doublings = self.rescues.min(MOST_DOUBLINGS);
        self.rescues = self.rescues.saturating_add(1);
        first_rescue(resolution) * (1 << doublings)
    }

    /// A rescue delivered a sample.
    pub(super) fn delivered(&mut self) {
        self.misses = 0;
    }

    /// A rescue failed at once. The next one waits longer.
    pub(super) fn missed(&mut self, resolution: Duration, now: Timestamp) {
        let doublings = self.misses.min(MOST_DOUBLINGS);
        self.misses = self.misses.saturating_add(1);
        self.not_before = Some(now.plus(resolution * (1 << doublings)));
    }
}
