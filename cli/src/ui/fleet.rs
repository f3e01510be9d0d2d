//! The fleet in few bytes: 5,000 nodes are some 200 KB. Nodes are columns; each text is there once, and columns have its
//! place. Ages are relative to the date of the answer, because the clock of the browser may differ.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::text;
use crate::{
    api_services::Registration,
    catalogue::Code,
    commands::Commands,
    doctor::Finding,
    fleet::{MetricsFrontend, NodeScrape, NodeStatus, Scraper},
    kube_api::KubeApi,
    printed::{Outcome, count},
    status::{Group, Overview, Spread},
};

/// How many kinds of trouble are described: more than there are remedies.
const TROUBLES: usize = 64;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct View<'a> {
    outcome: Outcome,
    kubernetes: &'a str,
    api_services: &'a [Registration],
    /// The endpoints of the Service of `metrics.k8s.io`: ready, and all.
    endpoints: Option<(usize, usize)>,
    since_scrape: Option<Spread>,
    since_measurement: Option<Spread>,
    /// What is wrong with the fleet as a whole.
    wrong: &'a [String],
    unread: &'a [String],
    frontends: Vec<Frontend<'a>>,
    scrapers: Vec<Publisher<'a>>,
    nodes: Columns<'a>,
    /// Nodes without metrics, by what is wrong, most nodes first.
    troubles: Vec<Without<'a>>,
}

#[derive(Debug, Serialize)]
struct Frontend<'a> {
    name: &'a str,
    version: &'a str,
    nodes: usize,
    served: usize,
    streams: usize,
    /// Seconds since the oldest of the newest samples.
    oldest: Option<f64>,
    /// Seconds until its certificate expires.
    certificate: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Publisher<'a> {
    name: &'a str,
    version: &'a str,
    group: &'a str,
    resolution: &'a str,
    streams: usize,
    owned: usize,
    standby: usize,
    rescued: usize,
    unserved: usize,
    /// Seconds since the oldest of the newest samples.
    oldest: Option<f64>,
}

/// Nodes with the same trouble.
#[derive(Debug, Serialize)]
struct Without<'a> {
    state: &'a str,
    reason: &'a str,
    remedy: &'a str,
    count: usize,
    message: &'a str,
    /// What the catalogue says about the remedy.
    trouble: Option<Finding>,
}

/// One entry for each node in each column.
#[derive(Debug, Default, Serialize)]
struct Columns<'a> {
    /// What the numbers in other columns stand for; the first is empty.
    texts: Vec<&'a str>,
    name: Vec<&'a str>,
    state: Vec<usize>,
    reason: Vec<usize>,
    remedy: Vec<usize>,
    owner: Vec<usize>,
    standby: Vec<usize>,
    rescuer: Vec<usize>,
    /// Seconds since the scrape of the newest sample.
    age: Vec<Option<f64>>,
    /// Seconds between two scrapes.
    resolution: Vec<Option<f64>>,
}

/// Reads everything. It fails if the nodes cannot be read.
pub(super) async fn read(api: &KubeApi) -> Result<String, String> {
    let (overview, nodes) = Overview::with_nodes(api).await;
    match nodes {
        Some(nodes) => document(&overview, &nodes),
        None => Err(overview.unread.join("\n")),
    }
}

fn document(overview: &Overview, nodes: &[NodeScrape]) -> Result<String, String> {
    let now = overview.now(nodes);
    let publisher = |scraper| Publisher::of(scraper, now);
    let frontend = |frontend| Frontend::of(frontend, now);
    let view = View {
        outcome: overview.outcome,
        kubernetes: &overview.kubernetes,
        api_services: &overview.api_services,
        endpoints: overview.endpoints,
        since_scrape: overview.since_scrape,
        since_measurement: overview.since_measurement,
        wrong: &overview.wrong,
        unread: &overview.unread,
        frontends: overview.frontends.iter().map(frontend).collect(),
        scrapers: overview.scrapers.iter().map(publisher).collect(),
        nodes: Columns::of(nodes, now),
        troubles: overview
            .without_metrics
            .iter()
            .take(TROUBLES)
            .map(|group| Without::of(group, &overview.commands))
            .collect(),
    };
    text(&view)
}

impl<'a> Frontend<'a> {
    fn of(frontend: &'a MetricsFrontend, now: Option<Timestamp>) -> Self {
        let status = &frontend.status;
        Self {
            name: &frontend.metadata.name,
            version: &status.version,
            nodes: status.coverage.nodes,
            served: status.coverage.served,
            streams: status.streams,
            oldest: seconds(status.oldest_sample, now),
            certificate: seconds(status.certificate_expires, now).map(|ago| -ago),
        }
    }
}

impl<'a> Publisher<'a> {
    fn of(scraper: &'a Scraper, now: Option<Timestamp>) -> Self {
        let status = &scraper.status;
        // Nodes name it by its source.
        let name = match &*status.source {
            "" => &scraper.metadata.name,
            source => source,
        };
        Self {
            name,
            version: &status.version,
            group: &status.group,
            resolution: &status.resolution,
            streams: status.streams,
            owned: status.nodes.owned,
            standby: status.nodes.standby,
            rescued: status.nodes.rescued,
            unserved: status.nodes.unserved,
            oldest: seconds(status.oldest_sample, now),
        }
    }
}

impl<'a> Without<'a> {
    fn of(group: &'a Group, commands: &Commands) -> Self {
        let trouble = Code::find(&group.remedy).map(|code| {
            let what = format!("{}: {}", count(group.nodes.len(), "node"), group.state);
            let node = group.nodes.first().cloned().unwrap_or_default();
            Finding::new(code, what)
                .seen(&group.message)
                .with("node", node)
                .on(commands)
        });
        Self {
            state: &group.state,
            reason: &group.reason,
            remedy: &group.remedy,
            count: group.nodes.len(),
            message: &group.message,
            trouble,
        }
    }
}

