//! The simulated cluster, as a separate process, because its cost must not be measured.

mod real;

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::Context as _;
use clap::ValueEnum as _;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
};
use tributary_sim::{Cluster, SCRAPER_USER};

use self::real::RealPlane;
use crate::args::{ClusterArgs, ControlPlane};

/// The account of the programs under test, which may do all that they need.
const ACCOUNT: &str = "system:serviceaccount:kube-system:bench";
/// The account of the clients.
pub(crate) const CLIENT: &str = "system:serviceaccount:kube-system:client";

/// The addresses and files of the cluster.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Where {
    pub(crate) kubeconfig: PathBuf,
    pub(crate) dir: PathBuf,
    pub(crate) kubelet_port: u16,
    /// A token of [`CLIENT`].
    pub(crate) token: String,
}

/// A running cluster. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    pub(crate) at: Where,
}

/// The size of the cluster.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Size {
    pub(crate) nodes: usize,
    pub(crate) pods_per_node: usize,
    pub(crate) containers: usize,
}

impl Size {
    pub(crate) fn pods(self) -> usize {
        self.nodes * self.pods_per_node
    }
}

/// A cluster with this many pods has about this many namespaces. Each contains at least one app of 30 pods.
pub(crate) fn namespaces(pods: usize) -> usize {
    (pods / 300).clamp(4, 500)
}

/// The role of this program that simulates the cluster until standard input ends. For each line of it, it prints how many
/// requests each kubelet has had.
///
/// # Errors
///
/// The cluster cannot be started.
pub(crate) async fn run(args: ClusterArgs) -> anyhow::Result<()> {
    let namespaces = namespaces(args.nodes * args.pods_per_node);
    let cluster = Cluster::builder()
        .nodes(args.nodes)
        .pods_per_node(args.pods_per_node)
        .containers_per_pod(args.containers)
        .namespaces(namespaces)
        .dir(&args.dir)
        .start()
        .await
        .context("simulate a cluster")?;
    publishing(&cluster, &args.dir)?;
    let real = match args.control_plane {
        ControlPlane::Simulated => None,
        ControlPlane::Real => {
            let plane = RealPlane::start(&cluster, &args.dir).await;
            Some(plane.context("start a control plane")?)
        }
    };
    let (kubeconfig, token) = if let Some(plane) = &real {
        (plane.kubeconfig.clone(), plane.token.clone())
    } else {
        let kubeconfig = args.dir.join("bench.kubeconfig");
        let token = cluster.token(ACCOUNT);
        fs::write(&kubeconfig, cluster.kubeconfig_for_token(&token))?;
        (kubeconfig, cluster.token(CLIENT))
    };
    let at = Where {
        kubeconfig,
        kubelet_port: cluster.kubelet_port(),
        token,
        dir: args.dir,
    };
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&at)?)?;
    let nodes = cluster.nodes();
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while lines.next_line().await?.is_some() {
        let requests = nodes.iter().map(|node| cluster.kubelet_stats(node));
        let requests = requests.map(|stats| stats.map(|stats| stats.requests));
        let requests: Vec<u64> = requests.collect::<Result<_, _>>()?;
        writeln!(std::io::stdout(), "{}", serde_json::to_string(&requests)?)?;
    }
    Ok(())
}

/// Writes the certificates with which scrapers publish.
fn publishing(cluster: &Cluster, dir: &Path) -> anyhow::Result<()> {
    let pki = cluster.pki();
    pki.client(tributary_sim::Ca::Bus, SCRAPER_USER, &[])?
        .write(dir, "publisher")?;
    Ok(())
}

impl Running {
    /// Starts a cluster and waits until it is ready.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub(crate) async fn start(
        size: Size,
        control_plane: ControlPlane,
        dir: &Path,
    ) -> anyhow::Result<Self> {
        let control_plane = control_plane.to_possible_value().unwrap_or_default();
        let mut child = Command::new(std::env::current_exe()?)
            .arg("cluster")
            .arg(format!("--nodes={}", size.nodes))
            .arg(format!("--pods-per-node={}", size.pods_per_node))
            .arg(format!("--containers={}", size.containers))
            .arg(format!("--control-plane={}", control_plane.get_name()))
            .arg(format!("--dir={}", dir.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("start the cluster")?;
        let input = child.stdin.take().context("no input of the cluster")?;
        let output = child.stdout.take().context("no output of the cluster")?;
        let mut output = BufReader::new(output);
        let mut line = String::new();
        output.read_line(&mut line).await?;
        let at = serde_json::from_str(&line).context("the cluster did not start")?;
        Ok(Self {
            child,
            input,
            output,
            at,
        })
    }

    /// How many requests each kubelet has had, in the order of the names of nodes.
    ///
    /// # Errors
    ///
    /// The cluster has ended.
    pub(crate) async fn requests(&mut self) -> anyhow::Result<Vec<u64>> {
        self.input.write_all(b"\n").await?;
        let mut line = String::new();
        self.output.read_line(&mut line).await?;
        serde_json::from_str(&line).context("the cluster has ended")
    }

    /// Ends the cluster.
    ///
    /// # Errors
    ///
    /// It cannot be ended.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }
}
