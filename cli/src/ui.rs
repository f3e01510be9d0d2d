//! `ui`: a page for a browser on this machine, over the kubeconfig of the caller.
//!
//! The browser gets the page and its data from here only, and only by GET. What is read comes through kube-apiserver, as
//! for every other command, and only while a page is open.
//!
//! - [`access`]: which requests are answered
//! - [`assets`]: the page
//! - [`connections`]: how many there are, and for how long
//! - [`fleet`]: nodes and who scrapes them, in few bytes
//! - [`source`]: something that is read again and again
//! - [`top`]: who uses most

mod access;
mod assets;
mod connections;
mod fleet;
mod source;
#[cfg(test)]
mod tests;
mod top;

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::{
    Router,
    extract::{Query, State},
    http::{StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use serde::{Deserialize, Serialize};
use tokio::{net::TcpListener, task::JoinSet};

use self::{
    access::Key,
    connections::Connections,
    source::{Pace, Source},
};
use crate::{
    doctor::{Facts, Report},
    explain,
    kube_api::KubeApi,
};

/// How often `doctor` looks, at most.
const DOCTOR: Duration = Duration::from_secs(30);

/// How often all pods are read, at most.
const TOP: Duration = Duration::from_secs(15);

/// The longest name that Kubernetes gives a node.
const LONGEST_NAME: usize = 253;

/// What is to be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The port on 127.0.0.1; 0 for one that is free.
    pub port: u16,
    /// How often the fleet is read, at most.
    pub interval: Duration,
    /// Of which namespace pods and autoscalers are shown; of all without it.
    pub namespace: Option<String>,
}

/// A server that is bound, and does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: String,
    key: Arc<Key>,
    api: KubeApi,
    page: Page,
}

/// What handlers need.
#[derive(Clone, Debug)]
struct Shared {
    api: KubeApi,
    fleet: Source,
    top: Source,
    doctor: Source,
}

impl Server {
    /// Binds the port.
    ///
    /// # Errors
    ///
    /// The port is in use, or there is no randomness.
    pub async fn bind(api: KubeApi, page: Page) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, page.port)).await;
        let listener =
            listener.with_context(|| format!("failed to listen on 127.0.0.1:{}", page.port))?;
        let own = listener.local_addr()?;
        let key = Key::random(own.port())?;
        Ok(Self {
            listener,
            address: format!("http://{own}/?token={}", key.token()),
            key: Arc::new(key),
            api,
            page,
        })
    }

    /// What to open in the browser. It contains the token.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Serves until `stop` ends. Requests in flight end with it.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let mut tasks = JoinSet::new();
        let router = routes(&self.key, self.api, &self.page, &mut tasks);
        let mut connections = Connections::default();
        let accept = async {
            loop {
                match self.listener.accept().await {
                    Ok((stream, _)) => connections.serve(stream, &router),
                    // Such as too many open files: it may pass.
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            }
        };
        tokio::select! {
            () = accept => {}
            () = stop => {}
        }
    }
}

/// The routes, and the tasks that read for them.
fn routes(key: &Arc<Key>, api: KubeApi, page: &Page, tasks: &mut JoinSet<()>) -> Router {
    let namespace = page.namespace.clone();
    let of_fleet = api.clone();
    let (fleet, reader) = source::new(Pace::of(page.interval), move || {
        let api = of_fleet.clone();
        async move { fleet::read(&api).await }
    });
    tasks.spawn(reader);
    let (of_top, all) = (api.clone(), namespace.clone());
    let (top, reader) = source::new(Pace::of(page.interval.max(TOP)), move || {
        let (api, namespace) = (of_top.clone(), all.clone());
        async move { top::read(&api, namespace.as_deref()).await }
    });
    tasks.spawn(reader);
    let of_doctor = api.clone();
    let (doctor, reader) = source::new(Pace::of(DOCTOR), move || {
        let (api, namespace) = (of_doctor.clone(), namespace.clone());
        async move { diagnosed(&api, namespace.as_deref()).await }
    });
    tasks.spawn(reader);
    let shared = Shared {
        api,
        fleet,
        top,
        doctor,
    };
    let mut router = Router::new()
        .route("/data/fleet", get(the_fleet))
        .route("/data/top", get(the_top))
        .route("/data/doctor", get(the_findings))
        .route("/data/node", get(the_node));
    for (path, asset) in assets::ALL {
        router = router.route(path, get(move || async move { asset.response() }));
    }
    router
        .fallback(|| async { (StatusCode::NOT_FOUND, "there is no such page\n") })
        .with_state(shared)
        .layer(middleware::from_fn_with_state(
            Arc::clone(key),
            access::check,
        ))
}

/// Which answer the page has already.
#[derive(Debug, Deserialize)]
struct After {
    /// Its number.
    #[serde(default)]
    after: u64,
}

async fn the_fleet(State(shared): State<Shared>, Query(known): Query<After>) -> Response {
    json(shared.fleet.after(known.after).await)
}

async fn the_top(State(shared): State<Shared>, Query(known): Query<After>) -> Response {
    json(shared.top.after(known.after).await)
}

async fn the_findings(State(shared): State<Shared>, Query(known): Query<After>) -> Response {
    json(shared.doctor.after(known.after).await)
}

/// Which node.
#[derive(Debug, Deserialize)]
struct NodeQuery {
    name: String,
}

async fn the_node(State(shared): State<Shared>, Query(query): Query<NodeQuery>) -> Response {
    if !is_name(&query.name) {
        return (StatusCode::BAD_REQUEST, "this is no name of a node\n").into_response();
    }
    let explained = explain::node(&shared.api, &query.name, crate::now()).await;
    match text(&explained) {
        Ok(text) => json(text),
        Err(why) => (StatusCode::INTERNAL_SERVER_ERROR, why).into_response(),
    }
}

/// Whether it is a name that Kubernetes gives: it becomes a part of a path.
fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    // Also the empty one.
    let has_dots_only = name.bytes().all(|byte| byte == b'.');
    !has_dots_only && name.len() <= LONGEST_NAME && name.bytes().all(allowed)
}

async fn diagnosed(api: &KubeApi, namespace: Option<&str>) -> Result<String, String> {
    let facts = Box::pin(Facts::read(api, namespace, crate::now())).await;
    text(&Report::of(&facts))
}

fn text(document: &impl Serialize) -> Result<String, String> {
    serde_json::to_string(document).map_err(|error| error.to_string())
}

fn json(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}
