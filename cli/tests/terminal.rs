//! The program against an API whose servers send what a terminal would obey: nothing of it reaches the output.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a failed step is a failed test"
)]

use std::{convert::Infallible, net::SocketAddr, path::Path, process::Output};

use http::{Request, Response};
use http_body_util::Full;
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpListener, process::Command, task::JoinSet};

/// Clears the screen, the same by C1, turns text round, hides text, and begins a line.
const HOSTILE: &str = "a\x1b[2Jb\u{9b}2Jc\u{202e}d\u{200b}e\x1b[31mf\r\nFORGED";

/// Whether every answer is an error, or the data itself is hostile.
#[derive(Clone, Copy)]
enum Answers {
    Data,
    Errors,
}

fn answer(answers: Answers, path: &str) -> (u16, Value) {
    let found = match (answers, path) {
        // Without these, nothing else is asked.
        (_, "/api") => Some(json!({ "kind": "APIVersions", "versions": [HOSTILE] })),
        (_, "/version") | (Answers::Data, _) => data(path),
        (Answers::Errors, _) => None,
    };
    found.map_or_else(|| (500, json!({ "message": HOSTILE })), |data| (200, data))
}

/// What is at a path.
fn data(path: &str) -> Option<Value> {
    let metadata = json!({
        "name": HOSTILE, "labels": { "a": HOSTILE }, "resourceVersion": HOSTILE, "uid": HOSTILE,
        "annotations": { "meta.helm.sh/release-name": HOSTILE, "tributary.dev/before": "none" },
        "managedFields": [{ "manager": HOSTILE }],
    });
    if let Some(name) = path.strip_prefix("/apis/apiregistration.k8s.io/v1/apiservices") {
        let object = |name: &str, group: &str, service: &str| {
            let mut metadata = metadata.clone();
            metadata["name"] = json!(name);
            json!({ "metadata": metadata, "spec": {
                "group": group, "groupPriorityMinimum": 1, "versionPriority": 1, "caBundle": "QQ==",
                "service": { "namespace": HOSTILE, "name": service, "port": 443 },
            }, "status": { "conditions": [
                { "type": "Available", "status": "False", "reason": HOSTILE, "message": HOSTILE },
            ] } })
        };
        let all = [
            object("v1beta1.metrics.k8s.io", "metrics.k8s.io", HOSTILE),
            object("v1.metrics.k8s.io", "metrics.k8s.io", HOSTILE),
            object("v1alpha1.fleet.tributary.dev", "fleet.tributary.dev", "t"),
        ];
        let named = all
            .iter()
            .find(|it| it["metadata"]["name"] == name.trim_start_matches('/'));
        let list = || json!({ "items": all });
        return Some(named.cloned().unwrap_or_else(list));
    }
    if path == "/version" {
        let info = ["major", "minor", "gitVersion", "gitCommit", "gitTreeState"];
        let more = ["buildDate", "goVersion", "compiler", "platform"];
        let fields = info.into_iter().chain(more);
        return Some(
            fields
                .map(|name| (name.to_owned(), json!(HOSTILE)))
                .collect(),
        );
    }
    if let Some(kind) = path.strip_prefix("/apis/fleet.tributary.dev/v1alpha1/") {
        let (kind, name) = kind.split_once('/').unwrap_or((kind, ""));
        let failure = json!({ "time": "2026-11-29T17:00:15Z", "reason": HOSTILE, "message": HOSTILE, "scraper": HOSTILE });
        let object = json!({ "metadata": metadata, "usage": { "cpu": "1", "memory": "1Ki" }, "status": {
            "state": HOSTILE, "reason": HOSTILE, "message": HOSTILE, "remedy": HOSTILE, "owner": HOSTILE,
            "standby": HOSTILE, "resolution": HOSTILE, "lastFailure": failure, "version": HOSTILE,
            "source": HOSTILE, "group": HOSTILE, "scrapers": { "owners": [HOSTILE] },
            "nodes": if kind == "scrapers" { json!({ "owned": u64::MAX }) } else { Value::Null },
        } });
        return Some(if name.is_empty() {
            json!({ "items": [object] })
        } else {
            object
        });
    }
    if path.starts_with("/apis/metrics.k8s.io/v1beta1/") {
        return Some(json!({ "items": [
            { "metadata": { "name": format!("other {HOSTILE}") }, "usage": { "cpu": "1", "memory": "1Ki" } },
        ] }));
    }
    (path == "/api/v1/nodes").then(|| json!({ "items": [{ "metadata": { "name": HOSTILE } }] }))
}

