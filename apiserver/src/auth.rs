//! The layer that authenticates and authorizes requests.
//!
//! Authentication tries, in this order (docs/parity.md#authentication): the front proxy, a client
//! certificate, a bearer token, anonymous. TLS has only proven that the caller has the key of its
//! certificate ([`ClientCertificates::Unverified`]). The chain is verified here, against CAs that
//! may change while the connection is open. Authorization asks the Kubernetes API, unless the user
//! is in `system:masters` or the path is open.
//!
//! A failed review is an error (503 for a token, 500 for access, as upstream), and is never cached.
//! Anonymous callers do not see what failed. While the Kubernetes API answers no reviews, a stale
//! answer that admitted a caller may be used for a while ([`cache`]). The number of waiting
//! requests is limited ([`waiting`]).
//!
//! [`ClientCertificates::Unverified`]: tributary_runtime::tls::ClientCertificates

mod access;
mod answer;
mod ask;
mod attributes;
mod cache;
mod config;
mod config_map;
mod front_proxy;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod impersonate;
mod metrics;
mod publishing;
mod pulse;
mod request;
#[cfg(test)]
mod tests;
mod token;
mod trust;
mod user;
mod waiting;
mod x509;

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderValue, Method, Uri, header::CONNECTION, request::Parts};
use rustls_pki_types::{CertificateDer, UnixTime};
use tokio::time::{Instant, timeout};
use tracing::{Span, debug, warn};
use tributary_runtime::{
    clock::Clock,
    health::Withheld,
    log_limiter::LogLimiter,
    serve::{self, FirstLook, Peer},
    tls,
};

use self::{
    access::{Access, Decision, OpenPaths},
    answer::Denial,
    attributes::Attributes,
    front_proxy::Headers,
    metrics::AuthMetrics,
    request::was_known,
    token::{BearerToken, Tokens},
    trust::{Current, Trust},
    waiting::{Caller, CallerKind},
};
pub(crate) use self::{
    config::{AuthConfig, Clients},
    publishing::{MayNot, Publishing},
    token::bearer,
    user::User,
    x509::{Pool, names},
};
use crate::{
    k8s::resource::Resources,
    requests::limits::{self, Busy, Limits, RequestPermit},
};

/// How long the check of a connection's certificates is valid: they may expire while it is open.
const CHECK_LASTS: Duration = Duration::from_mins(1);

/// A probe is answered within this time, with or without the reason.
const MAY_KNOW_WITHIN: Duration = Duration::from_secs(1);

/// The answer for anonymous callers when a review fails. The log has the error.
const NOT_REVIEWED: &str = "unable to review the token, try again";
const NOT_DECIDED: &str = "unable to review access, try again";

/// The answer when too many requests wait.
const TOO_MANY_WAIT: &str = "too many requests wait for reviews, try again";

/// The answer for a caller with a certificate before the CAs are known.
const PENDING: &str = "client certificates cannot be checked: configmap \
    kube-system/extension-apiserver-authentication has not been read yet";

/// Authenticates and authorizes. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Auth(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    trust: Current,
    tokens: Tokens,
    access: Access,
    open: OpenPaths,
    resources: Resources,
    clock: Clock,
    metrics: AuthMetrics,
    /// Limits log lines about refused certificates.
    refusals: LogLimiter,
}

