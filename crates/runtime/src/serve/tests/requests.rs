//! The heads of requests: fields, paths, queries, and heads that go on.

use super::*;

/// A request with `fields` fields of `bytes` bytes. These include name, value and the 32 bytes that each field counts
/// in HTTP/2.
fn with_fields(fields: usize, bytes: usize) -> Request<Empty<bytes::Bytes>> {
    let mut request = request("/");
    let value: http::HeaderValue = "x".repeat(bytes - 32 - 1).parse().unwrap();
    // The host is one of the fields.
    for _ in 1..fields {
        request.headers_mut().append("a", value.clone());
    }
    request
}

#[tokio::test]
async fn header_fields_are_counted_in_either_protocol() {
    let metrics = ServeMetrics::default();
    let (address, _running) = counted(Limits::default(), metrics.clone()).await;
    let mut connections = JoinSet::new();
    let mut two = http2_to(address, &mut connections).await;
    // This is the limit of fields, and one more. The same field is repeated, which takes one byte each on the wire.
    for (fields, status) in [(head::FIELDS, 200), (head::FIELDS + 1, 431)] {
        let answer = two.send_request(with_fields(fields, 64)).await.unwrap();
        assert_eq!(answer.status(), status, "{fields}");
    }
    assert_eq!(metrics.heads_refused.get(), 1);
    // The number of fields is below the limit, but they are long.
    let answer = two.send_request(with_fields(64, 2_500)).await;
    assert_eq!(answer.unwrap().status(), 431);
    assert_eq!(two.send_request(request("/")).await.unwrap().status(), 200);

    for (fields, status) in [(head::FIELDS, 200), (head::FIELDS + 1, 431)] {
        let mut one = http1_to(address, &mut connections).await;
        let answer = one.send_request(with_fields(fields, 64)).await.unwrap();
        assert_eq!(answer.status(), status, "{fields}");
    }
    assert_eq!(metrics.heads_refused.get(), 2);
}

#[tokio::test]
async fn a_request_of_http1_says_one_host() {
    let (address, _running) = server(Limits::default()).await;
    let mut connections = JoinSet::new();
    for (hosts, status) in [(0, 400), (1, 200), (2, 400)] {
        let mut request = request("/");
        request.headers_mut().remove(http::header::HOST);
        for _ in 0..hosts {
            let name = http::HeaderValue::from_static("localhost");
            request.headers_mut().append(http::header::HOST, name);
        }
        let mut one = http1_to(address, &mut connections).await;
        let answer = one.send_request(request).await.unwrap();
        assert_eq!(answer.status(), status, "{hosts}");
    }
    let mut two = http2_to(address, &mut connections).await;
    let mut request = request("/");
    request.headers_mut().remove(http::header::HOST);
    assert_eq!(two.send_request(request).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_path_that_nothing_is_served_at_is_not_looked_at() {
    let (address, _running) = server(Limits::default()).await;
    let mut connections = JoinSet::new();
    let mut two = http2_to(address, &mut connections).await;
    let path = |bytes: usize| format!("/{}", "a".repeat(bytes - 1));
    for (path, status) in [
        (path(2_048), 404),
        (path(2_049), 414),
        (format!("/?{}", path(10_000)), 200),
    ] {
        let answer = two.send_request(request(&path)).await.unwrap();
        assert_eq!(answer.status(), status, "{}", path.len());
    }
}

#[tokio::test]
async fn a_path_is_decoded_before_anybody_looks_at_it() {
    let (address, _running) = server(Limits::default()).await;
    let mut connections = JoinSet::new();
    let mut one = http1_to(address, &mut connections).await;
    let mut two = http2_to(address, &mut connections).await;
    for (path, status, seen) in [
        ("/%70aths/%61%2Fb?c=%64", 200, "/paths/a/b?c=%64"),
        ("/paths%2Fa", 200, "/paths/a"),
        ("/paths/a%252Fb", 200, "/paths/a%252Fb"),
        ("/%2570aths/a", 404, ""),
        ("/paths/%zz", 400, "invalid URL escape in the path"),
    ] {
        let answers = [
            one.send_request(request(path)).await.unwrap(),
            two.send_request(request(path)).await.unwrap(),
        ];
        for answer in answers {
            assert_eq!(answer.status(), status, "{path}");
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            let body = std::str::from_utf8(&body).unwrap();
            let body = body.strip_prefix("http://localhost").unwrap_or(body);
            assert_eq!(body, seen, "{path}");
        }
    }
}

/// The limit of the library for path and query.
const LONGEST: usize = 65_534;

/// `/query?xx..` with this length in bytes.
fn long_target(bytes: usize) -> String {
    format!("/query?{}", "x".repeat(bytes - 7))
}

#[tokio::test]
async fn a_query_may_have_64_kib_in_http1() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let (address, _running) = server(Limits::default()).await;
    for (bytes, status) in [(LONGEST, "200 OK"), (LONGEST + 1, "414 URI Too Long")] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "GET {} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
            long_target(bytes)
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let line = format!("HTTP/1.1 {status}\r\n");
        assert!(answer.starts_with(&line), "{bytes}: {answer}");
    }
}

/// The frames of a GET of `target`. No client library would send them.
fn get_frames(stream: u32, target: &str) -> Vec<u8> {
    // :method GET and :scheme http. :path and :authority follow as literals.
    let mut head = vec![0x82, 0x86, 0x04, 0x7f];
    let mut left = target.len() - 127;
    while left >= 128 {
        head.push(u8::try_from(left % 128).unwrap() | 128);
        left /= 128;
    }
    head.push(u8::try_from(left).unwrap());
    head.extend(target.as_bytes());
    head.extend([0x01, 1, b'h']);
    let chunks: Vec<&[u8]> = head.chunks(16_384).collect();
    let mut frames = Vec::new();
    for (at, chunk) in chunks.iter().enumerate() {
        // HEADERS has END_STREAM. CONTINUATION follows. The last frame has END_HEADERS.
        let (kind, end) = if at == 0 { (1, 1) } else { (9, 0) };
        let last = if at + 1 == chunks.len() { 4 } else { 0 };
        frames.extend(frame(kind, end | last, stream, chunk));
    }
    frames
}

