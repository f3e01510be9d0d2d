//! How fast a page becomes a reading, and what it allocates: bytes per second
//! and allocations per page, beside the least that any reader must do (find
//! the lines, read the floats).
//!
//! `remembered` is the page of a node whose roster did not change, which is
//! nearly every page; `first_page` is the first of a node.

#![expect(
    clippy::format_push_string,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "the pages are known"
)]

use std::hint::black_box;

use divan::{AllocProfiler, Bencher, counter::BytesCount};
use tributary_model::{NodeName, Timestamp};
use tributary_scraper::kubelet::decode::Layout;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

const ASKED_AT: Timestamp = Timestamp::from_millis(1_795_229_483_400);

const PAGES: [&str; 2] = ["reference", "30-pods"];

fn main() {
    divan::main();
}

fn page(named: &str) -> Vec<u8> {
    match named {
        "reference" => include_bytes!("../../tests/golden/kubelet-1.36/resource-1.txt").to_vec(),
        _ => thirty_pods().into_bytes(),
    }
}

/// A page of 30 pods with two containers each, shaped as the reference.
fn thirty_pods() -> String {
    let families = [
        ("container_cpu_usage_seconds_total", "7139.915453", true),
        ("container_memory_working_set_bytes", "2.121728e+07", true),
        (
            "container_start_time_seconds",
            "1.795229411156014e+09",
            false,
        ),
        ("container_swap_limit_bytes", "0", true),
        ("container_swap_usage_bytes", "0", true),
    ];
    let mut page = String::new();
    for (name, value, is_timed) in families {
        page += &format!("# HELP {name} [STABLE] What it is and in which unit it is measured\n");
        page += &format!("# TYPE {name} gauge\n");
        for container in ["main", "sidecar"] {
            for pod in 0..30 {
                let namespace = pod % 7;
                let at = if is_timed { " 1795229483291" } else { "" };
                page += &format!(
                    "{name}{{container=\"{container}\",namespace=\"ns-{namespace:04}\",\
                     pod=\"web-00042-{pod}-6b8f9c7d5-x2x7q\"}} {value}{at}\n"
                );
            }
        }
    }
    page += "node_cpu_usage_seconds_total 7250.367519314 1795229481138\n";
    page += "node_memory_working_set_bytes 3.402162176e+09 1795229481138\n";
    for name in [
        "pod_cpu_usage_seconds_total",
        "pod_memory_working_set_bytes",
        "pod_swap_usage_bytes",
    ] {
        for pod in 0..30 {
            let namespace = pod % 7;
            page += &format!(
                "{name}{{namespace=\"ns-{namespace:04}\",pod=\"web-00042-{pod}-6b8f9c7d5-x2x7q\"}} 12.5 1795229483291\n"
            );
        }
    }
    page + "resource_scrape_error 0\n"
}

/// What `tests/instructions` counts, and nothing else.
#[inline(never)]
fn measured<T>(work: impl FnOnce() -> T) -> T {
    work()
}

#[divan::bench(args = PAGES)]
fn remembered(bencher: Bencher<'_, '_>, named: &str) {
    let (page, node) = (page(named), NodeName::from("node-00001"));
    let mut layout = Layout::default();
    layout.decode(&page, &node, ASKED_AT).unwrap();
    bencher
        .counter(BytesCount::of_slice(&page))
        .bench_local(|| measured(|| layout.decode(black_box(&page), &node, ASKED_AT).unwrap()));
}

#[divan::bench(args = PAGES)]
fn first_page(bencher: Bencher<'_, '_>, named: &str) {
    let (page, node) = (page(named), NodeName::from("node-00001"));
    bencher
        .counter(BytesCount::of_slice(&page))
        .bench_local(|| {
            measured(|| {
                Layout::default()
                    .decode(black_box(&page), &node, ASKED_AT)
                    .unwrap()
            })
        });
}

/// Lines, the end of labels and the blanks around the value by `memchr`, every
/// value through the standard library, labels and times unread.
#[divan::bench(args = PAGES)]
fn baseline(bencher: Bencher<'_, '_>, named: &str) {
    let page = page(named);
    bencher
        .counter(BytesCount::of_slice(&page))
        .bench_local(|| measured(|| sum(black_box(&page))));
}

fn sum(page: &[u8]) -> f64 {
    let (mut sum, mut rest) = (0.0, page);
    while let Some(end) = memchr::memchr(b'\n', rest) {
        let (line, after) = rest.split_at(end);
        rest = &after[1..];
        if line.starts_with(b"#") {
            continue;
        }
        let labels = memchr::memrchr(b'}', line).unwrap_or(0);
        let start = labels + memchr::memchr(b' ', &line[labels..]).unwrap() + 1;
        let value = &line[start..];
        let value = &value[..memchr::memchr(b' ', value).unwrap_or(value.len())];
        let value = std::str::from_utf8(value).unwrap();
        sum += value.parse::<f64>().unwrap();
    }
    sum
}
