//! Measures how soon the autoscaler reacts, and prints a table. `tests/reaction/run` builds what it needs.

use std::io::Write as _;

use anyhow::Context as _;
use clap::Parser;
use tokio::task::JoinSet;
use tributary_controlplane::reaction::{self, Effort, Pipeline, figures};

/// Steps in the load of Deployments with autoscalers, on real control planes: seconds until each is seen and acted on.
#[derive(Debug, Parser)]
#[command(name = "reaction")]
struct Args {
    /// What to measure; several times for several; all by default.
    #[arg(long)]
    pipeline: Vec<String>,

    /// Steps of each pipeline.
    #[arg(long, default_value_t = 200)]
    steps: usize,

    /// Deployments of each pipeline that step at the same time.
    #[arg(long, default_value_t = 40)]
    apps: usize,

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

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let pipelines: Vec<Pipeline> = if args.pipeline.is_empty() {
        Pipeline::all()
    } else {
        let names = args.pipeline.iter();
        let found = names.map(|name| Pipeline::named(name));
        found.collect::<anyhow::Result<_>>()?
    };
    let effort = Effort {
        steps: args.steps,
        apps: args.apps,
        nodes: args.nodes,
        spread: Effort::SPREAD,
        seed: args.seed,
    };
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