/// Serves until the tasks are dropped.
async fn serve(answers: Answers, tasks: &mut JoinSet<()>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let service = service_fn(move |request: Request<Incoming>| async move {
                let (status, body) = answer(answers, request.uri().path());
                let body = Full::new(Bytes::from(body.to_string()));
                let response = Response::builder().status(status).body(body);
                Ok::<_, Infallible>(response.unwrap())
            });
            connections.spawn(async move {
                let connection = http1::Builder::new();
                drop(
                    connection
                        .serve_connection(TokioIo::new(stream), service)
                        .await,
                );
            });
        }
    });
    address
}

async fn run(kubeconfig: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-tributary"));
    command.arg("--kubeconfig").arg(kubeconfig).args(words);
    command.output().await.unwrap()
}

/// A line break is ours. Nothing else in the text has an effect, and no line is that of another.
fn is_harmless(text: &str) -> bool {
    let obeyed = |letter: char| {
        let is_hidden = matches!(letter, '\u{200b}'..='\u{202e}');
        letter != '\n' && (letter.is_control() || is_hidden)
    };
    !text.contains(obeyed) && !text.lines().any(|line| line.starts_with("FORGED"))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_command_passes_on_what_a_terminal_would_obey() {
    let dir = tempfile::tempdir().unwrap();
    let mut tasks = JoinSet::new();
    for (number, answers) in [Answers::Data, Answers::Errors].into_iter().enumerate() {
        let address = serve(answers, &mut tasks).await;
        let kubeconfig = dir.path().join(format!("kubeconfig-{number}"));
        let config = json!({
            "current-context": "c", "users": [{ "name": "u", "user": {} }],
            "clusters": [{ "name": "c", "cluster": { "server": format!("http://{address}") } }],
            "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "u" } }],
        });
        std::fs::write(&kubeconfig, config.to_string()).unwrap();
        for output in ["text", "json"] {
            let bundle = dir.path().join(format!("bundle-{number}-{output}"));
            let bundle = bundle.to_str().unwrap();
            for words in [
                &["status"][..],
                &["doctor"],
                &["explain", "node", "n"],
                &["explain", "pod", "p"],
                &["explain", "hpa", "h"],
                &["compare", "--for", "1ms"],
                &["bundle", "--file", bundle],
                &["switch", "status"],
                &[
                    "switch",
                    "to",
                    "--for",
                    "1ms",
                    "--ignore-owner",
                    "--dry-run",
                ],
                &["switch", "to", "--dry-run", "--skip-compare"],
                &["switch", "back", "--ignore-endpoints", "--dry-run"],
            ] {
                let words = [words, &["--output", output]].concat();
                let ran = run(&kubeconfig, &words).await;
                let (out, error) = (ran.stdout, ran.stderr);
                let (out, error) = (
                    String::from_utf8(out).unwrap(),
                    String::from_utf8(error).unwrap(),
                );
                assert!(is_harmless(&out), "{words:?}: {out:?}");
                assert!(is_harmless(&error), "{words:?}: {error:?}");
                assert!(!(out.is_empty() && error.is_empty()), "{words:?}");
                assert!(!error.contains("panicked"), "{words:?}: {error}");
                if output == "json" {
                    serde_json::from_str::<Value>(&out).unwrap();
                }
            }
        }
    }
}
