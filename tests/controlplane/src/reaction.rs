//! From a step in load to what the autoscaler makes of it, in seconds, with our components and with metrics-server.
//!
//! Each pipeline has a control plane of its own, so that several run side by side on the same machine. Its nodes are the
//! simulator's, whose kubelets measure as cAdvisor does, or at every request. docs/REACTION.md says what is measured, and how.
//!
//! - [`ground`]: control plane, nodes, and what serves the metrics API
//! - [`apps`]: Deployments with autoscalers, and the steps in their load
//! - [`observer`]: what the API says, and when
//! - [`figures`]: the numbers and the table

pub mod apps;
pub mod figures;
pub mod ground;
pub mod observer;

use std::{sync::atomic::AtomicUsize, time::Duration};

use anyhow::Context as _;
use tokio::task::JoinSet;

use self::{
    apps::App,
    figures::Figures,
    ground::Ground,
    observer::{Measured, Observer},
};
use crate::components::Pace;

/// Who serves the metrics API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// metrics-server, as it is released.
    MetricsServer,
    /// One scraper and one frontend.
    Tributary,
}

/// What is between a container and the autoscaler, and how often each part looks.
#[derive(Clone, Debug)]
pub struct Pipeline {
    /// `tributary` and `metrics-server` ask every 15 s and have an autoscaler that looks every 15 s, as by default.
    pub name: String,
    subject: Subject,
    /// `--metric-resolution`, and `--fast-resolution` if it is not 0.
    pace: Pace,
    /// Whether kubelets measure at every request, and not as cAdvisor does.
    is_fresh: bool,
    /// `--horizontal-pod-autoscaler-sync-period`, in seconds.
    sync: u64,
}

/// How often the autoscaler looks, in seconds.
const SYNCS: [u64; 3] = [15, 5, 1];

impl Effort {
    /// The longest period of anybody.
    pub const SPREAD: Duration = Duration::from_secs(15);
}

impl Pipeline {
    /// All that there are, in the order of the table.
    pub fn all() -> Vec<Self> {
        let subjects = [
            ("metrics-server", Subject::MetricsServer, 15, 0),
            ("tributary", Subject::Tributary, 15, 0),
            ("tributary-10s", Subject::Tributary, 10, 0),
            ("tributary-fast", Subject::Tributary, 15, 5),
            ("tributary-fast-1s", Subject::Tributary, 15, 1),
        ];
        let with = |(sync, is_fresh): (u64, bool)| {
            subjects.map(|(name, subject, resolution, fast)| {
                let fresh = if is_fresh { "/fresh-kubelets" } else { "" };
                let looks = if sync == 15 {
                    String::new()
                } else {
                    format!("/sync-{sync}s")
                };
                let fast = (fast > 0).then_some(Duration::from_secs(fast));
                let resolution = Duration::from_secs(resolution);
                Self {
                    name: format!("{name}{fresh}{looks}"),
                    subject,
                    pace: Pace { resolution, fast },
                    is_fresh,
                    sync,
                }
            })
        };
        let kinds = SYNCS.map(|sync| [(sync, false), (sync, true)]);
        kinds.into_iter().flatten().flat_map(with).collect()
    }

    /// # Errors
    ///
    /// There is none of that name.
    pub fn named(name: &str) -> anyhow::Result<Self> {
        let names = || Self::all().into_iter().map(|one| one.name);
        let found = Self::all().into_iter().find(|one| one.name == name);
        found.with_context(|| {
            let known: Vec<String> = names().collect();
            format!("no pipeline {name:?}; there are {}", known.join(", "))
        })
    }
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Steps of each pipeline.
    pub steps: usize,
    /// Deployments that step at the same time.
    pub apps: usize,
    /// Simulated nodes of each pipeline.
    pub nodes: usize,
    /// In such a time all autoscalers are made, evenly, and twice that is the longest pause before a step. With the longest
    /// period of anybody, steps and autoscalers meet all phases of all clocks; otherwise the difference between the phase
    /// of the autoscalers and that of a server that asks all nodes at once would decide about a whole run.
    pub spread: Duration,
    /// Decides when and where steps come.
    pub seed: u64,
}

/// Runs the pipelines: those whose autoscaler looks equally often side by side, the groups in turn.
///
/// # Errors
///
/// Something does not start or ends by itself.
pub async fn run(pipelines: &[Pipeline], effort: Effort) -> anyhow::Result<Vec<(String, Figures)>> {
    let mut results = Vec::new();
    for sync in SYNCS {
        let mut side_by_side = JoinSet::new();
        for pipeline in pipelines.iter().filter(|one| one.sync == sync) {
            let pipeline = pipeline.clone();
            side_by_side.spawn(async move {
                let measured = measure(&pipeline, effort).await;
                let measured = measured.with_context(|| pipeline.name.clone())?;
                anyhow::Ok((pipeline.name, Figures::of(measured)))
            });
        }
        while let Some(ended) = side_by_side.join_next().await {
            results.push(ended??);
        }
    }
    let place = |name: &str| pipelines.iter().position(|one| one.name == name);
    results.sort_by_key(|(name, _)| place(name));
    Ok(results)
}

async fn measure(pipeline: &Pipeline, effort: Effort) -> anyhow::Result<Measured> {
    let ground = Ground::start(pipeline, effort.nodes).await?;
    let apps = App::make(&ground, effort).await?;
    let observer = Observer::start(&ground, &apps);
    let left = AtomicUsize::new(effort.steps);
    let stepping = apps.iter().map(|app| app.step(&ground, &observer, &left));
    let stepped = futures::future::try_join_all(stepping).await;
    observer.settled().await;
    let measured = observer.stop().await;
    ground.stop().await?;
    stepped.map(|_| measured)
}
