//! A faulty kubelet does not affect other nodes, and its own earlier samples are still served for a while.

use std::time::Duration;

use bytes::Bytes;
use tributary_e2e::{patience::eventually, stack::Stack};
use tributary_sim::Fault;

use super::{NODES, all_served, names, scraped_again, steady};

/// The node with the faulty kubelet.
const BAD: &str = "node-00002";

/// Waits until the bad node is refused with a reason that contains `expected`,
/// while the others are served.
async fn refused_with(stack: &Stack, fault: Fault, expected: &str) {
    let front = stack.front(0);
    stack.cluster.set_fault(BAD, fault.clone()).await.unwrap();
    eventually(|| async {
        let others = names(&front.ok(NODES).await?.items());
        if !others.contains("node-00001") || !others.contains("node-00003") {
            return Err(format!("others are missing: {others:?}"));
        }
        let answer = front.get(&format!("{NODES}/{BAD}")).await.unwrap();
        let message = answer.message();
        if answer.status == 404 && message.contains(expected) {
            println!("{fault:.40?}: {message}");
            return Ok(());
        }
        Err(format!("{} {message}", answer.status))
    })
    .await;
    stack.cluster.set_fault(BAD, Fault::None).await.unwrap();
    all_served(stack, &front).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_404_says_what_is_wrong_with_the_kubelet() {
    let stack = Stack::start(steady(3, 2), 1, 1).await;
    all_served(&stack, &stack.front(0)).await;
    let by = "no metrics for node \"node-00002\": last scrape failed";
    refused_with(&stack, Fault::Status(500), by).await;
    refused_with(&stack, Fault::Status(403), "403").await;
    refused_with(&stack, Fault::Slow(Duration::from_secs(5)), "400ms").await;
    refused_with(&stack, Fault::Html, "not a metric").await;
    refused_with(&stack, Fault::Garbage, "not a metric").await;
    refused_with(&stack, Fault::CutShort(100), "cut short").await;
    refused_with(
        &stack,
        Fault::WrongCertificate,
        "--kubelet-certificate-authority",
    )
    .await;
    refused_with(&stack, Fault::HugeBody(100 << 20), "larger than 4194304").await;
    refused_with(&stack, Fault::GzipBomb, "--kubelet-max-page-size").await;
    refused_with(&stack, Fault::Refuse, "onnection refused").await;
    refused_with(&stack, Fault::Hang, "400ms").await;
    refused_with(
        &stack,
        Fault::Redirect("https://127.0.0.1:1/".to_owned()),
        "302",
    )
    .await;
    refused_with(&stack, Fault::Page(Bytes::new()), "no usage").await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_failed_scrape_hides_nothing() {
    let stack = Stack::patient(steady(3, 2), 1, 1).await;
    let front = stack.front(0);
    all_served(&stack, &front).await;
    let before = stack.cluster.kubelet_stats(BAD).unwrap().requests;
    stack
        .cluster
        .set_fault(BAD, Fault::Status(500))
        .await
        .unwrap();
    let mut asked = 0;
    while stack.cluster.kubelet_stats(BAD).unwrap().requests == before {
        asked += 1;
        assert_eq!(front.ok(NODES).await.unwrap().items().len(), 3);
    }
    stack.cluster.set_fault(BAD, Fault::None).await.unwrap();
    let failed_at = stack.cluster.kubelet_stats(BAD).unwrap().requests;
    while stack.cluster.kubelet_stats(BAD).unwrap().requests < failed_at + 2 {
        asked += 1;
        assert_eq!(front.ok(NODES).await.unwrap().items().len(), 3);
        assert_eq!(front.ok(super::PODS).await.unwrap().items().len(), 6);
    }
    println!("nothing was missing in {asked} lists around a failed scrape");
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_forth_and_back_costs_a_moment() {
    let stack = Stack::patient(steady(3, 1), 1, 1).await;
    let front = stack.front(0);
    all_served(&stack, &front).await;
    // The clock is an hour ahead, but the samples are new.
    let ahead = Fault::ClockOff(3_600_000);
    stack.cluster.set_fault(BAD, ahead).await.unwrap();
    scraped_again(&stack, BAD, 3).await;
    let path = format!("{NODES}/{BAD}");
    let timestamp = |answer: serde_json::Value| answer["timestamp"].as_str().map(str::to_owned);
    let ahead = timestamp(front.ok(&path).await.unwrap().json());
    // The clock is right again. The stored samples are dropped when the scrape is so much later that clocks out of step
    // cannot explain it.
    stack.cluster.set_fault(BAD, Fault::None).await.unwrap();
    eventually(|| async {
        let now = timestamp(front.ok(&path).await?.json());
        if now < ahead {
            Ok(())
        } else {
            Err(format!("{now:?}"))
        }
    })
    .await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_of_scrapers_and_frontends_may_be_set_while_they_run() {
    let stack = Stack::patient(steady(3, 2), 2, 2).await;
    for index in 0..2 {
        all_served(&stack, &stack.front(index)).await;
    }
    let mut lists = 0;
    for hours in [1, -1, 0] {
        stack.set_clocks(hours * 3_600);
        let node = "node-00001";
        let before = stack.cluster.kubelet_stats(node).unwrap().requests;
        // This takes longer than samples are valid.
        while stack.cluster.kubelet_stats(node).unwrap().requests < before + 5 {
            for index in 0..2 {
                let front = stack.front(index);
                assert_eq!(front.ok(NODES).await.unwrap().items().len(), 3, "{hours} h");
                assert_eq!(
                    front.ok(super::PODS).await.unwrap().items().len(),
                    6,
                    "{hours} h"
                );
                lists += 2;
            }
        }
    }
    println!("nothing was missing in {lists} lists while clocks were set");
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gone_nodes_and_pods_go_and_new_ones_come() {
    let stack = Stack::start(steady(3, 2), 2, 1).await;
    let front = stack.front(0);
    all_served(&stack, &front).await;
    let (namespace, pod) = stack.cluster.pods_on("node-00001").remove(0);
    stack.cluster.remove_pod(&namespace, &pod).unwrap();
    for (namespace, pod) in stack.cluster.pods_on("node-00003") {
        stack.cluster.remove_pod(&namespace, &pod).unwrap();
    }
    stack.cluster.remove_node("node-00003").unwrap();
    let spec = tributary_sim::NodeSpec::new("another");
    stack.cluster.add_node(spec).await.unwrap();
    all_served(&stack, &front).await;
    stack.stop().await;
}
