//! Nodes, pods and containers: the descriptions of callers, and the objects of the cluster.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use jiff::Timestamp;

use crate::cadvisor::Measured;
use crate::load::Usage;

/// Labels or annotations.
pub(crate) type Map = BTreeMap<String, String>;

/// A node to add. Everything but the name has a default.
#[derive(Clone, Debug)]
pub struct NodeSpec {
    pub(crate) name: String,
    pub(crate) address: Option<Ipv4Addr>,
    pub(crate) labels: Map,
    pub(crate) annotations: Map,
    pub(crate) ready: bool,
    pub(crate) usage: Usage,
    pub(crate) booted: Option<Timestamp>,
}

impl NodeSpec {
    /// A ready node on the next free address, with the usual labels (`kubernetes.io/hostname`,
    /// `topology.kubernetes.io/zone`, ..). In addition to its containers it uses 200 millicores and 1 GiB.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            address: None,
            labels: Map::new(),
            annotations: Map::new(),
            ready: true,
            usage: Usage::steady(200, 1 << 30),
            booted: None,
        }
    }

    /// Sets the loopback address, which no other listener may use.
    #[must_use]
    pub fn address(self, address: Ipv4Addr) -> Self {
        Self {
            address: Some(address),
            ..self
        }
    }

    /// Adds a label.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Adds an annotation. `metrics.k8s.io/resource-metrics-path` sets the path of the kubelet's page.
    #[must_use]
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        self.annotations.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Makes the node not ready. Its kubelet still answers.
    #[must_use]
    pub fn not_ready(self) -> Self {
        Self {
            ready: false,
            ..self
        }
    }

    /// Sets what the node uses in addition to its containers.
    #[must_use]
    pub fn usage(self, usage: Usage) -> Self {
        Self { usage, ..self }
    }

    /// Sets the time of its start. By default an hour before it is added.
    #[must_use]
    pub fn booted(self, at: Timestamp) -> Self {
        Self {
            booted: Some(at),
            ..self
        }
    }
}

/// A container of a [`PodSpec`].
#[derive(Clone, Debug)]
pub(crate) struct ContainerSpec {
    pub(crate) name: String,
    pub(crate) usage: Usage,
    pub(crate) started: Option<Timestamp>,
}

/// A pod to add.
#[derive(Clone, Debug)]
pub struct PodSpec {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) node: String,
    pub(crate) labels: Map,
    pub(crate) annotations: Map,
    pub(crate) phase: Phase,
    pub(crate) containers: Vec<ContainerSpec>,
}

impl PodSpec {
    /// A running pod on `node`, without containers yet.
    pub fn new(namespace: &str, name: &str, node: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            node: node.to_owned(),
            labels: Map::new(),
            annotations: Map::new(),
            phase: Phase::Running,
            containers: Vec::new(),
        }
    }

    /// Adds a label.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Adds an annotation.
    #[must_use]
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        self.annotations.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Sets another phase than running. The kubelet reports running pods only.
    #[must_use]
    pub fn phase(self, phase: Phase) -> Self {
        Self { phase, ..self }
    }

    /// Adds a container that starts when the pod is added.
    #[must_use]
    pub fn container(mut self, name: &str, usage: Usage) -> Self {
        self.containers.push(ContainerSpec {
            name: name.to_owned(),
            usage,
            started: None,
        });
        self
    }

    /// Adds a container that has been running since `started`.
    #[must_use]
    pub fn container_since(mut self, name: &str, usage: Usage, started: Timestamp) -> Self {
        self.containers.push(ContainerSpec {
            name: name.to_owned(),
            usage,
            started: Some(started),
        });
        self
    }
}

/// A pod's `status.phase`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not started yet.
    Pending,
    /// At least one container runs.
    Running,
    /// All containers ended successfully.
    Succeeded,
    /// A container failed.
    Failed,
}

impl Phase {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
        }
    }
}

/// A node of the cluster.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) address: Ipv4Addr,
    pub(crate) port: u16,
    pub(crate) labels: Map,
    pub(crate) annotations: Map,
    pub(crate) ready: bool,
    pub(crate) usage: Usage,
    pub(crate) created: Timestamp,
    /// Milliseconds since the Unix epoch.
    pub(crate) booted: i64,
}

/// A pod of the cluster.
#[derive(Clone, Debug)]
pub(crate) struct Pod {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) node: String,
    pub(crate) labels: Map,
    pub(crate) annotations: Map,
    pub(crate) phase: Phase,
    pub(crate) created: Timestamp,
    pub(crate) containers: Vec<Container>,
    /// Core-nanoseconds of ended containers, which stay in the pod's counter.
    pub(crate) spent: u64,
}

/// A container of a pod.
#[derive(Clone, Debug)]
pub(crate) struct Container {
    pub(crate) name: String,
    pub(crate) usage: Usage,
    /// Milliseconds since the Unix epoch.
    pub(crate) started: i64,
    pub(crate) restarts: u32,
    /// The samples, if each container is measured at its own times.
    pub(crate) measured: Option<Measured>,
}

impl Pod {
    /// Starts measuring containers at their own times, from their start on, if they are not yet.
    pub(crate) fn start_clocks(&mut self, interval: Duration) {
        for container in &mut self.containers {
            let key = [&self.namespace, &self.name, &container.name].map(String::as_str);
            let first = || Measured::first(&key, &container.usage, container.started, interval);
            container.measured = Some(container.measured.unwrap_or_else(first));
        }
    }
}

impl Container {
    /// Takes the samples that are due until `now`. It must be called before the load changes.
    pub(crate) fn measure(&mut self, now: i64) {
        if let Some(measured) = &mut self.measured {
            measured.advance(&self.usage, self.started, now);
        }
    }

    /// Core-nanoseconds spent up to a moment in milliseconds since the epoch.
    pub(crate) fn cpu_nanos(&self, at: i64) -> u64 {
        self.usage.cpu_nanos(since(self.started, at))
    }
}

/// The time from one moment to another, both in milliseconds since the epoch; zero if it is negative.
pub(crate) fn since(start: i64, at: i64) -> Duration {
    Duration::from_millis(u64::try_from(at.saturating_sub(start)).unwrap_or(0))
}
