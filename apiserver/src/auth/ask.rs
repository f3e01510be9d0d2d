//! Reviews: questions to the Kubernetes API, with limits.

use std::{
    error::Error,
    fmt::{Debug, Write as _},
    hash::{BuildHasher as _, RandomState},
    io,
    sync::Arc,
    time::Duration,
};

use k8s_openapi::api::{
    authentication::v1::{TokenReview, TokenReviewStatus},
    authorization::v1::{SubjectAccessReview, SubjectAccessReviewStatus},
};
use kube::{
    Client, Resource,
    api::{PostParams, Request},
};
use parking_lot::Mutex;
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, sleep, timeout_at},
};
use tracing::warn;
use tributary_runtime::kube::{Answered, from_json};

use super::{
    cache::{Failure, How, Lane},
    metrics::ReviewMetrics,
    pulse::{PATIENCE, PATIENCE_WITH_TOO_MANY, Pulse},
};

/// How long a review may take, including the time in the queue: the limit of `TokenReview`
/// upstream.
const DEADLINE: Duration = Duration::from_secs(10);

/// The wait before each retry: 500 ms, then half as much again, as in the webhooks of
/// k8s.io/apiserver.
const DELAYS: [Duration; 4] = [
    Duration::from_millis(500),
    Duration::from_millis(750),
    Duration::from_millis(1125),
    Duration::from_micros(1_687_500),
];

/// The most reviews of one kind in flight. More wait, and are refused at the deadline.
const AT_ONCE: usize = 200;

/// This many of them are reserved for questions that were answered recently, and for publishers. So known callers are
/// reviewed again in time, whatever the number of strangers.
const FOR_KNOWN: usize = 40;

/// The most reviews of anonymous callers in flight. Their answers matter least.
const FOR_ANONYMOUS: usize = 20;

/// How long a question that has a stale answer waits before a retry, while other reviews are
/// answered.
const SOON: Duration = Duration::from_millis(250);

/// The shortest time between two log lines about failures.
const LINES_APART: Duration = Duration::from_secs(10);

/// A review that failed. That says nothing about the user or the permission, so it is never an
/// answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub(crate) struct ReviewError {
    text: Arc<str>,
    why: Why,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// There was no room for it, or its turn did not come in time.
    Busy,
    /// No review is answered.
    Outage,
    /// It failed, and other reviews are answered.
    Failed,
}

impl ReviewError {
    /// Whether it failed only because of too many other reviews.
    pub(crate) fn is_busy(&self) -> bool {
        self.why == Why::Busy
    }

    fn no_answer(last: Option<String>, why: Why) -> Self {
        let last = last.unwrap_or_else(|| "no answer".to_owned());
        let text = format!("not answered within {}s: {last}", DEADLINE.as_secs());
        let text = text.into();
        Self { text, why }
    }
}

impl Failure for ReviewError {
    fn busy() -> Self {
        Self {
            text: "too many reviews are in flight".into(),
            why: Why::Busy,
        }
    }

    fn is_outage(&self) -> bool {
        self.why == Why::Outage
    }
}

/// The type of a review, and of its answer.
pub(crate) trait Review: Resource<DynamicType = ()> + Serialize {
    /// The part that the API fills in.
    type Status: DeserializeOwned + Default;
}

impl Review for TokenReview {
    type Status = TokenReviewStatus;
}

impl Review for SubjectAccessReview {
    type Status = SubjectAccessReviewStatus;
}

/// Sends reviews of one kind.
#[derive(Clone)]
pub(crate) struct Reviews {
    client: Client,
    permits: Arc<Permits>,
    pulse: Pulse,
    metrics: ReviewMetrics,
    logged: Arc<Mutex<Option<Instant>>>,
}

impl Debug for Reviews {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reviews").finish_non_exhaustive()
    }
}

/// Permits for reviews in flight. Each lane has its own, so that they do not block each other.
#[derive(Debug)]
struct Permits {
    all: Semaphore,
    /// For questions that were not answered recently.
    new: Semaphore,
    anonymous: Semaphore,
}

/// One review in flight, until this is dropped.
type Permit<'a> = [Option<SemaphorePermit<'a>>; 3];

impl Permits {
    fn new() -> Self {
        Self {
            all: Semaphore::new(AT_ONCE),
            new: Semaphore::new(AT_ONCE - FOR_KNOWN),
            anonymous: Semaphore::new(FOR_ANONYMOUS),
        }
    }

    /// The semaphores are never closed, so there is a permit sooner or later.
    async fn acquire(&self, lane: Lane) -> Permit<'_> {
        let mut permit = [None, None, None];
        let [anonymous, new, all] = &mut permit;
        if lane == Lane::Anonymous {
            *anonymous = self.anonymous.acquire().await.ok();
        }
        if lane != Lane::Known {
            *new = self.new.acquire().await.ok();
        }
        *all = self.all.acquire().await.ok();
        permit
    }
}

impl Reviews {
    /// Sends reviews through `client`, which must not retry by itself.
    pub(crate) fn new(client: Client, metrics: ReviewMetrics) -> Self {
        Self {
            client,
            permits: Arc::new(Permits::new()),
            pulse: Pulse::default(),
            metrics,
            logged: Arc::default(),
        }
    }

    /// A sender with its own permits.
    pub(crate) fn apart(&self) -> Self {
        Self {
            permits: Arc::new(Permits::new()),
            ..self.clone()
        }
    }

