//! The output: a line for every phase, and the errors.

use std::{collections::BTreeMap, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tributary_e2e::ask::Client;

use crate::{book::Phase, fleet::Fleet};

/// How long a scraper may take to serve its metrics.
const PATIENCE: Duration = Duration::from_secs(2);

const RESCUES: &str = "tributary_assignment_changes_total{kind=\"rescue\"} ";

/// Counters at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    requests: u64,
    /// Rescues by scraper. A scraper that does not answer is missing.
    rescues: BTreeMap<String, u64>,
}

impl Counts {
    /// Reads the counters.
    pub(crate) async fn now(fleet: &Fleet) -> Self {
        let mut rescues = BTreeMap::new();
        for scraper in &fleet.scrapers {
            if let Ok(Ok(text)) = timeout(PATIENCE, metrics(scraper.admin)).await {
                let line = text.lines().find_map(|line| line.strip_prefix(RESCUES));
                let count = line.and_then(|count| count.trim().parse().ok());
                rescues.insert(scraper.name.clone(), count.unwrap_or(0));
            }
        }
        Self {
            requests: fleet.cluster.kubelet_requests(),
            rescues,
        }
    }

    /// How many nodes each scraper has rescued since.
    fn rescued_since(&self, before: &Self) -> String {
        let new = self.rescues.iter().filter_map(|(name, count)| {
            let before = before.rescues.get(name).copied().unwrap_or(0);
            let new = count.saturating_sub(before);
            (new > 0).then(|| format!("{name}: {new}"))
        });
        let new: Vec<String> = new.collect();
        if new.is_empty() {
            "nobody".to_owned()
        } else {
            new.join(", ")
        }
    }
}

const FAST: &str = "tributary_scrape_fast_nodes ";

/// How many nodes each scraper scrapes at the fast resolution, in the order of the fleet. One that does not answer has none.
pub(crate) async fn fast_nodes(fleet: &Fleet) -> Vec<usize> {
    let mut counts = Vec::new();
    for scraper in &fleet.scrapers {
        let text = timeout(PATIENCE, metrics(scraper.admin)).await;
        let text = text.ok().and_then(Result::ok).unwrap_or_default();
        let count = text.lines().find_map(|line| line.strip_prefix(FAST));
        let count = count.and_then(|count| count.trim().parse().ok());
        counts.push(count.unwrap_or(0));
    }
    counts
}

const FAILURES: &str = "tributary_watch_failures_total{watch=\"";

/// The metrics of each process by its name. A process that does not answer is missing.
pub(crate) async fn pages(fleet: &Fleet) -> Vec<(&str, String)> {
    let mut pages = Vec::new();
    for scraper in &fleet.scrapers {
        if let Ok(Ok(text)) = timeout(PATIENCE, metrics(scraper.admin)).await {
            pages.push((scraper.name.as_str(), text));
        }
    }
    for frontend in &fleet.frontends {
        let client = Client::front_proxy(&fleet.cluster, frontend.api);
        if let Ok(Ok(answer)) = timeout(PATIENCE, client.get("/metrics")).await {
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            pages.push((frontend.name.as_str(), text));
        }
    }
    pages
}

/// The failures of each watch of each process.
pub(crate) async fn watch_failures(fleet: &Fleet) -> BTreeMap<String, u64> {
    let mut failures = BTreeMap::new();
    for (name, text) in pages(fleet).await {
        for line in text.lines().filter_map(|line| line.strip_prefix(FAILURES)) {
            if let Some((watch, count)) = line.split_once("\"} ") {
                let count = count.trim().parse().unwrap_or(0);
                failures.insert(format!("{watch} of {name}"), count);
            }
        }
    }
    failures
}

/// The admin port is plain HTTP.
async fn metrics(admin: std::net::SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(admin).await?;
    let request = "GET /metrics HTTP/1.1\r\nHost: scraper\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(text)
}

/// The names of the columns.
pub(crate) const HEAD: &str = "                                                              seconds  looks  missing  not ready  oldest   bound  asked/cycle    lag  rescued";

/// The line of a phase that has ended.
pub(crate) fn line(
    phase: &Phase,
    took: Duration,
    (before, after): (&Counts, &Counts),
    cycles: f64,
) -> String {
    let asked = after.requests.saturating_sub(before.requests);
    let asked = f64::from(u32::try_from(asked).unwrap_or(u32::MAX)) / cycles;
    format!(
        "{:60}  {:7.0}  {:5}  {:7}  {:9}  {:4.1} s  {:4.1} s  {:11.2}  {:3.1} s  {}",
        phase.what,
        took.as_secs_f64(),
        phase.looks,
        phase.gaps,
        phase.away,
        phase.oldest.0.as_secs_f64(),
        phase.bound().as_secs_f64(),
        asked,
        phase.lag.as_secs_f64(),
        after.rescued_since(before),
    )
}
