//! How kube-apiserver finds the server of the metrics.

use x509_parser::pem::Pem;

use super::{
    super::{facts::Facts, finding::Finding},
    Checked, named,
};
use crate::{
    api_services::{METRICS, Registration},
    catalogue::Code,
    kube_api::Failure,
};

/// The group of the metrics.
const GROUP: &str = "metrics.k8s.io";

/// In the `ConfigMap`, the CA of the front proxy.
const FRONT_PROXY_CA: &str = "requestheader-client-ca-file";

/// Whether kube-apiserver can ask other servers at all.
pub(super) fn aggregation(facts: &Facts) -> Checked {
    let groups = facts.groups.as_ref()?;
    let new = |what: &str| Finding::new(Code::AggregationLayerOff, what);
    if !groups.iter().any(|group| group == "apiregistration.k8s.io") {
        let found = new("kube-apiserver does not serve apiregistration.k8s.io");
        return Ok(vec![found.seen(format!(
            "API groups: {}",
            named(groups.iter().map(String::as_str))
        ))]);
    }
    let known = match &facts.front_proxy {
        // Servers learn it by their own flags.
        Err(Failure::NotFound(_)) if groups.iter().any(|group| group == GROUP) => {
            return Ok(Vec::new());
        }
        known => known.as_ref()?,
    };
    if known
        .get(FRONT_PROXY_CA)
        .is_some_and(|ca| !ca.trim().is_empty())
    {
        return Ok(Vec::new());
    }
    let keys = known.keys().map(String::as_str);
    let found = new("servers do not learn whom kube-apiserver acts for").seen(format!(
        "kube-system/extension-apiserver-authentication has {}, and no {FRONT_PROXY_CA}",
        named(keys)
    ));
    Ok(vec![found])
}

/// Whether our groups are registered, and what kube-apiserver says of them.
pub(super) fn services(facts: &Facts) -> Checked {
    let all = facts.registrations.as_ref()?;
    let mut findings: Vec<Finding> = Vec::new();
    let groups = facts.groups.as_ref()?;
    let metrics = |service: &Registration| service.name.ends_with(GROUP);
    // What serves the group by other means than an APIService is not our concern.
    if !all.iter().any(metrics) && !groups.iter().any(|group| group == GROUP) {
        let own = facts.own_service();
        let what = match &own {
            Some((namespace, name)) => {
                format!("{GROUP} leads nowhere, although there is {namespace}/{name}")
            }
            None => format!("{GROUP} is not registered"),
        };
        findings
            .push(Finding::new(Code::ApiServiceMissing, what).with("namespace", facts.namespace()));
    }
    for service in all {
        let (code, seen) = if lacks_ca(service) {
            (Code::CertificateNotTrusted, NO_CERTIFICATE.to_owned())
        } else if service.available == Some(false) {
            let seen = format!("{}: {}", service.reason, service.message);
            (code_of(service), seen)
        } else {
            continue;
        };
        let evidence = format!("{}: {seen}", service.name);
        // One server behind several APIServices is one trouble.
        let same = |finding: &&mut Finding| finding.code == code;
        if let Some(finding) = findings.iter_mut().find(same) {
            finding.evidence.push(evidence);
            continue;
        }
        let (namespace, name) = service.service.clone().unwrap_or_default();
        let what = format!(
            "kube-apiserver does not use {} for {}",
            service.target(),
            service.name
        );
        let mut finding = Finding::new(code, what)
            .seen(evidence)
            .with("apiservice", &service.name)
            .with("namespace", namespace)
            .with("service", name);
        if let Some(endpoint) = endpoint(&service.message) {
            finding = finding.with("endpoint", endpoint);
        }
        findings.push(finding);
    }
    Ok(findings)
}

const NO_CERTIFICATE: &str = "caBundle has no certificate in PEM";

/// Whether kube-apiserver has no CA to verify the server with. It then says nothing of the `APIService`: the condition stays
/// as it was, also when that is "available". An empty bundle means the CAs of its system.
fn lacks_ca(service: &Registration) -> bool {
    let bundle = &service.ca_bundle;
    let is_certificate = |pem: Pem| pem.label == "CERTIFICATE" && pem.parse_x509().is_ok();
    let mut blocks = Pem::iter_from_buffer(bundle);
    service.verifies && !bundle.is_empty() && !blocks.any(|pem| pem.is_ok_and(is_certificate))
}

