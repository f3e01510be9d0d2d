//! Metrics of authentication and authorization: the families that dashboards of Kubernetes API
//! servers use (k8s.io/apiserver `endpoints/filters/metrics.go` and
//! `authentication/authenticatorfactory/metrics.go`).

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};
use tracing::{info, warn};

use super::waiting::WaitingMetrics;

/// Metrics of the layer. Cheap to clone; clones share their counters.
#[derive(Clone, Debug)]
pub(crate) struct AuthMetrics {
    attempts: Family<Outcome, Gauge>,
    attempt_seconds: Family<Outcome, Histogram>,
    users: Family<Username, Gauge>,
    decisions: Family<Outcome, Counter>,
    decision_seconds: Family<Outcome, Histogram>,
    /// Metrics of token reviews.
    pub(crate) token_reviews: ReviewMetrics,
    /// Metrics of access reviews.
    pub(crate) access_reviews: ReviewMetrics,
    /// Uses of stale token reviews.
    pub(crate) stale_tokens: StaleAnswers,
    /// Uses of stale access reviews.
    pub(crate) stale_access: StaleAnswers,
    /// Metrics of requests that wait for a review.
    pub(crate) waiting: WaitingMetrics,
}

/// Counts uses of stale answers while the Kubernetes API answers no reviews, and logs when that
/// begins and ends. Clones share their state.
#[derive(Clone, Debug)]
pub(crate) struct StaleAnswers {
    review: &'static str,
    used: Counter,
    stand_in: Arc<AtomicBool>,
}

/// Counters of requests to the Kubernetes API.
#[derive(Clone, Debug)]
pub(crate) struct ReviewMetrics {
    requests: Family<Code, Counter>,
    seconds: Family<Code, Histogram>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Review {
    review: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Username {
    username: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Code {
    code: String,
}

/// From a millisecond to sixteen seconds, as upstream.
fn outcome_seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 15))
}

fn review_seconds() -> Histogram {
    Histogram::new([0.25, 0.5, 0.7, 1.0, 1.5, 3.0, 5.0, 10.0])
}

impl AuthMetrics {
    /// Registers the counters; names and help texts exist only here.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let stale_answers = Family::<Review, Counter>::default();
        let stale_answers_of = |review| StaleAnswers {
            used: stale_answers.get_or_create(&Review { review }).clone(),
            ..StaleAnswers::new(review)
        };
        let new = Self {
            attempts: Family::default(),
            attempt_seconds: Family::new_with_constructor(outcome_seconds),
            users: Family::default(),
            decisions: Family::default(),
            decision_seconds: Family::new_with_constructor(outcome_seconds),
            token_reviews: ReviewMetrics::register(registry, "authn"),
            access_reviews: ReviewMetrics::register(registry, "authz"),
            stale_tokens: stale_answers_of("token"),
            stale_access: stale_answers_of("access"),
            waiting: WaitingMetrics::register(registry),
        };
        registry.register(
            "tributary_auth_stale_answers",
            "Reviews that the Kubernetes API did not answer and for which an earlier answer stood in, by kind",
            stale_answers,
        );
        // These two are gauges, though they only grow. The encoder adds `_total` to the name of every counter, and
        // upstream's names do not have it.
        registry.register(
            "authentication_attempts",
            "Requests authenticated, by result: success, failure or error",
            new.attempts.clone(),
        );
        registry.register(
            "authenticated_user_requests",
            "Requests that were authenticated, by a coarse class of user names",
            new.users.clone(),
        );
        registry.register(
            "authentication_duration_seconds",
            "How long authentication took, by result",
            new.attempt_seconds.clone(),
        );
        registry.register(
            "authorization_attempts",
            "Requests authorized, by result: allowed, denied or error",
            new.decisions.clone(),
        );
        registry.register(
            "authorization_duration_seconds",
            "How long authorization took, by result",
            new.decision_seconds.clone(),
        );
        new.start_at_zero();
        new
    }

    /// Creates each series at 0, because a rule must not wait for the first event.
    fn start_at_zero(&self) {
        for result in ["success", "failure", "error"] {
            drop(self.attempts.get_or_create(&Outcome { result }));
            drop(self.attempt_seconds.get_or_create(&Outcome { result }));
        }
        for result in ["allowed", "denied", "error"] {
            drop(self.decisions.get_or_create(&Outcome { result }));
            drop(self.decision_seconds.get_or_create(&Outcome { result }));
        }
        let username = "other";
        drop(self.users.get_or_create(&Username { username }));
        for reviews in [&self.token_reviews, &self.access_reviews] {
            for code in ["201", "<error>"] {
                let code = Code {
                    code: code.to_owned(),
                };
                drop(reviews.requests.get_or_create(&code));
                drop(reviews.seconds.get_or_create(&code));
            }
        }
    }

    pub(crate) fn authenticated(&self, result: &'static str, took: Duration) {
        let outcome = Outcome { result };
        self.attempts.get_or_create(&outcome).inc();
        let seconds = self.attempt_seconds.get_or_create(&outcome);
        seconds.observe(took.as_secs_f64());
    }

    pub(crate) fn user(&self, name: &str) {
        let username = compressed(name);
        self.users.get_or_create(&Username { username }).inc();
    }

    pub(crate) fn authorized(&self, result: &'static str, took: Duration) {
        let outcome = Outcome { result };
        self.decisions.get_or_create(&outcome).inc();
        let seconds = self.decision_seconds.get_or_create(&outcome);
        seconds.observe(took.as_secs_f64());
    }
}

