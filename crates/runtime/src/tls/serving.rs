//! The certificates that a server uses.

use std::{
    collections::HashMap,
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use arc_swap::ArcSwap;
use rustls::{
    crypto::aws_lc_rs,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::PrivateKeyDer;
use tokio_util::sync::CancellationToken;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use super::{
    expiry::first_to_expire,
    files::{BadFile, PairFiles},
};
use crate::{exit::Misconfigured, reload};

/// A pair for certain names: `CERT,KEY[:NAME,..]`.
///
/// A name may begin with `*.` for any one label. Without names, those in the certificate count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedPair {
    /// The files.
    pub files: PairFiles,
    /// The names, in lower case.
    pub names: Vec<String>,
}

/// Why a [`NamedPair`] is not valid, in the words of k8s.io/component-base.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadNamedPair {
    /// A colon, and nothing after it.
    #[error("empty names list is not allowed")]
    NoNames,
    /// Not two files.
    #[error("expected comma separated certificate and key file paths")]
    NoPair,
}

impl FromStr for NamedPair {
    type Err = BadNamedPair;

    fn from_str(text: &str) -> Result<Self, BadNamedPair> {
        let (pair, names) = match text.split_once(':') {
            Some((_, names)) if names.trim().is_empty() => return Err(BadNamedPair::NoNames),
            Some((pair, names)) => (pair, names),
            None => (text, ""),
        };
        let names = names.split(',').map(|name| name.trim().to_lowercase());
        match pair.split(',').map(str::trim).collect::<Vec<_>>()[..] {
            [certificate, key] => Ok(Self {
                files: PairFiles {
                    certificate: certificate.into(),
                    key: key.into(),
                },
                names: names.filter(|name| !name.is_empty()).collect(),
            }),
            _ => Err(BadNamedPair::NoPair),
        }
    }
}

/// The certificates of a server, which can be replaced while it runs: one for all names, and others
/// for certain names.
#[derive(Debug)]
pub struct ServingCertificate {
    own: Pair,
    named: Vec<(Pair, Vec<String>)>,
    by_name: ArcSwap<HashMap<String, Arc<CertifiedKey>>>,
}

#[derive(Debug)]
struct Pair {
    current: ArcSwap<CertifiedKey>,
    files: Option<PairFiles>,
}

impl Pair {
    fn load(files: PairFiles) -> Result<Self, BadFile> {
        Ok(Self {
            current: ArcSwap::from_pointee(files.load()?),
            files: Some(files),
        })
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

impl ServingCertificate {
    /// The certificate in `files`.
    ///
    /// # Errors
    ///
    /// The files cannot be used.
    pub fn from_files(files: PairFiles) -> Result<Arc<Self>, BadFile> {
        Ok(Arc::new(Self::of(Pair::load(files)?)))
    }

    /// A new self-signed certificate for these names and addresses, valid as long as this process
    /// lives: for clients that do not verify it, or verify it by other means.
    ///
    /// # Errors
    ///
    /// A name is not valid in a certificate.
    pub fn self_signed(
        names: impl IntoIterator<Item = String>,
        addresses: impl IntoIterator<Item = IpAddr>,
    ) -> Result<Arc<Self>, Misconfigured> {
        let made = made(names, addresses)?;
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())
            .map_err(Misconfigured::new)?;
        let chain = vec![made.cert.der().clone()];
        let pair = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider())
            .map_err(Misconfigured::new)?;
        Ok(Arc::new(Self::of(Pair {
            current: ArcSwap::from_pointee(pair),
            files: None,
        })))
    }

    /// The pair `apiserver.crt` and `apiserver.key` in `dir`, as metrics-server writes it there. If
    /// there is none, it is created as by [`Self::self_signed`].
    ///
    /// # Errors
    ///
    /// The files cannot be used, or not be written.
    pub fn kept_in(
        dir: &Path,
        names: impl IntoIterator<Item = String>,
        addresses: impl IntoIterator<Item = IpAddr>,
    ) -> Result<Arc<Self>, Misconfigured> {
        let files = PairFiles {
            certificate: dir.join("apiserver.crt"),
            key: dir.join("apiserver.key"),
        };
        if !(files.certificate.exists() && files.key.exists()) {
            let made = made(names, addresses)?;
            fs::create_dir_all(dir)
                .and_then(|()| write(&files.key, 0o600, &made.signing_key.serialize_pem()))
                .and_then(|()| write(&files.certificate, 0o644, &made.cert.pem()))
                .map_err(|error| {
                    Misconfigured::new(format!("--cert-dir {}: {error}", dir.display()))
                })?;
        }
        Ok(Self::from_files(files)?)
    }

