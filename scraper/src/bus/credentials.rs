//! How a scraper proves itself to frontends, and whom it believes.
//!
//! Files are looked at again and again, by content. When they have changed, every
//! stream is followed by one with the new credentials, so a token is replaced
//! long before it expires: the kubelet renews it after four fifths of its time.
//! What cannot be used leaves what is known in force; what is missing at the
//! start is waited for.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use rustls::{ClientConfig, RootCertStore, sign::SingleCertAndKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::metadata::AsciiMetadataValue;
use tracing::{info, warn};
use tributary_runtime::{
    metrics::Expirations,
    tls::{self, PairFiles},
};

/// How often files are looked at.
const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// Where the credentials are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Files {
    /// The CAs of the frontends' certificates.
    pub(crate) ca: Option<PathBuf>,
    /// The certificate to show.
    pub(crate) pair: Option<PairFiles>,
    /// The token to show.
    pub(crate) token: Option<PathBuf>,
}

/// The credentials, current. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Credentials(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    files: Files,
    current: watch::Sender<Option<Arc<Access>>>,
    /// One looks at a time, or the older of two might win.
    looking: Mutex<()>,
}

/// What one stream needs.
pub(crate) struct Access {
    /// TLS 1.3 against the CAs; `None` if there are none.
    pub(super) tls: Option<Arc<ClientConfig>>,
    /// What is sent as `authorization`.
    pub(super) token: Option<AsciiMetadataValue>,
    material: Material,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Nothing of what it holds may be in a log.
        f.debug_struct("Access").finish_non_exhaustive()
    }
}

/// A chain and its key.
type PairPem = (Vec<u8>, Vec<u8>);

/// What was read.
#[derive(PartialEq, Eq)]
struct Material {
    ca: Option<Vec<u8>>,
    pair: Option<PairPem>,
    token: Option<Vec<u8>>,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    #[error("{path}: {error}", path = .path.display())]
    Unreadable { path: PathBuf, error: io::Error },
    #[error("{path}: {reason}", path = .path.display())]
    Content { path: PathBuf, reason: String },
}

impl Credentials {
    /// Those in `files`, which may not be there yet.
    pub(crate) fn new(files: Files) -> Self {
        Self(Arc::new(Inner {
            files,
            current: watch::Sender::new(None),
            looking: Mutex::default(),
        }))
    }

    /// What is in the files now; if they cannot be used, what was in them.
    pub(super) fn access(&self) -> Result<Arc<Access>, Unusable> {
        match self.look() {
            Ok((access, _)) => Ok(access),
            Err(error) => self.0.current.borrow().clone().ok_or(error),
        }
    }

    /// With the certificates by which we and frontends know each other.
    pub(crate) fn register_expiry(&self, expirations: Expirations) -> Expirations {
        let (ca, pair) = (self.clone(), self.clone());
        expirations
            .with("bus-ca", move || ca.ca_expires())
            .with("bus-client", move || pair.pair_expires())
    }

    /// When the last of the CAs expires that are in force.
    fn ca_expires(&self) -> Option<i64> {
        let stored = self.0.current.borrow().clone()?;
        tls::last_to_expire(&tls::in_pem(stored.material.ca.as_deref()?))
    }

    /// When the certificate expires that is shown.
    fn pair_expires(&self) -> Option<i64> {
        let stored = self.0.current.borrow().clone()?;
        let (chain, _) = stored.material.pair.as_ref()?;
        tls::first_to_expire(&tls::in_pem(chain))
    }

    /// Tells of changes from now on.
    pub(super) fn changes(&self) -> watch::Receiver<Option<Arc<Access>>> {
        self.0.current.subscribe()
    }

    /// Looks at the files until `stop`.
    pub(crate) async fn follow(self, stop: CancellationToken) {
        // One failure may be a pair that is half written; two are a fault.
        let mut failures = 0_u32;
        let sleep = || tokio::time::sleep(POLL_INTERVAL);
        while stop.run_until_cancelled(sleep()).await.is_some() {
            match self.look() {
                Ok((_, changed)) => {
                    failures = 0;
                    if changed {
                        info!("credentials for frontends have changed");
                    }
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    if failures == 2 {
                        warn!(%error, "failed to read new credentials for frontends; keeping the old ones");
                    }
                }
            }
        }
    }

    /// A few small files, from memory as a rule: not worth another thread.
    fn look(&self) -> Result<(Arc<Access>, bool), Unusable> {
        let lock = self.0.looking.lock();
        let _looking = lock;
        let material = self.0.files.read()?;
        let stored = self.0.current.borrow().clone();
        if let Some(stored) = stored.filter(|stored| stored.material == material) {
            return Ok((stored, false));
        }
        let access = Arc::new(self.0.files.access(material)?);
        let before = self.0.current.send_replace(Some(Arc::clone(&access)));
        Ok((access, before.is_some()))
    }
}

