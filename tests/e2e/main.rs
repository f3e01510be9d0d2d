//! Both components with a simulated cluster.

#![expect(
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a failed step is a failed test, and figures are printed"
)]

mod answers;
mod architecture;
mod arguments;
mod claims;
mod command;
mod definitions;
mod dependencies;
mod discovery;
mod documents;
mod endpoints;
mod events;
mod facts;
mod faults;
mod flags;
mod fleet;
mod floors;
mod fresh;
mod frontends;
mod groups;
mod imports;
mod k9s;
mod layers;
mod limits;
mod limits_table;
mod metrics;
mod names;
mod noise;
mod pages;
mod publishers;
mod real_pages;
mod reasons;
mod recorded;
mod references;
mod releases;
mod repository;
mod shards;
mod silence;
mod skew;
mod tokens;
mod words;

use std::collections::BTreeSet;

use serde_json::Value;
use tributary_e2e::{ask::Client, patience::eventually, stack::Stack};
use tributary_sim::{Builder, Cluster, Usage};

const NODES: &str = "/apis/metrics.k8s.io/v1beta1/nodes";
const PODS: &str = "/apis/metrics.k8s.io/v1beta1/pods";

/// A cluster in which every container uses a quarter of a core and 64 MiB.
fn steady(nodes: usize, pods_per_node: usize) -> Builder {
    Cluster::builder()
        .nodes(nodes)
        .pods_per_node(pods_per_node)
        .usage(Usage::steady(250, 64 << 20))
}

/// The names of the items of a list, `namespace/name` for pods.
fn names(items: &[Value]) -> BTreeSet<String> {
    let name = |item: &Value| {
        let meta = &item["metadata"];
        let name = meta["name"].as_str().unwrap_or_default();
        match meta["namespace"].as_str() {
            Some(namespace) => format!("{namespace}/{name}"),
            None => name.to_owned(),
        }
    };
    items.iter().map(name).collect()
}

/// Waits until every pod and every node of the cluster is served.
async fn all_served(stack: &Stack, client: &Client) {
    let pods = stack.cluster.pods();
    let pods: BTreeSet<String> = pods
        .into_iter()
        .map(|(namespace, name)| format!("{namespace}/{name}"))
        .collect();
    let nodes: BTreeSet<String> = stack.cluster.nodes().into_iter().collect();
    eventually(|| async {
        let served = (
            names(&client.ok(PODS).await?.items()),
            names(&client.ok(NODES).await?.items()),
        );
        if served == (pods.clone(), nodes.clone()) {
            return Ok(());
        }
        Err(format!("{} pods, {} nodes", served.0.len(), served.1.len()))
    })
    .await;
}

/// Waits until the kubelet of `node` was scraped `count` more times.
async fn scraped_again(stack: &Stack, node: &str, count: u64) {
    let requests = || {
        stack
            .cluster
            .kubelet_stats(node)
            .map(|stats| stats.requests)
    };
    let before = requests().unwrap();
    eventually(|| async {
        let now = requests().unwrap();
        if now >= before + count {
            Ok(())
        } else {
            Err(now)
        }
    })
    .await;
}
