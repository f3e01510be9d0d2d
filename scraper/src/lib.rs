//! Scrapes kubelets and publishes their readings to every frontend.
//!
//! [`Scraper::start`] reads top to bottom in the order of a sample: Node
//! objects become targets, targets are scraped when they are due, readings go
//! to the hub and from there to every frontend.

pub mod args;
pub mod assignment;
mod bus;
pub mod config;
mod events;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod kubelet;
pub mod nodes;
mod scrape;
mod wiring;

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::info;
use tributary_runtime::{
    clock::Clock,
    exit::Misconfigured,
    health::{self, Check, Endpoint},
    kube as runtime_kube, log,
    metrics::{self as runtime_metrics, Expirations},
    serve::{Address, FirstLook, Limits, Listener, ServeMetrics, Server},
    signal::Signals,
    tasks::Tasks,
    tls,
};

use crate::{
    args::Args,
    assignment::{
        leases::{self, Leases},
        metrics::AssignmentMetrics,
        ownership::View,
    },
    bus::{
        client::{Client, Identity},
        credentials::{Credentials, Files},
        endpoints::{Found, watch_endpoints},
        frontend::Frontend,
        frontend_address::TlsNaming,
        hub::Hub,
        metrics::BusMetrics,
        names,
        supervisor::{Frontends, supervise},
    },
    config::{Config, Sharding},
    events::{EventMetrics, NodeEvents},
    kubelet::{Client as KubeletClient, TokenMetrics},
    nodes::{Targets, watch_nodes},
    scrape::{Inputs, ScrapeMetrics, Scraping, scrape},
    wiring::{KubeApi, lease_namespace, lease_owner},
};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How long tasks may take to end.
const GRACE: Duration = Duration::from_secs(5);

/// Reports of overdue nodes that wait to be read. Each frontend sends one in a
/// resolution or a few, and they are read at once.
const REPORTS: usize = 64;

