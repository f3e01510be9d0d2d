//! Containers that the newest page of a node lacks, for as long as they may be back.
//!
//! After a restart a kubelet gives a page without containers, or with some of them,
//! while all run on. Such a page is for them what a failed scrape is for a node: their
//! pods are served for as long, and when they are back the sample before pairs.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use tributary_model::{
    ContainerName, ContainerPoint, CpuPoint, PodKey, Roster, RosterBuilder, Timestamp,
};

use super::{
    between::{Betweens, Place},
    row::{Page, Row},
};

/// How long they are remembered.
pub(in crate::store) const REMEMBERED: Duration = Duration::from_mins(15);

/// How many containers of one node are remembered: many times what Kubernetes
/// recommends to run on one.
pub(in crate::store) const MAX: usize = 2_048;

/// How many times of the same pod are known, at which a page had some of its containers last. A pod loses its containers
/// at once, or a few at a time while it ends. Looking for a container walks over these.
const TIMES_OF_POD: usize = 8;

/// What was on former pages.
///
/// # Invariants
///
/// `pods` is sorted by key and then by time: what was lost of a pod at one time and at
/// another is two entries. No container is in two of them, and none is empty.
#[derive(Debug, Default)]
pub(super) struct Gone {
    pods: Vec<GonePod>,
    containers: usize,
}

/// Containers of a pod that were last on the same page.
#[derive(Debug)]
pub(in crate::store) struct GonePod {
    pod: PodKey,
    /// Sorted.
    names: Vec<ContainerName>,
    /// One for each container, in the order of their names.
    pub(in crate::store) rows: Vec<Row>,
    /// The points between those of their pairs, of the containers that have some. Sorted. Most pods have one container,
    /// for which a map would take 400 bytes more.
    between: Vec<(ContainerName, Box<[CpuPoint]>)>,
    /// When the page was asked for that had them last.
    pub(in crate::store) asked_at: Timestamp,
    /// These containers and nothing else, once somebody asks.
    roster: OnceLock<Arc<Roster>>,
}

impl GonePod {
    fn new(pod: &PodKey, asked_at: Timestamp) -> Self {
        Self {
            pod: pod.clone(),
            // Most pods have one container.
            names: Vec::with_capacity(1),
            rows: Vec::with_capacity(1),
            between: Vec::new(),
            asked_at,
            roster: OnceLock::new(),
        }
    }

    /// The containers that are gone.
    pub(in crate::store) fn roster(&self) -> &Arc<Roster> {
        self.roster.get_or_init(|| {
            let mut builder = RosterBuilder::default();
            for name in &self.names {
                // They were in a roster.
                builder.add(self.pod.clone(), name.clone()).ok();
            }
            builder.build()
        })
    }

    /// Adds what is in `other` if it was on the same page. Returns whether it was.
    fn absorb(other: &mut Self, into: &mut Self) -> bool {
        let is_same = other.asked_at == into.asked_at && other.pod == into.pod;
        if is_same {
            into.roster.take();
            for (name, points) in other.between.drain(..) {
                into.put_points(&name, points);
            }
            for (name, row) in other.names.drain(..).zip(other.rows.drain(..)) {
                if let Err(at) = into.names.binary_search(&name) {
                    into.names.insert(at, name);
                    into.rows.insert(at, row);
                }
            }
        }
        is_same
    }

    fn take(&mut self, at: usize) -> GoneContainer {
        let name = self.names.remove(at);
        self.roster.take();
        (self.rows.remove(at), self.take_points(&name))
    }

    /// Where the points of a container are, or belong.
    fn place_of(&self, name: &ContainerName) -> Result<usize, usize> {
        self.between.binary_search_by(|(other, _)| other.cmp(name))
    }

    fn take_points(&mut self, name: &ContainerName) -> Option<Vec<CpuPoint>> {
        let at = self.place_of(name).ok()?;
        let (_, points) = self.between.remove(at);
        Some(points.into())
    }

    /// Stores the points of a container. It has none.
    fn put_points(&mut self, name: &ContainerName, points: Box<[CpuPoint]>) {
        if let Err(at) = self.place_of(name) {
            self.between
                .reserve_exact(usize::from(self.between.is_empty()));
            self.between.insert(at, (name.clone(), points));
        }
    }
}

/// A container that a page lost: its row, and the points between those of its pair.
pub(super) type GoneContainer = (Row, Option<Vec<CpuPoint>>);

/// The points of one container, where a [`Row`] looks for them.
fn alone(points: Option<Vec<CpuPoint>>) -> Betweens<()> {
    points.map(|points| ((), points)).into_iter().collect()
}

/// What pages lose, in the order of the names.
#[derive(Debug, Default)]
pub(super) struct Lost(Vec<GonePod>);

impl Lost {
    /// Adds a container that was last on the page that was asked for then.
    pub(super) fn push(
        &mut self,
        pod: &PodKey,
        name: &ContainerName,
        (row, between): GoneContainer,
        asked_at: Timestamp,
    ) {
        let Self(pods) = self;
        let is_other = |last: &GonePod| last.asked_at != asked_at || last.pod != *pod;
        if pods.last().is_none_or(is_other) {
            pods.reserve_exact(usize::from(pods.is_empty()));
            pods.push(GonePod::new(pod, asked_at));
        }
        if let Some(last) = pods.last_mut() {
            last.names.push(name.clone());
            last.rows.push(row);
            if let Some(points) = between {
                last.put_points(name, points.into());
            }
        }
    }
}

