//! Which nodes this scraper asks, and since when and until when.
//!
//! The members of a group are ranked for every node ([`View::rank`]). The first
//! `--replication-factor` own it, the next stands by (DESIGN D5). What is added
//! here is time:
//!
//! - Whoever comes to own a node starts, at the node's next phase if another
//!   asked it until now: so moves are spread over a resolution, the rhythm of
//!   the node is kept, and kubelets see no stampede of TLS sessions.
//! - Whoever loses a node goes on for two resolutions.
//! - A node that frontends report as overdue is asked by whoever stands by, and
//!   by one more of the following ranks with every report, for a while that
//!   doubles if it happens again and again. One who cannot reach the node either
//!   leaves off and waits longer each time.
//!
//! Overlap is harmless and a gap is a fault: in doubt, scrape.
//!
//! Pure: the date is an argument.

mod standing;
mod view;

use std::{
    collections::{BTreeSet, HashMap},
    mem::discriminant,
    time::Duration,
};

use tributary_model::{NodeName, Timestamp};

pub(crate) use self::{
    standing::Standing,
    view::{Member, Peer, View},
};

/// A former owner goes on for so many resolutions.
const OVERLAP: u32 = 2;

/// A rescue lasts so many resolutions the first time, and up to
/// `2^MOST_DOUBLINGS` times as many.
const RESCUE: u32 = 4;
const MOST_DOUBLINGS: u32 = 3;

/// A node that was not reported for so many resolutions is not overdue any
/// more, and one that was not for so many has got over it.
const STREAK: u32 = 3;
const RECOVERED: u32 = 64;

/// What is to be done about a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Move {
    /// It is ours from now on.
    Own(NodeName, When),
    /// It is ours, and must not wait for its phase.
    Hasten(NodeName),
    /// Nobody else delivers it: scrape it at once.
    Rescue(NodeName),
    /// It is scraped by another, or is gone.
    Release(NodeName),
}

/// When the first scrape is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    AtOnce,
    AtPhase,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Role {
    /// Others ask it.
    #[default]
    Idle,
    /// We ask it, and have done so already or not.
    Owner { asked: bool },
    /// It is another's now; we go on until then.
    Leaving { until: Timestamp },
    /// It is another's, who does not deliver; we ask it until then.
    Rescuer { until: Timestamp, delivered: bool },
}

/// What frontends said about a node.
#[derive(Clone, Copy, Debug, Default)]
struct Reports {
    /// How often in a row it was overdue.
    count: u32,
    last: Option<Timestamp>,
    /// Rescues, and those among them that failed at once, since it was well.
    rescues: u32,
    misses: u32,
    not_before: Option<Timestamp>,
}

#[derive(Debug, Default)]
struct Node {
    rank: usize,
    role: Role,
    reports: Reports,
    /// The last round in which the node was there.
    round: u64,
}

/// How many nodes are scraped, and as what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) owned: usize,
    pub(crate) standby: usize,
    pub(crate) leaving: usize,
    pub(crate) rescued: usize,
}

/// What one scraper knows of every node.
///
/// # Invariants
///
/// `ends` holds the nodes with a role that ends, and when.
#[derive(Debug)]
pub(crate) struct Ownership {
    replicas: usize,
    resolution: Duration,
    view: Option<View>,
    nodes: HashMap<NodeName, Node>,
    ends: BTreeSet<(Timestamp, NodeName)>,
    round: u64,
    /// Nodes to which we may have become something else.
    changed: Vec<NodeName>,
}

impl Ownership {
    /// Each node is owned by `replicas` members, at least one.
    pub(crate) fn new(replicas: usize, resolution: Duration) -> Self {
        Self {
            replicas: replicas.max(1),
            resolution,
            view: None,
            nodes: HashMap::new(),
            ends: BTreeSet::new(),
            round: 0,
            changed: Vec::new(),
        }
    }

