//! The loop that scrapes nodes when they are due and hands on the results.
//!
//! There is one task per scrape in flight, and none per idle node. The state of a kubelet (its
//! connection, the layout of its page) moves into the task and returns with the outcome. So there
//! is no lock, and never two requests to one node at once.

mod freshness;
mod metrics;
mod outcome;
mod read;
mod young;

use std::{collections::HashMap, future::Future, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    task::{JoinError, JoinSet},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, debug, debug_span, info};
use tributary_model::{Endpoint, NodeName, Timestamp};
use tributary_runtime::clock::Clock;

pub(crate) use self::metrics::ScrapeMetrics;
use self::{
    freshness::Learner,
    outcome::{tell, tell_end, to_wire},
    young::Young,
};
use crate::{
    assignment::{
        metrics::AssignmentMetrics,
        monotonic::MonotonicClock,
        ownership::{Counts, Move, Ownership, View, When},
        schedule::Schedule,
    },
    bus::{
        hub::Hub,
        reports::{Report, Wanted},
    },
    events::{About, NodeEvents, Outage},
    kubelet::{Client, Kubelet, Reason, ScrapeError, decode::Decoded},
    nodes::{Target, Targets},
};

/// The most scrapes in flight. Requests are spread over the resolution, so only hanging kubelets
/// cause this many. The others then wait, so that they take no memory.
const MAX_IN_FLIGHT: usize = 1_000;

/// The most first scrapes in flight of nodes that other members own and do not deliver. If a part
/// of the network fails, all members try all of its nodes, and each attempt fails after
/// `--kubelet-request-timeout`. That must not block the nodes that answer.
const MOST_TRIALS: usize = MAX_IN_FLIGHT / 4;

/// How long such a scrape is postponed at the limit.
const TRIAL_PUT_OFF: Duration = Duration::from_millis(100);

/// How long scrapes in flight may take when the scraper stops. Other members take over the nodes
/// then, so at most one sample is lost.
const LEAVE_WITHIN: Duration = Duration::from_secs(2);

/// The tools of the loop.
#[derive(Debug)]
pub(crate) struct Scraping {
    pub(crate) client: Arc<Client>,
    pub(crate) hub: Hub,
    pub(crate) replicas: usize,
    pub(crate) resolution: Duration,
    /// That of nodes that are wanted fresh, if they are asked more often.
    pub(crate) fast_resolution: Option<Duration>,
    pub(crate) clock: Clock,
    pub(crate) metrics: ScrapeMetrics,
    pub(crate) assignment: AssignmentMetrics,
    /// Events about nodes, if they are wanted.
    pub(crate) events: Option<NodeEvents>,
}

/// The inputs of the loop.
#[derive(Debug)]
pub(crate) struct Inputs {
    /// The nodes of the cluster.
    pub(crate) targets: watch::Receiver<Targets>,
    /// The members that share them. `None` while they are unknown.
    pub(crate) view: watch::Receiver<Option<View>>,
    /// What frontends say about nodes.
    pub(crate) reports: mpsc::Receiver<Report>,
}

impl Inputs {
    pub(crate) fn new(
        targets: &watch::Receiver<Targets>,
        view: &watch::Receiver<Option<View>>,
        reports: mpsc::Receiver<Report>,
    ) -> Self {
        Self {
            targets: targets.clone(),
            view: view.clone(),
            reports,
        }
    }
}

/// A node that this scraper scrapes.
#[derive(Debug)]
struct Scraped {
    target: Arc<Target>,
    /// `None` while a scrape is in flight.
    kubelet: Option<Kubelet>,
    /// The kind of the last failure, if the last scrape failed. A change is logged, a repetition is
    /// not.
    failing: Option<Reason>,
    /// Whether parts of its last page were refused. A change is logged.
    refusing: bool,
    /// The endpoint that its numbers are from. A change is logged.
    endpoint: Endpoint,
    /// Its containers that have one sample only.
    young: Young,
    /// What is learned of its kubelet.
    learner: Learner,
    /// Its failures, for Events.
    outage: Outage,
}

