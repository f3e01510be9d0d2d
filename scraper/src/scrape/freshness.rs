//! What is learned of a kubelet from the stamps of its samples: when it measures, and before which
//! moment it has nothing new (docs/decisions/0040-how-fresh-a-kubelet-is.md).
//!
//! Pure: the moments of requests are arguments. Stamps are of the clock of the node and are compared
//! with each other only, or by way of how much later than its stamp a sample was requested.

use std::{sync::Arc, time::Duration};

use tributary_model::{Freshness, Look, Reading, Timestamp, is_first_sample};

/// Pages that are compared before anything is said.
const LEAST_LOOKS: u8 = 3;

/// Of the last four pages so many must follow the requests.
const LAST: u8 = 0b1111;
const MOST_OF_LAST: u32 = 3;

/// A new median counts for one part in so many.
const SMOOTH: u32 = 4;

/// The shortest distance is that of the last pages with new samples: of this many to twice as many.
const REMEMBERED: u8 = 16;

/// So many of them must be known.
const LEAST_MEASURED: u8 = 3;

/// How long after the kubelet is expected to have measured it is asked.
const AFTER: Duration = Duration::from_millis(200);

/// By how much sooner it is asked with every new sample, in milliseconds, until it is too soon:
/// clocks drift.
const SOONER: i64 = 5;

/// The learner of one node.
#[derive(Debug, Default)]
pub(super) struct Learner {
    last: Option<Last>,
    /// Whether the last pages followed the requests, one bit each, the newest first.
    followed: u8,
    /// Pages that were compared, at most [`LEAST_LOOKS`].
    looks: u8,
    /// The median distance of samples.
    typical: Option<Duration>,
    distances: Distances,
    /// How much the scraper's clock is ahead of that of the node at least, in milliseconds.
    ahead: Option<i64>,
}

/// The page before. It is the one that is kept for frontends, too.
#[derive(Debug)]
struct Last {
    reading: Arc<Reading>,
    began: Timestamp,
}

impl Learner {
    /// Takes in a page that was requested at `began`, by a clock that is not set. Returns what it
    /// shows alone.
    pub(super) fn take(&mut self, reading: &Arc<Reading>, began: Timestamp) -> Look {
        let last = self.last.replace(Last {
            reading: Arc::clone(reading),
            began,
        });
        let Some(last) = last else {
            return Look::default();
        };
        let gap = began.since(last.began).unwrap_or_default();
        self.compare_clocks(&last.reading, reading, began, gap);
        let look = compare(&last.reading, reading, gap);
        if !look.is_empty() {
            self.followed = (self.followed << 1) | u8::from(look.follows());
            self.looks = (self.looks + 1).min(LEAST_LOOKS);
        }
        if let Some(median) = look.median() {
            let before = self.typical.unwrap_or(median);
            self.typical = Some((before * (SMOOTH - 1)).saturating_add(median) / SMOOTH);
        }
        if let Some(shortest) = look.shortest() {
            self.distances.add(shortest, gap);
        }
        look
    }

    /// When the kubelet measures.
    pub(super) fn freshness(&self) -> Freshness {
        if self.looks < LEAST_LOOKS {
            return Freshness::Unknown;
        }
        if (self.followed & LAST).count_ones() >= MOST_OF_LAST {
            return Freshness::EveryRequest;
        }
        let typical = self.typical;
        typical.map_or(Freshness::Unknown, |typical| Freshness::Periodic {
            typical,
        })
    }

    /// The earliest moment, by the clock of requests, at which the next request may find something
    /// new. `None` if that is at any time, or not known.
    pub(super) fn earliest(&self) -> Option<Timestamp> {
        let Last { reading, began } = self.last.as_ref()?;
        let shortest = self.distances.shortest()?;
        let newest = reading.columns.newest_at()?;
        // A sample that is much older is of a container that is not measured any longer.
        let since = newest.minus(shortest.saturating_mul(4));
        let rows = 0..reading.columns.len();
        let stamps = rows.filter_map(|row| Some(reading.columns.cpu(row)?.at));
        let oldest = stamps.filter(|at| *at >= since).min()?;
        let next = oldest.plus(shortest).plus(AFTER);
        let next = Timestamp::from_millis(next.as_millis().saturating_add(self.ahead?));
        // Another request between two samples shows whether there is one more.
        Some(next.min(began.plus(shortest * 5 / 8)))
    }

