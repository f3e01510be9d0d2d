//! The pages of older kubelets for the same node.

use serde_json::{Value, json};

use super::{
    CONTAINER_CPU, CONTAINER_MEMORY, ContainerRow, NODE_CPU, NODE_MEMORY, Page, SCRAPE_ERROR,
    family, head, sample,
};
use crate::cadvisor::Reading;
use crate::kubelet::Moment;

impl Page {
    /// Appends the page `/metrics/resource/v1alpha1`: neither starts nor swap nor pods.
    pub(crate) fn write_v1alpha1(&self, moment: Moment, out: &mut Vec<u8>) {
        let sampled: Vec<_> = self.sampled(moment).collect();
        let rows = sampled.iter();
        family(
            &CONTAINER_CPU,
            rows.clone()
                .map(|(row, read)| (&row.labels, (read.cpu_nanos, 9), Some(read.at))),
            out,
        );
        family(
            &CONTAINER_MEMORY,
            rows.map(|(row, read)| (&row.labels, (read.memory_bytes, 0), Some(read.at))),
            out,
        );
        let at = moment.sampled(self.offset);
        head(&NODE_CPU, out);
        sample(&NODE_CPU, " ", (self.node_cpu(at), 9), Some(at), out);
        head(&NODE_MEMORY, out);
        sample(&NODE_MEMORY, " ", (self.node_memory(at), 0), Some(at), out);
        head(&SCRAPE_ERROR, out);
        sample(&SCRAPE_ERROR, " ", (0, 0), None, out);
    }

    /// The page `/stats/summary?only_cpu_and_memory=true`, with times in whole seconds.
    pub(crate) fn summary(&self, moment: Moment) -> Value {
        let at = moment.sampled(self.offset);
        let mut pods: Vec<Value> = Vec::new();
        for (row, read) in self.sampled(moment) {
            let (namespace, pod) = (&row.key.0, &row.key.1);
            let reference = json!({ "name": pod, "namespace": namespace, "uid": "" });
            let found = pods.iter_mut().find(|it| it["podRef"] == reference);
            let container = container(row, &read);
            if let Some(containers) = found.and_then(|it| it["containers"].as_array_mut()) {
                containers.push(container);
            } else {
                pods.push(json!({ "podRef": reference, "containers": [container] }));
            }
        }
        json!({
            "node": {
                "nodeName": self.name,
                "startTime": seconds(self.booted),
                "cpu": { "time": seconds(at), "usageCoreNanoSeconds": self.node_cpu(at) },
                "memory": { "time": seconds(at), "workingSetBytes": self.node_memory(at) },
                "swap": { "time": seconds(at), "swapUsageBytes": self.node_swap(at) },
            },
            "pods": pods,
        })
    }

    fn sampled(&self, moment: Moment) -> impl Iterator<Item = (&ContainerRow, Reading)> {
        let rows = self.containers.iter();
        rows.filter_map(move |row| Some((row, row.sampled(moment)?)))
    }
}

fn container(row: &ContainerRow, read: &Reading) -> Value {
    let at = seconds(read.at);
    json!({
        "name": row.key.2,
        "startTime": seconds(row.started),
        "cpu": { "time": at, "usageCoreNanoSeconds": read.cpu_nanos },
        "memory": { "time": at, "workingSetBytes": read.memory_bytes },
        "swap": { "time": at, "swapUsageBytes": read.swap_bytes },
    })
}

/// RFC 3339 without a fraction, as Go's `metav1.Time`.
fn seconds(millis: i64) -> Value {
    let at = jiff::Timestamp::from_second(millis.div_euclid(1_000));
    at.map_or(Value::Null, |at| at.to_string().into())
}
