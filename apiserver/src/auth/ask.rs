//! A review: one question to the Kubernetes API, within bounds.

use std::{
    error::Error,
    fmt::{Debug, Write as _},
    hash::{BuildHasher as _, RandomState},
    io,
    sync::Arc,
    time::Duration,
};

use k8s_openapi::ClusterResourceScope;
use kube::{Api, Client, Resource, api::PostParams};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, timeout},
};

use super::{cache::Failure, metrics::ReviewMetrics};

/// How long everything about one review may take, waiting included: the limit
/// of `TokenReview` upstream.
const DEADLINE: Duration = Duration::from_secs(10);

/// How long to wait before each further try: 500 ms, then half as much again,
/// as the webhooks of k8s.io/apiserver.
const DELAYS: [Duration; 4] = [
    Duration::from_millis(500),
    Duration::from_millis(750),
    Duration::from_millis(1125),
    Duration::from_micros(1_687_500),
];

/// Reviews of one kind at the same time; more wait, and fail at the deadline.
const AT_ONCE: usize = 200;

/// A review was not answered. That says nothing about who or what was asked
/// for, so it is never an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub(crate) struct Unreviewed {
    text: Arc<str>,
    outage: bool,
}

impl Failure for Unreviewed {
    fn is_outage(&self) -> bool {
        self.outage
    }
}

/// Asks for reviews of one kind.
#[derive(Clone)]
pub(crate) struct Reviews {
    client: Client,
    room: Arc<Semaphore>,
    metrics: ReviewMetrics,
}

impl Debug for Reviews {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reviews").finish_non_exhaustive()
    }
}

impl Reviews {
    /// Asks through `client`, which must not retry by itself.
    pub(crate) fn new(client: Client, metrics: ReviewMetrics) -> Self {
        Self {
            client,
            room: Arc::new(Semaphore::new(AT_ONCE)),
            metrics,
        }
    }

    /// The same with room of its own.
    pub(crate) fn apart(&self) -> Self {
        Self::new(self.client.clone(), self.metrics.clone())
    }

    /// The review with its status filled in.
    pub(crate) async fn ask<K>(&self, review: &K) -> Result<K, Unreviewed>
    where
        K: Resource<Scope = ClusterResourceScope, DynamicType = ()>,
        K: Clone + Debug + Serialize + DeserializeOwned,
    {
        let mut last = None;
        let in_time = timeout(DEADLINE, self.tries(review, &mut last)).await;
        in_time.unwrap_or_else(|_| {
            let last = last.unwrap_or_else(|| "no answer".to_owned());
            let text = format!("not answered within {}s: {last}", DEADLINE.as_secs());
            Err(Unreviewed {
                text: text.into(),
                outage: true,
            })
        })
    }

    /// Keeps in `last` what went wrong so far.
    async fn tries<K>(&self, review: &K, last: &mut Option<String>) -> Result<K, Unreviewed>
    where
        K: Resource<Scope = ClusterResourceScope, DynamicType = ()>,
        K: Clone + Debug + Serialize + DeserializeOwned,
    {
        // Never closed, so there is always a permit sooner or later.
        let _permit = self.room.acquire().await.ok();
        let api = Api::<K>::all(self.client.clone());
        let mut delays = DELAYS.into_iter();
        loop {
            let start = Instant::now();
            let answer = api.create(&PostParams::default(), review).await;
            let code = match &answer {
                Ok(_) => Some(201),
                Err(kube::Error::Api(status)) => Some(status.code),
                Err(_) => None,
            };
            self.metrics.asked(code, start.elapsed());
            let error = match answer {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let text = words(&error);
            match delays.next().filter(|_| may_pass(&error)) {
                Some(delay) => {
                    *last = Some(text);
                    sleep(jittered(delay).max(asked_for(&error))).await;
                }
                None => {
                    return Err(Unreviewed {
                        text: text.into(),
                        outage: is_outage(&error),
                    });
                }
            }
        }
    }
}

/// A fifth more at most, so that frontends that failed together do not come
/// back together. Keyed by the process's own entropy: not for secrets.
fn jittered(delay: Duration) -> Duration {
    let draw = RandomState::new().hash_one(()) % 1000;
    delay + delay.saturating_mul(u32::try_from(draw).unwrap_or_default()) / 5000
}

/// How long the server asks us to wait.
fn asked_for(error: &kube::Error) -> Duration {
    let seconds = match error {
        kube::Error::Api(status) => status.details.as_ref().map(|it| it.retry_after_seconds),
        _ => None,
    };
    Duration::from_secs(seconds.unwrap_or_default().into())
}

/// Whether trying again may help: upstream's `DefaultShouldRetry`.
fn may_pass(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => {
            matches!(status.code, 429 | 500 | 504) || !asked_for(error).is_zero()
        }
        other => was_cut(other),
    }
}

/// Whether the Kubernetes API cannot be asked now. If not, it has said that it
/// will not answer this.
fn is_outage(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => status.code == 429 || status.code >= 500,
        _ => true,
    }
}

/// Whether a connection was cut while it was used. One that cannot be made is
/// not tried again: whoever asks will.
fn was_cut(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<hyper::Error>()
            && (error.is_incomplete_message() || error.is_canceled())
        {
            return true;
        }
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        if matches!(
            kind,
            Some(io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
        ) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// What the server says, or else what went wrong with all its causes.
fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        kube::Error::Api(status) => format!("{} {}", status.code, status.reason),
        kube::Error::Service(inner) => chain(inner.as_ref()),
        other => other.to_string(),
    }
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing to a string cannot fail.
        write!(text, ": {error}").ok();
        cause = error.source();
    }
    text
}
