//! `doctor`: looks for every trouble of the catalogue, and changes nothing.

pub mod checks;
mod consequences;
pub mod facts;
mod finding;
mod text;

use serde::Serialize;

pub use self::{
    checks::{CHECKS, Check, Checked, NotMade, code_of},
    facts::{Endpoint, Facts, Read},
    finding::Finding,
    text::text,
};
use crate::{catalogue::Code, printed::Outcome};

/// What `doctor` found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether something is wrong.
    pub outcome: Outcome,
    /// What serves the metrics.
    pub server: String,
    /// The version of Kubernetes.
    pub kubernetes: String,
    /// The troubles: one from which others follow first, then in the order of their codes.
    pub findings: Vec<Finding>,
    /// The checks that were made.
    pub checked: Vec<&'static str>,
    /// Those that could not be made, and why: there may be a trouble.
    pub unknown: Vec<Unmade>,
    /// Those for which the cluster has nothing to look at.
    pub skipped: Vec<Unmade>,
}

/// A check that was not made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unmade {
    /// Which one.
    pub check: &'static str,
    /// Why.
    pub reason: String,
}

impl Report {
    /// Makes all checks.
    #[must_use]
    pub fn of(facts: &Facts) -> Self {
        let (mut findings, mut checked) = (Vec::new(), Vec::new());
        let (mut unknown, mut skipped) = (Vec::new(), Vec::new());
        for Check { name: check, run } in CHECKS {
            match run(facts) {
                Ok(found) => {
                    findings.extend(found);
                    checked.push(*check);
                }
                Err(NotMade::Unknown(reason)) => unknown.push(Unmade { check, reason }),
                Err(NotMade::Nothing(reason)) => skipped.push(Unmade { check, reason }),
            }
        }
        let findings = consequences::fold(findings, facts);
        let findings = findings.into_iter().map(|it| it.on(&facts.commands));
        let mut findings: Vec<Finding> = findings.collect();
        findings.sort_by_key(|it| (it.code != Code::NoScraperConnected, it.code));
        let outcome = match (findings.is_empty(), unknown.is_empty()) {
            (false, _) => Outcome::Findings,
            (true, true) => Outcome::Healthy,
            (true, false) => Outcome::Unknown,
        };
        let version = facts.version.as_ref();
        Self {
            outcome,
            server: facts.server(),
            kubernetes: version.map(|it| it.git_version.clone()).unwrap_or_default(),
            findings,
            checked,
            unknown,
            skipped,
        }
    }
}

#[cfg(test)]
mod tests;
