//! From what is known of the processes to what is shown.

use std::collections::VecDeque;

use tokio::time::Instant;
use tributary_runtime::metrics::ProcessUsage;

use crate::{
    plan::Kind,
    processes::{Process, Processes},
    screen::{Row, Usage, View},
    watch::{Served, What},
};

/// Over how many looks CPU is averaged: `/proc` counts hundredths of a second,
/// which would be whole percents from one second to the next.
const LOOKS: usize = 10;

/// What a process uses, by what `/proc` says from time to time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meter {
    pid: Option<u32>,
    /// When it was looked at, and the CPU seconds it had spent; the oldest
    /// first, at most [`LOOKS`].
    looks: VecDeque<(Instant, f64)>,
    resident_bytes: Option<u64>,
}

impl Meter {
    /// Looks at the process, which may be another one than last time.
    pub(crate) fn look(&mut self, pid: Option<u32>, now: Instant) {
        if self.pid != pid {
            *self = Self {
                pid,
                ..Self::default()
            };
        }
        let found = pid.and_then(|pid| ProcessUsage::of(&pid.to_string()));
        self.resident_bytes = found.map(|found| found.resident_bytes);
        if self.looks.len() == LOOKS {
            self.looks.pop_front();
        }
        self.looks
            .extend(found.map(|found| (now, found.cpu_seconds)));
    }

    /// What `pid` uses, if that is whom it looked at.
    fn usage(&self, pid: Option<u32>) -> Option<Usage> {
        let resident_bytes = self.resident_bytes.filter(|_| self.pid == pid)?;
        Some(Usage {
            resident_bytes,
            cpu_percent: self.cpu_percent(),
        })
    }

    fn cpu_percent(&self) -> Option<f64> {
        let ((from, before), (to, spent)) = self.looks.front().zip(self.looks.back())?;
        let seconds = to.duration_since(*from).as_secs_f64();
        (seconds > 0.0).then(|| (spent - before).max(0.0) / seconds * 100.0)
    }
}

/// What all processes use: one meter each, and one for the demo itself.
#[derive(Debug)]
pub(crate) struct Meters {
    children: Vec<Meter>,
    own: Meter,
}

impl Meters {
    pub(crate) fn new(children: usize) -> Self {
        Self {
            children: vec![Meter::default(); children],
            own: Meter::default(),
        }
    }

    /// Looks at all of them.
    pub(crate) fn look(&mut self, processes: &Processes, now: Instant) {
        for (meter, process) in self.children.iter_mut().zip(processes.all()) {
            meter.look(process.pid, now);
        }
        self.own.look(Some(std::process::id()), now);
    }

    /// A row for each process, as of second `now` of the Unix epoch, and one
    /// for the demo itself, which simulates `nodes`.
    pub(crate) fn rows(&self, processes: &Processes, nodes: usize, now: i64) -> Vec<Row> {
        let children = processes.all().iter().zip(&self.children);
        let mut rows: Vec<Row> = children
            .map(|(process, meter)| row(process, meter.usage(process.pid), now))
            .collect();
        rows.push(Row {
            name: "cluster".to_owned(),
            role: "simulator",
            pid: Some(std::process::id()),
            share: count(nodes, "kubelet"),
            usage: self.own.usage(self.own.pid),
            restarts: None,
            state: "-",
            view: None,
        });
        rows
    }
}

fn row(process: &Process, usage: Option<Usage>, now: i64) -> Row {
    let what = process.seen.as_ref().map(|seen| &seen.what);
    let share = match what {
        Some(What::Scraper { nodes, frontends }) => {
            format!(
                "{} to {}",
                count(*nodes, "node"),
                count(*frontends, "frontend")
            )
        }
        Some(What::Frontend { streams, .. }) => count(*streams, "stream"),
        None => "-".to_owned(),
    };
    let served = match what {
        Some(What::Frontend { served, .. }) => *served,
        Some(What::Scraper { .. }) | None => Served::default(),
    };
    let state = match (process.pid, &process.seen) {
        (None, _) => "down",
        (Some(_), None) if process.arrived => "silent",
        (Some(_), None) => "starting",
        (Some(_), Some(seen)) if seen.ready => "ready",
        (Some(_), Some(_)) => "not ready",
    };
    Row {
        name: process.spec.name.clone(),
        role: process.spec.kind.name(),
        pid: process.pid,
        share,
        usage,
        restarts: Some(process.restarts),
        state,
        view: (process.spec.kind == Kind::Frontend).then(|| View::new(&served, now)),
    }
}

/// `1 node`, `2 nodes`.
pub(crate) fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}
