//! Commands have no placeholders, and names that are right.

use serde_json::json;

use super::{
    super::{
        Facts,
        facts::healthy::{all, node, registration, scrape},
    },
    failing, report,
};
use crate::{catalogue::Code, kube_api::Failure};

/// The commands of the only finding of a cluster with one change.
fn commands(code: Code, change: impl FnOnce(&mut Facts)) -> Vec<String> {
    let report = report(change);
    let mut findings = report.findings.iter().filter(|it| it.code == code);
    let finding = findings.next().expect("a finding");
    finding.commands()
}

/// What is known of an installation: nothing of it has our labels.
fn without_labels(facts: &mut Facts) {
    facts.pods = Ok(Vec::new());
    facts.services = Ok(Vec::new());
    facts.deployments = Ok(Vec::new());
}

#[test]
fn the_namespace_is_that_of_the_service_of_the_fleet() {
    let of = |code, change: fn(&mut Facts)| {
        commands(code, |facts| {
            without_labels(facts);
            facts.named = Some("shop".to_owned());
            change(facts);
        })
    };
    let no_scraper = of(Code::NoScraperConnected, |facts| {
        facts.scrapers = Ok(Vec::new());
    });
    assert_eq!(
        no_scraper,
        [
            "kubectl -n sys get deployments,pods -l app.kubernetes.io/component=scraper",
            "kubectl -n sys logs -l app.kubernetes.io/name=tributary --all-containers --prefix --tail=-1 | grep 'keep a stream'",
            "kubectl -n sys get endpointslices -l kubernetes.io/service-name=tributary-bus",
        ]
    );
    let silent = of(Code::ScraperSilent, |facts| {
        facts.scrapes = all([scrape("n-0"), failing("n-1", "ScraperSilent", "silent")]);
    });
    assert_eq!(silent[1], "kubectl -n sys logs s-0 -c scraper --tail=50");
}

#[test]
fn without_a_service_the_namespace_is_the_one_that_is_named() {
    let no_service = |facts: &mut Facts| {
        without_labels(facts);
        facts.registrations = Ok(Vec::new());
        facts.scrapers = Ok(Vec::new());
    };
    let named = commands(Code::NoScraperConnected, |facts| {
        no_service(facts);
        facts.named = Some("sys".to_owned());
    });
    // The name of the Service is not known.
    let [_, logs] = &*named else {
        panic!("{named:?}");
    };
    assert!(logs.starts_with("kubectl -n sys logs "), "{logs}");
    let nothing = commands(Code::NoScraperConnected, no_service);
    assert!(nothing.is_empty(), "{nothing:?}");
    let missing = commands(Code::ApiServiceMissing, |facts| {
        no_service(facts);
        facts.groups = Ok(vec!["apiregistration.k8s.io".to_owned()]);
    });
    let expected = "kubectl get apiservice v1beta1.metrics.k8s.io v1.metrics.k8s.io";
    assert_eq!(missing, [expected]);
}

#[test]
fn no_finding_of_any_code_has_a_placeholder() {
    for code in Code::ALL {
        let finding = super::super::Finding::new(*code, "");
        for command in finding.commands() {
            let mut words = command.split(|letter: char| !letter.is_ascii_alphanumeric());
            let capitals = |word: &str| {
                word.len() > 2 && word.chars().all(|letter| letter.is_ascii_uppercase())
            };
            assert!(!words.any(capitals), "{command}");
        }
    }
}

#[test]
fn the_certificate_of_a_kubelet_is_asked_for_where_it_listens() {
    let of = |node: serde_json::Value| {
        commands(Code::KubeletCertificate, |facts| {
            facts.nodes = all([node]);
            facts.scrapes = all([failing("n-0", "KubeletCertificate", "x509")]);
        })
    };
    let connects = |commands: Vec<String>| {
        let command = commands.into_iter().find_map(|it| {
            let (_, rest) = it.split_once(" -connect ")?;
            Some(rest.split(' ').next()?.to_owned())
        });
        command.unwrap_or_default()
    };
    assert_eq!(connects(of(node("n-0"))), "10.0.0.7:10250");
    let mut six = node("n-0");
    six["status"]["addresses"][1]["address"] = json!("fd00::7");
    six["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"] = json!(20_250);
    assert_eq!(connects(of(six)), "[fd00::7]:20250");
    let mut named = node("n-0");
    named["status"]["addresses"] = json!([{ "type": "Hostname", "address": "n-0.local" }]);
    assert_eq!(connects(of(named)), "n-0.local:10250");
    for part in ["addresses", "daemonEndpoints"] {
        let mut unknown = node("n-0");
        unknown["status"][part] = json!(null);
        assert_eq!(connects(of(unknown)), "");
    }
    assert_eq!(connects(of(node("another"))), "");
}

#[test]
fn a_server_without_a_fleet_gives_its_namespace() {
    let absent = || Failure::NotFound("no fleet".to_owned());
    let commands = commands(Code::NodesWithoutMetrics, |facts| {
        let mut metrics = registration("v1beta1.metrics.k8s.io");
        metrics.service = Some(("kube-system".to_owned(), "metrics-server".to_owned()));
        facts.registrations = Ok(vec![metrics]);
        facts.scrapes = Err(absent());
        facts.scrapers = Err(absent());
        facts.frontends = Err(absent());
        facts.measured = Ok(vec!["n-0".to_owned()]);
    });
    assert!(
        commands[0].starts_with("kubectl -n kube-system logs "),
        "{commands:?}"
    );
}
