//! Who we are to kubelets and whom we believe to be one.
//!
//! It starts from the configuration for the API server, as in metrics-server
//! (docs/parity.md#credentials), and the kubelet flags replace parts of it. An
//! identity that is for kubelets alone, a requested token or a client
//! certificate, replaces the one for the API server whole: a kubelet must not see
//! what is good elsewhere. Whatever comes from a file is looked at again, by
//! content ([`tributary_runtime::reload`]), as connections need it.

mod requested;
mod sources;
mod tls;
mod verifier;

use std::{fmt, io, path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use http::HeaderValue;
use kube::Config;
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;
use tributary_runtime::{
    exit::Misconfigured,
    reload::{POLL_INTERVAL, ReloadReporter},
    tls::{PairFiles, first_to_expire, in_pem, last_to_expire},
};

use self::{
    requested::Requested,
    sources::{Source, Sources, Verify},
};
use super::TokenMetrics;
use crate::args::ServiceAccount;

/// What the flags say about the way to kubelets.
#[derive(Clone, Debug, Default)]
pub struct Security {
    /// `--kubelet-certificate-authority`
    pub authority: Option<PathBuf>,
    /// `--kubelet-client-certificate` and `--kubelet-client-key`
    pub pair: Option<PairFiles>,
    /// `--kubelet-token-service-account`
    pub token: Option<ServiceAccount>,
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
    requested: Option<Requested>,
    current: ArcSwap<Access>,
    looks: Mutex<(Instant, ReloadReporter)>,
}

/// What one connection and one request need.
pub(super) struct Access {
    /// `None` for plain HTTP.
    pub(super) tls: Option<TlsConnector>,
    /// Sent with every request, unless a token is requested.
    authorization: Option<HeaderValue>,
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

/// What was read. Compared with what is read next.
#[derive(Clone, Default, PartialEq, Eq)]
struct Material {
    authority: Option<Vec<u8>>,
    certificate: Option<Vec<u8>>,
    key: Option<Vec<u8>>,
    token: Option<Vec<u8>>,
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
            requested: security.token.clone().map(Requested::new),
            current: ArcSwap::from_pointee(access),
            looks: Mutex::new((
                Instant::now() + POLL_INTERVAL,
                ReloadReporter::new("credentials for kubelets"),
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

    /// What is sent with a request.
    ///
    /// # Errors
    ///
    /// A sentence: a token is to be requested, and there is none that is good.
    pub(super) async fn authorization(
        &self,
        access: &Access,
    ) -> Result<Option<HeaderValue>, String> {
        match &self.requested {
            Some(requested) => requested.authorization().await.map(Some),
            None => Ok(access.authorization.clone()),
        }
    }

    /// A kubelet refused what it was shown.
    pub(super) fn was_refused(&self, shown: Option<&HeaderValue>) {
        if let (Some(requested), Some(shown)) = (&self.requested, shown) {
            requested.was_refused(shown);
        }
    }

    /// Keeps the token new until `stop`, if one is to be requested.
    pub(super) async fn keep(
        &self,
        api: kube::Client,
        metrics: &TokenMetrics,
        stop: CancellationToken,
    ) {
        match &self.requested {
            Some(requested) => requested.keep(api, metrics, stop).await,
            None => stop.cancelled().await,
        }
    }

    /// When the last of the authorities expires that are in force.
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

    /// When the certificate expires that is shown.
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
            *next = now + POLL_INTERVAL;
        }
        is_time
    }

    fn looks(&self) -> MutexGuard<'_, (Instant, ReloadReporter)> {
        self.looks.lock()
    }

    /// A few small files, from memory as a rule: not worth another thread.
    fn look(&self) {
        let stored = self.current.load();
        let found = self.sources.read().and_then(|material| {
            if material == stored.material {
                return Ok(false);
            }
            let access = Access::new(&self.sources, material, Some(&stored))?;
            self.current.store(Arc::new(access));
            Ok(true)
        });
        self.looks().1.report(found);
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
