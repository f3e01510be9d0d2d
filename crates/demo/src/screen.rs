//! Renders the state as text. Pure: everything is an argument.

use std::{fmt::Write as _, path::Path, time::Duration};

use crate::watch::ScraperCounts;

/// The content of the screen.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    /// How long the demo has been running.
    pub(crate) up: Duration,
    /// The resolution.
    pub(crate) resolution: String,
    /// The number of nodes, and of pods.
    pub(crate) nodes: usize,
    pub(crate) pods: usize,
    pub(crate) directory: &'a Path,
    pub(crate) rows: Vec<Row>,
    /// Commands, once the API answers.
    pub(crate) tries: Vec<String>,
    pub(crate) events: Vec<String>,
}

/// A process.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    /// `None` while it does not run.
    pub(crate) pid: Option<u32>,
    pub(crate) usage: Option<Usage>,
    /// `None` for the demo, which is not restarted.
    pub(crate) restarts: Option<u32>,
    pub(crate) state: &'static str,
    /// Its observed work.
    pub(crate) view: View,
}

/// The observed work of a process.
#[derive(Clone, Copy, Debug)]
pub(crate) enum View {
    Scraper(Option<ScraperCounts>),
    Frontend(Option<Fed>),
    None,
}

/// The resources of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Usage {
    pub(crate) resident_bytes: u64,
    /// In percent of one core. `None` until there are two readings.
    pub(crate) cpu_percent: Option<f64>,
}

/// The observed state of a frontend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fed {
    /// The scrapers that send samples to it.
    pub(crate) streams: usize,
    /// Overdue nodes.
    pub(crate) overdue: usize,
    pub(crate) nodes: usize,
    pub(crate) pods: usize,
    /// The ages of the newest and of the oldest sample, in seconds.
    pub(crate) age: Option<(i64, i64)>,
}

/// Renders the whole screen.
pub(crate) fn render(frame: &Frame<'_>) -> String {
    let Frame {
        up,
        resolution,
        nodes,
        pods,
        directory,
        rows,
        tries,
        events,
    } = frame;
    let mut text = format!(
        "Tributary demo: {nodes} nodes with {pods} pods, each node asked every {resolution}; up {}\n\
         working in {}\n\n",
        span(*up),
        directory.display(),
    );
    text += &table(&scrapers(rows));
    text.push('\n');
    text += &table(&frontends(rows, *nodes, *pods));
    for row in rows.iter().filter(|row| matches!(row.view, View::None)) {
        writeln!(text, "{}: {}", row.name, or_nothing(row.usage)).ok();
    }
    text.push('\n');
    if tries.is_empty() {
        text += "Waiting for two samples of every node ..\n";
    } else {
        text += "Try in another terminal:\n";
    }
    for line in tries {
        writeln!(text, "  {line}").ok();
    }
    text += "Ctrl-C ends everything.\n\n";
    for event in events {
        writeln!(text, "{event}").ok();
    }
    text
}

fn scrapers(rows: &[Row]) -> Vec<Vec<String>> {
    let header = [
        "KNOWS",
        "OWNS",
        "FAST",
        "STANDS BY",
        "RESCUES",
        "LEAVES",
        "FEEDS",
    ];
    let mut lines = vec![header_of("SCRAPER", &header)];
    for row in rows {
        let View::Scraper(counts) = row.view else {
            continue;
        };
        let of = |what: fn(&ScraperCounts) -> usize| or_dash(counts.as_ref().map(what));
        let mut line = process(row);
        line.extend([
            of(|counts| counts.members),
            of(|counts| counts.owned),
            of(|counts| counts.fast),
            of(|counts| counts.standby),
            of(|counts| counts.rescued),
            of(|counts| counts.leaving),
            of(|counts| counts.frontends),
        ]);
        lines.push(line);
    }
    lines
}

