//! A token that kubelets see and that is of no use anywhere else.
//!
//! It belongs to a ServiceAccount that may `get nodes/metrics` and nothing more.
//! We request it from the Kubernetes API and keep it new: at four fifths of its
//! life the next one is requested, and until that is there the last one stays in
//! force, to its end. So what a kubelet reads in our requests changes nothing in
//! the cluster, and is valid for ten minutes.
//!
//! The token cannot be bound to our pod: kube-apiserver binds only tokens of the
//! pod's own account (docs/decisions/0023-credentials-for-kubelets.md).

use std::{fmt, future::Future, time::Duration};

use http::HeaderValue;
use k8s_openapi::{
    api::{
        authentication::v1::{TokenRequest, TokenRequestSpec},
        core::v1::ServiceAccount as Object,
    },
    apimachinery::pkg::apis::meta::v1::Time,
};
use kube::{
    Client, Error, Resource as _,
    api::{PostParams, Request},
};
use serde::Deserialize;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use tributary_runtime::kube::from_json;

use super::bearer;
use crate::{args::ServiceAccount, kubelet::TokenMetrics};

/// How long a token is valid for: the shortest that kube-apiserver gives.
const LIFETIME: Duration = Duration::from_mins(10);

/// What an API server may make of [`LIFETIME`] and we believe. A token that is
/// valid for longer is renewed as if it were valid for this.
const BELIEVED: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(30)..=Duration::from_hours(1);

/// How long the API may take for one request.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);

/// How soon a request that failed is made again: so long after the first, twice
/// as long after each other, up to [`RETRY_MOST`].
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MOST: Duration = Duration::from_secs(30);

/// A kubelet that refuses the token has another one requested, once it is so old.
/// The account may have been made again; but one kubelet must not make us ask
/// without end.
const REFUSED_AGE: Duration = Duration::from_secs(30);

/// How long a scrape waits for the first token.
const FIRST_WAIT: Duration = Duration::from_secs(2);

/// The token of one ServiceAccount, kept new by [`Requested::keep`].
pub(super) struct Requested {
    account: ServiceAccount,
    current: watch::Sender<Current>,
    refused: Notify,
}

/// What is known at the moment.
#[derive(Clone, Default)]
struct Current {
    token: Option<Token>,
    /// Why the last request failed; `None` if it did not, or was not made yet.
    failure: Option<String>,
}

/// A token in force.
#[derive(Clone)]
struct Token {
    authorization: HeaderValue,
    requested: Instant,
    lifetime: Duration,
}

impl Token {
    fn is_good(&self) -> bool {
        self.requested.elapsed() < self.lifetime
    }
}

impl fmt::Debug for Requested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Nothing of what it holds may be in a log.
        write!(f, "Requested({})", self.account)
    }
}

impl Requested {
    pub(super) fn new(account: ServiceAccount) -> Self {
        Self {
            account,
            current: watch::Sender::default(),
            refused: Notify::new(),
        }
    }

    /// What is to be shown to kubelets.
    ///
    /// Waits a moment for the first token.
    ///
    /// # Errors
    ///
    /// A sentence: there is no token that is good, and why.
    pub(super) async fn authorization(&self) -> Result<HeaderValue, String> {
        let mut current = self.current.subscribe();
        let known = |current: &Current| current.token.is_some() || current.failure.is_some();
        // Whether it came in time is seen below.
        drop(timeout(FIRST_WAIT, current.wait_for(known)).await);
        let current = self.current.borrow();
        match &current.token {
            Some(token) if token.is_good() => Ok(token.authorization.clone()),
            _ => Err(current
                .failure
                .clone()
                .unwrap_or_else(|| self.failed("no answer yet"))),
        }
    }

    /// A kubelet did not take what it was shown.
    pub(super) fn was_refused(&self, shown: &HeaderValue) {
        let current = self.current.borrow();
        // One that was replaced meanwhile says nothing about the next.
        let token = current.token.as_ref();
        if token.is_some_and(|token| token.authorization == *shown) {
            self.refused.notify_one();
        }
    }

