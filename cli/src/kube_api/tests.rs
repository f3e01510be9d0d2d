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

use super::{fake::Fake, *};

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
         kubeconfig, or HTTPS_PROXY), which is not supported",
        path.display()
    );
    assert_eq!(format!("{error:#}"), expected);
}

#[tokio::test]
async fn what_is_no_kubernetes_api_is_said_by_its_address_and_by_what_came() {
    let (address, _serving, _) = answering("200 OK\r\ncontent-type: text/html", "<html>").await;
    let (flags, _dir) = flags(&format!("http://{address}"));
    let api = KubeApi::connect(&flags).await.unwrap();
    let failure = api.get::<Value>("/version").await.unwrap_err();
    let expected = format!(
        "http://{address} answers 200 OK with text/html, and not JSON: it is not a Kubernetes API, or something before it \
         answers"
    );
    assert_eq!(failure, Failure::Failed(expected));
    // Each request fails alike, so it is said once.
    assert_eq!(
        api.list::<Node>("/api/v1/nodes").await.unwrap_err(),
        failure
    );

    // A web page that is not there does not mean that an object is not there.
    let page = "404 Not Found\r\ncontent-type: text/html; charset=utf-8";
    let (address, _serving, _) = answering(page, "<html>no</html>").await;
    let (flags, _dir) = self::flags(&format!("http://{address}"));
    let api = KubeApi::connect(&flags).await.unwrap();
    let failure = api.get::<Value>("/version").await.unwrap_err();
    let expected = format!(
        "http://{address}/version: 404 Not Found with text/html; charset=utf-8: <html>no</html>"
    );
    assert_eq!(failure, Failure::Failed(expected));
}

/// What kube-apiserver says while it has no server to ask.
const UNAVAILABLE: &str = "{\"message\":\"service unavailable\"}";

/// A server that answers every request with this status and body, and counts them.
async fn answering(
    status: &'static str,
    body: &'static str,
) -> (SocketAddr, JoinSet<()>, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 4096];
            if stream.read(&mut head).await.is_ok() {
                counted.fetch_add(1, Ordering::Relaxed);
                let answer = format!(
                    "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(answer.as_bytes()).await.ok();
            }
        }
    });
    (address, serving, requests)
}

#[tokio::test]
async fn an_answer_is_an_answer_and_only_who_is_patient_asks_again() {
    let (address, _serving, requests) = answering("503 Service Unavailable", UNAVAILABLE).await;
    let (mut flags, _dir) = flags(&format!("http://{address}"));
    let api = KubeApi::connect(&flags).await.unwrap();
    let failure = api.get::<Value>("/version").await.unwrap_err();
    let unavailable = Failure::Unavailable("service unavailable".to_owned());
    assert_eq!(
        (&failure, requests.load(Ordering::Relaxed)),
        (&unavailable, 1)
    );

    flags.request_timeout = Duration::from_millis(500);
    let api = KubeApi::patient(&flags).await.unwrap();
    // The last answer says more than that the time is over.
    let failure = api.get::<Value>("/version").await.unwrap_err();
    assert_eq!(failure, unavailable);
    let asked = requests.load(Ordering::Relaxed);
    assert!(asked > 2, "{asked}");
}

#[tokio::test]
async fn a_write_that_may_still_be_done_is_not_repeated() {
    let (address, _serving, requests) = answering("504 Gateway Timeout", UNAVAILABLE).await;
    let (flags, _dir) = flags(&format!("http://{address}"));
    let api = KubeApi::patient(&flags).await.unwrap();
    let object = json!({ "kind": "APIService" });
    api.create("/apis", &object).await.unwrap_err();
    api.replace("/apis/a", &object).await.unwrap_err();
    api.delete("/apis/a", &object).await.unwrap_err();
    assert_eq!(requests.load(Ordering::Relaxed), 3);
}
