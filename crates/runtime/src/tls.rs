//! Certificates and CAs from files.
//!
//! A certificate that is served is read again when its files change, by
//! content: Kubernetes replaces mounted secrets by swapping a symlink, which a
//! watch on the file does not see. Key and certificate are swapped as a pair,
//! and only if they match.

mod unverified;

use std::{
    fmt, io,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use rustls::{
    RootCertStore, ServerConfig, SupportedProtocolVersion,
    crypto::{CryptoProvider, aws_lc_rs},
    server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier, danger::ClientCertVerifier},
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::unverified::Unverified;
use crate::exit::Misconfigured;

/// Makes aws-lc-rs the provider of every TLS in this process. To be called
/// first; later calls change nothing.
pub fn install_provider() {
    // An error says that there is one already, and it can only be this one.
    drop(aws_lc_rs::default_provider().install_default());
}

/// What is wrong with a certificate, key or CA file.
#[derive(Debug, thiserror::Error)]
pub enum BadFile {
    /// It cannot be read.
    #[error("{path}: {error}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// It is not PEM, or holds none of what it should.
    #[error("{path}: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The certificate and the key are no pair.
    #[error("{certificate} and {key} do not belong together: {reason}")]
    Mismatch {
        /// The certificate file.
        certificate: PathBuf,
        /// The key file.
        key: PathBuf,
        /// What rustls says.
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

/// The CAs of a PEM file as roots of trust.
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

/// A certificate and its key, in files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairFiles {
    /// The chain, the own certificate first.
    pub certificate: PathBuf,
    /// The key.
    pub key: PathBuf,
}

impl PairFiles {
    fn load(&self) -> Result<CertifiedKey, BadFile> {
        let chain = certificates(&self.certificate)?;
        let key = private_key(&self.key)?;
        CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(|error| {
            BadFile::Mismatch {
                certificate: self.certificate.clone(),
                key: self.key.clone(),
                reason: error.to_string(),
            }
        })
    }
}

/// How often files are looked at for a change.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// The certificate that a server shows, exchangeable while it runs.
#[derive(Debug)]
pub struct ServingCertificate {
    current: ArcSwap<CertifiedKey>,
    files: Option<PairFiles>,
}

impl ServingCertificate {
    /// The certificate in `files`.
    ///
    /// # Errors
    ///
    /// The files cannot be used.
    pub fn from_files(files: PairFiles) -> Result<Arc<Self>, BadFile> {
        Ok(Arc::new(Self {
            current: ArcSwap::from_pointee(files.load()?),
            files: Some(files),
        }))
    }

    /// A certificate made now, for these names and addresses, signed by itself
    /// and valid as long as this process lives: for whoever verifies by other
    /// means or not at all.
    ///
    /// # Errors
    ///
    /// A name cannot stand in a certificate.
    pub fn self_signed(
        names: impl IntoIterator<Item = String>,
        addresses: impl IntoIterator<Item = IpAddr>,
    ) -> Result<Arc<Self>, Misconfigured> {
        let addresses = addresses.into_iter().map(|address| address.to_string());
        let subjects: Vec<String> = names.into_iter().chain(addresses).collect();
        let made = rcgen::generate_simple_self_signed(subjects).map_err(Misconfigured::new)?;
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())
            .map_err(Misconfigured::new)?;
        let chain = vec![made.cert.der().clone()];
        let pair = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider())
            .map_err(Misconfigured::new)?;
        Ok(Arc::new(Self {
            current: ArcSwap::from_pointee(pair),
            files: None,
        }))
    }

    /// Looks at the files until `stop` and takes over what has changed.
    pub async fn follow_files(self: Arc<Self>, stop: CancellationToken) {
        // One failure may be a pair that is half written; two are a fault.
        let mut failures = 0_u32;
        while stop
            .run_until_cancelled(tokio::time::sleep(LOOK_EVERY))
            .await
            .is_some()
        {
            match self.look() {
                Ok(changed) => {
                    failures = 0;
                    if changed {
                        info!("serving certificate replaced");
                    }
                }
                Err(error) => {
                    failures += 1;
                    if failures == 2 {
                        warn!(%error, "serving certificate cannot be read; the old one stays");
                    }
                }
            }
        }
    }

    fn look(&self) -> Result<bool, BadFile> {
        let Some(files) = &self.files else {
            return Ok(false);
        };
        let found = files.load()?;
        if found.cert == self.current.load().cert {
            return Ok(false);
        }
        self.current.store(Arc::new(found));
        Ok(true)
    }
}

