mod frames;
mod requests;
mod step_permits;

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::atomic::{AtomicU32, Ordering},
};

use axum::{body::Body, routing::get};
use http::{Request, StatusCode, Version, header::CONNECTION};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{CertificateError, OtherError};
use tokio::net::TcpStream;
use tributary_testkit::logs::Lines;

use super::{metrics::Reason, *};
use crate::tls::{
    ClientCertificates, Refusal, RefusedCertificate, ServingCertificate, TLS12_AND_13,
    server_config,
};

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A server without TLS. It runs until the returned set is dropped.
async fn server(limits: Limits) -> (SocketAddr, JoinSet<io::Result<()>>) {
    counted(limits, ServeMetrics::default()).await
}

async fn counted(limits: Limits, metrics: ServeMetrics) -> (SocketAddr, JoinSet<io::Result<()>>) {
    let listening = Listener::bind(&"127.0.0.1:0".parse().unwrap())
        .await
        .unwrap();
    let Address::Tcp(address) = listening.address else {
        panic!("TCP");
    };
    let count = Arc::<AtomicU32>::default();
    let router = Router::new()
        .route("/", get(async || "on"))
        // How many requests there were for this.
        .route(
            "/count",
            get(async move || (count.fetch_add(1, Ordering::Relaxed) + 1).to_string()),
        )
        // The client has proven this much from now on.
        .route(
            "/known",
            get(async |axum::Extension(handle): axum::Extension<ConnectionHandle>| handle.known()),
        )
        .route(
            "/trusted",
            get(
                async |axum::Extension(handle): axum::Extension<ConnectionHandle>| {
                    handle.verified(TrustLevel::Trusted);
                },
            ),
        )
        .route("/last", get(async || ([(CONNECTION, "close")], "last")))
        .route("/long", get(long))
        .route("/list", get(async || vec![b'x'; LIST]))
        .route("/panic", get(panics))
        .route("/panic-later", get(panics_later))
        .route(
            "/paths/{*rest}",
            get(async |uri: http::Uri| uri.to_string()),
        )
        .route(
            "/query",
            get(async |uri: http::Uri| uri.query().map_or(0, str::len).to_string()),
        )
        .fallback(async || StatusCode::NOT_FOUND);
    let server = Server {
        listener: listening.listener,
        tls: None,
        first_look: FirstLook::default(),
        limits,
        metrics,
    };
    let mut running = JoinSet::new();
    running.spawn(server.run(router, CancellationToken::new()));
    (address, running)
}

fn request(path: &str) -> Request<Empty<bytes::Bytes>> {
    let request = Request::get(format!("http://localhost{path}"));
    let request = request.header(http::header::HOST, "localhost");
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
    // The server ends without an error, although the sender exists.
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

/// The bytes of `/list`.
const LIST: usize = 6 << 20;

/// More bytes than the sockets buffer.
const LONG: usize = 64 << 20;
const LIMIT: Duration = Duration::from_millis(300);

/// An answer with a deadline.
async fn long(axum::Extension(line): axum::Extension<ConnectionHandle>) -> Body {
    let deadline = Instant::now() + LIMIT;
    line.track(
        Version::HTTP_11,
        vec![b'x'; LONG].into(),
        Some(deadline),
        (),
    )
    .body
}

#[tokio::test]
async fn a_client_that_does_not_read_loses_the_connection_in_time() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let (address, _running) = server(Limits::default()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = b"GET /long HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(request).await.unwrap();
    // The peer has closed the connection. Nothing was read, so a write must detect it.
    let gone = async {
        while stream.write_all(b"\r\n").await.is_ok() {
            yield_now().await;
        }
    };
    timeout(Duration::from_secs(30), gone).await.unwrap();
    let mut rest = Vec::new();
    // The answer is not complete, whether it ends with a reset or not.
    drop(stream.read_to_end(&mut rest).await);
    assert!(rest.len() < LONG, "{}", rest.len());
}

async fn panics() -> &'static str {
    yield_now().await;
    panic!("on purpose")
}

/// An answer that panics after its beginning.
async fn panics_later() -> Body {
    let pieces = futures::stream::unfold(0, async |piece| match piece {
        0 => Some((Ok::<_, Infallible>("a"), 1)),
        _ => panic!("on purpose"),
    });
    Body::from_stream(Box::pin(pieces))
}

async fn http2_to(
    address: SocketAddr,
    connections: &mut JoinSet<hyper::Result<()>>,
) -> http2::SendRequest<Empty<bytes::Bytes>> {
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .max_header_list_size(1 << 20)
        .handshake(stream)
        .await
        .unwrap();
    connections.spawn(connection);
    sender
}

