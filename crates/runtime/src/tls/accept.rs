//! Verifies a server certificate as its clients would.

use std::{sync::Arc, time::Duration};

use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier as _},
    crypto::aws_lc_rs,
    sign::CertifiedKey,
};
use rustls_pki_types::{
    CertificateDer, PrivateKeyDer, ServerName, UnixTime,
    pem::{self, PemObject as _},
};

/// Why a certificate and its key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadPair {
    /// The certificate cannot be read.
    #[error("the certificate is not PEM: {0}")]
    Certificate(pem::Error),
    /// The key cannot be read.
    #[error("the key is not PEM: {0}")]
    Key(pem::Error),
    /// They do not match.
    #[error("certificate and key do not belong together: {0}")]
    Mismatch(rustls::Error),
}

/// A certificate with its chain and its key, from PEM.
///
/// # Errors
///
/// [`BadPair`] says what is wrong.
pub fn pair(certificate: &[u8], key: &[u8]) -> Result<Arc<CertifiedKey>, BadPair> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(certificate)
        .collect::<Result<_, _>>()
        .map_err(BadPair::Certificate)?;
    if chain.is_empty() {
        return Err(BadPair::Certificate(pem::Error::NoItemsFound));
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(BadPair::Key)?;
    CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider())
        .map(Arc::new)
        .map_err(BadPair::Mismatch)
}

/// Whether a client that trusts these CAs accepts this chain for the server `name`, at a time in
/// seconds since the Unix epoch.
///
/// # Errors
///
/// Why it is refused.
pub fn accepted(
    cas: &[CertificateDer<'_>],
    chain: &[CertificateDer<'_>],
    name: &str,
    at: u64,
) -> Result<(), rustls::Error> {
    let mut roots = RootCertStore::empty();
    for ca in cas {
        // A CA that cannot be read is not trusted.
        drop(roots.add(ca.clone().into_owned()));
    }
    let unusable = |error: &dyn std::fmt::Display| rustls::Error::General(error.to_string());
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| unusable(&error))?;
    let (own, others) = chain
        .split_first()
        .ok_or(rustls::Error::NoCertificatesPresented)?;
    let name = ServerName::try_from(name).map_err(|error| unusable(&error))?;
    let at = UnixTime::since_unix_epoch(Duration::from_secs(at));
    verifier.verify_server_cert(own, others, &name, &[], at)?;
    Ok(())
}
