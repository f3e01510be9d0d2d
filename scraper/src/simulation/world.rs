//! A cluster of scrapers, kubelets, a frontend and an API, in steps of time.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tributary_model::{NodeName, Timestamp};

use crate::{
    membership::{Lease, Membership, RENEW_EVERY},
    ownership::{Member, Move, Ownership, View, When},
    schedule::Schedule,
    shard::finalize,
};

pub(super) const RESOLUTION: Duration = Duration::from_secs(15);

pub(super) const NODES: u64 = 12;

/// Numbers that look random and follow from a seed.
#[derive(Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(finalize(seed ^ 0x9e37_79b9_7f4a_7c15))
    }

    pub(super) fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        finalize(self.0) % most
    }

    fn millis(&mut self, most: u64) -> Duration {
        Duration::from_millis(self.below(most))
    }
}

/// What can happen to one scraper, or to all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    Crash,
    Leave,
    /// It stands still, as by SIGSTOP.
    Stop,
    /// It cannot reach half of the nodes.
    CutFromNodes,
    CutFromApi,
    CutFromFrontend,
    /// Nobody can reach the API.
    ApiDown,
    Join,
}

impl Trouble {
    pub(super) fn random(dice: &mut Dice) -> Self {
        const ALL: [Trouble; 8] = [
            Trouble::Crash,
            Trouble::Leave,
            Trouble::Stop,
            Trouble::CutFromNodes,
            Trouble::CutFromApi,
            Trouble::CutFromFrontend,
            Trouble::ApiDown,
            Trouble::Join,
        ];
        ALL[usize::try_from(dice.below(8)).unwrap()]
    }
}

#[derive(Debug)]
struct Scraper {
    name: Member,
    /// How far its clock is off, in seconds: dates in leases are its own.
    clock_off: i64,
    acquired: Timestamp,
    membership: Membership,
    view: Option<View>,
    ownership: Ownership,
    schedule: Schedule,
    scraped: BTreeSet<NodeName>,
    stopped: bool,
    no_api: bool,
    no_frontend: bool,
    unreachable: BTreeSet<NodeName>,
    renew_at: Timestamp,
    /// What it has been told of the leases, late by its delay; `None` after a
    /// cut, when it lists.
    told: Option<BTreeMap<Member, Lease>>,
    delay: Duration,
    reports: Vec<(Timestamp, Vec<String>)>,
}

pub(super) struct World {
    pub(super) dice: Dice,
    now: Timestamp,
    nodes: Vec<NodeName>,
    scrapers: Vec<Scraper>,
    joined: u64,
    leases: BTreeMap<Member, (Timestamp, Lease)>,
    api_down: bool,
    /// What the frontend has: when each node was last asked.
    newest: BTreeMap<NodeName, Timestamp>,
    report_at: BTreeMap<NodeName, Timestamp>,
    /// Since when each scraper is able to bring each node to the frontend.
    able: BTreeMap<(Member, NodeName), Timestamp>,
    requests: u64,
}

