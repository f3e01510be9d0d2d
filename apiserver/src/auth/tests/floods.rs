//! Many requests of strangers do not change the answers to other callers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use http::request::Parts;
use kube::Client;
use serde_json::json;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{
    super::{Auth, Inner, answer::Denial, trust::Trust},
    cluster::{Reply, cluster, failure},
    get, layer, stranger,
};
use crate::requests::limits::{Limits, Settings};

const NODE: &str = "/apis/metrics.k8s.io/v1beta1/nodes/n1";
const SAM: &[(&str, &str)] = &[("Authorization", "Bearer sam")];

/// How long the cluster takes to answer a review. The Kubernetes API is healthy.
const TAKES: Duration = Duration::from_millis(800);

/// The longest time until a revocation has effect: the time that an answer is cached, a review, and the wait for its
/// turn.
const REVOKED_WITHIN: Duration = Duration::from_secs(15);

/// Which of sam's permissions are revoked.
#[derive(Clone, Default)]
struct Revoked {
    token: Arc<AtomicBool>,
    access: Arc<AtomicBool>,
}

/// A cluster that knows sam and kim, except for what is revoked of sam. It denies everything to all other callers.
fn cluster_of(revoked: &Revoked) -> Client {
    let revoked = revoked.clone();
    let (client, _) = cluster(move |kind, spec, _| {
        if kind == "tokenreviews" {
            let name = spec["token"].as_str().unwrap();
            let gone = name == "sam" && revoked.token.load(Ordering::Relaxed);
            let known = ["sam", "kim"].contains(&name) && !gone;
            let status = json!({ "authenticated": known, "user": { "username": name },
                "audiences": spec["audiences"] });
            return Reply::Late(TAKES, status);
        }
        let user = spec["user"].as_str().unwrap();
        let gone = user == "sam" && revoked.access.load(Ordering::Relaxed);
        let allowed = user != "system:anonymous" && !gone;
        Reply::Late(TAKES, json!({ "allowed": allowed }))
    });
    client
}

/// Tasks that ask without a pause, each on its own connection, until this is dropped.
struct Flood {
    tasks: JoinSet<()>,
    refused: Arc<AtomicU64>,
}

impl Flood {
    async fn of(
        connections: usize,
        layer: &Arc<Inner>,
        ask: impl Fn(usize, usize) -> Parts + Clone + Send + 'static,
    ) -> Self {
        let (mut tasks, refused) = (JoinSet::new(), Arc::<AtomicU64>::default());
        for connection in 0..connections {
            let (layer, ask, refused) = (Arc::clone(layer), ask.clone(), Arc::clone(&refused));
            tasks.spawn(async move {
                for at in 0.. {
                    let answer = layer.admit(&mut ask(connection, at)).await;
                    if matches!(answer, Err(Denial::Unavailable(_))) {
                        refused.fetch_add(1, Ordering::Relaxed);
                        sleep(Duration::from_secs(1)).await;
                    }
                }
            });
        }
        sleep(Duration::from_secs(5)).await;
        Self { tasks, refused }
    }

    async fn end(mut self) {
        assert!(self.refused.load(Ordering::Relaxed) > 100);
        self.tasks.shutdown().await;
    }
}

fn random_tokens(connection: usize, at: usize) -> Parts {
    let token = format!("Bearer random-{connection}-{at}");
    get(&stranger(), NODE, &[("Authorization", &token)])
}

fn random_paths(connection: usize, at: usize) -> Parts {
    get(&stranger(), &format!("/metrics/{connection}/{at}"), &[])
}

