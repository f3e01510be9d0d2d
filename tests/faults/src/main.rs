//! Breaks a fleet of real processes, and checks that callers see no gap.
//!
//! - [`proxy`]: cuts, stalls, resets and half-opens connections
//! - programs of the testkit: processes of the product, and signals to them
//! - [`fleet`]: a simulated cluster and both components, with a proxy for every connection
//! - [`observer`], [`book`]: request everything from every ready frontend each second, and check the answers
//! - [`stage`], [`report`]: phases, and a line of figures for each
//! - [`losses`], [`fresh`], [`changes`], [`silence`]: the faults
//! - [`hostile`]: the attackers

mod book;
mod changes;
mod fleet;
mod fresh;
mod hostile;
mod losses;
mod observer;
mod proxy;
mod report;
mod silence;
mod stage;

use std::{io::Write as _, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use tributary_runtime::{duration::GoDuration, tls};

use crate::fleet::Size;

/// Causes failures in three fleets of real processes at the same time. Every second it checks on each frontend that no node
/// or pod is missing or too old.
///
/// `tests/faults/run` builds the binaries first.
#[derive(Debug, Parser)]
#[command(name = "faults")]
struct Args {
    /// Run this part only.
    #[arg(long)]
    only: Option<Part>,

    /// For how long the Kubernetes API is down.
    #[arg(long, value_name = "DURATION", default_value = "80s", value_parser = GoDuration::read_positive)]
    api_gone: Duration,

    /// The number of nodes of each cluster.
    #[arg(long, default_value_t = 200)]
    nodes: usize,

    /// The number of pods on each node.
    #[arg(long, default_value_t = 5)]
    pods_per_node: usize,

    /// The directory for logs and certificates, which is not removed. The default is a temporary directory, which is removed if
    /// nothing is wrong.
    #[arg(long, value_name = "DIRECTORY")]
    dir: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Scrapers are killed, stopped, and disconnected.
    Losses,
    /// Components are scaled and updated, and the Kubernetes API is down.
    Changes,
    /// Connections go silent, in one direction or both.
    Silence,
    /// Kubelets, publishers, callers and lease holders that misbehave. Runs alone, because memory and probes are measured.
    Hostile,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    tls::install_provider();
    let temporary = tempfile::Builder::new()
        .prefix("tributary-faults-")
        .tempdir()?;
    let dir = args
        .dir
        .clone()
        .unwrap_or_else(|| temporary.path().to_owned());
    let binaries = std::env::current_exe().context("find this program")?;
    let binaries = binaries
        .parent()
        .context("this program is nowhere")?
        .to_owned();
    let size = |part: &str| -> anyhow::Result<Size> {
        let dir = dir.join(part);
        std::fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
        Ok(Size {
            nodes: args.nodes,
            pods_per_node: args.pods_per_node,
            frontends: 3,
            scrapers: 4,
            fast: None,
            binaries: binaries.clone(),
            dir,
        })
    };
    say(report::HEAD)?;
    let wrong = all_wrong(Box::pin(all_parts(&args, size)).await?);
    if wrong.is_empty() {
        say("nobody saw a gap")?;
        return Ok(ExitCode::SUCCESS);
    }
    for wrong in wrong {
        say(&format!("WRONG: {wrong}"))?;
    }
    if args.dir.is_none() {
        say(&format!("logs are in {}", temporary.keep().display()))?;
    }
    Ok(ExitCode::FAILURE)
}

/// Runs every selected part at the same time.
async fn all_parts(
    args: &Args,
    size: impl Fn(&str) -> anyhow::Result<Size>,
) -> anyhow::Result<[anyhow::Result<Vec<String>>; 4]> {
    let losses = Size {
        fast: Some(fresh::FAST),
        ..size("losses")?
    };
    let changes = size("changes")?;
    let silence = Size {
        nodes: args.nodes.div_ceil(2),
        frontends: 2,
        scrapers: 3,
        ..size("silence")?
    };
    let hostile = Size {
        nodes: 32,
        frontends: 2,
        scrapers: 3,
        ..size("hostile")?
    };
    let is_wanted = |part: Part| match args.only {
        Some(only) => only == part,
        None => part != Part::Hostile,
    };
    let outcomes = tokio::join!(
        run(is_wanted(Part::Losses), losses::losses(losses)),
        run(
            is_wanted(Part::Changes),
            changes::changes(changes, args.api_gone)
        ),
        run(is_wanted(Part::Silence), silence::silence(silence)),
        run(is_wanted(Part::Hostile), hostile::hostile(hostile)),
    );
    Ok([outcomes.0, outcomes.1, outcomes.2, outcomes.3])
}

/// Runs a part, if it is selected. An error is printed at once, because other parts may run for minutes.
async fn run(
    is_wanted: bool,
    part: impl Future<Output = anyhow::Result<Vec<String>>>,
) -> anyhow::Result<Vec<String>> {
    if !is_wanted {
        return Ok(Vec::new());
    }
    let outcome = part.await;
    if let Err(error) = &outcome {
        say(&format!("WRONG: {error:#}"))?;
    }
    outcome
}

/// The errors of all parts, and the steps that failed.
fn all_wrong(outcomes: [anyhow::Result<Vec<String>>; 4]) -> Vec<String> {
    let words = |outcome: anyhow::Result<Vec<String>>| {
        outcome.unwrap_or_else(|error| vec![format!("{error:#}")])
    };
    outcomes.into_iter().flat_map(words).collect()
}

fn say(words: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{words}")?;
    Ok(out.flush()?)
}