    /// Whether reviews are answered.
    pub(crate) fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    /// The answer to the review.
    pub(crate) async fn ask<K: Review>(
        &self,
        review: &K,
        how: &How,
    ) -> Result<K::Status, ReviewError> {
        let deadline = Instant::now() + DEADLINE;
        let permit = timeout_at(deadline, self.permits.acquire(how.lane)).await;
        let permit = permit.map_err(|_| ReviewError::busy())?;
        how.permitted.now();
        let mut last = None;
        let tries = async {
            if how.stale {
                self.tries_beside_a_stale_answer(review, &mut last).await
            } else {
                self.tries(review, &mut last).await
            }
        };
        let answer = timeout_at(deadline, tries).await;
        drop(permit);
        let answer = answer.unwrap_or_else(|_| {
            let outage = self.pulse.failed(PATIENCE);
            let why = if outage { Why::Outage } else { Why::Failed };
            Err(ReviewError::no_answer(last, why))
        });
        if let Err(error) = &answer {
            self.log(&K::kind(&()), error);
        }
        answer
    }

    /// Stores the last error in `last`.
    async fn tries<K: Review>(
        &self,
        review: &K,
        last: &mut Option<String>,
    ) -> Result<K::Status, ReviewError> {
        let mut delays = DELAYS.into_iter();
        loop {
            let error = match self.once(review).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let text = words(&error);
            match delays.next().filter(|_| is_retryable(&error)) {
                Some(delay) => {
                    *last = Some(text);
                    sleep(jittered(delay).max(asked_for(&error))).await;
                }
                None => return Err(self.failure(&error, text)),
            }
        }
    }

    /// Like `tries`, for a question with a stale answer. It returns at once if no review is answered, and otherwise
    /// retries until the deadline.
    async fn tries_beside_a_stale_answer<K: Review>(
        &self,
        review: &K,
        last: &mut Option<String>,
    ) -> Result<K::Status, ReviewError> {
        loop {
            let error = match self.once(review).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let text = words(&error);
            let failure = self.failure(&error, text.clone());
            if failure.is_outage() || quiet(&error).is_none() {
                return Err(failure);
            }
            *last = Some(text);
            sleep(jittered(SOON).max(asked_for(&error))).await;
        }
    }

    async fn once<K: Review>(&self, review: &K) -> Result<K::Status, kube::Error> {
        let start = Instant::now();
        let answer = self.answer(review).await;
        let code = match &answer {
            Ok(_) => Some(201),
            Err(kube::Error::Api(status)) => Some(status.code),
            Err(_) => None,
        };
        self.metrics.asked(code, start.elapsed());
        if answer.is_ok() {
            self.pulse.answered();
        }
        answer
    }

    async fn answer<K: Review>(&self, review: &K) -> Result<K::Status, kube::Error> {
        let question = serde_json::to_vec(review).map_err(kube::Error::SerdeError)?;
        let request = Request::new(K::url_path(&(), None));
        let request = request.create(&PostParams::default(), question);
        let request = request.map_err(kube::Error::BuildRequest)?;
        let answer = self.client.request_text(request).await?;
        let answer: Answered<K::Status> = from_json(&answer).map_err(kube::Error::SerdeError)?;
        Ok(answer.status.unwrap_or_default())
    }

    fn failure(&self, error: &kube::Error, text: String) -> ReviewError {
        let outage = quiet(error).is_some_and(|quiet| self.pulse.failed(quiet));
        ReviewError {
            text: text.into(),
            why: if outage { Why::Outage } else { Why::Failed },
        }
    }

    /// Logs the error now and then, because callers do not see it.
    fn log(&self, kind: &str, error: &ReviewError) {
        let now = Instant::now();
        let mut logged = self.logged.lock();
        if logged.is_none_or(|at| at + LINES_APART <= now) {
            *logged = Some(now);
            warn!(kind, %error, "unable to review");
        }
    }
}

/// Adds up to a fifth, so that frontends that failed together do not retry together. The random
/// number comes from the process's hash seed: it is not for secrets.
fn jittered(delay: Duration) -> Duration {
    let draw = RandomState::new().hash_one(()) % 1000;
    delay + delay.saturating_mul(u32::try_from(draw).unwrap_or_default()) / 5000
}

/// The wait that the server asks for.
fn asked_for(error: &kube::Error) -> Duration {
    let seconds = match error {
        kube::Error::Api(status) => status.details.as_ref().map(|it| it.retry_after_seconds),
        _ => None,
    };
    Duration::from_secs(seconds.unwrap_or_default().into())
}

/// Whether a retry may help: upstream's `DefaultShouldRetry`.
fn is_retryable(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => {
            matches!(status.code, 429 | 500 | 504) || !asked_for(error).is_zero()
        }
        other => was_cut(other),
    }
}

/// How long no review must have been answered before this error means an outage. `None`: the Kubernetes API refuses
/// this review.
fn quiet(error: &kube::Error) -> Option<Duration> {
    match error {
        kube::Error::Api(status) if status.code == 429 => Some(PATIENCE_WITH_TOO_MANY),
        kube::Error::Api(status) if status.code < 500 => None,
        _ => Some(PATIENCE),
    }
}

/// Whether a connection failed while it was used. A failed connect is not retried here: callers ask
/// again.
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

/// The message of the server, or else the error with all its causes.
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