/// Asks as sam once a second until the request is refused. Returns the refusal and the time until then.
async fn until_denied(layer: &Inner) -> (Denial, Duration) {
    let start = Instant::now();
    loop {
        match layer.admit(&mut get(&stranger(), NODE, SAM)).await {
            Ok(()) => assert!(start.elapsed() < REVOKED_WITHIN, "still let in"),
            Err(denial) => return (denial, start.elapsed()),
        }
        sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_revoked_token_ends_however_many_strangers_ask() {
    let revoked = Revoked::default();
    let layer = Arc::new(layer(cluster_of(&revoked), Trust::default()));
    let ask = async || layer.admit(&mut get(&stranger(), NODE, SAM)).await;
    assert_eq!(ask().await, Ok(()));
    let flood = Flood::of(700, &layer, random_tokens).await;
    // sam is served meanwhile.
    for _ in 0..40 {
        assert_eq!(ask().await, Ok(()));
        sleep(Duration::from_secs(1)).await;
    }
    revoked.token.store(true, Ordering::Relaxed);
    let (denial, after) = until_denied(&layer).await;
    assert_eq!(denial, Denial::Unauthorized);
    assert!(after < REVOKED_WITHIN, "{after:?}");
    assert_eq!(layer.metrics.stale_tokens.count(), 0, "there was no outage");
    flood.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_revoked_permission_ends_however_many_others_ask() {
    let revoked = Revoked::default();
    let layer = Arc::new(layer(cluster_of(&revoked), Trust::default()));
    let ask = async || layer.admit(&mut get(&stranger(), NODE, SAM)).await;
    assert_eq!(ask().await, Ok(()));
    let anonymous = Flood::of(200, &layer, random_paths).await;
    // kim is a known caller, and asks another question each time.
    let kim = Flood::of(1_100, &layer, |connection, at| {
        let node = format!("/apis/metrics.k8s.io/v1/nodes/n{connection}-{at}");
        get(&stranger(), &node, &[("Authorization", "Bearer kim")])
    })
    .await;
    for _ in 0..40 {
        let answer = ask().await;
        assert_eq!(answer, Ok(()));
        sleep(Duration::from_secs(1)).await;
    }
    revoked.access.store(true, Ordering::Relaxed);
    let (denial, after) = until_denied(&layer).await;
    assert!(matches!(denial, Denial::Forbidden { .. }), "{denial:?}");
    assert!(after < REVOKED_WITHIN, "{after:?}");
    assert_eq!(layer.metrics.stale_access.count(), 0);
    anonymous.end().await;
    drop(kim);
}

#[tokio::test(start_paused = true)]
async fn a_publisher_is_checked_again_in_time_however_many_ask() {
    let revoked = Revoked::default();
    let layer = Arc::new(layer(cluster_of(&revoked), Trust::default()));
    let publishing = Auth(Arc::clone(&layer)).publishing("tributary-bus");
    assert!(publishing.publisher("sam").await.is_ok());
    let anonymous = Flood::of(200, &layer, random_paths).await;
    let tokens = Flood::of(700, &layer, random_tokens).await;
    // Another publisher connects.
    let start = Instant::now();
    assert!(publishing.publisher("kim").await.is_ok());
    assert_eq!(start.elapsed(), TAKES * 2);
    revoked.access.store(true, Ordering::Relaxed);
    sleep(Duration::from_secs(11)).await;
    let start = Instant::now();
    assert!(publishing.publisher("sam").await.is_err());
    assert_eq!(start.elapsed(), TAKES * 2);
    anonymous.end().await;
    tokens.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_review_of_a_known_caller_does_not_wait_for_those_of_strangers() {
    let layer = Arc::new(layer(cluster_of(&Revoked::default()), Trust::default()));
    let ask = async |uri: &str| layer.admit(&mut get(&stranger(), uri, SAM)).await;
    assert_eq!(ask(NODE).await, Ok(()));
    let flood = Flood::of(200, &layer, random_paths).await;
    for at in 0..5 {
        // The token is in the cache, so this takes only one review.
        assert_eq!(ask(NODE).await, Ok(()));
        let start = Instant::now();
        let new = format!("/apis/metrics.k8s.io/v1beta1/nodes/new-{at}");
        assert_eq!(ask(&new).await, Ok(()));
        assert!(start.elapsed() <= TAKES * 2, "{:?}", start.elapsed());
    }
    flood.end().await;
}

#[tokio::test(start_paused = true)]
async fn too_many_requests_are_no_outage_while_some_are_answered() {
    let busy = Arc::new(AtomicBool::new(false));
    let until = Arc::clone(&busy);
    let (client, _) = cluster(move |kind, spec, before| {
        let mine = spec["token"] == "sam";
        match kind {
            "tokenreviews" if mine && until.load(Ordering::Relaxed) => {
                failure(429, "TooManyRequests", "slow down")
            }
            "tokenreviews" if before % 2 == 0 || mine => Reply::Late(
                TAKES,
                json!({ "authenticated": mine, "user": { "username": "sam" } }),
            ),
            "tokenreviews" => failure(429, "TooManyRequests", "slow down"),
            _ => Reply::Late(TAKES, json!({ "allowed": true })),
        }
    });
    let layer = Arc::new(layer(client, Trust::default()));
    let ask = async || layer.admit(&mut get(&stranger(), NODE, SAM)).await;
    assert_eq!(ask().await, Ok(()));
    let flood = Flood::of(500, &layer, random_tokens).await;
    busy.store(true, Ordering::Relaxed);
    sleep(Duration::from_secs(10)).await;
    let why = "unable to review the token, try again";
    assert_eq!(ask().await, Err(Denial::Unavailable(why)));
    assert_eq!(layer.metrics.stale_tokens.count(), 0);
    drop(flood);
    // Without any answered review it is an outage.
    sleep(Duration::from_secs(5)).await;
    assert_eq!(ask().await, Ok(()));
    assert_eq!(layer.metrics.stale_tokens.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_of_a_stranger_that_would_take_much_memory_is_refused() {
    let layer = layer(cluster_of(&Revoked::default()), Trust::default());
    let long = "x".repeat(33 * 1024);
    let token = format!("Bearer {long}");
    for headers in [
        &[("Authorization", token.as_str())][..],
        &[("Accept", &long)],
        &[("Authorization", "Bearer sam"), ("Impersonate-User", &long)],
    ] {
        let answer = layer.admit(&mut get(&stranger(), NODE, headers)).await;
        assert_eq!(answer, Err(Denial::TooLong));
    }
    // Headers that are not read do not count.
    let headers = &[("Authorization", "Bearer sam"), ("Cookie", long.as_str())];
    let answer = layer.admit(&mut get(&stranger(), NODE, headers)).await;
    assert_eq!(answer, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn questions_about_impersonation_are_in_flight_for_the_user_who_asks() {
    let layer = layer(cluster_of(&Revoked::default()), Trust::default());
    let sam = get(&stranger(), NODE, SAM);
    layer.admit(&mut { sam }).await.unwrap();
    // Of 8 permits a user may have 2.
    let settings = Settings {
        in_flight: Some(8),
        timeout: None,
        goaway_chance: 0.0,
    };
    let limits = Limits::new(settings, Vec::new(), CancellationToken::new());
    let ask = async |number: usize| {
        let user = format!("user-{number}");
        let headers = [SAM[0], ("Impersonate-User", &user)];
        let mut head = get(&stranger(), NODE, &headers);
        head.extensions.insert(limits.clone());
        layer.admit(&mut head).await
    };
    let answers = join_all((0..20).map(ask)).await;
    let refused = answers.iter().filter(|it| **it == Err(Denial::Busy));
    assert_eq!(refused.count(), 18, "{answers:?}");
    // The user is not refused for others that it may impersonate.
    assert_eq!(ask(0).await, Ok(()));
}
