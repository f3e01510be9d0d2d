//! The objects of `fleet.tributary.dev` (docs/FLEET.md), as far as commands read them. What an older or a newer frontend
//! does not have is empty.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The group and its version, as a path.
pub const FLEET: &str = "/apis/fleet.tributary.dev/v1alpha1";

/// What an object is called.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Meta {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// The state of one node.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct NodeScrape {
    /// Its name is that of the node.
    pub metadata: Meta,
    /// What is known of it.
    pub status: NodeStatus,
}

/// What is known of a node.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct NodeStatus {
    /// `served`, `late`, `incomplete`, `unreported`, `expired` or `failing`.
    pub state: String,
    /// Why it has no metrics, in a word.
    pub reason: String,
    /// The same as a sentence.
    pub message: String,
    /// What to do about it: a section of docs/FLEET.md.
    pub remedy: String,
    /// The scraper that scrapes it.
    pub owner: String,
    /// The next one.
    pub standby: String,
    /// All that report a role.
    pub scrapers: Roles,
    /// How often it is scraped, as Go writes it.
    pub resolution: String,
    /// The newest sample.
    pub sample: Option<Sample>,
    /// The last scrape that failed.
    pub last_failure: Option<LastFailure>,
}

impl NodeStatus {
    /// Whether it has metrics.
    #[must_use]
    pub fn has_metrics(&self) -> bool {
        matches!(&*self.state, "served" | "late")
    }
}

/// The scrapers of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Roles {
    /// They scrape it.
    pub owners: Vec<String>,
    /// They scrape it if the owners do not deliver it.
    pub standby: Vec<String>,
    /// Former owners that still scrape it.
    pub leaving: Vec<String>,
    /// They scrape it because the owners do not deliver it.
    pub rescuers: Vec<String>,
}

/// The newest sample of a node.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sample {
    /// When the kubelet was scraped, by the clock of the frontend.
    pub scraped_at: Timestamp,
    /// When the kubelet measured, by its own clock.
    #[serde(default)]
    pub measured_at: Option<Timestamp>,
    /// The time over which the usage is a mean, as Go writes it.
    #[serde(default)]
    pub window: String,
    /// The path on the kubelet, if it is not the usual one.
    #[serde(default)]
    pub endpoint: String,
}

/// A scrape that failed.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct LastFailure {
    /// When.
    pub time: Timestamp,
    /// In a word.
    #[serde(default)]
    pub reason: String,
    /// As a sentence.
    #[serde(default)]
    pub message: String,
    /// Which scraper.
    #[serde(default)]
    pub scraper: String,
}

/// A connected publisher.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct Scraper {
    /// Its name.
    pub metadata: Meta,
    /// What is known of it.
    pub status: ScraperStatus,
}

/// What is known of a publisher.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ScraperStatus {
    /// Its `--source-name`.
    pub source: String,
    /// Its version, if it reports one.
    pub version: String,
    /// Its group; empty for the default.
    pub group: String,
    /// How often it scrapes each node.
    pub resolution: String,
    /// Its streams to the frontend that answers.
    pub streams: usize,
    /// What it is to how many nodes.
    pub nodes: Shares,
    /// The oldest of the newest samples of its nodes.
    pub oldest_sample: Option<Timestamp>,
}

/// What a publisher is to how many nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Shares {
    /// It scrapes them.
    pub owned: usize,
    /// It is the next.
    pub standby: usize,
    /// It was the owner, and still scrapes them.
    pub leaving: usize,
    /// It scrapes them because their owners do not deliver them.
    pub rescued: usize,
    /// Of those that it scrapes, without metrics.
    pub unserved: usize,
}

/// The frontend that answers.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct MetricsFrontend {
    /// Its name.
    pub metadata: Meta,
    /// What it serves.
    pub status: FrontendStatus,
}

/// What a frontend serves.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct FrontendStatus {
    /// Its version.
    pub version: String,
    /// Nodes by their state.
    pub coverage: Coverage,
    /// Open streams of publishers.
    pub streams: usize,
    /// The oldest of the newest samples of all nodes.
    pub oldest_sample: Option<Timestamp>,
    /// When its serving certificate expires.
    pub certificate_expires: Option<Timestamp>,
}

/// The nodes of a frontend by their state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Coverage {
    /// All that it serves.
    pub nodes: usize,
    /// With metrics.
    pub served: usize,
    /// That cannot be scraped.
    pub failing: usize,
    /// That report nothing that can be served.
    pub unusable: usize,
    /// Without metrics for a reason that is not known.
    pub unreported: usize,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_node_is_read_as_frontends_write_it() {
        let object = json!({
            "kind": "NodeScrape",
            "metadata": { "name": "n1", "labels": { "pool": "gpu" } },
            "status": {
                "state": "failing", "reason": "tls", "message": "x509", "remedy": "KubeletCertificate",
                "owner": "s0", "scrapers": { "owners": ["s0"] }, "resolution": "15s",
                "sample": { "scrapedAt": "2026-11-29T17:00:00.123Z" },
                "lastFailure": { "time": "2026-11-29T17:00:15Z", "reason": "tls", "message": "x509", "scraper": "s0" },
                "later": true,
            },
        });
        let node: NodeScrape = serde_json::from_value(object).unwrap();
        assert_eq!(node.metadata.labels["pool"], "gpu");
        assert_eq!(node.status.last_failure.as_ref().unwrap().scraper, "s0");
        assert!(!node.status.has_metrics());
    }

    #[test]
    fn what_is_absent_is_empty() {
        let scraper: Scraper = serde_json::from_value(json!({ "metadata": {} })).unwrap();
        assert_eq!(scraper.status.nodes, Shares::default());
    }
}
