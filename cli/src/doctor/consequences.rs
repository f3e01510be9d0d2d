//! Which troubles follow from others. One part that fails is one finding: what follows from it is its evidence.

use super::{
    checks::{NAMED, frontend_is_stuck},
    facts::{Facts, Role},
    finding::Finding,
};
use crate::catalogue::Code;

/// Troubles of one cause.
struct Rule {
    cause: Code,
    follow: Vec<Code>,
}

/// What follows from what. A rule for the cause of a cause comes after it.
fn rules(facts: &Facts) -> Vec<Rule> {
    let rule = |cause, follow: &[Code]| Rule {
        cause,
        follow: follow.to_vec(),
    };
    let mut no_scraper = rule(
        Code::NoScraperConnected,
        &[
            Code::ServiceWithoutEndpoints,
            Code::ScrapersNotReady,
            Code::LeaseNotRenewed,
        ],
    );
    // Without samples a frontend runs and is not ready. One that does not start is another trouble.
    if !frontend_is_stuck(facts) {
        no_scraper.follow.push(Code::FrontendsNotReady);
    }
    let mut rules = vec![
        no_scraper,
        rule(Code::FrontendsNotReady, &[Code::ServiceWithoutEndpoints]),
        rule(Code::KubeletReaderPermission, &[Code::KubeletAccess]),
    ];
    let may_not = |resources: &[&str]| {
        let mut denied = facts.denied.iter().flatten();
        denied.any(|it| it.role == Role::Scraper && resources.contains(&it.need.resource))
    };
    if may_not(&["leases"]) {
        let follow = [Code::LeaseNotRenewed, Code::ScraperLost];
        rules.push(rule(Code::ScraperPermission, &follow));
    }
    if may_not(&["samplestreams", "endpointslices"]) {
        let follow = [Code::NoScraperConnected];
        rules.push(rule(Code::ScraperPermission, &follow));
    }
    rules
}

/// Makes what follows from another finding the evidence of it.
pub(super) fn fold(findings: Vec<Finding>, facts: &Facts) -> Vec<Finding> {
    rules(facts).into_iter().fold(findings, |findings, rule| {
        if !findings.iter().any(|it| it.code == rule.cause) {
            return findings;
        }
        let follows = |it: &Finding| rule.follow.contains(&it.code);
        let (follow, mut rest): (Vec<_>, Vec<_>) = findings.into_iter().partition(follows);
        if let Some(cause) = rest.iter_mut().find(|it| it.code == rule.cause) {
            cause.evidence.extend(follow.iter().take(NAMED).map(seen));
        }
        rest
    })
}

fn seen(follows: &Finding) -> String {
    let (code, what) = (follows.code.trouble().code, &follows.what);
    match follows.evidence.first() {
        Some(evidence) => format!("with it {code}: {what} ({evidence})"),
        None => format!("with it {code}: {what}"),
    }
}
