//! From a step in load to what the autoscaler makes of it, in seconds, with our components and with metrics-server.
//!
//! Each pipeline has a control plane of its own, so that several run side by side on the same machine. Its nodes are the
//! simulator's, whose kubelets measure as cAdvisor does, or at every request; or there is one real node. docs/REACTION.md says
//! what is measured, and how.
//!
//! - [`ground`]: control plane, nodes, and what serves the metrics API
//! - [`apps`]: Deployments with autoscalers, and the steps in their load
//! - [`observer`]: what the API says, and when
//! - [`figures`]: the numbers and the table

pub mod apps;
pub mod figures;
pub mod ground;
pub mod observer;

use std::{io::Write as _, sync::atomic::AtomicUsize, time::Duration};

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
    kubelets: Kubelets,
    /// `--horizontal-pod-autoscaler-sync-period`, in seconds.
    sync: u64,
}

/// When kubelets measure containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kubelets {
    /// Every 10 to 20 s, as by default.
    AsReleased,
    /// Every 1 to 2 s.
    EachSecond,
    /// At every request.
    AtRequest,
}

impl Kubelets {
    const ALL: [Self; 3] = [Self::AsReleased, Self::EachSecond, Self::AtRequest];

    /// What it adds to the name of a pipeline.
    fn suffix(self) -> &'static str {
        match self {
            Self::AsReleased => "",
            Self::EachSecond => "/housekeeping-1s",
            Self::AtRequest => "/fresh-kubelets",
        }
    }

    /// The flags of a real kubelet.
    fn flags(self) -> &'static [&'static str] {
        match self {
            Self::AsReleased => &[],
            Self::EachSecond => &["--housekeeping-interval=1s"],
            Self::AtRequest => &["--feature-gates=PodAndContainerStatsFromCRI=true"],
        }
    }
}

/// How often the autoscaler looks, in seconds.
const SYNCS: [u64; 3] = [15, 5, 1];

/// How often the autoscaler looks, and when the kubelets measure, of the pipelines that run side by side.
fn groups() -> impl Iterator<Item = (u64, Kubelets)> {
    let of_sync = |sync| Kubelets::ALL.map(|kubelets| (sync, kubelets));
    SYNCS.into_iter().flat_map(of_sync)
}

impl Effort {
    /// The longest period of anybody.
    pub const SPREAD: Duration = Duration::from_secs(15);
}

impl Pipeline {
    /// All that there are, in the order of the table.
    pub fn all() -> Vec<Self> {
        groups()
            .flat_map(|(sync, kubelets)| Self::group(sync, kubelets))
            .collect()
    }

    /// Those that run side by side.
    fn group(sync: u64, kubelets: Kubelets) -> impl Iterator<Item = Self> {
        let subjects = [
            ("metrics-server", Subject::MetricsServer, 15, 0),
            ("tributary", Subject::Tributary, 15, 0),
            ("tributary-10s", Subject::Tributary, 10, 0),
            ("tributary-fast", Subject::Tributary, 15, 5),
            ("tributary-fast-1s", Subject::Tributary, 15, 1),
        ];
        // What a resolution of 10 s brings is seen with the usual kubelets.
        let subjects = subjects
            .into_iter()
            .filter(move |it| it.2 == 15 || kubelets == Kubelets::AsReleased);
        subjects.map(move |(name, subject, resolution, fast)| {
            let looks = if sync == 15 {
                String::new()
            } else {
                format!("/sync-{sync}s")
            };
            let fast = (fast > 0).then_some(Duration::from_secs(fast));
            let resolution = Duration::from_secs(resolution);
            Self {
                name: format!("{name}{}{looks}", kubelets.suffix()),
                subject,
                pace: Pace { resolution, fast },
                kubelets,
                sync,
            }
        })
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

/// The nodes of each pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nodes {
    /// This many of the simulator.
    Simulated(usize),
    /// One with containers that are processes of this machine.
    Real,
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Steps of each pipeline.
    pub steps: usize,
    /// Deployments that step at the same time.
    pub apps: usize,
    /// Where the pods are.
    pub nodes: Nodes,
    /// In such a time all autoscalers are made, evenly, and twice that is the longest pause before a step. With the longest
    /// period of anybody, steps and autoscalers meet all phases of all clocks; otherwise the difference between the phase
    /// of the autoscalers and that of a server that asks all nodes at once would decide about a whole run.
    pub spread: Duration,
    /// Decides when and where steps come.
    pub seed: u64,
}

/// Runs the pipelines: those with the same kubelets whose autoscaler looks equally often side by side, the groups in turn. What
/// a group has measured goes to standard error as soon as it ends, because all of them take hours.
///
/// # Errors
///
/// Something does not start or ends by itself.
pub async fn run(pipelines: &[Pipeline], effort: Effort) -> anyhow::Result<Vec<(String, Figures)>> {
    let mut results = Vec::new();
    for group in groups() {
        let begun = results.len();
        let mut side_by_side = JoinSet::new();
        let of_group = |one: &&Pipeline| (one.sync, one.kubelets) == group;
        for pipeline in pipelines.iter().filter(of_group) {
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
        if let Some(of_group) = results.get(begun..).filter(|it| !it.is_empty()) {
            write!(std::io::stderr(), "{}", figures::table(of_group))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_document() {
        let names: Vec<String> = Pipeline::all().into_iter().map(|one| one.name).collect();
        assert_eq!(names.len(), 39);
        for name in [
            "metrics-server",
            "tributary-10s/sync-5s",
            "tributary-fast/housekeeping-1s",
            "tributary-fast-1s/fresh-kubelets/sync-1s",
        ] {
            assert_eq!(Pipeline::named(name).unwrap().name, name);
        }
        Pipeline::named("tributary-10s/fresh-kubelets").unwrap_err();
    }
}
