//! A scraper: the real membership, ownership and schedule, and what ails it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tributary_model::{NodeName, Timestamp};

use super::RESOLUTION;
use crate::assignment::{
    membership::{Lease, Membership, RENEW_EVERY},
    ownership::{Member, Move, Ownership, View, When},
    schedule::Schedule,
};

/// Reports that wait to be read; more are dropped, as by the real one.
const MOST_REPORTS: usize = 16;

/// A request to a kubelet that is in flight.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) node: NodeName,
    pub(super) began: Timestamp,
    ends: Timestamp,
    /// Whether it brings a sample.
    pub(super) good: bool,
}

/// All leases, and when each was written.
pub(super) type Leases = BTreeMap<Member, (Timestamp, Lease)>;

#[derive(Debug)]
pub(super) struct Scraper {
    pub(super) name: Member,
    /// How far its clock is off, in seconds: dates in leases are its own.
    pub(super) clock_off: i64,
    /// By its own date then.
    acquired: Timestamp,
    membership: Membership,
    pub(super) view: Option<View>,
    ownership: Ownership,
    schedule: Schedule,
    pub(super) scraped: BTreeSet<NodeName>,
    in_flight: Vec<Request>,
    pub(super) stopped: bool,
    pub(super) no_api: bool,
    /// The frontend that it cannot reach.
    pub(super) no_frontend: Option<usize>,
    pub(super) unreachable: BTreeSet<NodeName>,
    renew_at: Timestamp,
    /// What it has been told of the leases, late by its delay; `None` after a
    /// cut, when it lists.
    listed: Option<BTreeMap<Member, Lease>>,
    delay: Duration,
    reports: Vec<(Timestamp, Vec<String>)>,
}

impl Scraper {
    pub(super) fn new(name: Member, now: Timestamp, clock_off: i64, delay: Duration) -> Self {
        Self {
            membership: Membership::new(Member::clone(&name), RESOLUTION, now),
            name,
            clock_off,
            acquired: dated(now, clock_off),
            view: None,
            ownership: Ownership::new(1, RESOLUTION),
            schedule: Schedule::new(RESOLUTION),
            scraped: BTreeSet::new(),
            in_flight: Vec::new(),
            stopped: false,
            no_api: false,
            no_frontend: None,
            unreachable: BTreeSet::new(),
            renew_at: now,
            listed: None,
            delay,
            reports: Vec::new(),
        }
    }

    pub(super) fn heal(&mut self) {
        self.stopped = false;
        self.no_api = false;
        self.no_frontend = None;
        self.unreachable.clear();
    }

    /// Takes in a report, which it reads after its delay.
    pub(super) fn hear(&mut self, report: &[String], now: Timestamp) {
        if self.reports.len() < MOST_REPORTS {
            self.reports.push((now.plus(self.delay), report.to_vec()));
        }
    }

    /// Renews its lease if it is time.
    pub(super) fn renew(&mut self, leases: &mut Leases, now: Timestamp) {
        if now < self.renew_at {
            return;
        }
        let created = leases.get(&self.name).map_or(now, |(_, it)| it.created);
        let lease = Lease {
            holder: Member::clone(&self.name),
            created,
            acquired: self.acquired,
            renewed: dated(now, self.clock_off),
        };
        leases.insert(Member::clone(&self.name), (now, lease));
        self.renew_at = now.plus(RENEW_EVERY);
    }

    /// The API is out of reach: once it is back it lists.
    pub(super) fn lose_the_watch(&mut self) {
        self.listed = None;
    }

