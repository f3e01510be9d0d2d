//! Which nodes this scraper asks, and since when and until when.
//!
//! The members of a group are ranked for every node ([`View::rank`]). The first
//! `--replication-factor` own it, the next stands by
//! (docs/decisions/0009-leases-and-ownership.md). What is added here is time:
//!
//! - Whoever comes to own a node starts, at the node's next phase if another
//!   asked it until now: so moves are spread over a resolution, the rhythm of
//!   the node is kept, and kubelets see no stampede of TLS sessions.
//! - Whoever loses a node goes on for two resolutions.
//! - A node that frontends report as overdue is asked by whoever stands by, by
//!   those whose last scrape of it succeeded, and from the second report on by
//!   everybody, for a while that doubles if it happens again and again. One who
//!   cannot reach the node either leaves off and waits longer each time.
//!
//! Overlap is harmless and a gap is a fault: in doubt, scrape.
//!
//! Pure: the date is an argument.

mod reports;
mod standing;
mod view;

use std::{
    collections::{BTreeSet, HashMap},
    mem::discriminant,
    time::Duration,
};

use tributary_model::{NodeName, Timestamp};

use self::{
    reports::{Reports, Turn},
    view::Turnover,
};
pub(crate) use self::{
    standing::Standing,
    view::{Member, Peer, View},
};

/// A former owner goes on for so many resolutions.
const OVERLAP: u32 = 2;

/// What is to be done about a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Move {
    /// It is ours from now on.
    Own(NodeName, When),
    /// It is ours, and must not wait for its phase.
    Hasten(NodeName),
    /// Nobody else delivers it: scrape it after this time.
    Rescue(NodeName, Duration),
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

#[derive(Debug, Default)]
struct Node {
    rank: usize,
    role: Role,
    reports: Reports,
    /// Our last scrape of it succeeded.
    proven: bool,
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
        let before = self.view.replace(view.clone());
        // What was not known then says nothing of who came and went.
        let before = before.filter(|before| before.is_sure() == view.is_sure());
        let first = before.is_none();
        let turnover = before.map(|before| view.turnover(&before));
        let changed = turnover.as_ref().is_none_or(|it| it.len() > 0);
        // It is cheaper to rank anew than to follow many who came and went.
        let turnover = turnover.as_ref().filter(|it| it.len() < view.len());
        self.round += 1;
        let mut moves = Vec::new();
        for name in nodes {
            let is_new = !self.nodes.contains_key(name);
            let node = self.nodes.entry(name.clone()).or_default();
            node.round = self.round;
            if is_new || changed {
                node.rank = Self::rank(view, node.rank, name, turnover.filter(|_| !is_new));
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

    fn rank(view: &View, before: usize, node: &NodeName, turnover: Option<&Turnover>) -> usize {
        match turnover {
            Some(turnover) => view.rank_after(turnover, before, node.as_str()),
            None => view.rank(node.as_str()),
        }
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
            let (name, role) = (name.clone(), node.role);
            let foremost = node.rank <= self.replicas || node.proven;
            let mut reports = node.reports;
            if !reports.take(self.resolution, now) {
                continue; // another frontend, about the same
            }
            match role {
                Role::Owner { asked: false } => {
                    self.set(&name, Role::Owner { asked: true });
                    moves.push(Move::Hasten(name.clone()));
                }
                Role::Idle => {
                    if let Some(turn) = reports.turn(foremost, self.resolution, now) {
                        let until = now.plus(reports.rescue(self.resolution));
                        let delivered = false;
                        self.set(&name, Role::Rescuer { until, delivered });
                        moves.push(Move::Rescue(name.clone(), self.wait(turn, &name)));
                    }
                }
                Role::Owner { asked: true } | Role::Leaving { .. } | Role::Rescuer { .. } => {}
            }
            if let Some(node) = self.nodes.get_mut(&name) {
                node.reports = reports;
            }
        }
        moves
    }

    fn wait(&self, turn: Turn, node: &NodeName) -> Duration {
        match (turn, &self.view) {
            (Turn::Within(span), Some(view)) => view.share_of(span, node.as_str()),
            (Turn::AtOnce, _) | (Turn::Within(_), None) => Duration::ZERO,
        }
    }

    /// Whether we ask the node for others and have not reached it yet.
    pub(crate) fn is_trial(&self, node: &NodeName) -> bool {
        let node = self.nodes.get(node);
        node.is_some_and(|node| {
            matches!(
                node.role,
                Role::Rescuer {
                    delivered: false,
                    ..
                }
            )
        })
    }

    /// Takes in what became of a scrape.
    pub(crate) fn scraped(&mut self, name: &NodeName, good: bool, now: Timestamp) -> Option<Move> {
        let resolution = self.resolution;
        let node = self.nodes.get_mut(name)?;
        node.proven = good;
        match node.role {
            Role::Owner { .. } => {
                self.set(name, Role::Owner { asked: true });
                None
            }
            Role::Rescuer { until, delivered } if good || delivered => {
                if good {
                    node.reports.delivered();
                }
                let delivered = good;
                self.set(name, Role::Rescuer { until, delivered });
                None
            }
            Role::Rescuer { .. } => {
                // It seems to be the kubelet. Its owner goes on asking.
                node.reports.missed(resolution, now);
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

#[cfg(test)]
mod tests;
