//! Client certificates: verified against a pool of CAs, and read as users.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls_pki_types::{CertificateDer, UnixTime, pem::PemObject as _};
use tributary_runtime::tls::{Authorities, Purpose, Refusal};
use x509_parser::{extensions::GeneralName, prelude::FromDer as _, x509::AttributeTypeAndValue};

use super::user::User;

/// CAs that sign client certificates, and certificates that are trusted themselves.
#[derive(Clone, Debug)]
pub(crate) struct Pool(Arc<Authorities>);

/// Why a PEM text is not a pool of CAs.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadCa {
    #[error("not PEM: {0}")]
    Pem(String),
    #[error("no usable CA certificate in it")]
    Empty,
}

/// Why a certificate is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(crate) enum BadCertificate {
    #[error(transparent)]
    Invalid(Refusal),
    #[error("the subject of the certificate cannot be read")]
    Subject,
    #[error("certificate of {0:?}, which is not among the allowed names")]
    Name(String),
}

impl Pool {
    /// Reads the certificates of a PEM text. Those that cannot be used are skipped, as long as
    /// there is another one.
    pub(crate) fn from_pem(pem: &[u8]) -> Result<Self, BadCa> {
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<_, _>>()
            .map_err(|error| BadCa::Pem(error.to_string()))?;
        let algorithms = default_provider().signature_verification_algorithms;
        let authorities = Authorities::of_readable(certificates, algorithms);
        let authorities = authorities.map_err(|_| BadCa::Empty)?;
        Ok(Self(Arc::new(authorities)))
    }

    /// Verifies a chain for a client. The client's own certificate is first.
    pub(crate) fn verify(
        &self,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), BadCertificate> {
        let verified = self.0.verify(chain, Purpose::Client, now);
        verified.map_err(BadCertificate::Invalid)
    }

    /// Whether both have a CA with the same name and the same key. The rest of the certificates
    /// does not matter.
    pub(crate) fn shares_a_ca_with(&self, other: &Self) -> bool {
        self.0.has_one_of(&other.0)
    }
}

/// The part of a certificate's subject that names a user.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Subject {
    /// The last common name, as Go reads it; empty if there is none.
    pub(crate) common_name: String,
    /// All organizations, in order.
    pub(crate) organizations: Vec<String>,
}

impl Subject {
    /// Reads the subject of a certificate.
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Result<Self, BadCertificate> {
        let text = |attribute: &AttributeTypeAndValue<'_>| {
            let text = attribute.as_str().map_err(|_| BadCertificate::Subject)?;
            Ok(text.to_owned())
        };
        let (_, parsed) = x509_parser::certificate::X509Certificate::from_der(certificate)
            .map_err(|_| BadCertificate::Subject)?;
        let subject = parsed.subject();
        Ok(Self {
            common_name: subject
                .iter_common_name()
                .last()
                .map(text)
                .transpose()?
                .unwrap_or_default(),
            organizations: subject
                .iter_organization()
                .map(text)
                .collect::<Result<_, _>>()?,
        })
    }
}

/// All names in a certificate: the common name, if there is one, and the DNS names.
pub(crate) fn names(certificate: &CertificateDer<'_>) -> Result<Vec<String>, BadCertificate> {
    let mut names = vec![Subject::of(certificate)?.common_name];
    names.retain(|name| !name.is_empty());
    let (_, parsed) = x509_parser::certificate::X509Certificate::from_der(certificate)
        .map_err(|_| BadCertificate::Subject)?;
    let others = parsed
        .subject_alternative_name()
        .map_err(|_| BadCertificate::Subject)?;
    for other in others.iter().flat_map(|others| &others.value.general_names) {
        if let GeneralName::DNSName(name) = other
            && !names.iter().any(|known| known == name)
        {
            names.push((*name).to_owned());
        }
    }
    Ok(names)
}

/// The user that a verified certificate names: the common name, with the organizations as groups.
/// `None` without a common name.
pub(crate) fn user(certificate: &CertificateDer<'_>) -> Result<Option<User>, BadCertificate> {
    let subject = Subject::of(certificate)?;
    if subject.common_name.is_empty() {
        return Ok(None);
    }
    let credential = format!("X509SHA256={}", hex(digest(&SHA256, certificate).as_ref()));
    let user = User {
        name: subject.common_name,
        uid: String::new(),
        groups: subject.organizations,
        extra: [(
            "authentication.kubernetes.io/credential-id".to_owned(),
            vec![credential],
        )]
        .into(),
    };
    Ok(Some(user.authenticated()))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;

    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        write!(text, "{byte:02x}").ok();
        text
    })
}
