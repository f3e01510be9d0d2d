//! The page `/metrics/resource` of one node, in the shape of a kubelet 1.36.

mod older;

use std::time::Duration;

use crate::cadvisor::{Measured, Reading};
use crate::encode::hash;
use crate::kubelet::{Moment, number};
use crate::load::Usage;
use crate::objects::{Node, Phase, Pod, since};

/// Containers of one node are sampled within this many milliseconds of each other.
const SPREAD: u64 = 15;

/// A node's page without a time: names are rendered, loads are formulas.
#[derive(Debug)]
pub(crate) struct Page {
    name: String,
    node: Usage,
    booted: i64,
    /// Core-nanoseconds of ended containers.
    spent: u64,
    offset: i64,
    /// By container, namespace, pod.
    containers: Vec<ContainerRow>,
    /// By namespace, pod.
    pods: Vec<PodRow>,
}

#[derive(Debug)]
struct ContainerRow {
    /// Namespace, pod, container.
    key: (String, String, String),
    /// With braces and the blank behind.
    labels: String,
    usage: Usage,
    started: i64,
    offset: i64,
    /// The samples, if each container is measured at its own times.
    measured: Option<Measured>,
}

impl ContainerRow {
    /// The newest sample. `None` if there is none since the start, so that only the start is reported.
    fn sampled(&self, moment: Moment) -> Option<Reading> {
        if let Some(measured) = &self.measured {
            return measured.newest(&self.usage, self.started, moment.now);
        }
        let at = moment.sampled(self.offset);
        (at >= self.started).then(|| Reading::of(&self.usage, self.started, at))
    }
}

#[derive(Debug)]
struct PodRow {
    labels: String,
    spent: u64,
    offset: i64,
    containers: Vec<(Usage, i64)>,
}

impl Page {
    pub(crate) fn new(
        node: &Node,
        spent: u64,
        pods: impl Iterator<Item = impl AsRef<Pod>>,
    ) -> Self {
        let base = offset(&["node", &node.name]);
        let mut containers = Vec::new();
        let mut rows = Vec::new();
        for pod in pods {
            let pod = pod.as_ref();
            if pod.phase != Phase::Running {
                continue;
            }
            let (namespace, name) = (&pod.namespace, &pod.name);
            for container in &pod.containers {
                let seed = [container.name.as_str(), namespace, name];
                let jitter = i64::try_from(hash(&seed) % SPREAD).unwrap_or(0);
                let labels = format!(
                    "{{container=\"{}\",namespace=\"{namespace}\",pod=\"{name}\"}} ",
                    container.name
                );
                let (usage, started) = (container.usage, container.started);
                let key = (namespace.clone(), name.clone(), container.name.clone());
                containers.push(ContainerRow {
                    key,
                    labels,
                    usage,
                    started,
                    offset: base + jitter,
                    measured: container.measured,
                });
            }
            rows.push(PodRow {
                labels: format!("{{namespace=\"{namespace}\",pod=\"{name}\"}} "),
                spent: pod.spent,
                offset: offset(&["pod", namespace, name]),
                containers: pod
                    .containers
                    .iter()
                    .map(|container| (container.usage, container.started))
                    .collect(),
            });
        }
        containers.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
        rows.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
        let node_offset = offset(&["machine", &node.name]);
        Self {
            name: node.name.clone(),
            node: node.usage,
            booted: node.booted,
            spent,
            offset: node_offset,
            containers,
            pods: rows,
        }
    }

    /// Core-nanoseconds of the node until a time: its own, its containers', and those of ended containers.
    pub(crate) fn node_cpu(&self, at: i64) -> u64 {
        let own = self
            .node
            .cpu_nanos(since(self.booted, at))
            .saturating_add(self.spent);
        self.containers.iter().fold(own, |sum, row| {
            sum.saturating_add(row.usage.cpu_nanos(since(row.started, at)))
        })
    }