/// Runs a scraper until SIGTERM or SIGINT.
///
/// # Errors
///
/// [`Misconfigured`] if the flags cannot work; else what broke.
pub async fn run(args: Args) -> anyhow::Result<()> {
    log::init(&args.log)?;
    args.foreign.tell();
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
        let kubelets = KubeletClient::new(&config.security, &kube, config.limits())?;
        let certificates = kubelets.register_expiry(Expirations::default());
        let mut tasks = Tasks::new(stop.clone());
        let mut registry = runtime_metrics::registry(VERSION);
        let bus_metrics = BusMetrics::register(&mut registry);
        let assignment = AssignmentMetrics::register(&mut registry);
        let api = KubeApi::register(&config.kube, &mut registry);
        api.follow(&mut tasks);
        let leaving = Leaving::default();
        // Ages must not jump when the machine's clock is set.
        let monotonic = clock.monotonic();

        // What is shown to kubelets is kept new.
        keep_token(&mut tasks, &config, &api, &kubelets, &mut registry).await?;

        // Node objects become targets.
        let targets = find_targets(&mut tasks, &config, &api).await?;

        // They are shared out among the members of our group.
        let lease = Lease {
            namespace: lease_namespace(&config, &kube),
            owner: lease_owner(&config, &kube),
            clock: clock.clone(),
            metrics: assignment.clone(),
            drained: leaving.drained.clone(),
        };
        let view = find_members(&mut tasks, &config, &api, lease).await?;

        // What happens to nodes becomes Events.
        let events = write_events(&mut tasks, &config, &api, &clock, &mut registry).await?;

        // Targets are scraped, readings go to the hub.
        let hub = Hub::new(bus_metrics.clone());
        let (said, reports) = mpsc::channel(REPORTS);
        let scraping = Scraping {
            metrics: ScrapeMetrics::register(&mut registry, kubelets.page_counters()),
            client: kubelets,
            hub: hub.clone(),
            replicas: config.replicas,
            resolution: config.resolution,
            fast_resolution: config.fast_resolution,
            clock: monotonic.clone(),
            assignment: assignment.clone(),
            events,
        };
        let inputs = Inputs::new(&targets, &view, reports);
        let (ended, scraped) = (stop.clone(), leaving.scraped.clone().drop_guard());
        tasks.spawn("scrapes", async move {
            let _scraped = scraped;
            Ok(scrape(scraping, inputs, ended).await?)
        });

        // From the hub they go to every frontend.
        let publisher = Client {
            hub,
            identity: identity(&config, &clock),
            credentials: find_credentials(&mut tasks, &config, certificates, &mut registry),
            clock: monotonic,
            metrics: bus_metrics.clone(),
            reports: said,
            assignment,
        };
        feed_frontends(&mut tasks, &config, &api, publisher, leaving).await?;

        let probes = probes(targets, view, bus_metrics, &api);
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

/// Starts what keeps the token for kubelets new, if they are shown one of its own.
async fn keep_token(
    tasks: &mut Tasks,
    config: &Config,
    api: &KubeApi,
    kubelets: &Arc<KubeletClient>,
    registry: &mut Registry,
) -> Result<(), Misconfigured> {
    let metrics = TokenMetrics::register(registry);
    if config.security.token.is_some() {
        let requests = api.requests("kubelet-token").await?;
        kubelets.keep_token(tasks, requests, metrics);
    }
    Ok(())
}

/// Starts what keeps the nodes known.
async fn find_targets(
    tasks: &mut Tasks,
    config: &Config,
    api: &KubeApi,
) -> Result<watch::Receiver<Targets>, Misconfigured> {
    let (sender, targets) = watch::channel(Targets::default());
    let client = api.client("nodes").await?;
    let (rules, selector) = (config.rules.clone(), config.node_selector.clone());
    let stop = tasks.stop();
    tasks.spawn("nodes", async move {
        watch_nodes(client, &selector, rules, sender, stop).await;
        Ok(())
    });
    Ok(targets)
}

/// Starts what writes Events about nodes, if they are wanted.
async fn write_events(
    tasks: &mut Tasks,
    config: &Config,
    api: &KubeApi,
    clock: &Clock,
    registry: &mut Registry,
) -> Result<Option<NodeEvents>, Misconfigured> {
    let metrics = EventMetrics::register(registry);
    let Some(delay) = config.node_event_delay else {
        return Ok(None);
    };
    let client = api.requests("events").await?;
    let (events, due) = NodeEvents::new(delay, config.resolution, metrics.clone());
    let writer = events::Writer::new(client, &config.source_name, clock.clone(), metrics);
    let stop = tasks.stop();
    tasks.spawn("events", async move {
        events::write(writer, due, stop).await;
        Ok(())
    });
    Ok(Some(events))
}

/// Starts what keeps the credentials for frontends current, and reports when they expire, with other certificates.
fn find_credentials(
    tasks: &mut Tasks,
    config: &Config,
    certificates: Expirations,
    registry: &mut Registry,
) -> Credentials {
    let credentials = Credentials::new(Files {
        ca: config.bus.ca_file.clone(),
        pair: config.bus.pair.clone(),
        token: config.bus.token_file.clone(),
    });
    credentials.register_expiry(certificates).register(registry);
    let (following, stop) = (credentials.clone(), tasks.stop());
    tasks.spawn("credentials", async move {
        following.follow(stop).await;
        Ok(())
    });
    credentials
}

/// Starts what publishes to every frontend, and says when all is told.
async fn feed_frontends(
    tasks: &mut Tasks,
    config: &Config,
    api: &KubeApi,
    publisher: Client,
    leaving: Leaving,
) -> Result<(), Misconfigured> {
    let found = find_frontends(tasks, config, api).await?;
    let frontends = Frontends {
        urls: config.frontends.clone(),
        naming: TlsNaming {
            server_name: config.bus.server_name.clone(),
            tls: config.bus.ca_file.is_some(),
        },
        lookup: names::system(),
    };
    tasks.spawn("bus", async move {
        let _drained = leaving.drained.drop_guard();
        supervise(frontends, found, publisher, leaving.scraped).await;
        Ok(())
    });
    Ok(())
}

/// Starts what keeps the endpoints of Services known.
async fn find_frontends(
    tasks: &mut Tasks,
    config: &Config,
    api: &KubeApi,
) -> Result<watch::Receiver<Found>, Misconfigured> {
    let (sender, found) = watch::channel(Found::new());
    for frontend in &config.frontends {
        if let Frontend::Service(service) = frontend {
            let watching = watch_endpoints(
                api.client("endpointslices").await?,
                service.clone(),
                sender.clone(),
                tasks.stop(),
            );
            tasks.spawn("endpoints", async move {
                watching.await;
                Ok(())
            });
        }
    }
    Ok(found)
}

/// The order in which a scraper leaves: what is being scraped is finished, then
/// all that is known is sent, then our lease goes and others take over.
#[derive(Debug, Default)]
struct Leaving {
    /// No more readings will come.
    scraped: CancellationToken,
    /// Frontends have them all.
    drained: CancellationToken,
}

fn identity(config: &Config, clock: &Clock) -> Identity {
    Identity::new(&config.source_name, &config.group, config.resolution, clock)
}

/// Our lease, by which the members of our group know us.
struct Lease {
    namespace: String,
    /// The UID of the pod that owns it.
    owner: Option<String>,
    clock: Clock,
    metrics: AssignmentMetrics,
    /// It is deleted when frontends have all that was scraped.
    drained: CancellationToken,
}

/// Starts what keeps the members of our group known.
async fn find_members(
    tasks: &mut Tasks,
    config: &Config,
    api: &KubeApi,
    lease: Lease,
) -> Result<watch::Receiver<Option<View>>, Misconfigured> {
    let (sender, view) = watch::channel(None);
    let stop = tasks.stop();
    if let Sharding::Fixed(shard) = &config.sharding {
        sender.send_replace(Some(View::fixed(*shard)));
        tasks.spawn("shards", async move {
            // It does not change. Receivers must not see that the sender is gone.
            stop.cancelled().await;
            drop(sender);
            Ok(())
        });
        return Ok(view);
    }
    let (group, source) = (config.group.as_str(), config.source_name.as_str());
    let client = api.client("leases").await?;
    let Lease { clock, metrics, .. } = lease;
    let leases = Leases::new(client, &lease.namespace, group, source, clock, metrics);
    let leases = leases.owned_by(lease.owner);
    let (resolution, watching) = (config.resolution, leases.clone());
    let stopping = stop.clone();
    tasks.spawn("members", async move {
        watching.watch(resolution, sender, stop).await;
        Ok(())
    });
    tasks.spawn("lease", async move {
        leases.hold(stopping, lease.drained).await;
        Ok(())
    });
    Ok(view)
}

fn probes(
    targets: watch::Receiver<Targets>,
    view: watch::Receiver<Option<View>>,
    bus: BusMetrics,
    api: &KubeApi,
) -> [Endpoint; 3] {
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
    let [active, admitted] = api.checks();
    let ready = vec![
        Check::ping(),
        Check::new("node-informer-sync", listed),
        Check::new("lease-informer-sync", move || leases::listed(&view)),
        active,
        admitted,
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
    mut registry: Registry,
    stop: CancellationToken,
) -> anyhow::Result<Address> {
    let listening = Listener::bind(&Address::Tcp(config.admin_address))
        .await
        .with_context(|| format!("--admin-address {}", config.admin_address))?;
    info!(address = %listening.address, "serving probes and metrics");
    let server = Server {
        listener: listening.listener,
        tls: None,
        first_look: FirstLook::default(),
        limits: Limits::admin(),
        metrics: ServeMetrics::register("admin", &mut registry),
    };
    let router = health::router(probes).merge(runtime_metrics::router(Arc::new(registry)));
    tasks.spawn("admin", async move { Ok(server.run(router, stop).await?) });
    Ok(listening.address)
}
