//! The simulated Kubernetes API server, with the aggregator for `metrics.k8s.io`.

mod discovery;
mod list;
pub(crate) mod render;
mod reviews;
mod route;
mod selector;
mod status;
mod table;
mod watch;
mod write;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use rustls::ServerConfig;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

pub(crate) use self::discovery::AGGREGATED;
use self::route::{Query, Route};
pub(crate) use self::status::Refusal;
pub(crate) use self::write::Written;
use crate::Error;
use crate::cluster::{ApiFault, Shared};
use crate::gate::Gate;
use crate::identity::Identity;
use crate::kubelet::bearer;
use crate::pki::Ca;
use crate::store::{KINDS, Kind};
use crate::tls::{self, Body};

/// The most connections. More are closed at once.
const CONNECTIONS: usize = 4_096;
/// The largest request body: what etcd takes in a real cluster, doubled.
const BODY: usize = 3 << 20;
const HANDSHAKE: Duration = Duration::from_secs(10);

/// The kind with this plural.
pub(crate) fn find_kind(plural: &str) -> Option<&'static Kind> {
    KINDS.into_iter().find(|kind| kind.plural == plural)
}

/// Opens the API on a free port of 127.0.0.1.
pub(crate) async fn start(
    shared: &Arc<Shared>,
    gate: Arc<Gate>,
    tasks: &mut JoinSet<()>,
) -> Result<SocketAddr, Error> {
    let failed = |source| Error::Listen {
        address: "127.0.0.1:0".to_owned(),
        source,
    };
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let names = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "localhost",
        "127.0.0.1",
    ]
    .map(str::to_owned);
    let credential = shared.pki.server(Ca::Cluster, &names)?;
    let config = tls::server_config(&credential, Some(shared.pki.ca_der(Ca::Cluster)))?;
    let shared = Arc::clone(shared);
    tasks.spawn(async move {
        let serve = |stream| connection(Arc::clone(&shared), Arc::clone(&config), stream);
        gate.run(address, listener, CONNECTIONS, serve).await;
    });
    Ok(address)
}

async fn connection(shared: Arc<Shared>, config: Arc<ServerConfig>, stream: TcpStream) {
    stream.set_nodelay(true).ok();
    let handshake = tokio::time::timeout(HANDSHAKE, TlsAcceptor::from(config).accept(stream)).await;
    let Ok(Ok(stream)) = handshake else {
        return;
    };
    let holder = stream
        .get_ref()
        .1
        .peer_certificates()
        .and_then(|chain| shared.pki.holder(chain.first()?));
    let service = service_fn(move |request| {
        let (shared, holder) = (Arc::clone(&shared), holder.clone());
        async move {
            Ok::<_, std::io::Error>(
                answer(&shared, request, holder)
                    .await
                    .unwrap_or_else(|refusal| refusal.respond()),
            )
        }
    });
    tls::serve(stream, service).await;
}

async fn answer(
    shared: &Arc<Shared>,
    request: Request<Incoming>,
    holder: Option<Arc<Identity>>,
) -> Result<Response<Body>, Refusal> {
    let fault = *shared.api_fault.lock();
    match fault {
        ApiFault::Status(code) => return Err(Refusal::simulated(code)),
        ApiFault::Hang => std::future::pending().await,
        ApiFault::None | ApiFault::Refuse => {}
    }
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    let token = bearer(&parts.headers);
    let caller = holder.or_else(|| token.and_then(|token| shared.bearer(token)));
    let health = ["/livez", "/readyz", "/healthz", "/version"]
        .iter()
        .any(|public| path.starts_with(public));
    let caller = match caller {
        Some(caller) => caller,
        None if health && token.is_none() => {
            return discovery::discover(path, false).ok_or_else(Refusal::no_such_path);
        }
        None => return Err(Refusal::unauthorized()),
    };
    if let Some(found) = discovery::discover(path, shared.aggregator.serves()) {
        return Ok(found);
    }
    let aggregated = discovery::is_aggregated(path) && shared.aggregator.serves();
    let Some(route) = Route::parse(path) else {
        if aggregated {
            let body = read(body).await?;
            return shared.aggregator.proxy(&parts, body, &caller).await;
        }
        return Err(Refusal::no_such_path());
    };
    let query = Query::parse(parts.uri.query());
    let is_listed = parts.method == Method::GET && route.name.is_empty();
    if is_listed && shared.is_unanswered(&route.plural) {
        std::future::pending::<()>().await;
    }
    authorize(shared, &caller, &route, &parts.method, &query)?;
    let body = read(body).await?;
    if aggregated {
        return shared.aggregator.proxy(&parts, body, &caller).await;
    }
    let call = Call {
        shared,
        parts: &parts,
        route,
        query,
        body,
        caller,
    };
    call.answer()
}

