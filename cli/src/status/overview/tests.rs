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

2 of 2 nodes with metrics (1 late, 1 served)
FRESHNESS                   NODES  P50  P90  P99  MAX
since the scrape            2      2s   10s  10s  10s
since the kubelet measured  2      3s   15s  15s  15s

APISERVICE              SERVICE        AVAILABLE  REASON
v1beta1.metrics.k8s.io  sys/tributary  yes        Passed

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
    assert!(text.contains(expected), "{text}");
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

/// The healthy fleet with one list changed.
async fn with_list(kind: &str, items: &Value) -> (Overview, String) {
    let path = if kind == "apiservices" {
        API_SERVICES.to_owned()
    } else {
        format!("{FLEET}/{kind}")
    };
    let overview = Overview::read(&healthy().list(&path, items).api()).await;
    let text = text::of(&overview, Paint::PLAIN);
    (overview, text)
}

#[tokio::test]
async fn a_fleet_without_a_scraper_is_not_healthy_while_samples_are_fresh() {
    let (overview, text) = with_list("scrapers", &json!([])).await;
    assert_eq!(overview.nodes.with_metrics, 2);
    assert_eq!(overview.outcome, Outcome::Findings);
    let expected = "\
no scraper is connected to the frontend that answers: what it has expires
What to do: kubectl tributary doctor
";
    assert!(text.contains(expected), "{text}");

    // It is not known whether there are any.
    let refused = json!({ "message": "scrapers is forbidden" });
    let fake = healthy().with(&format!("{FLEET}/scrapers"), 403, refused);
    let overview = Overview::read(&fake.api()).await;
    assert_eq!(overview.outcome, Outcome::Unknown);
    let unread = ["failed to read scrapers: scrapers is forbidden"];
    assert_eq!(
        (overview.wrong.len(), &*overview.unread),
        (0, &unread.map(str::to_owned)[..])
    );
}

/// Leases of the default group, by holder and the time of their renewal.
fn leases(renewed: &[(&str, &str)]) -> Value {
    use crate::doctor::facts::healthy::lease;
    renewed
        .iter()
        .map(|(holder, at)| lease(holder, at))
        .collect()
}

#[tokio::test]
async fn one_lost_scraper_is_said_in_one_line() {
    let one = leases(&[("s-0", "16:59:58"), ("s-2", "16:58:25")]);
    let overview = Overview::read(&healthy().list(LEASES, &one).api()).await;
    assert_eq!(overview.outcome, Outcome::Findings);
    let expected = "a scraper is gone, and others scrape its nodes: 1 scraper: s-2";
    assert_eq!(overview.wrong, [expected]);
    let text = text::of(&overview, Paint::PLAIN);
    // What is wrong comes before what is long.
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[1..4],
        ["", expected, "What to do: kubectl tributary doctor"]
    );

    let all = leases(&[("s-0", "16:59:58"), ("s-1", "16:59:58")]);
    let overview = Overview::read(&healthy().list(LEASES, &all).api()).await;
    assert_eq!(
        (overview.outcome, &*overview.wrong),
        (Outcome::Healthy, &[][..])
    );
    let refused = json!({ "message": "leases is forbidden" });
    let overview = Overview::read(&healthy().with(LEASES, 403, refused).api()).await;
    // Not every user may list them.
    assert_eq!(overview.outcome, Outcome::Healthy);
    let refused = json!({ "message": "leases is broken" });
    let overview = Overview::read(&healthy().with(LEASES, 500, refused).api()).await;
    assert_eq!(overview.outcome, Outcome::Unknown);
    assert_eq!(overview.unread, ["failed to read Leases: leases is broken"]);
}

#[tokio::test]
async fn what_to_run_names_the_cluster_of_the_caller() {
    let mut api = healthy()
        .list(&format!("{FLEET}/scrapers"), &json!([]))
        .api();
    api.commands = crate::commands::tests::named();
    let text = text::of(&Overview::read(&api).await, Paint::PLAIN);
    let flags = crate::commands::tests::FLAGS;
    let expected = format!("What to do: kubectl tributary {flags} doctor\n");
    assert!(text.contains(&expected), "{text}");
}

