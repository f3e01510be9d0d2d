use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Node;
use kube::{
    Api,
    api::{ListParams, WatchParams},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::sleep,
};

use super::*;

/// What the server does with a request.
#[derive(Clone, Copy)]
enum Answer {
    /// It accepts the request and does not answer.
    Never,
    /// An empty list.
    List,
    /// The beginning of a list.
    HalfOfAList,
    /// The head, after a pause one event, and then nothing.
    Watch(Duration),
}

/// An API server on loopback. Its answers depend on the numbers of the connection and of the request on it.
struct Server {
    connections: Arc<AtomicUsize>,
    config: Config,
    _tasks: JoinSet<()>,
}

impl Server {
    async fn start(answer: fn(usize, usize) -> Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let number = counted.fetch_add(1, Ordering::Relaxed);
                open.spawn(connection(stream, number, answer));
            }
        });
        Self {
            connections,
            config: Config::new(format!("http://{address}").parse().unwrap()),
            _tasks: tasks,
        }
    }

    fn nodes(&self, limits: Limits) -> Api<Node> {
        Api::all(limits.client(self.config.clone()).unwrap())
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

async fn connection(mut stream: TcpStream, number: usize, answer: fn(usize, usize) -> Answer) {
    const LIST: &str =
        r#"{"kind":"NodeList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[]}"#;
    const EVENT: &str =
        r#"{"type":"ADDED","object":{"metadata":{"name":"n1","resourceVersion":"2"}}}"#;
    const WATCH: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n";
    for request in 0.. {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return,
            }
        }
        let length = LIST.len();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
        let text = match answer(number, request) {
            Answer::Never => String::new(),
            Answer::List => format!("{head}{LIST}"),
            Answer::HalfOfAList => format!("{head}{{"),
            Answer::Watch(pause) => {
                stream.write_all(WATCH.as_bytes()).await.unwrap();
                sleep(pause).await;
                format!("{EVENT}\n")
            }
        };
        if stream.write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Limits that are short enough for a test and long enough for a slow machine.
fn limits() -> Limits {
    Limits {
        request: Duration::from_secs(2),
        silence: Duration::from_secs(6),
        ..Limits::default()
    }
}

async fn list(nodes: &Api<Node>) -> Result<usize, String> {
    let listed = nodes.list(&ListParams::default()).await;
    listed
        .map(|list| list.items.len())
        .map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_list_that_is_never_answered_fails_in_time_and_the_next_has_a_connection_of_its_own() {
    let server = Server::start(|connection, _| match connection {
        0 => Answer::Never,
        _ => Answer::List,
    })
    .await;
    let nodes = server.nodes(limits());
    assert_eq!(
        list(&nodes).await.unwrap_err(),
        "ServiceError: no answer from the Kubernetes API within 2s"
    );
    assert_eq!(list(&nodes).await, Ok(0));
    assert_eq!(list(&nodes).await, Ok(0));
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_connection_that_dies_in_the_pool_is_used_once() {
    let server = Server::start(|connection, request| match (connection, request) {
        (0, 1..) => Answer::Never,
        _ => Answer::List,
    })
    .await;
    let nodes = server.nodes(limits());
    assert_eq!(list(&nodes).await, Ok(0));
    assert!(list(&nodes).await.is_err());
    assert_eq!(list(&nodes).await, Ok(0));
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn an_answer_that_stops_in_the_middle_fails_in_time() {
    let server = Server::start(|connection, _| match connection {
        0 => Answer::HalfOfAList,
        _ => Answer::List,
    })
    .await;
    let nodes = server.nodes(limits());
    let error = list(&nodes).await.unwrap_err();
    assert!(
        error.contains("no answer from the Kubernetes API within 2s"),
        "{error}"
    );
    assert_eq!(list(&nodes).await, Ok(0));
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_watch_may_be_quiet_for_longer_than_a_request_may_take_but_not_silent() {
    let server = Server::start(|_, _| Answer::Watch(Duration::from_secs(3))).await;
    let nodes = server.nodes(limits());
    let events = nodes.watch(&WatchParams::default(), "1").await.unwrap();
    let mut events = std::pin::pin!(events);
    let event = events.try_next().await.unwrap();
    assert!(
        matches!(&event, Some(kube::api::WatchEvent::Added(node)) if node.metadata.name.as_deref() == Some("n1")),
        "{event:?}"
    );
    let start = Instant::now();
    let error = events.next().await.unwrap().unwrap_err().to_string();
    assert!(
        error.contains("the Kubernetes API has been silent for 6s"),
        "{error}"
    );
    assert!(start.elapsed() >= Duration::from_secs(5));
}

#[tokio::test]
async fn a_watch_that_does_not_begin_fails_in_time() {
    let server = Server::start(|_, _| Answer::Never).await;
    let nodes = server.nodes(limits());
    let watch = nodes.watch(&WatchParams::default(), "1").await;
    let error = watch.err().map(|error| error.to_string());
    assert_eq!(
        error.as_deref(),
        Some("ServiceError: no answer from the Kubernetes API within 2s")
    );
}

#[test]
fn a_dead_watch_is_found_within_75_seconds_and_a_quiet_one_is_not_taken_for_dead() {
    let limits = Limits::default();
    assert!(limits.silence > Duration::from_mins(1));
    // The watch is silent until it is dropped. Then the longest first pause follows before the next one.
    let found = limits.silence + Duration::from_millis(1_600);
    assert!(found < Duration::from_secs(65), "{found:?}");
}

#[test]
fn a_proxy_is_refused_by_name_and_its_password_is_not_said() {
    let mut config = Config::new("https://127.0.0.1:1".parse().unwrap());
    config.proxy_url = Some("http://me:s3cr3t@proxy.example:3128".parse().unwrap());
    let error = limits().client(config).err().map(|error| error.to_string());
    assert_eq!(
        error.as_deref(),
        Some(
            "the Kubernetes API is to be reached by the proxy http://proxy.example:3128 \
             (proxy-url in the kubeconfig, or HTTPS_PROXY), which is not supported. If the server can be reached without \
             it, add its host to NO_PROXY, or remove proxy-url"
        )
    );
}

#[test]
fn lists_and_watches_ask_for_metadata() {
    let accept = |uri: &str| {
        let request = accept_metadata(Request::get(uri).body(()).unwrap());
        request.headers()[header::ACCEPT]
            .to_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        accept("/api/v1/pods?limit=500"),
        "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
    );
    assert_eq!(
        accept("/api/v1/pods?&watch=true&timeoutSeconds=290"),
        "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
    );
    let whole = Request::get("/api/v1/pods").header(header::ACCEPT, "application/json");
    let whole = accept_metadata(whole.body(()).unwrap());
    assert_eq!(whole.headers()[header::ACCEPT], "application/json");
}