    pub(super) fn watch(&mut self, leases: &Leases, now: Timestamp) {
        let Some(listed) = &mut self.listed else {
            let all = leases.values().map(|(_, lease)| lease.clone());
            let today = dated(now, self.clock_off);
            self.membership.replace(all.collect(), now, today);
            let all = leases.iter();
            let listed = all.map(|(name, (_, lease))| (Member::clone(name), lease.clone()));
            self.listed = Some(listed.collect());
            return;
        };
        for (name, (written, lease)) in leases {
            let known = listed.get(name) == Some(lease);
            if !known && now >= written.plus(self.delay) {
                self.membership.put(lease.clone(), now);
                listed.insert(Member::clone(name), lease.clone());
            }
        }
        let gone = listed.keys().filter(|name| !leases.contains_key(*name));
        for name in gone.cloned().collect::<Vec<_>>() {
            self.membership.remove(&name);
            listed.remove(&name);
        }
    }

    /// Follows members, ends and reports, and says which nodes it asks now.
    pub(super) fn due(&mut self, nodes: &[NodeName], now: Timestamp) -> Vec<NodeName> {
        let mut moves = Vec::new();
        let view = self.membership.view(now);
        if let Some(view) = view.filter(|view| self.view.as_ref() != Some(view)) {
            moves.extend(self.ownership.follow(nodes, &view, now));
            self.view = Some(view);
        }
        moves.extend(self.ownership.tick(now));
        let (due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.reports)
            .into_iter()
            .partition(|(at, _)| *at <= now);
        self.reports = later;
        for (_, nodes) in due {
            moves.extend(self.ownership.overdue(&nodes, now));
        }
        self.apply(moves, now);
        let mut due = Vec::new();
        while let Some(node) = self.schedule.take_due(now) {
            due.push(node);
        }
        due
    }

    /// Begins a request that takes so long.
    pub(super) fn ask(&mut self, node: NodeName, takes: Duration, now: Timestamp) {
        let is_asked = self.in_flight.iter().any(|request| request.node == node);
        assert!(!is_asked, "{} asks {node} twice at one time", self.name);
        self.in_flight.push(Request {
            good: !self.unreachable.contains(&node),
            ends: now.plus(takes),
            began: now,
            node,
        });
    }

    /// The requests that have come to their end.
    pub(super) fn ended(&mut self, now: Timestamp) -> Vec<Request> {
        let (ended, rest) = std::mem::take(&mut self.in_flight)
            .into_iter()
            .partition(|request| request.ends <= now);
        self.in_flight = rest;
        ended
    }

    /// Takes in what became of a request. Whether it counts.
    pub(super) fn scraped(&mut self, request: &Request, now: Timestamp) -> bool {
        if !self.schedule.done(&request.node, request.began) {
            return false;
        }
        let left = self.ownership.scraped(&request.node, request.good, now);
        self.apply(left, now);
        // Told to frontends in the real one.
        self.ownership.news();
        request.good
    }

    fn apply(&mut self, moves: impl IntoIterator<Item = Move>, now: Timestamp) {
        for change in moves {
            match change {
                Move::Own(node, When::AtPhase) => {
                    self.schedule.add_at_phase(&node, now);
                    self.scraped.insert(node);
                }
                Move::Own(node, When::AtOnce) => {
                    self.schedule.add(&node, now);
                    self.scraped.insert(node);
                }
                Move::Rescue(node, after) => {
                    self.schedule.add(&node, now.plus(after));
                    self.scraped.insert(node);
                }
                Move::Expedite(node) => self.schedule.expedite(&node, now),
                Move::Release(node) => {
                    self.schedule.remove(&node);
                    self.scraped.remove(&node);
                }
            }
        }
    }

    /// Whether nothing it holds is more than there is to hold.
    pub(super) fn is_bounded(&self, nodes: usize) -> bool {
        let leases = self.listed.as_ref().map(BTreeMap::len);
        self.ownership.sizes().iter().all(|size| *size <= nodes)
            && self.schedule.size() <= nodes
            && self.in_flight.len() <= nodes
            && self.scraped.len() <= nodes
            && leases.is_none_or(|leases| self.membership.size() <= leases)
    }
}

fn dated(now: Timestamp, off: i64) -> Timestamp {
    Timestamp::from_millis(now.as_millis() + off * 1_000)
}
