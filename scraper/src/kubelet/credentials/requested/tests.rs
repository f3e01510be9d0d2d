use std::{collections::VecDeque, convert::Infallible, sync::Arc};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tributary_sim::nulled;

use super::*;

/// What the API answers to one request.
#[derive(Clone)]
enum Answer {
    /// A token that is valid for this many seconds.
    Token(&'static str, i64),
    Forbidden,
    Never,
}

/// The path and body of each request, and when it came.
type Asked = Arc<Mutex<Vec<(String, Value, Instant)>>>;

/// An API that gives these answers, the last one again and again.
fn api(answers: &[Answer]) -> (Client, Asked) {
    let asked = Asked::default();
    let left = Arc::new(Mutex::new(VecDeque::from(answers.to_vec())));
    let seen = Arc::clone(&asked);
    let service = tower::service_fn(move |request: Request<Body>| {
        let (seen, left) = (Arc::clone(&seen), Arc::clone(&left));
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let body = serde_json::from_slice(&body).unwrap();
            let path = parts.uri.path().to_owned();
            seen.lock().push((path, body, Instant::now()));
            let answer = {
                let mut left = left.lock();
                let next = left.front().unwrap().clone();
                if left.len() > 1 {
                    left.pop_front();
                }
                next
            };
            let (status, answer) = match answer {
                Answer::Token(token, seconds) => (StatusCode::CREATED, granted(token, seconds)),
                Answer::Forbidden => (StatusCode::FORBIDDEN, forbidden()),
                Answer::Never => std::future::pending().await,
            };
            let answer = Full::new(Bytes::from(answer.to_string()));
            Ok::<_, Infallible>(Response::builder().status(status).body(answer).unwrap())
        }
    });
    (Client::new(service, "default"), asked)
}

fn granted(token: &str, seconds: i64) -> Value {
    json!({
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": { "name": "reader", "namespace": "monitoring" },
        "spec": { "audiences": [], "expirationSeconds": seconds },
        "status": { "token": token, "expirationTimestamp": "2026-01-01T00:10:00Z" },
    })
}

fn forbidden() -> Value {
    json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "serviceaccounts \"reader\" is forbidden",
        "reason": "Forbidden",
        "code": 403,
    })
}

/// Something that keeps tokens of `monitoring/reader`.
struct Keeper {
    requested: Arc<Requested>,
    metrics: TokenMetrics,
    asked: Asked,
    start: Instant,
    _running: JoinSet<()>,
}

impl Keeper {
    fn start(answers: &[Answer]) -> Self {
        let (client, asked) = api(answers);
        let requested = Arc::new(Requested::new("monitoring/reader".parse().unwrap()));
        let metrics = TokenMetrics::default();
        let (kept, counted) = (Arc::clone(&requested), metrics.clone());
        let mut running = JoinSet::new();
        running.spawn(async move {
            let stop = CancellationToken::new();
            kept.keep(client, &counted, stop).await;
        });
        Self {
            requested,
            metrics,
            asked,
            start: Instant::now(),
            _running: running,
        }
    }

    async fn shown(&self) -> Result<String, String> {
        let shown = self.requested.authorization().await?;
        assert!(shown.is_sensitive());
        Ok(shown.to_str().unwrap().to_owned())
    }

    /// Seconds since the start at which the API was asked.
    fn asked(&self) -> Vec<u64> {
        let asked = self.asked.lock();
        let since = |at: &Instant| at.duration_since(self.start).as_secs();
        asked.iter().map(|(_, _, at)| since(at)).collect()
    }
}

