//! What it costs that an autoscaler reads pods of a tenth of the nodes, so that these are scraped more often.

use std::time::Duration;

use anyhow::Context as _;
use tokio::time::sleep;
use tributary_runtime::clock::Clock;

use crate::{
    args::{BenchArgs, ControlPlane},
    cluster::{Running, Size, namespaces},
    load, machine,
    measure::Bench,
    results::{Cost, Hot, Idle},
    subject::{RESOLUTION, Subject},
};

/// How many cycles after its first question the autoscaler is known for one.
const KNOWN: u32 = 4;
/// The pods of an app of the simulator.
const REPLICAS: usize = 30;
const PODS: &str = "/apis/metrics.k8s.io/v1beta1/namespaces";

/// Measures the same processes without an autoscaler and with one.
///
/// # Errors
///
/// A program cannot be started, or does not answer.
pub(crate) async fn run(args: &BenchArgs) -> anyhow::Result<Hot> {
    let size = Size {
        nodes: args.nodes.unwrap_or(1_000),
        pods_per_node: args.pods_per_node,
        containers: args.containers,
    };
    let hot_nodes = size.nodes / 10;
    let directory = tempfile::tempdir()?;
    let mut cluster = Running::start(size, ControlPlane::Simulated, directory.path()).await?;
    let at = cluster.at.clone();
    let subject = Subject::tributary(args, &at)?;
    let (bench, _) = Bench::start(&subject, size, &at, directory.path()).await?;
    // Work that remains from the start must not count.
    sleep(cycles(1)).await;
    let before = cost(&bench, &mut cluster, args.cycles, hot_nodes).await?;
    let plan = bench.autoscaler(questions(size))?;
    let after = async {
        sleep(cycles(KNOWN)).await;
        cost(&bench, &mut cluster, args.cycles, hot_nodes).await
    };
    let after = tokio::select! {
        ended = load::elsewhere(&plan) => {
            ended?;
            anyhow::bail!("the questions ended")
        }
        after = after => after?,
    };
    bench.stop().await?;
    cluster.stop().await?;
    Ok(Hot {
        machine: machine::describe(),
        date: Clock::system().now().to_string(),
        size,
        scrapers: args.scrapers,
        frontends: args.frontends,
        cycles: args.cycles,
        read_nodes: hot_nodes,
        before,
        after,
    })
}

fn cycles(count: u32) -> Duration {
    Duration::from_secs(u64::from(RESOLUTION * count))
}

async fn cost(
    bench: &Bench<'_>,
    cluster: &mut Running,
    cycles: u32,
    hot_nodes: usize,
) -> anyhow::Result<Cost> {
    let before = cluster.requests().await?;
    let idle = bench.idle(cycles).await?;
    let after = cluster.requests().await?;
    let asked: Vec<u64> = after
        .iter()
        .zip(before)
        .map(|(after, before)| after - before)
        .collect();
    let (hot, cold) = asked.split_at_checked(hot_nodes).context("too few nodes")?;
    let mean = |of: &[u64]| -> anyhow::Result<f64> {
        let sum = f64::from(u32::try_from(of.iter().sum::<u64>())?);
        Ok(sum / f64::from(u32::try_from(of.len())?) / f64::from(cycles))
    };
    Ok(Cost {
        scrapers: cpu(&idle, "scraper"),
        frontends: cpu(&idle, "frontend"),
        cold_requests: mean(cold)?,
        hot_requests: mean(hot)?,
    })
}

/// CPU seconds per cycle of the processes whose names begin so.
fn cpu(idle: &Idle, begin: &str) -> f64 {
    let of = idle
        .processes
        .iter()
        .filter(|(name, ..)| name.starts_with(begin));
    of.map(|(_, _, cpu)| cpu).sum()
}

/// What an autoscaler asks for, if it has pods on the first tenth of the nodes: all pods of an app, and of the last app some by
/// name. Consecutive pods are on consecutive nodes.
fn questions(size: Size) -> Vec<String> {
    let namespaces = namespaces(size.pods());
    let pods = size.nodes / 10;
    let whole = pods / REPLICAS;
    let apps = (0..whole).map(|app| {
        let (namespace, label) = (app % namespaces, app / namespaces);
        format!("{PODS}/ns-{namespace:04}/pods?labelSelector=app%3Dapp-{label}")
    });
    let rest = (0..pods - whole * REPLICAS).map(|pod| {
        let namespace = whole % namespaces;
        format!("{PODS}/ns-{namespace:04}/pods/web-{whole:05}-{pod}")
    });
    apps.chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_hundred_nodes_three_apps_are_asked_for_and_ten_pods() {
        let size = Size {
            nodes: 1_000,
            pods_per_node: 30,
            containers: 1,
        };
        let questions = questions(size);
        let path = "/apis/metrics.k8s.io/v1beta1/namespaces";
        assert_eq!(questions.len(), 13);
        assert_eq!(
            questions[2],
            format!("{path}/ns-0002/pods?labelSelector=app%3Dapp-0")
        );
        assert_eq!(questions[12], format!("{path}/ns-0003/pods/web-00003-9"));
    }
}
