//! Measures how soon the autoscaler reacts, and prints a table. `tests/reaction/run` builds what it needs.

use std::io::Write as _;

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use tokio::task::JoinSet;
use tributary_controlplane::reaction::{self, Effort, Nodes, Pipeline, figures};

/// What is measured on a real node unless pipelines are named.
const ON_REAL_NODES: [&str; 3] = ["metrics-server", "tributary", "tributary-fast"];

/// Steps in the load of Deployments with autoscalers, on real control planes: seconds until each is seen and acted on.
#[derive(Debug, Parser)]
#[command(name = "reaction")]
struct Args {
    /// What to measure; several times for several. By default all, and on a real node metrics-server, tributary and
    /// tributary-fast.
    #[arg(long)]
    pipeline: Vec<String>,

    /// Where the pods are. A real node needs root, containerd and crun, and each pipeline has one of its own.
    #[arg(long, value_enum, default_value_t = Where::Simulated)]
    ground: Where,

    /// Steps of each pipeline. The default is 200, and on a real node 20.
    #[arg(long)]
    steps: Option<usize>,

    /// Deployments of each pipeline that step at the same time. The default is 40, and on a real node 1.
    #[arg(long)]
    apps: Option<usize>,

    /// Simulated nodes of each pipeline.
    #[arg(long, default_value_t = 10)]
    nodes: usize,

    /// Decides when steps come.
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Print one JSON object instead of the table.
    #[arg(long)]
    json: bool,
}

/// Where the pods are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Where {
    /// On nodes of the simulator.
    Simulated,
    /// On a real node.
    RealNode,
}

impl Args {
    fn pipelines(&self) -> anyhow::Result<Vec<Pipeline>> {
        let named = self.pipeline.iter().map(|name| Pipeline::named(name));
        match (self.pipeline.is_empty(), self.ground) {
            (true, Where::Simulated) => Ok(Pipeline::all()),
            (true, Where::RealNode) => ON_REAL_NODES.into_iter().map(Pipeline::named).collect(),
            (false, _) => named.collect(),
        }
    }

    fn effort(&self) -> Effort {
        let (nodes, steps, apps) = match self.ground {
            Where::Simulated => (Nodes::Simulated(self.nodes), 200, 40),
            Where::RealNode => (Nodes::Real, 20, 1),
        };
        Effort {
            steps: self.steps.unwrap_or(steps),
            apps: self.apps.unwrap_or(apps),
            nodes,
            spread: Effort::SPREAD,
            seed: self.seed,
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let (pipelines, effort) = (args.pipelines()?, args.effort());
    // On a thread of the runtime, because programs end with the thread that started them.
    let mut measuring = JoinSet::new();
    measuring.spawn(async move { reaction::run(&pipelines, effort).await });
    let measured = measuring.join_next().await;
    let results = measured.context("nothing was measured")???;
    let mut out = std::io::stdout();
    if args.json {
        writeln!(out, "{:#}", figures::json(&results))?;
    } else {
        write!(out, "{}", figures::table(&results))?;
    }
    Ok(())
}
