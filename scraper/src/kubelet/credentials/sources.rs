//! Where credentials for kubelets come from.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use http::HeaderValue;
use k8s_openapi::ByteString;
use kube::Config;
use serde::Deserialize;
use tracing::warn;
use tributary_runtime::exit::Misconfigured;

use super::{Material, Security, Unusable, secret};

/// Where a text comes from, and how to call it in a message.
#[derive(Clone)]
pub(super) enum Source {
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
pub(super) struct Sources {
    pub(super) plain: bool,
    pub(super) verify: Verify,
    certificate: Option<Source>,
    key: Option<Source>,
    token: Option<Source>,
    pub(super) basic: Option<HeaderValue>,
}

/// How the certificate of a kubelet is judged.
#[derive(Clone, Debug, Default)]
pub(super) enum Verify {
    /// By nobody: every certificate is good.
    Skip,
    /// By authorities as DER, for want of a file.
    #[default]
    NoAuthority,
    /// By authorities as DER.
    Der(Vec<Vec<u8>>),
    /// By authorities in a PEM file.
    Pem(Source),
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

impl Identity {
    fn of(base: &Config) -> Result<Self, Misconfigured> {
        serde_json::to_value(&base.auth_info)
            .and_then(serde_json::from_value)
            .map_err(|error| Misconfigured::new(format!("credentials of the kubeconfig: {error}")))
    }
}

impl Sources {
    pub(super) fn new(security: &Security, base: &Config) -> Result<Self, Misconfigured> {
        if security.completely_insecure {
            return Ok(Self {
                plain: true,
                ..Self::default()
            });
        }
        // Who has an identity for kubelets does not show them the one for the API.
        let identity = match (&security.token, &security.pair) {
            (None, None) => Identity::of(base)?,
            _ => Identity::default(),
        };
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
        let is_bare = certificate.is_none()
            && token.is_none()
            && identity.username.is_none()
            && security.token.is_none();
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

    pub(super) fn read(&self) -> Result<Material, Unusable> {
        let read = |source: &Option<Source>| source.as_ref().map(Source::read).transpose();
        Ok(Material {
            authority: match &self.verify {
                Verify::Pem(source) => Some(source.read()?),
                Verify::Skip | Verify::NoAuthority | Verify::Der(_) => None,
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
        return Verify::Skip;
    }
    match (&security.authority, root, &base.root_cert) {
        (Some(path), _, _) => Verify::Pem(file(path, "--kubelet-certificate-authority")),
        // A kubeconfig may skip verification, which holds for kubelets too.
        _ if base.accept_invalid_certs => Verify::Skip,
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

fn basic(name: &str, password: &str) -> Result<HeaderValue, Misconfigured> {
    let joined = ByteString(format!("{name}:{password}").into_bytes());
    // In JSON, bytes are base64.
    let encoded = serde_json::to_value(&joined).map_err(Misconfigured::new)?;
    secret(format!("Basic {}", encoded.as_str().unwrap_or_default()).into_bytes())
        .ok_or_else(|| Misconfigured::new("the user name of the kubeconfig is no text"))
}
