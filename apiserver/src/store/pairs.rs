//! The two newest distinct points of every container of one node.
//!
//! A pair is a row, in the order of the newest reading's roster: its point, and
//! of the older one the CPU, which is all that is needed. So taking in a reading
//! of the same roster is a pass over arrays: no name is looked at.
//!
//! Each container pairs by its own kubelet time, because a kubelet measures
//! containers at different moments: a page may repeat one container's sample
//! and renew another's. Which two samples form the pair does not depend on the
//! order in which readings arrive, so frontends that were fed differently
//! agree (DESIGN D2).

mod row;

use std::{sync::Arc, time::Duration};

use tributary_model::{Columns, ContainerPoint, CpuPoint, NodePoint, Reading, Roster, Timestamp};

use self::row::Row;

/// How far apart the clocks of scrapers may be. A kubelet whose time goes back
/// although it was asked so much later has had its clock set.
const CLOCK_SLACK: Duration = Duration::from_secs(10);

/// The points of a pair are this part of a resolution apart at least. Two
/// scrapers may ask a node within milliseconds of each other, and a rate over
/// so short a time says nothing.
const LEAST_PART: u32 = 8;

/// An earlier point is not kept for longer than so many resolutions for the
/// sake of that.
const MOST: u32 = 2;

/// What became of a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// The first of its node.
    First,
    /// Newer than what was held.
    Newer,
    /// It says what is held already.
    Repeated,
    /// Older than what is held; it may have supplied earlier points.
    Older,
    /// The kubelet's clock was set back: what was held is worth nothing.
    ClockSet,
}

/// The pairs of one node.
///
/// # Invariants
///
/// `rows` has one entry per container of `roster`.
#[derive(Debug)]
pub(super) struct Pairs {
    /// How often the node is asked by one scraper.
    resolution: Duration,
    roster: Arc<Roster>,
    /// When the newest reading was asked for, by its scraper's clock.
    asked_at: Timestamp,
    /// The newest kubelet time seen.
    newest_at: Option<Timestamp>,
    /// When the reading was asked for that brought `newest_at`.
    renewed_at: Timestamp,
    node: NodePoint,
    node_before: Option<CpuPoint>,
    rows: Box<[Row]>,
}

impl Pairs {
    pub(super) fn first(reading: Reading) -> Self {
        Self {
            resolution: Duration::ZERO,
            asked_at: reading.asked_at,
            newest_at: reading.newest_at(),
            renewed_at: reading.asked_at,
            node: reading.point,
            node_before: None,
            rows: rows(&reading.columns),
            roster: reading.roster,
        }
    }

    /// Takes in how often the node is asked.
    pub(super) fn at_resolution(&mut self, resolution: Duration) {
        self.resolution = resolution;
    }

    pub(super) fn take(&mut self, reading: Reading) -> Taken {
        let at = reading.newest_at();
        if at < self.newest_at {
            if reading.asked_at > self.asked_at.plus(CLOCK_SLACK) {
                let resolution = self.resolution;
                *self = Self::first(reading);
                self.at_resolution(resolution);
                return Taken::ClockSet;
            }
            self.fill_in(&reading);
            return Taken::Older;
        }
        let renewed = at > self.newest_at;
        let asked_at = reading.asked_at.max(self.asked_at);
        let renewed_at = if renewed {
            reading.asked_at
        } else {
            self.renewed_at
        };
        self.advance(reading);
        self.asked_at = asked_at;
        self.newest_at = at;
        self.renewed_at = renewed_at;
        if renewed {
            Taken::Newer
        } else {
            Taken::Repeated
        }
    }

    /// Makes `reading` the newest and finds the earlier point of each row.
    fn advance(&mut self, reading: Reading) {
        let columns = &reading.columns;
        let mut held = std::mem::take(&mut self.rows);
        if self.roster == reading.roster {
            for (row, point) in held.iter_mut().zip(columns.points()) {
                *row = Row::new(&point, self.earlier(row, &point));
            }
            self.rows = held;
        } else {
            self.rows = rows(columns);
            for (before, row) in common_rows(&self.roster, &reading.roster) {
                let Some(held) = held.get(before) else {
                    continue;
                };
                let before = self.earlier(held, &columns.point(row));
                if let Some(new) = self.rows.get_mut(row) {
                    new.set_before(before);
                }
            }
            self.roster = reading.roster;
        }
        self.node_before = self.step(self.node.cpu, self.node_before, reading.point.cpu);
        self.node = reading.point;
    }

