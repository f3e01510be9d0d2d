//! Kubelets with unusual answers.

use std::fmt::Write as _;

use anyhow::Context as _;
use bytes::Bytes;
use tributary_sim::Fault;

use crate::fleet::Fleet;

/// What they do.
pub(super) const WHAT: &str = "20,000 long names; 16 MiB of swap lines; pods of others; control characters; \
     a gzip bomb; 100 MB; nothing at all; text";

/// What the fleet counts of it.
pub(super) const COUNTED: &[&str] = &[
    "tributary_scrape_outcomes_total{outcome=\"too-large\"}",
    "tributary_scrape_outcomes_total{outcome=\"timeout\"}",
    "tributary_scrape_outcomes_total{outcome=\"malformed\"}",
    "tributary_pod_claims_refused_total",
];

/// Makes the first nodes hostile, each in another way, and returns their names.
pub(super) async fn start(fleet: &Fleet) -> anyhow::Result<Vec<String>> {
    let nodes = fleet.cluster.nodes();
    let others = nodes.iter().skip(8);
    let others: Vec<(String, String)> = others
        .flat_map(|node| fleet.cluster.pods_on(node))
        .collect();
    let faults = [
        Fault::Page(long_names()),
        Fault::Page(swap_lines()),
        Fault::ReplayPages(claims(&others, fleet.clock.now_millis())),
        Fault::Page(control_characters()),
        Fault::GzipBomb,
        Fault::HugeBody(100 << 20),
        Fault::Hang,
        Fault::Garbage,
    ];
    let mut evil = Vec::new();
    for (node, fault) in nodes.iter().zip(faults) {
        fleet
            .cluster
            .set_fault(node, fault)
            .await
            .context(node.clone())?;
        evil.push(node.clone());
    }
    Ok(evil)
}

/// Makes them honest again.
pub(super) async fn end(fleet: &Fleet, evil: &[String]) -> anyhow::Result<()> {
    for node in evil {
        fleet.cluster.set_fault(node, Fault::None).await?;
    }
    Ok(())
}

/// As many containers as a node may have, each with the longest names.
fn long_names() -> Bytes {
    let mut page = String::new();
    for number in 0..20_000 {
        let pod = format!("{number:05}-{}", "p".repeat(240));
        let container = "c".repeat(60);
        for family in [
            "container_cpu_usage_seconds_total",
            "container_memory_working_set_bytes",
        ] {
            writeln!(
                page,
                "{family}{{container=\"{container}\",namespace=\"evil\",pod=\"{pod}\"}} 1 1790000000000"
            )
            .ok();
        }
    }
    page.into()
}

fn swap_lines() -> Bytes {
    let line = b"container_swap_usage_bytes 1\n";
    line.iter().copied().cycle().take(16 << 20).collect()
}

/// Pages on which every pod of `others` uses 64 cores.
fn claims(others: &[(String, String)], now_ms: i64) -> Vec<Bytes> {
    let page = |turn: i64| {
        let at = now_ms + turn * 10_000;
        let total = 1_000_000 + turn * 640;
        let mut page = String::new();
        for (namespace, pod) in others {
            let labels = format!("container=\"main\",namespace=\"{namespace}\",pod=\"{pod}\"");
            writeln!(
                page,
                "container_cpu_usage_seconds_total{{{labels}}} {total} {at}"
            )
            .ok();
            writeln!(
                page,
                "container_memory_working_set_bytes{{{labels}}} 64000000000 {at}"
            )
            .ok();
            writeln!(
                page,
                "container_start_time_seconds{{{labels}}} {}",
                at / 1000 + 1_000_000
            )
            .ok();
        }
        writeln!(page, "node_cpu_usage_seconds_total {total} {at}").ok();
        writeln!(page, "node_memory_working_set_bytes 64000000000 {at}").ok();
        Bytes::from(page)
    };
    (0..12).map(page).collect()
}

fn control_characters() -> Bytes {
    let name = "a\u{1b}]0;owned\u{7}\u{1b}[2J";
    let mut page = String::new();
    for family in [
        "container_cpu_usage_seconds_total",
        "container_memory_working_set_bytes",
    ] {
        writeln!(
            page,
            "{family}{{container=\"{name}\",namespace=\"{name}\",pod=\"{name}\"}} 1 1790000000000"
        )
        .ok();
    }
    page.into()
}
