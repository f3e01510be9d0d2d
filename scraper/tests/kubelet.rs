//! One request to one kubelet, over real sockets, with everything that a
//! kubelet or somebody in its place can do wrong.

#![expect(clippy::unwrap_used, reason = "a test ends by it")]

#[path = "kubelet/server.rs"]
mod server;

#[path = "kubelet/fallback.rs"]
mod fallback;

use std::{io::Write as _, net::TcpListener, sync::Arc, time::Duration};

use flate2::{Compression, write::GzEncoder};
use http::uri::PathAndQuery;
use kube::Config;
use tributary_model::{Bytes, Timestamp};
use tributary_scraper::{
    kubelet::{
        Client, DEFAULT_PAGE, Kubelet, Limits, Reason, ScrapeError, Security, decode::Decoded,
    },
    nodes::Target,
};

use self::server::{Answer, Server};

const PAGE: &str = "node_swap_usage_bytes 7 5\n";
const ASKED_AT: Timestamp = Timestamp::from_millis(1_000);

/// Long enough that no test meets it by accident.
const PATIENT: Duration = Duration::from_mins(1);

fn ok(body: &[u8], more: &str) -> Vec<u8> {
    let length = body.len();
    let mut answer =
        format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n{more}\r\n").into_bytes();
    answer.extend_from_slice(body);
    answer
}

