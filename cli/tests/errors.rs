//! The program where it cannot do what it should: one sentence, exit code 2, and JSON for programs.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::{net::SocketAddr, path::Path, process::Output};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    process::Command,
    task::JoinSet,
};

/// Each command that asks a cluster.
const COMMANDS: [&[&str]; 11] = [
    &["status"],
    &["doctor"],
    &["explain", "node", "n"],
    &["explain", "pod", "p"],
    &["explain", "hpa", "h"],
    &["compare", "--for", "1ms"],
    &["bundle", "--file", "-"],
    &["switch", "status"],
    &["switch", "to", "--skip-compare"],
    &["switch", "to", "--dry-run"],
    &["switch", "back"],
];

/// A server that answers everything alike.
async fn serve(answer: &'static str, tasks: &mut JoinSet<()>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tasks.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 4_096];
            if stream.read(&mut head).await.is_ok_and(|length| length > 0) {
                stream.write_all(answer.as_bytes()).await.ok();
            }
        }
    });
    address
}

/// A kubeconfig with this server.
fn kubeconfig(directory: &TempDir, server: &str) -> std::path::PathBuf {
    let path = directory.path().join("kubeconfig");
    let config = json!({
        "current-context": "c", "users": [{ "name": "u", "user": {} }],
        "clusters": [{ "name": "c", "cluster": { "server": server } }],
        "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "u" } }],
    });
    std::fs::write(&path, config.to_string()).unwrap();
    path
}

/// Runs the program in an environment without proxies.
async fn run(kubeconfig: &Path, words: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-tributary"));
    for proxy in ["HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"] {
        command.env_remove(proxy);
    }
    command.arg("--kubeconfig").arg(kubeconfig).args(words);
    let ran = command.envs(variables.iter().copied()).output().await;
    ran.unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_command_takes_another_server_for_a_cluster_without_anything() {
    let mut tasks = JoinSet::new();
    for answer in [
        "HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}",
        "HTTP/1.1 302 Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>",
    ] {
        let address = serve(answer, &mut tasks).await;
        let directory = tempfile::tempdir().unwrap();
        let kubeconfig = kubeconfig(&directory, &format!("http://{address}"));
        let sentence = format!(
            "http://{address} is not a Kubernetes API, or something before it answers: it answers /version with "
        );
        for words in COMMANDS {
            let ran = run(&kubeconfig, words, &[]).await;
            let (out, error) = (text(&ran.stdout), text(&ran.stderr));
            assert_eq!(
                (ran.status.code(), out),
                (Some(2), String::new()),
                "{words:?}"
            );
            assert!(error.starts_with(&format!("error: {sentence}")), "{error}");
            assert_eq!(error.lines().count(), 1, "{error}");

            let ran = run(&kubeconfig, &[words, &["-o", "json"]].concat(), &[]).await;
            assert_eq!(ran.status.code(), Some(2), "{words:?}");
            // The output of this one is for an archive.
            let documents = if words.contains(&"bundle") {
                text(&ran.stderr).lines().skip(1).collect()
            } else {
                text(&ran.stdout)
            };
            let document: Value = serde_json::from_str(&documents).unwrap();
            let said = document.get("error").and_then(Value::as_str).unwrap();
            assert!(said.starts_with(&sentence), "{said}");
        }
    }
}

#[tokio::test]
async fn an_error_is_a_document_for_programs() {
    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = kubeconfig(&directory, "https://127.0.0.1:1");
    let gone = directory.path().join("gone");
    let of_namespaces = "one pod cannot be explained across all namespaces (--all-namespaces): name its namespace with \
                         --namespace, or as NAMESPACE/NAME";
    let no_file = format!(
        "kubeconfig {}: No such file or directory (os error 2)",
        gone.display()
    );
    for (file, words, expected) in [
        (
            &kubeconfig,
            &["explain", "pod", "p", "-A"][..],
            of_namespaces,
        ),
        (
            &kubeconfig,
            &["explain", "pod", "shop/p", "-A"],
            of_namespaces,
        ),
        (
            &kubeconfig,
            &["explain", "trouble", "x"],
            "no trouble \"x\": codes are TRB001 and so on",
        ),
        (
            &kubeconfig,
            &["status", "--nothing"],
            "unexpected argument '--nothing' found",
        ),
        (&gone, &["doctor"], &no_file),
        (&gone, &["switch", "back"], &no_file),
    ] {
        let ran = run(file, &[words, &["-o", "json"]].concat(), &[]).await;
        assert_eq!(ran.status.code(), Some(2), "{words:?}");
        let document: Value = serde_json::from_slice(&ran.stdout).unwrap();
        assert_eq!(document, json!({ "outcome": "unknown", "error": expected }));
        // People read the same elsewhere.
        let said = text(&ran.stderr);
        assert!(said.starts_with(&format!("error: {expected}")), "{said}");
        let ran = run(file, words, &[]).await;
        assert_eq!(
            (text(&ran.stdout), text(&ran.stderr)),
            (String::new(), said)
        );
    }
}

#[tokio::test]
async fn a_server_that_no_proxy_excludes_is_asked_itself() {
    let directory = tempfile::tempdir().unwrap();
    // It has no credentials that can be used, which is found before anything is sent.
    let kubeconfig = kubeconfig(&directory, "https://192.0.2.1:6443");
    let text_of = std::fs::read_to_string(&kubeconfig).unwrap();
    let user = r#""user":{"client-certificate-data":"YQ==","client-key-data":"YQ=="}"#;
    let broken = text_of.replace(r#""user":{}"#, user);
    assert_ne!(broken, text_of);
    std::fs::write(&kubeconfig, broken).unwrap();
    let words = ["status"];
    for (no_proxy, is_refused) in [
        ("", true),
        ("192.0.3.0/24", true),
        ("192.0.2.0/24", false),
        ("*", false),
    ] {
        let variables = [
            ("HTTPS_PROXY", "http://proxy.invalid:3128"),
            ("NO_PROXY", no_proxy),
        ];
        let ran = run(&kubeconfig, &words, &variables).await;
        assert_eq!(ran.status.code(), Some(2));
        let said = text(&ran.stderr);
        let why = if is_refused {
            "is to be reached by the proxy http://proxy.invalid:3128 "
        } else {
            "identity PEM is missing a private key"
        };
        assert!(said.contains(why), "{no_proxy}: {said}");
    }
}