#[tokio::test]
async fn a_longer_query_costs_its_stream_alone_in_http2() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let (address, _running) = server(Limits::default()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    sent.extend(frame(4, 0, 0, &[]));
    sent.extend(get_frames(1, &long_target(LONGEST + 1)));
    sent.extend(get_frames(3, &long_target(LONGEST)));
    stream.write_all(&sent).await.unwrap();
    // Kinds of frames: 0 is DATA, 3 is RST_STREAM.
    let mut ends = Vec::new();
    while ends.len() < 2 {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.unwrap();
        let [_, high, low, kind, _, _, _, _, of] = head;
        let mut payload = vec![0; usize::from(u16::from_be_bytes([high, low]))];
        stream.read_exact(&mut payload).await.unwrap();
        if matches!(kind, 0 | 3) {
            ends.push((of, kind, payload));
        }
    }
    // The first stream ends with PROTOCOL_ERROR. The second one gets the length of its query.
    let wanted = [(1, 3, vec![0, 0, 0, 1]), (3, 0, b"65527".to_vec())];
    assert_eq!(ends, wanted);
}

/// A connection with a head that never ends, in either protocol.
async fn endless_head(address: SocketAddr, begin: &[u8]) -> TcpStream {
    use tokio::io::AsyncWriteExt as _;

    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(begin).await.unwrap();
    stream
}

/// The answers after this text was written at once, until the server ends the connection.
async fn all_of(address: SocketAddr, text: &[u8]) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let mut stream = TcpStream::connect(address).await.unwrap();
    // The server may end the connection before all is written.
    drop(stream.write_all(text).await);
    let mut read = Vec::new();
    drop(stream.read_to_end(&mut read).await);
    String::from_utf8(read).unwrap()
}

#[tokio::test]
async fn a_head_that_follows_another_at_once_counts_as_any_other() {
    const WHOLE: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

    let metrics = ServeMetrics::default();
    let limits = Limits {
        large_heads: 0,
        request_head: Duration::from_millis(500),
        ..Limits::admin()
    };
    let (address, _running) = counted(limits, metrics.clone()).await;
    // A short beginning of a head may wait for the rest until the usual limit.
    let begins = format!("GET / HTTP/1.1\r\nA: {}", "a".repeat(8_000));
    let answers = all_of(address, format!("{WHOLE}{WHOLE}{begins}").as_bytes()).await;
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 2, "{answers}");
    assert_eq!(metrics.heads_refused.get(), 0);
    // Bytes that came with the previous request count for the long head.
    let begins = format!("GET / HTTP/1.1\r\nA: {}", "a".repeat(20_000));
    all_of(address, format!("{WHOLE}{begins}").as_bytes()).await;
    assert_eq!(metrics.heads_refused.get(), 1);
}

#[tokio::test]
async fn a_client_that_sends_heads_without_end_delays_no_other() {
    use tokio::io::AsyncWriteExt as _;

    let (address, _running) = server(Limits::admin()).await;
    let mut floods = JoinSet::new();
    for _ in 0..8 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let heads = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(1_000);
        // The client reads no answer.
        floods.spawn(async move { while stream.write_all(heads.as_bytes()).await.is_ok() {} });
    }
    for _ in 0..50 {
        let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
        let (mut sender, connection) = http1::handshake(stream).await.unwrap();
        floods.spawn(async move { drop(connection.await) });
        let answer = timeout(Duration::from_secs(10), sender.send_request(request("/")));
        assert_eq!(answer.await.unwrap().unwrap().status(), 200);
    }
}

#[tokio::test]
async fn heads_that_go_on_have_room_for_a_few_and_take_it_from_no_other() {
    use tokio::io::AsyncReadExt as _;

    // HEADERS without END_HEADERS, with one indexed field.
    let two = [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
        &[0, 0, 0, 4, 0, 0, 0, 0, 0],
        &[0, 0, 1, 1, 0, 0, 0, 0, 1, 0x82],
    ]
    .concat();
    let one = [b"GET / HTTP/1.1\r\nA: ".to_vec(), vec![b'x'; 20 << 10]].concat();
    for begin in [two, one] {
        let limits = Limits {
            large_heads: 1,
            ..Limits::default()
        };
        let metrics = ServeMetrics::default();
        let (address, _running) = counted(limits, metrics.clone()).await;
        let mut heads = JoinSet::new();
        for _ in 0..3 {
            let mut stream = endless_head(address, &begin).await;
            heads.spawn(async move {
                let mut rest = Vec::new();
                // The connection ends, perhaps with a reset.
                drop(stream.read_to_end(&mut rest).await);
            });
        }
        // Two of them are closed.
        for _ in 0..2 {
            heads.join_next().await.unwrap().unwrap();
        }
        assert_eq!(metrics.heads_refused.get(), 2);
        let mut connections = JoinSet::new();
        let mut sender = http2_to(address, &mut connections).await;
        assert_eq!(
            sender.send_request(request("/")).await.unwrap().status(),
            200
        );
        // The third one is closed after its deadline.
        heads.join_next().await.unwrap().unwrap();
        assert_eq!(metrics.heads_refused.get(), 3);
    }
}