/// The trouble of which kube-apiserver gives this reason.
#[must_use]
pub fn code_of(service: &Registration) -> Code {
    let message = &service.message;
    match &*service.reason {
        "ServiceNotFound" => Code::ServiceMissing,
        "MissingEndpoints" | "EndpointsNotFound" => Code::ServiceWithoutEndpoints,
        "ServicePortError" => Code::ServicePort,
        // An alert of the server: it does not accept the certificate of kube-apiserver.
        "FailedDiscoveryCheck" if message.contains("remote error: tls: ") => Code::ServerRefuses,
        "FailedDiscoveryCheck" if message.contains("x509") || message.contains("tls: ") => {
            Code::CertificateNotTrusted
        }
        "FailedDiscoveryCheck" if message.contains("bad status") => Code::ServerRefuses,
        "FailedDiscoveryCheck" => Code::NoRoute,
        _ => Code::ApiServiceUnavailable,
    }
}

/// The address that kube-apiserver tried, from its message.
fn endpoint(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("https://")?;
    let end = rest
        .find(['/', ':', '"', ' '])
        .map(|_| rest.find(['/', '"', ' ']).unwrap_or(rest.len()))?;
    rest.get(..end).map(|host| host.trim_end_matches(':'))
}

/// Whether it is Tributary that kubectl and autoscalers ask.
pub(super) fn another_server(facts: &Facts) -> Checked {
    let all = facts.registrations.as_ref()?;
    let Some((namespace, name)) = facts.own_service() else {
        return Ok(Vec::new());
    };
    let own = Some((namespace.clone(), name.clone()));
    let find = |wanted: &str| all.iter().find(|service| service.name == wanted);
    // One that is not available answers nothing: that is another trouble.
    let answers = |service: &&Registration| service.available != Some(false);
    let other = find(METRICS).filter(|metrics| metrics.service != own);
    let Some(metrics) = other.filter(answers) else {
        return Ok(Vec::new());
    };
    let what = format!(
        "{METRICS} leads to {}, not to {namespace}/{name}",
        metrics.target()
    );
    let mut finding = Finding::new(Code::AnotherServer, what)
        .with("apiservice", METRICS)
        .with("namespace", &namespace)
        .with("service", &name);
    if let Some(newer) = find("v1.metrics.k8s.io") {
        finding = finding.seen(format!("{} leads to {}", newer.name, newer.target()));
    }
    Ok(vec![finding])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_that_was_tried_is_in_the_message() {
        let message = "failing or missing response from https://10.96.1.2:443/apis/metrics.k8s.io/v1beta1: Get \"https://10.96.1.2:443/apis\": context deadline exceeded";
        assert_eq!(endpoint(message), Some("10.96.1.2:443"));
        let six = "failing or missing response from https://[fd00::1]:10250/apis/x: timeout";
        assert_eq!(endpoint(six), Some("[fd00::1]:10250"));
        assert_eq!(endpoint("no endpoints"), None);
    }

    #[test]
    fn a_bundle_without_a_certificate_is_no_ca() {
        let of = |bundle: &[u8], verifies| {
            lacks_ca(&Registration {
                ca_bundle: bundle.to_vec(),
                verifies,
                ..Registration::default()
            })
        };
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::default();
        let ca = params.self_signed(&key).unwrap().pem();
        let behind_another = format!("{}{ca}", key.serialize_pem());
        for (bundle, lacks) in [
            ("", false),
            (&*ca, false),
            (&*behind_another, false),
            ("LS0tLS1CRUdJTg==", true),
            (&*key.serialize_pem(), true),
            (
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                true,
            ),
        ] {
            assert_eq!(of(bundle.as_bytes(), true), lacks, "{bundle}");
            assert!(!of(bundle.as_bytes(), false));
        }
    }

    #[test]
    fn each_reason_of_kube_apiserver_is_a_trouble() {
        let of = |reason: &str, message: &str| {
            code_of(&Registration {
                reason: reason.to_owned(),
                message: message.to_owned(),
                ..Registration::default()
            })
        };
        let failing = "failing or missing response from https://10.0.0.1:443/apis: ";
        for (reason, message, code) in [
            ("ServiceNotFound", "", Code::ServiceMissing),
            ("MissingEndpoints", "", Code::ServiceWithoutEndpoints),
            ("EndpointsNotFound", "", Code::ServiceWithoutEndpoints),
            ("ServicePortError", "", Code::ServicePort),
            (
                "FailedDiscoveryCheck",
                "context deadline exceeded",
                Code::NoRoute,
            ),
            (
                "FailedDiscoveryCheck",
                "connect: connection refused",
                Code::NoRoute,
            ),
            (
                "FailedDiscoveryCheck",
                "x509: certificate signed by unknown authority",
                Code::CertificateNotTrusted,
            ),
            (
                "FailedDiscoveryCheck",
                "bad status from https://10.0.0.1: 401",
                Code::ServerRefuses,
            ),
            (
                "FailedDiscoveryCheck",
                "remote error: tls: unknown certificate authority",
                Code::ServerRefuses,
            ),
            ("Sync", "", Code::ApiServiceUnavailable),
        ] {
            assert_eq!(
                of(reason, &format!("{failing}{message}")),
                code,
                "{reason} {message}"
            );
        }
    }
}
