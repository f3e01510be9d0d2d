//! Who we are to kubelets and whom we believe to be one.
//!
//! It starts from the configuration for the API server, as in metrics-server
//! (PARITY 2.5), and the kubelet flags replace parts of it. Whatever comes from
//! a file is looked at again, by content
//! ([`tributary_runtime::reload`]), as connections need it.

mod tls;

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arc_swap::ArcSwap;
use http::HeaderValue;
use k8s_openapi::ByteString;
use kube::Config;
use serde::Deserialize;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tracing::warn;
use tributary_runtime::{
    exit::Misconfigured,
    reload::{LOOK_EVERY, Looks},
    tls::{PairFiles, first_to_expire, in_pem, last_to_expire},
};

/// What the flags say about the way to kubelets.
#[derive(Clone, Debug, Default)]
pub struct Security {
    /// `--kubelet-certificate-authority`
    pub authority: Option<PathBuf>,
    /// `--kubelet-client-certificate` and `--kubelet-client-key`
    pub pair: Option<PairFiles>,
    /// `--kubelet-insecure-tls`
    pub insecure_tls: bool,
    /// `--deprecated-kubelet-completely-insecure`
    pub completely_insecure: bool,
    /// `--kubelet-verify-node-name`
    pub verify_node_name: bool,
}

/// The credentials, current.
#[derive(Debug)]
pub(super) struct Credentials {
    sources: Sources,
    current: ArcSwap<Access>,
    looks: Mutex<(Instant, Looks)>,
}

/// What one connection and one request need.
pub(super) struct Access {
    /// `None` for plain HTTP.
    pub(super) tls: Option<TlsConnector>,
    /// Sent with every request.
    pub(super) authorization: Option<HeaderValue>,
    /// Counts what connections depend on; one of an older generation is not
    /// used again.
    pub(super) generation: u64,
    material: Material,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Nothing of what it holds may be in a log.
        f.debug_struct("Access")
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

/// Where a text comes from, and how to call it in a message.
#[derive(Clone)]
enum Source {
    Given(Vec<u8>),
    File { path: PathBuf, named: &'static str },
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(_) => f.write_str("Given"),
            Self::File { path, .. } => path.fmt(f),
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Sources {
    plain: bool,
    verify: Verify,
    certificate: Option<Source>,
    key: Option<Source>,
    token: Option<Source>,
    basic: Option<HeaderValue>,
}

/// How the certificate of a kubelet is judged.
#[derive(Clone, Debug, Default)]
enum Verify {
    /// By nobody: every certificate is good.
    Nobody,
    /// By authorities as DER, for want of a file.
    #[default]
    NoAuthority,
    /// By authorities as DER.
    Der(Vec<Vec<u8>>),
    /// By authorities in a PEM file.
    Pem(Source),
}

/// What was read. Compared with what is read next.
#[derive(Clone, Default, PartialEq, Eq)]
struct Material {
    authority: Option<Vec<u8>>,
    certificate: Option<Vec<u8>>,
    key: Option<Vec<u8>>,
    token: Option<Vec<u8>>,
}

/// The parts of kube's `AuthInfo` that are about who we are. It gives secrets
/// away only by being serialised.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Identity {
    token: Option<String>,
    #[serde(rename = "tokenFile")]
    token_file: Option<PathBuf>,
    username: Option<String>,
    password: Option<String>,
    client_certificate: Option<PathBuf>,
    client_certificate_data: Option<ByteString>,
    client_key: Option<PathBuf>,
    client_key_data: Option<ByteString>,
}

impl Credentials {
    /// Reads everything once.
    ///
    /// # Errors
    ///
    /// A file cannot be read or used.
    pub(super) fn new(security: &Security, base: &Config) -> Result<Self, Misconfigured> {
        let sources = Sources::new(security, base)?;
        let material = sources.read().map_err(Misconfigured::new)?;
        let access = Access::new(&sources, material, None).map_err(Misconfigured::new)?;
        Ok(Self {
            sources,
            current: ArcSwap::from_pointee(access),
            looks: Mutex::new((
                Instant::now() + LOOK_EVERY,
                Looks::new("credentials for kubelets"),
            )),
        })
    }

    /// The current access, looked at again if it is time.
    pub(super) fn access(&self) -> Arc<Access> {
        if self.is_time_to_look() {
            self.look();
        }
        self.current.load_full()
    }

    /// When the last of the authorities runs out that are in force.
    pub(super) fn authority_expires(&self) -> Option<i64> {
        match (
            &self.sources.verify,
            &self.current.load().material.authority,
        ) {
            (Verify::Der(der), _) => {
                let der: Vec<_> = der.iter().map(|der| der.as_slice().into()).collect();
                last_to_expire(&der)
            }
            (_, pem) => last_to_expire(&in_pem(pem.as_deref()?)),
        }
    }

    /// When the certificate runs out that is shown.
    pub(super) fn certificate_expires(&self) -> Option<i64> {
        first_to_expire(&in_pem(
            self.current.load().material.certificate.as_deref()?,
        ))
    }

    /// Whether it is time; says so to one of many who ask.
    fn is_time_to_look(&self) -> bool {
        let now = Instant::now();
        let (next, _) = &mut *self.looks();
        let is_time = now >= *next;
        if is_time {
            *next = now + LOOK_EVERY;
        }
        is_time
    }

