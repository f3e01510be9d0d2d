//! The clients, as a process of their own.
//!
//! Requests begin at a fixed rate whatever becomes of those before (open loop):
//! one that has to wait for a connection has been waiting since the moment at
//! which it should have begun. Without a rate, one follows the other.

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

/// What is asked, and how.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Plan {
    pub(crate) address: SocketAddr,
    /// Where the certificates are.
    pub(crate) dir: PathBuf,
    pub(crate) name: String,
    /// Asked for in turn.
    pub(crate) paths: Vec<String>,
    pub(crate) accept: String,
    pub(crate) connections: usize,
    /// Requests per second of all connections together.
    pub(crate) rate: Option<f64>,
    /// How many requests in all.
    pub(crate) count: u32,
}

/// Where the clients of a plan are with it.
struct Work {
    plan: Plan,
    api: HttpClient,
    next: AtomicU32,
    started: Instant,
}

/// The role of this program that asks.
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
        // Once everybody is connected.
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

/// Takes requests until there are no more. Returns how long each took, and the
/// length of the longest answer.
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

/// Waits until request `number` should begin, and says when it did: when it
/// should have, if that is past.
async fn begin(work: &Work, number: u32) -> Instant {
    let Some(rate) = work.plan.rate else {
        return Instant::now();
    };
    let due = work.started + Duration::from_secs_f64(f64::from(number) / rate);
    if due <= Instant::now() {
        return due;
    }
    sleep_until(due).await;
    // Timers are a millisecond late, which is not the server's doing.
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

/// Carries out a plan in a process of its own.
///
/// # Errors
///
/// A request fails.
pub(crate) async fn elsewhere(plan: &Plan) -> anyhow::Result<Latency> {
    begun(Command::new(std::env::current_exe()?), plan).await
}

/// As [`elsewhere`], by a process that has a processor only while nobody else wants
/// it: clients that are not what is measured have machines of their own in life. The
/// lowest niceness is not enough: of a thread that is merely nicer the kernel takes
/// a processor with the next tick, which may be 4 ms away.
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