/// A finished scrape.
struct Done {
    node: NodeName,
    is_trial: bool,
    kubelet: Kubelet,
    began: Timestamp,
    /// By the wall clock, for other processes.
    asked_at: Timestamp,
    took: Duration,
    outcome: Result<Decoded, ScrapeError>,
}

struct Loop {
    scraping: Scraping,
    monotonic: MonotonicClock,
    ownership: Ownership,
    schedule: Schedule,
    scraped: HashMap<NodeName, Box<Scraped>>,
    in_flight: JoinSet<Box<Done>>,
    /// How many of them are first scrapes of nodes of others.
    trials: usize,
    counts: Counts,
}

/// Scrapes the nodes of this scraper until `stop`. Then it finishes the scrapes in flight and
/// releases all nodes.
///
/// # Errors
///
/// A scrape panicked, which is a bug.
pub(crate) async fn scrape(
    scraping: Scraping,
    mut inputs: Inputs,
    stop: CancellationToken,
) -> Result<(), JoinError> {
    let mut this = Loop::new(scraping);
    loop {
        let wait = this.until_due();
        tokio::select! {
            () = stop.cancelled() => break,
            changed = inputs.targets.changed() => {
                if changed.is_err() {
                    break; // whoever watches the nodes has ended
                }
                this.follow(&inputs);
            }
            changed = inputs.view.changed() => {
                if changed.is_err() {
                    break;
                }
                this.follow(&inputs);
            }
            Some(report) = inputs.reports.recv() => this.report(report, &inputs),
            Some(done) = this.in_flight.join_next() => this.finish(*done?, &inputs),
            () = wait => {
                this.tick(&inputs);
                this.begin_due();
            }
        }
    }
    this.leave(&inputs).await
}

impl Loop {
    fn new(scraping: Scraping) -> Self {
        Self {
            monotonic: MonotonicClock::new(&scraping.clock),
            ownership: Ownership::new(scraping.replicas, scraping.resolution),
            schedule: Schedule::new(scraping.resolution).with_fast(scraping.fast_resolution),
            scraping,
            scraped: HashMap::new(),
            in_flight: JoinSet::new(),
            trials: 0,
            counts: Counts::default(),
        }
    }

    /// Waits until a node is due and the limit allows a scrape, or until a role ends.
    fn until_due(&self) -> impl Future<Output = ()> + use<> {
        let due = self.schedule.wake();
        let due = due.filter(|_| self.in_flight.len() < MAX_IN_FLIGHT);
        let next = due.into_iter().chain(self.ownership.next()).min();
        let wait = next.map(|next| next.since(self.monotonic.now()).unwrap_or_default());
        async move {
            match wait {
                Some(wait) => sleep(wait).await,
                None => std::future::pending().await,
            }
        }
    }

    /// Applies the nodes and members, once both are known.
    fn follow(&mut self, inputs: &Inputs) {
        let targets = inputs.targets.borrow();
        let view = inputs.view.borrow();
        let Some(view) = view.as_ref().filter(|_| targets.listed()) else {
            return;
        };
        for target in targets.iter() {
            if let Some(scraped) = self.scraped.get_mut(&target.node) {
                scraped.target = Arc::clone(target);
            }
        }
        let nodes: Vec<NodeName> = targets.iter().map(|target| target.node.clone()).collect();
        let moves = self.ownership.follow(&nodes, view, self.monotonic.now());
        self.apply(moves, &targets);
    }

    fn report(&mut self, report: Report, inputs: &Inputs) {
        match report {
            Report::Overdue(nodes) => self.overdue(&nodes, inputs),
            Report::Wanted(wanted) => self.want(wanted),
        }
    }

