//! The metrics API: `metrics.k8s.io` over the store and the catalog.
//!
//! Every path is in [`router`]; those of kinds come from what is in [`kinds`]. A
//! handler, in [`handlers`], reads the query ([`params`]), settles
//! the form of the answer ([`accept`](crate::k8s::accept)), walks the catalog in pages, asks the store
//! for the numbers of each page and writes them ([`writer`]). Whatever is refused
//! is a `Refusal`, which [`status`] alone turns into HTTP.

mod answer;
mod budget;
mod debug;
mod digest;
mod discovery;
mod document;
mod fleet;
mod freshness;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod handlers;
mod kind;
mod kinds;
mod layers;
mod list_yield;
mod nodes;
mod objects;
mod openapi;
mod page;
mod params;
mod path;
mod pods;
mod status;
mod table;
mod watch;
mod writer;

use std::{fmt, sync::Arc};

use axum::{
    Router,
    extract::{Request, State},
    http::Method,
    middleware,
    response::Response,
    routing::any,
};
use tokio_util::sync::CancellationToken;
use tower::util::MapRequestLayer;
use tributary_model::{NodeName, Timestamp};
use tributary_runtime::{clock::Clock, selector::Selector};

pub use self::freshness::Freshness;
pub(crate) use self::kinds::resources;
use self::{
    budget::Budget,
    kinds::{GROUPS, Group},
    list_yield::ListYield,
    openapi::OpenApi,
    path::Asked,
    status::Refusal,
    watch::Watches,
};
use crate::{
    catalog::Catalog,
    k8s::resource::Version,
    scrapers::{
        demand::Demand,
        node_roles::{NodeRoles, Scrapers},
    },
    store::Store,
};

/// What the API is made from.
#[derive(Clone, Debug)]
pub struct Api {
    /// Which objects exist.
    pub catalog: Catalog,
    /// What they use.
    pub store: Store,
    /// Who scrapes which node.
    pub node_roles: NodeRoles,
    /// On which nodes fresh metrics are needed.
    pub demand: Demand,
    /// How old what is served is.
    pub freshness: Freshness,
    /// Tells the time of a request.
    pub clock: Clock,
    /// Which nodes a LIST may show: `--node-selector` (docs/parity.md#selection).
    /// A GET finds the others, which have no metrics.
    pub node_selector: Option<Selector>,
    /// The port on which this is served, for discovery.
    pub port: u16,
    /// The paths that are served beside this router, for the list at `/`.
    pub beside: Vec<String>,
    /// What the frontend knows of itself.
    pub own: Own,
    /// Ends what goes on until it is ended.
    pub ending: CancellationToken,
}

/// What a frontend knows of itself.
#[derive(Clone)]
pub struct Own {
    /// Its name, which is that of its pod.
    pub name: Arc<str>,
    /// Tells until when its serving certificate is good, in seconds since the Unix
    /// epoch.
    pub expires: Arc<dyn Fn() -> Option<i64> + Send + Sync>,
}

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Own").field(&self.name).finish()
    }
}

impl Own {
    /// What is known of a frontend of this name that has no certificate.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.into(),
            expires: Arc::new(|| None),
        }
    }

    /// Until when its serving certificate is good.
    fn certificate_expires(&self) -> Option<Timestamp> {
        let seconds = (self.expires)()?;
        Some(Timestamp::from_millis(seconds.saturating_mul(1_000)))
    }
}

impl Api {
    /// The nodes that exist and may be shown.
    fn served_nodes(&self) -> Vec<NodeName> {
        let Some(selector) = &self.node_selector else {
            return self.catalog.node_names();
        };
        let mut nodes = self.catalog.nodes_after(None, usize::MAX);
        nodes.retain(|node| node.labels.meet(selector));
        nodes.iter().map(|node| node.name.clone()).collect()
    }

    /// Who scrapes `node`; nothing if nobody says such things.
    fn scraped_by(&self, node: &NodeName) -> Option<(NodeName, Scrapers)> {
        let known = self.node_roles.any();
        known.then(|| (node.clone(), self.node_roles.of(node.as_str())))
    }
}

/// [`Api`] for handlers.
type SharedApi = Arc<Api>;

/// [`Api`] for handlers below a version.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    api: SharedApi,
    group: &'static Group,
    version: Version,
    /// Of all versions together.
    list_yield: ListYield,
    /// The same.
    budget: Budget,
    /// The same.
    watches: Watches,
}

/// The API alone: every path, [`finished`].
pub fn router(api: Api) -> Router {
    finished(paths(api))
}

/// What is the same for every path, around whatever is served: refusals in what
/// the client prefers, compression, the name of the request. Outside of all that
/// refuses.
pub(crate) fn finished(router: Router) -> Router {
    router
        .layer(middleware::from_fn(layers::finish))
        .layer(layers::compression())
        .layer(MapRequestLayer::new(layers::bound_encodings))
}

/// Every path of the API. Has a fallback, so whatever else is served must be
/// merged in and have none.
pub(crate) fn paths(api: Api) -> Router {
    let api = Arc::new(api);
    let mut router = Router::new()
        .route("/", any(discovery::root))
        .route("/apis", any(discovery::groups))
        .route("/apis/", any(discovery::groups))
        .route("/version", any(discovery::version))
        .route("/version/", any(discovery::version))
        .route(debug::NODES, any(debug::nodes))
        .with_state(Arc::clone(&api))
        .merge(descriptions())
        .route_layer(middleware::from_fn(layers::only_get));
    let (list_yield, budget, watches) =
        (ListYield::default(), Budget::default(), Watches::default());
    for group in &GROUPS {
        router = router.merge(description(group));
        for version in group.versions {
            let served = Served {
                api: Arc::clone(&api),
                group,
                version: *version,
                list_yield: list_yield.clone(),
                budget: budget.clone(),
                watches: watches.clone(),
            };
            router = router.merge(paths_of(*version).with_state(served));
        }
    }
    router.fallback(discovery::missing).with_state(api)
}

/// The paths of OpenAPI.
fn descriptions() -> Router<SharedApi> {
    Router::new()
        .route("/openapi/v2", any(openapi::v2_document))
        .route("/openapi/v3", any(openapi::v3_index))
        .route("/openapi/v3/", any(openapi::v3_index))
        .route("/openapi/v3/{*name}", any(openapi::v3_document))
        .with_state(Arc::new(OpenApi::new()))
}

/// The paths that describe a group.
fn description(group: &'static Group) -> Router<SharedApi> {
    let path = format!("/apis/{}", group.name);
    Router::new()
        .route(&path, any(discovery::group))
        .route(&format!("{path}/"), any(discovery::group))
        .with_state(group)
        .route_layer(middleware::from_fn(layers::only_get))
}

/// The paths of one version. What they ask for is read in [`path`].
fn paths_of(version: Version) -> Router<Served> {
    let base = format!("/apis/{}", version.api_version);
    Router::new()
        .route(&base, any(resource))
        .route(&format!("{base}/"), any(resource))
        .route(&format!("{base}/{{*rest}}"), any(resource))
}

/// Whatever is below a version.
async fn resource(State(served): State<Served>, request: Request) -> Result<Response, Refusal> {
    let asked = Asked::by(request.uri().path(), served.group, served.version);
    let asked = asked.ok_or(Refusal::NoSuchPath)?;
    if request.method() != Method::GET {
        return Err(Refusal::Method);
    }
    match asked {
        Asked::Resources => discovery::resources(&served, &request),
        Asked::List(kind, namespace) => (kind.list)(served, namespace, request).await,
        Asked::One(kind, key) => (kind.one)(&served, key, &request),
    }
}
