//! From an older commit to this one and back, by Helm alone, while a client lists nodes. `tests/deploy/upgrade` builds that
//! commit.

use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::{task::JoinSet, time::sleep};
use tributary_controlplane::patience::eventually;
use tributary_runtime::clock::Clock;

use crate::{
    container::OLDER,
    polling::{oldest, rolled_out},
    site::{CHART, NAMESPACE, POLL_EVERY, Site, on_site},
};

/// What a client has seen during one step.
#[derive(Debug, Default)]
struct Seen {
    answers: usize,
    failed: Vec<String>,
    /// The greatest age of a node's sample, in seconds.
    age: i64,
}

/// A client that goes on, whatever it gets.
struct Client {
    seen: Arc<Mutex<Seen>>,
    polling: JoinSet<()>,
}

impl Client {
    fn start(site: &Arc<Site>) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let mut polling = JoinSet::new();
        polling.spawn(poll(Arc::clone(site), Arc::clone(&seen)));
        Self { seen, polling }
    }

    async fn end(mut self) {
        self.polling.shutdown().await;
    }

    /// Waits until a step is over and prints what it has cost: the number of failed requests is returned.
    async fn after(&self, site: &Site, what: &str) -> anyhow::Result<usize> {
        rolled_out(site).await?;
        let since = Clock::system().now().as_second();
        eventually("all nodes are measured again", || async {
            let at = measured(site).await?;
            anyhow::ensure!(at.as_second() > since, "still of {at}");
            Ok(())
        })
        .await?;
        let Seen {
            answers,
            failed,
            age,
        } = std::mem::take(&mut *self.seen.lock());
        let count = failed.len();
        println!("{what}: {answers} answers, {count} failed, oldest sample {age} s");
        for error in failed {
            println!("  {error}");
        }
        Ok(count)
    }
}

/// When the node was measured whose sample is the oldest.
async fn measured(site: &Site) -> anyhow::Result<Timestamp> {
    Ok(oldest(site).await?.parse()?)
}

/// Lists nodes as long as there is a client that wants to know.
async fn poll(site: Arc<Site>, seen: Arc<Mutex<Seen>>) {
    while Arc::strong_count(&seen) > 1 {
        let at = measured(&site).await;
        let now = Clock::system().now().as_second();
        {
            let mut seen = seen.lock();
            match at {
                Ok(at) => {
                    seen.answers += 1;
                    seen.age = seen.age.max(now - at.as_second());
                }
                Err(error) => seen.failed.push(format!("{error:#}")),
            }
        }
        sleep(POLL_EVERY).await;
    }
}

/// To the older one, by which Helm rendered `caBundle`. Frontends have written it since, so Helm 4 does not take it back without a flag.
async fn roll_back(site: &Site, revision: &str) -> anyhow::Result<()> {
    let back = ["rollback", "tributary", revision, "-n", NAMESPACE];
    let back = [&back[..], &["--force-conflicts"]].concat();
    let outcome = site.helm(&back).await?;
    anyhow::ensure!(outcome.ok, "helm: {}", outcome.stderr);
    Ok(())
}

/// With a resolution that the older one takes, too.
fn values(set: &str) -> [&str; 4] {
    let pace = "scraper.args={--metric-resolution=12s}";
    ["--set", set, "--set", pace]
}

/// Which component is upgraded first.
#[derive(Clone, Copy, Debug)]
enum First {
    /// By this chart, as docs/INSTALLING.md says.
    Frontend,
    /// By the older chart: older frontends need not take the flags of this one.
    Scraper,
}

/// Upgrades one component, then the other one with the chart, and goes back the same way.
fn there_and_back(profile: &str, first: First) -> anyhow::Result<()> {
    let chart = format!("{OLDER}/source/{CHART}");
    on_site(async |site| {
        let before = format!("{profile},image.tag=older");
        site.install_chart(&chart, &values(&before)).await?;
        site.available().await?;
        println!("{}", site.top().await?);
        let client = Client::start(&site);
        let mut failed = 0;

        let step = |what| format!("{profile}, {first:?} first, {what}");
        let (chart, one) = match first {
            First::Frontend => (CHART, format!("{profile},scraper.image.tag=older")),
            First::Scraper => (&*chart, format!("{before},scraper.image.tag=0.1.0")),
        };
        site.install_chart(chart, &values(&one)).await?;
        failed += client.after(&site, &step("one component")).await?;
        site.install(&values(profile)).await?;
        failed += client.after(&site, &step("everything")).await?;
        println!("{}", site.top().await?);
        roll_back(&site, "2").await?;
        failed += client.after(&site, &step("one component back")).await?;
        roll_back(&site, "1").await?;
        failed += client.after(&site, &step("everything back")).await?;
        client.end().await;
        anyhow::ensure!(failed == 0, "{failed} requests failed");
        Ok(())
    })
}

#[test]
#[ignore = "needs an older commit: run tests/deploy/upgrade"]
fn with_profile_sidecar_an_upgrade_and_a_rollback_cost_no_request() -> anyhow::Result<()> {
    for first in [First::Frontend, First::Scraper] {
        there_and_back("profile=sidecar", first)?;
    }
    Ok(())
}

#[test]
#[ignore = "needs an older commit: run tests/deploy/upgrade"]
fn with_profile_ha_an_upgrade_and_a_rollback_cost_no_request() -> anyhow::Result<()> {
    for first in [First::Frontend, First::Scraper] {
        there_and_back("profile=ha,replicas=2", first)?;
    }
    Ok(())
}