    fn overdue(&mut self, nodes: &[String], inputs: &Inputs) {
        let now = self.monotonic.now();
        for node in nodes {
            if let Some(scraped) = self.scraped.get_mut(node.as_str()) {
                scraped.outage.overdue(now);
            }
        }
        let moves = self.ownership.overdue(nodes, now);
        self.apply(moves, &inputs.targets.borrow());
    }

    /// Asks the nodes that are here more often for a while.
    fn want(&mut self, wanted: Wanted) {
        let now = self.monotonic.now();
        let until = now.plus(wanted.lasts);
        for node in wanted.nodes {
            if !self.schedule.want(&node.into(), until, now) {
                self.scraping.metrics.fast_refused.inc();
            }
        }
        self.count_fast();
    }

    fn count_fast(&self) {
        let fast = i64::try_from(self.schedule.fast()).unwrap_or(i64::MAX);
        self.scraping.metrics.fast.set(fast);
    }

    fn tick(&mut self, inputs: &Inputs) {
        let moves = self.ownership.tick(self.monotonic.now());
        if !moves.is_empty() {
            self.apply(moves, &inputs.targets.borrow());
        }
    }

    /// Adds and releases nodes, and logs one line about it.
    fn apply(&mut self, moves: Vec<Move>, targets: &Targets) {
        let now = self.monotonic.now();
        for change in moves {
            self.scraping.assignment.moved(&change);
            match change {
                Move::Own(node, when) => self.take_on(&node, targets, when, now),
                Move::Rescue(node, after) => {
                    debug!(%node, "overdue, and rescued");
                    self.take_on(&node, targets, When::AtOnce, now.plus(after));
                }
                Move::Expedite(node) => self.schedule.expedite(&node, now),
                Move::Release(node) => {
                    let gone = self.scraped.remove(&node);
                    let freshness = &self.scraping.metrics.freshness;
                    freshness.learned(gone.map(|it| it.learner.freshness()), None);
                    self.schedule.remove(&node);
                    self.scraping.hub.release(&node);
                    debug!(%node, "node released");
                }
            }
        }
        self.scraping.hub.publish_roles(self.ownership.news());
        let counts = self.ownership.counts();
        if counts != self.counts {
            self.counts = counts;
            self.scraping.assignment.count(counts);
            let nodes = self.scraped.len();
            self.scraping
                .metrics
                .nodes
                .set(i64::try_from(nodes).unwrap_or(i64::MAX));
            let Counts {
                owned,
                leaving,
                rescued,
                standby,
            } = counts;
            let all_nodes = targets.len();
            info!(
                nodes,
                all_nodes, owned, leaving, rescued, standby, "nodes of this scraper"
            );
        }
    }

    fn take_on(&mut self, node: &NodeName, targets: &Targets, when: When, from: Timestamp) {
        let Some(target) = targets.get(node.as_str()) else {
            return; // gone since; the next change of targets says so
        };
        match when {
            When::AtOnce => self.schedule.add(node, from),
            When::AtPhase => self.schedule.add_at_phase(node, from),
        }
        let scraped = Scraped {
            target: Arc::clone(target),
            kubelet: Some(Kubelet::new(Arc::clone(&self.scraping.client))),
            failing: None,
            refusing: false,
            endpoint: Endpoint::default(),
            young: Young::default(),
            learner: Learner::default(),
            outage: Outage::default(),
        };
        let freshness = &self.scraping.metrics.freshness;
        let now = scraped.learner.freshness();
        let before = self.scraped.insert(node.clone(), Box::new(scraped));
        freshness.learned(before.map(|it| it.learner.freshness()), Some(now));
    }

    /// Finishes the scrapes in flight and releases all nodes.
    async fn leave(mut self, inputs: &Inputs) -> Result<(), JoinError> {
        let rest = async {
            while let Some(done) = self.in_flight.join_next().await {
                self.finish(*done?, inputs);
            }
            Ok(())
        };
        // Longer scrapes are cancelled.
        timeout(LEAVE_WITHIN, rest).await.unwrap_or(Ok(()))?;
        for node in self.scraped.keys() {
            self.scraping.hub.release(node);
        }
        info!(nodes = self.scraped.len(), "released all nodes");
        Ok(())
    }

