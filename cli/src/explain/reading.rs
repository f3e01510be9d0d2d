//! What `metrics.k8s.io` has of a node or a pod.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::{Explained, Why};
use crate::{
    kube_api::{Failure, KubeApi, path},
    metrics_api,
    printed::{Paint, Table, between, span},
};

/// What `metrics.k8s.io` answers, and which version of it.
pub(super) struct Answer {
    /// The path of the version.
    pub(super) root: &'static str,
    pub(super) reading: Result<Reading, Failure>,
}

impl Answer {
    /// Asks for the object with these names below the version that is served.
    pub(super) async fn read(api: &KubeApi, names: &[&str]) -> Self {
        let root = metrics_api::root(api).await;
        let reading = api.get(&path(root, names)).await;
        Self { root, reading }
    }

    /// Says which version it is.
    pub(super) fn explain(&self, to: &mut Explained) {
        let name = metrics_api::name(self.root);
        to.detail("asked", name);
        if self.reading.is_ok() {
            to.line("answer", name);
        }
    }
}

impl<'a> Why<'a> {
    /// What the metrics API says of something without metrics.
    pub(super) fn of_metrics(message: &'a str) -> Self {
        Self {
            from: "metrics.k8s.io",
            reason: "",
            message,
            trouble: None,
        }
    }
}

type Usage = BTreeMap<String, Quantity>;

/// A `NodeMetrics` or a `PodMetrics`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Reading {
    /// When the later of the two samples was measured.
    timestamp: Timestamp,
    /// The time between them, as Go writes it.
    #[serde(default)]
    window: String,
    /// Of a node.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    usage: Usage,
    /// Of a pod.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    containers: Vec<OfContainer>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct OfContainer {
    name: String,
    #[serde(default)]
    usage: Usage,
}

impl Reading {
    /// The numbers, and between which samples the CPU usage is a mean.
    pub(super) fn explain(&self, now: Timestamp, to: &mut Explained) {
        to.detail("metrics", self);
        if self.containers.is_empty() {
            to.line("usage", amounts(&self.usage));
        } else {
            let mut table = Table::new(&["CONTAINER", "CPU", "MEMORY"]);
            for container in &self.containers {
                let [cpu, memory] = ["cpu", "memory"].map(|name| amount(&container.usage, name));
                table.row([container.name.clone(), cpu, memory]);
            }
            for line in table.text(Paint::PLAIN).lines() {
                to.line("usage", line);
            }
        }
        let window: Option<SignedDuration> = self.window.parse().ok();
        let begin = window.and_then(|window| self.timestamp.checked_sub(window).ok());
        let begin = begin.map(|begin| format!("{begin} and "));
        let window = match &*self.window {
            "" => String::new(),
            window => format!(", {window} apart"),
        };
        let (begin, end) = (begin.unwrap_or_default(), self.timestamp);
        to.line(
            "samples",
            format!("measured at {begin}{end}{window}; CPU usage is the mean between them"),
        );
        let age: Duration = between(end, now);
        to.line("samples", format!("the newer one is {} old", span(age)));
    }
}

fn amount(usage: &Usage, name: &str) -> String {
    usage
        .get(name)
        .map(|quantity| readable(&quantity.0))
        .unwrap_or_default()
}

fn amounts(usage: &Usage) -> String {
    let amounts = usage
        .iter()
        .map(|(name, quantity)| format!("{name} {}", readable(&quantity.0)));
    amounts.collect::<Vec<_>>().join(", ")
}

/// Nano-cores as milli-cores, `Ki` as `Mi`; anything else as it is.
fn readable(quantity: &str) -> String {
    let parsed = |suffix: &str| quantity.strip_suffix(suffix)?.parse::<u64>().ok();
    if let Some(nano) = parsed("n") {
        return format!("{}m", nano.div_ceil(1_000_000));
    }
    if let Some(kibi) = parsed("Ki") {
        return format!("{}Mi", kibi / 1024);
    }
    quantity.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_those_of_kubectl_top() {
        assert_eq!(readable("249999000n"), "250m");
        assert_eq!(readable("65536Ki"), "64Mi");
        assert_eq!(readable("2"), "2");
    }
}