fn frontends(rows: &[Row], nodes: usize, pods: usize) -> Vec<Vec<String>> {
    let header = ["NODES", "PODS", "NEWEST", "OLDEST", "OVERDUE", "FED BY"];
    let mut lines = vec![header_of("FRONTEND", &header)];
    for row in rows {
        let View::Frontend(fed) = row.view else {
            continue;
        };
        let age = fed.and_then(|fed| fed.age);
        let seconds = |age: Option<i64>| age.map_or("-".to_owned(), |age| format!("{age} s"));
        let served = fed.unwrap_or_default();
        let mut line = process(row);
        line.extend([
            format!("{}/{nodes}", served.nodes),
            format!("{}/{pods}", served.pods),
            seconds(age.map(|(newest, _)| newest)),
            seconds(age.map(|(_, oldest)| oldest)),
            or_dash(fed.map(|fed| fed.overdue)),
            or_dash(fed.map(|fed| fed.streams)),
        ]);
        lines.push(line);
    }
    lines
}

/// The columns of all processes.
fn header_of(kind: &str, more: &[&str]) -> Vec<String> {
    let all = [kind, "PID", "STATE", "RESTARTS", "MEMORY", "CPU"];
    words(&all).into_iter().chain(words(more)).collect()
}

fn process(row: &Row) -> Vec<String> {
    let cpu = row.usage.and_then(|usage| usage.cpu_percent);
    vec![
        row.name.clone(),
        or_dash(row.pid),
        row.state.to_owned(),
        or_dash(row.restarts),
        or_dash(row.usage.map(|usage| mebibytes(usage.resident_bytes))),
        or_dash(cpu.map(|cpu| format!("{cpu:.1} %"))),
    ]
}

fn or_nothing(usage: Option<Usage>) -> String {
    let Some(usage) = usage else {
        return String::new();
    };
    let cpu = usage.cpu_percent.unwrap_or_default();
    format!("{}, {cpu:.1} % cpu", mebibytes(usage.resident_bytes))
}

/// Renders the state in one line.
pub(crate) fn line(frame: &Frame<'_>) -> String {
    let mut text = String::from("status:");
    for row in &frame.rows {
        let View::Frontend(fed) = row.view else {
            continue;
        };
        let fed = fed.unwrap_or_default();
        // Writing to a string cannot fail.
        write!(
            text,
            " {} {}/{} nodes {}/{} pods",
            row.name, fed.nodes, frame.nodes, fed.pods, frame.pods
        )
        .ok();
        if let Some((newest, oldest)) = fed.age {
            write!(text, " {newest}-{oldest} s old").ok();
        }
        text.push(',');
    }
    text += " scrapers own";
    for row in &frame.rows {
        let View::Scraper(counts) = row.view else {
            continue;
        };
        write!(text, " {}", or_dash(counts.map(|counts| counts.owned))).ok();
        if let Some(counts) = counts.filter(|counts| counts.rescued > 0) {
            write!(text, "+{}", counts.rescued).ok();
        }
    }
    text.push(',');
    let ours = || frame.rows.iter().filter(|row| row.restarts.is_some());
    let ready = ours().filter(|row| row.state == "ready").count();
    let usage = || ours().filter_map(|row| row.usage);
    let memory = usage().map(|usage| usage.resident_bytes).sum();
    let cpu: f64 = usage().filter_map(|usage| usage.cpu_percent).sum();
    write!(
        text,
        " {ready} of {} processes ready, {}, {cpu:.1} % cpu",
        ours().count(),
        mebibytes(memory)
    )
    .ok();
    text
}

/// A table with left-aligned columns that are two spaces apart.
fn table(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for line in lines {
        let mut padded = String::new();
        for (cell, width) in line.iter().zip(&widths) {
            write!(padded, "{cell:width$}  ").ok();
        }
        text += padded.trim_end();
        text.push('\n');
    }
    text
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or("-".to_owned(), |value| value.to_string())
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.saturating_add(1 << 19) >> 20)
}

fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        _ => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests;
