//! Which certificates of kubelets are good.
//!
//! webpki builds chains to CAs and reads certificates of version 3 only. Clusters have
//! more than that, and Go takes it: a certificate that is itself among those which
//! were given, be it a leaf or one that says it is a CA, and, where nobody looks at
//! certificates, one of any version.

use std::sync::Arc;

use rustls::{
    CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::{
        CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
    },
    server::ParsedCertificate,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use x509_parser::{
    certificate::X509Certificate,
    prelude::{ASN1Time, FromDer as _, X509Version},
};

/// `--kubelet-certificate-authority`: chains to the CAs among these, or one of these
/// itself.
#[derive(Debug)]
pub(super) struct Given {
    /// `None` if none of them may sign others.
    chains: Option<Arc<WebPkiServerVerifier>>,
    certificates: Box<[CertificateDer<'static>]>,
    algorithms: WebPkiSupportedAlgorithms,
}

/// `--kubelet-insecure-tls`: any certificate is good. Whoever shows it must have its
/// key, where that can be told.
#[derive(Debug)]
pub(super) struct Anybody(pub(super) WebPkiSupportedAlgorithms);

impl Given {
    /// A verifier for these certificates.
    ///
    /// # Errors
    ///
    /// One cannot be used.
    pub(super) fn new(
        certificates: Vec<CertificateDer<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        for certificate in &certificates {
            if !may_sign(certificate)? {
                continue;
            }
            roots
                .add(certificate.clone())
                .map_err(|error| error.to_string())?;
        }
        let algorithms = provider.signature_verification_algorithms;
        let chains = if roots.is_empty() {
            None
        } else {
            let chains = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
            Some(chains.build().map_err(|error| error.to_string())?)
        };
        Ok(Self {
            chains,
            certificates: certificates.into(),
            algorithms,
        })
    }

    /// Whether a certificate that was given is good at this moment for this name.
    fn is_good(
        certificate: &CertificateDer<'_>,
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let (_, parsed) = X509Certificate::from_der(certificate)
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let now = ASN1Time::from_timestamp(seconds)
            .map_err(|_| Error::General("the date cannot be told".to_owned()))?;
        if now < parsed.validity().not_before {
            return Err(Error::InvalidCertificate(CertificateError::NotValidYet));
        }
        if now > parsed.validity().not_after {
            return Err(Error::InvalidCertificate(CertificateError::Expired));
        }
        let usage = parsed
            .extended_key_usage()
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        if usage.is_some_and(|usage| !usage.value.any && !usage.value.server_auth) {
            return Err(Error::InvalidCertificate(CertificateError::InvalidPurpose));
        }
        verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
        Ok(ServerCertVerified::assertion())
    }
}

/// Whether a certificate may sign others: it says that it is a CA, or is of a version
/// that cannot say so. A leaf that was given for itself must not vouch for other nodes,
/// and webpki does not look at this.
fn may_sign(certificate: &CertificateDer<'_>) -> Result<bool, String> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|error| error.to_string())?;
    let constraints = parsed.basic_constraints();
    let constraints = constraints.map_err(|error| error.to_string())?;
    let is_ca = constraints.map_or(parsed.version() != X509Version::V3, |it| it.value.ca);
    let usage = parsed.key_usage().map_err(|error| error.to_string())?;
    Ok(is_ca && usage.is_none_or(|usage| usage.value.key_cert_sign()))
}

impl ServerCertVerifier for Given {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = match &self.chains {
            Some(chains) => chains.verify_server_cert(end_entity, intermediates, name, ocsp, now),
            None => Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)),
        };
        if verified.is_err() && self.certificates.contains(end_entity) {
            return Self::is_good(end_entity, name, now);
        }
        verified
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if ParsedCertificate::try_from(certificate).is_err() {
            return Ok(HandshakeSignatureValid::assertion());
        }
        verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // A key that cannot be read proves nothing, and here nothing has to be proven:
        // with any certificate of his own somebody else would be taken, too.
        if ParsedCertificate::try_from(certificate).is_err() {
            return Ok(HandshakeSignatureValid::assertion());
        }
        verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
