//! Nodes that are wanted fresh, when the scraper that owns them is lost.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::Context as _;
use jiff::Timestamp;
use tokio::{
    task::JoinSet,
    time::{Instant, interval, sleep},
};
use tributary_e2e::ask::Client;
use tributary_sim::Cluster;

use crate::{
    fleet::Fleet,
    report,
    stage::{DEAD, Stage},
};

/// How often nodes are scraped that are wanted fresh.
pub(crate) const FAST: Duration = Duration::from_secs(2);

/// On how many nodes the autoscaler has pods.
const NODES: usize = 10;
/// How often the autoscaler looks.
const SYNC: Duration = Duration::from_secs(5);
/// How often it is looked when kubelets were asked. They remember sixteen times.
const LOOK: Duration = Duration::from_secs(1);
/// How long that goes on after the loss.
const AFTERWARDS: Duration = Duration::from_secs(35);
/// How long it may take until each of these nodes is scraped often by one scraper.
const PATIENCE: Duration = Duration::from_mins(1);
/// For how long no scraper may scrape a node often: until a Lease of 15 s has expired, and two fast resolutions, and two seconds.
const LONGEST: Duration = Duration::from_secs(15 + 2 * 2 + 2);

/// When each node was scraped.
type Scraped = BTreeMap<String, BTreeSet<Timestamp>>;

/// Kills the scraper that scrapes most of the nodes that are wanted fresh, and looks for how long they are not scraped often.
///
/// # Errors
///
/// They are never scraped often, or standard output is closed.
pub(crate) async fn an_owner_is_killed(stage: &mut Stage) -> anyhow::Result<()> {
    let what = format!("an autoscaler looks at pods of {NODES} nodes");
    stage.begin(&what, DEAD).await?;
    let pods = one_pod_of_each(&stage.fleet.cluster)?;
    let fleet = &stage.fleet;
    let fronts = fleet.frontends.iter().map(|front| fleet.observer(front));
    let mut asking = JoinSet::new();
    asking.spawn(ask(fronts.collect(), pods.values().cloned().collect()));
    let owned = until_all_are_fast(fleet).await?;
    let owners = owned.iter().enumerate();
    let (victim, lost) = owners
        .max_by_key(|(_, count)| **count)
        .context("no scraper")?;
    let lost = *lost;
    let mut scraped = Scraped::new();
    watch(fleet, &pods, &mut scraped, FAST * 4).await;

    let what = format!("kill -9 the scraper that scrapes {lost} of them every {FAST:?}");
    stage.begin(&what, DEAD).await?;
    let killed = stage.fleet.take_scraper(victim)?;
    killed.program.kill().await?;
    let killed = stage.fleet.clock.now();
    watch(&stage.fleet, &pods, &mut scraped, AFTERWARDS).await;
    let now = stage.fleet.clock.now();
    let pauses: Vec<Duration> = scraped
        .values()
        .map(|times| longest(times, killed, now))
        .collect();
    let mut interrupted: Vec<Duration> = pauses.into_iter().filter(|it| *it > FAST * 2).collect();
    interrupted.sort_unstable();
    let seconds = |at: usize| interrupted.get(at).map_or(0.0, Duration::as_secs_f64);
    let most = seconds(interrupted.len().saturating_sub(1));
    stage.tell(&format!(
        "    of {NODES} nodes that are scraped every {FAST:?}, {} were not for more than twice that: {:.1} s to {most:.1} s, \
         half at most {:.1} s",
        interrupted.len(),
        seconds(0),
        seconds(interrupted.len().saturating_sub(1) / 2),
    ))?;
    if most > LONGEST.as_secs_f64() {
        stage.found_wrong(&format!(
            "a node that is wanted fresh was not scraped for {most:.1} s"
        ))?;
    }
    // Those who stood by go on for two resolutions.
    until_all_are_fast(&stage.fleet).await?;
    Ok(())
}

/// Some nodes, and the path of a pod on each.
fn one_pod_of_each(cluster: &Cluster) -> anyhow::Result<BTreeMap<String, String>> {
    let nodes = cluster.nodes();
    let each = (nodes.len() / NODES).max(1);
    let some = nodes.into_iter().step_by(each).take(NODES);
    some.map(|node| {
        let (namespace, pod) = cluster
            .pods_on(&node)
            .into_iter()
            .next()
            .with_context(|| format!("no pod on {node}"))?;
        let path = format!("/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods/{pod}");
        Ok((node, path))
    })
    .collect()
}

/// Asks as an autoscaler does: for each pod again and again, and each time another frontend.
async fn ask(fronts: Vec<Client>, pods: Vec<String>) {
    let mut ticks = interval(SYNC);
    for front in fronts.iter().cycle() {
        ticks.tick().await;
        for pod in &pods {
            // Whether all is served is what the observers look at.
            front.get(pod).await.ok();
        }
    }
}

/// Waits until each is scraped often by one scraper. Returns how many of them each scraper scrapes.
async fn until_all_are_fast(fleet: &Fleet) -> anyhow::Result<Vec<usize>> {
    let end = Instant::now() + PATIENCE;
    loop {
        let counts = report::fast_nodes(fleet).await;
        if counts.iter().sum::<usize>() == NODES {
            return Ok(counts);
        }
        anyhow::ensure!(Instant::now() < end, "{counts:?} nodes are scraped often");
        sleep(LOOK).await;
    }
}

/// Notes when the kubelets are scraped, for this long.
async fn watch(
    fleet: &Fleet,
    pods: &BTreeMap<String, String>,
    scraped: &mut Scraped,
    span: Duration,
) {
    let end = Instant::now() + span;
    while Instant::now() < end {
        for node in pods.keys() {
            let pages = fleet.cluster.kubelet_stats(node).map(|stats| stats.pages);
            let times = scraped.entry(node.clone()).or_default();
            times.extend(pages.into_iter().flatten());
        }
        sleep(LOOK).await;
    }
}

/// The longest time without a scrape that ended after a moment, or has not ended yet.
fn longest(times: &BTreeSet<Timestamp>, since: Timestamp, now: Timestamp) -> Duration {
    let before = times.range(..=since).next_back().copied();
    let moments = before.into_iter().chain(times.range(since..).copied());
    let moments: Vec<Timestamp> = moments.chain([now]).collect();
    let pauses = moments.windows(2).filter_map(|pair| match *pair {
        [from, to] => Duration::try_from(to.duration_since(from)).ok(),
        _ => None,
    });
    pauses.max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_begins_before_the_loss_and_may_last() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let times = BTreeSet::from([1, 8, 10, 12, 26, 28].map(at));
        let pause = |since: i64, now: i64| longest(&times, at(since), at(now)).as_secs();
        assert_eq!(pause(13, 29), 14);
        assert_eq!(pause(11, 29), 14);
        assert_eq!(pause(27, 40), 12);
        assert_eq!(pause(28, 29), 1);
    }
}
