//! A kubelet reports pods that are bound to other nodes.

use std::collections::BTreeMap;

use tributary_e2e::{ask::Client, patience::eventually, stack::Stack};
use tributary_sim::{Builder, Fault, NodeSpec, PodSpec, Usage};

use super::{PODS, steady};

const HONEST_PODS: usize = 300;
const LIARS_PODS: usize = 5;

fn pod(name: &str, node: &str, millis: u64) -> PodSpec {
    PodSpec::new("shop", name, node).container("main", Usage::steady(millis, 32 << 20))
}

fn web(number: usize) -> String {
    format!("web-{number:03}")
}

/// 300 pods on node `honest`, each of which uses 100 millicores; five on node `liar`.
async fn started(cluster: Builder) -> Stack {
    let stack = Stack::patient(cluster, 1, 1).await;
    for name in ["honest", "liar"] {
        let node = NodeSpec::new(name);
        stack.cluster.add_node(node).await.unwrap();
    }
    for number in 0..HONEST_PODS {
        stack.cluster.add_pod(pod(&web(number), "honest", 100));
    }
    for number in 0..LIARS_PODS {
        let own = pod(&format!("own-{number}"), "liar", 50);
        stack.cluster.add_pod(own);
    }
    stack
}

/// The kubelet of `liar` reports all pods of `honest`, with 64 cores and with a later start.
fn lie(stack: &Stack) {
    for number in 0..HONEST_PODS {
        stack.cluster.add_ghost(pod(&web(number), "liar", 64_000));
    }
}

/// The number of served pods for each CPU rate.
async fn served(client: &Client) -> Result<BTreeMap<String, usize>, String> {
    let mut served = BTreeMap::new();
    for item in client.ok(PODS).await?.items() {
        let usage = item["containers"][0]["usage"]["cpu"].as_str().unwrap();
        *served.entry(usage.to_owned()).or_default() += 1;
    }
    Ok(served)
}

fn expected(usages: &[(&str, usize)]) -> BTreeMap<String, usize> {
    let usages = usages.iter();
    usages
        .map(|(cpu, pods)| ((*cpu).to_owned(), *pods))
        .collect()
}

/// Waits until pods are served with these rates.
async fn is_served(client: &Client, usages: &[(&str, usize)]) {
    let expected = expected(usages);
    eventually(|| async {
        let served = served(client).await?;
        if served == expected {
            Ok(())
        } else {
            Err(format!("{served:?}"))
        }
    })
    .await;
}

/// Waits until this many nodes have claims, and returns the number of refused pods so far.
async fn refused(stack: &Stack, nodes: u64) -> u64 {
    let front = stack.front(0);
    let refused = std::cell::Cell::new(0);
    eventually(|| async {
        let metrics = front.ok("/metrics").await?;
        let now = metrics.metric("tributary_pod_claims_refused_nodes");
        refused.set(
            metrics
                .metric("tributary_pod_claims_refused_total")
                .unwrap(),
        );
        if now == Some(nodes) {
            Ok(())
        } else {
            Err(format!("{now:?}"))
        }
    })
    .await;
    refused.get()
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_that_another_node_claims_are_served_from_their_own() {
    let mut stack = started(steady(0, 0)).await;
    // It lies from the start, before any node has reported these pods.
    lie(&stack);
    let all = [("100m", HONEST_PODS), ("50m", LIARS_PODS)];
    is_served(&stack.front(0), &all).await;
    let before = refused(&stack, 1).await;
    eventually(|| async {
        // This must hold for every reading and every list.
        assert_eq!(served(&stack.front(0)).await?, expected(&all));
        let now = refused(&stack, 1).await;
        if now >= before + 3 * 300 {
            Ok(())
        } else {
            Err(format!("{now} pods"))
        }
    })
    .await;
    // The reading of the liar may arrive before the first list of pods.
    let place = stack.kill_frontend(0).await;
    stack.restart_frontend(0, place).await;
    is_served(&stack.front(0), &all).await;
    stack.cluster.remove_ghosts("liar");
    refused(&stack, 0).await;
    assert_eq!(served(&stack.front(0)).await, Ok(expected(&all)));
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_that_another_node_alone_claims_are_not_served() {
    let stack = started(steady(0, 0)).await;
    stack
        .cluster
        .set_fault("honest", Fault::Status(500))
        .await
        .unwrap();
    lie(&stack);
    is_served(&stack.front(0), &[("50m", LIARS_PODS)]).await;
    refused(&stack, 1).await;
    assert_eq!(
        served(&stack.front(0)).await,
        Ok(expected(&[("50m", LIARS_PODS)]))
    );
    let path = "/apis/metrics.k8s.io/v1/namespaces/shop/pods/web-000";
    let answer = stack.front(0).get(path).await.unwrap();
    assert_eq!(answer.status, 404);
    let message = answer.message();
    let why = "no metrics for pod \"shop/web-000\": the last scrape of its node failed";
    assert!(message.starts_with(why), "{message}");
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_api_does_not_say_the_node_pods_are_asked_for() {
    let stack = started(steady(0, 0).metadata_only()).await;
    lie(&stack);
    let all = [("100m", HONEST_PODS), ("50m", LIARS_PODS)];
    is_served(&stack.front(0), &all).await;
    stack.stop().await;
}
