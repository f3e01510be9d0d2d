//! The loop: whose turn it is, and what comes of it.
//!
//! One task per scrape under way, none per node that rests. What is kept of a
//! kubelet (its connection, the layout of its page) goes into the task and comes
//! back with its outcome, so there is no lock and never two requests to one
//! node at once.

use std::{collections::HashMap, future::Future, sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    task::{JoinError, JoinSet},
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use tributary_model::{NodeName, Timestamp};
use tributary_proto::{
    convert::failure_text,
    v1::{ScrapeFailure, scrape_failure},
};
use tributary_runtime::clock::Clock;

use crate::{
    bus::hub::Hub,
    kubelet::{Client, Kubelet, Reason, ScrapeError, decode::Decoded},
    metrics::ScrapeMetrics,
    nodes::{Target, Targets},
    schedule::Schedule,
    shard::Shard,
};

/// Scrapes under way at one time. Requests are spread over the resolution, so
/// this many are only reached if kubelets hang; the others then wait their turn
/// rather than each taking memory.
const MOST_UNDER_WAY: usize = 1_000;

/// What the loop works with.
#[derive(Debug)]
pub(crate) struct Scraping {
    pub(crate) client: Arc<Client>,
    pub(crate) hub: Hub,
    pub(crate) shard: Shard,
    pub(crate) resolution: Duration,
    pub(crate) clock: Clock,
    pub(crate) metrics: ScrapeMetrics,
}

/// A node that is scraped here.
#[derive(Debug)]
struct Owned {
    target: Arc<Target>,
    /// `None` while a scrape is under way.
    kubelet: Option<Kubelet>,
    /// The kind of the last failure, if the last scrape failed: a change is
    /// logged, a repetition is not.
    failing: Option<Reason>,
}

/// A scrape that is over.
struct Done {
    node: NodeName,
    kubelet: Kubelet,
    began: Timestamp,
    /// By the date, for everybody else.
    asked_at: Timestamp,
    took: Duration,
    outcome: Result<Decoded, ScrapeError>,
}

/// Time for the schedule: the date when the process began, going on evenly.
/// A clock that is set must not make nodes wait, or be asked twice.
#[derive(Clone, Copy, Debug)]
struct Steady {
    origin: Timestamp,
    since: Instant,
}

impl Steady {
    fn now(self) -> Timestamp {
        self.origin.plus(self.since.elapsed())
    }
}

struct Loop {
    scraping: Scraping,
    steady: Steady,
    schedule: Schedule,
    owned: HashMap<NodeName, Owned>,
    under_way: JoinSet<Done>,
}

/// Scrapes the nodes of this shard until `stop`.
///
/// # Errors
///
/// A scrape panicked, which is a fault of ours.
pub(crate) async fn scrape(
    scraping: Scraping,
    mut targets: watch::Receiver<Targets>,
    stop: CancellationToken,
) -> Result<(), JoinError> {
    let steady = Steady {
        origin: Timestamp::from_millis(scraping.clock.now_millis()),
        since: Instant::now(),
    };
    let mut this = Loop {
        schedule: Schedule::new(scraping.resolution),
        scraping,
        steady,
        owned: HashMap::new(),
        under_way: JoinSet::new(),
    };
    loop {
        let wait = this.until_due();
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            changed = targets.changed() => {
                if changed.is_err() {
                    return Ok(()); // whoever watches the nodes has ended
                }
                this.follow(&targets.borrow_and_update());
            }
            Some(done) = this.under_way.join_next() => this.finish(done?),
            () = wait => this.begin_due(),
        }
    }
}

impl Loop {
    /// Ends when a node is due and there is room for it.
    fn until_due(&self) -> impl Future<Output = ()> + use<> {
        let due = self.schedule.next();
        let due = due.filter(|_| self.under_way.len() < MOST_UNDER_WAY);
        let wait = due.map(|due| due.since(self.steady.now()).unwrap_or_default());
        async move {
            match wait {
                Some(wait) => sleep(wait).await,
                None => std::future::pending().await,
            }
        }
    }

