use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use k8s_openapi::api::core::v1::Node;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinSet,
};

use super::{
    fake::{Fake, Reply},
    *,
};

#[tokio::test]
async fn a_list_is_read_page_by_page() {
    let page = |name: &str, token: &str| json!({ "metadata": { "continue": token }, "items": [{ "metadata": { "name": name } }] });
    let fake = Fake::default()
        .with("/api/v1/nodes", 200, page("a", "x/y="))
        .with("/api/v1/nodes?continue=x%2Fy%3D", 200, page("b", ""));
    let nodes = fake
        .api()
        .dated_list::<Node>("/api/v1/nodes")
        .await
        .unwrap();
    let names = nodes
        .read
        .into_iter()
        .map(|node| node.metadata.name.unwrap());
    assert_eq!(names.collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(nodes.date.unwrap().to_string(), "2026-11-29T17:00:00Z");
    assert_eq!(fake.asked()[0], "/api/v1/nodes?limit=500");
}

#[tokio::test]
async fn refusals_say_what_the_server_says() {
    let refused = |message: &str| json!({ "kind": "Status", "message": message });
    let api = Fake::default()
        .with("/a", 403, refused("nodes is forbidden"))
        .with("/b", 503, refused("unavailable"))
        .with("/c", 500, json!("broken"))
        .api();
    let refusal = async |path| api.get::<Value>(path).await.unwrap_err();
    let forbidden = Failure::Forbidden("nodes is forbidden".to_owned());
    assert_eq!(refusal("/a").await, forbidden);
    let unavailable = Failure::Unavailable("unavailable".to_owned());
    assert_eq!(refusal("/b").await, unavailable);
    let broken = "https://fake/c: 500 Internal Server Error: \"broken\"".to_owned();
    assert_eq!(refusal("/c").await, Failure::Failed(broken));
    assert_eq!(
        refusal("/d").await,
        Failure::NotFound("/d not found".to_owned())
    );
}

#[tokio::test]
async fn what_the_server_says_is_cut() {
    let endless = json!({ "message": "é".repeat(1_000_000) });
    let api = Fake::default().with("/a", 403, endless).api();
    let failure = api.get::<Value>("/a").await.unwrap_err();
    assert_eq!(failure, Failure::Forbidden("é".repeat(4_096)));
}

#[tokio::test]
async fn nulls_are_absent_fields() {
    let nodes =
        json!({ "metadata": null, "items": [{ "metadata": { "name": "a", "labels": null } }] });
    let api = Fake::default().with("/api/v1/nodes", 200, nodes).api();
    let nodes = api.list::<Node>("/api/v1/nodes").await.unwrap();
    assert_eq!(nodes.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_api_that_is_silent_is_given_up() {
    let silent = tower::service_fn(|_: Request<Body>| {
        std::future::pending::<Result<http::Response<Body>, std::io::Error>>()
    });
    let api = KubeApi {
        client: Client::new(silent, "default"),
        asks_again: false,
        server: "https://fake".to_owned(),
        limit: Duration::from_secs(15),
        turn: one_turn(),
        proof: Proof::given(),
        namespace: "default".to_owned(),
        commands: Commands::default(),
    };
    let failure = api.get::<Value>("/version").await.unwrap_err();
    assert_eq!(failure.to_string(), "no answer from https://fake in 15s");
}

/// A port at which nothing listens.
async fn closed() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

/// The flags with a kubeconfig of this server, which is there until the directory is dropped.
fn flags(server: &str) -> (Common, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kubeconfig");
    let config = json!({
        "current-context": "c", "users": [{ "name": "u", "user": { "token": "s3cr3t" } }],
        "clusters": [{ "name": "c", "cluster": { "server": server } }],
        "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "u" } }],
    });
    std::fs::write(&path, config.to_string()).unwrap();
    (Common::of(&path), dir)
}

#[tokio::test]
async fn an_api_that_is_gone_is_named_and_each_request_fails_alike() {
    let address = closed().await;
    let (flags, _dir) = flags(&format!("http://me:s3cr3t@{address}"));
    let api = KubeApi::connect(&flags).await.unwrap();
    let version = api.get::<Value>("/version").await.unwrap_err();
    let said = version.to_string();
    assert!(
        said.starts_with(&format!("failed to ask http://{address}: ")),
        "{said}"
    );
    assert_eq!(said.matches("Connection refused").count(), 1, "{said}");
    assert!(!said.contains("s3cr3t"), "{said}");
    assert_eq!(
        api.list::<Node>("/api/v1/nodes").await.unwrap_err(),
        version
    );
    assert_eq!(api.tail("/log", 1).await.unwrap_err(), version);
}

#[tokio::test]
async fn a_kubeconfig_that_cannot_be_used_is_named_and_not_quoted() {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kubeconfig");
    let user = "users: [{ name: u, user: { token: s3cr3t, client-certificate-data: czNjcjN0, client-key-data: czNjcjN0 } }]";
    let rest = "current-context: c\ncontexts: [{ name: c, context: { cluster: c, user: u } }]\n\
        clusters: [{ name: c, cluster: { server: \"https://127.0.0.1:1\" } }]";
    for (text, expected) in [
        (format!("{user}: ["), "not a kubeconfig at line 1"),
        (
            format!("{user}\n{rest}"),
            "identity PEM is missing a private key",
        ),
    ] {
        std::fs::write(&path, text).unwrap();
        let error = KubeApi::connect(&Common::of(&path)).await.unwrap_err();
        let said = format!("{error:#} {error:?}");
        let expected = format!("kubeconfig {}: {expected}", path.display());
        assert!(said.starts_with(&expected), "{said}");
        assert!(!said.contains("s3cr3t"), "{said}");
    }
}

#[tokio::test]
async fn a_proxy_is_refused_by_name_and_its_password_is_not_said() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kubeconfig");
    let text = "current-context: c\nusers: [{ name: u, user: { token: t } }]\ncontexts: [{ name: c, context: { cluster: c, user: u } }]\nclusters: [{ name: c, cluster: \
        { server: \"http://127.0.0.1:1\", proxy-url: \"http://me:s3cr3t@proxy.example:3128\" } }]";
    std::fs::write(&path, text).unwrap();
    let error = KubeApi::connect(&Common::of(&path)).await.unwrap_err();
    let expected = format!(
        "kubeconfig {}: the Kubernetes API is to be reached by the proxy http://proxy.example:3128 (proxy-url in the \
         kubeconfig, or HTTPS_PROXY), which is not supported. If the server can be reached without it, add its host to NO_PROXY, or \
         remove proxy-url",
        path.display()
    );
    assert_eq!(format!("{error:#}"), expected);
}

#[tokio::test]
async fn a_server_that_is_no_kubernetes_api_is_no_cluster_without_anything() {
    let foreign =
        "is not a Kubernetes API, or something before it answers: it answers /version with";
    for (status, body, expected) in [
        (
            "404 Not Found",
            "404 page not found\n",
            "404 Not Found and no content type",
        ),
        (
            "404 Not Found",
            "{\"kind\":\"Status\",\"code\":404}",
            "404 Not Found and no content type",
        ),
        ("200 OK", "{}", "200 OK and no content type"),
        (
            "200 OK",
            "{\"gitVersion\":\"\"}",
            "200 OK and no content type",
        ),
        ("200 OK", "[]", "200 OK and no content type"),
        (
            "200 OK\r\ncontent-type: text/html",
            "<html>",
            "200 OK and text/html",
        ),
        ("302 Found", "", "302 Found and no content type"),
        ("204 No Content", "", "204 No Content and no content type"),
    ] {
        let (address, _serving, _) = answering(Answers::Alike(status, body)).await;
        let (flags, _dir) = flags(&format!("http://{address}"));
        let error = KubeApi::connect(&flags).await.unwrap_err();
        let expected = format!("http://{address} {foreign} {expected}");
        assert_eq!(error.to_string(), expected);
    }
    // It has a version, as the servers behind kube-apiserver have, and not the rest.
    let version = "{\"gitVersion\":\"v1.37.0\"}";
    let (address, _serving, _) = answering(Answers::Alike("200 OK", version)).await;
    let (flags, _dir) = flags(&format!("http://{address}"));
    let error = KubeApi::connect(&flags).await.unwrap_err().to_string();
    assert!(error.contains("it answers /api with 200 OK"), "{error}");
}

#[tokio::test]
async fn no_request_is_sent_to_a_server_that_has_not_proven_what_it_is() {
    let fake = Fake::default();
    let mut api = fake.api();
    api.proof = Arc::default();
    let text = "https://fake is not a Kubernetes API, or something before it answers: it answers /version with 404 Not Found \
                and no content type";
    let failure = Failure::Foreign(text.to_owned());
    assert_eq!(api.get::<Value>("/x").await.unwrap_err(), failure);
    assert_eq!(api.list::<Node>("/x").await.unwrap_err(), failure);
    assert_eq!(api.tail("/log", 1).await.unwrap_err(), failure);
    let written = api.create("/x", &json!({})).await;
    assert_eq!(written.unwrap_err(), failure);
    let asked = fake.asked();
    assert!(
        asked
            .iter()
            .all(|path| ["/version", "/api"].contains(&&**path)),
        "{asked:?}"
    );
}

#[tokio::test]
async fn a_server_that_is_busy_or_refuses_says_so_itself() {
    for (status, body, expected) in [
        (
            "403 Forbidden",
            "no entry",
            Failure::Forbidden("/version: 403 Forbidden: no entry".to_owned()),
        ),
        (
            "503 Service Unavailable",
            "later",
            Failure::Unavailable("/version: 503 Service Unavailable: later".to_owned()),
        ),
        // The words of Kubernetes are those of the request.
        (
            "403 Forbidden",
            "{\"kind\":\"Status\",\"message\":\"x is forbidden\"}",
            Failure::Forbidden("x is forbidden".to_owned()),
        ),
    ] {
        let (address, _serving, _) = answering(Answers::Alike(status, body)).await;
        let (flags, _dir) = flags(&format!("http://{address}"));
        let api = KubeApi::connect(&flags).await.unwrap();
        let failure = api.get::<Value>("/x").await.unwrap_err();
        let of_server = |text: String| match text.strip_prefix('/') {
            Some(path) => format!("http://{address}/{path}"),
            None => text,
        };
        let expected = match expected {
            Failure::Forbidden(text) => Failure::Forbidden(of_server(text)),
            Failure::Unavailable(text) => Failure::Unavailable(of_server(text)),
            other => other,
        };
        assert_eq!(failure, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn requests_that_wait_for_the_proof_fail_together() {
    let mut api = fake::answering(|_, _, _| None);
    api.proof = Arc::default();
    let begin = Instant::now();
    let paths = ["/a", "/b", "/c", "/d"];
    let failures = futures::future::join_all(paths.map(|path| api.get::<Value>(path))).await;
    for failure in failures {
        let silent = "no answer from https://fake in 15s";
        assert_eq!(failure.unwrap_err().to_string(), silent);
    }
    assert_eq!(begin.elapsed(), Duration::from_secs(15));
}

#[tokio::test]
async fn only_what_kubernetes_says_means_that_something_is_not_there() {
    for (body, is_missing) in [
        ("{\"kind\":\"Status\",\"message\":\"no such pod\"}", true),
        // Where no API is registered.
        ("404 page not found\n", true),
        ("<html>no</html>", false),
        ("{}", false),
        ("{\"message\":\"no route\"}", false),
    ] {
        let (address, _serving, _) = answering(Answers::Cluster("404 Not Found", body)).await;
        let (flags, _dir) = flags(&format!("http://{address}"));
        let api = KubeApi::connect(&flags).await.unwrap();
        let failure = api.get::<Value>("/x").await.unwrap_err();
        let found = matches!(failure, Failure::NotFound(_));
        assert_eq!(found, is_missing, "{body}: {failure}");
    }
    // What is no JSON is not from kube-apiserver either.
    let (address, _serving, _) = answering(Answers::Cluster("200 OK", "<html>")).await;
    let (flags, _dir) = flags(&format!("http://{address}"));
    let api = KubeApi::connect(&flags).await.unwrap();
    let failure = api.get::<Value>("/x").await.unwrap_err();
    let expected = format!(
        "http://{address} answers 200 OK with no content type, and not JSON: it is not a Kubernetes API, or something before \
         it answers"
    );
    assert_eq!(failure, Failure::Failed(expected));
}

#[tokio::test]
async fn informational_responses_have_a_limit() {
    for head in ["100 Continue", "103 Early Hints\r\nlink: </>"] {
        let early = format!("HTTP/1.1 {head}\r\n\r\n");
        for (count, is_answered) in [(8, true), (9, false), (100_000, false)] {
            let early = Answers::After(early.repeat(count));
            let (address, _serving, _) = answering(early).await;
            let (flags, _dir) = flags(&format!("http://{address}"));
            let api = KubeApi::connect(&flags).await.unwrap();
            let read = api.get::<Value>("/x").await;
            if is_answered {
                assert_eq!(read, Ok(json!({ "answer": true })));
                continue;
            }
            let expected = format!(
                "failed to ask http://{address}: more than 8 informational responses before the answer"
            );
            assert_eq!(read, Err(Failure::Unreachable(expected)));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_waits_for_its_turn_is_not_late() {
    let api = fake::answering(|_, _, _| {
        Some(Reply {
            status: 200,
            from_tributary: false,
            body: json!({ "kind": "x".repeat(9 << 20) }),
            takes: Duration::from_secs(10),
        })
    });
    let turn = Arc::clone(&api.turn).acquire_owned().await.unwrap();
    let later = async {
        sleep_until(Instant::now() + Duration::from_mins(10)).await;
        drop(turn);
    };
    let (read, ()) = futures::join!(api.get::<Value>("/large"), later);
    assert_eq!(read.unwrap()["kind"].as_str().unwrap().len(), 9 << 20);
}

#[cfg(unix)]
#[tokio::test]
async fn a_plug_in_that_gives_no_credentials_is_given_up_by_name() {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let path = dir.path().join("kubeconfig");
    let exec = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "command": "cat", "args": [pipe],
        "interactiveMode": "Never",
    });
    let config = json!({
        "current-context": "c", "users": [{ "name": "u", "user": { "exec": exec } }],
        "clusters": [{ "name": "c", "cluster": { "server": "https://127.0.0.1:1" } }],
        "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "u" } }],
    });
    std::fs::write(&path, config.to_string()).unwrap();
    let configured = Configured::of(&Common::of(&path)).await.unwrap();
    let within = Duration::from_millis(50);
    let given_up = client(configured.config, "kubeconfig k", within).await;
    // It ends only now.
    std::fs::write(&pipe, "").unwrap();
    let Err(error) = given_up else {
        panic!("the plug-in has given credentials");
    };
    let error = format!("{error:#}");
    let expected = "kubeconfig k: the credential plug-in cat has given no credentials in 50ms: run it by itself ";
    assert!(error.starts_with(expected), "{error}");
}

/// What kube-apiserver says while it has no server to ask.
const UNAVAILABLE: &str = "{\"kind\":\"Status\",\"message\":\"service unavailable\"}";

/// How a server answers.
#[derive(Clone)]
enum Answers {
    /// Everything with this status and body.
    Alike(&'static str, &'static str),
    /// The same, and as a Kubernetes API what is asked to know that it is one.
    Cluster(&'static str, &'static str),
    /// As a Kubernetes API, after this.
    After(String),
}

impl Answers {
    /// The answer, and whether it is counted.
    fn to(&self, request: &str) -> (String, bool) {
        let (early, status, body) = match self {
            Self::Alike(status, body) | Self::Cluster(status, body) => ("", *status, *body),
            Self::After(early) => (early.as_str(), "200 OK", "{\"answer\":true}"),
        };
        let proof = [
            ("GET /version ", "{\"gitVersion\":\"v1.37.0\"}"),
            (
                "GET /api ",
                "{\"kind\":\"APIVersions\",\"versions\":[\"v1\"]}",
            ),
        ];
        let mut proof = proof.iter().filter(|_| !matches!(self, Self::Alike(..)));
        let proof = proof.find(|(path, _)| request.starts_with(path));
        let (status, body) = proof.map_or((status, body), |(_, proof)| ("200 OK", *proof));
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}");
        (format!("{early}{head}\r\n\r\n{body}"), proof.is_none())
    }
}

/// A server that answers like this, and counts requests except those that ask whether it is a Kubernetes API.
async fn answering(answers: Answers) -> (SocketAddr, JoinSet<()>, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 4096];
            if let Ok(length) = stream.read(&mut head).await {
                let request = String::from_utf8_lossy(&head[..length]);
                let (answer, is_counted) = answers.to(&request);
                counted.fetch_add(usize::from(is_counted), Ordering::Relaxed);
                stream.write_all(answer.as_bytes()).await.ok();
            }
        }
    });
    (address, serving, requests)
}

#[tokio::test]
async fn an_answer_is_an_answer_and_only_who_is_patient_asks_again() {
    let (address, _serving, requests) =
        answering(Answers::Cluster("503 Service Unavailable", UNAVAILABLE)).await;
    let (mut flags, _dir) = flags(&format!("http://{address}"));
    let api = KubeApi::connect(&flags).await.unwrap();
    let failure = api.get::<Value>("/x").await.unwrap_err();
    let unavailable = Failure::Unavailable("service unavailable".to_owned());
    assert_eq!(
        (&failure, requests.load(Ordering::Relaxed)),
        (&unavailable, 1)
    );

    flags.request_timeout = Duration::from_millis(500);
    let api = KubeApi::patient(&flags).await.unwrap();
    // The last answer says more than that the time is over.
    let failure = api.get::<Value>("/x").await.unwrap_err();
    assert_eq!(failure, unavailable);
    let asked = requests.load(Ordering::Relaxed);
    assert!(asked > 2, "{asked}");
}

#[tokio::test]
async fn a_write_that_may_still_be_done_is_not_repeated() {
    let (address, _serving, requests) =
        answering(Answers::Cluster("504 Gateway Timeout", UNAVAILABLE)).await;
    let (flags, _dir) = flags(&format!("http://{address}"));
    let api = KubeApi::patient(&flags).await.unwrap();
    let object = json!({ "kind": "APIService" });
    api.create("/apis", &object).await.unwrap_err();
    api.replace("/apis/a", &object).await.unwrap_err();
    api.delete("/apis/a", &object).await.unwrap_err();
    assert_eq!(requests.load(Ordering::Relaxed), 3);
}
