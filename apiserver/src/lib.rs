//! Holds the newest samples of every node and serves `metrics.k8s.io`.
//!
//! [`Frontend::start`] reads top to bottom in the order in which data flows:
//! objects come in by watches, samples by the bus, and both go out by the API.

pub mod api;
pub mod args;
mod auth;
pub mod bus;
pub mod catalog;
mod certificates;
mod config;
mod coverage;
pub mod demand;
mod files;
mod kube_api;
pub mod node_roles;
/// The readers of what callers send, for the fuzz targets in `tests/fuzz`.
#[cfg(feature = "fuzzing")]
pub mod fuzzing {
    pub use crate::{api::fuzzing as api, auth::fuzzing as auth};
}
mod limits;
mod metrics;
mod requests;
mod shutdown;
mod states;
pub mod store;

use std::{
    sync::{Arc, Mutex, atomic::AtomicBool},
    time::Duration,
};

use anyhow::Context as _;
use axum::middleware;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use tributary_model::Timestamp;
use tributary_runtime::{
    clock::Clock,
    health::{self, Check, Endpoint},
    log,
    metrics::{self as runtime_metrics},
    serve::{Address, Listener},
    signal::Signals,
    tasks::Tasks,
    tls,
};

use crate::{
    api::{Api, Freshness, Own},
    args::{Args, BusArgs, SampleArgs},
    auth::{Auth, AuthConfig},
    bus::{Admission, Bus, BusMetrics, ScopeRules, Wanted},
    catalog::Catalog,
    certificates::{Keeper, Shown},
    config::Config,
    coverage::Coverage,
    kube_api::KubeApi,
    node_roles::NodeRoles,
    requests::RequestMetrics,
    shutdown::Steps,
    store::Store,
};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How often samples that are too old are looked for. They are not served
/// anyway; this frees their memory.
const EXPIRE_EVERY: Duration = Duration::from_secs(5);

/// How long tasks may take to end, beyond what requests in flight are given.
const GRACE: Duration = Duration::from_secs(5);

/// Runs a frontend until SIGTERM or SIGINT.
///
/// # Errors
///
/// [`tributary_runtime::exit::Misconfigured`] if the flags cannot work; else what broke.
pub async fn run(args: Args) -> anyhow::Result<()> {
    log::init(&args.log)?;
    args.foreign.tell();
    let signals = Signals::take_over()?;
    let stop = CancellationToken::new();
    let mut frontend = Frontend::start(args, Clock::system(), stop.clone()).await?;
    let leaving = frontend.leaving();
    frontend.tasks.spawn("signals", async move {
        signals.leave_then_stop(leaving, stop).await;
        Ok(())
    });
    frontend.run().await
}

/// What a frontend holds, and what tells how old it is.
#[derive(Clone, Debug)]
struct AppState {
    catalog: Catalog,
    store: Store,
    node_roles: NodeRoles,
    kube: KubeApi,
    clock: Clock,
    /// Whether there is a serving certificate, where frontends keep it themselves.
    shown: Option<Shown>,
}

/// A frontend that has its sockets and is starting its work.
#[derive(Debug)]
pub struct Frontend {
    tasks: Tasks,
    grace: Duration,
    leaving: CancellationToken,
    api: Address,
    bus: Vec<Address>,
}

