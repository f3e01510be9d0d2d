//! The flags.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

/// Measures Tributary on a simulated cluster, beside metrics-server.
#[derive(Debug, Parser)]
#[command(name = "bench", args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    /// What a person may say.
    #[command(flatten)]
    pub(crate) bench: BenchArgs,
    /// What this program says to itself.
    #[command(subcommand)]
    pub(crate) role: Option<Role>,
}

/// What is measured.
#[derive(ClapArgs, Clone, Debug)]
pub(crate) struct BenchArgs {
    /// Nodes of the simulated cluster. Without it the sizes of the report are
    /// measured, one after another: 100, 1,000 and 5,000 nodes of 30 pods, and
    /// 1,000 of 110.
    #[arg(long)]
    pub(crate) nodes: Option<usize>,

    /// Pods on every node.
    #[arg(long, default_value_t = 30)]
    pub(crate) pods_per_node: usize,

    /// Containers in every pod.
    #[arg(long, default_value_t = 1)]
    pub(crate) containers: usize,

    /// Scrapers that share the nodes.
    #[arg(long, default_value_t = 1)]
    pub(crate) scrapers: usize,

    /// Frontends that all are fed.
    #[arg(long, default_value_t = 1)]
    pub(crate) frontends: usize,

    /// Cycles of 15 s over which the idle cost is measured.
    #[arg(long, default_value_t = 4)]
    pub(crate) cycles: u32,

    /// Who is measured beside Tributary.
    #[arg(long, value_enum, default_value_t = Peer::Go)]
    pub(crate) peer: Peer,

    /// What is measured.
    #[arg(long, value_enum, default_value_t = What::All)]
    pub(crate) what: What,

    /// How scraper and frontend are connected. Without it, one of each is in one
    /// pod and has a Unix socket, as the chart installs it by default; several
    /// are in pods of their own and have TLS.
    #[arg(long, value_enum)]
    pub(crate) bus: Option<Bus>,

    /// Who answers for the Kubernetes API. The real one is etcd, kube-apiserver
    /// and kube-controller-manager that `tests/controlplane/build` builds, and takes some
    /// minutes to be told of every node and pod.
    #[arg(long, value_enum, default_value_t = ControlPlane::Simulated)]
    pub(crate) control_plane: ControlPlane,

    /// Prints one JSON object instead of the table.
    #[arg(long)]
    pub(crate) json: bool,

    /// Where the results are kept, to be added to: one JSON document a line.
    #[arg(long, value_name = "FILE")]
    pub(crate) results: Option<PathBuf>,

    /// Makes this report of all that is in the file of `--results`, and measures
    /// nothing.
    #[arg(long, value_name = "FILE", requires = "results")]
    pub(crate) report: Option<PathBuf>,

    /// The directory of the programs `tributary-scraper` and `tributary-apiserver`.
    #[arg(long, default_value = "target/dist")]
    pub(crate) programs: PathBuf,

    /// The program metrics-server.
    #[arg(long, default_value = "tests/controlplane/bin/metrics-server")]
    pub(crate) metrics_server: PathBuf,
}

/// Who is measured beside Tributary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Peer {
    /// Nobody.
    None,
    /// metrics-server, after Tributary.
    Go,
    /// metrics-server alone.
    Only,
}

/// How scrapers and frontends are connected.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Bus {
    /// A Unix socket: the profile `sidecar`.
    Unix,
    /// TLS with certificates on both sides: the profile `ha`.
    Tls,
}

impl BenchArgs {
    /// How scrapers and frontends are connected.
    ///
    /// # Errors
    ///
    /// Several have no socket in common.
    pub(crate) fn bus(&self) -> anyhow::Result<Bus> {
        let alone = self.scrapers == 1 && self.frontends == 1;
        anyhow::ensure!(
            alone || self.bus != Some(Bus::Unix),
            "--bus=unix is for one scraper and one frontend"
        );
        Ok(self.bus.unwrap_or(if alone { Bus::Unix } else { Bus::Tls }))
    }
}

/// Who answers for the Kubernetes API.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ControlPlane {
    /// The simulator.
    Simulated,
    /// A kube-apiserver.
    Real,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum What {
    /// Start, idle cost, requests.
    All,
    /// Start and idle cost.
    Idle,
    /// Memory of a frontend's store over a simulated day in which a tenth of all
    /// pods is replaced every hour.
    Soak,
    /// Start, idle cost, and the pause of a GET while eight clients list all pods.
    Pause,
}

/// What this program says to itself.
#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// Simulates a cluster until its standard input ends.
    #[command(hide = true)]
    Cluster(ClusterArgs),
    /// Asks a server as its standard input says.
    #[command(hide = true)]
    Load,
}

/// The simulated cluster.
#[derive(ClapArgs, Debug)]
pub(crate) struct ClusterArgs {
    /// How many nodes.
    #[arg(long)]
    pub(crate) nodes: usize,
    /// Pods on every node.
    #[arg(long)]
    pub(crate) pods_per_node: usize,
    /// Containers in every pod.
    #[arg(long)]
    pub(crate) containers: usize,
    /// Who answers for its API.
    #[arg(long, value_enum)]
    pub(crate) control_plane: ControlPlane,
    /// Where its files go.
    #[arg(long)]
    pub(crate) dir: PathBuf,
}
