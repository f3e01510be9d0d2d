//! What frontends said about a node, and whose turn it is then.
//!
//! A frontend reports a node when its newest sample is 1.5 resolutions old, and
//! again after each resolution. Samples are served for three. So ranks are asked
//! once: at the first report whoever stands by, and at the second, 2.5
//! resolutions after the sample, everybody. A member may be dead, hang or not
//! exist at all, and however many of those rank before us, the node is served.

use std::time::Duration;

use tributary_model::Timestamp;

/// A node that was not reported for so many resolutions is not overdue any
/// more, and one that was not for so many has got over it.
const STREAK: u32 = 3;
const RECOVERED: u32 = 64;

/// A rescue lasts so many resolutions the first time, and up to
/// `2^MOST_DOUBLINGS` times as many.
const RESCUE: u32 = 4;
const MOST_DOUBLINGS: u32 = 3;

/// With so many reports in a row everybody asks the node.
const EVERYBODY_AT: u32 = 2;

/// Those who are not foremost begin within this part of a resolution, not all in
/// one instant.
const SPREAD: u32 = 20;

/// What frontends said about a node.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reports {
    /// How often in a row it was overdue.
    count: u32,
    last: Option<Timestamp>,
    /// Rescues, and those among them that failed at once, since it was well.
    rescues: u32,
    misses: u32,
    not_before: Option<Timestamp>,
}

/// When one begins who may rescue a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    AtOnce,
    /// Within this time: many do.
    Within(Duration),
}

impl Reports {
    /// Counts a report. Whether it says something new: every frontend reports
    /// a node once in a resolution.
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

    /// Whether the node may still be overdue: the next report is yet to come.
    pub(super) fn are_recent(&self, resolution: Duration, now: Timestamp) -> bool {
        let ago = self.last.and_then(|last| now.since(last));
        ago.is_some_and(|ago| ago <= resolution)
    }

    /// Whether it is our turn. One is `foremost` who stands by, or whose last
    /// scrape of the node succeeded.
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
        (self.count >= EVERYBODY_AT).then_some(Turn::Within(resolution / SPREAD))
    }

    /// Counts a rescue that begins; how long it lasts.
    pub(super) fn rescue(&mut self, resolution: Duration) -> Duration {
        let doublings = self.rescues.min(MOST_DOUBLINGS);
        self.rescues = self.rescues.saturating_add(1);
        resolution * (RESCUE << doublings)
    }

    /// Takes in that a rescue brought a sample.
    pub(super) fn delivered(&mut self) {
        self.misses = 0;
    }

    /// Takes in that a rescue failed at once: the next one waits longer.
    pub(super) fn missed(&mut self, resolution: Duration, now: Timestamp) {
        let doublings = self.misses.min(MOST_DOUBLINGS);
        self.misses = self.misses.saturating_add(1);
        self.not_before = Some(now.plus(resolution * (1 << doublings)));
    }
}
