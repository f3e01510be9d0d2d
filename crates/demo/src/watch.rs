//! Observes the processes from outside, like their users and probes.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use hyper::StatusCode;
use jiff::Timestamp;
use serde::Deserialize;
use tokio::{
    sync::{Notify, mpsc},
    time::{Instant, timeout},
};

use crate::{
    http_client::{HttpClient, Session},
    plan::Kind,
};

const NODES: &str = "/apis/metrics.k8s.io/v1beta1/nodes";
const PODS: &str = "/apis/metrics.k8s.io/v1beta1/pods";

/// How often a ready process is observed.
const CALM: Duration = Duration::from_secs(1);
/// How often a process that is not ready is observed.
const EAGER: Duration = Duration::from_millis(100);
/// The observer may use one part in this many of the time, so that a large demo measures the product and not the demo.
const SHARE: u32 = 10;

/// The observed state of a process.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    /// The result of `/readyz`.
    pub(crate) ready: bool,
    pub(crate) what: What,
}

/// The part that depends on the component.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum What {
    Scraper(ScraperCounts),
    Frontend {
        /// Scrapers that send samples.
        streams: usize,
        /// Nodes that it has reported as overdue.
        overdue: usize,
        served: Served,
    },
}

/// The observed work of a scraper.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ScraperCounts {
    /// The members that it knows, including itself.
    pub(crate) members: usize,
    /// Nodes that it owns.
    pub(crate) owned: usize,
    /// Nodes that it scrapes at the fast resolution.
    pub(crate) fast: usize,
    /// Nodes for which it stands by.
    pub(crate) standby: usize,
    /// Nodes that it rescues.
    pub(crate) rescued: usize,
    /// Nodes of which it is the former owner.
    pub(crate) leaving: usize,
    /// The frontends that accept its samples.
    pub(crate) frontends: usize,
}

impl ScraperCounts {
    fn read(page: &str) -> Self {
        let nodes = |role| {
            gauge(
                page,
                &format!("tributary_assignment_nodes{{role=\"{role}\"}}"),
            )
        };
        Self {
            members: gauge(page, "tributary_assignment_members"),
            owned: nodes("owner"),
            fast: gauge(page, "tributary_scrape_fast_nodes"),
            standby: nodes("standby"),
            rescued: nodes("rescuer"),
            leaving: nodes("leaving"),
            frontends: gauge(page, "tributary_bus_frontends_connected"),
        }
    }
}

/// What the API serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Served {
    pub(crate) nodes: usize,
    pub(crate) pods: usize,
    /// The times of the newest and of the oldest sample.
    pub(crate) samples: Option<(Timestamp, Timestamp)>,
}

/// Observes process `index` repeatedly, and at once when woken. Sends the state, or `None` if the process does not
/// answer. Ends when the receiver is dropped.
pub(crate) async fn follow(
    index: usize,
    kind: Kind,
    client: HttpClient,
    wake: Arc<Notify>,
    tell: mpsc::Sender<(usize, Option<Seen>)>,
) {
    loop {
        let start = Instant::now();
        let seen = look(kind, &client).await.ok();
        let pause = match &seen {
            Some(Seen { ready: true, .. }) => CALM.max(start.elapsed() * (SHARE - 1)),
            Some(_) | None => EAGER,
        };
        if tell.send((index, seen)).await.is_err() {
            return;
        }
        // The process is observed after the pause, or when woken.
        timeout(pause, wake.notified()).await.ok();
    }
}

async fn look(kind: Kind, client: &HttpClient) -> anyhow::Result<Seen> {
    let mut session = client.open().await?;
    let (status, _) = session.get("/readyz").await?;
    let (_, metrics) = session.get("/metrics").await?;
    let metrics = String::from_utf8_lossy(&metrics);
    let what = match kind {
        Kind::Scraper => What::Scraper(ScraperCounts::read(&metrics)),
        Kind::Frontend => What::Frontend {
            streams: gauge(&metrics, "tributary_bus_streams"),
            overdue: gauge(&metrics, "tributary_bus_nodes_overdue"),
            served: served(&mut session).await.unwrap_or_default(),
        },
    };
    Ok(Seen {
        ready: status == StatusCode::OK,
        what,
    })
}

/// What the API at this address serves to a user.
///
/// # Errors
///
/// It does not answer.
pub(crate) async fn ask(client: &HttpClient) -> anyhow::Result<Served> {
    served(&mut client.open().await?).await
}

async fn served(session: &mut Session) -> anyhow::Result<Served> {
    let nodes = list(session, NODES).await?;
    let pods = list(session, PODS).await?;
    let dates = || nodes.iter().chain(&pods).map(|item| item.timestamp);
    Ok(Served {
        nodes: nodes.len(),
        pods: pods.len(),
        samples: dates().max().zip(dates().min()),
    })
}

#[derive(Deserialize)]
struct List {
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    timestamp: Timestamp,
}

async fn list(session: &mut Session, path: &str) -> anyhow::Result<Vec<Item>> {
    let (status, body) = session.get(path).await?;
    anyhow::ensure!(status == StatusCode::OK, "{path} answers {status}");
    let list: List = serde_json::from_slice(&body).with_context(|| format!("read {path}"))?;
    Ok(list.items)
}

/// The value of a gauge on a page of metrics, named with its labels. 0 if it is missing.
fn gauge(page: &str, name: &str) -> usize {
    let values = page.lines().filter_map(|line| line.split_once(' '));
    let mut values = values.filter(|(found, _)| *found == name);
    let value = values.next().map(|(_, value)| value.trim());
    value.and_then(|value| value.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gauge_is_found_by_its_whole_name() {
        let page = "# TYPE tributary_assignment_nodes gauge\n\
                    tributary_assignment_nodes{role=\"owner\"} 7\n\
                    tributary_assignment_nodes{role=\"rescuer\"} 2\n\
                    tributary_assignment_members_total 9\n\
                    tributary_assignment_members 3\n\
                    tributary_scrape_fast_nodes 4\n\
                    # EOF\n";
        let expected = ScraperCounts {
            members: 3,
            owned: 7,
            rescued: 2,
            fast: 4,
            ..ScraperCounts::default()
        };
        assert_eq!(ScraperCounts::read(page), expected);
    }
}
