//! The loop that scrapes nodes when they are due and hands on the results.
//!
//! There is one task per scrape in flight, and none per idle node. The state of a kubelet (its
//! connection, the layout of its page) moves into the task and returns with the outcome. So there
//! is no lock, and never two requests to one node at once.

mod outcome;

use std::{collections::HashMap, future::Future, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    task::{JoinError, JoinSet},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};
use tributary_model::{Endpoint, NodeName, Timestamp};
use tributary_runtime::clock::Clock;

use self::outcome::{count_refused, tell, to_wire};
use crate::{
    bus::hub::Hub,
    kubelet::{Client, Kubelet, Reason, ScrapeError, decode::Decoded},
    metrics::{ScrapeMetrics, ShareMetrics},
    nodes::{Target, Targets},
    ownership::{Counts, Move, Ownership, View, When},
    schedule::Schedule,
    steady::Steady,
};

/// The most scrapes in flight. Requests are spread over the resolution, so only hanging kubelets
/// cause this many. The others then wait, so that they take no memory.
const MOST_UNDER_WAY: usize = 1_000;

/// The most first scrapes in flight of nodes that other members own and do not deliver. If a part
/// of the network fails, all members try all of its nodes, and each attempt fails after
/// `--kubelet-request-timeout`. That must not block the nodes that answer.
const MOST_TRIALS: usize = MOST_UNDER_WAY / 4;

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
    pub(crate) clock: Clock,
    pub(crate) metrics: ScrapeMetrics,
    pub(crate) share: ShareMetrics,
}

/// The inputs of the loop.
#[derive(Debug)]
pub(crate) struct Told {
    /// The nodes of the cluster.
    pub(crate) targets: watch::Receiver<Targets>,
    /// The members that share them. `None` while they are unknown.
    pub(crate) view: watch::Receiver<Option<View>>,
    /// Nodes of which frontends lack samples.
    pub(crate) overdue: mpsc::Receiver<Vec<String>>,
}

/// A node that this scraper scrapes.
#[derive(Debug)]
struct Owned {
    target: Arc<Target>,
    /// `None` while a scrape is in flight.
    kubelet: Option<Kubelet>,
    /// The kind of the last failure, if the last scrape failed. A change is logged, a repetition is
    /// not.
    failing: Option<Reason>,
    /// The endpoint that its numbers are from. A change is logged.
    endpoint: Endpoint,
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
    steady: Steady,
    ownership: Ownership,
    schedule: Schedule,
    owned: HashMap<NodeName, Owned>,
    under_way: JoinSet<Done>,
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
    mut told: Told,
    stop: CancellationToken,
) -> Result<(), JoinError> {
    let mut this = Loop::new(scraping);
    loop {
        let wait = this.until_due();
        tokio::select! {
            () = stop.cancelled() => break,
            changed = told.targets.changed() => {
                if changed.is_err() {
                    break; // whoever watches the nodes has ended
                }
                this.follow(&told);
            }
            changed = told.view.changed() => {
                if changed.is_err() {
                    break;
                }
                this.follow(&told);
            }
            Some(nodes) = told.overdue.recv() => this.overdue(&nodes, &told),
            Some(done) = this.under_way.join_next() => this.finish(done?, &told),
            () = wait => {
                this.tick(&told);
                this.begin_due();
            }
        }
    }
    this.leave(&told).await
}

impl Loop {
    fn new(scraping: Scraping) -> Self {
        Self {
            steady: Steady::new(&scraping.clock),
            ownership: Ownership::new(scraping.replicas, scraping.resolution),
            schedule: Schedule::new(scraping.resolution),
            scraping,
            owned: HashMap::new(),
            under_way: JoinSet::new(),
            trials: 0,
            counts: Counts::default(),
        }
    }

    /// Waits until a node is due and the limit allows a scrape, or until a role ends.
    fn until_due(&self) -> impl Future<Output = ()> + use<> {
        let due = self.schedule.wake();
        let due = due.filter(|_| self.under_way.len() < MOST_UNDER_WAY);
        let next = due.into_iter().chain(self.ownership.next()).min();
        let wait = next.map(|next| next.since(self.steady.now()).unwrap_or_default());
        async move {
            match wait {
                Some(wait) => sleep(wait).await,
                None => std::future::pending().await,
            }
        }
    }

    /// Applies the nodes and members, once both are known.
    fn follow(&mut self, told: &Told) {
        let targets = told.targets.borrow();
        let view = told.view.borrow();
        let Some(view) = view.as_ref().filter(|_| targets.listed()) else {
            return;
        };
        for target in targets.iter() {
            if let Some(owned) = self.owned.get_mut(&target.node) {
                owned.target = Arc::clone(target);
            }
        }
        let nodes: Vec<NodeName> = targets.iter().map(|target| target.node.clone()).collect();
        let moves = self.ownership.follow(&nodes, view, self.steady.now());
        self.apply(moves, &targets);
    }

    fn overdue(&mut self, nodes: &[String], told: &Told) {
        let moves = self.ownership.overdue(nodes, self.steady.now());
        self.apply(moves, &told.targets.borrow());
    }