    /// The node's working set in bytes at a moment.
    pub(crate) fn node_memory(&self, at: i64) -> u64 {
        let own = self.node.memory_bytes(since(self.booted, at));
        let running = self.containers.iter().filter(|row| row.started <= at);
        running.fold(own, |sum, row| {
            sum.saturating_add(row.usage.memory_bytes(since(row.started, at)))
        })
    }

    fn node_swap(&self, at: i64) -> u64 {
        let own = self.node.swap_bytes(since(self.booted, at));
        self.containers.iter().fold(own, |sum, row| {
            sum.saturating_add(row.usage.swap_bytes(since(row.started, at)))
        })
    }

    /// Appends the page's text.
    pub(crate) fn write(&self, moment: Moment, out: &mut Vec<u8>) {
        self.write_containers(moment, out);
        let at = moment.sampled(self.offset);
        head(&NODE_CPU, out);
        sample(&NODE_CPU, " ", (self.node_cpu(at), 9), Some(at), out);
        head(&NODE_MEMORY, out);
        sample(&NODE_MEMORY, " ", (self.node_memory(at), 0), Some(at), out);
        head(&NODE_SWAP, out);
        sample(&NODE_SWAP, " ", (self.node_swap(at), 0), Some(at), out);
        self.write_pods(moment, out);
        head(&SCRAPE_ERROR, out);
        sample(&SCRAPE_ERROR, " ", (0, 0), None, out);
    }

    fn write_containers(&self, moment: Moment, out: &mut Vec<u8>) {
        let sampled = || {
            let rows = self.containers.iter();
            rows.filter_map(move |row| Some((row, row.sampled(moment)?)))
        };
        family(
            &CONTAINER_CPU,
            sampled().map(|(row, read)| (&row.labels, (read.cpu_nanos, 9), Some(read.at))),
            out,
        );
        family(
            &CONTAINER_MEMORY,
            sampled().map(|(row, read)| (&row.labels, (read.memory_bytes, 0), Some(read.at))),
            out,
        );
        family(
            &CONTAINER_START,
            self.containers.iter().map(|row| {
                (
                    &row.labels,
                    (u64::try_from(row.started).unwrap_or(0), 3),
                    None,
                )
            }),
            out,
        );
        let now = Some(moment.now);
        family(
            &CONTAINER_SWAP_LIMIT,
            sampled().map(|(row, ..)| (&row.labels, (0, 0), now)),
            out,
        );
        family(
            &CONTAINER_SWAP,
            sampled().map(|(row, read)| (&row.labels, (read.swap_bytes, 0), now)),
            out,
        );
    }

    fn write_pods(&self, moment: Moment, out: &mut Vec<u8>) {
        let total = |row: &PodRow, at: i64, value: fn(&Usage, Duration) -> u64| {
            let running = row.containers.iter().filter(|(_, started)| *started <= at);
            running.fold(0_u64, |sum, (usage, started)| {
                sum.saturating_add(value(usage, since(*started, at)))
            })
        };
        let sampled = || {
            self.pods.iter().filter_map(move |row| {
                let at = moment.sampled(row.offset);
                row.containers
                    .iter()
                    .any(|(_, started)| *started <= at)
                    .then_some((row, at))
            })
        };
        if self.pods.is_empty() {
            return;
        }
        head(&POD_CPU, out);
        for (row, at) in sampled() {
            let spent = row.spent.saturating_add(total(row, at, Usage::cpu_nanos));
            sample(&POD_CPU, &row.labels, (spent, 9), Some(at), out);
        }
        head(&POD_MEMORY, out);
        for (row, at) in sampled() {
            sample(
                &POD_MEMORY,
                &row.labels,
                (total(row, at, Usage::memory_bytes), 0),
                Some(at),
                out,
            );
        }
        head(&POD_SWAP, out);
        for (row, at) in sampled() {
            sample(
                &POD_SWAP,
                &row.labels,
                (total(row, at, Usage::swap_bytes), 0),
                Some(at),
                out,
            );
        }
    }
}