async fn http1_to(
    address: SocketAddr,
    connections: &mut JoinSet<hyper::Result<()>>,
) -> http1::SendRequest<Empty<bytes::Bytes>> {
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (sender, connection) = http1::handshake(stream).await.unwrap();
    connections.spawn(connection);
    sender
}

#[tokio::test]
async fn a_panic_costs_one_request_and_is_counted() {
    let metrics = ServeMetrics::default();
    let (address, _running) = counted(Limits::default(), metrics.clone()).await;
    let mut connections = JoinSet::new();
    let mut two = http2_to(address, &mut connections).await;
    let mut one = http1_to(address, &mut connections).await;
    let answers = [
        two.send_request(request("/panic")).await.unwrap(),
        one.send_request(request("/panic")).await.unwrap(),
    ];
    for answer in answers {
        assert_eq!(answer.status(), 500);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let text = "This request caused the server to panic. Look in the logs for details.\n";
        assert_eq!(body, text);
    }
    assert_eq!(metrics.panics.get(), 2);
    // An answer that had begun ends, and the client sees that it is not complete.
    let whole = async {
        let begun = two.send_request(request("/panic-later")).await?;
        begun.into_body().collect().await
    };
    assert!(whole.await.is_err());
    assert_eq!(metrics.panics.get(), 3);
    // The connections go on.
    assert_eq!(two.send_request(request("/")).await.unwrap().status(), 200);
    assert_eq!(one.send_request(request("/")).await.unwrap().status(), 200);
    assert_eq!(metrics.open.get(), 2);
}

/// The time until the server closes a silent connection.
async fn closed(stream: &mut TcpStream) -> Duration {
    use tokio::io::AsyncReadExt as _;

    let start = Instant::now();
    let mut byte = [0; 1];
    let read = timeout(Duration::from_mins(1), stream.read(&mut byte));
    // The connection was reset, or it ended.
    drop(read.await.expect("it is closed"));
    start.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_client_without_a_request_is_cut_off_after_ten_seconds() {
    let (address, _running) = server(Limits::default()).await;
    let mut silent = TcpStream::connect(address).await.unwrap();
    let took = closed(&mut silent).await.as_secs();
    assert_eq!(took, 10);
}

#[tokio::test]
async fn silent_connections_do_not_keep_a_probe_out() {
    let limits = Limits {
        connections: 8,
        per_source: 4,
        ..Limits::admin()
    };
    let metrics = ServeMetrics::default();
    let (address, _running) = counted(limits, metrics.clone()).await;
    let mut silent = Vec::new();
    for _ in 0..32 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    let mut connections = JoinSet::new();
    for _ in 0..10 {
        let mut probe = http1_to(address, &mut connections).await;
        let answer = timeout(Duration::from_secs(1), probe.send_request(request("/")));
        assert_eq!(answer.await.unwrap().unwrap().status(), 200);
    }
    // The oldest ones were evicted, and the rest is not over the limit.
    assert!(closed(&mut silent[0]).await < Duration::from_secs(5));
    assert!(metrics.evictions(Reason::PerSource) >= 28);
    assert!(metrics.open.get() <= 8, "{}", metrics.open.get());
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_reported_with_its_owner() {
    let (lines, _guard) = Lines::collect(tracing::Level::INFO);
    let own = ServingCertificate::self_signed(["localhost".to_owned()], []).unwrap();
    let clients = ClientCertificates::Unverified;
    let tls = Tls::new(server_config(own, clients, TLS12_AND_13, &[]).unwrap());
    let refused = OtherError(Arc::new(RefusedCertificate {
        subject: "CN=jane".to_owned(),
        refusal: Refusal::WeakKey(1024),
    }));
    let refused = io::Error::other(rustls::Error::from(CertificateError::Other(refused)));
    let strange = io::Error::other(rustls::Error::from(CertificateError::BadEncoding));
    for error in [strange, refused] {
        tls.say("192.0.2.7:1234", &error);
        tls.say("192.0.2.7:1234", &error);
    }
    let text = lines.text();
    assert_eq!(text.lines().count(), 1, "{text}");
    for part in [
        "WARN",
        "client certificate refused",
        "peer=\"192.0.2.7:1234\"",
        "subject=\"CN=jane\"",
        "error=RSA key of 1024 bits (issue the certificate again with a key of 2048 bits or more)",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}