    /// The same, with others for certain names. A pair that is configured with a name comes before
    /// one that has it in the certificate, and then the first comes before the later ones.
    ///
    /// # Errors
    ///
    /// Files cannot be used.
    pub fn with_named(self: Arc<Self>, named: Vec<NamedPair>) -> Result<Arc<Self>, BadFile> {
        let named = named
            .into_iter()
            .map(|one| Ok((Pair::load(one.files)?, one.names)));
        let files = self.own.files.clone();
        let whole = Self {
            own: Pair {
                current: ArcSwap::new(self.own.current.load_full()),
                files,
            },
            named: named.collect::<Result<_, BadFile>>()?,
            by_name: ArcSwap::default(),
        };
        whole.name();
        Ok(Arc::new(whole))
    }

    fn of(own: Pair) -> Self {
        Self {
            own,
            named: Vec::new(),
            by_name: ArcSwap::default(),
        }
    }

    /// Uses this certificate for all names from now on. Returns whether it is another one than
    /// before.
    pub fn show(&self, pair: Arc<CertifiedKey>) -> bool {
        let other = self.own.current.load().cert != pair.cert;
        if other {
            self.own.current.store(pair);
        }
        other
    }

    /// Reads the files again until `stop`, and uses what has changed.
    pub async fn follow_files(self: Arc<Self>, stop: CancellationToken) {
        reload::follow("serving certificate", stop, || self.look()).await;
    }

    /// When the first of all certificates in use expires, in seconds since the Unix epoch.
    pub fn expires(&self) -> Option<i64> {
        let pairs = std::iter::once(&self.own).chain(self.named.iter().map(|(pair, _)| pair));
        pairs
            .filter_map(|pair| first_to_expire(&pair.current.load().cert))
            .min()
    }

    /// Reads the files again. Returns whether something has changed. If one pair cannot be used,
    /// the others are still read.
    pub(super) fn look(&self) -> Result<bool, BadFile> {
        let looks = std::iter::once(&self.own).chain(self.named.iter().map(|(pair, _)| pair));
        let looks: Vec<_> = looks.map(Pair::look).collect();
        let changed = looks.iter().any(|look| matches!(look, Ok(true)));
        if changed {
            self.name();
        }
        match looks.into_iter().find_map(Result::err) {
            Some(error) => Err(error),
            None => Ok(changed),
        }
    }

    /// The certificate for clients that send no name.
    pub fn shown(&self) -> Arc<CertifiedKey> {
        self.own.current.load_full()
    }

    fn name(&self) {
        let mut by_name = HashMap::new();
        let backwards = || self.named.iter().rev();
        for (pair, _) in backwards().filter(|(_, names)| names.is_empty()) {
            let pair = pair.current.load_full();
            for name in names_of(&pair) {
                by_name.insert(name, Arc::clone(&pair));
            }
        }
        for (pair, names) in backwards() {
            let pair = pair.current.load_full();
            for name in names {
                by_name.insert(name.clone(), Arc::clone(&pair));
            }
        }
        self.by_name.store(Arc::new(by_name));
    }

    /// The pair for a name.
    pub(super) fn named(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        let by_name = self.by_name.load();
        if by_name.is_empty() {
            return None;
        }
        let name = name.trim_end_matches('.').to_lowercase();
        let any = || {
            let (_, rest) = name.split_once('.')?;
            by_name.get(&format!("*.{rest}"))
        };
        by_name.get(&name).or_else(any).cloned()
    }
}

fn made(
    names: impl IntoIterator<Item = String>,
    addresses: impl IntoIterator<Item = IpAddr>,
) -> Result<rcgen::CertifiedKey<rcgen::KeyPair>, Misconfigured> {
    let addresses = addresses.into_iter().map(|address| address.to_string());
    let subjects: Vec<String> = names.into_iter().chain(addresses).collect();
    rcgen::generate_simple_self_signed(subjects).map_err(Misconfigured::new)
}

fn write(path: &PathBuf, mode: u32, text: &str) -> io::Result<()> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
    let mut options = fs::OpenOptions::new();
    let options = options.write(true).create(true).truncate(true).mode(mode);
    options.open(path)?.write_all(text.as_bytes())
}

/// The DNS names of a certificate; without any, its common name.
fn names_of(pair: &CertifiedKey) -> Vec<String> {
    let parsed = pair.cert.first();
    let parsed = parsed.and_then(|der| Some(X509Certificate::from_der(der).ok()?.1));
    let Some(certificate) = parsed else {
        return Vec::new();
    };
    let alternatives = certificate.subject_alternative_name().ok().flatten();
    let alternatives = alternatives.map(|found| found.value.general_names.iter());
    let dns = alternatives
        .into_iter()
        .flatten()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_lowercase()),
            _ => None,
        });
    let dns: Vec<String> = dns.collect();
    if !dns.is_empty() {
        return dns;
    }
    let common = certificate.subject().iter_common_name();
    let common = common.filter_map(|name| name.as_str().ok());
    common.map(str::to_lowercase).collect()
}

impl ResolvesServerCert for ServingCertificate {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| self.named(name));
        Some(named.unwrap_or_else(|| self.shown()))
    }
}
