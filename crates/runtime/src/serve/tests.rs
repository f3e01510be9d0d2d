use std::net::SocketAddr;

use axum::routing::get;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::{http1, http2};
use tokio::net::TcpStream;

use super::*;

/// A server without TLS, until what comes with its address is dropped.
async fn server(limits: Limits) -> (SocketAddr, JoinSet<io::Result<()>>) {
    let bound = Listener::bind(&"127.0.0.1:0".parse().unwrap())
        .await
        .unwrap();
    let Address::Tcp(address) = bound.address else {
        panic!("TCP");
    };
    let router = Router::new()
        .route("/", get(async || "on"))
        .route("/last", get(async || ([(CONNECTION, "close")], "last")))
        .route("/long", get(long));
    let server = Server {
        listener: bound.listener,
        tls: None,
        limits,
        metrics: ServeMetrics::default(),
    };
    let mut running = JoinSet::new();
    running.spawn(server.run(router, CancellationToken::new()));
    (address, running)
}

fn request(path: &str) -> Request<Empty<bytes::Bytes>> {
    let request = Request::get(format!("http://localhost{path}"));
    request.body(Empty::new()).unwrap()
}

#[tokio::test]
async fn close_in_http2_is_goaway() {
    let (address, _running) = server(Limits::default()).await;
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream)
        .await
        .unwrap();
    let mut connections = JoinSet::new();
    connections.spawn(connection);
    for (path, text) in [("/", "on"), ("/last", "last")] {
        let answer = sender.send_request(request(path)).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert!(!answer.headers().contains_key(CONNECTION));
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, text);
    }
    // It ends although the sender is there, and without an error.
    connections.join_next().await.unwrap().unwrap().unwrap();
    assert!(sender.send_request(request("/")).await.is_err());
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_either_protocol() {
    let limits = Limits {
        idle: Duration::from_millis(50),
        ..Limits::default()
    };
    let (address, _running) = server(limits).await;
    let connect = async || TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut one, first) = http1::handshake(connect().await).await.unwrap();
    let (mut two, second) = http2::handshake(TokioExecutor::new(), connect().await)
        .await
        .unwrap();
    let mut connections = JoinSet::new();
    connections.spawn(first);
    connections.spawn(second);
    assert_eq!(one.send_request(request("/")).await.unwrap().status(), 200);
    assert_eq!(two.send_request(request("/")).await.unwrap().status(), 200);
    while let Some(ended) = connections.join_next().await {
        ended.unwrap().unwrap();
    }
}

/// More than sockets hold between them.
const LONG: usize = 64 << 20;
const LIMIT: Duration = Duration::from_millis(300);

/// An answer that has to be over in time.
async fn long(axum::Extension(line): axum::Extension<Line>) -> Body {
    let deadline = tokio::time::Instant::now() + LIMIT;
    line.bound(
        Version::HTTP_11,
        vec![b'x'; LONG].into(),
        Some(deadline),
        (),
    )
}

#[tokio::test]
async fn whoever_does_not_read_loses_the_connection_in_time() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let (address, _running) = server(Limits::default()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = b"GET /long HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(request).await.unwrap();
    // The peer is gone although nothing was read: a write finds out.
    let gone = async {
        while stream.write_all(b"\r\n").await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(30), gone).await.unwrap();
    let mut rest = Vec::new();
    // Whether it ends with a reset or not, it is not whole.
    drop(stream.read_to_end(&mut rest).await);
    assert!(rest.len() < LONG, "{}", rest.len());
}
