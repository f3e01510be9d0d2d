//! Requests everything from every frontend each second, as a user that may only list.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use jiff::Timestamp;
use parking_lot::{Mutex, MutexGuard};
use serde_json::Value;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tributary_e2e::ask::{Answer, Client};
use tributary_runtime::clock::Clock;
use tributary_sim::Cluster;

use crate::book::{List, Lists, Phase, Served, Taken};

/// All nodes.
pub(crate) const NODES: &str = "/apis/metrics.k8s.io/v1beta1/nodes";
/// All pods.
pub(crate) const PODS: &str = "/apis/metrics.k8s.io/v1beta1/pods";

const EVERY: Duration = Duration::from_secs(1);
/// How long a frontend may take. A later answer counts as none.
const PATIENCE: Duration = Duration::from_secs(10);

/// The objects that must be served, and the current phase.
#[derive(Debug)]
pub(crate) struct Seen {
    /// The objects that must be served.
    pub(crate) served: Served,
    /// The current phase. `None` before the first.
    pub(crate) phase: Option<Phase>,
}

/// Shared by the observers and the code that begins phases.
#[derive(Clone, Debug)]
pub(crate) struct Book(Arc<Mutex<Seen>>);

impl Book {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Seen {
            served: Served::default(),
            phase: None,
        })))
    }

    pub(crate) fn open(&self) -> MutexGuard<'_, Seen> {
        self.0.lock()
    }
}

/// Observes one frontend.
#[derive(Debug)]
pub(crate) struct Observer {
    pub(crate) front: String,
    pub(crate) client: Client,
    /// Whether it runs and will not be stopped soon.
    pub(crate) up: Arc<AtomicBool>,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) clock: Clock,
    pub(crate) book: Book,
}

impl Observer {
    /// Checks every second until `stop`.
    pub(crate) async fn look_on(self, stop: CancellationToken) {
        let mut tick = interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while let Some(due) = stop.run_until_cancelled(tick.tick()).await {
            let late = due.elapsed();
            if let Some(phase) = &mut self.book.open().phase {
                phase.late(late);
            }
            self.look().await;
        }
    }

    async fn look(&self) {
        // This is checked before and after, because the frontend may be stopped in between.
        let up = || self.up.load(Ordering::Acquire);
        let before = up();
        let asked = self.clock.now();
        let lists = timeout(PATIENCE, lists(&self.client, &self.clock)).await;
        let lists = lists.unwrap_or_else(|_| Err(anyhow::anyhow!("no answer in {PATIENCE:?}")));
        let taken = self.taken();
        let mut seen = self.book.open();
        let Seen { served, phase } = &mut *seen;
        let Some(phase) = phase else {
            return;
        };
        match lists {
            Ok(lists) => phase.look(&self.front, &lists, served, &taken),
            Err(error) if before && up() => {
                phase.not_ready(&self.front, &format!("{error:#}"), asked);
            }
            Err(_) => {}
        }
    }

    fn taken(&self) -> Taken {
        let nodes = self.cluster.nodes().into_iter();
        nodes
            .filter_map(|node| {
                let stats = self.cluster.kubelet_stats(&node).ok()?;
                Some((node, stats.pages.into_iter().collect()))
            })
            .collect()
    }
}

/// Everything that a frontend serves, if it is ready.
pub(crate) async fn lists(client: &Client, clock: &Clock) -> anyhow::Result<Lists> {
    ok(client, "/readyz").await?;
    Ok(Lists {
        nodes: list(client, clock, NODES).await?,
        pods: list(client, clock, PODS).await?,
    })
}

async fn list(client: &Client, clock: &Clock, path: &str) -> anyhow::Result<List> {
    let (sent, start) = (clock.now(), Instant::now());
    let answer = ok(client, path).await?;
    Ok(List {
        asked: sent,
        took: start.elapsed(),
        dates: dates(&answer.json())?,
    })
}

async fn ok(client: &Client, path: &str) -> anyhow::Result<Answer> {
    let answer = client.get(path).await.context(path.to_owned())?;
    anyhow::ensure!(
        answer.status.is_success(),
        "{path}: {} {}",
        answer.status,
        String::from_utf8_lossy(&answer.body)
            .chars()
            .take(300)
            .collect::<String>()
    );
    Ok(answer)
}

fn dates(list: &Value) -> anyhow::Result<BTreeMap<String, Timestamp>> {
    let items = list
        .get("items")
        .and_then(Value::as_array)
        .context("not a list")?;
    let of = |item: &Value| {
        let text = |pointer: &str| item.pointer(pointer).and_then(Value::as_str);
        let name = text("/metadata/name").context("no name")?;
        let name = match text("/metadata/namespace") {
            Some(namespace) => format!("{namespace}/{name}"),
            None => name.to_owned(),
        };
        let date = text("/timestamp").context("no date")?.parse()?;
        anyhow::Ok((name, date))
    };
    items.iter().map(of).collect()
}
