//! A Kubernetes API with a large fleet that only exists as objects.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    Json,
    extract::State,
    http::{StatusCode, Uri},
    response::{IntoResponse as _, Response},
};
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};

/// How many nodes it has.
pub(crate) const NODES: usize = 5_000;

/// How many scrapers.
pub(crate) const SCRAPERS: usize = 8;

/// Every such node fails, and the one after it is late.
pub(crate) const ONE_IN: usize = 250;

/// What a page would run if it took texts for HTML.
pub(crate) const HOSTILE: &str = "<img src=x onerror=\"document.title='hostile'\">";

const FLEET: &str = "/apis/fleet.tributary.dev/v1alpha1";

/// The API.
#[derive(Clone, Debug)]
pub(crate) struct Large {
    address: SocketAddr,
    is_down: Arc<AtomicBool>,
}

impl Large {
    /// Serves it as a task.
    pub(crate) async fn start(tasks: &mut JoinSet<()>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let large = Self {
            address: listener.local_addr().unwrap(),
            is_down: Arc::default(),
        };
        let router = axum::Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&large.is_down));
        tasks.spawn(serve(listener, router));
        large
    }

    /// Whether every request gets 503.
    pub(crate) fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::Relaxed);
    }

    /// Writes a kubeconfig for it.
    pub(crate) fn kubeconfig(&self, directory: &Path) -> PathBuf {
        let path = directory.join("kubeconfig");
        let server = format!("http://{}", self.address);
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "large",
            "clusters": [{ "name": "large", "cluster": { "server": server } }],
            "users": [{ "name": "large", "user": {} }],
            "contexts": [{ "name": "large", "context": { "cluster": "large", "user": "large" } }],
        });
        std::fs::write(&path, config.to_string()).unwrap();
        path
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

async fn answer(State(is_down): State<Arc<AtomicBool>>, uri: Uri) -> Response {
    if is_down.load(Ordering::Relaxed) {
        let message = "the server is currently unable to handle the request";
        return refusal(StatusCode::SERVICE_UNAVAILABLE, message);
    }
    match uri.path() {
        "/version" => return Json(json!({ "gitVersion": "v1.37.1" })).into_response(),
        "/api" => {
            return Json(json!({ "kind": "APIVersions", "versions": ["v1"] })).into_response();
        }
        _ => {}
    }
    let items: Vec<Value> = match uri.path().strip_prefix(FLEET) {
        Some("/nodescrapes") => (0..NODES).map(node).collect(),
        Some("/scrapers") => (0..SCRAPERS).map(scraper).collect(),
        _ => return refusal(StatusCode::NOT_FOUND, &format!("{uri} not found")),
    };
    page(uri.query().unwrap_or_default(), &items)
}

fn refusal(code: StatusCode, message: &str) -> Response {
    let status = json!({ "kind": "Status", "message": message });
    (code, Json(status)).into_response()
}

/// A page of a list.
fn page(query: &str, items: &[Value]) -> Response {
    let number = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let (_, value) = pairs.find(|(known, _)| *known == name)?;
        value.parse::<usize>().ok()
    };
    let first = number("continue").unwrap_or(0);
    let end = items.len().min(first + number("limit").unwrap_or(NODES));
    let mut metadata = json!({});
    if end < items.len() {
        metadata["continue"] = json!(end.to_string());
    }
    Json(json!({ "metadata": metadata, "items": items[first..end] })).into_response()
}

fn name_of(scraper: usize) -> String {
    format!("tributary-scraper-{}", scraper % SCRAPERS)
}

#[expect(clippy::disallowed_methods, reason = "samples are of now")]
fn ago(tenths: usize) -> Timestamp {
    let tenths = i64::try_from(tenths).unwrap();
    Timestamp::now() - SignedDuration::from_millis(tenths * 100)
}

fn node(index: usize) -> Value {
    let (owner, standby) = (name_of(index), name_of(index + 1));
    let mut status = json!({
        "state": "served", "resolution": "15s", "owner": owner, "standby": standby,
        "scrapers": { "owners": [owner], "standby": [standby] },
        "sample": { "scrapedAt": ago(index * 7 % 150) },
    });
    match index % ONE_IN {
        0 => {
            status["state"] = json!("failing");
            status["reason"] = json!("tls");
            status["remedy"] = json!("KubeletCertificate");
            status["message"] = json!(HOSTILE);
            status["sample"]["scrapedAt"] = json!(ago(4_000));
        }
        1 => {
            status["state"] = json!("late");
            status["sample"]["scrapedAt"] = json!(ago(270));
        }
        _ => {}
    }
    json!({ "metadata": { "name": format!("node-{index:05}") }, "status": status })
}

fn scraper(index: usize) -> Value {
    let owned = NODES / SCRAPERS;
    json!({ "metadata": { "name": name_of(index) }, "status": {
        "source": name_of(index), "version": "0.1.0", "resolution": "15s", "streams": 1,
        "nodes": { "owned": owned, "standby": owned }, "oldestSample": ago(150),
    } })
}
