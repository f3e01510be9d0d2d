//! A frontend that restarts has all samples before the next cycle.

use std::collections::BTreeMap;

use serde_json::Value;
use tokio::time::Instant;
use tributary_e2e::{ask::Client, patience::eventually, stack::Stack};
use tributary_sim::ApiFault;

use super::{NODES, PODS, all_served, scraped_again, steady};

#[tokio::test(flavor = "multi_thread")]
async fn a_frontend_is_not_ready_before_it_has_samples() {
    let stack = Stack::start(steady(2, 2), 0, 1).await;
    let front = stack.front(0);
    let expected = "[-]metric-coverage failed: 0 of 2 nodes have metrics, 0 fail to be scraped, \
                    0 report nothing usable, 2 were not reported\n";
    eventually(|| async {
        let answer = front
            .get("/readyz")
            .await
            .map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        if answer.status == 500 && text.contains(expected) {
            Ok(())
        } else {
            Err(text)
        }
    })
    .await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_frontend_is_full_again_before_the_next_cycle() {
    let mut stack = Stack::unhurried(steady(20, 30), 3, 2).await;
    all_served(&stack, &stack.front(0)).await;
    all_served(&stack, &stack.front(1)).await;
    let before = timestamps(&stack.front(1)).await;
    let place = stack.kill_frontend(0).await;
    stack.restart_frontend(0, place).await;
    let listens = Instant::now();
    all_served(&stack, &stack.front(0)).await;
    let took = listens.elapsed();
    println!("20 nodes, 600 pods: all served again {took:?} after the frontend listens");
    // The samples are from before the restart, so the frontend did not wait for new scrapes.
    let after = timestamps(&stack.front(0)).await;
    let old = after
        .iter()
        .filter(|(name, at)| before.get(*name) == Some(at));
    assert!(old.count() > 0, "every sample is newer");
    let ready = stack.stranger(0).get("/readyz").await.unwrap();
    assert_eq!(ready.status, 200);
    stack.stop().await;
}

/// The time of each node's sample.
async fn timestamps(client: &Client) -> BTreeMap<String, String> {
    let items = client.ok(NODES).await.unwrap().items();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let sample = |item: &Value| (text(&item["metadata"]["name"]), text(&item["timestamp"]));
    items.iter().map(sample).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_is_gone_stops_nothing() {
    let stack = Stack::start(steady(2, 2), 1, 1).await;
    let front = stack.front(0);
    all_served(&stack, &front).await;
    stack.cluster.set_api_fault(ApiFault::Refuse).await;
    let newest = |answer: Value| answer["timestamp"].as_str().unwrap().to_owned();
    let path = format!("{NODES}/node-00001");
    let before = newest(front.ok(&path).await.unwrap().json());
    // Samples of another second arrive, so scraping continues.
    eventually(|| async {
        let now = newest(front.ok(&path).await?.json());
        if now > before { Ok(()) } else { Err(now) }
    })
    .await;
    assert_eq!(front.ok(PODS).await.unwrap().items().len(), 4);
    stack.cluster.set_api_fault(ApiFault::None).await;
    let spec = tributary_sim::NodeSpec::new("another");
    stack.cluster.add_node(spec).await.unwrap();
    all_served(&stack, &front).await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kubelets_are_asked_once_a_cycle_however_many_frontends() {
    let stack = Stack::start(steady(4, 1), 2, 3).await;
    all_served(&stack, &stack.front(2)).await;
    let total = |stack: &Stack| {
        let nodes = stack.cluster.nodes().into_iter();
        let asked = nodes.map(|node| stack.cluster.kubelet_stats(&node).unwrap().requests);
        asked.collect::<Vec<u64>>()
    };
    let before = total(&stack);
    scraped_again(&stack, "node-00001", 8).await;
    let after = total(&stack);
    let asked: Vec<u64> = after
        .iter()
        .zip(&before)
        .map(|(after, before)| after - before)
        .collect();
    println!("requests to each kubelet in eight cycles, with three frontends: {asked:?}");
    // If both scrapers scraped both nodes, or once for each frontend, there would be two or three times as many
    // scrapes. Two more are allowed for the start and the end.
    assert!(
        asked.iter().all(|asked| (5..=11).contains(asked)),
        "{asked:?}"
    );
    stack.stop().await;
}
