//! When a sample was asked for, and whether two samples may follow each other.

use std::time::Duration;

use crate::{reading::CpuPoint, units::Timestamp};

/// How much later than it was asked for a sample may be stamped, and how far the
/// clocks of scrapers may be apart.
pub const SLACK: Duration = Duration::from_secs(10);

/// How old a sample may have been when it was seen, where it is not known when the
/// kubelet was asked before: kubelets that measure every five minutes are known.
pub(super) const UNKNOWN_GAP: Duration = Duration::from_mins(10);

/// Samples that are closer than this part of a resolution may be in the wrong order: two
/// scrapers asked at almost the same moment.
const SAME_MOMENT_PART: u32 = 8;

/// When somebody asked, by the clock of whoever keeps the series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The moment.
    pub at: Timestamp,
    /// How long before that the node had been asked; `None` if it is not known.
    pub gap: Option<Duration>,
    /// How often the node is asked by one scraper.
    pub resolution: Duration,
    /// How far apart the points of a pair are at least.
    pub min_window: Duration,
    /// How far apart they are as soon as there are such points: the shortest window, or longer
    /// where a mean over that would follow noise.
    pub steady_window: Duration,
}

/// When the newest sample was first seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    /// The moment of asking.
    pub at: Timestamp,
    /// How long it may have been there by then.
    pub gap: Duration,
}

/// A sample that was seen, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) point: CpuPoint,
    pub(super) sight: Sight,
}

/// Whether two points are closer than that.
pub(super) fn is_close(one: CpuPoint, two: CpuPoint, least: Duration) -> bool {
    let apart = two.at.since(one.at).or_else(|| one.at.since(two.at));
    apart.is_some_and(|apart| apart < least)
}

/// Whether as much time passed between the stamps as between the moments of asking,
/// as far as can be known: a sample was there for up to the gap before it was seen,
/// and may be stamped a moment after it was asked for.
pub(super) fn fits(newest: Seen, new: CpuPoint, asked: Asked) -> bool {
    let Some(stamped) = new.at.since(newest.point.at) else {
        return false;
    };
    let passed = asked.since(newest.sight.at);
    let most = passed
        .saturating_add(newest.sight.gap)
        .saturating_add(SLACK);
    let gap = asked.gap.unwrap_or(UNKNOWN_GAP);
    let least = passed.saturating_sub(gap).saturating_sub(SLACK);
    stamped > Duration::ZERO && (least..=most).contains(&stamped)
}

/// Whether `old` may be the sample before `newest`, or one between that and it, on a page
/// that was asked for earlier: as [`fits`], the other way round.
pub(super) fn precedes(old: CpuPoint, newest: Seen, asked: Asked) -> bool {
    let before = Sight {
        at: asked.at,
        ..asked.of_unknown_gap().sight()
    };
    let before = Seen {
        point: old,
        sight: before,
    };
    let seen = Asked {
        at: newest.sight.at,
        gap: Some(newest.sight.gap),
        ..asked
    };
    fits(before, newest.point, seen)
}

impl Asked {
    /// Whether two scrapers may have read these at almost the same moment, in any order.
    pub(super) fn is_same_moment(self, one: CpuPoint, two: CpuPoint) -> bool {
        let moment = (self.resolution / SAME_MOMENT_PART).min(self.min_window);
        is_close(one, two, moment)
    }

    pub(super) fn of_unknown_gap(self) -> Self {
        Self { gap: None, ..self }
    }

    pub(super) fn sight(self) -> Sight {
        Sight {
            at: self.at,
            gap: self.gap.unwrap_or(UNKNOWN_GAP),
        }
    }

    pub(super) fn since(self, earlier: Timestamp) -> Duration {
        self.at.since(earlier).unwrap_or_default()
    }
}
