//! The newest samples of every node, and the usages computed from them.
//!
//! Knows the model and nothing else: not the bus that fills it, not the API
//! that asks it.

mod outcome;
mod pairs;
mod points;

use std::{sync::Arc, time::Duration};

use parking_lot::RwLock;
use tributary_model::{Freshness, NodeName, PodKey, Reading, Roster, Timestamp, Usage};

use self::points::Points;
pub(crate) use self::{outcome::Newest, pairs::Taken, points::Remembered};
pub use self::{
    outcome::{FailedScrape, Failure, NoMetrics, PodUsage},
    points::{CoverageCounts, Report, Source, State},
};

/// The samples for many threads. The lock lives and dies inside one call.
#[derive(Clone, Debug, Default)]
pub struct Store(Arc<RwLock<Points>>);

impl Store {
    /// An empty store that serves samples up to `max_age` after their scrape;
    /// without one, three times the resolution at which they are taken.
    pub fn new(max_age: Option<Duration>) -> Self {
        Self(Arc::new(RwLock::new(Points::new(max_age))))
    }

    /// An empty store that serves rates over `min_window` at least, and over no more than
    /// that needs.
    pub fn with_min_window(max_age: Option<Duration>, min_window: Duration) -> Self {
        let points = Points::new(max_age).with_min_window(min_window);
        Self(Arc::new(RwLock::new(points)))
    }

    /// Takes in a reading. Readings may come twice, from several sources and
    /// in any order. Returns what became of it, as a word for a counter.
    pub fn take(&self, reading: Reading, source: &Source) -> &'static str {
        match self.write(|points| points.take(reading, source)) {
            Taken::First => "first",
            Taken::Newer => "newer",
            Taken::Repeated => "repeated",
            Taken::Older => "older",
            Taken::ClockSet => "clock_set",
        }
    }

    /// Takes in that a scrape failed. What is stored stays.
    pub fn fail(&self, node: &NodeName, failed: FailedScrape, source: &Source) {
        self.write(|points| points.fail(node, failed, source));
    }

    /// Forgets what is too old to be served, and nodes that do not exist.
    /// Returns how many existing nodes lost their samples.
    pub fn expire(&self, now: Timestamp, exists: impl Fn(&str) -> bool) -> usize {
        self.write(|points| points.expire(now, exists))
    }

    /// What `node` used.
    ///
    /// # Errors
    ///
    /// Why nothing can be said.
    pub fn node(&self, node: &str, now: Timestamp) -> Result<Usage, NoMetrics> {
        self.read(|points| points.node(node, now))
    }

    /// What each of `pods` used, in the same order, under one lock: callers
    /// pass a page of a list, not all of it.
    ///
    /// With each pod comes the node that it is bound to, which alone counts,
    /// whoever else reports it. Where that is not known it is the node that
    /// reported it first and still does.
    pub fn pods<'a>(
        &self,
        pods: impl IntoIterator<Item = (&'a PodKey, Option<&'a NodeName>)>,
        now: Timestamp,
    ) -> Vec<Result<PodUsage, NoMetrics>> {
        let pods = pods.into_iter();
        self.read(|points| points.pods(pods, now))
    }

    /// The nodes that report the pod, whether or not it is bound to them; more than
    /// one while it moves. The first of them did so first.
    pub fn nodes_of(&self, pod: &PodKey) -> Vec<NodeName> {
        self.read(|points| points.nodes_of(pod))
    }

    /// Takes in that `pod` is bound to `node`. What is served of it does not change by
    /// that; it marks other nodes that report it for [`Store::questioned`].
    pub(crate) fn bound(&self, pod: &PodKey, node: &NodeName) {
        if self.read(|points| points.is_claimed(pod, node)) {
            self.write(|points| points.question(pod, node));
        }
    }

    /// Takes in that `pod`, which was bound to `node`, does not exist any longer: it is
    /// not remembered when a page lacks it, and not taken from pages of before `now`.
    pub(crate) fn deleted(&self, pod: &PodKey, node: &NodeName, now: Timestamp) {
        self.write(|points| points.delete(pod, node, now));
    }

    /// Marks all nodes for [`Store::questioned`].
    pub(crate) fn question_all(&self) {
        self.write(Points::question_all);
    }

    /// The nodes whose rosters are to be looked at for pods that are bound to other
    /// nodes: those whose roster has changed since this was asked, those that were
    /// marked, and those of which something is refused.
    pub(crate) fn questioned(&self) -> Vec<(NodeName, Arc<Roster>)> {
        self.write(Points::questioned)
    }

    /// Takes in how many pods in the roster of `node` are bound to other nodes.
    pub(crate) fn refuse(&self, node: &NodeName, pods: usize) {
        self.write(|points| points.refuse(node, pods));
    }

    /// How many pods in readings counted for nothing so far because they are bound to
    /// other nodes, and how many nodes report such pods now.
    pub(crate) fn refused(&self) -> (u64, usize) {
        self.read(Points::refused)
    }

    /// The key of a pod that is reported, as it is in memory.
    pub fn key(&self, pod: &PodKey) -> Option<PodKey> {
        self.read(|points| points.key(pod))
    }

    /// `roster`, or the equal one that is stored for `node`: one copy in memory.
    pub fn intern_roster(&self, node: &NodeName, roster: Arc<Roster>) -> Arc<Roster> {
        match self.read(|points| points.roster(node.as_str())) {
            Some(stored) if stored == roster => stored,
            _ => roster,
        }
    }

    /// How `nodes` stand.
    pub fn coverage(&self, nodes: &[NodeName], now: Timestamp) -> CoverageCounts {
        self.read(|points| points.coverage(nodes, now))
    }

    /// What is known of each of `nodes`, in the same order, for people: callers
    /// pass a page.
    pub fn reports(&self, nodes: &[NodeName], now: Timestamp) -> Vec<Report> {
        let nodes = nodes.iter();
        self.read(|points| nodes.map(|node| points.report(node, now)).collect())
    }

    /// When the kubelet of each of `nodes` measures, in the same order: callers pass a page.
    pub fn freshness(&self, nodes: &[NodeName]) -> Vec<Freshness> {
        let nodes = nodes.iter();
        self.read(|points| nodes.map(|node| points.freshness(node)).collect())
    }

    /// How each of `nodes` stands, in the same order, and how old its newest sample
    /// is, if one is stored.
    pub fn states(&self, nodes: &[NodeName], now: Timestamp) -> Vec<(State, Option<Duration>)> {
        let nodes = nodes.iter();
        self.read(|points| nodes.map(|node| points.state(node, now)).collect())
    }

    /// How fresh the samples of `nodes` are; nothing if nobody has ever
    /// published.
    pub(crate) fn newest(&self, nodes: Vec<NodeName>) -> Vec<(NodeName, Newest)> {
        self.read(|points| points.newest(nodes))
    }

    /// How much is stored of containers that the newest pages of their nodes lack.
    pub(crate) fn remembered(&self) -> Remembered {
        self.read(Points::remembered)
    }

    /// How many nodes and containers are stored.
    pub fn sizes(&self) -> (usize, usize) {
        self.read(Points::count)
    }

    fn read<T>(&self, ask: impl FnOnce(&Points) -> T) -> T {
        ask(&self.0.read())
    }

    fn write<T>(&self, change: impl FnOnce(&mut Points) -> T) -> T {
        change(&mut self.0.write())
    }
}
