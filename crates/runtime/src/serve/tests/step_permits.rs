//! Who waits behind the many requests of one client.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpSocket,
};

use super::{
    frames::{END_STREAM, begin, get_of, next},
    *,
};

/// The requests of the crowd.
const CROWD: u32 = 200;

/// A server that takes all of them at once.
async fn server_for_all() -> (SocketAddr, JoinSet<io::Result<()>>) {
    let limits = Limits {
        streams: CROWD,
        ..Limits::default()
    };
    server(limits).await
}

/// Sends a request that is answered at once, in HTTP/1, and returns the content of the answer.
async fn ask(stream: &mut TcpStream, path: &str) -> String {
    let get = format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
    stream.write_all(get.as_bytes()).await.unwrap();
    let mut answer = vec![0; 512];
    let length = stream.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
    answer.rsplit("\r\n").next().unwrap().to_owned()
}

/// A connection from an address of its own, which is served already.
async fn from(ip: &str, address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{ip}:0").parse().unwrap()).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    assert_eq!(ask(&mut stream, "/").await, "on");
    stream
}

/// Sends [`CROWD`] requests in one piece, in HTTP/2 on one connection, and reads no more than the beginning of an answer. The
/// connection was served before.
async fn crowd_in_http2(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let first = [begin(&[]), get_of(1, "/", END_STREAM)].concat();
    stream.write_all(&first).await.unwrap();
    while next(&mut stream).await.unwrap().0 != 0 {}
    let requests = (1..=CROWD).flat_map(|n| get_of(2 * n + 1, "/count", END_STREAM));
    let requests: Vec<u8> = requests.collect();
    stream.write_all(&requests).await.unwrap();
    // All have begun when the first one is answered.
    next(&mut stream).await.unwrap();
    stream
}

/// The same in HTTP/1.
async fn crowd_in_http1(address: SocketAddr) -> TcpStream {
    let mut stream = from("127.0.0.1", address).await;
    let get = "GET /count HTTP/1.1\r\nHost: h\r\n\r\n";
    let requests = get.repeat(usize::try_from(CROWD).unwrap());
    stream.write_all(requests.as_bytes()).await.unwrap();
    stream
}

/// How many requests of the crowd were answered before the one of `other`.
async fn answered_before(other: &mut TcpStream) -> u32 {
    ask(other, "/count").await.parse::<u32>().unwrap() - 1
}

#[tokio::test]
async fn many_requests_of_one_stranger_delay_those_of_another_by_a_few() {
    let (address, _running) = server_for_all().await;
    let mut other = from("127.0.0.2", address).await;
    let _crowd = crowd_in_http1(address).await;
    let before = answered_before(&mut other).await;
    assert!(before < 10, "{before} of HTTP/1 were answered before");

    let (address, _running) = server_for_all().await;
    let mut other = from("127.0.0.2", address).await;
    let _crowd = crowd_in_http2(address).await;
    let before = answered_before(&mut other).await;
    assert!(
        before < CROWD / 2,
        "{before} of HTTP/2 were answered before"
    );
}

#[tokio::test]
async fn clients_that_have_proven_something_do_not_wait_for_strangers_of_their_address() {
    let mut all = Vec::new();
    for path in ["/", "/known", "/trusted"] {
        let (address, _running) = server_for_all().await;
        let mut other = from("127.0.0.1", address).await;
        ask(&mut other, path).await;
        let _crowd = crowd_in_http2(address).await;
        all.push(answered_before(&mut other).await);
    }
    let [unknown, known, trusted] = all[..] else {
        panic!("three")
    };
    // Another stranger of the address waits for the requests that came before.
    assert_eq!(unknown, CROWD);
    assert!(known < CROWD / 2, "{known}");
    assert!(trusted < CROWD / 2, "{trusted}");
}
