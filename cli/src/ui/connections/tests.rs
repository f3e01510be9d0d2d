//! Strangers on real sockets, and one whose socket is full.

use std::future::pending;

use axum::routing::get;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, duplex},
    time::Instant,
};

use super::*;
use crate::{
    kube_api::fake::Fake,
    ui::{Page, Server},
};

const WITHOUT_TOKEN: &str = "GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";

async fn server() -> Server {
    let page = Page {
        port: 0,
        interval: Duration::from_secs(5),
        namespace: None,
    };
    Server::bind(Fake::default().api(), page).await.unwrap()
}

/// The first line of the answer to the user, who opens the address.
async fn user(address: &str) -> String {
    let rest = address.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).await.unwrap();
    let head = format!("GET /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn strangers_do_not_keep_the_page_from_its_user() {
    let server = server().await;
    let address = server.address().to_owned();
    let host = address.strip_prefix("http://").unwrap();
    let host = host.split('/').next().unwrap().to_owned();
    let client = async {
        let many = WITHOUT_TOKEN.repeat(2_000);
        for sent in ["", "GET / HTTP/1.1\r\n", WITHOUT_TOKEN, &many] {
            let mut strangers = Vec::new();
            for _ in 0..200 {
                let stream = TcpStream::connect(&host).await.unwrap();
                stream.writable().await.unwrap();
                // As much as there is room for. It may be closed already.
                stream.try_write(sent.as_bytes()).ok();
                strangers.push(stream);
            }
            assert_eq!(
                user(&address).await,
                "HTTP/1.1 200 OK",
                "{} bytes",
                sent.len()
            );
        }
    };
    tokio::select! {
        () = server.run(pending()) => {}
        () = client => {}
    }
}

#[tokio::test]
async fn connections_that_have_the_token_and_no_request_give_way() {
    let server = server().await;
    let address = server.address().to_owned();
    let rest = address.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    let head = format!("GET /{path} HTTP/1.1\r\nhost: {host}\r\n\r\n");
    let client = async {
        let mut idle = Vec::new();
        for _ in 0..2 * CONNECTIONS {
            let mut stream = TcpStream::connect(host).await.unwrap();
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut begin = [0; 12];
            stream.read_exact(&mut begin).await.unwrap();
            assert_eq!(&begin, b"HTTP/1.1 200");
            idle.push(stream);
        }
        assert_eq!(user(&address).await, "HTTP/1.1 200 OK");
    };
    tokio::select! {
        () = server.run(pending()) => {}
        () = client => {}
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_read_ends_its_connection_and_one_that_is_not_there_yet_does_not() {
    for is_late in [false, true] {
        let answer = move || async move {
            if is_late {
                pending::<()>().await;
            }
            "x".repeat(10_000)
        };
        // Less than an answer.
        let (mut browser, stream) = duplex(64);
        let proven = Proven::default();
        let in_flight = Some(proven.begin()).filter(|_| is_late);
        let request = async {
            browser.write_all(WITHOUT_TOKEN.as_bytes()).await.unwrap();
        };
        let served = timeout(Duration::from_mins(5), async {
            let router = Router::new().route("/", get(answer));
            tokio::join!(serve(stream, router, proven.clone()), request)
        });
        assert_eq!(served.await.is_err(), is_late);
        drop(in_flight);
    }
}

#[tokio::test]
async fn a_stranger_gets_one_answer() {
    let server = server().await;
    let address = server.address().to_owned();
    let host = address.strip_prefix("http://").unwrap();
    let host = host.split('/').next().unwrap().to_owned();
    let client = async {
        let mut stream = TcpStream::connect(&host).await.unwrap();
        let three = WITHOUT_TOKEN.repeat(3);
        stream.write_all(three.as_bytes()).await.unwrap();
        let mut answers = Vec::new();
        // What was not read is a reason to reset the connection.
        stream.read_to_end(&mut answers).await.ok();
        let answers = String::from_utf8(answers).unwrap();
        assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{answers}");
        assert!(answers.starts_with("HTTP/1.1 401"), "{answers}");
        assert!(answers.contains("connection: close"), "{answers}");
    };
    tokio::select! {
        () = server.run(pending()) => {}
        () = client => {}
    }
}

#[tokio::test(start_paused = true)]
async fn a_stranger_that_reads_nothing_ends_soon_and_the_user_stays() {
    let router = || Router::new().route("/", get(|| async { "x".repeat(10_000) }));
    for is_proven in [false, true] {
        // Less than an answer.
        let (mut browser, stream) = duplex(64);
        let proven = Proven::default();
        if is_proven {
            drop(proven.begin());
        }
        let start = Instant::now();
        let request = async {
            browser.write_all(WITHOUT_TOKEN.as_bytes()).await.unwrap();
        };
        let served = timeout(Duration::from_mins(1), async {
            tokio::join!(serve(stream, router(), proven), request)
        });
        let took = (served.await.is_ok(), start.elapsed().as_secs());
        let expected = if is_proven { (false, 60) } else { (true, 10) };
        assert_eq!(took, expected);
    }
}
