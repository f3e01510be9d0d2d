//! What is shown to kubelets, end to end; what else can happen to a request is
//! tried in `tests/kubelet.rs`.

use std::{
    convert::Infallible,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use http::{Response, StatusCode};
use http_body_util::Full;
use kube::client::Body;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinSet,
};

use super::*;
use crate::kubelet::DEFAULT_PAGE;

/// An API that gives the tokens `token-1`, `token-2` and so on.
fn api() -> kube::Client {
    let given = Arc::new(AtomicUsize::new(1));
    let service = tower::service_fn(move |_: Request<Body>| {
        let number = given.fetch_add(1, Ordering::Relaxed);
        async move {
            let answer = json!({
                "kind": "TokenRequest",
                "apiVersion": "authentication.k8s.io/v1",
                "metadata": {},
                "spec": { "audiences": [], "expirationSeconds": 600 },
                "status": {
                    "token": format!("token-{number}"),
                    "expirationTimestamp": "2026-01-01T00:10:00Z",
                },
            });
            let answer = Full::new(Bytes::from(answer.to_string()));
            let status = StatusCode::CREATED;
            Ok::<_, Infallible>(Response::builder().status(status).body(answer).unwrap())
        }
    });
    kube::Client::new(service, "monitoring")
}

/// A kubelet that takes one token, and what it was shown.
struct Kubelet {
    port: u16,
    shown: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl Kubelet {
    async fn that_takes(token: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shown = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&shown);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") {
                    let byte = stream.read_u8().await.unwrap();
                    head.push(char::from(byte));
                }
                let header = head
                    .lines()
                    .filter_map(|line| line.strip_prefix("authorization: "));
                let header = header.collect::<Vec<_>>().join(", ");
                let status = if header == format!("Bearer {token}") {
                    "200 OK"
                } else {
                    "401 Unauthorized"
                };
                seen.lock().unwrap().push(header);
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 4\r\n\r\npage");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Self {
            port,
            shown,
            _tasks: tasks,
        }
    }

    async fn ask(&self, client: &Client) -> Result<Vec<u8>, ScrapeError> {
        let target = Target {
            node: "n1".into(),
            uid: "".into(),
            host: Ok("127.0.0.1".into()),
            port: self.port,
            path: PathAndQuery::from_static("/metrics/resource"),
            ready: true,
            cpu_millis: None,
        };
        let mut ask = Ask::new(Endpoint::Resource, target.path.clone());
        let page = client.fetch(&target, &mut ask, &mut None).await;
        page.map(|page| page.bytes)
    }
}

/// A client with a token for the API, which requests another one for kubelets.
fn client() -> Arc<Client> {
    let mut base = Config::new("https://cluster.test".parse().unwrap());
    base.auth_info.token = Some("for-the-api".to_owned().into());
    let security = Security {
        token: Some("reader".parse().unwrap()),
        // Flags do not allow both; here the bytes on the wire are looked at.
        completely_insecure: true,
        ..Security::default()
    };
    let limits = Limits {
        time: Duration::from_mins(1),
        page: DEFAULT_PAGE,
        fallback: true,
    };
    Client::new(&security, &base, limits).unwrap()
}

#[tokio::test]
async fn kubelets_see_the_requested_token_and_never_the_one_for_the_api() {
    let kubelet = Kubelet::that_takes("token-1").await;
    let client = client();
    let mut tasks = Tasks::new(tokio_util::sync::CancellationToken::new());
    client.keep_token(&mut tasks, api(), TokenMetrics::default());
    for _ in 0..3 {
        assert_eq!(kubelet.ask(&client).await.unwrap(), b"page");
    }
    assert_eq!(*kubelet.shown.lock().unwrap(), ["Bearer token-1"; 3]);
}

#[tokio::test]
async fn without_a_token_a_kubelet_is_not_asked_at_all() {
    let kubelet = Kubelet::that_takes("token-1").await;
    tokio::time::pause();
    let error = kubelet.ask(&client()).await.unwrap_err();
    assert_eq!(error.reason(), Reason::Auth);
    assert_eq!(
        error.to_string(),
        "unable to request a token for ServiceAccount reader: no answer yet"
    );
    assert_eq!(*kubelet.shown.lock().unwrap(), [""; 0]);
}

#[tokio::test]
async fn a_kubelet_that_refuses_the_token_has_another_one_requested() {
    let kubelet = Kubelet::that_takes("token-2").await;
    let client = client();
    let mut tasks = Tasks::new(tokio_util::sync::CancellationToken::new());
    client.keep_token(&mut tasks, api(), TokenMetrics::default());
    let error = kubelet.ask(&client).await.unwrap_err();
    assert_eq!(error.reason(), Reason::Auth);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(30)).await;
    tokio::time::resume();
    while kubelet.ask(&client).await.is_err() {
        tokio::task::yield_now().await;
    }
    let shown = kubelet.shown.lock().unwrap();
    assert_eq!(shown.first().unwrap(), "Bearer token-1");
    assert_eq!(shown.last().unwrap(), "Bearer token-2");
}