/// Passes a request on, with its [`User`] among the extensions and without the credentials, or
/// answers it. A request that passes has a [`RequestPermit`] until it is answered.
pub(crate) async fn guard(State(auth): State<Auth>, request: Request, next: Next) -> Response {
    // No handler reads a body, and one that waits would take memory.
    let (mut head, _) = request.into_parts();
    match auth.0.admit(&mut head).await {
        Ok(()) => {
            let permit = head.extensions.remove::<RequestPermit>();
            let user = head.extensions.get::<Arc<User>>().map(Arc::clone);
            let uri = head.uri.clone();
            let mut response = next.run(Request::from_parts(head, Body::empty())).await;
            // Only callers that an explicit decision admitted may see this.
            let withheld = response.extensions_mut().remove::<Withheld>();
            if let (Some(withheld), Some(user)) = (withheld, user)
                && auth.0.may_know(&user, &uri).await
            {
                withheld.reveal(&mut response);
            }
            if let Some(permit) = permit {
                response.extensions_mut().insert(permit);
            }
            response
        }
        Err(denial) => {
            let stale = denial == Denial::Unauthorized && was_known(&head);
            let mut response = denial.into_response();
            if stale {
                // Its CA was removed, for example. The client may have a new certificate by now,
                // which it sends only on a new connection.
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(CONNECTION, close);
            }
            response
        }
    }
}

impl Auth {
    /// Whether client certificates can be verified. If not, the error is the reason.
    pub(crate) fn ready(&self) -> Result<(), String> {
        if self.0.trust.load().pending {
            Err(PENDING.to_owned())
        } else {
            Ok(())
        }
    }

    /// Reports to the server which connections are the front proxy's, before it reads from them: the first request may
    /// already be large.
    pub(crate) fn first_look(&self) -> FirstLook {
        let auth = Arc::clone(&self.0);
        FirstLook::new(move |peer| {
            let trust = auth.trust.load_full();
            peer.verified(auth.certificate_check(peer, &trust).standing());
        })
    }
}

impl Inner {
    async fn admit(&self, head: &mut Parts) -> Result<(), Denial> {
        let start = Instant::now();
        let authenticated = self.authenticate(head).await;
        let result = match &authenticated {
            Ok(_) => "success",
            Err(Denial::Unauthorized) => "failure",
            Err(_) => "error",
        };
        self.metrics.authenticated(result, start.elapsed());
        let user = authenticated?;
        if let Some(peer) = head.extensions.get::<Peer>()
            && !user.is_anonymous()
        {
            peer.known();
        }
        let user = self.impersonated(user, head).await?;
        self.metrics.user(&user.name);
        Span::current().record("user", user.name.as_str());
        // The permit is taken here, as upstream, because the request is also in flight during the review of
        // permissions.
        if let Some(limits) = head.extensions.get::<Limits>() {
            let permit = limits.enter(head.uri.path(), &user.name, user.is_master());
            let permit = permit.map_err(|Busy| Denial::Busy)?;
            head.extensions.insert(permit);
        }
        let attributes = Attributes::of(&head.method, &head.uri, &self.resources);
        if attributes.is_watch() {
            head.extensions
                .insert(limits::Caller(user.name.as_str().into()));
        }
        self.authorize(&user, attributes, head).await?;
        head.extensions.insert(user);
        Ok(())
    }

    /// Authenticates the request. Removes credentials, and headers that only the front proxy may
    /// set.
    async fn authenticate(&self, head: &mut Parts) -> Result<Arc<User>, Denial> {
        let trust = self.trust.load_full();
        let peer = head.extensions.get::<Peer>();
        let certificate_check = peer.map(|peer| self.certificate_check(peer, &trust));
        let certificate_check = certificate_check.unwrap_or_default();
        if let Some(peer) = peer {
            peer.verified(certificate_check.standing());
        }
        let proxied = proxied(&certificate_check, &trust, &mut head.headers);
        let presented = BearerToken::by(&head.headers);
        let kept = request::shrink(head);
        if let Some(user) = proxied
            .map(Arc::new)
            .or_else(|| certificate_check.user.clone())
        {
            return Ok(user);
        }
        if kept + presented.len() > request::KEPT {
            return Err(Denial::TooLong);
        }
        match presented {
            BearerToken::Token(token) => return self.holder(&token, head).await,
            BearerToken::Unreadable => return Err(Denial::Unauthorized),
            BearerToken::Nothing => {}
        }
        if certificate_check.pending {
            return Err(Denial::Unavailable(PENDING));
        }
        if let Some(error) = &certificate_check.error {
            self.refused(head.extensions.get::<Peer>(), error);
            return Err(Denial::Unauthorized);
        }
        Ok(Arc::new(User::anonymous()))
    }

