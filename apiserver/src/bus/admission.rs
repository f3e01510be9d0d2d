//! Which publishers may publish, and which nodes (docs/decisions/0013-who-may-publish.md).
//!
//! A publisher is checked when its stream begins, and again while the stream is open. An expired token, a removed
//! permission or a removed CA ends the stream. TLS has proven only that the publisher holds the key of its certificate.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::{FutureExt as _, future::BoxFuture};
use http::HeaderMap;
use rustls_pki_types::UnixTime;
use tokio::time::sleep;
use tonic::Status;
use tracing::warn;
use tributary_runtime::{clock::Clock, log_limiter::LogLimiter, serve::Peer};

use super::{
    BusMetrics,
    certificates::Certificates,
    node_scope::{NodeScope, ScopeRules},
};
use crate::auth::{MayNot, Publishing, bearer};

/// An open stream ends only after two denials, at most this far apart, because the first may be a temporary fault of
/// the authorizer.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// The longest token that is reviewed, in bytes, as in the API. Tokens of service accounts have about 1,000.
const LONGEST_TOKEN: usize = 32 << 10;

/// What a listener requires of a publisher.
#[derive(Clone, Debug)]
pub(crate) enum Requirement {
    /// Nothing: `--bus-insecure`.
    Nothing,
    /// A process of one of these users, at the other end of a Unix socket.
    Uids(BTreeSet<u32>),
    /// A certificate, a token, or both.
    Proof {
        certificate: Option<Certificates>,
        token: Option<Publishing>,
    },
}

/// The admission of one listener. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Admission {
    pub(super) requirement: Requirement,
    pub(super) rules: AdmissionRules,
}

/// What the admissions of all listeners have in common. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct AdmissionRules {
    pub(crate) scope_rules: ScopeRules,
    /// How often an open stream is checked again.
    pub(crate) recheck: Duration,
    pub(crate) clock: Clock,
    pub(crate) metrics: BusMetrics,
    pub(crate) log_limiter: Arc<LogLimiter>,
}

/// The proof that a publisher sends.
#[derive(Clone)]
pub(super) struct Presented {
    peer: Option<Peer>,
    token: Option<Arc<str>>,
}

/// A publisher that was admitted.
pub(super) struct Admitted {
    /// The publisher, for logs.
    pub(super) name: Arc<str>,
    /// The pod to which its token is bound, if it is bound to one.
    pub(super) pod: Option<Arc<str>>,
    /// Which nodes it may publish.
    pub(super) node_scope: NodeScope,
    /// Ends when the permission ends, with the refusal.
    pub(super) denied: BoxFuture<'static, Status>,
}

impl Admitted {
    /// The name of its account: its own name, and the pod of its token if that is known. So
    /// scrapers that share a ServiceAccount have separate accounts.
    pub(super) fn account(&self) -> Arc<str> {
        match &self.pod {
            Some(pod) => format!("{} of pod {pod}", self.name).into(),
            None => Arc::clone(&self.name),
        }
    }
}

/// What a publisher has proven.
#[derive(Debug, Default)]
struct Proven {
    /// Its names.
    names: Vec<String>,
    /// The pod to which its token is bound.
    pod: Option<Arc<str>>,
}

/// Why a publisher is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("no certificate was presented (--bus-client-certificate)")]
    NoCertificate,
    #[error("{0}")]
    Certificate(String),
    #[error("no token was presented (--bus-token-file)")]
    NoToken,
    #[error(transparent)]
    Token(#[from] MayNot),
    #[error("processes of user {0} may not publish (--bus-allowed-uids)")]
    Uid(u32),
    #[error("failed to read the user of the peer process")]
    NoUid,
    #[error("{0} is not allowed to publish any node (--bus-allow)")]
    NoShare(String),
}

impl Refused {
    /// The label of the metric, and the gRPC status. All mappings are here.
    fn code(&self) -> (&'static str, fn(String) -> Status) {
        match self {
            Self::NoCertificate | Self::Certificate(_) => ("certificate", Status::unauthenticated),
            Self::NoToken | Self::Token(MayNot::Token { .. }) => ("token", Status::unauthenticated),
            Self::Token(MayNot::Forbidden { .. }) | Self::NoShare(_) => {
                ("forbidden", Status::permission_denied)
            }
            Self::Token(MayNot::ReviewError { .. }) => ("unreviewed", Status::unavailable),
            Self::Uid(_) | Self::NoUid => ("uid", Status::permission_denied),
        }
    }