impl Frontend {
    /// Binds the sockets and starts every task.
    ///
    /// # Errors
    ///
    /// [`tributary_runtime::exit::Misconfigured`] if the flags cannot work; else why a socket cannot be
    /// had.
    pub async fn start(args: Args, clock: Clock, stop: CancellationToken) -> anyhow::Result<Self> {
        tls::install_provider();
        let config = Config::try_from(&args)?;
        let auth = AuthConfig::new(&args.authentication, &args.authorization)?;
        let mut tasks = Tasks::new(stop.clone());
        let mut registry = runtime_metrics::registry(VERSION);
        let kube = KubeApi::register(&args.kube, &mut registry);
        let reviewers = kube.reviewers(&args).await?;
        let name = args.bus.frontend_name.as_str();
        let kept = (&config, name, clock.clone());
        let steps = certificates::Metrics::register(&mut registry);
        let shown = keep_certificate(&mut tasks, kept, &kube, steps).await?;

        // Objects come in.
        let catalog = Catalog::default();
        let store = Store::new(args.samples.max_sample_age);
        // The ages of samples must not jump when the machine's clock is set.
        let ages = clock.monotonic();
        kube.watch(&mut tasks, &catalog, (&store, &ages)).await?;

        // Who asks is known by reviews, and so is who publishes.
        let auth = auth.start(reviewers, &mut tasks, &mut registry, clock.clone());

        // Samples come in.
        let clock = ages;
        let bus = Bus::new(
            store.clone(),
            catalog.clone(),
            clock.clone(),
            args.bus.frontend_name.as_str().into(),
            BusMetrics::register(&mut registry),
            stop.clone(),
        );
        tasks.spawn("overdue", bus.clone().report_overdue());
        let listeners =
            take_samples(&mut tasks, (&args.bus, &config), &bus, &auth, &catalog).await?;
        tasks.spawn(
            "expiry",
            expire(catalog.clone(), store.clone(), clock.clone(), stop.clone()),
        );

        // What becomes of them is told.
        let app = AppState {
            catalog,
            store,
            node_roles: bus.node_roles.clone(),
            kube,
            clock: clock.clone(),
            shown,
        };
        metrics::register(&mut registry, app.clone());
        let (logged, ended) = (app.clone(), stop.clone());
        tasks.spawn("states", async move {
            states::log_changes(logged, ended).await;
            Ok(())
        });

        // Answers go out, to those who may have them.
        let coverage = coverage(app, &config, &args.samples);
        let by = (auth, Steps::to(stop));
        let (leaving, grace) = (by.1.leaving.clone(), config.serving.shutdown.grace);
        let api = answer(&mut tasks, (&config, &bus), coverage, by, registry).await?;
        files::follow(&mut tasks, config);
        Ok(Self {
            tasks,
            grace: grace + GRACE,
            leaving,
            api,
            bus: listeners,
        })
    }

    /// Where the API is served.
    pub fn api_address(&self) -> &Address {
        &self.api
    }

    /// To be cancelled for an orderly end: `/readyz` fails at once, and after
    /// `--shutdown-delay-duration` the token given to [`Frontend::start`] is
    /// cancelled, which is the end without that delay.
    pub fn leaving(&self) -> CancellationToken {
        self.leaving.clone()
    }

    /// Where samples are taken, in the order of the flags.
    pub fn bus_addresses(&self) -> &[Address] {
        &self.bus
    }

    /// Runs until the token given to [`Frontend::start`] is cancelled.
    ///
    /// # Errors
    ///
    /// A task ended by itself.
    pub async fn run(self) -> anyhow::Result<()> {
        Ok(self.tasks.run(self.grace).await?)
    }
}

/// Whether enough nodes are answered for, as the flags want it.
fn coverage(app: AppState, config: &Config, args: &SampleArgs) -> Coverage {
    Coverage {
        app,
        node_selector: config.node_selector.clone(),
        wanted: args.readiness_coverage,
        wanted_served: args.readiness_served,
        ready: AtomicBool::new(false),
        result: Mutex::default(),
    }
}

/// Keeps the serving certificate in a Secret, if it should. There is one, as a rule,
/// before anybody can call.
async fn keep_certificate(
    tasks: &mut Tasks,
    (config, name, clock): (&Config, &str, Clock),
    kube: &KubeApi,
    metrics: certificates::Metrics,
) -> anyhow::Result<Option<Shown>> {
    let Some(settings) = config.kept.clone() else {
        return Ok(None);
    };
    let certificate = Arc::clone(&config.serving.certificate);
    let client = kube.keeper().await?;
    let mut keeper = Keeper::new((settings, name), client, (certificate, clock), metrics);
    keeper.begin().await;
    let (shown, stop) = (keeper.shown(), tasks.stop());
    tasks.spawn("certificates", async move {
        keeper.follow(stop).await;
        Ok(())
    });
    Ok(Some(shown))
}

/// Opens the doors of the bus to those who may publish.
async fn take_samples(
    tasks: &mut Tasks,
    (args, config): (&BusArgs, &Config),
    bus: &Bus,
    auth: &Auth,
    catalog: &Catalog,
) -> anyhow::Result<Vec<Address>> {
    let admission = Admission {
        wanted: Wanted::Nothing,
        scope_rules: ScopeRules::new(catalog.clone(), args.bus_allow.clone()),
        recheck: args.bus_recheck_interval,
        clock: bus.clock.clone(),
        metrics: bus.metrics.clone(),
        log_limiter: Arc::default(),
    };
    tasks.spawn("demand", bus.clone().tell_demand());
    let publishing = auth.publishing(&args.bus_token_audience);
    bus.listen(tasks, &config.bus, (&publishing, &admission))
        .await
}

