//! Whether a peer has the key of its certificate.
//!
//! It does what rustls does, for certificates of any version: rustls reads the key with webpki,
//! which requires version 3.

use std::{io, sync::Arc};

use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, PeerMisbehaved,
    client::danger::HandshakeSignatureValid,
    crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key},
};
use rustls_pki_types::CertificateDer;
use webpki::RawPublicKeyEntity;

use super::{authorities::Refusal, certificate::Certificate};

/// Whether the key of a certificate can be used for handshakes: it is readable and long enough.
pub fn has_usable_key(certificate: &CertificateDer<'_>) -> bool {
    Certificate::read(certificate).is_ok_and(|read| read.has_good_key().is_ok())
}

/// The most characters of a subject in a log line.
const SUBJECT: usize = 256;

/// The subject of a certificate for people: escaped and cut, because a stranger wrote it. Empty if
/// it cannot be read.
pub fn subject(certificate: &CertificateDer<'_>) -> String {
    Certificate::read(certificate).map_or_else(|_| String::new(), |read| for_people(&read))
}

fn for_people(certificate: &Certificate<'_>) -> String {
    let name = certificate.name();
    let shown = name.chars().flat_map(char::escape_debug);
    shown.take(SUBJECT).collect()
}

/// A certificate that cannot be used for a handshake, for the log.
#[derive(Debug, thiserror::Error)]
#[error("{refusal}")]
pub struct RefusedCertificate {
    /// Its subject ([`subject`]).
    pub subject: String,
    /// What is wrong with it, and how to fix it.
    pub refusal: Refusal,
}

impl RefusedCertificate {
    /// Checks that the key of a certificate can be used.
    ///
    /// # Errors
    ///
    /// The certificate cannot be read, or its key cannot be used.
    pub(super) fn unless_usable(certificate: &CertificateDer<'_>) -> Result<(), Error> {
        let read = Certificate::read(certificate)?;
        read.has_good_key().map_err(|refusal| {
            let subject = for_people(&read);
            let refused = Arc::new(Self { subject, refusal });
            CertificateError::Other(OtherError(refused)).into()
        })
    }

    /// The certificate that made a handshake fail.
    pub fn cause_of(error: &io::Error) -> Option<&Self> {
        let error = error.get_ref()?.downcast_ref::<Error>()?;
        let Error::InvalidCertificate(CertificateError::Other(OtherError(error))) = error else {
            return None;
        };
        error.downcast_ref()
    }
}

/// Verifies that the key of a certificate has signed a handshake of TLS 1.2.
///
/// # Errors
///
/// It has not.
pub fn verify_tls12_signature(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    let key = Certificate::read(certificate)?.key();
    let key = RawPublicKeyEntity::try_from(&key).map_err(Refusal::Other)?;
    let mut schemes = algorithms.mapping.iter();
    let fitting = schemes.find(|(scheme, _)| *scheme == signature.scheme);
    let (_, fitting) = fitting.ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?;
    // In TLS 1.2 one scheme is several algorithms, for keys of different curves.
    let is_of = |it: &&dyn rustls_pki_types::SignatureVerificationAlgorithm| {
        key.verify_signature(*it, message, signature.signature())
            .is_ok()
    };
    if fitting.iter().any(is_of) {
        Ok(HandshakeSignatureValid::assertion())
    } else {
        Err(CertificateError::BadSignature.into())
    }
}

/// Verifies that the key of a certificate has signed a handshake of TLS 1.3.
///
/// # Errors
///
/// It has not.
pub fn verify_tls13_signature(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    let key = Certificate::read(certificate)?.key();
    verify_tls13_signature_with_raw_key(message, &key, signature, algorithms)
}

impl From<Refusal> for Error {
    /// rustls's own error where it has one, so that the peer gets the right alert.
    fn from(refusal: Refusal) -> Self {
        let error = match refusal {
            Refusal::Missing => return Self::NoCertificatesPresented,
            Refusal::Unreadable => CertificateError::BadEncoding,
            Refusal::NotValidYet => CertificateError::NotValidYet,
            Refusal::Expired => CertificateError::Expired,
            Refusal::UnknownAuthority => CertificateError::UnknownIssuer,
            // A CA that was made again has its old name and another key.
            Refusal::BadAuthority(reason) if *reason == Refusal::Signature => {
                CertificateError::BadSignature
            }
            other => CertificateError::Other(OtherError(Arc::new(other))),
        };
        error.into()
    }
}

#[cfg(test)]
mod tests;