    fn looks(&self) -> MutexGuard<'_, (Instant, Looks)> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A few small files, from memory as a rule: not worth another thread.
    fn look(&self) {
        let held = self.current.load();
        let found = self.sources.read().and_then(|material| {
            if material == held.material {
                return Ok(false);
            }
            let access = Access::new(&self.sources, material, Some(&held))?;
            self.current.store(Arc::new(access));
            Ok(true)
        });
        self.looks().1.report(found);
    }
}

impl Sources {
    fn new(security: &Security, base: &Config) -> Result<Self, Misconfigured> {
        if security.completely_insecure {
            return Ok(Self {
                plain: true,
                ..Self::default()
            });
        }
        let identity = serde_json::to_value(&base.auth_info)
            .and_then(serde_json::from_value::<Identity>)
            .map_err(|error| {
                Misconfigured::new(format!("credentials of the kubeconfig: {error}"))
            })?;
        let (certificate, key) = match &security.pair {
            Some(pair) => (
                Some(file(&pair.certificate, "--kubelet-client-certificate")),
                Some(file(&pair.key, "--kubelet-client-key")),
            ),
            None => (
                given(identity.client_certificate_data.map(|it| it.0))
                    .or(named(identity.client_certificate, "client-certificate")),
                given(identity.client_key_data.map(|it| it.0))
                    .or(named(identity.client_key, "client-key")),
            ),
        };
        let token = given(identity.token.map(String::into_bytes))
            .or(named(identity.token_file, "token file"));
        let is_bare = certificate.is_none() && token.is_none() && identity.username.is_none();
        if is_bare && (base.auth_info.exec.is_some() || base.auth_info.auth_provider.is_some()) {
            warn!(
                "unable to show kubelets the credentials of the kubeconfig: they come from a program \
                 (exec) or an auth-provider; set --kubelet-client-certificate and \
                 --kubelet-client-key, or use a kubeconfig with a token or a certificate"
            );
        }
        Ok(Self {
            plain: false,
            verify: verify(security, base),
            certificate,
            key,
            token,
            basic: identity
                .username
                .map(|name| basic(&name, identity.password.as_deref().unwrap_or_default()))
                .transpose()?,
        })
    }

    fn read(&self) -> Result<Material, Unusable> {
        let read = |source: &Option<Source>| source.as_ref().map(Source::read).transpose();
        Ok(Material {
            authority: match &self.verify {
                Verify::Pem(source) => Some(source.read()?),
                Verify::Nobody | Verify::NoAuthority | Verify::Der(_) => None,
            },
            certificate: read(&self.certificate)?,
            key: read(&self.key)?,
            token: read(&self.token)?,
        })
    }
}

fn verify(security: &Security, base: &Config) -> Verify {
    let root = base.root_cert_file.as_deref();
    if security.insecure_tls {
        return Verify::Nobody;
    }
    match (&security.authority, root, &base.root_cert) {
        (Some(path), _, _) => Verify::Pem(file(path, "--kubelet-certificate-authority")),
        // A kubeconfig may skip verification, which holds for kubelets too.
        _ if base.accept_invalid_certs => Verify::Nobody,
        (None, Some(path), _) => Verify::Pem(file(path, "cluster CA")),
        (None, None, Some(der)) => Verify::Der(der.clone()),
        (None, None, None) => Verify::NoAuthority,
    }
}

fn file(path: &Path, named: &'static str) -> Source {
    let path = path.to_owned();
    Source::File { path, named }
}

fn named(path: Option<PathBuf>, named: &'static str) -> Option<Source> {
    path.map(|path| Source::File { path, named })
}

fn given(text: Option<Vec<u8>>) -> Option<Source> {
    text.map(Source::Given)
}

impl Source {
    fn read(&self) -> Result<Vec<u8>, Unusable> {
        match self {
            Self::Given(text) => Ok(text.clone()),
            Self::File { path, named } => {
                std::fs::read(path).map_err(|error| Unusable::Unreadable {
                    named,
                    path: path.clone(),
                    error,
                })
            }
        }
    }
}

impl Access {
    /// Makes what was read usable; connections made with `before` stay good if
    /// only the token is another.
    fn new(sources: &Sources, material: Material, before: Option<&Self>) -> Result<Self, Unusable> {
        let authorization = match &material.token {
            Some(token) => Some(bearer(token)?),
            None => sources.basic.clone(),
        };
        let unchanged = before.filter(|before| {
            let connection = |it: &Material| Material {
                token: None,
                ..it.clone()
            };
            connection(&before.material) == connection(&material)
        });
        let (tls, generation) = match (unchanged, sources.plain) {
            (Some(before), _) => (before.tls.clone(), before.generation),
            (None, true) => (None, 0),
            (None, false) => (
                Some(tls::connector(&sources.verify, &material)?),
                before.map_or(0, |before| before.generation + 1),
            ),
        };
        Ok(Self {
            tls,
            authorization,
            generation,
            material,
        })
    }
}

fn bearer(token: &[u8]) -> Result<HeaderValue, Unusable> {
    let token = token.trim_ascii();
    if token.is_empty() {
        return Err(Unusable::Content("the token for kubelets is empty".into()));
    }
    secret([b"Bearer ", token].concat())
        .ok_or_else(|| Unusable::Content("the token for kubelets is no text".into()))
}

fn basic(name: &str, password: &str) -> Result<HeaderValue, Misconfigured> {
    let joined = ByteString(format!("{name}:{password}").into_bytes());
    // In JSON, bytes are base64.
    let encoded = serde_json::to_value(&joined).map_err(Misconfigured::new)?;
    secret(format!("Basic {}", encoded.as_str().unwrap_or_default()).into_bytes())
        .ok_or_else(|| Misconfigured::new("the user name of the kubeconfig is no text"))
}

fn secret(text: Vec<u8>) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_maybe_shared(bytes::Bytes::from(text)).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// What is wrong with credentials.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("{named} {path}: {error}", path = .path.display())]
    Unreadable {
        named: &'static str,
        path: PathBuf,
        error: io::Error,
    },
    #[error("{0}")]
    Content(String),
}

#[cfg(test)]
mod tests;
