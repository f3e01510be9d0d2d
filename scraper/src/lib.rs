//! Asks kubelets for numbers and publishes them to every frontend.
//!
//! [`Scraper::start`] reads top to bottom in the order of a sample: Node
//! objects become targets, targets are scraped when they are due, readings go
//! to the hub and from there to every frontend.

pub mod args;
mod bus;
pub mod config;
pub mod kubelet;
mod metrics;
pub mod nodes;
mod schedule;
mod scrape;
pub mod shard;

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::info;
use tributary_runtime::{
    clock::Clock,
    exit::Misconfigured,
    health::{self, Check, Endpoint},
    kube as runtime_kube, log, metrics as runtime_metrics,
    serve::{Address, Limits, Listener, ServeMetrics, Server},
    signal::Signals,
    tasks::Tasks,
    tls,
};

use crate::{
    args::Args,
    bus::{
        client::{Client, Identity},
        dial::Credentials,
        doors::Naming,
        hub::Hub,
        supervisor::supervise,
    },
    config::Config,
    kubelet::Client as KubeletClient,
    metrics::{BusMetrics, ScrapeMetrics},
    nodes::{Targets, watch_nodes},
    scrape::{Scraping, scrape},
};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How long tasks may take to end.
const GRACE: Duration = Duration::from_secs(5);

/// Runs a scraper until SIGTERM or SIGINT.
///
/// # Errors
///
/// [`Misconfigured`] if the flags cannot work; else what broke.
pub async fn run(args: Args) -> anyhow::Result<()> {
    log::init(&args.log)?;
    let config = Config::try_from(args).map_err(Misconfigured::from)?;
    let signals = Signals::take_over()?;
    let stop = CancellationToken::new();
    let mut scraper = Scraper::start(config, Clock::system(), stop.clone()).await?;
    scraper.tasks.spawn("signals", async move {
        signals.stop(stop).await;
        Ok(())
    });
    scraper.run().await
}

/// A scraper that is starting its work.
#[derive(Debug)]
pub struct Scraper {
    tasks: Tasks,
    admin: Address,
}

impl Scraper {
    /// Starts every task.
    ///
    /// # Errors
    ///
    /// [`Misconfigured`] if a file that a flag names cannot be used; else why a
    /// socket cannot be had.
    pub async fn start(
        config: Config,
        clock: Clock,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        tls::install_provider();
        let kube = runtime_kube::config(&config.kube).await?;
        let kubelets = KubeletClient::new(&config.security, &kube, config.request_timeout)?;
        let mut tasks = Tasks::new(stop.clone());
        let mut registry = runtime_metrics::registry(VERSION);
        let bus_metrics = BusMetrics::register(&mut registry);

        // Node objects become targets.
        let (targets, watched) = watch::channel(Targets::default());
        let (client, selector) = (runtime_kube::client(kube)?, config.node_selector.clone());
        let (rules, ended) = (config.rules.clone(), stop.clone());
        tasks.spawn("nodes", async move {
            watch_nodes(client, &selector, rules, targets, ended).await;
            Ok(())
        });

        // Targets are scraped, readings go to the hub.
        let hub = Hub::new(bus_metrics.clone());
        let scraping = Scraping {
            client: kubelets,
            hub: hub.clone(),
            shard: config.shard,
            resolution: config.resolution,
            clock: clock.clone(),
            metrics: ScrapeMetrics::register(&mut registry),
        };
        let (nodes, ended) = (watched.clone(), stop.clone());
        tasks.spawn("scrapes", async move {
            Ok(scrape(scraping, nodes, ended).await?)
        });

        // From the hub they go to every frontend.
        let publisher = publisher(&config, hub, clock, bus_metrics.clone());
        let naming = Naming {
            server_name: config.bus.server_name.clone(),
            tls: config.bus.ca_file.is_some(),
        };
        let (frontends, ended) = (config.frontends.clone(), stop.clone());
        tasks.spawn("bus", async move {
            supervise(frontends, naming, publisher, ended).await;
            Ok(())
        });

        let probes = probes(watched, bus_metrics);
        let admin = serve_admin(&mut tasks, &config, probes, registry, stop).await?;
        Ok(Self { tasks, admin })
    }

    /// Where probes and metrics are served.
    pub fn admin_address(&self) -> &Address {
        &self.admin
    }

    /// Runs until the token given to [`Scraper::start`] is cancelled.
    ///
    /// # Errors
    ///
    /// A task ended by itself.
    pub async fn run(self) -> anyhow::Result<()> {
        Ok(self.tasks.run(GRACE).await?)
    }
}

fn publisher(config: &Config, hub: Hub, clock: Clock, metrics: BusMetrics) -> Client {
    let resolution = config.resolution.as_millis();
    Client {
        hub,
        identity: Identity {
            source: config.source_name.clone(),
            // Two processes of one name started in the same millisecond would
            // be taken for one, which only blurs a log line.
            instance: format!("{}-{}", std::process::id(), clock.now_millis()),
            group: config.group.clone(),
            resolution_ms: u64::try_from(resolution).unwrap_or(u64::MAX),
        },
        credentials: Credentials {
            ca: config.bus.ca_file.clone(),
            pair: config.bus.pair.clone(),
        },
        clock,
        metrics,
    }
}

fn probes(targets: watch::Receiver<Targets>, bus: BusMetrics) -> [Endpoint; 3] {
    let listed = move || {
        let listed = targets.borrow().listed();
        listed
            .then_some(())
            .ok_or_else(|| "the list of nodes has not been read yet".to_owned())
    };
    let connected = move || match bus.connected.get() {
        0 => Err("no frontend has taken our stream".to_owned()),
        _ => Ok(()),
    };
    let ready = vec![
        Check::ping(),
        Check::new("node-informer-sync", listed),
        Check::new("bus-connected", connected),
    ];
    [
        Endpoint::new("livez", vec![Check::ping()]),
        Endpoint::new("readyz", ready),
        Endpoint::new("healthz", vec![Check::ping()]),
    ]
}

async fn serve_admin(
    tasks: &mut Tasks,
    config: &Config,
    probes: [Endpoint; 3],
    registry: Registry,
    stop: CancellationToken,
) -> anyhow::Result<Address> {
    let bound = Listener::bind(&Address::Tcp(config.admin_address))
        .await
        .with_context(|| format!("--admin-address {}", config.admin_address))?;
    info!(address = %bound.address, "serving probes and metrics");
    let server = Server {
        listener: bound.listener,
        tls: None,
        limits: Limits {
            connections: 64,
            ..Limits::default()
        },
        metrics: ServeMetrics::default(),
    };
    let router = health::router(probes).merge(runtime_metrics::router(Arc::new(registry)));
    tasks.spawn("admin", async move { Ok(server.run(router, stop).await?) });
    Ok(bound.address)
}
