//! The two newest distinct samples of every container of one node.
//!
//! They are rows, in the order of the newest page's roster. So taking in a reading of
//! the same roster is a pass over arrays: no name is looked at.
//!
//! Each container has its own series, because a kubelet measures containers at
//! different moments and perhaps by different clocks: a page may repeat one
//! container's sample and renew another's. Which two samples form the pair does not
//! depend on the order in which readings arrive, so frontends that were fed
//! differently agree (docs/decisions/0026-time.md).

mod between;
mod deleted;
mod freshness;
mod gone;
mod row;

use std::{sync::Arc, time::Duration};

use tributary_model::{
    Asked, ContainerName, ContainerPoint, Endpoint, MOST_CORES, NanoCores, NoUsage, NodePoint,
    PodKey, Reading, Remarks, Roster, RosterPod, Timestamp, most_of,
};

use self::{
    between::{Betweens, Place},
    deleted::Deleted,
    gone::{Gone, Lost},
    row::Page,
};
pub(in crate::store) use self::{
    gone::{GonePod, MAX as MOST_REMEMBERED, REMEMBERED},
    row::Row,
};

/// What became of a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// The first of its node.
    First,
    /// Newer than what was stored.
    Newer,
    /// It says what is stored already.
    Repeated,
    /// Asked for before what is stored; it may have supplied earlier samples.
    Older,
    /// The clock of the node, or of a container, was set.
    ClockSet,
}

/// Where samples are frequent, the points of a pair are this many shortest windows apart, as soon as there are such.
const STEADY: u32 = 3;

/// How far apart samples are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// How often the node is asked by one scraper.
    pub(super) resolution: Duration,
    /// How far apart the points of a pair are at least.
    pub(super) min_window: Duration,
}

impl Pace {
    fn asked(self, at: Timestamp, gap: Option<Duration>, is_frequent: bool) -> Asked {
        let times = if is_frequent { STEADY } else { 1 };
        Asked {
            at,
            gap,
            resolution: self.resolution,
            min_window: self.min_window,
            steady_window: self.min_window * times,
        }
    }

    /// Whether samples that are this far apart are frequent: means over the shortest window alone
    /// would follow noise.
    fn is_frequent(self, apart: Duration) -> bool {
        apart < self.min_window + self.min_window / 4
    }
}

/// Where the points of the node itself are, among those of its rows.
const NODE: usize = usize::MAX;

/// Moves the points of a row to where the row is on the next page. Most nodes have none.
#[inline]
fn hand_over(from: &mut Betweens<usize>, at: usize, to: &mut Betweens<usize>, new: usize) {
    if !from.is_empty()
        && let Some(points) = from.remove(&at)
    {
        to.insert(new, points);
    }
}

/// The pairs of one node.
///
/// # Invariants
///
/// `rows` has one entry per container of `roster`.
#[derive(Debug)]
pub(super) struct Pairs {
    pace: Pace,
    roster: Arc<Roster>,
    /// When the newest page was asked for, by our clock.
    asked_at: Timestamp,
    /// The newest kubelet time seen.
    newest_at: Option<Timestamp>,
    /// Whether the newest page came soon after another one, and its samples did, too.
    is_frequent: bool,
    node: Row,
    rows: Box<[Row]>,
    /// The points between those of pairs, by row; by [`NODE`] those of the node itself.
    between: Betweens<usize>,
    gone: Gone,
    /// Pods that are deleted: they are not remembered when a page lacks them.
    deleted: Deleted,
    remarks: Remarks,
}

/// How many containers a node may remember that its newest page lacks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) most: usize,
    /// How many were forgotten for that.
    pub(super) forgotten: usize,
}

impl Pairs {
    pub(super) fn first(reading: Reading, samples: Pace) -> Self {
        let asked = samples.asked(reading.asked_at, None, false);
        let (page, points) = (Page::new(asked), reading.columns.points());
        Self {
            pace: samples,
            asked_at: reading.asked_at,
            newest_at: reading.newest_at(),
            is_frequent: false,
            node: Row::first(&point_of(&reading.point), &page),
            rows: points.map(|point| Row::first(&point, &page)).collect(),
            between: Betweens::new(),
            gone: Gone::default(),
            deleted: Deleted::default(),
            remarks: reading.remarks,
            roster: reading.roster,
        }
    }

    /// Takes in how often the node is asked.
    pub(super) fn at_resolution(&mut self, resolution: Duration) {
        self.pace.resolution = resolution;
    }

