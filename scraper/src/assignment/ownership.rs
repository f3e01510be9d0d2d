//! Which nodes this scraper scrapes, and from when until when.
//!
//! The members of a group are ranked for every node ([`View::rank`]). The first
//! `--replication-factor` own it, and the next one is its standby
//! (docs/decisions/0009-leases-and-ownership.md). This module adds time:
//!
//! - A new owner starts at the node's next phase if another member scraped the node until now. So
//!   changes are spread over a resolution, the rhythm of the node stays, and kubelets see no burst
//!   of TLS sessions.
//! - A former owner goes on for two resolutions.
//! - A node that frontends report as overdue is scraped by its standby and by the members whose
//!   last scrape of it succeeded. From the second report on all members scrape it, for a time that
//!   doubles with each repetition. A member that cannot reach the node either stops, and waits
//!   longer each time.
//!
//! Overlap is harmless and a gap is a fault: in doubt, scrape.
//!
//! Pure: the date is an argument.

mod node_role;
mod reports;
mod view;

use std::{
    collections::{BTreeSet, HashMap},
    mem::discriminant,
    time::Duration,
};

use tributary_model::{NodeName, Timestamp, overlap};

pub(crate) use self::{
    node_role::NodeRole,
    view::{Member, Peer, View},
};
use self::{
    reports::{Reports, Turn},
    view::Turnover,
};

/// What should be done about a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Move {
    /// This scraper owns it from now on.
    Own(NodeName, When),
    /// This scraper owns it and must not wait for its phase.
    Expedite(NodeName),
    /// No other member delivers it: scrape it after this time.
    Rescue(NodeName, Duration),
    /// Another member scrapes it, or it is gone.
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
    /// Others scrape it.
    #[default]
    Idle,
    /// This scraper owns it, and has scraped it already or not.
    Owner { asked: bool },
    /// Another member owns it now. This scraper goes on until then.
    Leaving { until: Timestamp },
    /// Another member owns it and does not deliver. This scraper scrapes it until then.
    Rescuer { until: Timestamp, delivered: bool },
}

#[derive(Debug, Default)]
struct Node {
    rank: usize,
    role: Role,
    reports: Reports,
    /// The last scrape of it by this scraper succeeded.
    proven: bool,
    /// The last update of the nodes that had this node.
    round: u64,
}

/// How many nodes this scraper has in each role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) owned: usize,
    pub(crate) standby: usize,
    pub(crate) leaving: usize,
    pub(crate) rescued: usize,
}

/// The state of one scraper for every node.
///
/// # Invariants
///
/// `ends` has the nodes whose role ends, and when.
#[derive(Debug)]
pub(crate) struct Ownership {
    replicas: usize,
    resolution: Duration,
    view: Option<View>,
    nodes: HashMap<NodeName, Node>,
    ends: BTreeSet<(Timestamp, NodeName)>,
    round: u64,
    /// Nodes for which the role may have changed.
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

    /// Applies the complete set of nodes and of members.
    pub(crate) fn follow(&mut self, nodes: &[NodeName], view: &View, now: Timestamp) -> Vec<Move> {
        let before = self.view.replace(view.clone());
        // The earlier members were unknown, so it is unknown who joined and left.
        let before = before.filter(|before| before.is_sure() == view.is_sure());
        let first = before.is_none();
        let turnover = before.map(|before| view.turnover(&before));
        let changed = turnover.as_ref().is_none_or(|it| it.len() > 0);
        // If many joined and left, ranking again is cheaper than following them.
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
                    let until = now.plus(overlap(self.resolution));
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

    /// A node that is new to all members is scraped at once, and so is one whose owner may be as
    /// new as this scraper.
    fn when(view: &View, node: &NodeName, first: bool, is_new: bool) -> When {
        let others = view.first_peer(node.as_str());
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

    /// A frontend lacks fresh samples of `nodes`. Unknown names are skipped.
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
                    moves.push(Move::Expedite(name.clone()));
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

    /// Whether this scraper is the first owner of the node. If it has several owners, this one speaks for all.
    pub(crate) fn is_first_owner(&self, node: &NodeName) -> bool {
        let node = self.nodes.get(node);
        node.is_some_and(|node| node.rank == 0 && matches!(node.role, Role::Owner { .. }))
    }

    /// Whether this scraper rescues the node and has not reached it yet.
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

    /// Applies the result of a scrape.
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
                // The kubelet seems to be the cause. Its owner continues to scrape it.
                node.reports.missed(resolution, now);
                self.set(name, Role::Idle);
                Some(Move::Release(name.clone()))
            }
            Role::Idle | Role::Leaving { .. } => None,
        }
    }

    /// When [`Ownership::tick`] must be called next.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.ends.first().map(|(at, _)| *at)
    }

    /// Ends the roles whose time is over.
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

    /// How many nodes this scraper has in each role.
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

    /// The sizes of the maps of nodes and of ends.
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
