//! The CPU counter of one container, or of a node, over time: which two of its
//! samples make a pair.
//!
//! A sample has two times. `at` is stamped by the kubelet, with the node's clock or
//! with another one for each container. `asked` is when its page was requested, by
//! the clock of the frontend. Stamps are compared with stamps of the same series,
//! and times of requests with each other. Only the spans between two of each are
//! compared with one another: that is how a step of the node's clock is found.
//! docs/decisions/0026-time.md has the rules.

mod asked;
mod between;

use std::{cmp::Ordering, time::Duration};

use self::asked::{Seen, UNKNOWN_GAP, fits, is_close, precedes};
pub use self::{
    asked::{Asked, SLACK, Sight},
    between::Between,
};
use crate::{reading::CpuPoint, resolution::served_for, units::Timestamp};

/// Where nothing else is said, the points of a pair are this far apart at least
/// (docs/decisions/0034-an-honest-window.md).
pub const MIN_WINDOW: Duration = Duration::from_secs(5);

/// The newest sample of a counter, and the one that makes a pair with it.
///
/// # Invariants
///
/// - Unless the series is stepped, `earlier` is stamped before `newest`, by the shortest
///   window at least, its total is not larger, and `started` is before it.
/// - Each point of `between` is stamped between the two, by less than the steady window
///   before `newest`, and totals do not fall. While the series is stepped there is none.
/// - No total is zero: that is no measurement.
/// - `started` is not after `newest`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Series {
    /// The newest sample that was seen.
    pub newest: Option<CpuPoint>,
    /// The sample before. Where the series is stepped, one that does not fit to
    /// `newest`: the next one says which of the two was odd.
    pub earlier: Option<CpuPoint>,
    /// Samples after `earlier` that are too close to `newest`: the next ones to take its
    /// place. There are some only while the node is asked more often than the shortest
    /// window.
    pub between: Between,
    /// When the page of the newest sample said that the run began. While the series is
    /// stepped, what the page of `newest` said.
    pub started: Option<Timestamp>,
    /// Whether `started` may be of another setting of the clock: the clock was set, or it
    /// passed the sample before and the total did not fall. It stands in for no sample then.
    pub is_start_unsure: bool,
    /// When the newest sample was first seen.
    pub sight: Option<Sight>,
    /// Whether the clock was stepped, or one stamp is odd: it serves nothing until
    /// the next sample.
    pub is_stepped: bool,
    /// Whether the newest page has no sample. What was known is remembered, and
    /// pairs when there is one again.
    pub is_missing: bool,
}

impl Series {
    /// A series of one sample.
    pub fn first(cpu: Option<CpuPoint>, started: Option<Timestamp>, asked: Asked) -> Self {
        let cpu = measured(cpu);
        Self {
            newest: cpu,
            earlier: None,
            between: Between::default(),
            started: cpu.and_then(|new| begun(started, new)),
            is_start_unsure: false,
            sight: cpu.map(|_| asked.of_unknown_gap().sight()),
            is_stepped: false,
            is_missing: cpu.is_none(),
        }
    }

    /// When the run began, if that may stand in for a sample.
    pub fn sure_start(&self) -> Option<Timestamp> {
        self.started.filter(|_| !self.is_start_unsure)
    }

    /// What may be served of it: the earlier and the newer point.
    pub fn pair(&self) -> Option<(&CpuPoint, &CpuPoint)> {
        let pair = self.earlier.as_ref().zip(self.newest.as_ref());
        pair.filter(|_| !self.is_stepped && !self.is_missing)
    }

    fn newest_seen(&self) -> Option<Seen> {
        let seen = self.newest.zip(self.sight);
        seen.map(|(point, sight)| Seen { point, sight })
    }

    /// Takes in what a page says that was asked for last.
    pub fn take(&mut self, cpu: Option<CpuPoint>, started: Option<Timestamp>, asked: Asked) {
        let cpu = measured(cpu);
        let asked = if self.is_missing {
            self.asked_again(asked)
        } else {
            asked
        };
        self.is_missing = cpu.is_none();
        let Some(new) = cpu else { return };
        let Some(newest) = self.newest_seen() else {
            *self = Self::first(cpu, started, asked);
            return;
        };
        if self.is_late(newest, new, asked) {
            self.fill_in(new, begun(started, new), asked);
            return;
        }
        let started = begun(started, new);
        if new.at == newest.point.at {
            if self.is_stepped {
                // What came between was odd.
                (self.earlier, self.is_stepped, self.is_start_unsure) = (None, false, true);
            }
            self.started = started;
            self.repeat(new, newest.sight, asked);
        } else {
            self.follow(new, started, newest, asked);
        }
        self.drop_what_was_before_the_start();
    }

    /// After pages that lacked it: the next sample was measured after the newest one that is
    /// known, and may have been there as long.
    fn asked_again(&self, asked: Asked) -> Asked {
        let since = |sight: Sight| asked.since(sight.at).saturating_add(sight.gap);
        let gap = self.sight.map(since).filter(|gap| *gap < UNKNOWN_GAP);
        Asked { gap, ..asked }
    }