    /// The earlier point of the container that is `held`, once `point` is its newest.
    fn earlier(&self, held: &Row, point: &ContainerPoint) -> Option<CpuPoint> {
        if differ(held.started(), point.started) {
            return None;
        }
        self.step(held.cpu(), held.before(), point.cpu)
    }

    /// The earlier point once `new` follows the pair (`before`, `held`).
    fn step(
        &self,
        held: Option<CpuPoint>,
        before: Option<CpuPoint>,
        new: Option<CpuPoint>,
    ) -> Option<CpuPoint> {
        let Some(new) = new else {
            // Not measured this time: remember the last that was.
            return held.or(before);
        };
        let earlier = |known: &CpuPoint| known.at < new.at && known.total <= new.total;
        match held {
            // The same sample again: the pair stays.
            Some(held) if held.at == new.at => before,
            // Almost the same, asked for by another: the earlier point stays.
            Some(held) if earlier(&held) && self.is_close(held, before, new) => before,
            // A counter that fell belongs to another run (or, for a node, boot).
            known => known.or(before).filter(earlier),
        }
    }

    /// Whether `new` is too close to `held` to make a pair with it.
    fn is_close(&self, held: CpuPoint, before: Option<CpuPoint>, new: CpuPoint) -> bool {
        let within = |point: CpuPoint, span| new.at.since(point.at).is_some_and(|ago| ago < span);
        within(held, self.resolution / LEAST_PART)
            && before.is_none_or(|before| within(before, self.resolution * MOST))
    }

    /// Takes from an older reading what lies between the points of a pair.
    fn fill_in(&mut self, reading: &Reading) {
        let least = self.resolution / LEAST_PART;
        let rows: Vec<(usize, usize)> = if self.roster == reading.roster {
            (0..self.rows.len()).map(|row| (row, row)).collect()
        } else {
            common_rows(&self.roster, &reading.roster).collect()
        };
        for (held, row) in rows {
            let Some(held) = self.rows.get_mut(held) else {
                continue;
            };
            if !differ(held.started(), reading.columns.started(row)) {
                let between = reading.columns.cpu(row);
                held.set_before(closer(held.cpu(), held.before(), between, least));
            }
        }
        self.node_before = closer(self.node.cpu, self.node_before, reading.point.cpu, least);
    }

    /// Which containers the rows are about.
    pub(super) fn roster(&self) -> &Arc<Roster> {
        &self.roster
    }

    pub(super) fn node(&self) -> (&NodePoint, Option<&CpuPoint>) {
        (&self.node, self.node_before.as_ref())
    }

    /// What is held of each container.
    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The newest kubelet time seen.
    pub(super) fn newest_at(&self) -> Option<Timestamp> {
        self.newest_at
    }

    /// When somebody last asked for something that turned out to be new.
    pub(super) fn renewed_at(&self) -> Timestamp {
        self.renewed_at
    }

    /// When somebody last asked with success.
    pub(super) fn asked_at(&self) -> Timestamp {
        self.asked_at
    }
}

fn rows(columns: &Columns) -> Box<[Row]> {
    let points = columns.points();
    points.map(|point| Row::new(&point, None)).collect()
}

/// Of `before` and `between` the one closer to `held`, yet earlier by `least`.
fn closer(
    held: Option<CpuPoint>,
    before: Option<CpuPoint>,
    between: Option<CpuPoint>,
    least: Duration,
) -> Option<CpuPoint> {
    let fits = between.filter(|between| {
        let far = |held: CpuPoint| held.at.since(between.at).is_some_and(|ago| ago >= least);
        held.is_some_and(|held| between.at < held.at && far(held) && between.total <= held.total)
            && before.is_none_or(|before| before.at < between.at)
    });
    fits.or(before)
}

/// Whether two start times tell two runs apart. One that is not reported does
/// not.
fn differ(one: Option<Timestamp>, other: Option<Timestamp>) -> bool {
    one.zip(other).is_some_and(|(one, other)| one != other)
}

/// The rows of the containers that both rosters have. Both are sorted, so they
/// are walked side by side, once.
fn common_rows(held: &Roster, new: &Roster) -> impl Iterator<Item = (usize, usize)> {
    let mut held = held.rows().peekable();
    new.rows().filter_map(move |(row, pod, container)| {
        while held
            .next_if(|(_, before, name)| (*before, *name) < (pod, container))
            .is_some()
        {}
        held.next_if(|(_, same, name)| (*same, *name) == (pod, container))
            .map(|(at, ..)| (at, row))
    })
}

#[cfg(test)]
mod tests;
