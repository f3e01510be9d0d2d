//! What goes on while something changes: clients that list nodes, samples, and the streams from scrapers to frontends.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use anyhow::Context as _;
use tokio::{task::JoinSet, time::sleep};
use tributary_controlplane::patience::eventually;

use crate::site::{POLL_EVERY, Site};

/// Lists nodes by both versions until something fails.
pub(crate) struct Polling {
    tasks: JoinSet<anyhow::Result<()>>,
    answers: Arc<AtomicUsize>,
}

impl Polling {
    pub(crate) fn start(site: &Arc<Site>) -> Self {
        let mut tasks = JoinSet::new();
        let answers = Arc::new(AtomicUsize::new(0));
        for version in ["v1beta1", "v1"] {
            let (site, answers) = (Arc::clone(site), Arc::clone(&answers));
            tasks.spawn(async move {
                loop {
                    site.nodes(version).await?;
                    answers.fetch_add(1, Ordering::Relaxed);
                    sleep(POLL_EVERY).await;
                }
            });
        }
        Self { tasks, answers }
    }

    /// Nothing has failed so far.
    pub(crate) fn is_well(&mut self) -> anyhow::Result<()> {
        match self.tasks.try_join_next() {
            Some(ended) => ended.context("a client ended")?,
            None => Ok(()),
        }
    }

    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        self.is_well()?;
        self.tasks.shutdown().await;
        println!("{} answers", self.answers.load(Ordering::Relaxed));
        Ok(())
    }
}

/// The oldest time at which a node was measured that is served.
pub(crate) async fn oldest(site: &Site) -> anyhow::Result<String> {
    let nodes = site.nodes("v1beta1").await?;
    let times = nodes.iter().filter_map(|node| node["timestamp"].as_str());
    Ok(times.min().context("a time")?.to_owned())
}

/// Waits until everything was measured again.
pub(crate) async fn goes_on(site: &Site) -> anyhow::Result<()> {
    let before = oldest(site).await?;
    eventually("newer samples of all nodes", || async {
        let now = oldest(site).await?;
        anyhow::ensure!(now > before, "still of {now}");
        Ok(())
    })
    .await
}

/// Each of two scrapers sends to each of two frontends.
pub(crate) async fn every_stream_is_open(site: &Site) -> anyhow::Result<()> {
    eventually("every stream is open", || async {
        let scrapers = site.pods_of("scraper").await?;
        anyhow::ensure!(scrapers.len() == 2, "{} scrapers", scrapers.len());
        for (_, ip) in scrapers {
            let metrics = site.ask_pod("scraper", &ip, "/metrics").await?;
            let streams = metrics.lines().filter(|line| {
                line.starts_with("tributary_bus_frontends_connected ")
                    || line.starts_with("tributary_bus_frontends_known ")
            });
            let streams: Vec<&str> = streams.collect();
            let open = streams.len() == 2 && streams.iter().all(|line| line.ends_with(" 2"));
            anyhow::ensure!(open, "{ip}: {streams:?}");
        }
        Ok(())
    })
    .await
}

/// Waits until the pods of all components are those of the newest Deployments.
pub(crate) async fn rolled_out(site: &Site) -> anyhow::Result<()> {
    let list = ["get", "deploy", "-n", site.namespace, "-o", "name"];
    for deployment in site.kubectl.ok(&list).await?.lines() {
        let rollout = ["rollout", "status", deployment, "-n", site.namespace];
        let rollout = [&rollout[..], &["--timeout=180s"]].concat();
        site.kubectl.ok(&rollout).await?;
    }
    Ok(())
}
