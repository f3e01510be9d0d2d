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
/// The readers of what callers send, for the fuzz targets in `tests/fuzz`.
#[cfg(feature = "fuzzing")]
pub mod fuzzing {
    pub use crate::{api::fuzzing as api, auth::fuzzing as auth};
}
mod k8s;
mod probes;
mod requests;
pub mod scrapers;
pub mod store;
mod wiring;

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::middleware;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use tributary_runtime::{
    clock::Clock,
    health::{self, Endpoint},
    log,
    metrics::{self as runtime_metrics},
    serve::{Address, Listener},
    signal::Signals,
    tasks::Tasks,
    tls,
};

use crate::{
    api::{Api, Freshness, Own},
    args::{Args, BusArgs},
    auth::{Auth, AuthConfig},
    bus::{AdmissionRules, Bus, BusMetrics, ScopeRules},
    catalog::Catalog,
    certificates::{CertificateReadiness, Keeper},
    config::Config,
    probes::{Known, Readiness, coverage::Coverage},
    requests::{
        limits,
        metrics::{self as request_metrics, RequestMetrics},
        shutdown::Steps,
    },
    store::Store,
    wiring::{files, kube_api::KubeApi},
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
        let certificate =
            keep_certificate(&mut tasks, &config, name, &clock, &kube, &mut registry).await?;

        // Objects come in.
        let catalog = Catalog::default();
        let store = Store::with_min_window(args.samples.max_sample_age, args.samples.min_window);
        // The ages of samples must not jump when the machine's clock is set.
        let ages = clock.monotonic();
        kube.watch(&mut tasks, &catalog, &store, &ages).await?;

        // Who asks is known by reviews, and so is who publishes.
        let auth = auth.start(
            reviewers,
            api::resources(),
            &mut tasks,
            &mut registry,
            clock.clone(),
        );

        // Samples come in.
        let bus = Bus::new(
            store.clone(),
            catalog.clone(),
            ages.clone(),
            args.bus.frontend_name.as_str().into(),
            BusMetrics::register(&mut registry),
            stop.clone(),
        )
        .with_shortest_resolution(args.bus.shortest_resolution);
        let listeners = take_samples(&mut tasks, &args.bus, &config, &bus, &auth, &catalog).await?;

        // Their ages and states are reported.
        let known = Known {
            catalog,
            store,
            node_roles: bus.node_roles.clone(),
            clock: ages,
        };
        tasks.spawn("expiry", expire(known.clone(), stop.clone()));
        probes::report(&mut tasks, &mut registry, &known);

        // Answers go out, to those who may have them.
        let steps = Steps::to(stop);
        let (leaving, grace) = (steps.leaving.clone(), config.serving.shutdown.grace);
        let readiness = Readiness {
            auth,
            coverage: Coverage::new(known, config.node_selector.clone(), &args.samples),
            credentials: kube.credentials.clone(),
            certificate,
            steps,
            watches: kube.watches.clone(),
        };
        let api = answer(&mut tasks, &config, &bus, readiness, registry).await?;
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

/// Keeps the serving certificate in a Secret, if it should. There is one, as a rule,
/// before anybody can call.
async fn keep_certificate(
    tasks: &mut Tasks,
    config: &Config,
    name: &str,
    clock: &Clock,
    kube: &KubeApi,
    registry: &mut Registry,
) -> anyhow::Result<Option<CertificateReadiness>> {
    let metrics = certificates::Metrics::register(registry);
    let Some(settings) = config.kept.clone() else {
        return Ok(None);
    };
    let certificate = Arc::clone(&config.serving.certificate);
    let client = kube.keeper().await?;
    let mut keeper = Keeper::new(settings, name, client, certificate, clock.clone(), metrics);
    keeper.begin().await;
    let (readiness, stop) = (keeper.readiness(), tasks.stop());
    tasks.spawn("certificates", async move {
        keeper.follow(stop).await;
        Ok(())
    });
    Ok(Some(readiness))
}

/// Listens for publishers.
async fn take_samples(
    tasks: &mut Tasks,
    args: &BusArgs,
    config: &Config,
    bus: &Bus,
    auth: &Auth,
    catalog: &Catalog,
) -> anyhow::Result<Vec<Address>> {
    let rules = AdmissionRules {
        scope_rules: ScopeRules::new(catalog.clone(), args.bus_allow.clone()),
        recheck: args.bus_recheck_interval,
        clock: bus.clock.clone(),
        metrics: bus.metrics.clone(),
        log_limiter: Arc::default(),
    };
    tasks.spawn("overdue", bus.clone().report_overdue());
    tasks.spawn("demand", bus.clone().tell_demand());
    let publishing = auth.publishing(&args.bus_token_audience);
    bus.listen(tasks, &config.bus.listeners, &publishing, &rules)
        .await
}

async fn expire(known: Known, stop: CancellationToken) -> anyhow::Result<()> {
    let sleep = || tokio::time::sleep(EXPIRE_EVERY);
    while stop.run_until_cancelled(sleep()).await.is_some() {
        let synced = known.catalog.nodes_synced();
        let exists = |node: &str| !synced || known.catalog.node(node).is_some();
        let expired = known.store.expire(known.now(), exists);
        if expired > 0 {
            warn!(nodes = expired, "no fresh samples: no longer served");
        }
    }
    Ok(())
}

/// Serves the API, its probes and `/metrics`.
async fn answer(
    tasks: &mut Tasks,
    config: &Config,
    bus: &Bus,
    readiness: Readiness,
    mut registry: Registry,
) -> anyhow::Result<Address> {
    let serving = &config.serving;
    let listening = Listener::bind_shared(&serving.address, serving.sharing)
        .await
        .with_context(|| format!("--bind-address, --secure-port {}", serving.address))?;
    let address = listening.address.clone();
    info!(%address, "serving the API");
    files::register(&mut registry, config);
    let Readiness { auth, steps, .. } = &readiness;
    let (auth, steps) = (auth.clone(), steps.clone());
    let known = readiness.coverage.known.clone();
    let probes = readiness.endpoints();
    let watched = probes.iter().flat_map(Endpoint::paths);
    let watched: Vec<String> = watched.chain(["/metrics".to_owned()]).collect();
    let refusing = steps.refusing.clone();
    let certificate = Arc::clone(&serving.certificate);
    let limits = limits::Limits::new(serving.requests, watched.clone(), refusing);
    let api = api::paths(Api {
        catalog: known.catalog,
        store: known.store,
        node_roles: known.node_roles,
        demand: bus.demand.clone(),
        freshness: Freshness::register(&mut registry),
        clock: known.clock,
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
    let requests = RequestMetrics::register(&mut registry, api::resources());
    let server = serving.server(listening, auth.first_look(), &mut registry);
    let router = api
        .merge(health::router_without_reasons(probes))
        .merge(runtime_metrics::router(Arc::new(registry)))
        .layer(middleware::from_fn_with_state(auth, auth::guard))
        .layer(middleware::from_fn_with_state(
            limits.clone(),
            limits::enforce,
        ));
    let measure = middleware::from_fn_with_state(requests, request_metrics::measure);
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
