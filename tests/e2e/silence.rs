//! A silent Kubernetes API: lost connections, and requests that are accepted and never answered. Every component
//! detects it, and none restarts.

use std::time::Duration;

use tributary_e2e::{ask::Client, patience::eventually, stack::Stack};
use tributary_runtime::kube::Limits;
use tributary_sim::{ApiFault, NodeSpec, PodSpec, Usage};

use super::{all_served, steady};

/// Everything that is watched.
const WATCHED: [&str; 5] = ["nodes", "pods", "configmaps", "leases", "endpointslices"];

/// Limits that a slow machine can keep and that a test can wait for.
const LIMITS: Limits = Limits {
    connect: Duration::from_secs(5),
    request: Duration::from_secs(2),
    silence: Duration::from_secs(4),
    unready: Duration::from_mins(5),
};

async fn started(limits: Limits) -> Stack {
    let mut stack = Stack::impatient(steady(2, 2), limits).await;
    stack.join_frontend().await;
    stack.join_scraper().await;
    stack
}

/// The value of a series of a frontend.
async fn metric(front: &Client, series: &str) -> f64 {
    let metrics = front.ok("/metrics").await.unwrap();
    let text = String::from_utf8_lossy(&metrics.body).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix(series));
    line.unwrap().trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_while_lists_are_not_answered_ends_in_sync_without_a_restart() {
    let mut stack = Stack::impatient(steady(2, 2), LIMITS).await;
    for plural in WATCHED {
        // This affects the first watch of both components, because both watch nodes.
        stack.cluster.leave_unanswered(plural, 2);
    }
    stack.join_frontend().await;
    stack.join_scraper().await;
    all_served(&stack, &stack.front(0)).await;
    // The others are watched by one component, whose watch failed twice.
    for plural in ["nodes", "pods", "leases", "endpointslices"] {
        assert_eq!(stack.cluster.still_to_be_unanswered(plural), 0, "{plural}");
    }
    let failures = "tributary_watch_failures_total{watch=\"pods\"} ";
    assert!(metric(&stack.front(0), failures).await >= 2.0);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_whose_connections_died_without_a_word_are_begun_again() {
    let stack = started(LIMITS).await;
    let front = stack.front(0);
    all_served(&stack, &front).await;
    stack.cluster.silence_watches();
    // The watches do not receive these changes.
    stack
        .cluster
        .add_node(NodeSpec::new("another"))
        .await
        .unwrap();
    let pod = PodSpec::new("ns-0000", "born-in-silence", "another");
    stack
        .cluster
        .add_pod(pod.container("main", Usage::steady(100, 64 << 20)));
    all_served(&stack, &front).await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_hangs_fails_readiness_after_a_while_and_stops_nothing() {
    let limits = Limits {
        unready: Duration::from_secs(6),
        ..LIMITS
    };
    let stack = started(limits).await;
    let front = stack.front(0);
    all_served(&stack, &front).await;
    stack.cluster.set_api_fault(ApiFault::Hang).await;
    eventually(|| async {
        let front = front.get("/readyz/watch-activity").await.unwrap();
        let scraper = stack.scraper_admin(0, "/readyz/watch-activity").await;
        match (front.status.as_u16(), scraper.status.as_u16()) {
            (500, 500) => Ok(()),
            both => Err(both),
        }
    })
    .await;
    let silence = "tributary_watch_silence_seconds{watch=\"nodes\"} ";
    assert!(metric(&front, silence).await >= 6.0);
    // The known objects stay in force.
    all_served(&stack, &front).await;
    stack.cluster.set_api_fault(ApiFault::None).await;
    eventually(|| async {
        let front = front.get("/readyz").await.unwrap();
        let scraper = stack.scraper_admin(0, "/readyz").await;
        match (front.status.as_u16(), scraper.status.as_u16()) {
            (200, 200) => Ok(()),
            both => Err(both),
        }
    })
    .await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_whose_credentials_are_refused_says_so_and_goes_on() {
    let stack = started(LIMITS).await;
    let front = stack.front(0);
    all_served(&stack, &front).await;
    stack.cluster.set_api_fault(ApiFault::Status(401)).await;
    let refused =
        |client: &str| format!("tributary_kube_credentials_refused_total{{client=\"{client}\"}}");
    let watches = format!("{} ", refused("watches"));
    eventually(|| async {
        let front = metric(&front, &watches).await >= 1.0;
        let nodes = stack.of_scraper(0, &refused("nodes")).await;
        let leases = stack.of_scraper(0, &refused("leases")).await;
        match (front, nodes, leases) {
            (true, 1.., 1..) => Ok(()),
            few => Err(few),
        }
    })
    .await;
    all_served(&stack, &front).await;
    stack.cluster.set_api_fault(ApiFault::None).await;
    let spec = NodeSpec::new("another");
    stack.cluster.add_node(spec).await.unwrap();
    all_served(&stack, &front).await;
    stack.stop().await;
}