    /// Requests tokens until `stop`. An account without a namespace is in the
    /// default one of `api`.
    pub(super) async fn keep(&self, api: Client, metrics: &TokenMetrics, stop: CancellationToken) {
        let namespace = self.account.namespace.as_deref();
        let namespace = namespace.unwrap_or_else(|| api.default_namespace());
        let accounts = Object::url_path(&(), Some(namespace));
        let mut retry = RETRY_FIRST;
        let next = async {
            loop {
                match self.request(&api, &accounts, metrics).await {
                    Ok(lifetime) => {
                        retry = RETRY_FIRST;
                        self.until_renewal(lifetime).await;
                    }
                    Err(error) => {
                        metrics.failures.inc();
                        self.fail(self.failed(&error));
                        sleep(retry).await;
                        retry = RETRY_MOST.min(retry * 2);
                    }
                }
            }
        };
        stop.run_until_cancelled(next).await;
    }

    /// Until four fifths of the life are over, or the token is refused and old
    /// enough.
    async fn until_renewal(&self, lifetime: Duration) {
        let refused = async {
            sleep(REFUSED_AGE).await;
            self.refused.notified().await;
            debug!(account = %self.account, "a kubelet has refused the token; requesting another");
        };
        tokio::select! {
            () = sleep(lifetime * 4 / 5) => {}
            () = refused => {}
        }
    }

    /// One request; how long the token is valid for.
    async fn request(
        &self,
        api: &Client,
        accounts: &str,
        metrics: &TokenMetrics,
    ) -> Result<Duration, String> {
        let requested = Instant::now();
        let answer = within(REQUEST_LIMIT, ask(api, accounts, &self.account.name)).await?;
        let status = answer.status.ok_or("the answer has no token")?;
        let authorization = bearer(status.token.as_bytes()).map_err(|error| error.to_string())?;
        let lifetime = answer.spec.expiration_seconds;
        let lifetime = lifetime.and_then(|seconds| u64::try_from(seconds).ok());
        let lifetime = lifetime.map_or(LIFETIME, Duration::from_secs);
        let lifetime = lifetime.clamp(*BELIEVED.start(), *BELIEVED.end());
        let expires = status.expiration_timestamp.map(|at| at.0.as_second());
        metrics.expires.set(expires.unwrap_or_default());
        self.take(Token {
            authorization,
            requested,
            lifetime,
        });
        Ok(lifetime)
    }

    fn take(&self, token: Token) {
        let before = self.current.send_replace(Current {
            token: Some(token),
            failure: None,
        });
        // A refusal of the last one does not concern this one.
        let _refused = futures::FutureExt::now_or_never(self.refused.notified());
        match before {
            Current {
                failure: Some(_), ..
            } => {
                info!(account = %self.account, "token for kubelets is requested again");
            }
            Current { token: None, .. } => {
                info!(account = %self.account, "sending kubelets a token of a separate account");
            }
            Current { .. } => debug!(account = %self.account, "token for kubelets renewed"),
        }
    }

    fn fail(&self, failure: String) {
        self.current.send_modify(|current| {
            if current.failure.is_none() {
                warn!("{failure}, retrying");
            }
            current.failure = Some(failure);
        });
    }

    fn failed(&self, error: &str) -> String {
        format!(
            "unable to request a token for ServiceAccount {}: {error}",
            self.account
        )
    }
}

/// What is read of the answer.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Granted {
    spec: TokenRequestSpec,
    status: Option<GrantedToken>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct GrantedToken {
    token: String,
    expiration_timestamp: Option<Time>,
}

async fn ask(api: &Client, accounts: &str, name: &str) -> Result<Granted, Error> {
    let wanted = serde_json::to_vec(&wanted()).map_err(Error::SerdeError)?;
    let request = Request::new(accounts);
    let request = request.create_subresource("token", name, &PostParams::default(), wanted);
    let answer = api.request_text(request.map_err(Error::BuildRequest)?);
    from_json(&answer.await?).map_err(Error::SerdeError)
}

/// For the audience of the API itself: kubelets have it reviewed for that one.
fn wanted() -> TokenRequest {
    TokenRequest {
        spec: TokenRequestSpec {
            expiration_seconds: i64::try_from(LIFETIME.as_secs()).ok(),
            ..TokenRequestSpec::default()
        },
        ..TokenRequest::default()
    }
}

async fn within<T>(
    limit: Duration,
    request: impl Future<Output = Result<T, Error>>,
) -> Result<T, String> {
    match timeout(limit, request).await {
        Ok(Ok(answer)) => Ok(answer),
        // What the API says itself, without the object around it.
        Ok(Err(Error::Api(status))) => Err(status.message),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {limit:?}")),
    }
}

#[cfg(test)]
mod tests;
