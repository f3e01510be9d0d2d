//! The results as Markdown tables, with the ratios first.

use std::fmt::Write as _;

use crate::{
    args::{Bus, ControlPlane},
    results::{Cost, Hot, Latency, Line, Run, Soak, Throughput},
};

const OURS: &str = "Tributary";
const HEAD: &str = include_str!("report/head.md");

/// A row: its name, our value, the peer's value, and their format.
struct Row {
    what: String,
    ours: Option<f64>,
    peer: Option<f64>,
    digits: usize,
    /// Whether a larger value is better.
    rises: bool,
}

/// The document of all results: the newest of each size.
pub(crate) fn markdown(lines: &[Line]) -> String {
    let mut out = String::new();
    let runs: Vec<Run> = lines
        .iter()
        .filter_map(|line| match line {
            Line::Run(run) => Some(Run::clone(run)),
            Line::Soak(_) | Line::Hot(_) => None,
        })
        .collect();
    let runs = runs.as_slice();
    out.push_str(HEAD);
    if let Some(run) = runs.last() {
        let machine = &run.machine;
        let gib = machine.memory >> 30;
        push(
            &mut out,
            format_args!(
                "\nMachine: {} x {}, {gib} GiB, Linux {}. Measured {}.\n",
                machine.cores,
                machine.cpu,
                machine.kernel,
                run.date.split('T').next().unwrap_or_default()
            ),
        );
    }
    let is_side_by_side = |run: &&Run| run.subject != OURS || run.bus == Some(Bus::Unix);
    let place = |run: &Run| (run.size, run.control_plane);
    let mut places = Vec::new();
    for peer in runs.iter().filter(|run| run.subject != OURS) {
        if !places.contains(&place(peer)) {
            places.push(place(peer));
        }
    }
    for there in places {
        let newest = |ours: bool| {
            let mut of_size = runs.iter().rev().filter(is_side_by_side);
            of_size.find(|run| place(run) == there && (run.subject == OURS) == ours)
        };
        let pair: Vec<Run> = [newest(true), newest(false)]
            .into_iter()
            .flatten()
            .cloned()
            .collect();
        out.push('\n');
        out.push_str(&table(&pair));
    }
    out.push_str(&curves(runs));
    for line in lines {
        let part = match line {
            Line::Soak(soak) => day(soak),
            Line::Hot(one) => hot(one),
            Line::Run(_) => continue,
        };
        out.push('\n');
        out.push_str(&part);
    }
    out
}

/// One figure of a cost.
type Figure = fn(&Cost) -> f64;

/// What it costs that nodes are scraped more often.
pub(crate) fn hot(hot: &Hot) -> String {
    let size = hot.size;
    let mut out = format!(
        "## A part of the nodes scraped every 5 s\n\n{} nodes of {} pods, {} scrapers and {} frontends; an autoscaler reads pods of \
         {} nodes.\n\n| in a cycle of 15 s | without | with | ratio |\n|---|---|---|---|\n",
        size.nodes, size.pods_per_node, hot.scrapers, hot.frontends, hot.read_nodes,
    );
    let rows: [(&str, Figure); 4] = [
        ("CPU seconds of scrapers", |cost| cost.scrapers),
        ("CPU seconds of frontends", |cost| cost.frontends),
        ("requests to a node that none asks for", |cost| {
            cost.cold_requests
        }),
        ("requests to one of the others", |cost| cost.hot_requests),
    ];
    for (what, of) in rows {
        let (before, after) = (of(&hot.before), of(&hot.after));
        let ratio = after / before;
        push(
            &mut out,
            format_args!("| {what} | {before:.3} | {after:.3} | {ratio:.2} |\n"),
        );
    }
    out
}