fn page() -> Answer {
    Answer::Whole(ok(PAGE.as_bytes(), ""))
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

/// The configuration of a cluster whose CA signed the certificate of `server`.
fn cluster(server: &Server) -> Config {
    let mut config = Config::new("https://cluster.test".parse().unwrap());
    config.root_cert = Some(vec![server.ca.to_vec()]);
    config.auth_info.token = Some("secret-token".to_owned().into());
    config
}

fn limits(time: Duration) -> Limits {
    let page = DEFAULT_PAGE;
    Limits {
        time,
        page,
        fallback: true,
    }
}

fn client_within(config: &Config, limit: Duration) -> Arc<Client> {
    Client::new(&Security::default(), config, limits(limit)).unwrap()
}

fn kubelet(server: &Server) -> Kubelet {
    Kubelet::new(client_within(&cluster(server), PATIENT))
}

fn target(server: &Server) -> Target {
    Target {
        node: "n1".into(),
        uid: "".into(),
        host: Ok("127.0.0.1".into()),
        port: server.port,
        path: PathAndQuery::from_static("/metrics/resource"),
        ready: true,
        cpu_millis: None,
    }
}

async fn ask(server: &Server) -> Result<Decoded, ScrapeError> {
    kubelet(server).scrape(&target(server), ASKED_AT).await
}

/// Why the first scrape of a kubelet that answers so fails.
async fn failure(answer: impl Fn() -> Answer + Send + Sync + 'static) -> (Reason, String) {
    let server = Server::tls(&["127.0.0.1"], move |_| answer()).await;
    let error = ask(&server).await.unwrap_err();
    (error.reason(), error.to_string())
}

#[track_caller]
fn is_the_page(scraped: Result<Decoded, ScrapeError>) {
    let reading = scraped.unwrap().reading;
    assert_eq!(reading.point.swap, Some(Bytes(7)));
    assert_eq!(reading.asked_at, ASKED_AT);
}

#[tokio::test]
async fn the_request_is_what_a_kubelet_expects_and_the_connection_is_kept() {
    let server = Server::tls(&["127.0.0.1"], |_| page()).await;
    let mut kubelet = kubelet(&server);
    for _ in 0..3 {
        is_the_page(kubelet.scrape(&target(&server), ASKED_AT).await);
    }
    let requests = server.requests();
    let head = format!(
        "GET /metrics/resource HTTP/1.1\r\n\
         host: 127.0.0.1:{}\r\n\
         user-agent: tributary-scraper/{}\r\n\
         accept-encoding: gzip\r\n\
         authorization: Bearer secret-token\r\n\r\n",
        server.port,
        env!("CARGO_PKG_VERSION"),
    );
    assert_eq!(requests[0].head, head);
    assert_eq!(requests[0].protocol.as_deref(), Some("http/1.1"));
    let connections: Vec<usize> = requests.iter().map(|request| request.connection).collect();
    assert_eq!(connections, [1, 1, 1]);
}

#[tokio::test]
async fn a_compressed_page_and_one_in_chunks_are_read() {
    let compressed = Server::tls(&["127.0.0.1"], |_| {
        Answer::Whole(ok(&gzip(PAGE.as_bytes()), "content-encoding: gzip\r\n"))
    });
    is_the_page(ask(&compressed.await).await);
    let chunked = Server::tls(&["127.0.0.1"], |_| {
        let (length, page) = (PAGE.len(), PAGE);
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n";
        Answer::Whole(format!("{head}\r\n{length:x}\r\n{page}\r\n0\r\n\r\n").into_bytes())
    });
    is_the_page(ask(&chunked.await).await);
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_is_dialled_again_at_once() {
    let server = Server::tls(&["127.0.0.1"], |request| match request {
        1 => Answer::ThenClose(ok(PAGE.as_bytes(), "")),
        _ => page(),
    })
    .await;
    let mut kubelet = kubelet(&server);
    is_the_page(kubelet.scrape(&target(&server), ASKED_AT).await);
    server.closed(1).await;
    is_the_page(kubelet.scrape(&target(&server), ASKED_AT).await);
    assert_eq!(server.requests().last().unwrap().connection, 2);
}

#[tokio::test]
async fn a_kubelet_that_hangs_up_without_an_answer_is_asked_once() {
    let server = Server::tls(&["127.0.0.1"], |_| Answer::ThenClose(Vec::new())).await;
    let error = ask(&server).await.unwrap_err();
    assert_eq!(error.reason(), Reason::Dial);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn no_redirect_is_followed_and_the_token_goes_nowhere_else() {
    let elsewhere = Server::tls(&["127.0.0.1"], |_| page()).await;
    let location = format!("https://127.0.0.1:{}/metrics/resource", elsewhere.port);
    let server = Server::tls(&["127.0.0.1"], move |_| {
        let head = "HTTP/1.1 307 Temporary Redirect\r\ncontent-length: 0\r\n";
        Answer::Whole(format!("{head}location: {location}\r\n\r\n").into_bytes())
    })
    .await;
    let error = ask(&server).await.unwrap_err();
    assert_eq!(error.reason(), Reason::Status);
    assert_eq!(
        error.to_string(),
        "request failed, status: \"307 Temporary Redirect\"; redirects are not followed"
    );
    assert_eq!(elsewhere.requests().len(), 0);
}

#[tokio::test]
async fn a_refusal_says_what_helps_and_costs_no_handshake() {
    let server = Server::tls(&["127.0.0.1"], |request| {
        let status = match request {
            1 => "401 Unauthorized",
            2 => "403 Forbidden",
            _ => "503 Service Unavailable",
        };
        Answer::Whole(format!("HTTP/1.1 {status}\r\ncontent-length: 4\r\n\r\nsad\n").into_bytes())
    })
    .await;
    let mut kubelet = kubelet(&server);
    for (reason, message) in [
        (
            Reason::Auth,
            "request failed, status: \"401 Unauthorized\"; \
             the kubelet does not accept our token or client certificate",
        ),
        (
            Reason::Auth,
            "request failed, status: \"403 Forbidden\"; \
             the kubelet needs the verb get on nodes/metrics to be allowed",
        ),
        (
            Reason::Status,
            "request failed, status: \"503 Service Unavailable\"",
        ),
    ] {
        let error = kubelet
            .scrape(&target(&server), ASKED_AT)
            .await
            .unwrap_err();
        assert_eq!(
            (error.reason(), error.to_string().as_str()),
            (reason, message)
        );
    }
    assert_eq!(server.requests().last().unwrap().connection, 1);
}

#[tokio::test]
async fn a_page_without_end_and_a_bomb_are_too_large() {
    let too_large = (
        Reason::TooLarge,
        "the page is larger than 4194304 bytes: --kubelet-max-page-size".to_owned(),
    );
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    assert_eq!(failure(|| Answer::Endless(head.into())).await, too_large);
    let announced = "HTTP/1.1 200 OK\r\ncontent-length: 104857600\r\n\r\n";
    assert_eq!(failure(|| Answer::Whole(announced.into())).await, too_large);
    let bomb = gzip(&vec![0; 32 << 20]);
    let bomb = ok(&bomb, "content-encoding: gzip\r\n");
    assert_eq!(
        failure(move || Answer::Whole(bomb.clone())).await,
        too_large
    );
    let head = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(2000));
    assert_eq!(
        failure(move || Answer::Whole(head.clone().into())).await.0,
        Reason::TooLarge
    );
}

#[tokio::test]
async fn informational_responses_have_a_limit() {
    let early = "HTTP/1.1 103 Early Hints\r\nlink: </>\r\n\r\n";
    let server = Server::tls(&["127.0.0.1"], move |_| {
        Answer::Whole([early.repeat(8).into_bytes(), ok(PAGE.as_bytes(), "")].concat())
    })
    .await;
    let mut kubelet = kubelet(&server);
    for _ in 0..2 {
        is_the_page(kubelet.scrape(&target(&server), ASKED_AT).await);
    }
    let too_many = "more than 8 informational responses before the answer";
    let refused = (Reason::Malformed, too_many.to_owned());
    for count in [9, 100_000] {
        let sent = early.repeat(count);
        let failed = failure(move || Answer::ThenHang(sent.clone().into())).await;
        assert_eq!(failed, refused, "{count}");
    }
}

#[tokio::test]
async fn a_page_that_is_cut_short_is_not_half_a_page() {
    let cut = (Reason::Malformed, "the answer is cut short".to_owned());
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n";
    assert_eq!(
        failure(move || Answer::ThenClose(format!("{head}{PAGE}").into())).await,
        cut
    );
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1a\r\n";
    assert_eq!(
        failure(move || Answer::ThenClose(format!("{head}{PAGE}").into())).await,
        cut
    );
    let mut short = gzip(PAGE.as_bytes());
    short.pop();
    let short = ok(&short, "content-encoding: gzip\r\n");
    assert_eq!(failure(move || Answer::Whole(short.clone())).await, cut);
}

#[tokio::test]
async fn other_pages_are_recognized() {
    let html = ok(b"<html>\n", "content-type: text/html\r\n");
    assert_eq!(
        failure(move || Answer::Whole(html.clone())).await,
        (
            Reason::Malformed,
            "line 1 of the answer is not a metric".to_owned()
        )
    );
    assert_eq!(
        failure(|| Answer::Whole(ok(b"", ""))).await.0,
        Reason::Empty
    );
    let not_http = || Answer::ThenClose(b"SSH-2.0-OpenSSH_9.6\r\n".to_vec());
    assert_eq!(failure(not_http).await.0, Reason::Malformed);
}

#[tokio::test]
async fn a_kubelet_that_is_slow_is_given_up_and_asked_again() {
    let server = Server::tls(&["127.0.0.1"], |request| match request {
        1 => Answer::Hang,
        2 => Answer::ThenHang(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nnode".to_vec()),
        _ => page(),
    })
    .await;
    let limit = Duration::from_millis(300);
    let mut kubelet = Kubelet::new(client_within(&cluster(&server), limit));
    for during in ["waiting for an answer", "reading the answer"] {
        let error = kubelet
            .scrape(&target(&server), ASKED_AT)
            .await
            .unwrap_err();
        assert_eq!(error.reason(), Reason::Timeout);
        assert_eq!(
            error.to_string(),
            format!("timeout during {during}: --kubelet-request-timeout is 300ms")
        );
    }
    is_the_page(kubelet.scrape(&target(&server), ASKED_AT).await);
    assert_eq!(server.requests().last().unwrap().connection, 3);
}

#[tokio::test]
async fn a_certificate_that_proves_nothing_is_refused_before_the_token_is_sent() {
    let server = Server::tls(&["127.0.0.1"], |_| page()).await;
    let stranger = Server::tls(&["127.0.0.1"], |_| page()).await;
    let mut kubelet = Kubelet::new(client_within(&cluster(&stranger), PATIENT));
    let error = kubelet
        .scrape(&target(&server), ASKED_AT)
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Reason::Tls);
    assert_eq!(
        error.to_string(),
        "x509: certificate signed by unknown authority (give its CA as \
         --kubelet-certificate-authority, or --kubelet-insecure-tls to verify nothing)"
    );
    assert_eq!(server.requests().len(), 0);

    let other = Server::tls(&["n1.test"], |_| page()).await;
    let error = ask(&other).await.unwrap_err();
    assert_eq!(error.reason(), Reason::Tls);
    assert_eq!(
        error.to_string(),
        "x509: certificate is valid for n1.test, not 127.0.0.1 (choose another address by \
         --kubelet-preferred-address-types, or let the kubelet have a certificate from the cluster)"
    );
    assert_eq!(other.requests().len(), 0);
}

#[tokio::test]
async fn a_certificate_of_another_node_is_refused_if_names_are_verified() {
    let security = Security {
        verify_node_name: true,
        ..Security::default()
    };
    let named = |names: &'static [&'static str]| async {
        let server = Server::named(&["127.0.0.1"], names, |_| page()).await;
        let client = Client::new(&security, &cluster(&server), limits(PATIENT)).unwrap();
        let scraped = Kubelet::new(client)
            .scrape(&target(&server), ASKED_AT)
            .await;
        (scraped, server.requests().len())
    };
    is_the_page(named(&["system:node:n1"]).await.0);
    for names in [
        &[][..],
        &["n1"],
        &["system:node:n2"],
        &["system:node:n1x"],
        &["System:Node:n1"],
        &["system:node:n2", "system:node:n1"],
        &["kube-apiserver"],
    ] {
        let (scraped, requests) = named(names).await;
        let error = scraped.unwrap_err();
        assert_eq!(error.reason(), Reason::Tls, "{names:?}");
        assert_eq!(
            error.to_string(),
            "x509: the common name of the certificate is not \"system:node:n1\", which \
             --kubelet-verify-node-name wants (let the kubelet have a certificate from the signer \
             kubernetes.io/kubelet-serving, by serverTLSBootstrap)"
        );
        // The token was not sent.
        assert_eq!(requests, 0, "{names:?}");
    }
    // Nobody looks unless told to.
    let other = Server::named(&["127.0.0.1"], &["system:node:n2"], |_| page()).await;
    is_the_page(ask(&other).await);
}

#[tokio::test]
async fn what_a_node_makes_us_ask_is_not_shown_to_others() {
    let secret = br#"{"kind":"SecretList","items":[{"data":"aHVudGVyMg=="}]}"#;
    for answer in [
        ok(secret, "content-type: application/json\r\n"),
        [
            b"HTTP/1.1 404 Not Found\r\ncontent-length: 55\r\n\r\n".as_slice(),
            secret,
        ]
        .concat(),
        b"HTTP/1.1 302 Found\r\nlocation: https://hunter2.test/\r\ncontent-length: 0\r\n\r\n"
            .to_vec(),
    ] {
        let server = Server::tls(&["127.0.0.1"], move |_| Answer::Whole(answer.clone())).await;
        let message = ask(&server).await.unwrap_err().to_string();
        for part in ["Secret", "hunter2", "aHVudGVyMg"] {
            assert!(!message.contains(part), "{message}");
        }
    }
    // Our own log has it, escaped.
    let server = Server::tls(&["127.0.0.1"], |_| Answer::Whole(ok(b"<html>\x1b\n", ""))).await;
    let error = ask(&server).await.unwrap_err();
    assert_eq!(
        error.excerpt(),
        Some(r"line 1 is not a metric: `<html>\x1b`")
    );
}

#[tokio::test]
async fn insecure_tls_trusts_anybody() {
    let server = Server::tls(&["n1.test"], |_| page()).await;
    let security = Security {
        insecure_tls: true,
        ..Security::default()
    };
    let anonymous = Config::new("https://cluster.test".parse().unwrap());
    let client = Client::new(&security, &anonymous, limits(PATIENT)).unwrap();
    is_the_page(
        Kubelet::new(client)
            .scrape(&target(&server), ASKED_AT)
            .await,
    );
}

#[tokio::test]
async fn completely_insecure_is_plain_http_without_the_token() {
    let server = Server::plain(|_| page()).await;
    let security = Security {
        completely_insecure: true,
        ..Security::default()
    };
    let client = Client::new(&security, &cluster(&server), limits(PATIENT)).unwrap();
    is_the_page(
        Kubelet::new(client)
            .scrape(&target(&server), ASKED_AT)
            .await,
    );
    assert!(!server.requests()[0].head.contains("authorization"));
}

#[tokio::test]
async fn the_client_certificate_is_shown_and_the_token_for_the_api_is_not() {
    let server = Server::tls(&["127.0.0.1"], |_| page()).await;
    let security = Security {
        pair: Some(server.client_pair()),
        ..Security::default()
    };
    let client = Client::new(&security, &cluster(&server), limits(PATIENT)).unwrap();
    is_the_page(
        Kubelet::new(client)
            .scrape(&target(&server), ASKED_AT)
            .await,
    );
    is_the_page(ask(&server).await);
    let requests = server.requests();
    let shown: Vec<_> = requests
        .iter()
        .map(|it| (it.with_certificate, it.head.contains("secret-token")))
        .collect();
    assert_eq!(shown, [(true, false), (false, true)]);
}

#[tokio::test]
async fn no_listener_differs_from_no_route() {
    let server = Server::plain(|_| page()).await;
    let mut kubelet = kubelet(&server);
    let mut nowhere = target(&server);
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    nowhere.port = free.local_addr().unwrap().port();
    drop(free);
    let error = kubelet.scrape(&nowhere, ASKED_AT).await.unwrap_err();
    assert_eq!(error.reason(), Reason::Dial);
    assert!(
        error.to_string().starts_with("dial: Connection refused"),
        "{error}"
    );

    nowhere.host = Ok("".into());
    let error = kubelet.scrape(&nowhere, ASKED_AT).await.unwrap_err();
    assert_eq!(
        (error.reason(), error.to_string().as_str()),
        (Reason::Address, "the address is empty")
    );
}
