//! The results, as they are stored and reported.

use serde::{Deserialize, Serialize};

use crate::{
    args::{Bus, ControlPlane},
    cluster::Size,
};

/// The results of one program at one size.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Run {
    pub(crate) machine: Machine,
    /// The date, in UTC.
    pub(crate) date: String,
    pub(crate) size: Size,
    pub(crate) scrapers: usize,
    pub(crate) frontends: usize,
    /// The connection of scrapers and frontends. `None` for metrics-server.
    pub(crate) bus: Option<Bus>,
    pub(crate) control_plane: ControlPlane,
    pub(crate) cycles: u32,
    pub(crate) subject: String,
    pub(crate) version: String,
    pub(crate) start: Start,
    pub(crate) idle: Idle,
    #[serde(default)]
    pub(crate) requests: Vec<Latency>,
    #[serde(default)]
    pub(crate) throughput: Vec<Throughput>,
    /// The peak of resident memory while requests were answered, in bytes.
    #[serde(default)]
    pub(crate) peak_under_load: u64,
    #[serde(default)]
    pub(crate) pause: Option<Latency>,
}

/// Memory over a simulated day.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Soak {
    pub(crate) nodes: usize,
    pub(crate) pods_per_node: usize,
    /// The resident bytes after each hour.
    pub(crate) resident: Vec<u64>,
}

/// What it costs that nodes are scraped more often.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Hot {
    pub(crate) machine: Machine,
    /// The date, in UTC.
    pub(crate) date: String,
    pub(crate) size: Size,
    pub(crate) scrapers: usize,
    pub(crate) frontends: usize,
    pub(crate) cycles: u32,
    /// How many nodes an autoscaler reads pods of.
    pub(crate) read_nodes: usize,
    /// Without it.
    pub(crate) before: Cost,
    /// With it.
    pub(crate) after: Cost,
}

/// The cost of one cycle.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Cost {
    /// CPU seconds of all scrapers.
    pub(crate) scrapers: f64,
    /// CPU seconds of all frontends.
    pub(crate) frontends: f64,
    /// Requests to a node whose pods no autoscaler reads.
    pub(crate) cold_requests: f64,
    /// Requests to one of the others.
    pub(crate) hot_requests: f64,
}

/// A line of the file of results.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(untagged)]
pub(crate) enum Line {
    /// A program at a size.
    Run(Box<Run>),
    /// A simulated day.
    Soak(Soak),
    /// Nodes that are scraped more often.
    Hot(Hot),
}

/// The machine of the measurement.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) memory: u64,
    pub(crate) kernel: String,
}

/// The times of a start.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Start {
    /// Seconds until the objects are listed.
    #[serde(default)]
    pub(crate) synced: Option<f64>,
    /// Seconds until it is ready.
    pub(crate) ready: f64,
    /// Seconds until every node and pod is served.
    pub(crate) complete: f64,
    /// The peak of resident memory until then, in bytes.
    pub(crate) peak: u64,
    /// Seconds from the restart of a frontend, whose scrapers keep running, until it is ready and serves every pod.
    /// `None` without a frontend.
    pub(crate) restart: Option<f64>,
}

/// Resident and proportional memory, in bytes.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Memory {
    pub(crate) rss: u64,
    pub(crate) pss: u64,
}

/// The cost without requests.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Idle {
    /// The mean memory of all its processes together.
    pub(crate) memory: Memory,
    /// CPU seconds per cycle of all its processes together.
    pub(crate) cpu: f64,
    /// Bytes on loopback per cycle, including the answers of the cluster.
    pub(crate) bytes: u64,
    /// For each process: name, mean memory, CPU seconds per cycle.
    pub(crate) processes: Vec<(String, Memory, f64)>,
}

/// The times of answers, in milliseconds.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Latency {
    pub(crate) name: String,
    /// Requests that were answered.
    pub(crate) count: usize,
    /// Bytes of one answer.
    pub(crate) bytes: usize,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
    /// CPU seconds of the programs per request.
    #[serde(default)]
    pub(crate) cpu: f64,
}

/// The most answers per second.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Throughput {
    pub(crate) name: String,
    pub(crate) connections: u32,
    pub(crate) per_second: f64,
}
