//! A cluster of scrapers, kubelets, frontends and an API, in steps of time.

mod frontend;
mod scraper;
mod trouble;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tributary_model::{NodeName, Timestamp};

pub(super) use self::trouble::{Dice, Trouble};
use self::{
    frontend::Frontend,
    scraper::{Leases, Scraper},
};
use crate::assignment::{
    membership::{Lease, RENEW_EVERY},
    ownership::{Member, View},
};

pub(super) const RESOLUTION: Duration = Duration::from_secs(15);

/// A scraper, a node, and a frontend to which it can bring its samples.
type Ability = (Member, NodeName, usize);

pub(super) struct World {
    pub(super) dice: Dice,
    now: Timestamp,
    nodes: Vec<NodeName>,
    scrapers: Vec<Scraper>,
    joined: u64,
    leases: Leases,
    api_down: bool,
    frontends: Vec<Frontend>,
    /// Since when it has been so.
    able: BTreeMap<Ability, Timestamp>,
    requests: u64,
    /// How long a kubelet may take: one in four does up to it, and one that
    /// cannot be reached takes all of it.
    pub(super) slowest: Duration,
    /// Holders of leases who are renewed and do not exist.
    fakes: Vec<Member>,
}

impl World {
    pub(super) fn new(dice: Dice, nodes: u64, frontends: usize) -> Self {
        let now = Timestamp::from_millis(1_795_229_475_000);
        let nodes: Vec<NodeName> = (0..nodes).map(|n| format!("node-{n}").into()).collect();
        // Some look at whole seconds, some in between.
        let offsets = [0, 500].into_iter().cycle().take(frontends);
        let frontends = offsets.map(|offset| Frontend::new(&nodes, now, offset));
        Self {
            frontends: frontends.collect(),
            dice,
            now,
            nodes,
            scrapers: Vec::new(),
            joined: 0,
            leases: BTreeMap::new(),
            api_down: false,
            able: BTreeMap::new(),
            requests: 0,
            slowest: Duration::ZERO,
            fakes: Vec::new(),
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
        let (off, delay) = (self.clock_off(), self.dice.millis(1_000));
        self.scrapers.push(Scraper::new(name, self.now, off, delay));
    }

    /// Writes leases of members who do not exist, and renews them from now on.
    pub(super) fn flood(&mut self, fakes: impl IntoIterator<Item = Member>) {
        self.fakes.extend(fakes);
    }

    fn renew_fakes(&mut self) {
        let every = i64::try_from(RENEW_EVERY.as_millis()).unwrap();
        if self.now.as_millis() % every != 0 {
            return;
        }
        for holder in &self.fakes {
            let created = self
                .leases
                .get(holder)
                .map_or(self.now, |(_, it)| it.created);
            let lease = Lease {
                holder: Member::clone(holder),
                created,
                // They may say what they like.
                acquired: Timestamp::from_millis(0),
                renewed: self.now,
            };
            self.leases.insert(Member::clone(holder), (self.now, lease));
        }
    }

    /// The members who are there, and all nodes.
    pub(super) fn names(&self) -> (Vec<Member>, &[NodeName]) {
        let names = self.scrapers.iter().map(|it| Member::clone(&it.name));
        (names.collect(), &self.nodes)
    }

    /// Up to an hour, either way.
    fn clock_off(&mut self) -> i64 {
        i64::try_from(self.dice.below(7_200)).unwrap() - 3_600
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
        let off = self.clock_off();
        let frontends = u64::try_from(self.frontends.len()).unwrap();
        let scraper = &mut self.scrapers[at];
        match trouble {
            Trouble::Stop => scraper.stopped = true,
            Trouble::CutFromApi => scraper.no_api = true,
            Trouble::CutFromFrontend => {
                let which = usize::try_from(self.dice.below(frontends)).unwrap();
                scraper.no_frontend = Some(which);
            }
            Trouble::CutFromNodes => {
                let half = self.nodes.iter().filter(|_| self.dice.below(2) == 0);
                scraper.unreachable = half.cloned().collect();
            }
            Trouble::ClockStep => scraper.clock_off = off,
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
            scraper.heal();
        }
    }

    pub(super) fn step(&mut self, millis: i64) {
        self.now = Timestamp::from_millis(self.now.as_millis() + millis);
        self.report();
        if !self.api_down {
            self.renew_fakes();
        }
        let mut scrapers = std::mem::take(&mut self.scrapers);
        for scraper in scrapers.iter_mut().filter(|scraper| !scraper.stopped) {
            if self.api_down || scraper.no_api {
                scraper.lose_the_watch();
            } else {
                scraper.renew(&mut self.leases, self.now);
                scraper.watch(&self.leases, self.now);
            }
            self.scrape(scraper);
        }
        self.scrapers = scrapers;
        if self.now.as_millis() % 1_000 == 0 {
            self.note_able();
        }
    }

    /// Every frontend looks for overdue nodes and tells everybody.
    fn report(&mut self) {
        for (which, frontend) in self.frontends.iter_mut().enumerate() {
            let report = frontend.look(self.now);
            if report.is_empty() {
                continue;
            }
            let scrapers = self.scrapers.iter_mut();
            for scraper in scrapers.filter(|it| it.no_frontend != Some(which)) {
                scraper.hear(&report, self.now);
            }
        }
    }

    fn scrape(&mut self, scraper: &mut Scraper) {
        self.finish(scraper);
        for node in scraper.due(&self.nodes, self.now) {
            self.requests += 1;
            let takes = if scraper.unreachable.contains(&node) {
                self.slowest
            } else {
                self.latency()
            };
            scraper.ask(node, takes, self.now);
        }
        self.finish(scraper);
    }

    fn latency(&mut self) -> Duration {
        let most = u64::try_from(self.slowest.as_millis()).unwrap();
        if most == 0 || self.dice.below(4) > 0 {
            return Duration::ZERO;
        }
        self.dice.millis(most)
    }

    fn finish(&mut self, scraper: &mut Scraper) {
        for request in scraper.ended(self.now) {
            if !scraper.scraped(&request, self.now) {
                continue;
            }
            for (which, frontend) in self.frontends.iter_mut().enumerate() {
                if scraper.no_frontend != Some(which) {
                    frontend.take(&request.node, request.began);
                }
            }
        }
    }

    fn note_able(&mut self) {
        let mut able = BTreeMap::new();
        for scraper in self
            .scrapers
            .iter()
            .filter(|it| !it.stopped && it.view.is_some())
        {
            for node in self
                .nodes
                .iter()
                .filter(|it| !scraper.unreachable.contains(*it))
            {
                for which in 0..self.frontends.len() {
                    if scraper.no_frontend == Some(which) {
                        continue;
                    }
                    let ability = (Member::clone(&scraper.name), node.clone(), which);
                    let since = self.able.get(&ability).copied().unwrap_or(self.now);
                    able.insert(ability, since);
                }
            }
        }
        self.able = able;
    }

    /// The node with the oldest sample on any frontend.
    pub(super) fn oldest(&self) -> (NodeName, Duration) {
        let ages = self.frontends.iter().flat_map(|it| it.ages(self.now));
        let (node, age) = ages.max_by_key(|(_, age)| *age).unwrap();
        (node.clone(), age)
    }

    /// Nodes with samples older than `deadline` on a frontend to which somebody
    /// was able to bring them for so long.
    pub(super) fn unattended(&self, deadline: Duration) -> Vec<(NodeName, Duration)> {
        let long = |at: &Timestamp| self.now.since(*at).unwrap() > deadline;
        let able: BTreeSet<(&NodeName, usize)> = self
            .able
            .iter()
            .filter(|(_, since)| long(since))
            .map(|((_, node, which), _)| (node, *which))
            .collect();
        let frontends = self.frontends.iter().enumerate();
        frontends
            .flat_map(|(which, frontend)| {
                let ages = frontend.ages(self.now);
                ages.map(move |(node, age)| (node, which, age))
            })
            .filter(|(node, which, age)| *age > deadline && able.contains(&(*node, *which)))
            .map(|(node, _, age)| (node.clone(), age))
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

    /// Whether all who see the same members give each node a rank of its own,
    /// and so agree who comes first.
    pub(super) fn ranks_agree(&self) -> bool {
        let mut by_view = BTreeMap::<Vec<Member>, Vec<&View>>::new();
        let views = self.scrapers.iter().filter_map(|it| it.view.as_ref());
        // Who does not know the others is behind all of them.
        for view in views.filter(|view| view.is_sure()) {
            by_view.entry(view.members()).or_default().push(view);
        }
        by_view.iter().all(|(members, views)| {
            self.nodes.iter().all(|node| {
                let ranks: BTreeSet<usize> =
                    views.iter().map(|view| view.rank(node.as_str())).collect();
                ranks.len() == views.len() && ranks.iter().all(|rank| *rank < members.len())
            })
        })
    }

    /// Whether nothing is stored that grows without end.
    pub(super) fn is_bounded(&self) -> bool {
        let nodes = self.nodes.len();
        self.scrapers.iter().all(|it| it.is_bounded(nodes))
    }
}
