//! Reads PEM files.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use rustls::{InconsistentKeys, RootCertStore, crypto::aws_lc_rs, sign::CertifiedKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};

use super::{authorities::Refusal, certificate::Certificate};
use crate::exit::Misconfigured;

/// Why a certificate, key or CA file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadFile {
    /// It cannot be read.
    #[error("{path}: {error}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
    /// It is not PEM, or lacks the expected content.
    #[error("{path}: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The certificate and the key do not match.
    #[error("{certificate} and {key} do not belong together: {reason}")]
    Mismatch {
        /// The certificate file.
        certificate: PathBuf,
        /// The key file.
        key: PathBuf,
        /// The error of rustls.
        reason: String,
    },
}

impl From<BadFile> for Misconfigured {
    fn from(error: BadFile) -> Self {
        Self::new(error)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, BadFile> {
    std::fs::read(path).map_err(|error| BadFile::Unreadable {
        path: path.to_owned(),
        error,
    })
}

fn malformed(path: &Path, reason: &dyn fmt::Display) -> BadFile {
    BadFile::Malformed {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

/// The certificates of a PEM file, at least one.
///
/// # Errors
///
/// [`BadFile`] says which file and what is wrong with it.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, BadFile> {
    let pem = read(path)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| malformed(path, &error))?;
    if chain.is_empty() {
        return Err(malformed(path, &"no certificate in it"));
    }
    Ok(chain)
}

/// The private key of a PEM file.
///
/// # Errors
///
/// [`BadFile`] says which file and what is wrong with it.
pub fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, BadFile> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|error| malformed(path, &error))
}

/// The CAs of a PEM file, as trusted roots.
///
/// # Errors
///
/// [`BadFile`] says which file and what is wrong with it.
pub fn roots(path: &Path) -> Result<RootCertStore, BadFile> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots
            .add(certificate)
            .map_err(|error| malformed(path, &error))?;
    }
    Ok(roots)
}

/// A chain, its own certificate first, with its key. It does what rustls does, for certificates of
/// any version.
///
/// # Errors
///
/// The key cannot be used, or belongs to another certificate.
pub fn certified_key(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<CertifiedKey, rustls::Error> {
    let provider = aws_lc_rs::default_provider();
    let key = provider.key_provider.load_private_key(key)?;
    let own = chain.first().ok_or(Refusal::Missing)?;
    let of_certificate = Certificate::read(own)?.key();
    if key.public_key().is_some_and(|key| key != of_certificate) {
        return Err(InconsistentKeys::KeyMismatch.into());
    }
    Ok(CertifiedKey::new(chain, key))
}

/// A certificate and its key, in files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairFiles {
    /// The chain, the own certificate first.
    pub certificate: PathBuf,
    /// The key.
    pub key: PathBuf,
}

impl PairFiles {
    pub(super) fn load(&self) -> Result<CertifiedKey, BadFile> {
        let chain = certificates(&self.certificate)?;
        let key = private_key(&self.key)?;
        certified_key(chain, key).map_err(|error| BadFile::Mismatch {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            reason: error.to_string(),
        })
    }
}