impl StaleAnswers {
    /// Counters for reviews of one kind. They are not registered.
    pub(crate) fn new(review: &'static str) -> Self {
        Self {
            review,
            used: Counter::default(),
            stand_in: Arc::default(),
        }
    }

    /// A stale answer was used.
    pub(crate) fn used(&self) {
        self.used.inc();
        if !self.stand_in.swap(true, Ordering::Relaxed) {
            let review = self.review;
            warn!(
                review,
                "the Kubernetes API does not answer reviews; using cached answers, see --review-outage-ttl"
            );
        }
    }

    /// The Kubernetes API has answered a review.
    pub(crate) fn not_needed(&self) {
        if self.stand_in.swap(false, Ordering::Relaxed) {
            info!(
                review = self.review,
                "the Kubernetes API answers reviews again"
            );
        }
    }

    /// How often a stale answer was used.
    #[cfg(test)]
    pub(crate) fn count(&self) -> u64 {
        self.used.get()
    }
}

impl ReviewMetrics {
    fn register(registry: &mut Registry, which: &str) -> Self {
        let new = Self {
            requests: Family::default(),
            seconds: Family::new_with_constructor(review_seconds),
        };
        registry.register(
            format!("apiserver_delegated_{which}_request"),
            "Reviews asked of the Kubernetes API, by status of the answer",
            new.requests.clone(),
        );
        registry.register(
            format!("apiserver_delegated_{which}_request_duration_seconds"),
            "How long a review took, by status of the answer",
            new.seconds.clone(),
        );
        new
    }

    /// Counts a response with this status. `None`: there was no response.
    pub(crate) fn asked(&self, code: Option<u16>, took: Duration) {
        let code = code.map_or_else(|| "<error>".to_owned(), |code| code.to_string());
        let code = Code { code };
        self.requests.get_or_create(&code).inc();
        let seconds = self.seconds.get_or_create(&code);
        seconds.observe(took.as_secs_f64());
    }
}

/// As upstream's `compressUsername`: a few names for all users.
fn compressed(name: &str) -> &'static str {
    match name {
        "admin" => "admin",
        "client" => "client",
        "kube_proxy" => "kube_proxy",
        "kubelet" => "kubelet",
        "system:serviceaccount:kube-system:default" => "system:serviceaccount:kube-system:default",
        name if name.contains('@') => "email_id",
        _ => "other",
    }
}
