//! The flags.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

/// Measures Tributary on a simulated cluster, beside metrics-server.
#[derive(Debug, Parser)]
#[command(name = "bench", args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    /// The flags of the bench.
    #[command(flatten)]
    pub(crate) bench: BenchArgs,
    /// The role of a process that the bench starts.
    #[command(subcommand)]
    pub(crate) role: Option<Role>,
}

/// The flags of the bench.
#[derive(ClapArgs, Clone, Debug)]
pub(crate) struct BenchArgs {
    /// The number of nodes. Without this flag, the sizes of the report are measured: 100, 1,000 and 5,000 nodes of 30 pods,
    /// and 1,000 nodes of 110 pods.
    #[arg(long)]
    pub(crate) nodes: Option<usize>,

    /// The number of pods on each node.
    #[arg(long, default_value_t = 30)]
    pub(crate) pods_per_node: usize,

    /// The number of containers in each pod.
    #[arg(long, default_value_t = 1)]
    pub(crate) containers: usize,

    /// The number of scrapers that share the nodes.
    #[arg(long, default_value_t = 1)]
    pub(crate) scrapers: usize,

    /// The number of frontends. Each one gets the samples of all nodes.
    #[arg(long, default_value_t = 1)]
    pub(crate) frontends: usize,

    /// The number of cycles of 15 s for which the idle cost is measured.
    #[arg(long, default_value_t = 4)]
    pub(crate) cycles: u32,

    /// Which servers are measured.
    #[arg(long, value_enum, default_value_t = Servers::Go)]
    pub(crate) peer: Servers,

    /// What is measured.
    #[arg(long, value_enum, default_value_t = What::All)]
    pub(crate) what: What,

    /// The connection between scrapers and frontends. The default for one of each is a Unix socket, as in the chart's
    /// profile `sidecar`. The default for several is TLS, as in its profile `ha`.
    #[arg(long, value_enum)]
    pub(crate) bus: Option<Bus>,

    /// The Kubernetes API: simulated, or the real programs that `tests/controlplane/build` builds. It takes minutes to create
    /// all nodes and pods in the real one.
    #[arg(long, value_enum, default_value_t = ControlPlane::Simulated)]
    pub(crate) control_plane: ControlPlane,

    /// Print one JSON object instead of the table.
    #[arg(long)]
    pub(crate) json: bool,

    /// The file to which results are appended, one JSON document per line.
    #[arg(long, value_name = "FILE")]
    pub(crate) results: Option<PathBuf>,

    /// Write this report from the file of `--results`, and measure nothing.
    #[arg(long, value_name = "FILE", requires = "results")]
    pub(crate) report: Option<PathBuf>,

    /// The directory of the programs `tributary-scraper` and `tributary-apiserver`.
    #[arg(long, default_value = "target/dist")]
    pub(crate) programs: PathBuf,

    /// The program metrics-server.
    #[arg(long, default_value = "tests/controlplane/bin/metrics-server")]
    pub(crate) metrics_server: PathBuf,
}

/// Which servers are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Servers {
    /// Tributary alone.
    None,
    /// Tributary, then metrics-server.
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

/// The Kubernetes API of the cluster.
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
    /// Idle cost of Tributary, and that while an autoscaler reads pods of a tenth of the nodes, which are therefore scraped
    /// every 5 s. Of 1,000 nodes, unless another number is given.
    Hot,
}

/// The role of a process that the bench starts.
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
    /// The number of nodes.
    #[arg(long)]
    pub(crate) nodes: usize,
    /// The number of pods on each node.
    #[arg(long)]
    pub(crate) pods_per_node: usize,
    /// The number of containers in each pod.
    #[arg(long)]
    pub(crate) containers: usize,
    /// Its Kubernetes API.
    #[arg(long, value_enum)]
    pub(crate) control_plane: ControlPlane,
    /// The directory for its files.
    #[arg(long)]
    pub(crate) dir: PathBuf,
}
