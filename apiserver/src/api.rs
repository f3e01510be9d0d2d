//! The API: `metrics.k8s.io` and `fleet.tributary.dev`, from the store and the catalog.
//!
//! [`router`] has every path. The paths of kinds come from [`kinds`]. A handler in [`handlers`] reads the query
//! ([`params`]), negotiates the form of the answer ([`accept`](crate::k8s::accept)), reads the catalog in pages, gets
//! the numbers of each page from the store, and writes them ([`writer`]). Every error is a `Refusal`. Only [`status`]
//! maps it to HTTP.

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
mod warning;
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
    warning::Warnings,
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

/// The parts from which the API is built.
#[derive(Clone, Debug)]
pub struct Api {
    /// The objects that exist.
    pub catalog: Catalog,
    /// The samples.
    pub store: Store,
    /// The roles of scrapers for nodes.
    pub node_roles: NodeRoles,
    /// The nodes for which fresh samples are wanted.
    pub demand: Demand,
    /// The ages of what is served.
    pub freshness: Freshness,
    /// The clock that gives the time of a request.
    pub clock: Clock,
    /// The nodes that a LIST may show: `--node-selector` (docs/parity.md#selection). A GET finds other nodes, too, but
    /// they have no metrics.
    pub node_selector: Option<Selector>,
    /// The port of the API, for discovery.
    pub port: u16,
    /// The paths of other routers, for the list at `/`.
    pub beside: Vec<String>,
    /// What the frontend knows about itself.
    pub own: Own,
    /// Ends long-running requests.
    pub ending: CancellationToken,
}

/// What a frontend knows of itself.
#[derive(Clone)]
pub struct Own {
    /// The name of its pod.
    pub name: Arc<str>,
    /// Returns when its serving certificate expires, in seconds since the Unix epoch.
    pub expires: Arc<dyn Fn() -> Option<i64> + Send + Sync>,
}

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Own").field(&self.name).finish()
    }
}

impl Own {
    /// A frontend with this name and without a certificate.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.into(),
            expires: Arc::new(|| None),
        }
    }

    /// When its serving certificate expires.
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

    /// The scrapers of `node`. `None` if no scraper reports roles.
    fn scraped_by(&self, node: &NodeName) -> Option<(NodeName, Scrapers)> {
        let known = self.node_roles.any();
        known.then(|| (node.clone(), self.node_roles.of(node.as_str())))
    }
}

/// [`Api`] for handlers.
type SharedApi = Arc<Api>;

/// [`Api`] for handlers of a group and version.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    api: SharedApi,
    group: &'static Group,
    version: Version,
    /// Shared by all versions.
    list_yield: ListYield,
    /// Shared by all versions.
    budget: Budget,
    /// Shared by all versions.
    watches: Watches,
    /// Shared by all versions.
    warnings: Warnings,
}

/// The whole API: every path, [`finished`].
pub fn router(api: Api) -> Router {
    finished(paths(api))
}

/// Adds the layers that are the same for every path: compression, `Audit-Id`, and refusals in the encoding that the
/// client prefers. They must be outside of every layer that refuses requests.
pub(crate) fn finished(router: Router) -> Router {
    router
        .layer(middleware::from_fn(layers::finish))
        .layer(layers::compression())
        .layer(MapRequestLayer::new(layers::bound_encodings))
}

/// Every path of the API. This router has a fallback, so a router that is merged into it must have none.
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
    let warnings = Warnings::default();
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
                warnings: warnings.clone(),
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

/// The paths of one version. [`path`] reads them.
fn paths_of(version: Version) -> Router<Served> {
    let base = format!("/apis/{}", version.api_version);
    Router::new()
        .route(&base, any(resource))
        .route(&format!("{base}/"), any(resource))
        .route(&format!("{base}/{{*rest}}"), any(resource))
}

/// Handles every path below a version.
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