/// A simulated day.
pub(crate) fn day(soak: &Soak) -> String {
    let at = |hour: usize| soak.resident.get(hour).copied().map_or(0.0, mib);
    let last = soak.resident.len().saturating_sub(1);
    let change = (at(last) / at(0) - 1.0) * 100.0;
    format!(
        "## A day of churn\n\nStore and catalog of {} nodes of {} pods, a tenth of the pods replaced every hour, \
         {} hours in simulated time: {:.1} MiB resident after the first hour, {:.1} MiB after the last \
         ({change:+.1} %).\n",
        soak.nodes,
        soak.pods_per_node,
        last + 1,
        at(0),
        at(last),
    )
}

/// One size as a table.
pub(crate) fn table(runs: &[Run]) -> String {
    let mut out = String::new();
    let Some(first) = runs.first() else {
        return out;
    };
    let ours = runs.iter().find(|run| run.subject == OURS);
    let peer = runs.iter().find(|run| run.subject != OURS);
    let size = first.size;
    push(
        &mut out,
        format_args!(
            "## {} nodes of {} pods of {} containers{}\n\n",
            size.nodes,
            size.pods_per_node,
            size.containers,
            match first.control_plane {
                ControlPlane::Simulated => "",
                ControlPlane::Real => ", with a real kube-apiserver",
            }
        ),
    );
    out.push_str("| | ratio | Tributary | metrics-server |\n|---|---|---|---|\n");
    for row in rows(ours, peer) {
        let ratio = match (row.ours, row.peer) {
            (Some(ours), Some(peer)) if ours > 0.0 && peer > 0.0 => {
                let (ours, peer) = if row.rises {
                    (peer, ours)
                } else {
                    (ours, peer)
                };
                format!("{:.2}", ours / peer)
            }
            _ => String::new(),
        };
        let digits = row.digits;
        let number = |value: Option<f64>| {
            value.map_or_else(String::new, |value| format!("{value:.digits$}"))
        };
        push(
            &mut out,
            format_args!(
                "| {} | {ratio} | {} | {} |\n",
                row.what,
                number(row.ours),
                number(row.peer)
            ),
        );
    }
    out.push('\n');
    for run in runs {
        for (name, memory, cpu) in &run.idle.processes {
            push(
                &mut out,
                format_args!(
                    "- {name}: {:.0} MiB resident, {cpu:.3} CPU seconds per cycle\n",
                    mib(memory.rss)
                ),
            );
        }
    }
    out
}

fn rows(ours: Option<&Run>, peer: Option<&Run>) -> Vec<Row> {
    let row = |what: &str, digits: usize, of: &dyn Fn(&Run) -> f64| Row {
        what: what.to_owned(),
        ours: ours.map(of),
        peer: peer.map(of),
        digits,
        rises: false,
    };
    let mut rows = vec![
        row("memory, mean RSS, MiB", 0, &|run| mib(run.idle.memory.rss)),
        row("memory, mean PSS, MiB", 0, &|run| mib(run.idle.memory.pss)),
        row("memory, peak at start, MiB", 0, &|run| mib(run.start.peak)),
        row("memory, peak under load, MiB", 0, &|run| {
            mib(run.peak_under_load)
        }),
        row("CPU seconds per cycle", 3, &|run| run.idle.cpu),
        row("bytes per cycle, MiB", 2, &|run| mib(run.idle.bytes)),
        row("start to ready, s", 1, &|run| run.start.ready),
        row("start to all pods, s", 1, &|run| run.start.complete),
        row("caches in sync to all pods, s", 1, &|run| {
            let synced = run.start.synced;
            synced.map_or(0.0, |synced| run.start.complete - synced)
        }),
    ];
    if let Some(restart) = ours.and_then(|run| run.start.restart) {
        rows.push(row("restarted frontend to all pods, s", 2, &|run| {
            if run.subject == OURS {
                restart
            } else {
                run.start.complete
            }
        }));
    }
    rows.retain(|row| row.ours.unwrap_or(0.0) > 0.0 || row.peer.unwrap_or(0.0) > 0.0);
    let Some(any) = ours.or(peer) else {
        return rows;
    };
    for latency in any.requests.iter().chain(&any.pause) {
        rows.extend(latencies(&latency.name, ours, peer));
    }
    for one in &any.throughput {
        let find = |run: &Run| {
            let same = |other: &&Throughput| {
                other.name == one.name && other.connections == one.connections
            };
            run.throughput
                .iter()
                .find(same)
                .map(|found| found.per_second)
        };
        rows.push(Row {
            what: format!("{}, {} connections, 1/s", one.name, one.connections),
            ours: ours.and_then(find),
            peer: peer.and_then(find),
            digits: 0,
            rises: true,
        });
    }
    rows
}