    /// Begins every scrape that is due.
    fn begin_due(&mut self) {
        while self.in_flight.len() < MAX_IN_FLIGHT {
            let began = self.monotonic.now();
            let Some(node) = self.schedule.take_due(began) else {
                return;
            };
            let is_trial = self.ownership.is_trial(&node);
            if is_trial && self.trials >= MOST_TRIALS {
                self.schedule.put_off(&node, began.plus(TRIAL_PUT_OFF));
                continue;
            }
            let Some((target, mut kubelet)) = self.take_kubelet(&node) else {
                self.schedule.done(&node, began);
                continue;
            };
            self.trials += usize::from(is_trial);
            let asked_at = Timestamp::from_millis(self.scraping.clock.now_millis());
            self.scraping.metrics.in_flight.inc();
            // On the heap: an idle connection remembers the task that read from it last, and with
            // it the memory of its future and of its result.
            let span = debug_span!("scrape", %node);
            let scrape = async move {
                let start = Instant::now();
                let outcome = kubelet.scrape(&target, asked_at).await;
                let took = start.elapsed();
                tell_end(&outcome, took);
                Box::new(Done {
                    node,
                    is_trial,
                    kubelet,
                    began,
                    asked_at,
                    took,
                    outcome,
                })
            };
            self.in_flight.spawn(Box::pin(scrape.instrument(span)));
        }
    }

    fn take_kubelet(&mut self, node: &NodeName) -> Option<(Arc<Target>, Kubelet)> {
        let scraped = self.scraped.get_mut(node)?;
        Some((Arc::clone(&scraped.target), scraped.kubelet.take()?))
    }

    /// Hands on the result of a scrape, if the node was this scraper's all the time.
    fn finish(&mut self, done: Done, inputs: &Inputs) {
        let metrics = &self.scraping.metrics;
        metrics.in_flight.dec();
        metrics.duration.observe(done.took.as_secs_f64());
        self.trials -= usize::from(done.is_trial);
        let still_ours = self.schedule.done(&done.node, done.began);
        self.count_fast();
        if !still_ours {
            return; // released meanwhile
        }
        let Some(scraped) = self.scraped.get_mut(&done.node) else {
            return;
        };
        scraped.kubelet = Some(done.kubelet);
        let node = &done.node;
        let failed = done.outcome.as_ref().err().map(ScrapeError::reason);
        match done.outcome {
            Ok(decoded) => self.read(node, decoded, done.began),
            Err(error) => {
                let reason = error.reason();
                metrics.outcome(reason.as_str());
                if scraped.failing.replace(reason) != Some(reason) {
                    tell(node, scraped.target.ready, &error);
                }
                let failure = to_wire(node, done.asked_at, &error);
                self.scraping.hub.fail(node, failure);
            }
        }
        self.note_for_events(node, failed);
        let good = failed.is_none();
        let moves = self.ownership.scraped(node, good, self.monotonic.now());
        if moves.is_some() {
            self.apply(moves.into_iter().collect(), &inputs.targets.borrow());
        }
    }

    /// Notes the outcome of a scrape for Events about the node.
    fn note_for_events(&mut self, node: &NodeName, failed: Option<Reason>) {
        let scraped = self.scraped.get_mut(node);
        let (Some(events), Some(scraped)) = (&mut self.scraping.events, scraped) else {
            return;
        };
        let now = self.monotonic.now();
        let about = About {
            node,
            uid: &scraped.target.uid,
        };
        match failed {
            None => events.succeeded(about, &mut scraped.outage, now),
            Some(reason) if self.ownership.is_first_owner(node) => {
                events.failed(about, &mut scraped.outage, reason.as_str(), now);
            }
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests;
