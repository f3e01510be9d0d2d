//! Leases that are not renewed, and scrapers that are gone.

use serde_json::{Value, json};

use super::{
    super::{
        facts::healthy::{all, lease, pod, scrape},
        finding::Finding,
    },
    codes, report,
};
use crate::{
    catalogue::{Code, Level},
    kube_api::Failure,
};

#[test]
fn leases_that_are_not_renewed_are_found() {
    let none =
        codes(|facts| facts.leases = all([lease("s-0", "16:58:00"), lease("s-1", "16:58:00")]));
    assert_eq!(none, ["LeaseNotRenewed"]);
    let one =
        codes(|facts| facts.leases = all([lease("s-0", "16:58:00"), lease("s-1", "16:59:58")]));
    assert_eq!(one, ["LeaseNotRenewed"]);
    let fixed_shards = report(|facts| facts.leases = Ok(Vec::new()));
    assert_eq!(fixed_shards.findings, []);
    let [skipped] = &*fixed_shards.skipped else {
        panic!("{:?}", fixed_shards.skipped);
    };
    assert_eq!(
        (skipped.check, &*skipped.reason),
        ("Leases", "no scraper holds a Lease")
    );
}

#[test]
fn a_lease_that_an_installation_left_behind_can_be_deleted() {
    let report = report(|facts| {
        let mut left = lease("gone", "12:00:00");
        left["metadata"]["namespace"] = json!("old");
        let leases = [left, lease("s-0", "16:59:57"), lease("s-1", "16:59:58")];
        facts.leases = all(leases);
    });
    let [finding] = &*report.findings else {
        panic!("{:?}", report.findings);
    };
    assert_eq!(finding.code, Code::LeaseNotRenewed);
    assert_eq!(
        finding.commands().last().unwrap(),
        "kubectl -n old delete lease tributary-gone"
    );
}

#[test]
fn one_lost_scraper_of_several_is_found_by_its_lease() {
    let report = report(|facts| {
        facts.leases = all([lease("s-2", "16:58:25"), lease("s-1", "16:59:58")]);
    });
    let [finding] = &*report.findings else {
        panic!("{:?}", report.findings);
    };
    assert_eq!(finding.code, Code::ScraperLost);
    assert_eq!(finding.what, "1 scraper: s-2");
    let seen = "s-2 of the default group in sys: Lease not renewed for 95s, and no stream";
    assert_eq!(finding.evidence, [seen]);
    assert_eq!(
        finding.commands().last().unwrap(),
        "kubectl -n sys logs s-2 -c scraper --tail=50"
    );
}

#[test]
fn where_no_scraper_is_connected_none_has_taken_over() {
    let report = report(|facts| {
        facts.scrapers = Ok(Vec::new());
        facts.leases = all([lease("s-2", "16:58:25"), lease("s-1", "16:59:58")]);
    });
    let lost = |finding: &Finding| finding.code == Code::ScraperLost;
    assert!(!report.findings.iter().any(lost), "{:?}", report.findings);
    assert!(!report.findings.is_empty());
}

/// No scraper runs, and so no frontend is ready.
fn none_runs(facts: &mut super::Facts) {
    let failure = Failure::Unavailable("service unavailable".to_owned());
    facts.scrapes = Err(failure.clone());
    facts.scrapers = Err(failure.clone());
    facts.frontends = Err(failure);
    facts.registrations.as_mut().unwrap()[0] =
        super::unavailable("MissingEndpoints", "endpoints have no addresses");
    facts.leases = all([lease("s-0", "16:58:25"), lease("s-1", "16:58:25")]);
    let not_ready = |name: &str, component: &str| {
        let mut pod = pod(name, component);
        pod["status"]["conditions"][0]["status"] = json!("False");
        pod
    };
    facts.pods = all([not_ready("f-0", "frontend"), not_ready("s-0", "scraper")]);
}

#[test]
fn that_no_scraper_runs_is_found_first_also_where_no_frontend_answers() {
    let found = report(none_runs);
    let codes: Vec<Code> = found.findings.iter().map(|it| it.code).collect();
    let expected = [
        Code::NoScraperConnected,
        Code::ServiceWithoutEndpoints,
        Code::FrontendsNotReady,
        Code::ScrapersNotReady,
        Code::LeaseNotRenewed,
    ];
    assert_eq!(codes, expected);
    let first = &found.findings[0];
    assert_eq!(first.level(), Level::Error);
    assert_eq!(first.what, "no scraper runs");
    let seen = [
        "2 of 2 nodes without metrics",
        "no scraper of the default group in sys renews its Lease",
        "0 of 1 pod of scrapers ready",
    ];
    assert_eq!(first.evidence, seen);

    let without_pods = report(|facts| {
        none_runs(facts);
        facts.leases = Ok(Vec::new());
        facts.pods = all([pod("f-0", "frontend")]);
    });
    let seen = [
        "2 of 2 nodes without metrics",
        "there is no pod of a scraper",
    ];
    assert_eq!(without_pods.findings[0].evidence, seen);
}

/// With this change it is not known whether a scraper runs.
fn may_run(change: impl FnOnce(&mut super::Facts)) {
    let report = report(|facts| {
        none_runs(facts);
        change(facts);
    });
    let mut unknown = report.unknown.iter();
    assert!(unknown.any(|it| it.check == "connected scrapers"));
}

