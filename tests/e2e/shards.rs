//! Scrapers join, leave and are killed, and callers see no gap.

use std::{cell::Cell, collections::BTreeMap, time::Duration};

use serde_json::Value;
use tributary_e2e::{ask::Client, patience::eventually, stack::Stack};
use tributary_runtime::clock::Clock;

use super::{NODES, PODS, all_served, steady};

const SCRAPERS: usize = 3;
const FRONTENDS: usize = 2;
const NODE_COUNT: usize = 12;
const POD_COUNT: usize = 24;

async fn started() -> Stack {
    let stack = Stack::leased(steady(NODE_COUNT, 2), SCRAPERS, FRONTENDS).await;
    for index in 0..FRONTENDS {
        all_served(&stack, &stack.front(index)).await;
    }
    stack
}

/// The number of requests to each kubelet.
fn requests(stack: &Stack) -> BTreeMap<String, u64> {
    let asked = |node: String| {
        let stats = stack.cluster.kubelet_stats(&node).unwrap();
        (node, stats.requests)
    };
    stack.cluster.nodes().into_iter().map(asked).collect()
}

/// The age of the oldest sample in a list, to a second.
fn oldest(items: &[Value]) -> Duration {
    let now = Clock::system().now();
    let age = |item: &Value| {
        let at: jiff::Timestamp = item["timestamp"].as_str().unwrap().parse().unwrap();
        Duration::try_from(now.duration_since(at)).unwrap_or_default()
    };
    items.iter().map(age).max().unwrap()
}

/// Queries every frontend until every kubelet was scraped `count` more times. No object may be missing, and no sample
/// may be older than two resolutions and two seconds.
async fn nothing_is_missing(stack: &Stack, what: &str, count: u64) {
    let before = requests(stack);
    let fronts: Vec<Client> = (0..FRONTENDS).map(|index| stack.front(index)).collect();
    let (lists, age) = (Cell::new(0), Cell::new(Duration::ZERO));
    eventually(|| async {
        for front in &fronts {
            let nodes = front.ok(NODES).await.unwrap().items();
            assert_eq!(nodes.len(), NODE_COUNT, "{what}: nodes are missing");
            let pods = front.ok(PODS).await.unwrap().items();
            assert_eq!(pods.len(), POD_COUNT, "{what}: pods are missing");
            age.set(age.get().max(oldest(&nodes)).max(oldest(&pods)));
            lists.set(lists.get() + 2);
        }
        let now = requests(stack);
        let asked = now
            .iter()
            .filter(|(node, now)| **now >= before[*node] + count);
        if asked.count() == NODE_COUNT {
            return Ok(());
        }
        Err("kubelets were not asked often enough")
    })
    .await;
    let (lists, age) = (lists.get(), age.get());
    println!("{what}: nothing was missing in {lists} lists, the oldest sample was {age:.1?} old");
    // Times in lists are whole seconds, rounded down.
    let most = stack.resolution() * 2 + Duration::from_secs(3);
    assert!(age <= most, "{what}: a sample was {age:?} old");
}

fn leases(stack: &Stack) -> Vec<bool> {
    let stored = |index: usize| {
        let name = format!("tributary-scraper-{index}");
        stack
            .cluster
            .object("leases", "kube-system", &name)
            .is_some()
    };
    (0..=SCRAPERS).map(stored).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_sample_is_missing_when_a_scraper_is_killed() {
    let mut stack = started().await;
    nothing_is_missing(&stack, "all run", 1).await;
    stack.kill_scraper(0).await;
    nothing_is_missing(&stack, "one was killed", 4).await;
    // Live members have Leases. The Leases of ended ones are deleted later.
    assert_eq!(leases(&stack)[1..], [true, true, false]);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_sample_is_missing_when_a_scraper_leaves_or_joins() {
    let mut stack = started().await;
    stack.end_scraper(1).await;
    assert_eq!(leases(&stack), [true, false, true, false]);
    nothing_is_missing(&stack, "one has left", 3).await;
    stack.join_scraper().await;
    nothing_is_missing(&stack, "one has joined", 4).await;
    assert_eq!(leases(&stack), [true, false, true, true]);
    // After the overlap each kubelet is scraped once in a resolution.
    let before = requests(&stack);
    nothing_is_missing(&stack, "all is quiet", 4).await;
    let asked: Vec<u64> = requests(&stack)
        .iter()
        .map(|(node, asked)| asked - before[node])
        .collect();
    println!("requests to each kubelet in four cycles: {asked:?}");
    assert!(
        asked.iter().all(|asked| (4..=6).contains(asked)),
        "{asked:?}"
    );
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scraping_goes_on_without_the_api_and_heals_with_it() {
    let mut stack = started().await;
    stack
        .cluster
        .set_api_fault(tributary_sim::ApiFault::Refuse)
        .await;
    nothing_is_missing(&stack, "the API is gone", 3).await;
    // This combines both failures.
    stack.kill_scraper(2).await;
    nothing_is_missing(&stack, "and a scraper too", 4).await;
    stack
        .cluster
        .set_api_fault(tributary_sim::ApiFault::None)
        .await;
    nothing_is_missing(&stack, "the API is back", 3).await;
    stack.stop().await;
}