/// The healthy fleet, of which no frontend answers.
fn silent() -> Fake {
    let refused = json!({ "message": "service unavailable" });
    ["nodescrapes", "scrapers", "metricsfrontends"]
        .iter()
        .fold(healthy(), |fake, kind| {
            fake.with(&format!("{FLEET}/{kind}"), 503, refused.clone())
        })
}

#[tokio::test]
async fn that_no_scraper_runs_is_said_also_where_no_frontend_answers() {
    let gone = leases(&[("s-0", "16:58:25"), ("s-1", "16:58:25")]);
    let overview = Overview::read(&silent().list(LEASES, &gone).api()).await;
    let expected = "no scraper runs (TRB023): no scraper of the default group in sys renews its Lease, there is no pod of a scraper";
    let silent_too = "no frontend answers: kubectl top and autoscalers have no metrics (TRB007)";
    assert_eq!(overview.wrong, [expected, silent_too]);
    assert_eq!(overview.outcome, Outcome::Findings);
    // One of them may run, or it is not known whether there should be one.
    let one = leases(&[("s-0", "16:58:25"), ("s-1", "16:59:58")]);
    for leases in [one, json!([])] {
        let overview = Overview::read(&silent().list(LEASES, &leases).api()).await;
        assert_eq!(overview.wrong, [silent_too]);
    }
    // Where Leases and pods are gone, the pods of frontends say that there should be scrapers.
    let frontend = json!([crate::doctor::facts::healthy::pod("f-0", "frontend")]);
    let fake = silent().list(LEASES, &json!([])).list(PODS, &frontend);
    let overview = Overview::read(&fake.api()).await;
    assert_eq!(
        overview.wrong,
        [
            "no scraper runs (TRB023): there is no pod of a scraper",
            silent_too
        ]
    );
}

#[tokio::test]
async fn that_no_frontend_answers_is_the_first_sentence_of_the_screen() {
    let missing = (
        "False",
        "MissingEndpoints",
        "endpoints have no response with reason",
    );
    let refused = (
        "False",
        "FailedDiscoveryCheck",
        "https://10.0.0.1:443/apis: connection refused",
    );
    let endpoint = |ready: bool| {
        json!([{ "metadata": {}, "addressType": "IPv4", "endpoints": [
            { "addresses": ["10.0.0.1"], "conditions": { "ready": ready } },
        ] }])
    };
    let passed = ("True", "Passed", "all checks passed");
    for (says, is_ready, code) in [
        (missing, false, "TRB005"),
        (refused, true, "TRB007"),
        // kube-apiserver asks the server from time to time only.
        (passed, false, "TRB005"),
        (passed, true, "TRB007"),
    ] {
        let metrics = service("v1beta1.metrics.k8s.io", "metrics.k8s.io", says);
        let fake = silent().list(API_SERVICES, &json!([metrics]));
        let fake = fake.list(SLICES, &endpoint(is_ready));
        let overview = Overview::read(&fake.api()).await;
        assert_eq!(overview.outcome, Outcome::Findings);
        let text = text::of(&overview, Paint::PLAIN);
        let first = format!(
            "no frontend answers: kubectl top and autoscalers have no metrics ({code})\n\
             What to do: kubectl tributary doctor\n"
        );
        assert!(text.starts_with(&first), "{text}");
    }
}

#[tokio::test]
async fn before_the_switch_frontends_that_do_not_answer_take_no_metrics_away() {
    let passed = ("True", "Passed", "all checks passed");
    let mut metrics = service("v1beta1.metrics.k8s.io", "metrics.k8s.io", passed);
    metrics["spec"]["service"]["name"] = json!("metrics-server");
    let missing = ("False", "MissingEndpoints", "endpoints have no addresses");
    let fleet = service(
        "v1alpha1.fleet.tributary.dev",
        "fleet.tributary.dev",
        missing,
    );
    let fake = silent().list(API_SERVICES, &json!([metrics, fleet]));
    let overview = Overview::read(&fake.api()).await;
    let expected = "no frontend answers, and another server has the metrics (TRB005)";
    assert_eq!(overview.wrong, [expected]);
}