    pub(super) fn take(&mut self, reading: Reading, room: &mut Room) -> Taken {
        let gap = reading.asked_at.since(self.asked_at);
        if let Some(gap) = gap {
            self.is_frequent = self.pace.is_frequent(gap) && self.has_frequent_samples();
        }
        let asked = self.pace.asked(reading.asked_at, gap, self.is_frequent);
        if gap.is_none() {
            self.take_older(&reading, &Page::new(asked), room);
            return Taken::Older;
        }
        let newest_at = reading.newest_at();
        let renewed = newest_at > self.newest_at;
        let clock_set = self.advance(reading, &Page::new(asked), room);
        self.newest_at = newest_at;
        if clock_set {
            Taken::ClockSet
        } else if renewed {
            Taken::Newer
        } else {
            Taken::Repeated
        }
    }

    /// Makes `reading` the newest. Returns whether the clock of any series was set.
    fn advance(&mut self, reading: Reading, page: &Page, room: &mut Room) -> bool {
        let node = Place::new(&mut self.between, NODE);
        let mut clock_set = self.node.take(&point_of(&reading.point), page, node);
        self.gone.forget(reading.asked_at);
        self.deleted.forget(reading.asked_at, self.pace.resolution);
        if self.roster == reading.roster {
            let rows = self.rows.iter_mut().zip(reading.columns.points());
            for (at, (row, point)) in rows.enumerate() {
                clock_set |= row.take(&point, page, Place::new(&mut self.between, at));
            }
        } else {
            clock_set |= self.change_roster(&reading, page, room);
        }
        self.roster = reading.roster;
        self.asked_at = reading.asked_at;
        self.remarks = reading.remarks;
        clock_set
    }

    /// Takes in a page with other containers: what it has not is remembered, and what
    /// it has again goes on.
    fn change_roster(&mut self, reading: &Reading, page: &Page, room: &mut Room) -> bool {
        let mut clock_set = false;
        let mut before = std::mem::take(&mut self.between);
        let mut between = Betweens::new();
        between.extend(before.remove(&NODE).map(|points| (NODE, points)));
        let columns = &reading.columns;
        let mut rows = Vec::with_capacity(columns.len());
        let mut lost = Lost::default();
        for in_both in merge(&self.roster, &reading.roster) {
            match in_both {
                Merged::Stored(at, pod, name) => {
                    if let Some(row) = self.rows.get(at)
                        && !self.deleted.is_on_page(pod, self.asked_at)
                    {
                        lost.push(pod, name, (*row, before.remove(&at)), self.asked_at);
                    }
                }
                Merged::Both(at, _, new) => {
                    let point = columns.point(new);
                    rows.push(match self.rows.get(at) {
                        Some(row) => {
                            let mut row = *row;
                            hand_over(&mut before, at, &mut between, new);
                            clock_set |= row.take(&point, page, Place::new(&mut between, new));
                            row
                        }
                        None => Row::first(&point, page),
                    });
                }
                Merged::New(new, pod, name) => {
                    let point = columns.point(new);
                    rows.push(match self.gone.take(pod, name) {
                        Some((row, points)) => {
                            let mut row = row.missed();
                            between.extend(points.map(|points| (new, points)));
                            clock_set |= row.take(&point, page, Place::new(&mut between, new));
                            row
                        }
                        None => Row::first(&point, page),
                    });
                }
            }
        }
        self.rows = rows.into();
        self.between = between;
        self.remember(lost, room);
        clock_set
    }

    /// Takes from a page that was asked for before the newest one what it has of the
    /// same containers, and of those that the newest one lacks.
    fn take_older(&mut self, reading: &Reading, page: &Page, room: &mut Room) {
        let mut lost = Lost::default();
        let is_over = self.asked_at.since(reading.asked_at) > Some(REMEMBERED);
        for in_both in merge(&self.roster, &reading.roster) {
            match in_both {
                Merged::Both(_, pod, _) if self.deleted.is_after(pod, reading.asked_at) => {}
                Merged::Both(at, _, old) => {
                    if let Some(row) = self.rows.get_mut(at) {
                        let place = Place::new(&mut self.between, at);
                        row.take_older(&reading.columns.point(old), page, place);
                    }
                }
                Merged::New(_, pod, _) if self.deleted.is_on_page(pod, reading.asked_at) => {}
                Merged::New(old, pod, name) if !is_over => {
                    let point = reading.columns.point(old);
                    self.gone
                        .take_older(pod, name, &point, page, reading.asked_at, &mut lost);
                }
                Merged::New(..) | Merged::Stored(..) => {}
            }
        }
        let place = Place::new(&mut self.between, NODE);
        self.node.take_older(&point_of(&reading.point), page, place);
        self.remember(lost, room);
    }

