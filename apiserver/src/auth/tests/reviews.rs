//! How reviews are sent to the Kubernetes API.

use std::{
    io::ErrorKind,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use k8s_openapi::api::{
    authentication::v1::TokenReviewStatus, authorization::v1::SubjectAccessReviewStatus,
};
use kube::Client;
use serde_json::json;
use tokio::time::{Instant, advance};
use tributary_runtime::kube::{Answered, from_json};
use tributary_sim::nulled;

use super::{
    super::{answer::Denial, trust::Trust},
    cluster::{Asked, Reply, cluster, failure, golden, status},
    get, layer, stranger,
};

const NODE: &str = "/apis/metrics.k8s.io/v1beta1/nodes/n1";
const SAM: &[(&str, &str)] = &[("Authorization", "Bearer ok:sam")];

#[tokio::test(start_paused = true)]
async fn answers_are_cached_for_their_time_and_no_longer() {
    let (client, asked) = golden();
    let layer = layer(client, Trust::default());
    let ask = async || layer.admit(&mut get(&stranger(), NODE, SAM)).await;
    assert_eq!(ask().await, Ok(()));
    assert_eq!(ask().await, Ok(()));
    assert_eq!(asked.count(), 2, "one token, one access");
    advance(Duration::from_secs(10)).await;
    assert_eq!(ask().await, Ok(()));
    assert_eq!(asked.count(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_bad_token_is_cached_too_unless_it_could_not_be_checked() {
    for (error, asked_for) in [("", 1), ("the issuer does not answer", 2)] {
        let (client, asked) =
            cluster(move |_, _, _| status(&json!({ "authenticated": false, "error": error })));
        let layer = layer(client, Trust::default());
        for _ in 0..2 {
            let mut head = get(&stranger(), NODE, SAM);
            assert_eq!(layer.admit(&mut head).await, Err(Denial::Unauthorized));
        }
        assert_eq!(asked.count(), asked_for, "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn requests_with_one_token_at_one_time_share_the_reviews() {
    let (client, asked) = golden();
    let layer = layer(client, Trust::default());
    let ask = async || layer.admit(&mut get(&stranger(), NODE, SAM)).await;
    let answers = tokio::join!(ask(), ask(), ask());
    assert_eq!(answers, (Ok(()), Ok(()), Ok(())));
    assert_eq!(asked.count(), 2, "one token, one access");
}

#[tokio::test]
async fn a_name_that_is_not_authenticated_counts_for_nothing() {
    let (client, _) = cluster(|_, _, _| status(&json!({ "user": { "username": "sam" } })));
    let layer = layer(client, Trust::default());
    let answer = layer.admit(&mut get(&stranger(), NODE, SAM)).await;
    assert_eq!(answer, Err(Denial::Unauthorized));
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_tried_five_times() {
    // The delays are 500, 750, 1125 and 1687.5 ms, and up to a fifth more.
    let shortest = Duration::from_micros(4_062_500);
    for (reset, words) in [(false, "out of order"), (true, "connection reset")] {
        let (client, asked) = cluster(move |kind, _, _| {
            if kind == "tokenreviews" {
                sam()
            } else if reset {
                Reply::Cut(ErrorKind::ConnectionReset)
            } else {
                failure(500, "InternalError", "out of order")
            }
        });
        let layer = layer(client, Trust::default());
        let start = Instant::now();
        let answer = layer.admit(&mut get(&stranger(), NODE, SAM)).await;
        let took = start.elapsed();
        let Err(Denial::Undecided { uri, error }) = answer else {
            panic!("{answer:?}");
        };
        assert_eq!((uri.as_str(), error.as_str()), (NODE, words));
        assert_eq!(asked.access().len(), 5);
        assert!(took >= shortest && took <= shortest * 6 / 5, "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_passed_in_time_was_no_failure() {
    let (client, asked) = cluster(|_, _, before| match before {
        0 => failure(429, "TooManyRequests", "slow down"),
        1 => failure(504, "Timeout", "too late"),
        _ => status(&json!({ "allowed": true })),
    });
    let layer = layer(client, Trust::default());
    assert_eq!(layer.admit(&mut get(&stranger(), NODE, &[])).await, Ok(()));
    assert_eq!(asked.count(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_will_not_pass_is_tried_once_and_never_cached() {
    let (client, asked) = cluster(|_, _, before| match before {
        0 => sam(),
        1 => failure(403, "Forbidden", "you may not review"),
        2 => Reply::Cut(ErrorKind::ConnectionRefused),
        _ => status(&json!({ "allowed": true })),
    });
    let layer = layer(client, Trust::default());
    let ask = async || layer.admit(&mut get(&stranger(), NODE, SAM)).await;
    for error in ["you may not review", "connection refused"] {
        let denial = Denial::Undecided {
            uri: NODE.to_owned(),
            error: error.to_owned(),
        };
        assert_eq!(ask().await, Err(denial));
    }
    assert_eq!(ask().await, Ok(()));
    assert_eq!(asked.count(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_does_not_answer_is_given_ten_seconds() {
    let (client, _) = cluster(|_, _, _| Reply::Never);
    let layer = layer(client, Trust::default());
    let start = Instant::now();
    let answer = layer.admit(&mut get(&stranger(), NODE, SAM)).await;
    let why = "unable to review the token, try again";
    assert_eq!(answer, Err(Denial::Unavailable(why)));
    assert_eq!(start.elapsed(), Duration::from_secs(10));
}

#[tokio::test]
async fn anonymous_callers_do_not_see_what_failed() {
    let (client, _) = cluster(|_, _, _| failure(403, "Forbidden", "our account may not"));
    let layer = layer(client, Trust::default());
    let ask = async |who| layer.admit(&mut get(&stranger(), NODE, who)).await;
    let why = "unable to review the token, try again";
    assert_eq!(ask(SAM).await, Err(Denial::Unavailable(why)));
    let undecided = Denial::Undecided {
        uri: NODE.to_owned(),
        error: "unable to review access, try again".to_owned(),
    };
    assert_eq!(ask(&[]).await, Err(undecided));
}

/// The status of a review whose token is sam's.
fn sam() -> Reply {
    status(&json!({ "authenticated": true, "user": { "username": "sam" } }))
}

/// A cluster that allows everything until `gone` is set, and then answers with `how`.
fn cluster_until(gone: &Arc<AtomicBool>, how: fn() -> Reply) -> (Client, Asked) {
    let gone = Arc::clone(gone);
    cluster(move |kind, _, _| match kind {
        _ if gone.load(Ordering::Relaxed) => how(),
        "tokenreviews" => sam(),
        _ => status(&json!({ "allowed": true })),
    })
}

#[tokio::test(start_paused = true)]
async fn a_caller_admitted_before_an_outage_is_admitted_for_ten_minutes_of_it() {
    let outages: [fn() -> Reply; 3] = [
        || Reply::Cut(ErrorKind::ConnectionRefused),
        || failure(503, "ServiceUnavailable", "not now"),
        || Reply::Never,
    ];
    for how in outages {
        let gone = Arc::new(AtomicBool::new(false));
        let (client, _) = cluster_until(&gone, how);
        let layer = layer(client, Trust::default());
        let ask = async || layer.admit(&mut get(&stranger(), NODE, SAM)).await;
        assert_eq!(ask().await, Ok(()));
        gone.store(true, Ordering::Relaxed);
        let end = Instant::now() + Duration::from_secs(605);
        while Instant::now() < end {
            let start = Instant::now();
            assert_eq!(ask().await, Ok(()));
            // One second for the token review, and one for the access review.
            assert!(start.elapsed() <= Duration::from_secs(2));
            advance(Duration::from_secs(1)).await;
        }
        assert!(layer.metrics.stale_tokens.count() > 30);
        assert!(layer.metrics.stale_access.count() > 30);
        advance(Duration::from_secs(10)).await;
        assert!(matches!(ask().await, Err(Denial::Unavailable(_))));
        gone.store(false, Ordering::Relaxed);
        assert_eq!(ask().await, Ok(()));
    }
}

#[tokio::test(start_paused = true)]
async fn in_an_outage_no_new_caller_is_admitted_and_no_caller_for_more() {
    let gone = Arc::new(AtomicBool::new(false));
    let (client, _) = cluster_until(&gone, || Reply::Cut(ErrorKind::ConnectionRefused));
    let layer = layer(client, Trust::default());
    let ask = async |uri, who| layer.admit(&mut get(&stranger(), uri, who)).await;
    assert_eq!(ask(NODE, SAM).await, Ok(()));
    gone.store(true, Ordering::Relaxed);
    let kim = &[("Authorization", "Bearer ok:kim")];
    assert!(matches!(ask(NODE, kim).await, Err(Denial::Unavailable(_))));
    let other = "/apis/metrics.k8s.io/v1beta1/nodes/n2";
    assert!(matches!(
        ask(other, SAM).await,
        Err(Denial::Undecided { .. })
    ));
}

#[tokio::test(start_paused = true)]
async fn a_caller_denied_after_an_outage_was_admitted_for_the_last_time() {
    let (client, _) = cluster(|_, _, before| match before {
        0 => status(&json!({ "allowed": true })),
        1 | 3 => Reply::Cut(ErrorKind::ConnectionRefused),
        _ => status(&json!({ "allowed": false })),
    });
    let layer = layer(client, Trust::default());
    let ask = async || {
        let answer = layer.admit(&mut get(&stranger(), NODE, &[])).await;
        advance(Duration::from_secs(11)).await;
        answer
    };
    assert_eq!(ask().await, Ok(()));
    assert_eq!(ask().await, Ok(()));
    assert!(matches!(ask().await, Err(Denial::Forbidden { .. })));
    assert!(matches!(ask().await, Err(Denial::Undecided { .. })));
}

#[tokio::test]
async fn masters_and_open_paths_need_no_review() {
    let (client, asked) = cluster(|_, _, _| {
        status(&json!({ "authenticated": true,
            "user": { "username": "root", "groups": ["system:masters"] } }))
    });
    let layer = layer(client, Trust::default());
    assert_eq!(
        layer.admit(&mut get(&stranger(), "/livez", &[])).await,
        Ok(())
    );
    assert_eq!(asked.count(), 0);
    assert_eq!(layer.admit(&mut get(&stranger(), NODE, SAM)).await, Ok(()));
    assert_eq!(asked.access(), Vec::<serde_json::Value>::new());
}

#[tokio::test(start_paused = true)]
async fn a_question_that_is_very_long_is_not_cached() {
    let (client, asked) = golden();
    let layer = layer(client, Trust::default());
    let terms: Vec<String> = (0..400)
        .map(|at| format!("label-number-{at}=value"))
        .collect();
    let long = format!(
        "/apis/metrics.k8s.io/v1/pods?labelSelector={}",
        terms.join(",")
    );
    for _ in 0..2 {
        let answer = layer.admit(&mut get(&stranger(), &long, SAM)).await;
        assert_eq!(answer, Ok(()));
    }
    assert_eq!(asked.access().len(), 2);
}

#[test]
fn an_answer_in_which_anything_is_null_is_read_and_allows_no_more() {
    let review = json!({"kind": "SubjectAccessReview", "apiVersion": "authorization.k8s.io/v1",
        "metadata": {"creationTimestamp": "2026-11-29T00:10:42Z"}, "spec": {"user": "x"},
        "status": {"allowed": true, "denied": false, "reason": "x", "evaluationError": "y"}});
    for (at, json) in nulled(&review) {
        let answer = from_json::<Answered<SubjectAccessReviewStatus>>(&json);
        let answer = answer.unwrap_or_else(|error| panic!("{at}: {error}"));
        let allowed = answer.status.is_some_and(|status| status.allowed);
        assert_eq!(
            allowed,
            !matches!(&*at, "" | "/status" | "/status/allowed"),
            "{at}"
        );
    }
    let review = json!({"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"name": "x"}, "spec": {"token": "t"},
        "status": {"authenticated": true, "audiences": ["a"], "error": "x", "user": {
            "username": "jane", "uid": "7", "groups": ["dev"], "extra": {"scopes": ["a"]}}}});
    for (at, json) in nulled(&review) {
        let answer = from_json::<Answered<TokenReviewStatus>>(&json);
        let answer = answer.unwrap_or_else(|error| panic!("{at}: {error}"));
        let is_good = answer.status.and_then(|status| status.authenticated) == Some(true);
        assert_eq!(
            is_good,
            !matches!(&*at, "" | "/status" | "/status/authenticated"),
            "{at}"
        );
    }
}
