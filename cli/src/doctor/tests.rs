mod accounts;
mod commands;
mod consequences;
mod leases;
mod made;

use serde_json::{Value, json};

use super::{
    facts::{
        Lacking, Unread,
        healthy::{all, pod, registration, scrape},
    },
    *,
};
use crate::{catalogue::Code, commands::Commands, printed::Paint};

/// The codes that a cluster with one change has.
fn codes(change: impl FnOnce(&mut Facts)) -> Vec<&'static str> {
    let report = report(change);
    assert_eq!(report.unknown, [], "{:?}", report.findings);
    report
        .findings
        .iter()
        .map(|finding| finding.code.trouble().name)
        .collect()
}

fn report(change: impl FnOnce(&mut Facts)) -> Report {
    let mut facts = Facts::healthy();
    change(&mut facts);
    Report::of(&facts)
}

/// The `APIService` of `metrics.k8s.io` that is not available, for this reason.
fn unavailable(reason: &str, message: &str) -> crate::api_services::Registration {
    crate::api_services::Registration {
        available: Some(false),
        reason: reason.to_owned(),
        message: message.to_owned(),
        ..registration("v1beta1.metrics.k8s.io")
    }
}

/// A node of the fleet without metrics.
fn failing(name: &str, remedy: &str, message: &str) -> Value {
    json!({ "metadata": { "name": name }, "status": {
        "state": "failing", "reason": "tls", "remedy": remedy, "message": message, "owner": "s-0",
    } })
}

#[test]
fn a_healthy_cluster_has_no_finding() {
    let report = report(|_| {});
    assert_eq!(report.findings, []);
    assert_eq!(report.unknown, []);
    assert_eq!(report.outcome, Outcome::Healthy);
    assert_eq!(report.checked.len(), CHECKS.len());
    let expected = "Kubernetes v1.37.1, with Tributary 0.1.0 in sys\n\n\
                    0 errors, 0 warnings; 17 checks made, 0 not possible, 0 skipped\n";
    assert_eq!(text(&report, Paint::PLAIN), expected);
}

#[test]
fn troubles_of_registration_are_found() {
    let off = codes(|facts| {
        facts.front_proxy = Ok([("client-ca-file".to_owned(), String::new())].into());
    });
    assert_eq!(off, ["AggregationLayerOff"]);
    let missing = codes(|facts| {
        facts.registrations = Ok(vec![registration("v1alpha1.fleet.tributary.dev")]);
        facts.groups = Ok(vec!["apiregistration.k8s.io".to_owned()]);
    });
    assert_eq!(missing, ["ApiServiceMissing"]);
    let other = codes(|facts| {
        let service = Some(("kube-system".to_owned(), "metrics-server".to_owned()));
        facts.registrations.as_mut().unwrap()[0].service = service;
    });
    assert_eq!(other, ["AnotherServer"]);
    for (reason, message, code) in [
        (
            "ServiceNotFound",
            "service/tributary not present",
            "ServiceMissing",
        ),
        (
            "MissingEndpoints",
            "endpoints have no addresses",
            "ServiceWithoutEndpoints",
        ),
        (
            "FailedDiscoveryCheck",
            "https://10.0.0.1:443/apis: i/o timeout",
            "NoRoute",
        ),
        (
            "FailedDiscoveryCheck",
            "https://10.0.0.1:443/apis: x509: no",
            "CertificateNotTrusted",
        ),
    ] {
        let found =
            codes(|facts| facts.registrations.as_mut().unwrap()[0] = unavailable(reason, message));
        assert_eq!(found, [code]);
    }
}

#[test]
fn one_server_behind_several_groups_is_one_finding() {
    let report = report(|facts| {
        for service in facts.registrations.as_mut().unwrap() {
            let name = service.name.clone();
            *service = unavailable("FailedDiscoveryCheck", "https://10.0.0.1:443/apis: timeout");
            service.name = name;
        }
    });
    let [finding] = &*report.findings else {
        panic!("{:?}", report.findings);
    };
    assert_eq!((finding.code, finding.evidence.len()), (Code::NoRoute, 3));
    let curl = &finding.commands()[2];
    assert!(
        curl.starts_with("curl -k --max-time 5 https://10.0.0.1:443/livez"),
        "{curl}"
    );
}