    /// Logs why a certificate was refused, if no other credential was accepted.
    fn refused(&self, peer: Option<&Peer>, error: &str) {
        debug!(error, "unable to authenticate the request");
        let Some(peer) = peer else { return };
        let Some(suppressed) = self.refusals.allow() else {
            return;
        };
        let subject = peer.certificates.first().map(tls::subject);
        let (peer, subject) = (&peer.name, subject.unwrap_or_default());
        warn!(%peer, subject, error, suppressed, "client certificate refused");
    }

    /// The user of a token.
    async fn holder(&self, token: &str, head: &Parts) -> Result<Arc<User>, Denial> {
        match self.tokens.user(token, &request::holder(head)).await {
            Ok(Some(user)) => Ok(user),
            Ok(None) => Err(Denial::Unauthorized),
            Err(error) if error.is_busy() => Err(Denial::Unavailable(TOO_MANY_WAIT)),
            Err(_) => Err(Denial::Unavailable(NOT_REVIEWED)),
        }
    }

    /// What the certificates of a connection prove. The result is cached for each set of CAs.
    fn certificate_check(&self, peer: &Peer, trust: &Trust) -> CertificateCheck {
        let now = self.clock.date();
        let before = peer.notes.get::<CertificateCheck>();
        if let Some(certificate_check) = &before
            && certificate_check.generation == trust.generation
            && now.as_second().abs_diff(certificate_check.at) < CHECK_LASTS.as_secs()
        {
            return certificate_check.clone();
        }
        let mut certificate_check =
            CertificateCheck::find(&peer.certificates, trust, now.as_second());
        let good = certificate_check.proxy || certificate_check.user.is_some();
        certificate_check.was_good = good || before.is_some_and(|before| before.was_good);
        peer.notes.put(certificate_check.clone());
        certificate_check
    }

    /// The user that the request impersonates, or `user`.
    async fn impersonated(&self, user: Arc<User>, head: &mut Parts) -> Result<Arc<User>, Denial> {
        let requested =
            impersonate::requested(&head.headers).map_err(|error| Denial::Undecided {
                uri: target(head),
                error: error.to_owned(),
            })?;
        let Some(requested) = requested else {
            return Ok(user);
        };
        // The permit below is one of the impersonated user. While it is not known whether there may be one, the caller
        // needs one of its own: it may name another user in each request.
        let limits = head.extensions.get::<Limits>();
        let permit = limits.map(|limits| limits.take(&user.name, user.is_master()));
        let _permit = permit.transpose().map_err(|Busy| Denial::Busy)?;
        for question in requested.questions {
            self.authorize(&user, question, head).await?;
        }
        debug!(by = user.name, user = requested.user.name, "impersonated");
        impersonate::strip(&mut head.headers);
        Ok(Arc::new(requested.user))
    }

    /// Whether `user`, who may read the probe at `uri`, may also see why it fails. Upstream hides
    /// that on the paths that are open (docs/parity.md#probes).
    async fn may_know(&self, user: &User, uri: &Uri) -> bool {
        let asked = Attributes::of(&Method::GET, uri, &self.resources);
        if user.is_master() || !self.open.has(&asked) {
            return true;
        }
        if user.is_anonymous() {
            return false;
        }
        // Every caller may read whether a server is ready. Paths of single checks are for operators, and show the
        // reason.
        let root = uri.path().split('/').nth(1).unwrap_or_default();
        let question = Attributes::Path {
            verb: "get".to_owned(),
            path: format!("/{root}/*"),
        };
        let caller = Caller::of(CallerKind::Proven);
        let decision = self.access.decide(user, &question, &caller);
        let decision = timeout(MAY_KNOW_WITHIN, decision).await;
        matches!(decision, Ok(Ok(Decision::Allowed)))
    }

