//! Certificates that are waited for, and that expire.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use x509_parser::pem::Pem;

use super::{
    super::{facts::Facts, finding::Finding},
    Checked, fleet, named,
};
use crate::{
    api_services::Registration,
    catalogue::Code,
    printed::{between, count, span},
};

/// How long before its end a certificate should have been renewed. Those that frontends make are renewed much earlier.
const SOON: Duration = Duration::from_hours(14 * 24);

/// How long a request may wait for an approver.
const WAITS: Duration = Duration::from_secs(20);

/// Requests of kubelets that wait for approval.
pub(super) fn requests(facts: &Facts) -> Checked {
    let requests = facts.requests.as_ref()?;
    let waiting = requests
        .iter()
        .filter(|request| is_waiting(request, facts.now));
    let waiting: Vec<&CertificateSigningRequest> = waiting.collect();
    let Some(first) = waiting.first() else {
        return Ok(Vec::new());
    };
    let users = waiting
        .iter()
        .filter_map(|request| request.spec.username.as_deref());
    let what = format!("{} of {}", count(waiting.len(), "request"), named(users));
    let mut finding = Finding::new(Code::KubeletCsrPending, what)
        .with("csr", first.metadata.name.as_deref().unwrap_or_default());
    for request in waiting.iter().take(super::NAMED) {
        let created = request.metadata.creation_timestamp.as_ref();
        let age = created
            .map(|at| span(between(at.0, facts.now)))
            .unwrap_or_default();
        let name = request.metadata.name.as_deref().unwrap_or_default();
        finding = finding.seen(format!("{name} waits for {age}"));
    }
    Ok(vec![finding])
}

fn is_waiting(request: &CertificateSigningRequest, now: Timestamp) -> bool {
    let status = request.status.as_ref();
    let decided = status.is_some_and(|status| {
        let mut conditions = status.conditions.iter().flatten();
        status.certificate.is_some()
            || conditions.any(|it| matches!(&*it.type_, "Approved" | "Denied" | "Failed"))
    });
    let of_kubelet = request.spec.signer_name == "kubernetes.io/kubelet-serving";
    let created = request.metadata.creation_timestamp.as_ref();
    of_kubelet && !decided && created.is_some_and(|at| between(at.0, now) > WAITS)
}

/// The CAs by which kube-apiserver trusts the servers.
pub(super) fn authorities(facts: &Facts) -> Checked {
    let registrations = facts.registrations.as_ref()?.iter();
    let mut findings = registrations.filter_map(|service| of_bundle(service, facts.now));
    // One bundle in several APIServices is one trouble.
    Ok(findings.next().into_iter().collect())
}

/// The serving certificate of the frontend that answers.
pub(super) fn certificates(facts: &Facts) -> Checked {
    let mut findings = Vec::new();
    for frontend in fleet(facts, &facts.frontends)? {
        let Some(expires) = frontend.status.certificate_expires else {
            continue;
        };
        if let Some(when) = soon(expires, facts.now) {
            let finding = Finding::new(
                Code::CertificateExpires,
                format!("{} {when}", frontend.metadata.name),
            );
            findings.push(
                finding
                    .seen(format!("valid until {expires}"))
                    .with("namespace", facts.namespace()),
            );
        }
    }
    Ok(findings)
}

/// In words, if the end is near.
fn soon(end: Timestamp, now: Timestamp) -> Option<String> {
    if end <= now {
        return Some(format!("expired {} ago", span(between(end, now))));
    }
    let left = between(now, end);
    (left < SOON).then(|| format!("expires in {}", span(left)))
}

/// If all CAs of a bundle expire soon. One that stays is enough.
fn of_bundle(service: &Registration, now: Timestamp) -> Option<Finding> {
    let ends = Pem::iter_from_buffer(&service.ca_bundle).filter_map(|pem| {
        let pem = pem.ok()?;
        let end = pem.parse_x509().ok()?.validity().not_after.timestamp();
        Timestamp::from_second(end).ok()
    });
    let last = ends.max()?;
    let when = soon(last, now)?;
    let finding = Finding::new(Code::CaExpires, format!("that of {} {when}", service.name));
    Some(
        finding
            .seen(format!("the last CA in caBundle is valid until {last}"))
            .with("apiservice", &service.name),
    )
}

#[cfg(test)]
mod tests;