impl Files {
    fn read(&self) -> Result<Material, Unusable> {
        let read = |path: &PathBuf| {
            std::fs::read(path).map_err(|error| Unusable::Unreadable {
                path: path.clone(),
                error,
            })
        };
        let pair = self.pair.as_ref();
        let pair = pair.map(|pair| Ok((read(&pair.certificate)?, read(&pair.key)?)));
        Ok(Material {
            ca: self.ca.as_ref().map(read).transpose()?,
            pair: pair.transpose()?,
            token: self.token.as_ref().map(read).transpose()?,
        })
    }

    fn access(&self, material: Material) -> Result<Access, Unusable> {
        let ca = self.ca.as_deref().zip(material.ca.as_deref());
        let pair = self.pair.as_ref().zip(material.pair.as_ref());
        let token = self.token.as_deref().zip(material.token.as_deref());
        Ok(Access {
            tls: ca.map(|ca| config(ca, pair)).transpose()?.map(Arc::new),
            token: token.map(|(path, text)| bearer(path, text)).transpose()?,
            material,
        })
    }
}

type Pem<'a> = (&'a Path, &'a [u8]);

fn config(ca: Pem<'_>, pair: Option<(&PairFiles, &PairPem)>) -> Result<ClientConfig, Unusable> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca)? {
        roots
            .add(certificate)
            .map_err(|error| content(ca.0, &error))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(tls::TLS13)
        .map_err(|error| content(ca.0, &error))?
        .with_root_certificates(roots);
    let mut config = match pair {
        None => builder.with_no_client_auth(),
        Some((files, (chain, key))) => {
            let chain = certificates((&files.certificate, chain))?;
            let key = PrivateKeyDer::from_pem_slice(key);
            let key = key.map_err(|error| content(&files.key, &error))?;
            let pair = tls::certified_key(chain, key);
            let pair = pair.map_err(|error| content(&files.certificate, &error))?;
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(pair)))
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

fn certificates((path, pem): Pem<'_>) -> Result<Vec<CertificateDer<'static>>, Unusable> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if found.is_empty() => Err(content(path, &"no certificate in it")),
        Ok(found) => Ok(found),
        Err(error) => Err(content(path, &error)),
    }
}

fn bearer(path: &Path, token: &[u8]) -> Result<AsciiMetadataValue, Unusable> {
    let token = token.trim_ascii();
    if token.is_empty() {
        return Err(content(path, &"no token in it"));
    }
    // What it says is not said: it may be a token with something before it.
    let mut value = AsciiMetadataValue::try_from([b"Bearer ", token].concat())
        .map_err(|_| content(path, &"not a token"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn content(path: &Path, reason: &dyn fmt::Display) -> Unusable {
    Unusable::Content {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str) -> (tempfile::TempDir, Credentials, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, text).unwrap();
        let files = Files {
            token: Some(path.clone()),
            ..Files::default()
        };
        (dir, Credentials::new(files), path)
    }

    fn shown(credentials: &Credentials) -> Vec<u8> {
        let access = credentials.access().unwrap();
        access.token.as_ref().unwrap().as_bytes().to_vec()
    }

    #[test]
    fn a_token_is_read_again_and_logged_once() {
        let (_dir, credentials, path) = token("one\n");
        assert_eq!(shown(&credentials), b"Bearer one");
        let mut changes = credentials.changes();
        assert_eq!(shown(&credentials), b"Bearer one");
        assert!(!changes.has_changed().unwrap());
        std::fs::write(&path, "two").unwrap();
        assert_eq!(shown(&credentials), b"Bearer two");
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();
        assert_eq!(shown(&credentials), b"Bearer two");
        assert!(!changes.has_changed().unwrap());
    }

    #[test]
    fn what_cannot_be_used_leaves_what_is_known_in_force() {
        let (_dir, credentials, path) = token("one");
        assert_eq!(shown(&credentials), b"Bearer one");
        for broken in ["", " \n", "to\nken"] {
            std::fs::write(&path, broken).unwrap();
            assert_eq!(shown(&credentials), b"Bearer one", "{broken:?}");
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!(shown(&credentials), b"Bearer one");
    }

    #[test]
    fn a_file_that_is_missing_at_the_start_is_named() {
        let (_dir, credentials, path) = token("one");
        std::fs::remove_file(&path).unwrap();
        let error = credentials.access().unwrap_err().to_string();
        let start = format!("{}: No such file", path.display());
        assert!(error.starts_with(&start), "{error}");
        std::fs::write(&path, "to\nken").unwrap();
        let error = credentials.access().unwrap_err().to_string();
        assert_eq!(error, format!("{}: not a token", path.display()));
    }

    #[test]
    fn a_token_is_in_no_log() {
        let (_dir, credentials, _) = token("hush");
        let access = credentials.access().unwrap();
        assert!(!format!("{access:?} {:?} {credentials:?}", access.token).contains("hush"));
    }
}