impl ResolvesServerCert for ServingCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

/// Whether and how clients prove who they are.
#[derive(Clone, Debug)]
pub enum ClientCertificates {
    /// They are not asked.
    None,
    /// They may; a certificate that these did not sign is refused.
    Optional(Arc<RootCertStore>),
    /// They must.
    Required(Arc<RootCertStore>),
    /// They may, and whatever certificate they show is taken: the handshake
    /// proves that they hold its key, and nothing else. Whoever serves them
    /// checks the chain, and may change its mind while a connection lives.
    Unverified,
}

/// TLS 1.3 and nothing older.
pub const TLS13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];

/// TLS 1.2 and 1.3.
pub const TLS12_AND_13: &[&SupportedProtocolVersion] = rustls::ALL_VERSIONS;

/// A TLS server configuration that offers these application protocols, the
/// most wanted first.
///
/// # Errors
///
/// The CAs cannot be used.
pub fn server_config(
    certificate: Arc<ServingCertificate>,
    clients: ClientCertificates,
    versions: &[&'static SupportedProtocolVersion],
    protocols: &[&[u8]],
) -> Result<Arc<ServerConfig>, Misconfigured> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .map_err(Misconfigured::new)?;
    let builder = match verifier(clients, provider)? {
        None => builder.with_no_client_auth(),
        Some(verifier) => builder.with_client_cert_verifier(verifier),
    };
    let mut config = builder.with_cert_resolver(certificate);
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Ok(Arc::new(config))
}

fn verifier(
    clients: ClientCertificates,
    provider: Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, Misconfigured> {
    let (roots, optional) = match clients {
        ClientCertificates::None => return Ok(None),
        ClientCertificates::Unverified => return Ok(Some(Arc::new(Unverified(provider)))),
        ClientCertificates::Optional(roots) => (roots, true),
        ClientCertificates::Required(roots) => (roots, false),
    };
    let mut builder = WebPkiClientVerifier::builder_with_provider(roots, provider);
    if optional {
        builder = builder.allow_unauthenticated();
    }
    builder.build().map(Some).map_err(Misconfigured::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write_pair(dir: &Path, name: &str) -> PairFiles {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        let files = PairFiles {
            certificate: dir.join("tls.crt"),
            key: dir.join("tls.key"),
        };
        std::fs::write(&files.certificate, made.cert.pem()).unwrap();
        std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
        files
    }

    #[test]
    fn a_changed_pair_is_taken_over_whole() {
        let dir = tempfile::tempdir().unwrap();
        let files = write_pair(dir.path(), "one.test");
        let serving = ServingCertificate::from_files(files.clone()).unwrap();
        assert!(!serving.look().unwrap());

        let before = serving.current.load_full();
        std::fs::write(
            &files.key,
            rcgen::KeyPair::generate().unwrap().serialize_pem(),
        )
        .unwrap();
        assert!(matches!(serving.look(), Err(BadFile::Mismatch { .. })));
        assert_eq!(serving.current.load().cert, before.cert);

        write_pair(dir.path(), "two.test");
        assert!(serving.look().unwrap());
        assert_ne!(serving.current.load().cert, before.cert);
    }

    #[test]
    fn a_bad_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.crt");
        let error = roots(&path).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("{}: No such file", path.display())),
            "{error}"
        );
        std::fs::write(&path, "hello").unwrap();
        assert_eq!(
            roots(&path).unwrap_err().to_string(),
            format!("{}: no certificate in it", path.display())
        );
    }
}