    /// Takes in which nodes and members there are, all of both.
    pub(crate) fn follow(&mut self, nodes: &[NodeName], view: &View, now: Timestamp) -> Vec<Move> {
        let first = self.view.is_none();
        let changed = !self
            .view
            .as_ref()
            .is_some_and(|held| held.same_members(view));
        self.view = Some(view.clone());
        self.round += 1;
        let mut moves = Vec::new();
        for name in nodes {
            let is_new = !self.nodes.contains_key(name);
            let node = self.nodes.entry(name.clone()).or_default();
            node.round = self.round;
            if is_new || changed {
                node.rank = view.rank(name.as_str());
                self.changed.push(name.clone());
            }
            let owned = node.rank < self.replicas;
            match (owned, node.role) {
                (true, Role::Idle) if node.reports.are_recent(self.resolution, now) => {
                    moves.push(Move::Own(name.clone(), When::AtOnce));
                    self.set(name, Role::Owner { asked: false });
                }
                (true, Role::Idle) => {
                    let when = Self::when(view, name, first, is_new);
                    moves.push(Move::Own(name.clone(), when));
                    self.set(name, Role::Owner { asked: false });
                }
                (true, Role::Leaving { .. } | Role::Rescuer { .. }) => {
                    self.set(name, Role::Owner { asked: true });
                }
                (false, Role::Owner { .. }) => {
                    let until = now.plus(self.resolution * OVERLAP);
                    self.set(name, Role::Leaving { until });
                }
                (true, Role::Owner { .. })
                | (false, Role::Idle | Role::Leaving { .. } | Role::Rescuer { .. }) => {}
            }
        }
        self.forget_gone(&mut moves);
        moves
    }

    /// A node that is new to everybody is asked at once, and so is one whose
    /// owner may be as new as we are.
    fn when(view: &View, node: &NodeName, first: bool, is_new: bool) -> When {
        let others = view.foremost_other(node.as_str());
        let asked_by_another = if first {
            others.is_some_and(|other| other.established)
        } else {
            !is_new
        };
        if asked_by_another {
            When::AtPhase
        } else {
            When::AtOnce
        }
    }

    fn forget_gone(&mut self, moves: &mut Vec<Move>) {
        let round = self.round;
        let gone = self.nodes.iter().filter(|(_, node)| node.round != round);
        let gone: Vec<NodeName> = gone.map(|(name, _)| name.clone()).collect();
        for name in gone {
            let was_idle = self
                .nodes
                .get(&name)
                .is_some_and(|node| node.role == Role::Idle);
            self.set(&name, Role::Idle);
            self.nodes.remove(&name);
            self.changed.push(name.clone());
            if !was_idle {
                moves.push(Move::Release(name));
            }
        }
    }

    /// Takes in that a frontend lacks fresh samples of `nodes`. Names that are
    /// not among ours are skipped.
    pub(crate) fn overdue(&mut self, nodes: &[impl AsRef<str>], now: Timestamp) -> Vec<Move> {
        let mut moves = Vec::new();
        for name in nodes {
            let Some((name, node)) = self.nodes.get_key_value(name.as_ref()) else {
                continue;
            };
            let (name, role, rank) = (name.clone(), node.role, node.rank);
            let mut reports = node.reports;
            if !reports.take(self.resolution, now) {
                continue; // another frontend, about the same
            }
            match role {
                Role::Owner { asked: false } => {
                    self.set(&name, Role::Owner { asked: true });
                    moves.push(Move::Hasten(name.clone()));
                }
                Role::Idle if reports.is_our_turn(rank, self.replicas, now) => {
                    let doublings = reports.rescues.min(MOST_DOUBLINGS);
                    let lasts = self.resolution * (RESCUE << doublings);
                    reports.rescues += 1;
                    let until = now.plus(lasts);
                    let delivered = false;
                    self.set(&name, Role::Rescuer { until, delivered });
                    moves.push(Move::Rescue(name.clone()));
                }
                Role::Idle
                | Role::Owner { asked: true }
                | Role::Leaving { .. }
                | Role::Rescuer { .. } => {}
            }
            if let Some(node) = self.nodes.get_mut(&name) {
                node.reports = reports;
            }
        }
        moves
    }