    async fn authorize(
        &self,
        user: &User,
        attributes: Attributes,
        head: &Parts,
    ) -> Result<(), Denial> {
        let start = Instant::now();
        let decided = if user.is_master() || self.open.has(&attributes) {
            Ok(Decision::Allowed)
        } else {
            let caller = request::client(user, head);
            self.access.decide(user, &attributes, &caller).await
        };
        let (result, answer) = match decided {
            Ok(Decision::Allowed) => ("allowed", Ok(())),
            Ok(Decision::Denied(reason)) => {
                let denial = Denial::forbidden(user, attributes, &reason);
                ("denied", Err(denial))
            }
            Err(error) if error.is_busy() => ("error", Err(Denial::Unavailable(TOO_MANY_WAIT))),
            Err(error) => {
                let uri = target(head);
                let error = if user.is_anonymous() {
                    NOT_DECIDED.to_owned()
                } else {
                    error.to_string()
                };
                ("error", Err(Denial::Undecided { uri, error }))
            }
        };
        self.metrics.authorized(result, start.elapsed());
        answer
    }
}

/// The path and query, without the host that HTTP/2 puts before them.
fn target(head: &Parts) -> String {
    let target = head.uri.path_and_query();
    target.map_or_else(String::new, ToString::to_string)
}

/// The user that the front proxy names, if the caller is the front proxy. The headers are removed
/// in any case.
fn proxied(
    certificate_check: &CertificateCheck,
    trust: &Trust,
    headers: &mut HeaderMap,
) -> Option<User> {
    let proxy_headers: &Headers = &trust.proxy.as_ref()?.headers;
    let user = certificate_check
        .proxy
        .then(|| proxy_headers.user(headers))
        .flatten();
    proxy_headers.strip(headers);
    user
}

/// What the certificates of a connection prove.
#[derive(Clone, Debug, Default)]
struct CertificateCheck {
    /// The generation of the CAs they were checked against.
    generation: u64,
    /// The time of the check, in seconds since the Unix epoch.
    at: i64,
    /// Whether this is the front proxy.
    proxy: bool,
    /// The user that the certificate names.
    user: Option<Arc<User>>,
    /// Why the certificate was refused.
    error: Option<Arc<str>>,
    /// Whether there is a certificate but the CAs are not known yet.
    pending: bool,
    /// Whether the certificate is accepted, or was before the CAs changed.
    was_good: bool,
}

impl CertificateCheck {
    /// How much the connection is trusted when there are too many connections. The front proxy carries the requests of
    /// a whole cluster.
    fn standing(&self) -> serve::TrustLevel {
        match (self.proxy, &self.user) {
            (true, _) => serve::TrustLevel::Trusted,
            (false, Some(_)) => serve::TrustLevel::Known,
            (false, None) => serve::TrustLevel::Unknown,
        }
    }

    fn find(chain: &[CertificateDer<'static>], trust: &Trust, at: i64) -> Self {
        let mut certificate_check = Self {
            generation: trust.generation,
            at,
            ..Self::default()
        };
        let Some(own) = chain.first() else {
            return certificate_check;
        };
        certificate_check.pending = trust.pending;
        let seconds = u64::try_from(at).unwrap_or_default();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let proxy = trust.proxy.as_ref().map(|proxy| proxy.check(chain, now));
        certificate_check.proxy = matches!(proxy, Some(Ok(())));
        let user = trust.clients.as_ref().map(|pool| {
            pool.verify(chain, now)?;
            x509::user(own)
        });
        let errors = [
            proxy.and_then(Result::err),
            user.as_ref().and_then(|user| user.as_ref().err().cloned()),
        ];
        let mut errors: Vec<String> = errors.iter().flatten().map(ToString::to_string).collect();
        errors.dedup();
        certificate_check.error = (!errors.is_empty()).then(|| errors.join("; ").into());
        certificate_check.user = user.and_then(Result::ok).flatten().map(Arc::new);
        certificate_check
    }
}