async fn after(seconds: u64) {
    // Let what is due now happen first.
    sleep(Duration::from_millis(1)).await;
    sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_token_for_ten_minutes_is_requested_and_shown() {
    let keeper = Keeper::start(&[Answer::Token("one", 600)]);
    assert_eq!(keeper.shown().await.unwrap(), "Bearer one");
    let asked = keeper.asked.lock();
    assert_eq!(
        asked[0].0,
        "/api/v1/namespaces/monitoring/serviceaccounts/reader/token"
    );
    assert_eq!(asked[0].1["spec"]["expirationSeconds"], 600);
    // No audience is that of the API itself, which kubelets have reviewed.
    assert_eq!(asked[0].1["spec"]["audiences"], json!([]));
    assert_eq!(keeper.metrics.expires.get(), 1_767_226_200);
    assert!(!format!("{:?}", keeper.requested).contains("one"));
}

#[tokio::test(start_paused = true)]
async fn the_next_token_is_requested_at_four_fifths_of_the_life_of_the_last() {
    let keeper = Keeper::start(&[Answer::Token("one", 600), Answer::Token("two", 600)]);
    after(479).await;
    assert_eq!(keeper.shown().await.unwrap(), "Bearer one");
    after(2).await;
    assert_eq!(keeper.shown().await.unwrap(), "Bearer two");
    assert_eq!(keeper.asked(), [0, 480]);
}

#[tokio::test(start_paused = true)]
async fn the_lifetime_from_the_api_counts_within_limits() {
    // An hour for a day, half a minute for a second.
    for (seconds, renewed) in [(86_400, 2_880), (1, 24)] {
        let keeper = Keeper::start(&[Answer::Token("one", seconds)]);
        after(renewed).await;
        assert_eq!(keeper.asked(), [0, renewed]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_stays_in_force_to_its_end_while_no_other_is_to_be_had() {
    let keeper = Keeper::start(&[
        Answer::Token("one", 600),
        Answer::Forbidden,
        Answer::Never,
        Answer::Forbidden,
    ]);
    after(599).await;
    assert_eq!(keeper.shown().await.unwrap(), "Bearer one");
    after(1).await;
    assert_eq!(
        keeper.shown().await.unwrap_err(),
        "unable to request a token for ServiceAccount monitoring/reader: \
         serviceaccounts \"reader\" is forbidden"
    );
    // Each time twice as long after the last one has failed, up to half a minute;
    // one of them was given up after five seconds.
    assert_eq!(keeper.asked(), [0, 480, 481, 488, 492, 500, 516, 546, 576]);
    assert_eq!(keeper.metrics.failures.get(), 8);
}

#[tokio::test(start_paused = true)]
async fn without_a_first_token_it_is_said_why_and_the_next_try_is_in_force() {
    let keeper = Keeper::start(&[Answer::Never, Answer::Token("one", 600)]);
    assert_eq!(
        keeper.shown().await.unwrap_err(),
        "unable to request a token for ServiceAccount monitoring/reader: no answer yet"
    );
    assert_eq!(keeper.start.elapsed(), FIRST_WAIT);
    after(3).await;
    assert_eq!(
        keeper.shown().await.unwrap_err(),
        "unable to request a token for ServiceAccount monitoring/reader: no answer within 5s"
    );
    after(1).await;
    assert_eq!(keeper.shown().await.unwrap(), "Bearer one");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_kubelets_refuse_is_replaced_but_not_more_than_twice_a_minute() {
    let keeper = Keeper::start(&[
        Answer::Token("one", 600),
        Answer::Token("two", 600),
        Answer::Token("three", 600),
    ]);
    let shown = keeper.requested.authorization().await.unwrap();
    for _ in 0..70 {
        let now = keeper.requested.authorization().await.unwrap();
        keeper.requested.was_refused(&now);
        keeper.requested.was_refused(&shown);
        after(1).await;
    }
    assert_eq!(keeper.asked(), [0, 30, 60]);

    // An old one that is refused late changes nothing.
    keeper.requested.was_refused(&shown);
    after(300).await;
    assert_eq!(keeper.asked().len(), 4, "{:?}", keeper.asked());
    keeper.requested.was_refused(&shown);
    after(120).await;
    assert_eq!(keeper.asked().len(), 4, "{:?}", keeper.asked());
}

#[test]
fn an_answer_in_which_anything_is_null_is_read() {
    let whole = json!({"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"name": "x"}, "spec": {"audiences": ["a"], "expirationSeconds": 600,
            "boundObjectRef": {"kind": "Pod", "name": "x"}},
        "status": {"token": "t", "expirationTimestamp": "2026-11-29T00:10:42Z"}});
    for (at, json) in nulled(&whole) {
        let answer = from_json::<Granted>(&json);
        let answer = answer.unwrap_or_else(|error| panic!("{at}: {error}"));
        let has_token = answer.status.is_some_and(|status| status.token == "t");
        assert_eq!(
            has_token,
            !matches!(&*at, "" | "/status" | "/status/token"),
            "{at}"
        );
    }
}
