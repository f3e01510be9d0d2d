//! Kubelets of other versions, with both components.

use serde_json::Value;
use tributary_e2e::{ask::Client, patience::eventually, stack::Stack};
use tributary_sim::Serves;

use super::{NODES, PODS, all_served, steady};

/// A node for each version of kubelets, and the endpoint from which it is read.
const KUBELETS: [(&str, Serves, Option<&str>); 3] = [
    ("node-00001", Serves::Resource, None),
    (
        "node-00002",
        Serves::ResourceV1alpha1,
        Some("/metrics/resource/v1alpha1"),
    ),
    ("node-00003", Serves::StatsSummary, Some("/stats/summary")),
];

/// The entry of a node in `/debug/nodes`.
async fn debug(front: &Client, node: &str) -> Result<Value, String> {
    let answer = front.ok(&format!("/debug/nodes?node={node}")).await?;
    Ok(answer.json()["nodes"][0].take())
}

/// Waits until a node is read from this endpoint.
async fn read_from(front: &Client, node: &str, endpoint: Option<&str>) {
    eventually(|| async {
        let known = debug(front, node).await?;
        if known["state"] == "served" && known["endpoint"].as_str() == endpoint {
            return Ok(());
        }
        Err(known.to_string())
    })
    .await;
}

/// Reads a quantity of CPU.
fn nanocores(quantity: &str) -> Option<u64> {
    let unit = quantity.trim_start_matches(|c: char| c.is_ascii_digit());
    let number: u64 = quantity.strip_suffix(unit)?.parse().ok()?;
    Some(match unit {
        "n" => number,
        "u" => number * 1_000,
        "m" => number * 1_000_000,
        _ => return None,
    })
}

/// Waits until every pod has its memory and its CPU rate, which is as exact as whole seconds permit at a resolution of
/// half a second.
async fn measured(front: &Client) {
    eventually(|| async {
        let pods = front.ok(PODS).await?.items();
        for pod in &pods {
            let usage = &pod["containers"][0]["usage"];
            let cpu = usage["cpu"].as_str().and_then(nanocores).unwrap_or(0);
            if usage["memory"] != "64Mi" || !(100_000_000..=500_000_000).contains(&cpu) {
                return Err(pod.to_string());
            }
        }
        if pods.len() == 6 {
            return Ok(());
        }
        Err(format!("{} pods", pods.len()))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kubelets_of_every_version_are_read_and_it_is_said_how() {
    let stack = Stack::patient(steady(3, 2), 1, 1).await;
    let front = stack.front(0);
    all_served(&stack, &front).await;
    for (node, serves, _) in KUBELETS {
        stack.cluster.set_serves(node, serves).unwrap();
    }
    for (node, _, endpoint) in KUBELETS {
        read_from(&front, node, endpoint).await;
    }
    for endpoint in ["resource", "resource-v1alpha1", "stats-summary"] {
        let metric = format!("tributary_scrape_readings_total{{endpoint=\"{endpoint}\"}}");
        assert!(stack.of_scraper(0, &metric).await > 0, "{endpoint}");
    }
    all_served(&stack, &front).await;
    measured(&front).await;
    let summary = stack.cluster.kubelet_stats("node-00003").unwrap();
    assert_eq!(summary.last_path, "/stats/summary?only_cpu_and_memory=true");
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_names_the_endpoint_that_it_has() {
    const PATH: &str = "metrics.k8s.io/resource-metrics-path";
    let (node, serves, endpoint) = KUBELETS[2];
    let stack = Stack::patient(steady(3, 1), 1, 1).await;
    let cluster = &stack.cluster;
    cluster.set_serves(node, serves).unwrap();
    cluster.annotate_node(node, PATH, endpoint).unwrap();
    let front = stack.front(0);
    read_from(&front, node, endpoint).await;
    all_served(&stack, &front).await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kubelet_without_any_page_says_what_was_tried() {
    let stack = Stack::start(steady(1, 1), 1, 1).await;
    let front = stack.front(0);
    all_served(&stack, &front).await;
    let cluster = &stack.cluster;
    cluster.set_serves("node-00001", Serves::Nothing).unwrap();
    let said = eventually(|| async {
        let answer = front.get(&format!("{NODES}/node-00001")).await;
        let answer = answer.map_err(|error| error.to_string())?;
        let failing = answer.status == 404 && answer.message().contains("last scrape failed");
        failing.then(|| answer.message()).ok_or(answer.message())
    })
    .await;
    let tried = "the kubelet has none of /metrics/resource, /metrics/resource/v1alpha1 and \
                 /stats/summary";
    assert!(said.contains(tried), "{said}");
    stack.stop().await;
}