    /// Takes in what became of a scrape.
    pub(crate) fn scraped(&mut self, name: &NodeName, good: bool, now: Timestamp) -> Option<Move> {
        let resolution = self.resolution;
        let node = self.nodes.get_mut(name)?;
        match node.role {
            Role::Owner { .. } => {
                self.set(name, Role::Owner { asked: true });
                None
            }
            Role::Rescuer { until, delivered } if good || delivered => {
                if good {
                    node.reports.misses = 0;
                }
                let delivered = good;
                self.set(name, Role::Rescuer { until, delivered });
                None
            }
            Role::Rescuer { .. } => {
                // It seems to be the kubelet. Its owner goes on asking.
                let doublings = node.reports.misses.min(MOST_DOUBLINGS);
                node.reports.misses += 1;
                node.reports.not_before = Some(now.plus(resolution * (1 << doublings)));
                self.set(name, Role::Idle);
                Some(Move::Release(name.clone()))
            }
            Role::Idle | Role::Leaving { .. } => None,
        }
    }

    /// When [`Ownership::tick`] will have something to do.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.ends.first().map(|(at, _)| *at)
    }

    /// Ends what lasts no longer.
    pub(crate) fn tick(&mut self, now: Timestamp) -> Vec<Move> {
        let mut moves = Vec::new();
        while self.next().is_some_and(|at| at <= now) {
            let Some((_, name)) = self.ends.pop_first() else {
                break;
            };
            if let Some(node) = self.nodes.get_mut(&name) {
                node.role = Role::Idle;
            }
            self.changed.push(name.clone());
            moves.push(Move::Release(name));
        }
        moves
    }

    /// How many nodes are scraped here, and as what.
    pub(crate) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for node in self.nodes.values() {
            match node.role {
                Role::Owner { .. } => counts.owned += 1,
                Role::Leaving { .. } => counts.leaving += 1,
                Role::Rescuer { .. } => counts.rescued += 1,
                Role::Idle => {}
            }
            counts.standby += usize::from(node.rank == self.replicas);
        }
        counts
    }

    /// How much is held: of nodes, and of ends.
    #[cfg(test)]
    pub(crate) fn sizes(&self) -> [usize; 2] {
        [self.nodes.len(), self.ends.len()]
    }

    fn set(&mut self, name: &NodeName, role: Role) {
        let Some(node) = self.nodes.get_mut(name) else {
            return;
        };
        if let Some(end) = node.role.end() {
            self.ends.remove(&(end, name.clone()));
        }
        if let Some(end) = role.end() {
            self.ends.insert((end, name.clone()));
        }
        if discriminant(&node.role) != discriminant(&role) {
            self.changed.push(name.clone());
        }
        node.role = role;
    }
}

impl Role {
    fn end(self) -> Option<Timestamp> {
        match self {
            Self::Leaving { until } | Self::Rescuer { until, .. } => Some(until),
            Self::Idle | Self::Owner { .. } => None,
        }
    }
}

impl Reports {
    /// Counts a report. Whether it says something new: every frontend reports
    /// a node once in a resolution.
    fn take(&mut self, resolution: Duration, now: Timestamp) -> bool {
        let ago = self.last.and_then(|last| now.since(last));
        if ago.is_some_and(|ago| ago < resolution * 3 / 4) {
            return false;
        }
        if ago.is_none_or(|ago| ago > resolution * RECOVERED) {
            *self = Self::default();
        } else if ago.is_some_and(|ago| ago > resolution * STREAK) {
            self.count = 0;
        }
        self.count += 1;
        self.last = Some(now);
        true
    }

    /// Whether the node may still be overdue: the next report is yet to come.
    fn are_recent(&self, resolution: Duration, now: Timestamp) -> bool {
        let ago = self.last.and_then(|last| now.since(last));
        ago.is_some_and(|ago| ago <= resolution)
    }

    /// One rank more with every report.
    fn is_our_turn(&self, rank: usize, replicas: usize, now: Timestamp) -> bool {
        let reports = usize::try_from(self.count).unwrap_or(usize::MAX);
        reports > rank.saturating_sub(replicas) && self.not_before.is_none_or(|at| at <= now)
    }
}

#[cfg(test)]
mod tests;