    /// Whether the error says nothing about the publisher.
    fn is_unknown(&self) -> bool {
        matches!(self, Self::Token(MayNot::ReviewError { .. }))
    }
}

impl Presented {
    pub(super) fn new(peer: Option<Peer>, headers: &HeaderMap) -> Self {
        let token = bearer(headers);
        let token = token.filter(|token| token.len() <= LONGEST_TOKEN);
        let token = token.map(Arc::from);
        Self { peer, token }
    }

    /// The address of the peer, for people.
    pub(super) fn from(&self) -> Arc<str> {
        let peer = self.peer.as_ref();
        peer.map_or_else(|| "unknown".into(), |peer| Arc::clone(&peer.name))
    }
}

impl Admission {
    /// Admits a publisher, or returns the refusal.
    pub(super) async fn admit(&self, presented: Presented) -> Result<Admitted, Status> {
        let proven = self.check(&presented).await;
        let Proven { names, pod } = proven.map_err(|refused| self.refuse(&refused, &presented))?;
        let node_scope = self.rules.scope_rules.of(&names).ok_or_else(|| {
            let refused = Refused::NoShare(names.join(", "));
            self.refuse(&refused, &presented)
        })?;
        if let Some(peer) = &presented.peer {
            peer.known();
        }
        let denied = match self.requirement {
            // This cannot change while the connection is open.
            Requirement::Nothing | Requirement::Uids(_) => std::future::pending().boxed(),
            Requirement::Proof { .. } => self.clone().until_denied(presented).boxed(),
        };
        Ok(Admitted {
            name: names.join(", ").into(),
            pod,
            node_scope,
            denied,
        })
    }

    /// Ends after two denials without an admission between them. A failed review changes nothing:
    /// samples go on while the Kubernetes API is down, and a denial before it still counts.
    async fn until_denied(self, presented: Presented) -> Status {
        let mut doubted = false;
        loop {
            let soon = self.rules.recheck.min(ASK_AGAIN);
            sleep(if doubted { soon } else { self.rules.recheck }).await;
            match self.check(&presented).await {
                Ok(_) => doubted = false,
                Err(refused) if refused.is_unknown() => {}
                Err(refused) if doubted => return self.refuse(&refused, &presented),
                Err(_) => doubted = true,
            }
        }
    }

    /// Authenticates the proof.
    async fn check(&self, presented: &Presented) -> Result<Proven, Refused> {
        let peer = presented.peer.as_ref();
        let mut proven = Proven::default();
        match &self.requirement {
            Requirement::Nothing => proven.names.push("anybody".to_owned()),
            Requirement::Uids(uids) => {
                let uid = peer.and_then(|peer| peer.uid).ok_or(Refused::NoUid)?;
                if !uids.contains(&uid) {
                    return Err(Refused::Uid(uid));
                }
                proven.names.push(format!("uid:{uid}"));
            }
            Requirement::Proof { certificate, token } => {
                if let Some(publishing) = token {
                    let token = presented.token.as_ref().ok_or(Refused::NoToken)?;
                    let user = publishing.publisher(token).await?;
                    proven.names.push(user.name.clone());
                    proven.pod = user.pod().map(Arc::from);
                }
                if let Some(certificates) = certificate {
                    let chain = peer.map(|peer| &*peer.certificates).unwrap_or_default();
                    if chain.is_empty() {
                        return Err(Refused::NoCertificate);
                    }
                    let names = certificates.names(chain, self.now());
                    proven.names.extend(names.map_err(Refused::Certificate)?);
                }
            }
        }
        Ok(proven)
    }

    fn now(&self) -> UnixTime {
        let seconds = u64::try_from(self.rules.clock.date().as_second()).unwrap_or_default();
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    /// Counts the refusal, logs it at a limited rate, and returns it.
    fn refuse(&self, refused: &Refused, presented: &Presented) -> Status {
        let (reason, status) = refused.code();
        self.rules.metrics.refused(reason);
        if let Some(suppressed) = self.rules.log_limiter.allow() {
            warn!(peer = %presented.from(), reason, %refused, suppressed, "publisher refused");
        }
        status(refused.to_string())
    }
}
