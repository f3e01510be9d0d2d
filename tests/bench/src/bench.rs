//! Runs the measurements in order.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::Path,
    time::Duration,
};

use anyhow::Context as _;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::{process::Command, time::sleep};
use tributary_runtime::clock::Clock;

use crate::{
    args::{BenchArgs, Servers, What},
    cluster::{Running, Size, Where},
    hot, machine,
    measure::Bench,
    report,
    results::{Line, Run},
    soak,
    subject::{RESOLUTION, Subject},
};

/// The sizes of the report.
const SIZES: [(usize, usize); 4] = [(100, 30), (1_000, 30), (5_000, 30), (1_000, 110)];

/// Measures what the flags select and prints a table.
///
/// # Errors
///
/// A program cannot be started, or does not answer.
pub(crate) async fn run(args: BenchArgs) -> anyhow::Result<()> {
    if let (Some(report), Some(results)) = (&args.report, &args.results) {
        fs::write(report, report::markdown(&read(results)?))?;
        return Ok(());
    }
    if args.what == What::Soak {
        let soak = soak::run()?;
        let table = report::day(&soak);
        return tell(&args, &[Line::Soak(soak)], &table);
    }
    // The flags are checked before anything is started.
    args.bus()?;
    raise_file_limit();
    if args.what == What::Hot {
        let hot = hot::run(&args).await?;
        let table = report::hot(&hot);
        return tell(&args, &[Line::Hot(hot)], &table);
    }
    let sizes = match args.nodes {
        Some(nodes) => vec![(nodes, args.pods_per_node)],
        None => SIZES.to_vec(),
    };
    let (mut lines, mut tables) = (Vec::new(), String::new());
    for (nodes, pods_per_node) in sizes {
        let size = Size {
            nodes,
            pods_per_node,
            containers: args.containers,
        };
        let runs = measure_all(&args, size).await?;
        tables.push_str(&report::table(&runs));
        lines.extend(runs.into_iter().map(Box::new).map(Line::Run));
    }
    tell(&args, &lines, &tables)
}

/// Raises the limit of open files, which children inherit. A large cluster needs two sockets for each node.
fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // If this fails, a cluster of a usual size still works.
    setrlimit(Resource::Nofile, limit).ok();
}

/// Measures each program in turn, each on a new cluster.
async fn measure_all(args: &BenchArgs, size: Size) -> anyhow::Result<Vec<Run>> {
    let mut runs = Vec::new();
    for is_peer in [false, true] {
        if (is_peer && args.peer == Servers::None) || (!is_peer && args.peer == Servers::Only) {
            continue;
        }
        let directory = tempfile::tempdir()?;
        let cluster = Running::start(size, args.control_plane, directory.path()).await?;
        let subject = if is_peer {
            Subject::metrics_server(args, &cluster.at)
        } else {
            Subject::tributary(args, &cluster.at)
        };
        let measured = measure(args, size, &subject?, &cluster.at, directory.path()).await;
        if measured.is_err() {
            // The logs of the programs are needed to find the cause.
            let kept = directory.keep();
            writeln!(std::io::stderr(), "logs are in {}", kept.display())?;
        }
        runs.push(measured?);
        cluster.stop().await?;
    }
    Ok(runs)
}

async fn measure(
    args: &BenchArgs,
    size: Size,
    subject: &Subject,
    at: &Where,
    logs: &Path,
) -> anyhow::Result<Run> {
    let (name, nodes, pods) = (subject.name, size.nodes, size.pods_per_node);
    writeln!(std::io::stderr(), "bench: {name} at {nodes} x {pods}")?;
    let (mut bench, start) = Bench::start(subject, size, at, logs).await?;
    // Work that remains from the start must not count as idle cost.
    sleep(Duration::from_secs(u64::from(RESOLUTION))).await;
    let idle = bench.idle(args.cycles).await?;
    let mut run = Run {
        machine: machine::describe(),
        date: Clock::system().now().to_string(),
        size,
        scrapers: args.scrapers,
        frontends: args.frontends,
        bus: (subject.name == "Tributary")
            .then(|| args.bus())
            .transpose()?,
        control_plane: args.control_plane,
        cycles: args.cycles,
        subject: subject.name.to_owned(),
        version: version(args, subject.name).await,
        start,
        idle,
        requests: Vec::new(),
        throughput: Vec::new(),
        peak_under_load: 0,
        pause: None,
    };
    if args.what == What::All {
        (run.requests, run.peak_under_load) = bench.requests(&run.idle).await?;
        run.throughput = bench.throughput().await?;
    }
    if matches!(args.what, What::All | What::Pause) {
        run.pause = Some(bench.pause().await?);
    }
    if subject.name == "Tributary" {
        run.start.restart = Some(bench.restart().await?);
    }
    bench.stop().await?;
    Ok(run)
}

/// The version that the program prints.
async fn version(args: &BenchArgs, name: &str) -> String {
    let (program, flag) = if name == "Tributary" {
        (args.programs.join("tributary-apiserver"), "--version")
    } else {
        return "v0.9.0".to_owned();
    };
    let output = Command::new(program).arg(flag).output().await;
    let text = output.map_or_else(|_| Vec::new(), |output| output.stdout);
    String::from_utf8_lossy(&text).trim().to_owned()
}

/// Prints the measurements, and adds them to the file of `--results`.
fn tell(args: &BenchArgs, lines: &[Line], tables: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    if args.json {
        writeln!(out, "{}", serde_json::json!({ "results": lines }))?;
    } else {
        write!(out, "{tables}")?;
    }
    let Some(path) = &args.results else {
        return Ok(());
    };
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    for line in lines {
        writeln!(file, "{}", serde_json::to_string(line)?)?;
    }
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<Vec<Line>> {
    let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let lines: Result<_, _> = lines.map(serde_json::from_str).collect();
    lines.with_context(|| format!("{} is no file of results", path.display()))
}