#[test]
fn troubles_of_components_are_found() {
    let broken = |name: &str, component: &str| {
        let mut pod = pod(name, component);
        pod["status"] = json!({ "phase": "Pending", "conditions": [
            { "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes" },
        ] });
        pod
    };
    let found = report(|facts| facts.pods = all([broken("f-1", "frontend")]));
    assert_eq!(found.findings[0].code, Code::FrontendsNotReady);
    assert_eq!(
        found.findings[0].evidence,
        ["f-1: Unschedulable: 0/3 nodes"]
    );
    assert_eq!(
        codes(|facts| facts.pods = all([broken("s-9", "scraper")])),
        ["ScrapersNotReady"]
    );

    let refused = json!({
        "metadata": { "namespace": "sys", "name": "tributary" },
        "spec": { "selector": {}, "template": {} },
        "status": { "conditions": [
            { "type": "ReplicaFailure", "status": "True", "message": "exceeded quota" },
        ] },
    });
    assert_eq!(
        codes(|facts| facts.deployments = all([refused])),
        ["PodsRefused"]
    );
    assert_eq!(
        codes(|facts| facts.scrapers = Ok(Vec::new())),
        ["NoScraperConnected"]
    );
    let skew =
        json!({ "metadata": { "name": "s-0" }, "status": { "source": "s-0", "version": "0.2.0" } });
    assert_eq!(codes(|facts| facts.scrapers = all([skew])), ["VersionSkew"]);
    let old = codes(|facts| facts.version.as_mut().unwrap().git_version = "v1.26.3".to_owned());
    assert_eq!(old, ["KubernetesTooOld"]);
}

#[test]
fn nodes_are_grouped_by_their_remedy() {
    let report = report(|facts| {
        facts.scrapes = all([
            scrape("n-0"),
            failing("n-1", "KubeletCertificate", "x509: unknown authority"),
            failing("n-2", "KubeletCertificate", "x509: unknown authority"),
            failing("n-3", "KubeletAccess", "403 Forbidden"),
        ]);
    });
    let found: Vec<_> = report
        .findings
        .iter()
        .map(|it| (it.code, it.what.as_str()))
        .collect();
    let expected = [
        (Code::KubeletCertificate, "2 nodes: n-1, n-2"),
        (Code::KubeletAccess, "1 node: n-3"),
    ];
    assert_eq!(found, expected);
    assert_eq!(
        report.findings[0].evidence,
        ["n-1: x509: unknown authority"]
    );
}

#[test]
fn what_waits_for_a_second_sample_is_not_known_yet() {
    let report = report(|facts| {
        let mut node = scrape("n-0");
        node["status"]["state"] = json!("incomplete");
        node["status"]["message"] = json!("waiting for a second sample");
        facts.scrapes = all([node]);
    });
    assert_eq!(report.outcome, Outcome::Unknown);
    assert_eq!(
        report.unknown[0].reason,
        "1 node not served yet: n-0: waiting for a second sample"
    );
}

#[test]
fn without_scrapers_no_node_is_a_trouble_of_its_own() {
    let lacking = |name: &str, state: &str, remedy: &str| {
        let mut node = scrape(name);
        node["status"]["state"] = json!(state);
        node["status"]["remedy"] = json!(remedy);
        node
    };
    let report = report(|facts| {
        facts.scrapers = Ok(Vec::new());
        facts.scrapes = all([
            scrape("n-3"),
            lacking("n-0", "expired", "ScraperSilent"),
            lacking("n-1", "unreported", ""),
            lacking("n-2", "late", "NoScraper"),
        ]);
    });
    let found: Vec<_> = report.findings.iter().map(|it| it.code).collect();
    assert_eq!(found, [Code::NoScraperConnected]);
    assert_eq!(
        report.findings[0].evidence,
        ["2 of 4 nodes without metrics"]
    );
    assert_eq!(report.unknown, []);
}

#[test]
fn old_metrics_and_clocks_that_are_ahead_are_found() {
    let measured = |at: &str| {
        let mut node = scrape("n-0");
        node["status"]["sample"]["measuredAt"] = json!(at);
        node
    };
    let old = codes(|facts| facts.scrapes = all([measured("2026-11-29T16:58:50Z")]));
    assert_eq!(old, ["MetricsOld"]);
    let ahead = codes(|facts| facts.scrapes = all([measured("2026-11-29T17:00:10Z")]));
    assert_eq!(ahead, ["ClockAhead"]);
    let fresh = codes(|facts| facts.scrapes = all([measured("2026-11-29T16:59:10Z")]));
    assert!(fresh.is_empty(), "{fresh:?}");
}

