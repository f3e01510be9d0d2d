//! Who is told why a probe fails, and that nobody waits for it.

use std::{net::SocketAddr, path::Path, time::Duration};

use clap::Parser as _;
use tokio::{net::TcpListener, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;
use tributary_apiserver::{Frontend, args::Args};
use tributary_runtime::{clock::Clock, serve::Address};
use tributary_sim::{Ca, Cluster, Pki};
use tributary_testkit::patience::eventually;

use super::{
    caller::Caller,
    stage::{NODES, Stage},
};

const REASON: &str = "0 of 2 nodes have metrics, 0 fail to be scraped, 0 report nothing usable, \
                      2 were not reported";

/// A frontend that nobody feeds.
async fn hungry() -> Stage {
    let cluster = Cluster::builder().nodes(2).start().await.unwrap();
    let stage = Stage::beside(cluster, &[]).await;
    let root = Caller::stranger().bearer(&stage.root());
    eventually(|| async {
        let answer = root.get(stage.api, "/readyz/metric-coverage").await;
        if answer.body == format!("internal server error: {REASON}\n") {
            Ok(())
        } else {
            Err(answer)
        }
    })
    .await;
    stage
}

#[tokio::test(flavor = "multi_thread")]
async fn permitted_callers_see_why_a_probe_fails_and_others_that_it_does() {
    let stage = hungry().await;
    let cluster = &stage.cluster;
    let user = |name| Caller::with(cluster.pki(), Ca::Cluster, name);
    cluster.allow("jane", "get", "", "/readyz/*");
    cluster.allow("bob", "get", "", "/readyz");
    cluster.allow("system:anonymous", "get", "", "/readyz/*");
    let root = Caller::stranger().bearer(&stage.root());
    for (who, caller, reason) in [
        ("root", &root, REASON),
        ("jane", &user("jane"), REASON),
        ("bob", &user("bob"), "reason withheld"),
        ("nobody", &Caller::stranger(), "reason withheld"),
    ] {
        let answer = caller.get(stage.api, "/readyz").await;
        assert_eq!(answer.status, 500, "{who}");
        let expected = format!(
            "[+]ping ok\n[+]node-informer-sync ok\n[+]pod-informer-sync ok\n\
             [+]watch-activity ok\n[+]authentication-configuration ok\n[+]kube-credentials ok\n\
             [-]metric-coverage failed: {reason}\n\
             [+]shutdown ok\nreadyz check failed\n"
        );
        assert_eq!(answer.body, expected, "{who}");
        assert_eq!(answer.content_type, "text/plain; charset=utf-8");
    }
    let check = "/readyz/metric-coverage";
    assert_eq!(user("bob").get(stage.api, check).await.status, 403);
    cluster.allow("eve", "get", "", check);
    assert_eq!(
        user("eve").get(stage.api, check).await.body,
        format!("internal server error: {REASON}\n")
    );
    let without = "/readyz?exclude=metric-coverage";
    assert_eq!(Caller::stranger().get(stage.api, without).await.body, "ok");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_comes_in_what_the_client_prefers_and_with_its_name() {
    let stage = hungry().await;
    for (accept, content_type, start) in [
        (
            "application/json",
            "application/json",
            "{\"kind\":\"Status\"",
        ),
        (
            "application/yaml",
            "application/yaml",
            "apiVersion: v1\ncode: ",
        ),
        (
            "application/vnd.kubernetes.protobuf",
            "application/vnd.kubernetes.protobuf",
            "k8s\0",
        ),
        ("text/html", "application/json", "{\n  \"kind\": \"Status\""),
    ] {
        let anonymous = Caller::stranger().header("Accept", accept);
        let unknown = anonymous.clone().bearer("made.up");
        for (caller, status) in [(anonymous, 403), (unknown, 401)] {
            let mut line = caller.connect(stage.api).await.unwrap();
            let (headers, answer) = line.whole(NODES).await.unwrap();
            assert_eq!(answer.status, status, "{accept}");
            assert_eq!(answer.content_type, content_type, "{accept}");
            assert!(answer.body.starts_with(start), "{accept}: {answer:?}");
            assert_eq!(headers["audit-id"].len(), 36, "{accept}");
        }
    }
    // As recorded from metrics-server v0.9.0, except the name of the request.
    let mut line = Caller::stranger().connect(stage.api).await.unwrap();
    let (headers, _) = line.whole("/livez?verbose").await.unwrap();
    assert_eq!(headers["cache-control"], "no-cache, private");
    assert_eq!(headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(headers["x-content-type-options"], "nosniff");

    let empty = Caller::stranger().header("Audit-Id", "");
    let mut line = empty.connect(stage.api).await.unwrap();
    let (headers, _) = line.whole("/readyz").await.unwrap();
    assert_eq!(headers["audit-id"].len(), 36);

    let asked = Caller::stranger().header("Audit-Id", "the-same");
    let mut line = asked.connect(stage.api).await.unwrap();
    for path in [NODES, "/readyz", "/nowhere"] {
        let (headers, _) = line.whole(path).await.unwrap();
        assert_eq!(headers["audit-id"], "the-same", "{path}");
    }
    // What is no name, or could be used to make an answer long, is none.
    for (sent, same) in [
        (String::new(), false),
        ("x".repeat(1_024), true),
        ("x".repeat(1_025), false),
    ] {
        let asked = Caller::stranger().header("Audit-Id", &sent);
        let mut line = asked.connect(stage.api).await.unwrap();
        let (headers, _) = line.whole("/livez").await.unwrap();
        let length = if same { sent.len() } else { 36 };
        assert_eq!(headers["audit-id"].len(), length);
    }
    stage.stop().await;
}

/// A frontend whose Kubernetes API takes connections and never says a word.
async fn ignored(dir: &Path, pki: &Pki, api: SocketAddr) -> Frontend {
    let write = |name: &str, text: &str| {
        let path = dir.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let kubeconfig = write(
        "kubeconfig",
        &format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
             clusters: [{{name: c, cluster: {{server: 'http://{api}'}}}}]\n\
             users: [{{name: u, user: {{}}}}]\n\
             contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n"
        ),
    );
    let args = Args::try_parse_from([
        "tributary-apiserver".to_owned(),
        "--bind-address=127.0.0.1".to_owned(),
        "--secure-port=0".to_owned(),
        format!("--bus-address=unix://{}/bus.sock", dir.display()),
        format!("--kubeconfig={kubeconfig}"),
        format!("--client-ca-file={}", write("ca.crt", pki.ca(Ca::Cluster))),
        "--authentication-skip-lookup".to_owned(),
    ]);
    Frontend::start(args.unwrap(), Clock::system(), CancellationToken::new())
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_hangs_while_the_lists_have_not_been_read() {
    let dir = tempfile::tempdir().unwrap();
    let api = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let pki = Pki::new().unwrap();
    let frontend = ignored(dir.path(), &pki, api.local_addr().unwrap()).await;
    let Address::Tcp(address) = *frontend.api_address() else {
        panic!("the API is served over TCP");
    };
    let mut running = JoinSet::new();
    running.spawn(frontend.run());
    let root = pki
        .client(Ca::Cluster, "root", &["system:masters"])
        .unwrap();
    let root = Caller::showing(&root, &root);
    let anonymous = Caller::stranger();
    for (caller, path, status, text) in [
        (&anonymous, "/livez", 200, "ok"),
        (&anonymous, "/healthz", 200, "ok"),
        (
            &anonymous,
            "/readyz",
            500,
            "[-]node-informer-sync failed: reason withheld\n",
        ),
        (
            &root,
            "/readyz",
            500,
            "[-]node-informer-sync failed: the list of nodes has not been read yet\n",
        ),
        (&root, NODES, 503, "the node list has not been read yet"),
        (
            &root,
            "/apis/metrics.k8s.io/v1/pods",
            503,
            "the pod list has not been read yet",
        ),
        (&root, "/apis", 200, "metrics.k8s.io/v1beta1"),
        (&root, "/metrics", 200, "tributary_catalog_nodes 0\n"),
        (
            &root,
            "/debug/nodes",
            503,
            "the node list has not been read yet",
        ),
    ] {
        let answer = timeout(Duration::from_secs(5), caller.get(address, path));
        let answer = answer.await.expect("an answer in time");
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        assert!(answer.body.contains(text), "{path}: {answer:?}");
    }
    running.shutdown().await;
}