async fn read(body: Incoming) -> Result<Bytes, Refusal> {
    let read = Limited::new(body, BODY).collect().await;
    read.map(http_body_util::Collected::to_bytes)
        .map_err(|error| Refusal::bad_request(format!("read body: {error}")))
}

fn authorize(
    shared: &Shared,
    caller: &Identity,
    route: &Route,
    method: &Method,
    query: &Query,
) -> Result<(), Refusal> {
    let wanted = route.attributes(method, query);
    // As in a real cluster, every user may review its own access.
    if shared.allows(caller, &wanted) || wanted.resource == "selfsubjectaccessreviews" {
        return Ok(());
    }
    let place = if wanted.namespace.is_empty() {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace \"{}\"", wanted.namespace)
    };
    Err(Refusal::forbidden(format!(
        "{} is forbidden: User \"{}\" cannot {} resource \"{}\" in API group \"{}\" {place}",
        wanted.resource, caller.user, wanted.verb, wanted.resource, wanted.group
    )))
}

/// A permitted request for a resource.
struct Call<'a> {
    shared: &'a Arc<Shared>,
    parts: &'a http::request::Parts,
    route: Route,
    query: Query,
    body: Bytes,
    caller: Arc<Identity>,
}

impl Call<'_> {
    fn answer(&self) -> Result<Response<Body>, Refusal> {
        let (now, route) = (self.shared.clock.now(), &self.route);
        if self.parts.method == Method::POST
            && let Some(answer) = self.review()
        {
            return answer;
        }
        let known = |kind: &&'static Kind| {
            kind.plural == route.plural
                && kind.group == route.group
                && kind.version == route.version
        };
        let kind = KINDS
            .into_iter()
            .find(known)
            .ok_or_else(Refusal::no_such_path)?;
        let misplaced = !kind.namespaced && !route.namespace.is_empty();
        if !route.sub.is_empty() || misplaced {
            return Err(Refusal::no_such_path());
        }
        if self.parts.method != Method::GET {
            let (method, content_type) = (&self.parts.method, self.header(header::CONTENT_TYPE));
            let write = write::Write {
                kind,
                route,
                method,
                content_type,
                body: &self.body,
                now,
            };
            return write.apply(&mut self.shared.state());
        }
        let shape = self.shape()?;
        if !route.name.is_empty() {
            return list::get(&self.shared.state(), kind, route, shape);
        }
        if self.query.is_true("watch") {
            return watch::watch(self.shared, kind, &route.namespace, &self.query, shape);
        }
        list::list(
            &self.shared.state(),
            kind,
            &route.namespace,
            &self.query,
            shape,
        )
    }

    /// Which part of the objects the client wants.
    fn shape(&self) -> Result<render::Shape, Refusal> {
        let include = self.query.get("includeObject");
        let include = table::Include::of(include).ok_or_else(|| {
            Refusal::bad_request(format!("unrecognized includeObject value: {include:?}"))
        })?;
        if self.shared.metadata_only && self.route.name.is_empty() && self.route.plural == "pods" {
            return Ok(render::Shape::Metadata);
        }
        Ok(render::Shape::of(self.header(header::ACCEPT), include))
    }

    fn header(&self, name: header::HeaderName) -> &str {
        self.parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// The answer for a resource that only reviews requests and is not stored. `None` for others.
    fn review(&self) -> Option<Result<Response<Body>, Refusal>> {
        let now = self.shared.clock.now();
        let body = || -> Result<Value, Refusal> {
            if self.header(header::CONTENT_TYPE).contains("protobuf") {
                return Err(Refusal::media_type("the simulated api reads json only"));
            }
            serde_json::from_slice(&self.body)
                .map_err(|error| Refusal::bad_request(error.to_string()))
        };
        let state = || self.shared.state();
        let route = &self.route;
        match (
            route.group.as_str(),
            route.plural.as_str(),
            route.sub.as_str(),
        ) {
            ("authentication.k8s.io", "tokenreviews", "") => {
                Some(body().map(|body| reviews::token(&mut state(), &body, now)))
            }
            ("authorization.k8s.io", "subjectaccessreviews", "") => {
                Some(body().map(|body| reviews::access(&mut state(), &body, None)))
            }
            ("authorization.k8s.io", "selfsubjectaccessreviews", "") => {
                Some(body().map(|body| reviews::access(&mut state(), &body, Some(&self.caller))))
            }
            ("", "serviceaccounts", "token") => Some(body().and_then(|body| {
                reviews::request(&mut state(), &route.namespace, &route.name, &body, now)
            })),
            _ => None,
        }
    }
}