    /// Takes in what a page says that was asked for before the newest one: it may
    /// be newer for this series, or lie between the points of the pair. It tells
    /// nothing of steps: what does not fit to the newest sample is left out.
    pub fn take_older(&mut self, cpu: Option<CpuPoint>, started: Option<Timestamp>, asked: Asked) {
        let Some(new) = measured(cpu).filter(|_| !self.is_stepped) else {
            return;
        };
        let is_missing = self.is_missing;
        match self.newest_seen() {
            None => *self = Self::first(cpu, started, asked),
            Some(newest) => match new.at.cmp(&newest.point.at) {
                Ordering::Greater
                    if fits(newest, new, asked)
                        && !is_before(begun(started, new), self.started) =>
                {
                    self.follow(new, begun(started, new), newest, asked);
                }
                Ordering::Equal => self.repeat(new, newest.sight, asked),
                Ordering::Less if precedes(new, newest, asked) => {
                    let is_passed = self.started.is_some_and(|started| started >= new.at);
                    self.is_start_unsure |= is_passed && new.total <= newest.point.total;
                    self.fill_in(new, begun(started, new), asked);
                }
                Ordering::Greater | Ordering::Less => {}
            },
        }
        self.drop_what_was_before_the_start();
        self.is_missing = is_missing;
    }

    /// Whether `new` is an older sample than `newest` although its page was asked for
    /// later: two scrapers asked at almost the same moment, and the clock of one is
    /// ahead. Otherwise the clock was set back.
    fn is_late(&self, newest: Seen, new: CpuPoint, asked: Asked) -> bool {
        let Some(back) = newest.point.at.since(new.at).filter(|back| !back.is_zero()) else {
            return false;
        };
        let oldest = match self.earlier.filter(|_| !self.is_stepped) {
            Some(earlier) => newest.point.at.since(earlier.at).unwrap_or_default(),
            None => UNKNOWN_GAP,
        };
        asked.at <= newest.sight.at.plus(SLACK) && back <= oldest.max(SLACK)
    }

    /// The same sample again, which two scrapers may have seen. If its total moved under
    /// its stamp, the first one is that of the stamp, in whatever order they came.
    fn repeat(&mut self, new: CpuPoint, sight: Sight, asked: Asked) {
        let total = self.newest.map_or(new.total, |newest| newest.total);
        let before = self.before(|_| true);
        let runs_on = before.is_none_or(|before| before.total <= new.total);
        self.newest = Some(CpuPoint {
            total: if runs_on { total.min(new.total) } else { total },
            ..new
        });
        if asked.at < sight.at {
            self.sight = Some(Sight {
                at: asked.at,
                ..sight
            });
        }
    }

    /// A sample that is not the newest one again, and the start that its page gives.
    fn follow(&mut self, new: CpuPoint, started: Option<Timestamp>, newest: Seen, asked: Asked) {
        let odd = self.earlier.filter(|_| self.is_stepped);
        if odd.is_some_and(|odd| odd.at == new.at) {
            // The odd one again decides nothing.
            return;
        }
        let has_fallen = self.has_fallen(newest.point, new, asked);
        let is_of_earlier_run = is_before(started, self.started);
        if started.is_some_and(|started| started >= newest.point.at)
            || (has_fallen && !is_of_earlier_run)
        {
            let sight = self.asked_again(asked).sight();
            *self = Self::first(Some(new), started, asked);
            (self.sight, self.is_start_unsure) = (Some(sight), !has_fallen);
        } else if fits(newest, new, asked) && !is_of_earlier_run {
            if self.is_stepped {
                // The one between was odd.
                (self.earlier, self.is_stepped, self.is_start_unsure) = (None, false, true);
            }
            self.started = started;
            self.advance(new, asked);
        } else if let Some(odd) = odd {
            self.decide(odd, new, started, newest, asked);
        } else {
            self.earlier = Some(new);
            self.between = Between::default();
            self.is_stepped = true;
        }
    }

    /// Whether the counter began again. Of two scrapers that ask at the same moment and
    /// stamp by clocks that differ a little, the one may stamp later what it read
    /// earlier: then the point before that moment tells.
    fn has_fallen(&self, newest: CpuPoint, new: CpuPoint, asked: Asked) -> bool {
        let is_earlier = |point: &CpuPoint| !asked.is_same_moment(*point, new);
        let is_below = |point: CpuPoint| new.total < point.total;
        let before = || self.before(is_earlier).is_some_and(is_below);
        is_below(newest) && (is_earlier(&newest) || before())
    }

    /// The newest of these samples that is before the newest one.
    fn before(&self, is_one: impl FnMut(&CpuPoint) -> bool) -> Option<CpuPoint> {
        let earlier = self.earlier.filter(|_| !self.is_stepped);
        let points = earlier.into_iter().chain(self.between.iter());
        points.rev().find(is_one)
    }