impl<'a> Columns<'a> {
    fn of(nodes: &'a [NodeScrape], now: Option<Timestamp>) -> Self {
        let mut places = Places::default();
        places.of("");
        let mut columns = Self::default();
        let mut resolutions = BTreeMap::new();
        for NodeScrape { metadata, status } in nodes {
            let NodeStatus { scrapers, .. } = status;
            let first = |names: &'a [String]| names.first().map_or("", |name| &**name);
            columns.name.push(&metadata.name);
            columns.state.push(places.of(&status.state));
            columns.reason.push(places.of(&status.reason));
            columns.remedy.push(places.of(&status.remedy));
            let owner = first(&scrapers.owners);
            let owner = if owner.is_empty() {
                &status.owner
            } else {
                owner
            };
            columns.owner.push(places.of(owner));
            columns.standby.push(places.of(&status.standby));
            columns.rescuer.push(places.of(first(&scrapers.rescuers)));
            let scraped = status.sample.as_ref().map(|sample| sample.scraped_at);
            columns.age.push(seconds(scraped, now));
            let resolution = resolutions
                .entry(&*status.resolution)
                .or_insert_with(|| interval(&status.resolution));
            columns.resolution.push(*resolution);
        }
        columns.texts = places.texts;
        columns
    }
}

/// Texts, each once.
#[derive(Default)]
struct Places<'a> {
    texts: Vec<&'a str>,
    known: HashMap<&'a str, usize>,
}

impl<'a> Places<'a> {
    fn of(&mut self, text: &'a str) -> usize {
        let Self { texts, known } = self;
        *known.entry(text).or_insert_with(|| {
            texts.push(text);
            texts.len() - 1
        })
    }
}

/// Seconds from then to now, in tenths. Negative if it is yet to come.
fn seconds(at: Option<Timestamp>, now: Option<Timestamp>) -> Option<f64> {
    let ago = now?.duration_since(at?).as_secs_f64();
    Some((ago * 10.0).round() / 10.0)
}

/// A duration as Go writes it, in seconds.
fn interval(text: &str) -> Option<f64> {
    let interval: SignedDuration = text.parse().ok()?;
    Some(interval.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{fleet::FLEET, kube_api::fake::Fake};

    #[tokio::test]
    async fn nodes_are_columns_and_ages_are_those_at_the_date_of_the_answer() {
        let nodes = json!([
            { "metadata": { "name": "n1" }, "status": {
                "state": "served", "owner": "s0", "standby": "s1", "resolution": "15s",
                "scrapers": { "owners": ["s0"], "standby": ["s1"] },
                "sample": { "scrapedAt": "2026-11-29T16:59:55.500Z" },
            } },
            { "metadata": { "name": "n2" }, "status": {
                "state": "failing", "reason": "tls", "message": "x509", "remedy": "KubeletCertificate",
                "scrapers": { "owners": ["s0"], "rescuers": ["s1"] }, "resolution": "1m30s",
            } },
        ]);
        let scrapers = json!([{ "metadata": { "name": "pod-0" }, "status": {
            "source": "s0", "resolution": "15s", "streams": 1, "nodes": { "owned": 2, "unserved": 1 },
            "oldestSample": "2026-11-29T16:59:55Z",
        } }]);
        let api = Fake::default()
            .list(&format!("{FLEET}/nodescrapes"), &nodes)
            .list(&format!("{FLEET}/scrapers"), &scrapers)
            .api();
        let view: Value = serde_json::from_str(&read(&api).await.unwrap()).unwrap();
        let expected = json!({
            "texts": ["", "served", "s0", "s1", "failing", "tls", "KubeletCertificate"],
            "name": ["n1", "n2"],
            "state": [1, 4],
            "reason": [0, 5],
            "remedy": [0, 6],
            "owner": [2, 2],
            "standby": [3, 0],
            "rescuer": [0, 3],
            "age": [4.5, null],
            "resolution": [15.0, 90.0],
        });
        assert_eq!(view["nodes"], expected);
        assert_eq!(view["scrapers"][0]["name"], "s0");
        assert_eq!(view["scrapers"][0]["oldest"], 5.0);
        let trouble = &view["troubles"][0];
        assert_eq!(trouble["message"], "x509");
        assert_eq!(trouble["trouble"]["code"], "TRB042");
        assert_eq!(trouble["trouble"]["what"], "1 node: failing");
        assert_eq!(view["wrong"], json!([]));
    }

    #[tokio::test]
    async fn what_is_wrong_with_the_whole_fleet_is_in_the_view() {
        let frontend = json!([{ "metadata": { "name": "f-0" } }]);
        let api = Fake::default()
            .list(&format!("{FLEET}/nodescrapes"), &json!([]))
            .list(&format!("{FLEET}/scrapers"), &json!([]))
            .list(&format!("{FLEET}/metricsfrontends"), &frontend)
            .api();
        let view: Value = serde_json::from_str(&read(&api).await.unwrap()).unwrap();
        let wrong = "no scraper is connected to the frontend that answers: what it has expires";
        assert_eq!(view["wrong"], json!([wrong]));
    }

    #[tokio::test]
    async fn without_the_nodes_there_is_no_view_and_the_reason_is_said() {
        let refused = json!({ "message": "nodescrapes is forbidden" });
        let api = Fake::default()
            .with(&format!("{FLEET}/nodescrapes"), 403, refused)
            .api();
        let why = read(&api).await.unwrap_err();
        assert!(
            why.contains("failed to read nodes: nodescrapes is forbidden"),
            "{why}"
        );
    }
}