    fn tick(&mut self, told: &Told) {
        let moves = self.ownership.tick(self.steady.now());
        if !moves.is_empty() {
            self.apply(moves, &told.targets.borrow());
        }
    }

    /// Adds and releases nodes, and logs one line about it.
    fn apply(&mut self, moves: Vec<Move>, targets: &Targets) {
        let now = self.steady.now();
        for change in moves {
            self.scraping.share.moved(&change);
            match change {
                Move::Own(node, when) => self.take_on(&node, targets, (when, now)),
                Move::Rescue(node, after) => {
                    debug!(%node, "overdue, and rescued");
                    self.take_on(&node, targets, (When::AtOnce, now.plus(after)));
                }
                Move::Hasten(node) => self.schedule.hasten(&node, now),
                Move::Release(node) => {
                    self.owned.remove(&node);
                    self.schedule.remove(&node);
                    self.scraping.hub.release(&node);
                    debug!(%node, "node released");
                }
            }
        }
        self.scraping.hub.share(self.ownership.news());
        let counts = self.ownership.counts();
        if counts != self.counts {
            self.counts = counts;
            self.scraping.share.count(counts);
            let nodes = self.owned.len();
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
            let of = targets.len();
            info!(
                nodes,
                of, owned, leaving, rescued, standby, "nodes of this scraper"
            );
        }
    }

    fn take_on(&mut self, node: &NodeName, targets: &Targets, (when, from): (When, Timestamp)) {
        let Some(target) = targets.get(node.as_str()) else {
            return; // gone since; the next change of targets says so
        };
        match when {
            When::AtOnce => self.schedule.add(node, from),
            When::AtPhase => self.schedule.add_at_phase(node, from),
        }
        let owned = Owned {
            target: Arc::clone(target),
            kubelet: Some(Kubelet::new(Arc::clone(&self.scraping.client))),
            failing: None,
            endpoint: Endpoint::default(),
        };
        self.owned.insert(node.clone(), owned);
    }

    /// Finishes the scrapes in flight and releases all nodes.
    async fn leave(mut self, told: &Told) -> Result<(), JoinError> {
        let rest = async {
            while let Some(done) = self.under_way.join_next().await {
                self.finish(done?, told);
            }
            Ok(())
        };
        // Longer scrapes are cancelled.
        timeout(LEAVE_WITHIN, rest).await.unwrap_or(Ok(()))?;
        for node in self.owned.keys() {
            self.scraping.hub.release(node);
        }
        info!(nodes = self.owned.len(), "released all nodes");
        Ok(())
    }

    /// Begins every scrape that is due.
    fn begin_due(&mut self) {
        while self.under_way.len() < MOST_UNDER_WAY {
            let began = self.steady.now();
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
            self.scraping.metrics.under_way.inc();
            // On the heap: an idle connection remembers the task that read from it last, and with
            // it the memory of its future.
            self.under_way.spawn(Box::pin(async move {
                let start = Instant::now();
                let outcome = kubelet.scrape(&target, asked_at).await;
                Done {
                    node,
                    is_trial,
                    kubelet,
                    began,
                    asked_at,
                    took: start.elapsed(),
                    outcome,
                }
            }));
        }
    }

    fn take_kubelet(&mut self, node: &NodeName) -> Option<(Arc<Target>, Kubelet)> {
        let owned = self.owned.get_mut(node)?;
        Some((Arc::clone(&owned.target), owned.kubelet.take()?))
    }

    /// Hands on the result of a scrape, if the node was this scraper's all the time.
    fn finish(&mut self, done: Done, told: &Told) {
        let metrics = &self.scraping.metrics;
        metrics.under_way.dec();
        metrics.duration.observe(done.took.as_secs_f64());
        self.trials -= usize::from(done.is_trial);
        if !self.schedule.done(&done.node, done.began) {
            return; // released meanwhile
        }
        let Some(owned) = self.owned.get_mut(&done.node) else {
            return;
        };
        owned.kubelet = Some(done.kubelet);
        let node = &done.node;
        let good = done.outcome.is_ok();
        match done.outcome {
            Ok(decoded) => {
                metrics.outcome("ok");
                count_refused(metrics, node, &decoded);
                let endpoint = decoded.reading.remarks.endpoint;
                metrics.reading(endpoint);
                if std::mem::replace(&mut owned.endpoint, endpoint) != endpoint {
                    info!(%node, path = endpoint.path(), "node is read from another endpoint");
                }
                if owned.failing.take().is_some() {
                    info!(%node, "node is scraped again");
                }
                self.scraping.hub.publish(decoded.reading);
            }
            Err(error) => {
                let reason = error.reason();
                metrics.outcome(reason.as_str());
                if owned.failing.replace(reason) != Some(reason) {
                    tell(node, owned.target.ready, &error);
                }
                let failure = to_wire(node, done.asked_at, &error);
                self.scraping.hub.fail(node, failure);
            }
        }
        let moves = self.ownership.scraped(node, good, self.steady.now());
        if moves.is_some() {
            self.apply(moves.into_iter().collect(), &told.targets.borrow());
        }
    }
}

#[cfg(test)]
mod tests;
