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
    let [first] = &*found.findings else {
        panic!("{:?}", found.findings);
    };
    assert_eq!(first.code, Code::NoScraperConnected);
    assert_eq!(first.level(), Level::Error);
    assert_eq!(first.what, "no scraper runs");
    let seen = [
        "2 of 2 nodes without metrics",
        "no scraper of the default group in sys renews its Lease",
        "0 of 1 pod of scrapers ready",
        "with it TRB005: kube-apiserver does not use sys/tributary for v1beta1.metrics.k8s.io (v1beta1.metrics.k8s.io: MissingEndpoints: endpoints have no addresses)",
        "with it TRB020: 1 pod: f-0 (f-0: Running, and not ready)",
        "with it TRB021: 1 pod: s-0 (s-0: Running, and not ready)",
        "with it TRB024: no scraper of the default group in sys renews its Lease (tributary-s-0: not renewed for 95s)",
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
    assert_eq!(without_pods.findings[0].evidence[..2], seen);
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

/// A node without metrics that no scraper owns.
fn unowned() -> Value {
    let mut node = scrape("n-9");
    node["status"]["state"] = json!("expired");
    node["status"]["remedy"] = json!("NoScraper");
    node["status"]["message"] = json!("the newest sample is 3m old");
    node
}

#[test]
fn nodes_of_scrapers_that_are_gone_are_not_blamed_on_a_selector() {
    let without = |facts: &mut super::Facts| facts.scrapes = all([scrape("n-0"), unowned()]);
    let nothing_gone = report(without);
    assert_eq!(nothing_gone.findings[0].code, Code::NoScraper);
    assert_eq!(nothing_gone.findings[0].evidence.len(), 1);
    let why = "without metrics, because no other scraper owns them: n-9";
    // A group of its own that is gone: long ago, and since less than three times its Lease.
    for (renewed, since) in [("16:50:00", "10m"), ("16:59:40", "20s")] {
        let report = report(|facts| {
            without(facts);
            let mut of_edge = lease("e-0", renewed);
            of_edge["metadata"]["labels"]["tributary.dev/group"] = json!("edge");
            facts.leases = all([of_edge, lease("s-0", "16:59:57"), lease("s-1", "16:59:58")]);
        });
        let [finding] = &*report.findings else {
            panic!("{:?}", report.findings);
        };
        assert_eq!(finding.code, Code::LeaseNotRenewed);
        assert_eq!(
            finding.what,
            "no scraper of group edge in sys renews its Lease"
        );
        let seen = format!("tributary-e-0: not renewed for {since}");
        assert_eq!(finding.evidence, [&*seen, why]);
    }
    // One of several.
    let report = report(|facts| {
        without(facts);
        facts.leases = all([lease("s-2", "16:59:30"), lease("s-1", "16:59:58")]);
    });
    let [finding] = &*report.findings else {
        panic!("{:?}", report.findings);
    };
    assert_eq!(finding.code, Code::ScraperLost);
    assert_eq!(finding.evidence[1], why);
}

#[test]
fn a_lost_scraper_is_found_from_the_end_of_its_stream_until_its_lease_is_deleted() {
    let owned = || {
        let mut node = scrape("n-0");
        node["status"]["scrapers"] = json!({ "owners": ["s-0"], "standby": ["s-1"] });
        node
    };
    let waits = || {
        let mut node = orphan("n-0", "s-1");
        node["status"]["scrapers"] = json!({ "standby": ["s-1"] });
        node
    };
    // When its Lease was renewed last, and what its node looks like, in their order.
    for (renewed, node) in [
        ("16:59:58", waits()),
        ("16:59:52", orphan("n-0", "s-1")),
        // A rescue has ended, and the next one begins with the next sample that is late.
        ("16:59:50", waits()),
        ("16:59:44", orphan("n-0", "s-1")),
        // Others own its nodes.
        ("16:59:44", owned()),
        ("16:59:20", owned()),
        ("16:58:00", owned()),
    ] {
        let report = report(|facts| {
            facts.leases = all([
                lease("s-0", "16:59:57"),
                lease("s-1", "16:59:58"),
                lease("s-2", renewed),
            ]);
            facts.scrapes = all([node]);
        });
        let found: Vec<_> = report
            .findings
            .iter()
            .map(|it| (it.code, it.what.as_str()))
            .collect();
        assert_eq!(found, [(Code::ScraperLost, "1 scraper: s-2")], "{renewed}");
        assert_eq!(report.unknown, []);
    }
}

#[test]
fn a_scraper_that_starts_or_stops_in_order_is_not_lost() {
    let roles = |roles: Value| {
        let mut node = scrape("n-0");
        node["status"]["scrapers"] = roles;
        node
    };
    for (leases, node) in [
        // It has deleted its Lease, and another one owns its node.
        (
            vec![lease("s-1", "16:59:58")],
            roles(json!({ "owners": ["s-1"] })),
        ),
        (
            vec![lease("s-1", "16:59:58")],
            roles(json!({ "leaving": ["s-0"], "standby": ["s-1"] })),
        ),
        // It has a Lease and no stream yet.
        (
            vec![lease("s-1", "16:59:58"), lease("s-2", "16:59:59")],
            roles(json!({ "owners": ["s-1"] })),
        ),
    ] {
        let found = codes(|facts| {
            facts.leases = all(leases);
            facts.scrapes = all([node]);
        });
        assert_eq!(found, [""; 0]);
    }
}

#[test]
fn one_that_hangs_is_lost_while_its_stream_is_open_and_one_that_runs_is_not() {
    // Frontends close the stream of a process that hangs within 45 s.
    let hangs = report(|facts| {
        facts.leases = all([lease("s-0", "16:59:30"), lease("s-1", "16:59:58")]);
    });
    let [finding] = &*hangs.findings else {
        panic!("{:?}", hangs.findings);
    };
    assert_eq!(finding.code, Code::ScraperLost);
    let seen = "s-0 of the default group in sys: Lease not renewed for 30s, and a stream: it hangs, or cannot write";
    assert_eq!(finding.evidence, [seen]);
    let runs = codes(|facts| {
        facts.leases = all([lease("s-0", "16:58:55"), lease("s-1", "16:59:58")]);
    });
    assert_eq!(runs, ["LeaseNotRenewed"]);
}

#[test]
fn a_lost_scraper_has_the_state_of_its_pod_and_its_pod_is_no_other_trouble() {
    let report = report(|facts| {
        facts.leases = all([lease("s-2", "16:59:30"), lease("s-1", "16:59:58")]);
        let mut down = pod("s-2", "scraper");
        down["status"]["conditions"][0]["status"] = json!("False");
        facts.pods.as_mut().unwrap().extend(all([down]).unwrap());
    });
    let [finding] = &*report.findings else {
        panic!("{:?}", report.findings);
    };
    assert_eq!(finding.code, Code::ScraperLost);
    assert_eq!(finding.evidence[1], "pod s-2: Running, and not ready");
}

#[test]
fn an_owner_that_is_silent_is_named_with_its_lease_and_its_pod() {
    let silent = |facts: &mut super::Facts| {
        let node = super::failing("n-1", "ScraperSilent", "the newest sample is 1m old");
        facts.scrapes = all([scrape("n-0"), node]);
    };
    let found = report(silent);
    let [finding] = &*found.findings else {
        panic!("{:?}", found.findings);
    };
    assert_eq!(finding.code, Code::ScraperSilent);
    assert_eq!(finding.what, "1 node of s-0: n-1");
    let seen = [
        "n-1: the newest sample is 1m old",
        "s-0: Lease sys/tributary-s-0 renewed 3s ago, pod sys/s-0: ready",
    ];
    assert_eq!(finding.evidence, seen);
    // If it is lost, that is the finding.
    let lost = codes(|facts| {
        silent(facts);
        facts.leases = all([lease("s-0", "16:59:30"), lease("s-1", "16:59:58")]);
    });
    assert_eq!(lost, ["ScraperLost"]);
}