#[test]
fn a_scraper_that_may_run_is_not_called_gone() {
    may_run(|facts| facts.leases = all([lease("s-0", "16:58:25"), lease("s-1", "16:59:58")]));
    may_run(|facts| facts.leases = Err(Failure::Forbidden("leases is forbidden".to_owned())));
    may_run(|facts| facts.pods = all([pod("s-0", "scraper")]));
    may_run(|facts| {
        let mut new = pod("s-0", "scraper");
        new["metadata"]["creationTimestamp"] = json!("2026-11-29T16:59:30Z");
        new["status"] = json!({ "phase": "Pending" });
        facts.pods = all([new]);
    });
    // Without Leases a pod that runs is enough: without a frontend it does not become ready.
    may_run(|facts| {
        facts.leases = Ok(Vec::new());
        let mut runs = pod("s-0", "scraper");
        runs["status"] = json!({ "phase": "Running", "containerStatuses": [{
            "name": "scraper", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": { "running": {} },
        }] });
        facts.pods = all([runs]);
    });
    // Beside a frontend that is not ready, as where one pod has both.
    for (containers, statuses) in [
        ("containers", "containerStatuses"),
        ("initContainers", "initContainerStatuses"),
    ] {
        may_run(|facts| {
            facts.leases = Ok(Vec::new());
            let mut both = pod("f-0", "frontend");
            both["spec"] = json!({ "containers": [{ "name": "frontend" }] });
            both["spec"][containers] = json!([{ "name": "scraper" }]);
            both["status"] = json!({ "phase": "Running" });
            both["status"][statuses] = json!([{
                "name": "scraper", "image": "", "imageID": "", "ready": true, "restartCount": 0,
                "state": { "running": {} },
            }]);
            facts.pods = all([both]);
        });
    }
    // Neither is of Tributary, as far as labels say.
    may_run(|facts| (facts.leases, facts.pods) = (Ok(Vec::new()), Ok(Vec::new())));
}

/// A node that nothing but `rescuer` scrapes.
fn orphan(name: &str, rescuer: &str) -> Value {
    let mut node = scrape(name);
    node["status"]["scrapers"] = json!({ "rescuers": [rescuer], "standby": [rescuer] });
    node
}

#[test]
fn one_lost_scraper_of_fixed_shards_is_found_by_who_rescues_its_nodes() {
    let report = report(|facts| {
        facts.leases = Ok(Vec::new());
        let mut owned = scrape("n-3");
        owned["status"]["scrapers"] = json!({ "owners": ["s-0"], "rescuers": ["s-1"] });
        let orphans = [
            orphan("n-0", "s-1"),
            orphan("n-1", "s-0"),
            orphan("n-2", "s-1"),
        ];
        facts.scrapes = all(orphans.into_iter().chain([owned]));
    });
    let [finding] = &*report.findings else {
        panic!("{:?}", report.findings);
    };
    assert_eq!(finding.code, Code::ScraperLost);
    assert_eq!(finding.what, "3 nodes without an owner");
    let seen = [
        "s-0 rescues 1 node without an owner: n-1",
        "s-1 rescues 2 nodes without an owner: n-0, n-2",
    ];
    assert_eq!(finding.evidence, seen);
    // Which scraper it was is not known.
    assert_eq!(finding.commands().len(), 2);
}

#[test]
fn a_scraper_that_may_be_connected_is_not_called_lost() {
    let silent = |facts: &mut super::Facts| {
        facts.scrapers = Err(Failure::Unavailable("service unavailable".to_owned()));
        facts.leases = all([lease("s-2", "16:58:25"), lease("s-1", "16:59:58")]);
    };
    let found = report(silent);
    let codes: Vec<Code> = found.findings.iter().map(|it| it.code).collect();
    assert_eq!(codes, [Code::LeaseNotRenewed]);
    let unknown: Vec<&str> = found.unknown.iter().map(|it| it.check).collect();
    let expected = [
        "connected scrapers",
        "lost scrapers",
        "versions of components",
    ];
    assert_eq!(unknown, expected);
}

#[test]
fn nodes_of_a_group_that_is_gone_are_not_blamed_on_a_selector() {
    let without = |facts: &mut super::Facts| {
        let mut node = scrape("n-9");
        node["status"]["state"] = json!("expired");
        node["status"]["remedy"] = json!("NoScraper");
        node["status"]["message"] = json!("the newest sample is 3m old");
        facts.scrapes = all([scrape("n-0"), node]);
    };
    let nothing_gone = report(without);
    assert_eq!(nothing_gone.findings[0].evidence.len(), 1);
    let report = report(|facts| {
        without(facts);
        let mut of_edge = lease("e-0", "16:50:00");
        of_edge["metadata"]["labels"]["tributary.dev/group"] = json!("edge");
        facts.leases = all([of_edge, lease("s-0", "16:59:57"), lease("s-1", "16:59:58")]);
    });
    let found: Vec<Code> = report.findings.iter().map(|it| it.code).collect();
    assert_eq!(found, [Code::LeaseNotRenewed, Code::NoScraper]);
    let evidence = [
        "no scraper of group edge in sys renews its Lease (TRB024)",
        "n-9: the newest sample is 3m old",
    ];
    assert_eq!(report.findings[1].evidence, evidence);
    assert!(
        Code::NoScraper
            .trouble()
            .remedy
            .starts_with("If there is a group")
    );
}
