//! The clients, as a separate process.
//!
//! Requests begin at a fixed rate, whatever happens to earlier ones (open loop). If a request waits for a connection,
//! its time counts from the moment at which it should have begun. Without a rate, each request follows the one before.

use std::{
    io::Write as _,
    net::SocketAddr,
    path::PathBuf,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::Command,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use crate::{client::HttpClient, results::Latency};

/// The requests to send.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Plan {
    pub(crate) address: SocketAddr,
    /// The directory of the certificates.
    pub(crate) dir: PathBuf,
    pub(crate) name: String,
    /// The paths, which are requested in turn.
    pub(crate) paths: Vec<String>,
    pub(crate) accept: String,
    pub(crate) connections: usize,
    /// Requests per second over all connections.
    pub(crate) rate: Option<f64>,
    /// The number of all requests.
    pub(crate) count: u32,
}

/// The state of the clients of a plan.
struct Work {
    plan: Plan,
    api: HttpClient,
    next: AtomicU32,
    started: Instant,
}

/// The role of this program that sends requests.
///
/// # Errors
///
/// A request fails.
pub(crate) async fn run() -> anyhow::Result<()> {
    let mut text = String::new();
    tokio::io::stdin().read_to_string(&mut text).await?;
    let plan: Plan = serde_json::from_str(&text)?;
    let latency = ask(plan).await?;
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&latency)?)?;
    Ok(())
}

async fn ask(plan: Plan) -> anyhow::Result<Latency> {
    let api = HttpClient::new(plan.address, &plan.dir)?;
    let name = plan.name.clone();
    let connections = plan.connections;
    let work = Arc::new(Work {
        plan,
        api,
        next: AtomicU32::new(0),
        // All clients are connected by then.
        started: Instant::now() + Duration::from_millis(500),
    });
    let mut clients = JoinSet::new();
    for _ in 0..connections {
        clients.spawn(client(Arc::clone(&work)));
    }
    let (mut took, mut bytes) = (Vec::new(), 0);
    while let Some(done) = clients.join_next().await {
        let (own, length) = done??;
        took.extend(own);
        bytes = bytes.max(length);
    }
    took.sort_unstable();
    Ok(summary(name, bytes, &took))
}

/// Sends requests until there are no more. Returns the time of each, and the length of the longest answer.
async fn client(work: Arc<Work>) -> anyhow::Result<(Vec<Duration>, usize)> {
    let mut session = work.api.open().await?;
    let plan = &work.plan;
    let (mut took, mut bytes) = (Vec::new(), 0);
    sleep_until(work.started).await;
    loop {
        let number = work.next.fetch_add(1, Ordering::Relaxed);
        if number >= plan.count {
            return Ok((took, bytes));
        }
        let begun = begin(&work, number).await;
        let index = usize::try_from(number)? % plan.paths.len().max(1);
        let path = plan.paths.get(index).context("nothing to ask for")?;
        let answer = session.get(path, &plan.accept).await?;
        anyhow::ensure!(answer.status.is_success(), "{path}: {}", answer.status);
        took.push(begun.elapsed());
        bytes = bytes.max(answer.bytes);
    }
}

/// Waits until request `number` should begin. Returns the time from which it counts: if it is late, the time at which
/// it should have begun.
async fn begin(work: &Work, number: u32) -> Instant {
    let Some(rate) = work.plan.rate else {
        return Instant::now();
    };
    let due = work.started + Duration::from_secs_f64(f64::from(number) / rate);
    if due <= Instant::now() {
        return due;
    }
    sleep_until(due).await;
    // Timers are late by a millisecond, which must not count for the server.
    Instant::now()
}

fn summary(name: String, bytes: usize, sorted: &[Duration]) -> Latency {
    let at = |share: u128| -> f64 {
        let last = sorted.len().saturating_sub(1);
        let index = usize::try_from(u128::try_from(last).unwrap_or(0) * share / 1_000);
        let took = index.ok().and_then(|index| sorted.get(index));
        took.map_or(0.0, |took| took.as_secs_f64() * 1_000.0)
    };
    Latency {
        name,
        count: sorted.len(),
        bytes,
        p50: at(500),
        p99: at(990),
        p999: at(999),
        max: at(1_000),
        cpu: 0.0,
    }
}

/// Runs a plan in a separate process.
///
/// # Errors
///
/// A request fails.
pub(crate) async fn elsewhere(plan: &Plan) -> anyhow::Result<Latency> {
    begun(Command::new(std::env::current_exe()?), plan).await
}

/// Like [`elsewhere`], but the process gets a processor only when no other process wants one, because real clients run
/// on other machines. The lowest niceness is not enough: the kernel takes the processor from a nicer thread only at the
/// next tick, which may be 4 ms later.
///
/// # Errors
///
/// A request fails.
pub(crate) async fn aside(plan: &Plan) -> anyhow::Result<Latency> {
    let mut command = Command::new("chrt");
    command.args(["--idle", "0"]).arg(std::env::current_exe()?);
    begun(command, plan).await
}

async fn begun(mut program: Command, plan: &Plan) -> anyhow::Result<Latency> {
    let mut child = program
        .arg("load")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("start the clients")?;
    let mut input = child.stdin.take().context("no input of the clients")?;
    input.write_all(&serde_json::to_vec(plan)?).await?;
    drop(input);
    let output = child.wait_with_output().await?;
    anyhow::ensure!(output.status.success(), "{}: failed", plan.name);
    Ok(serde_json::from_slice(&output.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_what_was_measured() {
        let took: Vec<Duration> = (1..=1_001).map(Duration::from_millis).collect();
        let found = summary("x".to_owned(), 1, &took);
        let found = [found.p50, found.p99, found.p999, found.max];
        assert_eq!(
            found.map(|millis| format!("{millis:.0}")),
            ["501", "991", "1000", "1001"]
        );
        assert_eq!(summary("x".to_owned(), 0, &[]).count, 0);
    }
}
