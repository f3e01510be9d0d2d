//! Groups of scrapers, each with its own nodes and with common ones.

use std::{cell::RefCell, collections::BTreeMap, time::Duration};

use jiff::SignedDuration;
use serde_json::Value;
use tributary_e2e::{patience::eventually, stack::Stack};

use super::{NODES, all_served, scraped_again, steady};

/// The nodes in the middle are in both groups.
const NODE_NAMES: [&str; 6] = [
    "node-00001",
    "node-00002",
    "node-00003",
    "node-00004",
    "node-00005",
    "node-00006",
];

fn requests(stack: &Stack) -> [u64; 6] {
    NODE_NAMES.map(|node| stack.cluster.kubelet_stats(node).unwrap().requests)
}

/// The time of the sample, and its window.
pub(super) fn sample(item: &Value) -> (String, Duration) {
    let window: SignedDuration = item["window"].as_str().unwrap().parse().unwrap();
    let at = item["timestamp"].as_str().unwrap().to_owned();
    (at, window.unsigned_abs())
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_of_two_groups_are_asked_by_both_and_served_once() {
    let mut stack = Stack::leased(steady(6, 2), 0, 1).await;
    for node in &NODE_NAMES[..4] {
        stack.cluster.label_node(node, "one", Some("")).unwrap();
    }
    for node in &NODE_NAMES[2..] {
        stack.cluster.label_node(node, "two", Some("")).unwrap();
    }
    for group in ["one", "two", "one", "two"] {
        stack.join_group(group, group).await;
    }
    let front = stack.front(0);
    all_served(&stack, &front).await;
    scraped_again(&stack, NODE_NAMES[0], 5).await; // those who joined last have their nodes to themselves

    let before = requests(&stack);
    let newest = RefCell::new(BTreeMap::new());
    eventually(|| async {
        let items = front.ok(NODES).await?.items();
        assert_eq!(items.len(), NODE_NAMES.len());
        for item in &items {
            let node = item["metadata"]["name"].as_str().unwrap().to_owned();
            let (at, window) = sample(item);
            // Two scrapers that scrape at the same moment must not cause a window of milliseconds.
            assert!(window >= stack.resolution() / 2, "{node}: {window:?}");
            let last = newest.borrow_mut().insert(node.clone(), at.clone());
            assert!(
                last.is_none_or(|last| last <= at),
                "{node} went back to {at}"
            );
        }
        match requests(&stack)[0] - before[0] {
            asked if asked < 4 => Err(format!("asked {asked} times")),
            _ => Ok(()),
        }
    })
    .await;
    let after = requests(&stack);
    let asked: Vec<u64> = after
        .iter()
        .zip(before)
        .map(|(after, before)| after - before)
        .collect();
    println!("requests in four cycles, nodes 3 and 4 in both groups: {asked:?}");
    let (alone, both) = ([0, 1, 4, 5], [2, 3]);
    assert!(
        alone.iter().all(|node| (3..=6).contains(&asked[*node])),
        "{asked:?}"
    );
    assert!(
        both.iter().all(|node| (7..=11).contains(&asked[*node])),
        "{asked:?}"
    );
    stack.stop().await;
}
