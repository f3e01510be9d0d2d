use serde_json::{Value, json};

use super::{super::text, *};
use crate::{kube_api::fake::Fake, printed::Paint};

/// The fake's date is 17:00:00.
fn node(name: &str, state: &str, (scraped, measured): (&str, &str)) -> Value {
    json!({
        "metadata": { "name": name },
        "status": {
            "state": state, "owner": "s-0", "standby": "s-1",
            "sample": {
                "scrapedAt": format!("2026-11-29T{scraped}Z"),
                "measuredAt": format!("2026-11-29T{measured}Z"),
            },
        },
    })
}

fn service(name: &str, group: &str, available: (&str, &str, &str)) -> Value {
    let (status, reason, message) = available;
    json!({
        "metadata": { "name": name },
        "spec": {
            "group": group, "groupPriorityMinimum": 1, "versionPriority": 1,
            "service": { "namespace": "sys", "name": "tributary" },
        },
        "status": { "conditions": [
            { "type": "Available", "status": status, "reason": reason, "message": message },
        ] },
    })
}

const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/sys/endpointslices?labelSelector=kubernetes.io/service-name%3Dtributary";

pub(crate) fn healthy() -> Fake {
    let version = json!({
        "major": "1", "minor": "37", "gitVersion": "v1.37.1", "gitCommit": "", "gitTreeState": "",
        "buildDate": "", "goVersion": "", "compiler": "", "platform": "",
    });
    let passed = ("True", "Passed", "all checks passed");
    let scraper = |name: &str, owned: u32| {
        json!({
            "metadata": { "name": name },
            "status": {
                "source": name, "version": "0.1.0", "streams": 1,
                "nodes": { "owned": owned, "standby": 1, "leaving": 0, "rescued": 0, "unserved": 0 },
                "oldestSample": "2026-11-29T16:59:50Z",
            },
        })
    };
    let frontend = json!({
        "metadata": { "name": "front-0" },
        "status": {
            "version": "0.1.0", "streams": 2, "oldestSample": "2026-11-29T16:59:50Z",
            "certificateExpires": "2027-02-08T17:00:00Z",
            "coverage": { "nodes": 2, "served": 2, "failing": 0, "unusable": 0, "unreported": 0 },
        },
    });
    let endpoint = json!({ "addresses": ["10.0.0.1"], "conditions": { "ready": true } });
    Fake::default()
        .with("/version", 200, version)
        .list(
            API_SERVICES,
            &json!([
                service("v1.apps", "apps", passed),
                service("v1beta1.metrics.k8s.io", "metrics.k8s.io", passed),
            ]),
        )
        .list(
            SLICES,
            &json!([{ "metadata": {}, "addressType": "IPv4", "endpoints": [endpoint] }]),
        )
        .list(
            &format!("{FLEET}/nodescrapes"),
            &json!([
                node("n-0", "served", ("16:59:58", "16:59:57")),
                node("n-1", "late", ("16:59:50", "16:59:45")),
            ]),
        )
        .list(
            &format!("{FLEET}/scrapers"),
            &json!([scraper("s-0", 1), scraper("s-1", 1)]),
        )
        .list(&format!("{FLEET}/metricsfrontends"), &json!([frontend]))
}

#[tokio::test]
async fn a_healthy_fleet_is_one_screen() {
    let overview = Overview::read(&healthy().api()).await;
    assert_eq!(overview.outcome, Outcome::Healthy, "{:?}", overview.unread);
    let expected = "\
Tributary 0.1.0 on Kubernetes v1.37.1, 2026-11-29T17:00:00Z

APISERVICE              SERVICE        AVAILABLE  REASON
v1beta1.metrics.k8s.io  sys/tributary  yes        Passed

2 of 2 nodes with metrics (1 late, 1 served)
FRESHNESS                   P50   P90    P99    MAX
since the scrape            2.0s  10.0s  10.0s  10.0s
since the kubelet measured  3.0s  15.0s  15.0s  15.0s

FRONTEND  VERSION  SERVED  FAILING  STREAMS  OLDEST  CERTIFICATE
front-0   0.1.0    2/2     0        2        10s     71d
1 of 1 endpoint of the Service ready

SCRAPER  VERSION  GROUP  NODES  SHARE  STANDBY  RESCUED  UNSERVED  OLDEST
s-0      0.1.0    -      1      50%    1        0        0         10s
s-1      0.1.0    -      1      50%    1        0        0         10s
";
    assert_eq!(text::of(&overview, Paint::PLAIN), expected);
}

#[tokio::test]
async fn nodes_without_metrics_are_grouped_by_what_is_wrong() {
    let failing = |name: &str| {
        json!({ "metadata": { "name": name }, "status": {
            "state": "failing", "reason": "tls", "message": "x509: unknown\nauthority",
            "remedy": "KubeletCertificate",
        } })
    };
    let nodes = json!([failing("n-0"), { "metadata": { "name": "n-1" }, "status": { "state": "unreported", "reason": "never-reported" } }, failing("n-2")]);
    let fake = healthy().list(&format!("{FLEET}/nodescrapes"), &nodes);
    let overview = Overview::read(&fake.api()).await;
    assert_eq!(overview.outcome, Outcome::Findings);
    assert_eq!(overview.nodes.with_metrics, 0);
    let text = text::of(&overview, Paint::PLAIN);
    let expected = "\
2 nodes failing, tls, KubeletCertificate: n-0, n-2
  x509: unknown authority
1 node unreported, never-reported: n-1
What to do: kubectl tributary doctor
";
    assert!(text.ends_with(expected), "{text}");
    assert_eq!(overview.since_scrape, None);
}

#[tokio::test]
async fn what_cannot_be_read_is_said_and_nothing_is_made_up() {
    let no_route = ("False", "FailedDiscoveryCheck", "dial tcp: i/o timeout");
    let services = json!([service(
        "v1beta1.metrics.k8s.io",
        "metrics.k8s.io",
        no_route
    )]);
    let overview = Overview::read(&Fake::default().list(API_SERVICES, &services).api()).await;
    assert_eq!(overview.outcome, Outcome::Findings);
    let text = text::of(&overview, Paint::PLAIN);
    assert!(
        text.contains("v1beta1.metrics.k8s.io: dial tcp: i/o timeout"),
        "{text}"
    );
    assert!(text.contains("failed to read nodes: "), "{text}");
    assert!(!text.contains("with metrics"), "{text}");

    let overview = Overview::read(&Fake::default().api()).await;
    assert_eq!(overview.outcome, Outcome::Unknown);
}

#[test]
fn percentiles_are_values_that_were_there() {
    let seconds = (1..=200).map(Duration::from_secs);
    let Spread { p50, p90, p99, max } = Spread::of(seconds).unwrap();
    assert_eq!(
        [p50, p90, p99, max].map(|value| value.to_string()),
        ["100", "180", "198", "200"]
    );
    assert_eq!(Spread::of(std::iter::empty()), None);
    let one = Spread::of(std::iter::once(Duration::from_secs(3))).unwrap();
    assert_eq!(one.p50.to_string(), "3");
}
