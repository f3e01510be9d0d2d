//! One part that fails is one finding.

use serde_json::{Value, json};

use super::{
    super::{
        Endpoint, Facts,
        facts::{
            Denied, Need, Role,
            healthy::{all, lease, pod, scrape},
        },
    },
    codes, failing, report, unavailable,
};
use crate::catalogue::Code;

/// A pod that does not start.
fn broken(name: &str, component: &str) -> Value {
    let mut pod = pod(name, component);
    pod["status"] = json!({ "phase": "Running", "containerStatuses": [{
        "name": component, "image": "", "imageID": "", "ready": false, "restartCount": 3,
        "state": { "waiting": { "reason": "CrashLoopBackOff" } },
    }] });
    pod
}

fn endpoint(address: &str, is_ready: bool) -> Endpoint {
    Endpoint {
        address: address.to_owned(),
        is_ready,
        ..Endpoint::default()
    }
}

/// No frontend gets a request.
fn no_endpoint(facts: &mut Facts) {
    let missing = unavailable("MissingEndpoints", "endpoints have no addresses");
    facts.registrations.as_mut().unwrap()[0] = missing;
}

#[test]
fn one_frontend_of_two_that_is_down_is_found_without_labels() {
    let report = report(|facts| {
        facts.pods = Ok(Vec::new());
        facts.endpoints = Ok(vec![
            endpoint("10.0.0.1", true),
            endpoint("10.0.0.2", false),
        ]);
    });
    let [finding] = &*report.findings else {
        panic!("{:?}", report.findings);
    };
    assert_eq!(finding.code, Code::FrontendsNotReady);
    assert_eq!(
        finding.what,
        "1 endpoint of the Service not ready: 10.0.0.2"
    );
    let command =
        "kubectl -n sys get endpointslices -l kubernetes.io/service-name=tributary -o yaml";
    assert_eq!(finding.commands(), [command]);
}

#[test]
fn an_endpoint_of_a_pod_that_starts_or_ends_is_not_down() {
    let of = |name: &str| Endpoint {
        pod: Some(name.to_owned()),
        ..endpoint("10.0.0.2", false)
    };
    let mut new = pod("plain-1", "");
    new["metadata"]["labels"] = json!({ "app": "plain" });
    new["metadata"]["creationTimestamp"] = json!("2026-11-29T16:59:50Z");
    new["status"] = json!({ "phase": "Pending" });
    let mut old = new.clone();
    old["metadata"]["creationTimestamp"] = json!("2026-11-29T16:00:00Z");
    for (pod, expected) in [(new, &[][..]), (old, &["FrontendsNotReady"])] {
        let found = codes(|facts| {
            facts.pods = all([pod]);
            facts.endpoints = Ok(vec![of("plain-1")]);
        });
        assert_eq!(found, expected);
    }
    let ending = codes(|facts| {
        facts.endpoints = Ok(vec![Endpoint {
            is_terminating: true,
            ..of("unknown")
        }]);
    });
    assert_eq!(ending, [""; 0]);
}

#[test]
fn the_pods_of_frontends_are_the_reason_why_a_service_has_no_endpoint() {
    let of_pods = codes(|facts| {
        no_endpoint(facts);
        facts.pods = all([broken("f-0", "frontend"), pod("s-0", "scraper")]);
    });
    assert_eq!(of_pods, ["FrontendsNotReady"]);
    let of_endpoints = codes(|facts| {
        no_endpoint(facts);
        facts.pods = Ok(Vec::new());
        facts.endpoints = Ok(vec![endpoint("10.0.0.1", false)]);
    });
    assert_eq!(of_endpoints, ["FrontendsNotReady"]);
    let without_pods = codes(|facts| {
        no_endpoint(facts);
        facts.pods = all([pod("s-0", "scraper")]);
    });
    assert_eq!(without_pods, ["ServiceWithoutEndpoints"]);
}

#[test]
fn frontends_and_scrapers_that_do_not_start_are_two_troubles() {
    let found = codes(|facts| {
        no_endpoint(facts);
        facts.scrapers = Ok(Vec::new());
        facts.pods = all([broken("f-0", "frontend"), broken("s-0", "scraper")]);
    });
    assert_eq!(found, ["NoScraperConnected", "FrontendsNotReady"]);
}

/// What an account may not do.
fn denied(role: Role, resource: &'static str) -> Denied {
    Denied {
        role,
        account: "sys:tributary".to_owned(),
        need: Need {
            verb: "create",
            group: "",
            resource,
            namespace: String::new(),
            name: String::new(),
        },
    }
}

#[test]
fn a_permission_that_lacks_is_the_reason_for_what_it_prevents() {
    let leases = codes(|facts| {
        facts.denied = Ok(vec![denied(Role::Scraper, "leases")]);
        facts.leases = all([lease("s-0", "16:58:00"), lease("s-1", "16:58:00")]);
    });
    assert_eq!(leases, ["ScraperPermission"]);
    let other = codes(|facts| {
        facts.denied = Ok(vec![denied(Role::Scraper, "events")]);
        facts.leases = all([lease("s-0", "16:58:00"), lease("s-1", "16:58:00")]);
    });
    assert_eq!(other, ["LeaseNotRenewed", "ScraperPermission"]);
    let streams = codes(|facts| {
        facts.denied = Ok(vec![denied(Role::Scraper, "samplestreams")]);
        facts.scrapers = Ok(Vec::new());
    });
    assert_eq!(streams, ["ScraperPermission"]);
    let report = report(|facts| {
        facts.denied = Ok(vec![denied(Role::KubeletReader, "nodes/metrics")]);
        facts.scrapes = all([scrape("n-0"), failing("n-1", "KubeletAccess", "403")]);
    });
    let [finding] = &*report.findings else {
        panic!("{:?}", report.findings);
    };
    assert_eq!(finding.code, Code::KubeletReaderPermission);
    assert_eq!(
        finding.evidence[1],
        "with it TRB043: 1 node: n-1 (n-1: 403)"
    );
}
