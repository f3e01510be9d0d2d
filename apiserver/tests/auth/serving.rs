//! Limits, certificates by name, and the end.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http_body_util::Empty;
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls_pki_types::CertificateDer;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};
use tributary_runtime::tls;
use tributary_sim::{ApiFault, Ca, Pki};
use tributary_testkit::{patience::eventually, trust};

use super::{
    caller::{Answer, Caller},
    stage::{NODES, Stage},
};

#[tokio::test(flavor = "multi_thread")]
async fn an_older_tls_than_wanted_is_not_spoken() {
    let stage = Stage::start(&["--tls-min-version=VersionTLS13"]).await;
    assert!(Caller::stranger().tls12().connect(stage.api).await.is_err());
    let answer = Caller::stranger().get(stage.api, "/livez").await;
    assert_eq!(answer.status, 200);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_http2_there_is_http1() {
    let stage = Stage::start(&["--disable-http2-serving"]).await;
    let (_, protocol) = shown(stage.api, "localhost").await;
    assert_eq!(protocol, Some(b"http/1.1".to_vec()));
    stage.stop().await;

    let stage = Stage::start(&[]).await;
    let (_, protocol) = shown(stage.api, "localhost").await;
    assert_eq!(protocol, Some(b"h2".to_vec()));
    stage.stop().await;
}

/// The certificate for those who ask for `name`, and the protocol.
pub(crate) async fn shown(
    api: SocketAddr,
    name: &str,
) -> (CertificateDer<'static>, Option<Vec<u8>>) {
    let stream = trust::session(api, name, &["h2", "http/1.1"])
        .await
        .unwrap();
    let session = stream.get_ref().1;
    let own = session
        .peer_certificates()
        .unwrap()
        .first()
        .unwrap()
        .clone();
    (own, session.alpn_protocol().map(<[u8]>::to_vec))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_asks_for_a_name_sees_its_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::new().unwrap();
    let pair = pki.server(Ca::Bus, &["metrics.test".to_owned()]).unwrap();
    let (certificate, key) = pair.write(dir.path(), "named").unwrap();
    let flag = format!(
        "--tls-sni-cert-key={},{}",
        certificate.display(),
        key.display()
    );
    let stage = Stage::start(&[&flag]).await;
    let named = tls::certificates(&certificate).unwrap();
    assert_eq!(vec![shown(stage.api, "metrics.test").await.0], named);
    assert_ne!(vec![shown(stage.api, "localhost").await.0], named);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_too_long_is_refused() {
    let stage = Stage::start(&[]).await;
    let long = |bytes: usize| Caller::stranger().header("X-Long", &"x".repeat(bytes));
    for (bytes, status) in [(120 << 10, 200), (128 << 10, 431)] {
        let answer = long(bytes).get(stage.api, "/livez").await;
        assert_eq!(answer.status, status, "{bytes}");
        assert_eq!(long(bytes).get_http2(stage.api, "/livez").await, status);
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_in_a_thousand_groups_has_room() {
    let stage = Stage::ready(&[]).await;
    let mut jane = stage.front_proxy("jane");
    for group in 1..1_000 {
        // As long as those of an identity provider, with a name and a UUID.
        let group = format!("oidc:department-of-something:{group:036}");
        jane = jane.header("X-Remote-Group", &group);
    }
    // All are read: it is the last of them that lets her in.
    let jane = jane.header("X-Remote-Group", "system:masters");
    assert_eq!(jane.get(stage.api, NODES).await.status, 200);
    assert_eq!(jane.get_http2(stage.api, NODES).await, 200);
    stage.stop().await;
}

/// More connections than one address may have.
const FLOOD: usize = 600;

#[tokio::test(flavor = "multi_thread")]
async fn strangers_without_a_request_keep_no_client_out() {
    let stage = Stage::ready(&[]).await;
    let user = Caller::with(stage.cluster.pki(), Ca::Cluster, "jane");
    let lines = [
        stage.front_proxy("jane").connect(stage.api).await,
        user.connect(stage.api).await,
    ];
    // Older than all strangers, and idle.
    let mut lines = lines.map(Result::unwrap);
    for line in &mut lines {
        line.get("/livez").await.unwrap();
    }
    let mut strangers = Vec::new();
    for _ in 0..FLOOD {
        strangers.push(TcpStream::connect(stage.api).await.unwrap());
    }
    for _ in 0..10 {
        let probe = Caller::stranger();
        let probe = timeout(Duration::from_secs(1), probe.get(stage.api, "/livez"));
        assert_eq!(probe.await.expect("an answer").status, 200);
    }
    for line in &mut lines {
        assert_eq!(line.get("/livez").await.unwrap().status, 200);
    }
    let master = stage
        .front_proxy("root")
        .header("X-Remote-Group", "system:masters");
    let metrics = master.get(stage.api, "/metrics").await.body;
    let family = "tributary_api_connections_evicted_total{reason=\"address-share\"} ";
    let evicted = metrics.lines().find_map(|line| line.strip_prefix(family));
    let evicted: usize = evicted.unwrap().parse().unwrap();
    assert!(evicted >= FLOOD - 512, "{evicted}");
    stage.stop().await;
}

/// Requests of users about whom nobody answers.
async fn stuck(stage: &Stage, users: &[&'static str]) -> JoinSet<Answer> {
    stage.cluster.set_api_fault(ApiFault::Hang).await;
    let mut asking = JoinSet::new();
    for user in users {
        let (caller, api) = (stage.front_proxy(user), stage.api);
        asking.spawn(async move { caller.get(api, NODES).await });
    }
    asking
}

/// One request that is in flight where there is room for one: another was
/// refused.
async fn one_stuck(stage: &Stage) -> (JoinSet<Answer>, Answer) {
    let mut asking = stuck(stage, &["jane", "bob"]).await;
    let refused = asking.join_next().await.unwrap().unwrap();
    (asking, refused)
}

const TOO_MANY: &str = concat!(
    r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","#,
    r#""message":"Too many requests, please try again later.","reason":"TooManyRequests","#,
    r#""details":{"retryAfterSeconds":1},"code":429}"#,
    "\n"
);

#[tokio::test(flavor = "multi_thread")]
async fn more_requests_than_allowed_have_to_retry_later() {
    let stage = Stage::ready(&["--max-requests-inflight=1"]).await;
    let (mut stuck, refused) = one_stuck(&stage).await;
    assert_eq!((refused.status, &*refused.body), (429, TOO_MANY));
    // Nobody has to be asked about this group.
    let master = stage
        .front_proxy("root")
        .header("X-Remote-Group", "system:masters");
    assert_eq!(master.get(stage.api, NODES).await.status, 200);
    for (path, status) in [
        ("/livez", 200),
        ("/healthz", 200),
        ("/livez/anything", 429),
        ("/metrics/anything", 429),
    ] {
        let answer = Caller::stranger().get(stage.api, path).await;
        assert_eq!(answer.status, status, "{path}");
    }
    stage.cluster.set_api_fault(ApiFault::None).await;
    assert_ne!(stuck.join_next().await.unwrap().unwrap().status, 429);
    stage.stop().await;
}

/// Asks over HTTP/2, and lets no byte of the answer be sent.
struct Untaken {
    answer: http::Response<Incoming>,
    connection: JoinSet<()>,
}

impl Untaken {
    async fn ask(api: SocketAddr, token: &str) -> Self {
        let stream = trust::session(api, "localhost", &["h2"]).await.unwrap();
        let (mut sender, served) = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(0)
            .handshake::<_, Empty<Bytes>>(TokioIo::new(stream))
            .await
            .unwrap();
        let mut connection = JoinSet::new();
        connection.spawn(async move { drop(served.await) });
        let request = http::Request::get(format!("https://localhost{NODES}"))
            .header("Authorization", format!("Bearer {token}"))
            .body(Empty::new())
            .unwrap();
        Self {
            answer: sender.send_request(request).await.unwrap(),
            connection,
        }
    }

    /// The server has closed the connection.
    async fn closed(mut self) {
        let closed = timeout(Duration::from_secs(30), self.connection.join_next());
        closed.await.unwrap().unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_not_taken_makes_room_for_others() {
    let stage = Stage::ready(&["--max-requests-inflight=1"]).await;
    let untaken = Untaken::ask(stage.api, &stage.root()).await;
    assert_eq!(untaken.answer.status(), 200);
    let jane = stage.front_proxy("jane");
    let refused = jane.get(stage.api, NODES).await;
    assert_eq!((refused.status, &*refused.body), (429, TOO_MANY));
    eventually(|| async {
        let answer = jane.get(stage.api, NODES).await;
        if answer.status == 429 {
            Err(answer)
        } else {
            Ok(())
        }
    })
    .await;
    untaken.closed().await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_untaken_refusal_is_given_up_soon() {
    let stage = Stage::ready(&["--request-timeout=0"]).await;
    let untaken = Untaken::ask(stage.api, "nobody's").await;
    assert_eq!(untaken.answer.status(), 401);
    untaken.closed().await;
    stage.stop().await;
}

/// A connection that sends the beginning of a long request and waits for its end.
async fn endless_head(api: SocketAddr) {
    let mut stream = trust::session(api, "localhost", &[]).await.unwrap();
    let head = [b"GET / HTTP/1.1\r\nA: ".to_vec(), vec![b'x'; 20 << 10]].concat();
    // Whether it is closed with a reset or not.
    drop(stream.write_all(&head).await);
    drop(stream.read_to_end(&mut Vec::new()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn unfinished_heads_of_strangers_leave_room_for_the_front_proxy() {
    let stage = Stage::ready(&[]).await;
    let mut strangers = JoinSet::new();
    for _ in 0..66 {
        strangers.spawn(endless_head(stage.api));
    }
    // There is room for 64 of them.
    for _ in 0..2 {
        strangers.join_next().await.unwrap().unwrap();
    }
    let mut root = stage
        .front_proxy("root")
        .header("X-Remote-Group", "system:masters");
    for number in 0..200 {
        root = root.header("X-Remote-Group", &format!("{number:0120}"));
    }
    // On a new connection, as its first request.
    assert_eq!(root.get(stage.api, NODES).await.status, 200);
    assert_eq!(strangers.len(), 64);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_takes_too_long_is_given_up() {
    let stage = Stage::ready(&["--request-timeout=300ms"]).await;
    let mut stuck = stuck(&stage, &["jane"]).await;
    let answer = stuck.join_next().await.unwrap().unwrap();
    assert_eq!(answer.status, 504, "{answer:?}");
    let message = "Timeout: request did not complete within the allotted timeout";
    assert!(answer.body.contains(message), "{answer:?}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frontend_that_stops_says_so_first_and_still_serves() {
    let mut stage = Stage::ready(&["--shutdown-delay-duration=1s"]).await;
    let root = Caller::stranger().bearer(&stage.root());
    let mut line = root.connect(stage.api).await.unwrap();
    stage.leaving.cancel();
    // On a new connection and on one that is there.
    let ready = Caller::stranger().get(stage.api, "/readyz").await;
    assert_eq!(ready.status, 500);
    assert!(ready.body.contains("[-]shutdown failed"), "{ready:?}");
    assert_eq!(root.get(stage.api, NODES).await.status, 200);
    assert_eq!(line.get(NODES).await.unwrap().status, 200);
    stage.ended().await;
    assert!(TcpStream::connect(stage.api).await.is_err());
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_end_new_requests_are_sent_elsewhere_while_others_end() {
    let flags = [
        "--shutdown-delay-duration=0s",
        "--shutdown-send-retry-after",
        "--shutdown-grace-period=1m",
        "--max-requests-inflight=1",
    ];
    let mut stage = Stage::ready(&flags).await;
    let (mut stuck, _) = one_stuck(&stage).await;
    let root = stage
        .front_proxy("root")
        .header("X-Remote-Group", "system:masters");
    stage.leaving.cancel();
    let answer = eventually(|| async {
        let answer = root.get(stage.api, NODES).await;
        if answer.status == 429 {
            Ok(answer)
        } else {
            Err(answer)
        }
    })
    .await;
    let message = "The apiserver is shutting down, please try again later.";
    assert!(answer.body.contains(message), "{answer:?}");
    stage.cluster.set_api_fault(ApiFault::None).await;
    let last = stuck.join_next().await.unwrap().unwrap();
    assert_ne!(last.status, 429, "{last:?}");
    stage.ended().await;
    stage.stop().await;
}