impl World {
    pub(super) fn new(dice: Dice) -> Self {
        let now = Timestamp::from_millis(1_795_229_475_000);
        let nodes: Vec<NodeName> = (0..NODES).map(|n| format!("node-{n}").into()).collect();
        Self {
            dice,
            now,
            newest: nodes.iter().map(|node| (node.clone(), now)).collect(),
            nodes,
            scrapers: Vec::new(),
            joined: 0,
            leases: BTreeMap::new(),
            api_down: false,
            report_at: BTreeMap::new(),
            able: BTreeMap::new(),
            requests: 0,
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.now
    }

    pub(super) fn alive(&self) -> usize {
        self.scrapers.len()
    }

    pub(super) fn requests(&self) -> u64 {
        self.requests
    }

    pub(super) fn join(&mut self) {
        self.joined += 1;
        let name: Member = format!("scraper-{}", self.joined).into();
        let clock_off = i64::try_from(self.dice.below(7_200)).unwrap() - 3_600;
        let scraper = Scraper {
            membership: Membership::new(Member::clone(&name), RESOLUTION, self.now),
            name,
            clock_off,
            acquired: self.now,
            view: None,
            ownership: Ownership::new(1, RESOLUTION),
            schedule: Schedule::new(RESOLUTION),
            scraped: BTreeSet::new(),
            stopped: false,
            no_api: false,
            no_frontend: false,
            unreachable: BTreeSet::new(),
            renew_at: self.now,
            told: None,
            delay: self.dice.millis(1_000),
            reports: Vec::new(),
        };
        self.scrapers.push(scraper);
    }

    pub(super) fn begin(&mut self, trouble: Trouble) {
        match trouble {
            Trouble::ApiDown => self.api_down = true,
            Trouble::Join => self.join(),
            // Somebody has to be left to do the work.
            _ if self.scrapers.len() < 2 => {}
            _ => self.hurt(trouble),
        }
    }

    fn hurt(&mut self, trouble: Trouble) {
        let most = u64::try_from(self.scrapers.len()).unwrap();
        let at = usize::try_from(self.dice.below(most)).unwrap();
        let scraper = &mut self.scrapers[at];
        match trouble {
            Trouble::Stop => scraper.stopped = true,
            Trouble::CutFromApi => scraper.no_api = true,
            Trouble::CutFromFrontend => scraper.no_frontend = true,
            Trouble::CutFromNodes => {
                let half = self.nodes.iter().filter(|_| self.dice.below(2) == 0);
                scraper.unreachable = half.cloned().collect();
            }
            Trouble::Leave => {
                let gone = self.scrapers.remove(at);
                if !self.api_down && !gone.no_api {
                    self.leases.remove(&gone.name);
                }
            }
            Trouble::Crash | Trouble::ApiDown | Trouble::Join => {
                self.scrapers.remove(at);
            }
        }
    }

    pub(super) fn heal(&mut self) {
        self.api_down = false;
        for scraper in &mut self.scrapers {
            scraper.stopped = false;
            scraper.no_api = false;
            scraper.no_frontend = false;
            scraper.unreachable.clear();
        }
    }

    pub(super) fn step(&mut self, millis: i64) {
        self.now = Timestamp::from_millis(self.now.as_millis() + millis);
        self.frontend();
        let mut scrapers = std::mem::take(&mut self.scrapers);
        for scraper in scrapers.iter_mut().filter(|scraper| !scraper.stopped) {
            self.lease(scraper);
            self.watch(scraper);
            self.scrape(scraper);
        }
        self.scrapers = scrapers;
        if self.now.as_millis() % 1_000 == 0 {
            self.note_able();
        }
    }

    /// Looks for overdue nodes as a frontend does, and tells everybody, late.
    fn frontend(&mut self) {
        let mut report = Vec::new();
        for (node, newest) in &self.newest {
            if self.now <= newest.plus(RESOLUTION * 3 / 2) {
                self.report_at.remove(node);
                continue;
            }
            let at = self.report_at.entry(node.clone()).or_insert(self.now);
            if *at <= self.now {
                *at = self.now.plus(RESOLUTION);
                report.push(node.to_string());
            }
        }
        if report.is_empty() {
            return;
        }
        for scraper in self.scrapers.iter_mut().filter(|it| !it.no_frontend) {
            let at = self.now.plus(scraper.delay);
            scraper.reports.push((at, report.clone()));
        }
    }

    fn lease(&mut self, scraper: &mut Scraper) {
        if self.api_down || scraper.no_api || self.now < scraper.renew_at {
            return;
        }
        let own =
            |at: Timestamp| Timestamp::from_millis(at.as_millis() + scraper.clock_off * 1_000);
        let lease = Lease {
            holder: Member::clone(&scraper.name),
            acquired: own(scraper.acquired),
            renewed: own(self.now),
        };
        self.leases
            .insert(Member::clone(&scraper.name), (self.now, lease));
        scraper.renew_at = self.now.plus(RENEW_EVERY);
    }

    fn watch(&self, scraper: &mut Scraper) {
        if self.api_down || scraper.no_api {
            scraper.told = None;
            return;
        }
        let today = Timestamp::from_millis(self.now.as_millis() + scraper.clock_off * 1_000);
        let Some(told) = &mut scraper.told else {
            let all = self.leases.values().map(|(_, lease)| lease.clone());
            scraper.membership.replace(all.collect(), self.now, today);
            let all = self.leases.iter();
            scraper.told = Some(
                all.map(|(name, (_, lease))| (Member::clone(name), lease.clone()))
                    .collect(),
            );
            return;
        };
        for (name, (written, lease)) in &self.leases {
            let known = told.get(name) == Some(lease);
            if !known && self.now >= written.plus(scraper.delay) {
                scraper.membership.put(lease.clone(), self.now);
                told.insert(Member::clone(name), lease.clone());
            }
        }
        let gone = told.keys().filter(|name| !self.leases.contains_key(*name));
        for name in gone.cloned().collect::<Vec<_>>() {
            scraper.membership.remove(&name);
            told.remove(&name);
        }
    }

    fn scrape(&mut self, scraper: &mut Scraper) {
        let now = self.now;
        let mut moves = Vec::new();
        let view = scraper.membership.view(now);
        if let Some(view) = view.filter(|view| scraper.view.as_ref() != Some(view)) {
            moves.extend(scraper.ownership.follow(&self.nodes, &view, now));
            scraper.view = Some(view);
        }
        moves.extend(scraper.ownership.tick(now));
        let (due, later) = std::mem::take(&mut scraper.reports)
            .into_iter()
            .partition(|(at, _)| *at <= now);
        scraper.reports = later;
        let due: Vec<(Timestamp, Vec<String>)> = due;
        for (_, nodes) in due {
            moves.extend(scraper.ownership.overdue(&nodes, now));
        }
        scraper.apply(moves, now);
        while let Some(node) = scraper.schedule.take_due(now) {
            self.requests += 1;
            let good = !scraper.unreachable.contains(&node);
            if good && !scraper.no_frontend {
                self.newest.insert(node.clone(), now);
            }
            scraper.schedule.done(&node, now);
            let left = scraper.ownership.scraped(&node, good, now);
            scraper.apply(left, now);
        }
    }

    fn note_able(&mut self) {
        let mut able = BTreeMap::new();
        for scraper in &self.scrapers {
            for node in &self.nodes {
                let can = !scraper.stopped
                    && !scraper.no_frontend
                    && !scraper.unreachable.contains(node)
                    && scraper.view.is_some();
                let key = (Member::clone(&scraper.name), node.clone());
                if can {
                    let since = self.able.get(&key).copied().unwrap_or(self.now);
                    able.insert(key, since);
                }
            }
        }
        self.able = able;
    }

    /// The node with the oldest sample.
    pub(super) fn oldest(&self) -> (NodeName, Duration) {
        let ages = self.newest.iter();
        let ages = ages.map(|(node, at)| (node.clone(), self.now.since(*at).unwrap()));
        ages.max_by_key(|(_, age)| *age).unwrap()
    }

    /// Nodes with samples older than `deadline` although somebody was able to
    /// scrape them for so long.
    pub(super) fn unattended(&self, deadline: Duration) -> Vec<(NodeName, Duration)> {
        let long = |at: &Timestamp| self.now.since(*at).unwrap() > deadline;
        let able: BTreeSet<&NodeName> = self
            .able
            .iter()
            .filter(|(_, since)| long(since))
            .map(|((_, node), _)| node)
            .collect();
        let old = self.newest.iter();
        old.filter(|(node, at)| long(at) && able.contains(node))
            .map(|(node, at)| (node.clone(), self.now.since(*at).unwrap()))
            .collect()
    }

    /// How many scrapers scrape each node.
    pub(super) fn owners(&self) -> Vec<usize> {
        let scraping = |node: &NodeName| {
            let owners = self.scrapers.iter();
            owners
                .filter(|scraper| scraper.scraped.contains(node))
                .count()
        };
        self.nodes.iter().map(scraping).collect()
    }
}

impl Scraper {
    fn apply(&mut self, moves: impl IntoIterator<Item = Move>, now: Timestamp) {
        for change in moves {
            match change {
                Move::Own(node, When::AtPhase) => {
                    self.schedule.add_at_phase(&node, now);
                    self.scraped.insert(node);
                }
                Move::Own(node, When::AtOnce) | Move::Rescue(node) => {
                    self.schedule.add(&node, now);
                    self.scraped.insert(node);
                }
                Move::Hasten(node) => self.schedule.hasten(&node, now),
                Move::Release(node) => {
                    self.schedule.remove(&node);
                    self.scraped.remove(&node);
                }
            }
        }
    }
}
