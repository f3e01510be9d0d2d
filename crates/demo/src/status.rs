//! Converts the state of the processes to the content of the screen.

use std::collections::VecDeque;

use tokio::time::Instant;
use tributary_runtime::metrics::ProcessUsage;

use crate::{
    plan::Kind,
    processes::{Process, Processes},
    screen::{Fed, Row, Usage, View},
    watch::{ScraperCounts, Served, What},
};

/// The number of readings for the mean of CPU. `/proc` counts hundredths of a second, which are whole percents of one
/// second.
const LOOKS: usize = 10;

/// The resources of a process, read from `/proc` repeatedly.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meter {
    pid: Option<u32>,
    /// The times of the readings and the CPU seconds that were used until then, oldest first, at most [`LOOKS`].
    looks: VecDeque<(Instant, f64)>,
    resident_bytes: Option<u64>,
}

impl Meter {
    /// Reads the process, which may be another one than before.
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

    /// The resources of `pid`, if this meter has read that process.
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

/// The resources of all processes: one meter for each, and one for the demo.
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

    /// Reads all processes.
    pub(crate) fn look(&mut self, processes: &Processes, now: Instant) {
        for (meter, process) in self.children.iter_mut().zip(processes.all()) {
            meter.look(process.pid, now);
        }
        self.own.look(Some(std::process::id()), now);
    }

    /// A row for each process, at second `now` of the Unix epoch, and one for the demo, which simulates `nodes`.
    pub(crate) fn rows(&self, processes: &Processes, nodes: usize, now: i64) -> Vec<Row> {
        let children = processes.all().iter().zip(&self.children);
        let mut rows: Vec<Row> = children
            .map(|(process, meter)| row(process, meter.usage(process.pid), now))
            .collect();
        rows.push(Row {
            name: format!("simulator with {}", count(nodes, "kubelet")),
            pid: Some(std::process::id()),
            usage: self.own.usage(self.own.pid),
            restarts: None,
            state: "-",
            view: View::None,
        });
        rows
    }
}

fn row(process: &Process, usage: Option<Usage>, now: i64) -> Row {
    let state = match (process.pid, &process.seen) {
        (None, _) => "down",
        (Some(_), None) if process.arrived => "silent",
        (Some(_), None) => "starting",
        (Some(_), Some(seen)) if seen.ready => "ready",
        (Some(_), Some(_)) => "not ready",
    };
    let view = match process.seen.as_ref().map(|seen| &seen.what) {
        Some(What::Scraper(counts)) => View::Scraper(Some(*counts)),
        Some(What::Frontend {
            streams,
            overdue,
            served,
        }) => View::Frontend(Some(Fed {
            streams: *streams,
            overdue: *overdue,
            nodes: served.nodes,
            pods: served.pods,
            age: ages(served, now),
        })),
        None if process.spec.kind == Kind::Scraper => View::Scraper(None),
        None => View::Frontend(None),
    };
    Row {
        name: process.spec.name.clone(),
        pid: process.pid,
        usage,
        restarts: Some(process.restarts),
        state,
        view,
    }
}

/// The ages of the newest and of the oldest sample, in seconds.
fn ages(served: &Served, now: i64) -> Option<(i64, i64)> {
    let age = |at: jiff::Timestamp| now.saturating_sub(at.as_second()).max(0);
    served.samples.map(|(new, old)| (age(new), age(old)))
}

/// A line about what has changed for a scraper: members, owned nodes, more rescues. `None` if nothing has. Fewer rescues
/// do not count, because they end one by one.
pub(crate) fn changed(before: &ScraperCounts, now: &ScraperCounts) -> Option<String> {
    let mut parts = Vec::new();
    if before.members != now.members {
        parts.push(format!("knows {}", count(now.members, "scraper")));
    }
    if before.owned != now.owned {
        parts.push(format!(
            "owns {}, was {}",
            count(now.owned, "node"),
            before.owned
        ));
    }
    if before.rescued < now.rescued {
        parts.push(format!("rescues {}", count(now.rescued, "node")));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// `1 node`, `2 nodes`.
pub(crate) fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_counted_from_now_and_never_negative() {
        let at = |second| jiff::Timestamp::from_second(second).unwrap();
        let served = Served {
            nodes: 1,
            pods: 2,
            samples: Some((at(101), at(90))),
        };
        assert_eq!(ages(&served, 100), Some((0, 10)));
    }

    #[test]
    fn a_changed_assignment_is_reported_in_words() {
        let before = ScraperCounts {
            members: 3,
            owned: 7,
            standby: 6,
            rescued: 1,
            ..ScraperCounts::default()
        };
        assert_eq!(changed(&before, &before), None);
        let rescuing = ScraperCounts {
            rescued: 4,
            ..before
        };
        let message = changed(&before, &rescuing);
        assert_eq!(message.as_deref(), Some("rescues 4 nodes"));
        let taken_over = ScraperCounts {
            members: 2,
            owned: 11,
            rescued: 0,
            ..before
        };
        let message = changed(&rescuing, &taken_over);
        assert_eq!(
            message.as_deref(),
            Some("knows 2 scrapers; owns 11 nodes, was 7")
        );
    }
}