#[test]
fn requests_and_certificates_are_found() {
    let request = |created: &str, status: Value| {
        json!({
            "metadata": { "name": "csr-1", "creationTimestamp": created },
            "spec": { "request": "YQ==", "signerName": "kubernetes.io/kubelet-serving", "username": "system:node:n-0" },
            "status": status,
        })
    };
    let waiting = request("2026-11-29T16:50:00Z", json!({}));
    assert_eq!(
        codes(|facts| facts.requests = all([waiting])),
        ["KubeletCsrPending"]
    );
    let approved = json!({ "conditions": [{ "type": "Approved", "status": "True" }] });
    let done = [
        request("2026-11-29T16:50:00Z", approved),
        request("2026-11-29T16:59:50Z", json!({})),
    ];
    assert!(codes(|facts| facts.requests = all(done)).is_empty());

    let report = report(|facts| {
        facts.frontends.as_mut().unwrap()[0]
            .status
            .certificate_expires = Some("2026-12-02T17:00:00Z".parse().unwrap());
    });
    assert_eq!(report.findings[0].code, Code::CertificateExpires);
    assert_eq!(report.findings[0].what, "f-0 expires in 3d");
}

#[test]
fn autoscalers_without_requests_are_found() {
    let report = report(|facts| {
        facts.scalers.as_mut().unwrap().lacking = vec![Lacking {
            namespace: "shop".to_owned(),
            autoscaler: "web".to_owned(),
            target: "deployment/web".to_owned(),
            resource: "cpu".to_owned(),
            container: "istio-proxy".to_owned(),
            pods: vec!["web-1".to_owned()],
        }];
    });
    let [finding] = &*report.findings else {
        panic!("{:?}", report.findings);
    };
    assert_eq!(finding.code, Code::HpaWithoutRequests);
    let command = "kubectl -n shop set resources deployment/web -c istio-proxy --requests=cpu=100m";
    assert_eq!(finding.commands()[1], command);
}

#[test]
fn an_autoscaler_that_cannot_be_read_is_named() {
    let report = report(|facts| {
        facts.scalers.as_mut().unwrap().unread = vec![Unread {
            namespace: "shop".to_owned(),
            autoscaler: "odd".to_owned(),
            why: crate::kube_api::Failure::Failed("broken".to_owned()),
        }];
    });
    let [unknown] = &*report.unknown else {
        panic!("{:?}", report.unknown);
    };
    assert_eq!(
        unknown.reason,
        "1 autoscaler cannot be read: shop/odd: broken"
    );
}

#[test]
fn a_finding_says_what_evidence_why_remedy_and_where_to_read() {
    let report = report(|facts| {
        facts.pods = all([pod("tributary-a", "frontend")]);
        facts.scrapes = all([failing("n-1", "KubeletAccess", "403 \u{1b}[2J Forbidden")]);
    });
    for (cluster, flags) in [
        (Commands::default(), String::new()),
        (
            crate::commands::tests::named(),
            format!(" {}", crate::commands::tests::FLAGS),
        ),
    ] {
        let mut facts = Facts::healthy();
        facts.commands = cluster;
        facts.scrapes = all([failing("n-1", "KubeletAccess", "403")]);
        let report = Report::of(&facts);
        let text = text(&report, Paint::PLAIN);
        for line in [
            format!("  run       kubectl{flags} get --raw /api/v1/nodes/n-1/"),
            format!("trb043, or kubectl tributary{flags} explain trouble TRB043\n"),
        ] {
            assert!(text.contains(&line), "{line:?} in {text}");
        }
        let json = json!(report);
        let command = json["findings"][0]["commands"][0].as_str().unwrap();
        assert!(
            command.starts_with(&format!("kubectl{flags} get ")),
            "{command}"
        );
    }
    let text = text(&report, Paint::PLAIN);
    for line in [
        "TRB043 the kubelet does not accept the token of the scraper\n",
        "  what      1 node: n-1\n",
        "  evidence  n-1: 403  [2J Forbidden\n",
        "  matters   These nodes and their pods have no metrics.\n",
        "  run       kubectl get --raw /api/v1/nodes/n-1/proxy/configz",
        "  read      docs/troubles/README.md#trb043, or kubectl tributary explain trouble TRB043\n",
        "1 error, 0 warnings; 17 checks made, 0 not possible, 0 skipped\n",
    ] {
        assert!(text.contains(line), "{line:?} in {text}");
    }
    let json = json!(report);
    assert_eq!(json["findings"][0]["code"], "TRB043");
    assert_eq!(json["outcome"], "findings");
}
