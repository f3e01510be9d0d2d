//! Probes, memory, and served pods during an attack.

use std::{fs, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use parking_lot::{Mutex, MutexGuard};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tributary_e2e::ask::Client;

use super::{PROBE, ROUNDS};
use crate::{fleet::Fleet, observer::PODS};

/// How often each process is probed.
const EVERY: Duration = Duration::from_millis(500);
/// A probe that takes longer counts as not answered.
const PATIENCE: Duration = Duration::from_secs(5);

/// The observations.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    pub(super) asked: u64,
    pub(super) unanswered: u64,
    /// Probes that took longer than a kubelet waits by default.
    pub(super) slow: u64,
    pub(super) slowest: Duration,
    /// The most memory that any frontend has taken.
    pub(super) frontend_mib: u64,
    /// The most memory that any scraper has taken.
    pub(super) scraper_mib: u64,
}

/// Probes every process until the end.
#[derive(Debug)]
pub(super) struct Probes {
    seen: Arc<Mutex<Seen>>,
    tasks: JoinSet<()>,
}

impl Probes {
    pub(super) fn start(fleet: &Fleet) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let mut tasks = JoinSet::new();
        for frontend in &fleet.frontends {
            forget_peak(frontend.pid());
            let client = Client::stranger(&fleet.cluster, frontend.api);
            let ask = async move || {
                client
                    .get("/livez")
                    .await
                    .is_ok_and(|it| it.status.is_success())
            };
            tasks.spawn(probe(ask, Arc::clone(&seen)));
        }
        for scraper in &fleet.scrapers {
            forget_peak(scraper.program.pid());
            let admin = scraper.admin;
            let ask = async move || {
                plain(admin)
                    .await
                    .is_ok_and(|it| it.starts_with("HTTP/1.1 200"))
            };
            tasks.spawn(probe(ask, Arc::clone(&seen)));
        }
        Self { seen, tasks }
    }

    /// Ends the probes.
    pub(super) async fn end(mut self, fleet: &Fleet) -> anyhow::Result<Seen> {
        self.tasks.shutdown().await;
        let mut seen = *lock(&self.seen);
        anyhow::ensure!(seen.asked > 10, "{} probes", seen.asked);
        for frontend in &fleet.frontends {
            seen.frontend_mib = seen.frontend_mib.max(peak_mib(frontend.pid())?);
        }
        for scraper in &fleet.scrapers {
            seen.scraper_mib = seen.scraper_mib.max(peak_mib(scraper.program.pid())?);
        }
        Ok(seen)
    }
}

async fn probe(ask: impl AsyncFn() -> bool, seen: Arc<Mutex<Seen>>) {
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for _ in 0..ROUNDS {
        tick.tick().await;
        let start = Instant::now();
        let answered = timeout(PATIENCE, ask()).await == Ok(true);
        let mut seen = lock(&seen);
        seen.asked += 1;
        seen.unanswered += u64::from(!answered);
        let took = start.elapsed();
        seen.slow += u64::from(took > PROBE);
        seen.slowest = seen.slowest.max(took);
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock()
}

async fn plain(admin: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(admin).await?;
    let request = "GET /livez HTTP/1.1\r\nHost: scraper\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(text)
}

/// Resets the peak memory of a process to its current memory.
fn forget_peak(pid: Option<u32>) {
    if let Some(pid) = pid {
        fs::write(format!("/proc/{pid}/clear_refs"), "5").ok();
    }
}

fn peak_mib(pid: Option<u32>) -> anyhow::Result<u64> {
    let pid = pid.context("a process has ended")?;
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: u64 = line
        .and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok())
        .context("no VmHWM")?;
    Ok(kib / 1024)
}

/// The pods that any frontend serves with more than this many cores.
pub(super) async fn pods_above(fleet: &Fleet, most: f64) -> anyhow::Result<Vec<(String, f64)>> {
    let mut above = Vec::new();
    for frontend in &fleet.frontends {
        let list = fleet.observer(frontend).get(PODS).await?.json();
        let items = list
            .get("items")
            .and_then(Value::as_array)
            .context("no list")?;
        anyhow::ensure!(!items.is_empty(), "{} serves no pod", frontend.name);
        for item in items {
            let name = item.pointer("/metadata/name").and_then(Value::as_str);
            let containers = item.get("containers").and_then(Value::as_array);
            for container in containers.into_iter().flatten() {
                let cpu = container.pointer("/usage/cpu").and_then(Value::as_str);
                let cores = cores(cpu.unwrap_or_default()).context("no CPU")?;
                if cores > most {
                    above.push((name.unwrap_or_default().to_owned(), cores));
                }
            }
        }
    }
    Ok(above)
}

/// A quantity of CPU in cores.
fn cores(quantity: &str) -> Option<f64> {
    for (unit, divisor) in [("n", 1e9), ("u", 1e6), ("m", 1e3), ("", 1.0)] {
        if let Some(number) = quantity.strip_suffix(unit)
            && let Ok(number) = number.parse::<f64>()
        {
            return Some(number / divisor);
        }
    }
    None
}
