//! A node at a limit does not affect other nodes. It is served, or it fails with a reason that names the limit, and no
//! stream ends.

use std::fmt::Write as _;

use bytes::Bytes;
use tributary_cli::catalogue::Code;
use tributary_e2e::{ask::Client, patience::eventually, stack::Stack};
use tributary_sim::Fault;

use super::{NODES, PODS, all_served, names, scraped_again, steady};

/// The node that is at a limit.
const BAD: &str = "node-00002";

const PODS_OF_OTHERS: usize = 4;

/// The expected result for the node.
enum Expected {
    Served,
    /// A 404 that contains this.
    Refused(&'static str),
}

/// A page with the numbers of the node, and `more`.
fn page(more: &str) -> Fault {
    let node = "node_cpu_usage_seconds_total 100\nnode_memory_working_set_bytes 1000000\n";
    Fault::Page(Bytes::from(format!("{node}{more}")))
}

/// The lines of this many pods with one container.
fn containers(count: usize, names: impl Fn(usize) -> (String, String)) -> String {
    let mut page = String::new();
    for number in 0..count {
        let (namespace, pod) = names(number);
        writeln!(
            page,
            "container_memory_working_set_bytes{{container=\"c\",namespace=\"{namespace}\",pod=\"{pod}\"}} 1"
        )
        .unwrap();
    }
    page
}

/// Makes the kubelet of one of three nodes return `fault` for some scrapes. Expects that the others are served in every
/// list meanwhile, over the same stream.
async fn leaves_others_alone(what: &str, fault: Fault, expected: Expected) {
    let stack = Stack::patient(steady(3, PODS_OF_OTHERS / 2), 1, 1).await;
    let front = stack.front(0);
    all_served(&stack, &front).await;
    stack.cluster.set_fault(BAD, fault).await.unwrap();
    scraped_again(&stack, BAD, 1).await;
    let asked = stack.cluster.kubelet_stats(BAD).unwrap().requests;
    let mut lists = 0;
    while stack.cluster.kubelet_stats(BAD).unwrap().requests < asked + 3 {
        let nodes = names(&front.ok(NODES).await.unwrap().items());
        assert!(nodes.contains("node-00001") && nodes.contains("node-00003"));
        let pods = names(&front.ok(PODS).await.unwrap().items());
        assert!(pods.len() >= PODS_OF_OTHERS, "{what}: {pods:?}");
        lists += 1;
    }
    // The other nodes have new samples, not only stored ones.
    scraped_again(&stack, "node-00001", 2).await;
    let report = format!("/debug/nodes?node={BAD}");
    let report = front.get(&report).await.unwrap();
    let report = String::from_utf8(report.body.to_vec()).unwrap();
    assert!(!report.contains('\u{1b}'), "{what}: {report}");
    match expected {
        Expected::Served => assert!(
            report.contains("newestSample") && !report.contains("lastFailure"),
            "{what}: {report}"
        ),
        Expected::Refused(reason) => refused(&stack, &front, what, reason).await,
    }
    let sent = "tributary_bus_messages_sent_total{kind=\"hello\"}";
    assert_eq!(stack.of_scraper(0, sent).await, 1, "{what}: streams");
    println!("{what}: others were in {lists} lists");
    // Without the fault the node is served again.
    stack.cluster.set_fault(BAD, Fault::None).await.unwrap();
    scraped_again(&stack, BAD, 2).await;
    all_served(&stack, &front).await;
    stack.stop().await;
}

/// Waits until a page was refused as too large, and the frontend says why.
async fn refused(stack: &Stack, front: &Client, what: &str, reason: &str) {
    eventually(|| async {
        let failures = "tributary_scrape_outcomes_total{outcome=\"too-large\"}";
        let failures = stack.of_scraper(0, failures).await;
        let nodes = front.get(&format!("/debug/nodes?node={BAD}")).await;
        let text = String::from_utf8_lossy(&nodes.unwrap().body).into_owned();
        match (failures, text.contains(reason)) {
            (1.., true) => Ok(()),
            other => Err(format!("{what}: {other:?} {text}")),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_containers_as_a_node_may_have() {
    let pods = |number| ("a".to_owned(), format!("pod-{number:05}"));
    let page = page(&containers(20_000, pods));
    leaves_others_alone("20,000 containers", page, Expected::Served).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_container_more() {
    let pods = |number| ("a".to_owned(), format!("pod-{number:05}"));
    let page = page(&containers(20_001, pods));
    let reason = Expected::Refused("more than 20000 containers on the page");
    leaves_others_alone("20,001 containers", page, reason).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_as_many_bytes_as_a_node_may_have_and_more() {
    // Each name has 63 + 192 + 1 bytes, so 4,096 names have 1 MiB.
    let pods = |number: usize| ("n".repeat(63), format!("{number:0192}"));
    let fits = page(&containers(4_096, pods));
    leaves_others_alone("1 MiB of names", fits, Expected::Served).await;
    let over = page(&containers(4_097, pods));
    let reason = Expected::Refused("more than 1048576 bytes of names");
    leaves_others_alone("more names", over, reason).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_lines_than_containers_have() {
    let page = page(&"container_swap_usage_bytes 1\n".repeat(80_001));
    let reason = Expected::Refused("more than 80000 lines about containers");
    leaves_others_alone("80,001 lines", page, reason).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_as_long_as_allowed_and_a_longer_one() {
    let comment = "# nothing\n";
    let fits = page(&comment.repeat((4 << 20) / comment.len() - 10));
    leaves_others_alone("a page of 4 MiB", fits, Expected::Served).await;
    let over = page(&comment.repeat((4 << 20) / comment.len() + 1));
    let reason = Expected::Refused("--kubelet-max-page-size");
    leaves_others_alone("a longer page", over, reason).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn control_characters_in_names() {
    let pods = |number| ("a".to_owned(), format!("p\u{1b}]0;owned\u{7}{number}"));
    let page = page(&containers(1_000, pods));
    leaves_others_alone("control characters", page, Expected::Served).await;
}

#[test]
fn the_remedy_of_a_page_that_is_too_long_names_a_flag_for_the_one_limit_that_has_one() {
    let remedy = Code::KubeletPageSize.trouble().remedy;
    let (flag, without) = remedy
        .split_once("The other limits have no flag: ")
        .unwrap();
    assert!(flag.contains("--kubelet-max-page-size"), "{flag}");
    for limit in [
        "20,000 containers",
        "80,000 lines about containers",
        "1 MiB of names",
        "8 KiB of headers",
        "one message on the bus",
    ] {
        assert!(without.contains(limit), "{limit}: {without}");
    }
    assert!(!without.contains("--"), "{without}");
}
