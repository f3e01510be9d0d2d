//! The recorded metrics of metrics-server v0.9.0. A frontend serves each of them under the same name, or there is a
//! reason why not.

use std::collections::BTreeMap;

use tributary_e2e::stack::Stack;

use super::{all_served, steady};

const RECORDED: &str = include_str!("../../apiserver/tests/api/golden/metric-families.txt");

/// The prefixes of families that are not served, and why.
const DIFFERENCES: &[(&str, &str)] = &[
    (
        "aggregator_",
        "nothing is aggregated here; discovery is three fixed answers",
    ),
    ("apiserver_audit_", "no audit log"),
    (
        "apiserver_client_certificate_expiration_seconds",
        "the aggregator's certificate, of which kube-apiserver has this metric too",
    ),
    ("apiserver_envelope_encryption_", "nothing is stored"),
    (
        "apiserver_request_filter_duration_seconds",
        "no chain of filters",
    ),
    (
        "apiserver_request_slo_duration_seconds",
        "deprecated; apiserver_request_sli_duration_seconds is the same",
    ),
    ("apiserver_storage_", "nothing is stored"),
    ("apiserver_validation_", "nothing is written"),
    (
        "apiserver_webhooks_",
        "no webhooks; such certificates do not work with rustls",
    ),
    (
        "cardinality_enforcement_",
        "labels are bounded by construction",
    ),
    (
        "disabled_metrics_total",
        "of the Go library: metrics cannot be switched off",
    ),
    ("field_validation_", "nothing is written"),
    ("go_", "no Go"),
    (
        "hidden_metrics_total",
        "of the Go library: no metric is hidden",
    ),
    (
        "metrics_server_",
        "other parts; docs/METRICS.md has what replaces each",
    ),
    (
        "process_network_",
        "those of the network namespace, not of the process",
    ),
    (
        "registered_metrics_total",
        "of the Go library: metrics have no stages",
    ),
    (
        "rest_client_",
        "reviews are in apiserver_delegated_*; watches are not counted",
    ),
    ("workqueue_", "no work queues"),
];

/// Families by name, with their types.
fn families(text: &str) -> BTreeMap<&str, &str> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    lines.filter_map(|family| family.split_once(' ')).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_recorded_metric_is_served_or_left_out_for_a_reason() {
    let stack = Stack::start(steady(1, 1), 1, 1).await;
    let front = stack.front(0);
    all_served(&stack, &front).await;
    let answer = front.ok("/metrics").await.unwrap();
    let ours = families(std::str::from_utf8(&answer.body).unwrap());
    let recorded = families(RECORDED);
    assert_eq!(recorded.len(), 205);
    let mut served = Vec::new();
    for (name, kind) in &recorded {
        let reasons = DIFFERENCES
            .iter()
            .filter(|(begin, _)| name.starts_with(begin));
        match (ours.get(name), reasons.count()) {
            (Some(ours), 0) => served.push((*name, ours, kind)),
            (None, 1) => {}
            other => panic!("{name}: {other:?}"),
        }
    }
    for (begin, why) in DIFFERENCES {
        let met = recorded.keys().any(|name| name.starts_with(begin));
        assert!(met, "{begin}, {why}: there is no such family");
    }
    // These counters have names without `_total`, which OpenMetrics does not allow.
    let gauges = ["authenticated_user_requests", "authentication_attempts"];
    for (name, ours, recorded) in &served {
        let same = ours == recorded || gauges.contains(name);
        assert!(same, "{name} is a {ours}, was a {recorded}");
    }
    println!("{} of {} families are served", served.len(), recorded.len());
    stack.stop().await;
}
