use std::sync::Arc;

use http_body_util::BodyExt as _;
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::Value;
use tower::service_fn;

use super::*;

/// Requests to the API: method, path and body; and the status of each answer, then 200.
#[derive(Clone, Default)]
struct Api {
    requests: Arc<Mutex<Vec<(String, String, Value)>>>,
    answers: Arc<Mutex<Vec<u16>>>,
}

impl Api {
    fn writer(&self, clock: Clock) -> Writer {
        let api = self.clone();
        let service = service_fn(move |request: http::Request<Body>| {
            let api = api.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let body = serde_json::from_slice(&body).unwrap();
                let path = head.uri.path().to_owned();
                api.requests
                    .lock()
                    .push((head.method.to_string(), path, body));
                let status = api.answers.lock().pop().unwrap_or(200);
                let answer = json!({
                    "kind": "Status", "code": status, "message": "no", "reason": "No", "status": "Failure",
                });
                let answer = http::Response::builder()
                    .status(status)
                    .body(Body::from(answer.to_string().into_bytes()))
                    .unwrap();
                Ok::<_, std::convert::Infallible>(answer)
            }
        });
        let client = Client::new(service, "default");
        Writer::new(client, "scraper-0", clock, EventMetrics::default())
    }

    /// The methods and paths so far.
    fn asked(&self) -> Vec<String> {
        let requests = self.requests.lock();
        let line = requests
            .iter()
            .map(|(method, path, _)| format!("{method} {path}"));
        line.collect()
    }

    fn count(writer: &Writer, outcome: &'static str) -> u64 {
        writer
            .metrics
            .0
            .get_or_create(&super::super::Outcome { outcome })
            .get()
    }
}

fn event(what: What) -> NodeEvent {
    NodeEvent {
        node: "n1".into(),
        uid: "d3b0".into(),
        what,
    }
}

const LOST: What = What::Lost {
    for_seconds: 315,
    reason: "tls",
};

const EVENTS: &str = "/apis/events.k8s.io/v1/namespaces/default/events";

fn now() -> jiff::Timestamp {
    "2026-11-21T10:00:00Z".parse().unwrap()
}

#[tokio::test]
async fn an_event_regards_the_node_and_names_no_address() {
    let api = Api::default();
    let mut writer = api.writer(Clock::fixed(now()));
    writer.write(&event(LOST)).await;
    let (method, path, body) = api.requests.lock()[0].clone();
    assert_eq!((&*method, &*path), ("POST", EVENTS));
    assert_eq!(
        body,
        json!({
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": { "name": "n1.18ea0717bd2c4000", "namespace": "default" },
            "regarding": { "apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "d3b0" },
            "type": "Warning",
            "reason": "NodeNotScraped",
            "action": "Scrape",
            "note": "no scraper could scrape the kubelet for 5m15s (tls), so the node and its pods have no metrics; \
                     see kubectl get nodescrapes -o wide",
            "eventTime": "2026-11-21T10:00:00.000000Z",
            "reportingController": "tributary.dev/scraper",
            "reportingInstance": "scraper-0",
        })
    );
    assert_eq!(Api::count(&writer, "written"), 1);
}

#[tokio::test]
async fn the_same_event_is_continued_for_an_hour() {
    let api = Api::default();
    let date = Arc::new(Mutex::new(now()));
    let clock = {
        let date = Arc::clone(&date);
        Clock::from_fn(move || *date.lock())
    };
    let mut writer = api.writer(clock);
    let minutes = |minutes| *date.lock() = now() + jiff::SignedDuration::from_mins(minutes);
    writer.write(&event(LOST)).await;
    minutes(30);
    writer.write(&event(LOST)).await;
    writer.write(&event(What::Back)).await;
    minutes(60);
    writer.write(&event(LOST)).await;
    minutes(120);
    writer.write(&event(LOST)).await;
    let (create, first) = (format!("POST {EVENTS}"), "n1.18ea0717bd2c4000");
    let patch = format!("PATCH {EVENTS}/{first}");
    assert_eq!(
        api.asked(),
        [&*create, &*patch, &*create, &*patch, &*create]
    );
    let series = |at: usize| api.requests.lock()[at].2["series"].clone();
    assert_eq!(
        series(3),
        json!({ "count": 3, "lastObservedTime": "2026-11-21T11:00:00.000000Z" })
    );
    assert_eq!(series(4), Value::Null);
    // A node that was created again begins again.
    let other = NodeEvent {
        uid: "d3b1".into(),
        ..event(LOST)
    };
    writer.write(&other).await;
    assert_eq!(api.asked().last(), Some(&create));
}

#[tokio::test]
async fn an_event_that_was_deleted_is_written_again() {
    let api = Api::default();
    let mut writer = api.writer(Clock::fixed(now()));
    writer.write(&event(LOST)).await;
    api.answers.lock().push(404);
    writer.write(&event(LOST)).await;
    let methods: Vec<String> = api.requests.lock().iter().map(|it| it.0.clone()).collect();
    assert_eq!(methods, ["POST", "PATCH", "POST"]);
}

#[tokio::test(start_paused = true)]
async fn an_api_that_fails_is_tried_again_and_a_refusal_is_final() {
    let api = Api::default();
    let mut writer = api.writer(Clock::fixed(now()));
    api.answers.lock().extend([503, 429]);
    writer.write(&event(LOST)).await;
    assert_eq!(api.asked().len(), 3);
    assert_eq!(Api::count(&writer, "written"), 1);
    api.answers.lock().push(403);
    writer.write(&event(What::Back)).await;
    assert_eq!(api.asked().len(), 4);
    assert_eq!(Api::count(&writer, "failed"), 3);
    api.answers.lock().extend([500; 9]);
    writer.write(&event(What::Back)).await;
    assert_eq!(api.asked().len(), 9);
}

#[test]
fn names_are_cut_to_what_kubernetes_takes() {
    let api = Api::default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let _entered = runtime.enter();
    let writer = api.writer(Clock::fixed(now()));
    let long = format!("{}.{}", "x".repeat(199), "y".repeat(53));
    let event = NodeEvent {
        node: long.as_str().into(),
        ..event(LOST)
    };
    let object = writer.object(&event, now());
    let name = object.metadata.name.unwrap();
    assert_eq!(name, format!("{}.18ea0717bd2c4000", "x".repeat(199)));
    assert_eq!(object.regarding.unwrap().name, Some(long));
}