#[tokio::test]
async fn without_leases_nodes_show_that_a_scraper_is_gone() {
    let mut orphan = node("n-0", "served", ("16:59:58", "16:59:57"));
    orphan["status"]["scrapers"] = json!({ "standby": ["s-1"] });
    let refused = json!({ "message": "leases is forbidden" });
    let fake = healthy()
        .with(LEASES, 403, refused)
        .list(&format!("{FLEET}/nodescrapes"), &json!([orphan]));
    let overview = Overview::read(&fake.api()).await;
    let expected = "a scraper is gone, and others scrape its nodes: 1 node without an owner";
    assert_eq!(overview.wrong, [expected]);
}

#[tokio::test]
async fn a_fleet_that_nothing_can_ask_is_not_healthy() {
    let passed = ("True", "Passed", "all checks passed");
    let of_fleet = service(
        "v1alpha1.fleet.tributary.dev",
        "fleet.tributary.dev",
        passed,
    );
    for services in [json!([of_fleet]), json!([])] {
        let (overview, text) = with_list("apiservices", &services).await;
        assert_eq!(overview.outcome, Outcome::Findings);
        let expected = "\
metrics.k8s.io is not registered: kubectl top and autoscalers have no metrics
What to do: kubectl tributary doctor
";
        assert!(text.contains(expected), "{text}");
    }
}

#[tokio::test]
async fn an_empty_fleet_is_not_known_and_says_so() {
    let (overview, text) = with_list("nodescrapes", &json!([])).await;
    assert_eq!(overview.outcome, Outcome::Unknown);
    assert!(text.contains("the fleet has no node\n"), "{text}");
    let (overview, text) = with_list("metricsfrontends", &json!([])).await;
    assert_eq!(overview.outcome, Outcome::Unknown);
    assert!(text.contains("the fleet has no frontend\n"), "{text}");
}

#[tokio::test]
async fn freshness_is_that_of_nodes_with_metrics() {
    let mut without_time = node("n-2", "served", ("16:59:56", "16:59:56"));
    without_time["status"]["sample"]["measuredAt"] = Value::Null;
    let nodes = json!([
        node("n-0", "served", ("16:59:58", "16:59:57")),
        node("n-1", "failing", ("16:40:00", "16:40:00")),
        without_time,
    ]);
    let (_, text) = with_list("nodescrapes", &nodes).await;
    let expected = "\
2 of 3 nodes with metrics (1 failing, 2 served)
FRESHNESS                   NODES  P50  P90  P99  MAX
since the scrape            2      2s   4s   4s   4s
since the kubelet measured  1      3s   3s   3s   3s
";
    assert!(text.contains(expected), "{text}");
}

#[tokio::test]
async fn the_frontend_that_answered_is_not_taken_for_all() {
    let endpoint =
        |ready: bool| json!({ "addresses": ["10.0.0.1"], "conditions": { "ready": ready } });
    let slice = json!([{
        "metadata": {}, "addressType": "IPv4", "endpoints": [endpoint(true), endpoint(false)],
    }]);
    let overview = Overview::read(&healthy().list(SLICES, &slice).api()).await;
    let text = text::of(&overview, Paint::PLAIN);
    let line = "1 of 2 endpoints of the Service ready; shown is the frontend that answered\n";
    assert!(text.contains(line), "{text}");
}

#[tokio::test]
async fn one_reason_for_several_things_is_said_once() {
    let overview = Overview::read(&silent().api()).await;
    assert_eq!(
        overview.unread,
        ["failed to read nodes, scrapers, frontends: service unavailable"]
    );
}

#[test]
fn percentiles_are_values_that_were_there() {
    let seconds = (1..=200).map(Duration::from_secs);
    let spread = Spread::of(seconds).unwrap();
    let Spread {
        p50, p90, p99, max, ..
    } = spread;
    assert_eq!(
        [p50, p90, p99, max].map(|value| value.to_string()),
        ["100", "180", "198", "200"]
    );
    assert_eq!(spread.nodes, 200);
    assert_eq!(Spread::of(std::iter::empty()), None);
    let one = Spread::of(std::iter::once(Duration::from_secs(3))).unwrap();
    assert_eq!(one.p50.to_string(), "3");
}