    /// Learns how much the clocks differ. A page that has a new sample was requested after this was
    /// measured, and the page before was requested before that.
    fn compare_clocks(&mut self, before: &Reading, now: &Reading, began: Timestamp, gap: Duration) {
        let stamps = before.columns.newest_at().zip(now.columns.newest_at());
        let Some((before, now)) = stamps.filter(|(before, now)| before <= now) else {
            // The clock was set, or a container is gone.
            self.ahead = None;
            return;
        };
        if before == now {
            return;
        }
        let most = began.as_millis().saturating_sub(now.as_millis());
        let gap = i64::try_from(gap.as_millis()).unwrap_or(i64::MAX);
        let least = most.saturating_sub(gap);
        // More than the most: the clock was set.
        let known = self.ahead.filter(|ahead| *ahead <= most);
        let sooner = known.map(|ahead| ahead.saturating_sub(SOONER));
        self.ahead = Some(sooner.map_or(least, |ahead| ahead.max(least)));
    }
}

/// What two pages show of the containers that are on both. Those that have just started and those
/// whose stamp went back show nothing.
fn compare(before: &Reading, now: &Reading, gap: Duration) -> Look {
    let mut look = Look::default();
    if before.roster != now.roster || now.remarks.is_stamped_by_scraper {
        return look;
    }
    let (was, is) = (&before.columns, &now.columns);
    for row in 0..is.len() {
        let Some((one, two)) = was.cpu(row).zip(is.cpu(row)) else {
            continue;
        };
        if one.at == two.at {
            look.repeated(None);
        } else if let Some(apart) = two.at.since(one.at)
            && was.started(row) == is.started(row)
            && !is_first_sample(one.at, is.started(row))
        {
            look.renewed(apart, gap);
        }
    }
    look
}

/// The shortest distances between two samples of a container on the last pages.
#[derive(Debug, Default)]
struct Distances {
    now: Range,
    before: Range,
    /// Of `now`.
    pages: u8,
}

/// The shortest distances of some pages.
#[derive(Clone, Copy, Debug)]
struct Range {
    /// The least of all. Between two samples that are so far apart there may have been others.
    seen: Duration,
    /// The least and the most of those where a request between found nothing new.
    least: Duration,
    most: Duration,
    /// How many these are.
    measured: u8,
}

impl Default for Range {
    fn default() -> Self {
        Self {
            seen: Duration::MAX,
            least: Duration::MAX,
            most: Duration::ZERO,
            measured: 0,
        }
    }
}

impl Range {
    fn and(self, other: Self) -> Self {
        Self {
            seen: self.seen.min(other.seen),
            least: self.least.min(other.least),
            most: self.most.max(other.most),
            measured: self.measured.saturating_add(other.measured),
        }
    }
}

impl Distances {
    /// Adds the shortest distance on a page that was requested so long after the one before.
    fn add(&mut self, shortest: Duration, gap: Duration) {
        if self.pages >= REMEMBERED {
            self.before = std::mem::take(&mut self.now);
            self.pages = 0;
        }
        self.pages += 1;
        let mut new = Range {
            seen: shortest,
            ..Range::default()
        };
        // Then the page before had the earlier sample, and that was not just measured. If there was
        // another one between, it is not like those.
        if shortest >= gap.saturating_add(gap / 2) {
            (new.least, new.most, new.measured) = (shortest, shortest, 1);
        }
        self.now = self.now.and(new);
    }

    /// How far apart two samples are at least, if that is known.
    fn shortest(&self) -> Option<Duration> {
        let all = self.now.and(self.before);
        let is_near = |span: Duration, to: Duration| span <= to.saturating_add(to / 8);
        if all.measured < LEAST_MEASURED || !is_near(all.least, all.seen) {
            return None;
        }
        // Of distances that vary the least was not seen yet.
        let is_even = is_near(all.most, all.least);
        Some(if is_even { all.seen } else { all.seen * 3 / 4 })
    }
}

#[cfg(test)]
mod tests;