    /// Forgets containers that the newest page lacks until there are `room.most`: those that were on a page last stay.
    pub(super) fn make_room(&mut self, room: &mut Room) {
        self.remember(Lost::default(), room);
    }

    fn remember(&mut self, lost: Lost, room: &mut Room) {
        room.forgotten += self.gone.put(lost, room.most);
    }

    /// Which containers the rows are about.
    pub(super) fn roster(&self) -> &Arc<Roster> {
        &self.roster
    }

    /// The node's own.
    pub(super) fn node(&self) -> &Row {
        &self.node
    }

    /// What is stored of each container.
    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// How many containers are remembered that the newest page lacks.
    pub(super) fn remembered(&self) -> usize {
        self.gone.len()
    }

    /// What is stored of a pod that the newest page lacks.
    pub(super) fn gone(&self, pod: &PodKey) -> Option<&GonePod> {
        self.gone.get(pod)
    }

    /// Takes in that a pod does not exist any longer: it is not remembered, now or when
    /// another page lacks it, and what the newest page has of it is not that of the next
    /// pod of its name.
    pub(super) fn delete(&mut self, pod: &PodKey, now: Timestamp) {
        self.gone.remove(pod);
        let rows = self.roster.find(pod).map(RosterPod::rows);
        for at in rows.unwrap_or_default() {
            if let Some(row) = self.rows.get_mut(at) {
                *row = Row::empty();
            }
            self.between.remove(&at);
        }
        self.deleted.add(pod, now);
    }

    /// Why the container in `row` has no value, if the page said.
    pub(super) fn withheld(&self, row: usize) -> Option<NoUsage> {
        let (row, withheld) = (u32::try_from(row).ok()?, &self.remarks.withheld);
        let at = withheld.binary_search_by_key(&row, |(row, _)| *row).ok()?;
        withheld.get(at).map(|(_, reason)| *reason)
    }

    /// Whether the newest page had this pod, with a container whose name cannot be used.
    pub(super) fn is_unreadable(&self, pod: &PodKey) -> bool {
        self.remarks.is_unreadable(pod)
    }

    /// The most that is believed of one container, or of the node.
    pub(super) fn most(&self) -> NanoCores {
        self.remarks
            .node_cpu_millis
            .map_or(MOST_CORES, |millis| most_of(millis).min(MOST_CORES))
    }

    /// Where on the kubelet the newest page is from.
    pub(super) fn endpoint(&self) -> Endpoint {
        self.remarks.endpoint
    }

    /// When somebody last asked with success.
    pub(super) fn asked_at(&self) -> Timestamp {
        self.asked_at
    }
}

/// The node as if it were a container, without a start.
fn point_of(node: &NodePoint) -> ContainerPoint {
    ContainerPoint {
        cpu: node.cpu,
        memory: node.memory,
        started: None,
        swap: node.swap,
    }
}

/// A container of two rosters, with its rows.
enum Merged<'a> {
    Stored(usize, &'a PodKey, &'a ContainerName),
    Both(usize, &'a PodKey, usize),
    New(usize, &'a PodKey, &'a ContainerName),
}

/// The containers of both rosters. Both are sorted, so they are walked side by side,
/// once.
fn merge<'a>(stored: &'a Roster, new: &'a Roster) -> impl Iterator<Item = Merged<'a>> {
    let mut stored = stored.rows().peekable();
    let mut new = new.rows().peekable();
    std::iter::from_fn(move || {
        let order = match (stored.peek(), new.peek()) {
            (None, None) => return None,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some((_, pod, container)), Some((_, other, name))) => {
                (*pod, *container).cmp(&(*other, *name))
            }
        };
        Some(match order {
            std::cmp::Ordering::Less => {
                let (row, pod, container) = stored.next()?;
                Merged::Stored(row, pod, container)
            }
            std::cmp::Ordering::Greater => {
                let (row, pod, container) = new.next()?;
                Merged::New(row, pod, container)
            }
            std::cmp::Ordering::Equal => {
                let ((at, pod, _), (row, ..)) = stored.next().zip(new.next())?;
                Merged::Both(at, pod, row)
            }
        })
    })
}

#[cfg(test)]
mod tests;