fn offset(parts: &[&str]) -> i64 {
    i64::from(u32::try_from(hash(parts) >> 32).unwrap_or(0))
}

/// A family's name and the lines above it.
struct Family {
    name: &'static str,
    head: &'static str,
}

macro_rules! family {
    ($name:literal, $stability:literal, $kind:literal, $help:literal) => {
        Family {
            name: $name,
            head: concat!(
                "# HELP ",
                $name,
                " [",
                $stability,
                "] ",
                $help,
                "\n# TYPE ",
                $name,
                " ",
                $kind,
                "\n"
            ),
        }
    };
}

static CONTAINER_CPU: Family = family!(
    "container_cpu_usage_seconds_total",
    "STABLE",
    "counter",
    "Cumulative cpu time consumed by the container in core-seconds"
);
static CONTAINER_MEMORY: Family = family!(
    "container_memory_working_set_bytes",
    "STABLE",
    "gauge",
    "Current working set of the container in bytes"
);
static CONTAINER_START: Family = family!(
    "container_start_time_seconds",
    "STABLE",
    "gauge",
    "Start time of the container since unix epoch in seconds"
);
static CONTAINER_SWAP_LIMIT: Family = family!(
    "container_swap_limit_bytes",
    "ALPHA",
    "gauge",
    "Current amount of the container swap limit in bytes. Reported only on non-windows systems"
);
static CONTAINER_SWAP: Family = family!(
    "container_swap_usage_bytes",
    "ALPHA",
    "gauge",
    "Current amount of the container swap usage in bytes. Reported only on non-windows systems"
);
static NODE_CPU: Family = family!(
    "node_cpu_usage_seconds_total",
    "STABLE",
    "counter",
    "Cumulative cpu time consumed by the node in core-seconds"
);
static NODE_MEMORY: Family = family!(
    "node_memory_working_set_bytes",
    "STABLE",
    "gauge",
    "Current working set of the node in bytes"
);
static NODE_SWAP: Family = family!(
    "node_swap_usage_bytes",
    "ALPHA",
    "gauge",
    "Current swap usage of the node in bytes. Reported only on non-windows systems"
);
static POD_CPU: Family = family!(
    "pod_cpu_usage_seconds_total",
    "STABLE",
    "counter",
    "Cumulative cpu time consumed by the pod in core-seconds"
);
static POD_MEMORY: Family = family!(
    "pod_memory_working_set_bytes",
    "STABLE",
    "gauge",
    "Current working set of the pod in bytes"
);
static POD_SWAP: Family = family!(
    "pod_swap_usage_bytes",
    "ALPHA",
    "gauge",
    "Current amount of the pod swap usage in bytes. Reported only on non-windows systems"
);
static SCRAPE_ERROR: Family = family!(
    "resource_scrape_error",
    "STABLE",
    "gauge",
    "1 if there was an error while getting container metrics, 0 otherwise"
);

fn head(family: &Family, out: &mut Vec<u8>) {
    out.extend_from_slice(family.head.as_bytes());
}

/// A mantissa and the number of its digits behind the point.
type Decimal = (u64, u32);

/// A whole family. Without a sample it is omitted.
fn family<L: AsRef<str>>(
    family: &Family,
    rows: impl Iterator<Item = (L, Decimal, Option<i64>)>,
    out: &mut Vec<u8>,
) {
    for (index, (labels, value, at)) in rows.enumerate() {
        if index == 0 {
            head(family, out);
        }
        sample(family, labels.as_ref(), value, at, out);
    }
}

fn sample(
    family: &Family,
    labels: &str,
    (mantissa, scale): Decimal,
    at: Option<i64>,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(family.name.as_bytes());
    out.extend_from_slice(labels.as_bytes());
    number::write(mantissa, scale, out);
    if let Some(at) = at {
        out.push(b' ');
        number::integer(u64::try_from(at).unwrap_or(0), out);
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests;