impl Gone {
    /// How many containers are remembered.
    pub(super) fn len(&self) -> usize {
        self.containers
    }

    /// What is remembered of a pod, as of the last page that had any of it.
    pub(super) fn get(&self, pod: &PodKey) -> Option<&GonePod> {
        self.of(pod).last()
    }

    fn of(&self, pod: &PodKey) -> &[GonePod] {
        let begin = self.pods.partition_point(|gone| gone.pod < *pod);
        let after = self.pods.get(begin..).unwrap_or_default();
        let count = after.iter().take_while(|gone| gone.pod == *pod).count();
        after.get(..count).unwrap_or_default()
    }

    fn find(&mut self, pod: &PodKey, name: &ContainerName) -> Option<(&mut GonePod, usize)> {
        let begin = self.pods.partition_point(|gone| gone.pod < *pod);
        let after = self.pods.get_mut(begin..)?.iter_mut();
        after
            .take_while(|gone| gone.pod == *pod)
            .find_map(|gone| Some((gone.names.binary_search(name).ok()?, gone)))
            .map(|(at, gone)| (gone, at))
    }

    /// What is remembered of a container that a page has again, and no longer then.
    /// [`Gone::put`] is to follow.
    pub(super) fn take(&mut self, pod: &PodKey, name: &ContainerName) -> Option<GoneContainer> {
        if self.pods.is_empty() {
            return None;
        }
        let (gone, at) = self.find(pod, name)?;
        let kept = gone.take(at);
        self.containers -= 1;
        Some(kept)
    }

    /// Takes in what a page has of a container that the newest one lacks, which was
    /// asked for later. [`Gone::put`] is to follow with what is lost.
    pub(super) fn take_older(
        &mut self,
        pod: &PodKey,
        name: &ContainerName,
        point: &ContainerPoint,
        page: &Page,
        asked_at: Timestamp,
        lost: &mut Lost,
    ) {
        let kept = match self.find(pod, name) {
            None => (Row::first(point, page), None),
            Some((gone, at)) if gone.asked_at < asked_at => {
                let (mut row, points) = gone.take(at);
                self.containers -= 1;
                let mut between = alone(points);
                row.take(point, page, Place::new(&mut between, ()));
                (row, between.remove(&()))
            }
            Some((gone, at)) => {
                let mut between = alone(gone.take_points(name));
                if let Some(row) = gone.rows.get_mut(at) {
                    row.take_older(point, page, Place::new(&mut between, ()));
                }
                if let Some(points) = between.remove(&()) {
                    gone.put_points(name, points.into());
                }
                return;
            }
        };
        lost.push(pod, name, kept, asked_at);
    }

    /// Remembers what pages lost, up to this many containers: those that were on a page
    /// last. Returns how many were forgotten for that.
    pub(super) fn put(&mut self, Lost(lost): Lost, room: usize) -> usize {
        let room = room.min(MAX);
        self.pods.retain(|gone| !gone.rows.is_empty());
        self.containers += lost.iter().map(|gone| gone.rows.len()).sum::<usize>();
        if self.pods.is_empty() {
            self.pods = lost;
        } else if !lost.is_empty() {
            self.pods.extend(lost);
            self.pods
                .sort_by(|one, two| (&one.pod, one.asked_at).cmp(&(&two.pod, two.asked_at)));
            self.pods.dedup_by(GonePod::absorb);
            self.count();
        }
        let early = self.forget_early();
        if self.containers <= room {
            return early;
        }
        early + self.make_room(room)
    }

    /// Forgets what was on pages longest ago of pods with more than [`TIMES_OF_POD`]. Returns how many containers that were.
    fn forget_early(&mut self) -> usize {
        let before = self.containers;
        for times in self.pods.chunk_by_mut(|one, two| one.pod == two.pod) {
            let over = times.len().saturating_sub(TIMES_OF_POD);
            for gone in times.iter_mut().take(over) {
                self.containers -= gone.rows.len();
                gone.rows.clear();
            }
        }
        if self.containers < before {
            self.pods.retain(|gone| !gone.rows.is_empty());
        }
        before - self.containers
    }

    /// Forgets what was on a page longest ago.
    fn make_room(&mut self, room: usize) -> usize {
        let before = self.containers;
        let mut by_age: Vec<&mut GonePod> = self.pods.iter_mut().collect();
        by_age.sort_by_key(|gone| std::cmp::Reverse(gone.asked_at));
        let mut left = room;
        for gone in by_age {
            match left.checked_sub(gone.rows.len()) {
                Some(rest) => left = rest,
                None => gone.rows.clear(),
            }
        }
        self.pods.retain(|gone| !gone.rows.is_empty());
        self.count();
        before - self.containers
    }

    pub(super) fn remove(&mut self, pod: &PodKey) {
        self.pods.retain(|gone| gone.pod != *pod);
        self.count();
    }

    /// Forgets what has been gone for too long.
    pub(super) fn forget(&mut self, now: Timestamp) {
        if self.pods.is_empty() {
            return;
        }
        self.pods.retain(|gone| {
            let ago = now.since(gone.asked_at);
            ago.is_none_or(|ago| ago <= REMEMBERED)
        });
        self.count();
    }

    fn count(&mut self) {
        self.containers = self.pods.iter().map(|gone| gone.rows.len()).sum();
    }
}