    /// Takes on the nodes that are ours and lets go of the others.
    fn follow(&mut self, targets: &Targets) {
        let shard = self.scraping.shard;
        let gone: Vec<NodeName> = self
            .owned
            .keys()
            .filter(|node| targets.get(node.as_str()).is_none())
            .cloned()
            .collect();
        for node in gone {
            self.owned.remove(&node);
            self.schedule.remove(&node);
            self.scraping.hub.release(&node);
            debug!(%node, "node released");
        }
        let now = self.steady.now();
        for target in targets.iter() {
            if let Some(owned) = self.owned.get_mut(&target.node) {
                owned.target = Arc::clone(target);
            } else if shard.owns(target.node.as_str()) {
                self.schedule.add(&target.node, now);
                let owned = Owned {
                    target: Arc::clone(target),
                    kubelet: Some(Kubelet::new(Arc::clone(&self.scraping.client))),
                    failing: None,
                };
                self.owned.insert(target.node.clone(), owned);
            }
        }
        let count = i64::try_from(self.owned.len()).unwrap_or(i64::MAX);
        if self.scraping.metrics.nodes.set(count) != count {
            info!(nodes = count, of = targets.len(), "nodes of this scraper");
        }
    }

    /// Begins every scrape that is due.
    fn begin_due(&mut self) {
        while self.under_way.len() < MOST_UNDER_WAY {
            let began = self.steady.now();
            let Some(node) = self.schedule.take_due(began) else {
                return;
            };
            let Some(owned) = self.owned.get_mut(&node) else {
                continue;
            };
            let Some(mut kubelet) = owned.kubelet.take() else {
                continue;
            };
            let target = Arc::clone(&owned.target);
            let asked_at = Timestamp::from_millis(self.scraping.clock.now_millis());
            self.scraping.metrics.under_way.inc();
            self.under_way.spawn(async move {
                let start = Instant::now();
                let outcome = kubelet.scrape(&target, asked_at).await;
                Done {
                    node,
                    kubelet,
                    began,
                    asked_at,
                    took: start.elapsed(),
                    outcome,
                }
            });
        }
    }

    /// Hands on what a scrape gave.
    fn finish(&mut self, done: Done) {
        let metrics = &self.scraping.metrics;
        metrics.under_way.dec();
        metrics.duration.observe(done.took.as_secs_f64());
        let Some(owned) = self.owned.get_mut(&done.node) else {
            return; // released meanwhile
        };
        owned.kubelet = Some(done.kubelet);
        self.schedule.done(&done.node, done.began);
        let node = &done.node;
        match done.outcome {
            Ok(decoded) => {
                metrics.outcome("ok");
                count_refused(metrics, node, &decoded);
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
    }
}

/// A node that says of itself that it is not ready is expected to fail
/// (PARITY 2.2).
fn tell(node: &NodeName, ready: bool, error: &ScrapeError) {
    let kind = error.reason().as_str();
    if ready {
        warn!(%node, kind, %error, "scrape failed");
    } else {
        info!(%node, kind, %error, "scrape failed of a node that is not ready");
    }
}

fn count_refused(metrics: &ScrapeMetrics, node: &NodeName, decoded: &Decoded) {
    for (kind, count) in decoded.refused.iter() {
        metrics.refused(kind.as_str(), u64::from(count));
    }
    if decoded.refused.total() > 0 {
        debug!(%node, refused = %decoded.refused, "parts of the page refused");
    }
}

fn to_wire(node: &NodeName, asked_at: Timestamp, error: &ScrapeError) -> ScrapeFailure {
    use scrape_failure::Reason as Wire;
    let reason = match error.reason() {
        Reason::Address => Wire::Address,
        Reason::Dial => Wire::Dial,
        Reason::Tls => Wire::Tls,
        Reason::Auth => Wire::Auth,
        Reason::Status => Wire::Status,
        Reason::Timeout => Wire::Timeout,
        Reason::TooLarge => Wire::TooLarge,
        Reason::Malformed => Wire::Malformed,
        Reason::Empty => Wire::Empty,
    };
    ScrapeFailure {
        node: node.to_string(),
        asked_at_ms: asked_at.as_millis(),
        reason: reason.into(),
        message: failure_text(error.to_string()),
    }
}
