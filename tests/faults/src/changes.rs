//! Scrapers and frontends are added, replaced and stopped regularly, and the Kubernetes API is unreachable.

use std::{collections::BTreeSet, time::Duration};

use anyhow::Context as _;
use bytes::Bytes;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tributary_e2e::ask::Client;
use tributary_sim::{Fault, NodeSpec, PodSpec, Usage};

use crate::{
    book::Limits,
    fleet::{RESOLUTION, Size},
    observer::{NODES, PODS},
    proxy::Mode,
    stage::{DEAD, GRACEFUL, Stage},
};

/// While frontends are rolled, one of them is not ready.
pub(crate) const ROLLING: Limits = Limits {
    all_ready: false,
    ..GRACEFUL
};

/// Runs the phases one after another.
///
/// # Errors
///
/// A step fails. What was observed is printed.
pub(crate) async fn changes(size: Size, api_gone: Duration) -> anyhow::Result<Vec<String>> {
    let mut stage = Stage::set("changes", size).await?;
    stage.begin("nothing happens", GRACEFUL).await?;
    stage.wait(1.5).await;
    the_same_bytes(&mut stage).await?;
    scale(&mut stage).await?;
    roll(&mut stage).await?;
    outage(&mut stage, api_gone).await?;
    stage.end().await
}

async fn scale(stage: &mut Stage) -> anyhow::Result<()> {
    stage.begin("scale from 4 scrapers to 8", GRACEFUL).await?;
    for _ in 0..4 {
        stage.fleet.add_scraper().await?;
    }
    stage.wait(2.5).await;
    stage.begin("from 8 to 2", GRACEFUL).await?;
    let mut ending = JoinSet::new();
    for _ in 0..6 {
        let scraper = stage.fleet.take_scraper(0)?;
        ending.spawn(scraper.end());
    }
    while let Some(ended) = ending.join_next().await {
        ended??;
    }
    stage.wait(2.5).await;
    stage.begin("from 2 to 4", GRACEFUL).await?;
    for _ in 0..2 {
        stage.fleet.add_scraper().await?;
    }
    stage.wait(2.5).await;
    Ok(())
}

/// Replaces all scrapers like a Deployment: starts a new one, then stops an old one. Then restarts the frontends one
/// after another.
async fn roll(stage: &mut Stage) -> anyhow::Result<()> {
    stage.begin("roll all scrapers", GRACEFUL).await?;
    for _ in 0..stage.fleet.scrapers.len() {
        stage.fleet.add_scraper().await?;
        sleep(Duration::from_secs(5)).await;
        stage.fleet.take_scraper(0)?.end().await?;
    }
    stage.wait(2.0).await;
    stage.begin("roll all frontends", ROLLING).await?;
    for index in 0..stage.fleet.frontends.len() {
        stage.fleet.restart_frontend(index).await?;
        stage.until_all_is_served().await?;
        stage.fleet.expect_ready(index);
        sleep(Duration::from_secs(2)).await;
    }
    stage.wait(1.0).await;
    Ok(())
}

/// The Kubernetes API is unreachable: half of the time packets are lost, and half of the time connections are reset.
/// Changes that happen meanwhile must be served soon afterwards.
async fn outage(stage: &mut Stage, span: Duration) -> anyhow::Result<()> {
    let limits = GRACEFUL;
    stage
        .begin("packets to the Kubernetes API vanish for all", limits)
        .await?;
    stage.fleet.set_api(Mode::Stall);
    sleep(span / 2).await;
    stage
        .begin(
            "connections to the Kubernetes API are reset for all",
            limits,
        )
        .await?;
    stage.fleet.set_api(Mode::Reset);
    let node = "node-new";
    stage.fleet.cluster.add_node(NodeSpec::new(node)).await?;
    let pod = PodSpec::new("ns-0000", "born-in-the-outage", node);
    let pod = pod.container("main", Usage::steady(100, 64 << 20));
    stage.fleet.cluster.add_pod(pod);
    sleep(span / 2).await;
    let reused = stale_answers(stage).await?;
    stage.tell(&format!("earlier answers stood in for {reused} reviews"))?;
    stage.begin("the Kubernetes API is back", DEAD).await?;
    stage.fleet.set_api(Mode::Pass);
    let took = stage.until_all_is_served().await?.as_secs_f64();
    stage.tell(&format!(
        "what came in the outage is served {took:.1} s after it"
    ))?;
    let all = stage.fleet.all();
    stage.fleet.book.open().served = all;
    stage.wait(2.0).await;
    Ok(())
}

async fn stale_answers(stage: &Stage) -> anyhow::Result<u64> {
    let mut sum = 0;
    for frontend in &stage.fleet.frontends {
        let client = Client::front_proxy(&stage.fleet.cluster, frontend.api);
        let answer = client.get("/metrics").await?;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        let lines = text
            .lines()
            .filter(|line| line.starts_with("tributary_auth_stale_answers_total"));
        let counts = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
        sum += counts.sum::<u64>();
    }
    Ok(sum)
}

