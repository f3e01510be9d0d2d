//! Whether a certificate is for the host that was dialled.

use rustls::{CertificateError, Error, client::verify_server_name, server::ParsedCertificate};
use rustls_pki_types::{CertificateDer, ServerName};

use super::{authorities::Refusal, certificate::Certificate};

/// The most bytes of names in an error. A certificate may have thousands of names.
const MOST_BYTES: usize = 512;

/// Checks that a certificate is for the host name or address that was dialled. The chain is not
/// verified.
///
/// # Errors
///
/// It is for others ([`Refusal::OtherNames`]) or for none ([`Refusal::NoNames`]), or it cannot be
/// read.
pub fn verify_host(
    certificate: &CertificateDer<'_>,
    dialled: &ServerName<'_>,
) -> Result<(), Error> {
    let matched = ParsedCertificate::try_from(certificate)
        .and_then(|parsed| verify_server_name(&parsed, dialled));
    let Err(error) = matched else {
        return Ok(());
    };
    let read = Certificate::read(certificate)?;
    let is_other = matches!(
        error,
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
        )
    );
    // Other versions have no names, and rustls cannot read them.
    if is_other || !read.is_version_3() {
        Err(refusal(&read, &dialled.to_str()).into())
    } else {
        Err(error)
    }
}

/// Why a certificate is not for this host, in Go's words. It has both names and addresses; Go has only those of the
/// dialled kind.
fn refusal(certificate: &Certificate<'_>, dialled: &str) -> Refusal {
    let hosts = certificate.hosts();
    let dialled = dialled.to_owned();
    if hosts.is_empty() {
        let common_name = certificate.common_name();
        return Refusal::NoNames {
            relies_on_common_name: common_name
                .is_some_and(|name| name.eq_ignore_ascii_case(&dialled)),
            is_version_3: certificate.is_version_3(),
            dialled,
        };
    }
    Refusal::OtherNames {
        names: listed(&hosts),
        dialled,
    }
}

/// Names for people, escaped: the node or its owner chose them.
fn listed(hosts: &[String]) -> String {
    let mut text = String::new();
    for (at, host) in hosts.iter().enumerate() {
        let host = host.escape_debug().to_string();
        if text.len() + host.len() > MOST_BYTES {
            let more = format!("{} more", hosts.len() - at);
            text.push_str(&more);
            break;
        }
        text.push_str(&host);
        if at + 1 < hosts.len() {
            text.push_str(", ");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};
    use rustls_pki_types::pem::PemObject as _;

    use super::*;

    /// A certificate with these subject alternative names, and this common name.
    fn certificate(names: &[&str], common_name: &str) -> CertificateDer<'static> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
        signed(&params)
    }

    fn signed(params: &CertificateParams) -> CertificateDer<'static> {
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().clone()
    }

    /// The error for `host`. Empty if there is none.
    fn said(certificate: &CertificateDer<'_>, host: &str) -> String {
        let host = ServerName::try_from(host).unwrap();
        match verify_host(certificate, &host) {
            Ok(()) => String::new(),
            Err(Error::InvalidCertificate(CertificateError::Other(other))) => other.to_string(),
            Err(other) => format!("{other:?}"),
        }
    }

    #[test]
    fn an_error_names_what_was_dialled_and_what_the_certificate_is_for() {
        let kubelet = certificate(&["n1.test", "10.0.0.1", "fd00::1"], "system:node:n1");
        for host in ["n1.test", "N1.TEST", "10.0.0.1", "fd00::1"] {
            assert_eq!(said(&kubelet, host), "", "{host}");
        }
        for host in ["n2.test", "10.0.0.7", "fd00::7"] {
            assert_eq!(
                said(&kubelet, host),
                format!("certificate is valid for n1.test, 10.0.0.1, fd00::1, not {host}")
            );
        }
    }

    #[test]
    fn a_certificate_without_names_says_so() {
        const HELP: &str = "(issue it again with one, as by `openssl x509 -req -extfile`)";
        let kubelet = certificate(&[], "n1.test");
        assert_eq!(
            said(&kubelet, "N1.test"),
            format!(
                "certificate relies on legacy Common Name field, use SANs instead: wanted to match \
                 N1.test, and it has no name or address as a subject alternative name {HELP}"
            )
        );
        let mut by_uri = CertificateParams::new(Vec::new()).unwrap();
        by_uri.subject_alt_names = vec![SanType::URI("spiffe://a/b".try_into().unwrap())];
        for kubelet in [kubelet, signed(&by_uri)] {
            assert_eq!(
                said(&kubelet, "10.0.0.7"),
                format!(
                    "certificate is not valid for any names: wanted to match 10.0.0.7, and it has \
                     no name or address as a subject alternative name {HELP}"
                )
            );
        }
        let old = include_bytes!("handshake/version1.crt");
        let old = CertificateDer::from_pem_slice(old).unwrap();
        assert_eq!(
            said(&old, "n1.test"),
            format!(
                "certificate is not valid for any names: wanted to match n1.test, and it has no \
                 name or address as a subject alternative name, for which X.509 version 1 has no \
                 room {HELP}"
            )
        );
    }

    #[test]
    fn many_names_are_counted() {
        let names: Vec<String> = (0..1_000).map(|at| format!("host-{at:03}.test")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let refused = said(&certificate(&names, "many"), "n1.test");
        assert!(
            refused.contains("host-033.test, 966 more, not n1.test"),
            "{refused}"
        );
        assert!(refused.len() < 600, "{}", refused.len());
    }
}