    /// After a sample that did not fit to the one before: `new` fits to the odd one
    /// if the clock was stepped between the two, or if the start moved back and the run goes
    /// on. A run that is over does not, and is not taken while the other one may come again.
    fn decide(
        &mut self,
        odd: CpuPoint,
        new: CpuPoint,
        started: Option<Timestamp>,
        newest: Seen,
        asked: Asked,
    ) {
        let passed = asked.since(newest.sight.at);
        let is_in_time = new
            .at
            .since(odd.at)
            .is_some_and(|window| window <= passed.saturating_add(SLACK));
        let is_of_one_clock = fits(newest, new, asked);
        let goes_on = odd.total < new.total && newest.point.total <= new.total;
        // A run that seems to be over is not taken while the one that goes on may be served.
        let is_over = is_of_one_clock && !goes_on && passed <= served_for(asked.resolution);
        if is_in_time && odd.total <= new.total && !is_over {
            (self.newest, self.earlier) = (Some(new), None);
            self.between = Between::default();
            self.between.insert(odd);
            self.promote(new, asked);
            (self.started, self.is_start_unsure) = (started, true);
            self.sight = Some(asked.sight());
            self.is_stepped = false;
        } else {
            self.earlier = Some(new);
        }
    }

    /// Makes `new` the newest.
    fn advance(&mut self, new: CpuPoint, asked: Asked) {
        if let Some(newest) = self.newest {
            // Of two that were read at almost the same moment the later one may be smaller.
            self.between.retain(|point| point.total <= new.total);
            if newest.total <= new.total {
                self.between.insert(newest);
            }
            if self.promote(new, asked) {
                // From here on the earlier point is a sample.
                self.is_start_unsure = false;
            }
        }
        self.newest = Some(new);
        self.sight = Some(asked.sight());
    }

    /// Takes the newest point that is far enough from `new` as the earlier one. Returns
    /// whether there is one among those between.
    fn promote(&mut self, new: CpuPoint, asked: Asked) -> bool {
        let least = self.least(asked);
        let is_far = |point: &CpuPoint| !is_close(*point, new, least);
        let Some(earlier) = self.between.iter().rev().find(is_far) else {
            return false;
        };
        self.earlier = Some(earlier);
        self.between.retain(|point| point.at > earlier.at);
        true
    }

    /// How far apart the next pair is at least. A series without one does not wait for the steady
    /// window.
    fn least(&self, asked: Asked) -> Duration {
        match self.earlier {
            Some(_) => asked.steady_window.max(asked.min_window),
            None => asked.min_window,
        }
    }

    /// Takes a point as the earlier one if it is closer to the newest than that, and not
    /// too close; else as one between the two.
    fn fill_in(&mut self, point: CpuPoint, started: Option<Timestamp>, asked: Asked) {
        let Some(newest) = self.newest.filter(|_| !self.is_stepped) else {
            return;
        };
        let is_of_this_run = self.started.is_none_or(|started| started < point.at)
            && !is_before(started, self.started);
        let is_before_it = self.earlier.is_some_and(|earlier| point.at <= earlier.at);
        if !is_of_this_run || is_before_it || point.at >= newest.at {
            return;
        }
        let next = self.between.iter().find(|next| next.at > point.at);
        let next = next.unwrap_or(newest);
        let has_fallen = point.total > next.total;
        if has_fallen && asked.is_same_moment(point, next) {
            return;
        }
        if is_close(point, newest, self.least(asked)) {
            let is_above = |before: CpuPoint| before.total > point.total;
            let before = self.before(|before| before.at < point.at);
            if !has_fallen && !before.is_some_and(is_above) {
                self.between.insert(point);
            } else if has_fallen {
                // A counter that fell after it began again.
                self.earlier = None;
                self.between.retain(|between| between.at > point.at);
            }
        } else {
            // If it fell, what was before is of the run that was over.
            self.earlier = Some(point).filter(|_| !has_fallen);
        }
    }

    fn drop_what_was_before_the_start(&mut self) {
        let Some(started) = self.started else { return };
        if !self.is_stepped {
            self.earlier = self.earlier.filter(|earlier| earlier.at > started);
            self.between.retain(|point| point.at > started);
        }
    }
}

/// Kubelets say zero where they have not measured yet or no longer can. That is no
/// fall of the counter.
fn measured(cpu: Option<CpuPoint>) -> Option<CpuPoint> {
    cpu.filter(|point| point.total.0 > 0)
}

/// The start of a run, unless it is after a sample of it: then it is of another clock,
/// or of a time before the clock was set back.
fn begun(started: Option<Timestamp>, sample: CpuPoint) -> Option<Timestamp> {
    started.filter(|started| *started <= sample.at)
}

/// Whether the run of a sample began before that of the sample which it follows: then it
/// is of another run, or the clock was set. Starts that are computed again move a little.
fn is_before(started: Option<Timestamp>, known: Option<Timestamp>) -> bool {
    let back = started.zip(known).and_then(|(new, old)| old.since(new));
    back.is_some_and(|back| back > SLACK)
}

#[cfg(test)]
mod tests;