/// How long kubelets take to answer while frontends are compared, so that no reading arrives meanwhile.
const SLOW: Duration = Duration::from_secs(5);
/// How long a reading that was in flight may take to arrive.
const IN_FLIGHT: Duration = Duration::from_secs(1);

/// All frontends must answer the same request with the same bytes once they have the same readings.
async fn the_same_bytes(stage: &mut Stage) -> anyhow::Result<()> {
    stage
        .begin("kubelets hesitate, and frontends are compared", DEAD)
        .await?;
    // If the machine stops for a while, nothing was compared, so this is repeated.
    for _ in 0..3 {
        let start = Instant::now();
        set_all(stage, &Fault::Slow(SLOW)).await?;
        let quiet_from = Instant::now();
        sleep(IN_FLIGHT).await;
        let compared = compare(stage).await;
        let quiet = quiet_from.duration_since(start) < IN_FLIGHT && start.elapsed() < SLOW;
        set_all(stage, &Fault::None).await?;
        if quiet {
            match compared {
                Ok((questions, bytes)) => stage.tell(&format!(
                    "the same {bytes} bytes for {questions} questions from every frontend"
                ))?,
                Err(error) => stage.found_wrong(&format!("{error:#}"))?,
            }
            sleep(RESOLUTION / 2).await;
            return Ok(());
        }
        stage.tell("too slow to compare frontends; once more")?;
        // First each frontend gets a sample of every node without delay.
        sleep(RESOLUTION * 2).await;
    }
    stage.found_wrong("this machine is too slow to compare frontends")
}

/// How often frontends are asked until all answer in the same second.
const TRIES: usize = 5;
/// This many bytes before and after a difference are shown.
const AROUND: usize = 200;

async fn set_all(stage: &Stage, fault: &Fault) -> anyhow::Result<()> {
    for node in stage.fleet.cluster.nodes() {
        stage.fleet.cluster.set_fault(&node, fault.clone()).await?;
    }
    Ok(())
}

async fn compare(stage: &Stage) -> anyhow::Result<(usize, usize)> {
    const JSON: &str = "application/json";
    const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
    const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
    const YAML: &str = "application/yaml";
    let (namespace, pod) = stage
        .fleet
        .cluster
        .pods()
        .into_iter()
        .next()
        .context("no pods")?;
    let one = format!("/apis/metrics.k8s.io/v1/namespaces/{namespace}/pods/{pod}");
    let some = format!("/apis/metrics.k8s.io/v1/namespaces/{namespace}/pods");
    let questions = [
        (NODES.to_owned(), JSON),
        (NODES.to_owned(), TABLE),
        (PODS.to_owned(), JSON),
        (PODS.to_owned(), PROTOBUF),
        (PODS.to_owned(), YAML),
        (format!("{PODS}?limit=100"), JSON),
        (format!("{some}?labelSelector=tier%3Dfront"), JSON),
        (one, JSON),
    ];
    let mut bytes = 0;
    for (path, accept) in &questions {
        bytes += the_same(stage, path, accept).await?;
    }
    Ok((questions.len(), bytes))
}

/// Sends the request to all frontends at the same time, and repeats it until all have answered in the same second. The
/// answer has the second as the creation time of the objects.
async fn the_same(stage: &Stage, path: &str, accept: &'static str) -> anyhow::Result<usize> {
    let mut last_difference = String::new();
    for _ in 0..TRIES {
        let mut asking = JoinSet::new();
        for frontend in &stage.fleet.frontends {
            let (client, path) = (stage.fleet.observer(frontend), path.to_owned());
            asking.spawn(async move { client.get_as(&path, accept).await });
        }
        let mut answers = BTreeSet::<Bytes>::new();
        while let Some(answer) = asking.join_next().await {
            let answer = answer??;
            anyhow::ensure!(answer.status.is_success(), "{path}: {}", answer.status);
            answers.insert(answer.body);
        }
        let (one, other) = (answers.first(), answers.last());
        let (one, other) = one.zip(other).context("there are no frontends")?;
        let Some(difference) = difference(one, other) else {
            return Ok(one.len());
        };
        last_difference = difference;
    }
    anyhow::bail!("{path} as {accept}: frontends differ: {last_difference}")
}

/// The first difference between two answers, with the bytes around it.
fn difference(one: &Bytes, other: &Bytes) -> Option<String> {
    let same = one.iter().zip(other).take_while(|(a, b)| a == b).count();
    if same == one.len() && same == other.len() {
        return None;
    }
    let around = |bytes: &Bytes| {
        let from = same.saturating_sub(AROUND);
        let bytes: Vec<u8> = bytes.iter().skip(from).take(2 * AROUND).copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    Some(format!("{} and {}", around(one), around(other)))
}
