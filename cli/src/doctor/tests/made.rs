//! Which checks are made, which cannot be made, and which have nothing to look at.

use tributary_testkit::checks::OF_FLEET;

use super::{
    super::{
        Facts, NotMade, Outcome, Report, Unmade,
        facts::healthy::{all, registration, scrape},
        text,
    },
    report,
};
use crate::{catalogue::Code, kube_api::Failure, printed::Paint};

fn names(unmade: &[Unmade]) -> Vec<&str> {
    unmade.iter().map(|it| it.check).collect()
}

/// No frontend answers, for this reason.
fn silent(facts: &mut Facts, failure: &Failure) {
    facts.scrapes = Err(failure.clone());
    facts.scrapers = Err(failure.clone());
    facts.frontends = Err(failure.clone());
}

fn not_found() -> Failure {
    Failure::NotFound("the server could not find the requested resource".to_owned())
}

/// Each check is made, not possible or skipped.
fn all_are_accounted_for(report: &Report) {
    let all = report.checked.len() + report.unknown.len() + report.skipped.len();
    assert_eq!(all, super::CHECKS.len());
}

#[test]
fn checks_that_no_frontend_answers_are_not_made() {
    for failure in [
        Failure::Unavailable("service unavailable".to_owned()),
        not_found(),
    ] {
        let report = report(|facts| silent(facts, &failure));
        assert_eq!(names(&report.unknown), OF_FLEET);
        assert_eq!(report.outcome, Outcome::Unknown);
        all_are_accounted_for(&report);
        let text = text(&report, Paint::PLAIN);
        let line = format!("cannot check {}: {failure}\n", OF_FLEET.join(", "));
        assert!(text.contains(&line), "{text}");
        let last = "0 errors, 0 warnings; 11 checks made, 6 not possible, 0 skipped\n";
        assert!(text.ends_with(last), "{text}");
    }
}

#[test]
fn without_the_api_services_it_is_not_known_whether_there_should_be_a_fleet() {
    let forbidden = Failure::Forbidden("apiservices is forbidden".to_owned());
    let report = report(|facts| {
        facts.registrations = Err(forbidden.clone());
        silent(facts, &not_found());
    });
    let mut expected = vec!["APIServices", "who answers"];
    expected.extend(&OF_FLEET[..5]);
    expected.extend(["CAs", "certificates"]);
    assert_eq!(names(&report.unknown), expected);
    assert!(
        report
            .unknown
            .iter()
            .all(|it| it.reason == "apiservices is forbidden")
    );
    assert_eq!(report.outcome, Outcome::Unknown);
    all_are_accounted_for(&report);
}

#[test]
fn tributary_without_its_fleet_is_not_healthy() {
    let report = report(|facts| {
        silent(facts, &not_found());
        facts.registrations = Ok(vec![registration("v1beta1.metrics.k8s.io")]);
        let labels = serde_json::json!({
            "app.kubernetes.io/name": "tributary", "app.kubernetes.io/component": "frontend",
        });
        let service = serde_json::json!({
            "metadata": { "namespace": "sys", "name": "tributary", "labels": labels },
        });
        facts.services = all([service]);
    });
    assert_eq!(names(&report.unknown), OF_FLEET);
    assert_eq!(
        report.unknown[0].reason,
        "v1alpha1.fleet.tributary.dev is not registered, although there is sys/tributary"
    );
    assert_eq!(report.outcome, Outcome::Unknown);
}

#[test]
fn another_server_is_checked_by_what_it_serves() {
    let with = |measured: &[&str]| {
        report(|facts| {
            let mut metrics = registration("v1beta1.metrics.k8s.io");
            metrics.service = Some(("kube-system".to_owned(), "metrics-server".to_owned()));
            facts.registrations = Ok(vec![metrics]);
            silent(facts, &not_found());
            facts.leases = Ok(Vec::new());
            facts.measured = Ok(measured.iter().map(ToString::to_string).collect());
        })
    };
    let healthy = with(&["n-0", "n-1"]);
    assert_eq!(healthy.unknown, []);
    assert_eq!(healthy.findings, []);
    // Nothing is wrong, and what was not made is not counted as made.
    assert_eq!(healthy.outcome, Outcome::Healthy);
    let mut skipped: Vec<&str> = OF_FLEET.to_vec();
    skipped.retain(|check| *check != "nodes");
    skipped.insert(2, "Leases");
    assert_eq!(names(&healthy.skipped), skipped);
    all_are_accounted_for(&healthy);
    assert_eq!(
        healthy.server,
        "kube-system/metrics-server as the server of the metrics"
    );
    let report = with(&["n-0"]);
    let found: Vec<_> = report
        .findings
        .iter()
        .map(|it| (it.code, it.what.as_str()))
        .collect();
    assert_eq!(found, [(Code::NodesWithoutMetrics, "1 node: n-1")]);
}

#[test]
fn what_has_nothing_to_look_at_is_skipped_and_said() {
    let report = report(|facts| {
        facts.pods = Ok(Vec::new());
        facts.deployments = Ok(Vec::new());
        facts.leases = Ok(Vec::new());
    });
    assert_eq!(
        names(&report.skipped),
        ["pods", "Deployments", "Leases", "permissions"]
    );
    assert_eq!(report.outcome, Outcome::Healthy);
    all_are_accounted_for(&report);
    let text = text(&report, Paint::PLAIN);
    let line = "skipped pods: no pod has the labels of Tributary or of metrics-server\n";
    assert!(text.contains(line), "{text}");
}

#[test]
fn what_cannot_be_read_hides_no_finding() {
    let report = report(|facts| {
        silent(facts, &not_found());
        facts.version.as_mut().unwrap().git_version = "v1.26.3".to_owned();
    });
    assert_eq!(report.findings[0].code, Code::KubernetesTooOld);
    assert_eq!(report.outcome, Outcome::Findings);
}

#[test]
fn a_fleet_without_a_frontend_is_not_known() {
    let report = report(|facts| {
        facts.frontends = Ok(Vec::new());
        facts.scrapers = Ok(Vec::new());
        facts.scrapes = all([scrape("n-0")]);
    });
    assert_eq!(names(&report.unknown), ["connected scrapers"]);
    assert_eq!(report.outcome, Outcome::Unknown);
}

#[test]
fn what_cannot_be_read_is_not_known() {
    let report =
        report(|facts| facts.requests = Err(Failure::Forbidden("csr is forbidden".to_owned())));
    assert_eq!(report.outcome, Outcome::Unknown);
    let text = text(&report, Paint::PLAIN);
    assert!(
        text.contains("cannot check certificate requests: csr is forbidden\n"),
        "{text}"
    );
}

#[test]
fn an_api_that_is_gone_is_said_once() {
    let gone = Failure::Unreachable("failed to ask https://k: refused".to_owned());
    let report = Report::of(&Facts::unread(&gone));
    assert_eq!(report.checked, [""; 0]);
    assert_eq!(report.outcome, Outcome::Unknown);
    let text = text(&report, Paint::PLAIN);
    let expected = "no check could be made: failed to ask https://k: refused\n";
    assert!(text.contains(expected), "{text}");
    assert_eq!(text.matches("https://k").count(), 1, "{text}");
}

#[test]
fn a_failure_is_never_nothing_to_look_at() {
    for failure in [not_found(), Failure::Failed("x".to_owned())] {
        assert_eq!(
            NotMade::from(&failure),
            NotMade::Unknown(failure.to_string())
        );
    }
}
