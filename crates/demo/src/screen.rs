//! What is shown, as text. Pure: everything is an argument.

use std::{fmt::Write as _, path::Path, time::Duration};

use crate::watch::Served;

/// Everything that the table tells.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    /// How long the demo runs.
    pub(crate) up: Duration,
    /// How often each node is asked.
    pub(crate) resolution: String,
    /// How many nodes and pods exist.
    pub(crate) nodes: usize,
    pub(crate) pods: usize,
    pub(crate) folder: &'a Path,
    pub(crate) rows: Vec<Row>,
    /// Commands, once the API answers.
    pub(crate) tries: Vec<String>,
    pub(crate) events: Vec<String>,
}

/// A process.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) role: &'static str,
    /// Absent while it does not run.
    pub(crate) pid: Option<u32>,
    /// What it does of the whole.
    pub(crate) share: String,
    pub(crate) usage: Option<Usage>,
    /// Absent for the one that is not restarted.
    pub(crate) restarts: Option<u32>,
    pub(crate) state: &'static str,
    /// What a frontend serves.
    pub(crate) view: Option<View>,
}

/// What a process uses.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Usage {
    pub(crate) resident_bytes: u64,
    /// Of one core; absent until there are two readings.
    pub(crate) cpu_percent: Option<f64>,
}

/// What a frontend serves, seconds instead of dates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) nodes: usize,
    pub(crate) pods: usize,
    /// The age of the newest and the oldest sample in seconds.
    pub(crate) age: Option<(i64, i64)>,
}

impl View {
    /// What is served, as of second `now` of the Unix epoch.
    pub(crate) fn new(served: &Served, now: i64) -> Self {
        let age = |at: jiff::Timestamp| now.saturating_sub(at.as_second()).max(0);
        Self {
            nodes: served.nodes,
            pods: served.pods,
            age: served.samples.map(|(new, old)| (age(new), age(old))),
        }
    }
}

/// The whole screen.
pub(crate) fn render(frame: &Frame<'_>) -> String {
    let Frame {
        up,
        resolution,
        nodes,
        pods,
        folder,
        rows,
        tries,
        events,
    } = frame;
    let mut text = format!(
        "Tributary demo: {nodes} nodes with {pods} pods, each node asked every {resolution}; up {}\n\
         working in {}\n\n",
        span(*up),
        folder.display(),
    );
    text += &table(&frontends(rows, *nodes, *pods));
    text.push('\n');
    text += &table(&processes(rows));
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

fn frontends(rows: &[Row], nodes: usize, pods: usize) -> Vec<Vec<String>> {
    let mut lines = vec![words(&["FRONTEND", "NODES", "PODS", "NEWEST", "OLDEST"])];
    for row in rows {
        let Some(view) = row.view else { continue };
        let (newest, oldest) = match view.age {
            Some((newest, oldest)) => (format!("{newest} s"), format!("{oldest} s")),
            None => ("-".to_owned(), "-".to_owned()),
        };
        lines.push(vec![
            row.name.clone(),
            format!("{}/{nodes}", view.nodes),
            format!("{}/{pods}", view.pods),
            newest,
            oldest,
        ]);
    }
    lines
}

fn processes(rows: &[Row]) -> Vec<Vec<String>> {
    let header = [
        "PROCESS", "PID", "ROLE", "SHARE", "MEMORY", "CPU", "RESTARTS", "STATE",
    ];
    let mut lines = vec![words(&header)];
    for row in rows {
        let cpu = row.usage.and_then(|usage| usage.cpu_percent);
        lines.push(vec![
            row.name.clone(),
            or_dash(row.pid),
            row.role.to_owned(),
            row.share.clone(),
            row.usage
                .map_or("-".to_owned(), |usage| mebibytes(usage.resident_bytes)),
            cpu.map_or("-".to_owned(), |cpu| format!("{cpu:.1} %")),
            or_dash(row.restarts),
            row.state.to_owned(),
        ]);
    }
    lines
}

/// The state in one line.
pub(crate) fn line(frame: &Frame<'_>) -> String {
    let mut text = String::from("status:");
    for row in &frame.rows {
        let Some(view) = row.view else { continue };
        // Writing to a string cannot fail.
        write!(
            text,
            " {} {}/{} nodes {}/{} pods",
            row.name, view.nodes, frame.nodes, view.pods, frame.pods
        )
        .ok();
        if let Some((newest, oldest)) = view.age {
            write!(text, " {newest}-{oldest} s old").ok();
        }
        text.push(',');
    }
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

/// Columns two spaces apart, aligned on the left.
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

fn or_dash(value: Option<u32>) -> String {
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