async fn expire(
    catalog: Catalog,
    store: Store,
    clock: Clock,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let sleep = || tokio::time::sleep(EXPIRE_EVERY);
    while stop.run_until_cancelled(sleep()).await.is_some() {
        let synced = catalog.nodes_synced();
        let exists = |node: &str| !synced || catalog.node(node).is_some();
        let expired = store.expire(Timestamp::from_millis(clock.now_millis()), exists);
        if expired > 0 {
            warn!(nodes = expired, "no fresh samples: no longer served");
        }
    }
    Ok(())
}

fn probes(coverage: Coverage, auth: Auth, steps: Steps) -> [Endpoint; 3] {
    let catalog = coverage.app.catalog.clone();
    let KubeApi {
        watches,
        credentials,
        ..
    } = coverage.app.kube.clone();
    let synced = |what: &'static str, ask: fn(&Catalog) -> bool| {
        let catalog = catalog.clone();
        move || {
            if ask(&catalog) {
                Ok(())
            } else {
                Err(format!("the list of {what} has not been read yet"))
            }
        }
    };
    let shutdown = move || {
        let running = !steps.is_leaving();
        running
            .then_some(())
            .ok_or_else(|| "process is shutting down".to_owned())
    };
    let shown = coverage.app.shown.clone();
    let certificate = shown.map(|shown| Check::new("serving-certificate", move || shown.check()));
    let ready = [
        Check::ping(),
        Check::new("node-informer-sync", synced("nodes", Catalog::nodes_synced)),
        Check::new("pod-informer-sync", synced("pods", Catalog::pods_synced)),
        Check::new("watch-activity", move || watches.check()),
        Check::new("authentication-configuration", move || auth.ready()),
        Check::new("kube-credentials", move || credentials.ready()),
        Check::new("metric-coverage", coverage::check(Arc::new(coverage))),
        Check::new("shutdown", shutdown),
    ];
    let ready = ready.into_iter().chain(certificate).collect();
    [
        Endpoint::new("livez", vec![Check::ping()]),
        Endpoint::new("readyz", ready),
        Endpoint::new("healthz", vec![Check::ping()]),
    ]
}

/// Serves the API, its probes and `/metrics`.
async fn answer(
    tasks: &mut Tasks,
    (config, bus): (&Config, &Bus),
    coverage: Coverage,
    (auth, steps): (Auth, Steps),
    mut registry: Registry,
) -> anyhow::Result<Address> {
    let serving = &config.serving;
    let bound = Listener::bind_shared(&serving.address, serving.sharing)
        .await
        .with_context(|| format!("--bind-address, --secure-port {}", serving.address))?;
    let address = bound.address.clone();
    info!(%address, "serving the API");
    files::register(&mut registry, config);
    let app = coverage.app.clone();
    let probes = probes(coverage, auth.clone(), steps.clone());
    let watched = probes.iter().flat_map(Endpoint::paths);
    let watched: Vec<String> = watched.chain(["/metrics".to_owned()]).collect();
    let refusing = steps.refusing.clone();
    let certificate = Arc::clone(&serving.certificate);
    let limits = limits::Limits::new(serving.requests, watched.clone(), refusing);
    let api = api::paths(Api {
        catalog: app.catalog,
        store: app.store,
        node_roles: app.node_roles,
        demand: bus.demand.clone(),
        freshness: Freshness::register(&mut registry),
        clock: app.clock,
        node_selector: config.node_selector.clone(),
        port: port_of(&address),
        beside: watched
            .into_iter()
            .chain(["/debug/nodes".to_owned()])
            .collect(),
        own: Own {
            name: Arc::clone(&bus.frontend),
            expires: Arc::new(move || certificate.expires()),
        },
        ending: steps.ending.clone(),
    });
    let requests = RequestMetrics::register(&mut registry);
    let server = serving.server(bound, auth.first_look(), &mut registry);
    let router = api
        .merge(health::router_without_reasons(probes))
        .merge(runtime_metrics::router(Arc::new(registry)))
        .layer(middleware::from_fn_with_state(auth, auth::guard))
        .layer(middleware::from_fn_with_state(
            limits.clone(),
            limits::bound,
        ));
    let measure = middleware::from_fn_with_state(requests, requests::measure);
    let router = api::finished(router)
        .layer(middleware::from_fn(limits::hold))
        .layer(measure);
    let stop = tasks.stop();
    tasks.spawn("api", async move { Ok(server.run(router, stop).await?) });
    let pace = serving.shutdown;
    tasks.spawn("shutdown", async move {
        steps.take(pace, limits).await;
        Ok(())
    });
    Ok(address)
}

fn port_of(address: &Address) -> u16 {
    match address {
        Address::Tcp(address) => address.port(),
        Address::Unix(_) => 0,
    }
}
