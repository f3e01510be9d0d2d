//! A server between `doctor` and kube-apiserver that changes what kube-apiserver answers.

use std::path::PathBuf;

use anyhow::Context as _;
use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use http::{StatusCode, header};
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use kube::Client;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};
use tributary_controlplane::rig::Rig;

/// Changes an answer to a request for a path.
pub(super) type Change = fn(&str, &mut Value);

/// The longest body of a request.
const MOST: usize = 1 << 20;

/// Serves on loopback until it is dropped.
#[derive(Debug)]
pub(super) struct Between {
    /// Leads to this server.
    pub(super) kubeconfig: PathBuf,
    _serving: JoinSet<()>,
}

impl Between {
    /// Asks kube-apiserver as an administrator, for every caller.
    pub(super) async fn start(rig: &Rig, change: Change) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let server = format!("http://{}", listener.local_addr()?);
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "between",
            "clusters": [{ "name": "between", "cluster": { "server": server } }],
            "users": [{ "name": "between", "user": {} }],
            "contexts": [{ "name": "between", "context": { "cluster": "between", "user": "between" } }],
        });
        let kubeconfig = rig.dir().join("between.kubeconfig");
        std::fs::write(&kubeconfig, config.to_string())?;
        let router = axum::Router::new()
            .fallback(pass)
            .with_state((rig.client.clone(), change));
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, router));
        Ok(Self {
            kubeconfig,
            _serving: serving,
        })
    }
}

async fn serve(listener: TcpListener, router: axum::Router) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let service = TowerToHyperService::new(router.clone());
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        connections.spawn(async move { drop(connection.await) });
    }
}

async fn pass(State((client, change)): State<(Client, Change)>, request: Request) -> Response {
    let answer = ask(&client, change, request).await;
    answer.unwrap_or_else(|error| (StatusCode::BAD_GATEWAY, format!("{error:#}")).into_response())
}

async fn ask(client: &Client, change: Change, request: Request) -> anyhow::Result<Response> {
    let (head, body) = request.into_parts();
    let path = head.uri.path_and_query().context("a path")?.as_str();
    let body = to_bytes(body, MOST).await?;
    let mut passed = http::Request::builder().method(head.method).uri(path);
    for name in [header::ACCEPT, header::CONTENT_TYPE] {
        if let Some(value) = head.headers.get(&name) {
            passed = passed.header(name, value);
        }
    }
    let answer = client.send(passed.body(body.to_vec().into())?).await?;
    let (head, body) = answer.into_parts();
    let mut bytes = body.collect_bytes().await?.to_vec();
    if let Ok(mut object) = serde_json::from_slice(&bytes) {
        change(path, &mut object);
        bytes = serde_json::to_vec(&object)?;
    }
    let mut response = Response::builder().status(head.status);
    for name in [header::CONTENT_TYPE, header::DATE] {
        if let Some(value) = head.headers.get(&name) {
            response = response.header(name, value);
        }
    }
    Ok(response.body(Body::from(bytes))?)
}
