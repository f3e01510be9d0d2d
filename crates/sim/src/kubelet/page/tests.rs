use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::*;
use crate::load::Load;
use crate::objects::{Container, Map};

const REFERENCE: &str = "\
# HELP container_cpu_usage_seconds_total [STABLE] Cumulative cpu time consumed by the container in core-seconds
# TYPE container_cpu_usage_seconds_total counter
container_cpu_usage_seconds_total{container=\"main\",namespace=\"default\",pod=\"burner\"} 10 1000040000
container_cpu_usage_seconds_total{container=\"sidecar\",namespace=\"default\",pod=\"burner\"} 0.04 1000040000
# HELP container_memory_working_set_bytes [STABLE] Current working set of the container in bytes
# TYPE container_memory_working_set_bytes gauge
container_memory_working_set_bytes{container=\"main\",namespace=\"default\",pod=\"burner\"} 2.121728e+07 1000040000
container_memory_working_set_bytes{container=\"sidecar\",namespace=\"default\",pod=\"burner\"} 491520 1000040000
# HELP container_start_time_seconds [STABLE] Start time of the container since unix epoch in seconds
# TYPE container_start_time_seconds gauge
container_start_time_seconds{container=\"main\",namespace=\"default\",pod=\"burner\"} 1e+06
container_start_time_seconds{container=\"sidecar\",namespace=\"default\",pod=\"burner\"} 1e+06
# HELP container_swap_limit_bytes [ALPHA] Current amount of the container swap limit in bytes. Reported only on non-windows systems
# TYPE container_swap_limit_bytes gauge
container_swap_limit_bytes{container=\"main\",namespace=\"default\",pod=\"burner\"} 0 1000040000
container_swap_limit_bytes{container=\"sidecar\",namespace=\"default\",pod=\"burner\"} 0 1000040000
# HELP container_swap_usage_bytes [ALPHA] Current amount of the container swap usage in bytes. Reported only on non-windows systems
# TYPE container_swap_usage_bytes gauge
container_swap_usage_bytes{container=\"main\",namespace=\"default\",pod=\"burner\"} 4096 1000040000
container_swap_usage_bytes{container=\"sidecar\",namespace=\"default\",pod=\"burner\"} 0 1000040000
# HELP node_cpu_usage_seconds_total [STABLE] Cumulative cpu time consumed by the node in core-seconds
# TYPE node_cpu_usage_seconds_total counter
node_cpu_usage_seconds_total 58.04 1000040000
# HELP node_memory_working_set_bytes [STABLE] Current working set of the node in bytes
# TYPE node_memory_working_set_bytes gauge
node_memory_working_set_bytes 2.17098e+07 1000040000
# HELP node_swap_usage_bytes [ALPHA] Current swap usage of the node in bytes. Reported only on non-windows systems
# TYPE node_swap_usage_bytes gauge
node_swap_usage_bytes 4096 1000040000
# HELP pod_cpu_usage_seconds_total [STABLE] Cumulative cpu time consumed by the pod in core-seconds
# TYPE pod_cpu_usage_seconds_total counter
pod_cpu_usage_seconds_total{namespace=\"default\",pod=\"burner\"} 15.04 1000040000
# HELP pod_memory_working_set_bytes [STABLE] Current working set of the pod in bytes
# TYPE pod_memory_working_set_bytes gauge
pod_memory_working_set_bytes{namespace=\"default\",pod=\"burner\"} 2.17088e+07 1000040000
# HELP pod_swap_usage_bytes [ALPHA] Current amount of the pod swap usage in bytes. Reported only on non-windows systems
# TYPE pod_swap_usage_bytes gauge
pod_swap_usage_bytes{namespace=\"default\",pod=\"burner\"} 4096 1000040000
# HELP resource_scrape_error [STABLE] 1 if there was an error while getting container metrics, 0 otherwise
# TYPE resource_scrape_error gauge
resource_scrape_error 0
";

const START: i64 = 1_000_000_000; // milliseconds

fn node() -> Node {
    Node {
        name: "node-1".to_owned(),
        uid: String::new(),
        address: [127, 1, 0, 1].into(),
        port: 0,
        labels: Map::new(),
        annotations: Map::new(),
        ready: true,
        usage: Usage::steady(1_000, 1_000),
        created: Timestamp::UNIX_EPOCH,
        booted: START,
    }
}

fn container(name: &str, usage: Usage, started: i64) -> Container {
    Container {
        name: name.to_owned(),
        usage,
        started,
        restarts: 0,
        measured: None,
    }
}

fn burner() -> Pod {
    let main = Usage::steady(250, 21_217_280).with_swap(Load::Steady(4_096));
    Pod {
        namespace: "default".to_owned(),
        name: "burner".to_owned(),
        uid: String::new(),
        node: "node-1".to_owned(),
        labels: Map::new(),
        annotations: Map::new(),
        phase: Phase::Running,
        created: Timestamp::UNIX_EPOCH,
        containers: vec![
            container("sidecar", Usage::steady(1, 491_520), START),
            container("main", main, START),
        ],
        spent: 5_000_000_000,
    }
}

fn page(spent: u64, pod: &Pod, moment: Moment) -> String {
    let mut out = Vec::new();
    Page::new(&node(), spent, std::iter::once(Arc::new(pod.clone()))).write(moment, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_page_has_the_shape_of_a_real_kubelets() {
    // 40 s: the node 40 + 10 + 0.04 + 8 gone, the pod 10.04 + 5 gone.
    let moment = Moment {
        now: START + 40_000,
        housekeeping: 0,
    };
    assert_eq!(page(8_000_000_000, &burner(), moment), REFERENCE);
}

#[test]
fn the_families_are_those_of_the_recorded_page() {
    let mut names: Vec<&str> = Vec::new();
    for line in REFERENCE
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
    {
        names.push(line.split(' ').next().unwrap());
    }
    let mut sorted = names.clone();
    sorted.sort_unstable();
    assert_eq!(names, sorted);
    assert_eq!(names.len(), 12);
}

#[test]
fn a_sample_is_repeated_until_the_next_housekeeping() {
    let at = |now| {
        Moment {
            now,
            housekeeping: 10_000,
        }
        .sampled(3_000)
    };
    assert_eq!(at(13_000), 13_000);
    assert_eq!(at(22_999), 13_000);
    assert_eq!(at(23_000), 23_000);
    assert_eq!(Moment::new(12_345, Duration::ZERO).sampled(3_000), 12_345);
}

#[test]
fn a_container_not_yet_sampled_has_a_start_time_only() {
    let mut pod = burner();
    let now = START + 40_000;
    pod.containers[0].started = now - 1;
    let moment = Moment {
        now,
        housekeeping: 60_000,
    };
    let text = page(0, &pod, moment);
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("\"sidecar\""))
        .collect();
    assert_eq!(
        lines,
        [
            "container_start_time_seconds{container=\"sidecar\",namespace=\"default\",pod=\"burner\"} 1.000039999e+06"
        ]
    );
}

#[test]
fn a_pod_that_does_not_run_is_not_on_the_page() {
    let mut pod = burner();
    pod.phase = Phase::Succeeded;
    let text = page(
        0,
        &pod,
        Moment {
            now: START + 40_000,
            housekeeping: 0,
        },
    );
    assert!(!text.contains("burner"), "{text}");
    assert!(
        text.starts_with("# HELP node_cpu_usage_seconds_total"),
        "{text}"
    );
}