fn latencies(name: &str, ours: Option<&Run>, peer: Option<&Run>) -> Vec<Row> {
    let is_pause = name.contains(" x ");
    let row = |what: &str, digits: usize, of: fn(&Latency) -> f64| {
        let find = |run: &Run| {
            let mut all = run.requests.iter().chain(&run.pause);
            all.find(|latency| latency.name == name).map(of)
        };
        Row {
            what: format!("{name}, {what}"),
            ours: ours.and_then(find),
            peer: peer.and_then(find),
            digits,
            rises: false,
        }
    };
    let mut rows = vec![
        row("p50 ms", 2, |latency| latency.p50),
        row("p99 ms", 2, |latency| latency.p99),
    ];
    if is_pause {
        rows.push(row("p99.9 ms", 2, |latency| latency.p999));
    } else {
        rows.push(row("CPU ms", 2, |latency| latency.cpu * 1_000.0));
    }
    rows
}

/// The cost of Tributary at every measured size.
fn curves(runs: &[Run]) -> String {
    let mut out = String::from(
        "\n## Tributary by size\n\n| nodes | pods per node | containers | scrapers | frontends | bus | RSS MiB | KiB per node | CPU s per cycle \
         | µs per scrape | KiB per scrape | all pods after s | GET p50 ms | LIST all p50 ms |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    let mut seen = Vec::new();
    let simulated =
        |run: &&Run| run.subject == OURS && run.control_plane == ControlPlane::Simulated;
    for run in runs.iter().rev().filter(simulated) {
        let key = (run.size, run.scrapers, run.frontends, run.bus);
        if seen.iter().any(|(other, _)| *other == key) {
            continue;
        }
        seen.push((key, run));
    }
    seen.sort_by_key(|((size, scrapers, frontends, bus), _)| {
        (
            size.nodes,
            size.pods_per_node,
            size.containers,
            *scrapers,
            *frontends,
            *bus == Some(Bus::Tls),
        )
    });
    for (_, run) in seen {
        let p50 = |name: &str| {
            let found = run.requests.iter().find(|latency| latency.name == name);
            found.map_or_else(String::new, |latency| format!("{:.2}", latency.p50))
        };
        let nodes = count(run.size.nodes);
        push(
            &mut out,
            format_args!(
                "| {} | {} | {} | {} | {} | {} | {:.0} | {:.1} | {:.3} | {:.0} | {:.1} | {:.1} | {} | {} |\n",
                run.size.nodes,
                run.size.pods_per_node,
                run.size.containers,
                run.scrapers,
                run.frontends,
                match run.bus {
                    Some(Bus::Tls) => "TLS",
                    Some(Bus::Unix) | None => "Unix",
                },
                mib(run.idle.memory.rss),
                mib(run.idle.memory.rss) * 1_024.0 / nodes,
                run.idle.cpu,
                run.idle.cpu / nodes * 1e6,
                mib(run.idle.bytes) * 1_024.0 / nodes,
                run.start.complete,
                p50("GET pod"),
                p50("LIST all pods, JSON"),
            ),
        );
    }
    out
}

fn mib(bytes: u64) -> f64 {
    count(usize::try_from(bytes >> 10).unwrap_or(usize::MAX)) / 1_024.0
}

fn count(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::MAX, f64::from)
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    out.write_fmt(text).ok();
}
