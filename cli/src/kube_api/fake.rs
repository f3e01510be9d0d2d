//! An API that answers from a table.

use std::{
    collections::BTreeMap,
    future::{pending, ready},
    sync::Arc,
    time::Duration,
};

use http::{Method, Request, Response, header};
use http_body_util::BodyExt as _;
use kube::{Client, client::Body};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::sleep;
use tower::service_fn;

use super::{KubeApi, one_turn, proof::Proof};
use crate::commands::Commands;

/// When it sends its answers.
pub(crate) const DATE: &str = "Sun, 29 Nov 2026 17:00:00 GMT";

/// The answers, by path with query but without `limit`; others are 404.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fake {
    answers: BTreeMap<String, (u16, Vec<u8>)>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    /// One more answer.
    pub(crate) fn with(mut self, path: &str, status: u16, answer: Value) -> Self {
        let answer = of_status(status, answer).to_string().into_bytes();
        self.answers.insert(path.to_owned(), (status, answer));
        self
    }

    /// One more answer that is text.
    pub(crate) fn text(mut self, path: &str, text: &str) -> Self {
        let answer = (200, text.as_bytes().to_vec());
        self.answers.insert(path.to_owned(), answer);
        self
    }

    /// One more list.
    pub(crate) fn list(self, path: &str, items: &Value) -> Self {
        self.with(path, 200, json!({ "items": items }))
    }

    /// The paths that were asked for.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().clone()
    }

    pub(crate) fn api(&self) -> KubeApi {
        let fake = self.clone();
        let service = service_fn(move |request: Request<Body>| {
            let path = request.uri().to_string();
            fake.asked.lock().push(path.clone());
            let path = path.replace("?limit=500&", "?").replace("&limit=500", "");
            let path = path.replace("?limit=500", "").replace("?limit=10000", "");
            let missing = json!({ "message": format!("{path} not found") });
            let missing = of_status(404, missing);
            let known = fake.answers.get(&path).cloned();
            let missing = || (404, missing.to_string().into_bytes());
            let (status, body) = known.unwrap_or_else(missing);
            let answer = Response::builder()
                .status(status)
                .header(header::DATE, DATE)
                .body(Body::from(body));
            ready(Ok::<_, std::io::Error>(answer.unwrap()))
        });
        KubeApi {
            client: Client::new(service, "default"),
            asks_again: false,
            server: "https://fake".to_owned(),
            limit: Duration::from_secs(15),
            turn: one_turn(),
            proof: Proof::given(),
            namespace: "default".to_owned(),
            commands: Commands::default(),
        }
    }
}

/// A message with the status of an error is a Status.
fn of_status(status: u16, mut answer: Value) -> Value {
    if status >= 400 && answer.get("message").is_some() {
        answer["kind"] = json!("Status");
    }
    answer
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) from_tributary: bool,
    pub(crate) body: Value,
    /// How long it takes.
    pub(crate) takes: Duration,
}

/// An API that answers by a function of method, path with query, and body. `None` is silence.
pub(crate) fn answering(
    answer: impl Fn(&Method, &str, Value) -> Option<Reply> + Clone + Send + Sync + 'static,
) -> KubeApi {
    let service = service_fn(move |request: Request<Body>| {
        let answer = answer.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let body = serde_json::from_slice(&body).unwrap_or_default();
            let Some(reply) = answer(&head.method, &head.uri.to_string(), body) else {
                return pending().await;
            };
            sleep(reply.takes).await;
            let mut answer = Response::builder().status(reply.status);
            if reply.from_tributary {
                answer = answer.header(header::SERVER, "tributary");
            }
            let body = of_status(reply.status, reply.body);
            let body = Body::from(body.to_string().into_bytes());
            Ok::<_, std::io::Error>(answer.body(body).unwrap())
        }
    });
    KubeApi {
        client: Client::new(service, "default"),
        asks_again: false,
        server: "https://fake".to_owned(),
        limit: Duration::from_secs(15),
        turn: one_turn(),
        proof: Proof::given(),
        namespace: "default".to_owned(),
        commands: Commands::default(),
    }
}

/// An API to which there is no connection.
pub(crate) fn gone() -> KubeApi {
    let refused = || std::io::Error::other("refused");
    let service = service_fn(move |_: Request<Body>| ready(Err::<Response<Body>, _>(refused())));
    KubeApi {
        client: Client::new(service, "default"),
        asks_again: false,
        server: "https://fake".to_owned(),
        limit: Duration::from_secs(15),
        turn: one_turn(),
        proof: Proof::given(),
        namespace: "default".to_owned(),
        commands: Commands::default(),
    }
}

/// The same, and it is asked again while it is busy.
pub(crate) fn patient(mut api: KubeApi) -> KubeApi {
    api.asks_again = true;
    api
}
