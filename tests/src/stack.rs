//! A cluster, scrapers and frontends in one process.
//!
//! Sockets, TLS and flags are real. Only the pace is not: kubelets take a new sample for each request, so the
//! resolution can be half a second.

mod credentials;
mod impatient;
mod own_runtime;
mod sidecar;

use std::{
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU16, Ordering},
    },
    time::Duration,
};

use clap::Parser as _;
use jiff::SignedDuration;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tributary_apiserver::{Frontend, args::Args as FrontendArgs};
use tributary_runtime::{clock::Clock, kube::Limits, serve::Address};
use tributary_scraper::{Scraper, args::Args as ScraperArgs, config::Config};
use tributary_sim::{Builder, Ca, Cluster, Endpoint, FrontendTrust};

use self::own_runtime::OwnRuntime;
use crate::{
    ask::{Answer, Client, plain},
    patience::eventually,
};

/// The resolution of these tests.
pub const RESOLUTION: Duration = Duration::from_millis(500);

/// The timeout of a scrape in these tests.
pub const REQUEST_TIMEOUT: Duration = Duration::from_millis(400);

/// The Service of the frontends.
const SERVICE: (&str, &str) = ("tributary", "frontends");

/// The name of the port of the bus in the Service.
const BUS: &str = "bus";

/// A component that runs as a task.
#[derive(Debug)]
struct Process {
    /// The address of a scraper's metrics.
    admin: Option<SocketAddr>,
    stop: CancellationToken,
    running: JoinSet<anyhow::Result<()>>,
    /// That of a scraper.
    runtime: Option<OwnRuntime>,
}

impl Process {
    /// Ends it like SIGKILL: nothing is finished, and its connections are closed.
    async fn kill(mut self) {
        // All tasks of the runtime end, also those that own the connections.
        drop(self.runtime.take());
        self.running.shutdown().await;
    }

    /// Asks it to end, and expects that it ends without an error.
    async fn end(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.running.join_next().await {
            ended.expect("no panic").expect("an orderly end");
        }
    }
}

/// A frontend that runs.
#[derive(Debug)]
struct Front {
    process: Process,
    api: SocketAddr,
    bus: Address,
}

/// The addresses of a frontend.
#[derive(Debug)]
pub struct Addresses {
    api: SocketAddr,
    bus: Address,
}

/// Both components and a cluster. A test must call [`Stack::stop`] at its end.
#[derive(Debug)]
pub struct Stack {
    /// The cluster.
    pub cluster: Cluster,
    flags: &'static [&'static str],
    /// Whether publishers send tokens instead of certificates.
    tokens: bool,
    resolution: Duration,
    /// The resolution of nodes that are wanted fresh.
    fast: Option<Duration>,
    /// The time limits for the Kubernetes API.
    limits: Limits,
    /// How many seconds the clocks of both components are off.
    clocks_off: Arc<AtomicI64>,
    scrapers: Vec<Option<Process>>,
    frontends: Vec<Option<Front>>,
}

impl Stack {
    /// Starts the cluster, and this many scrapers and frontends. Samples are served for three resolutions, as by
    /// default.
    pub async fn start(cluster: Builder, scrapers: usize, frontends: usize) -> Self {
        Self::with(cluster, (scrapers, frontends), &[], RESOLUTION).await
    }

    /// The same with the resolution of a real cluster, ten seconds.
    pub async fn unhurried(cluster: Builder, scrapers: usize, frontends: usize) -> Self {
        let resolution = Duration::from_secs(10);
        Self::with(cluster, (scrapers, frontends), &[], resolution).await
    }

    /// The same, and nodes that are wanted fresh are scraped every second. Scrapers find each other by Leases.
    pub async fn fast(cluster: Builder, scrapers: usize, frontends: usize) -> Self {
        let mut stack = Self::unhurried(cluster, 0, frontends).await;
        stack.fast = Some(Duration::from_secs(1));
        for _ in 0..scrapers {
            stack.join_scraper().await;
        }
        stack
    }

    /// The same with one scraper, one frontend, and kubelets that measure all of their containers at once, this often.
    pub async fn fast_and_periodic(cluster: Builder, period: Duration) -> Self {
        let resolution = Duration::from_secs(10);
        let cluster = cluster.housekeeping(period);
        let mut stack = Self::measured(cluster, (0, 1), &[], resolution).await;
        stack.fast = Some(Duration::from_secs(1));
        stack.join_scraper().await;
        stack
    }

    /// Starts this many scrapers and frontends with a resolution of two seconds. Scrapers find each other by Leases,
    /// and frontends by `EndpointSlice`s, so both may come and go.
    pub async fn leased(cluster: Builder, scrapers: usize, frontends: usize) -> Self {
        let resolution = Duration::from_secs(2);
        let mut stack = Self::with(cluster, (0, frontends), &[], resolution).await;
        for _ in 0..scrapers {
            stack.join_scraper().await;
        }
        stack
    }

    /// Starts this many scrapers and frontends. Samples are served for minutes, for tests in which samples must not
    /// expire on a slow machine.
    pub async fn patient(cluster: Builder, scrapers: usize, frontends: usize) -> Self {
        let flags = &["--max-sample-age=5m"];
        Self::with(cluster, (scrapers, frontends), flags, RESOLUTION).await
    }

    async fn with(
        cluster: Builder,
        sizes: (usize, usize),
        flags: &'static [&'static str],
        resolution: Duration,
    ) -> Self {
        let cluster = cluster.housekeeping(Duration::ZERO);
        Self::measured(cluster, sizes, flags, resolution).await
    }

    async fn measured(
        cluster: Builder,
        (scrapers, frontends): (usize, usize),
        flags: &'static [&'static str],
        resolution: Duration,
    ) -> Self {
        let cluster = cluster.start().await.expect("a cluster");
        let trust = FrontendTrust::Ca {
            pem: cluster.pki().ca(Ca::Bus).to_owned(),
            server_name: "localhost".to_owned(),
        };
        cluster.set_frontend_trust(&trust).expect("a CA");
        let publishers = cluster.paths().dir.join("publishers.crt");
        std::fs::copy(&cluster.paths().bus_ca, publishers).expect("a copy");
        let mut stack = Self {
            cluster,
            flags,
            tokens: false,
            resolution,
            fast: None,
            limits: Limits::default(),
            clocks_off: Arc::default(),
            scrapers: Vec::new(),
            frontends: Vec::new(),
        };
        for _ in 0..frontends {
            let own = own_address();
            let front = stack.frontend(own, &Address::Tcp(own)).await;
            stack.frontends.push(Some(front));
        }
        stack.announce();
        for index in 0..scrapers {
            let scraper = stack.scraper(index, &stack.shard(index, scrapers)).await;
            stack.scrapers.push(Some(scraper));
        }
        stack
    }

    /// An administrator's client.
    pub fn admin(&self) -> Client {
        Client::admin(&self.cluster)
    }

    /// A client of the frontend `index`, like the aggregator.
    pub fn front(&self, index: usize) -> Client {
        Client::front_proxy(&self.cluster, self.api(index))
    }

    /// A client of the frontend `index` without a certificate.
    pub fn stranger(&self, index: usize) -> Client {
        Client::stranger(&self.cluster, self.api(index))
    }

    /// The value of a metric of a scraper. It is 0 for a counter without a series.
    pub async fn of_scraper(&self, index: usize, metric: &str) -> u64 {
        let metrics = self.scraper_admin(index, "/metrics").await;
        metrics.metric(metric).unwrap_or_default()
    }

    /// GETs a path of the probes and metrics of a scraper.
    pub async fn scraper_admin(&self, index: usize, path: &str) -> Answer {
        let scraper = self.scrapers.get(index).and_then(Option::as_ref);
        let admin = scraper.and_then(|scraper| scraper.admin);
        let admin = admin.expect("a scraper that runs");
        plain(admin, path).await.expect("an answer")
    }

    fn api(&self, index: usize) -> SocketAddr {
        let front = self.frontends.get(index).and_then(Option::as_ref);
        front.expect("a frontend that runs").api
    }

    /// Ends a frontend without draining. Its connections are cut off.
    pub async fn kill_frontend(&mut self, index: usize) -> Addresses {
        let front = self.frontends.get_mut(index).and_then(Option::take);
        let mut front = front.expect("a frontend that runs");
        front.process.running.shutdown().await;
        self.announce();
        // Its tasks end a moment later, and close its sockets.
        for address in std::iter::once(front.api).chain(socket_of(&front.bus)) {
            eventually(|| async move { TcpListener::bind(address).await }).await;
        }
        Addresses {
            api: front.api,
            bus: front.bus,
        }
    }

    /// Starts another frontend and returns its index.
    pub async fn join_frontend(&mut self) -> usize {
        let own = own_address();
        let front = self.frontend(own, &Address::Tcp(own)).await;
        self.frontends.push(Some(front));
        self.announce();
        self.frontends.len() - 1
    }

    /// Removes a frontend from the endpoints of the Service. The frontend keeps running.
    pub fn withdraw_frontend(&self, index: usize) {
        let endpoints = self.endpoints().into_iter();
        let others = endpoints.filter(|(other, _)| *other != index);
        self.publish(others.map(|(_, endpoint)| endpoint));
    }

    /// Starts a frontend again at the same addresses.
    pub async fn restart_frontend(&mut self, index: usize, at: Addresses) {
        let front = self.frontend(at.api, &at.bus).await;
        if let Some(place) = self.frontends.get_mut(index) {
            *place = Some(front);
        }
        self.announce();
    }

    /// How often nodes are scraped.
    pub fn resolution(&self) -> Duration {
        self.resolution
    }

    /// Starts another scraper with a Lease and returns its index.
    pub async fn join_scraper(&mut self) -> usize {
        let index = self.scrapers.len();
        let scraper = self.scraper(index, &discovery(&[])).await;
        self.scrapers.push(Some(scraper));
        index
    }

    /// Starts another scraper of `group` for the nodes that `selector` selects.
    pub async fn join_group(&mut self, group: &str, selector: &str) -> usize {
        let index = self.scrapers.len();
        let flags = [
            format!("--group={group}"),
            format!("--node-selector={selector}"),
        ];
        let scraper = self.scraper(index, &discovery(&flags)).await;
        self.scrapers.push(Some(scraper));
        index
    }

    /// Ends a scraper like a signal does.
    pub async fn end_scraper(&mut self, index: usize) {
        self.take_scraper(index).end().await;
    }

    /// Ends a scraper like a crash. Nothing is finished, and its Lease stays.
    pub async fn kill_scraper(&mut self, index: usize) {
        self.take_scraper(index).kill().await;
    }

    fn take_scraper(&mut self, index: usize) -> Process {
        let scraper = self.scrapers.get_mut(index).and_then(Option::take);
        scraper.expect("a scraper that runs")
    }

    /// Ends everything, in the order of a rollout.
    pub async fn stop(mut self) {
        for scraper in self.scrapers.drain(..).flatten() {
            scraper.end().await;
        }
        for front in self.frontends.drain(..).flatten() {
            front.process.end().await;
        }
        self.cluster.stop().await;
    }

    /// Sets the clocks of both components off by this many seconds.
    pub fn set_clocks(&self, seconds: i64) {
        self.clocks_off.store(seconds, Ordering::Relaxed);
    }

    fn clock(&self) -> Clock {
        let (off, machine) = (Arc::clone(&self.clocks_off), Clock::system());
        Clock::from_fn(move || {
            let off = SignedDuration::from_secs(off.load(Ordering::Relaxed));
            machine.now().saturating_add(off).expect("a date")
        })
    }

    fn announce(&self) {
        let running = self.frontends.iter().flatten();
        self.cluster
            .set_frontends(running.map(|front| front.api).collect());
        let endpoints = self.endpoints().into_iter();
        self.publish(endpoints.map(|(_, endpoint)| endpoint));
    }

    /// The endpoints of the Service. They are never ready. That must not matter, because frontends become ready only
    /// when scrapers have found them.
    fn endpoints(&self) -> Vec<(usize, Endpoint)> {
        let running = self.frontends.iter().enumerate();
        let running = running.filter_map(|(index, front)| Some((index, front.as_ref()?)));
        let endpoint = |(index, front): (usize, &Front)| {
            let address = socket_of(&front.bus)?;
            let ready = false;
            Some((index, Endpoint { address, ready }))
        };
        running.filter_map(endpoint).collect()
    }

    fn publish(&self, endpoints: impl Iterator<Item = Endpoint>) {
        let endpoints: Vec<Endpoint> = endpoints.collect();
        self.cluster
            .set_endpoints(SERVICE, BUS, &endpoints)
            .expect("endpoint slices");
    }

    async fn frontend(&self, api: SocketAddr, bus: &Address) -> Front {
        let paths = self.cluster.paths();
        let flags = [
            format!("--bind-address={}", api.ip()),
            format!("--secure-port={}", api.port()),
            format!("--bus-address={bus}"),
            flag("--tls-cert-file", &paths.frontend_certificate),
            flag("--tls-private-key-file", &paths.frontend_key),
            flag("--requestheader-client-ca-file", &paths.front_proxy_ca),
            flag("--kubeconfig", &paths.kubeconfig),
            "--frontend-name=front".to_owned(),
        ];
        let publishers = flag("--bus-client-ca-file", &self.publishers_ca());
        let publishers = (!self.tokens).then_some(publishers);
        let more = self.flags.iter().map(ToString::to_string).chain(publishers);
        let flags = std::iter::once("tributary-apiserver".to_owned()).chain(flags);
        let flags = flags.chain(more);
        let mut args = FrontendArgs::try_parse_from(flags).expect("flags");
        args.kube.limits = self.limits;
        args.bus.shortest_resolution = args.bus.shortest_resolution.min(self.resolution);
        if self.resolution < Duration::from_secs(10) {
            // Samples are closer than those of a real cluster.
            args.samples.min_window = self.resolution / 8;
        }
        let stop = CancellationToken::new();
        let frontend = Frontend::start(args, self.clock(), stop.clone())
            .await
            .expect("a frontend");
        let api = tcp(frontend.api_address());
        let bus = frontend.bus_addresses().first().expect("a bus").clone();
        let mut running = JoinSet::new();
        running.spawn(frontend.run());
        let process = Process {
            admin: None,
            stop,
            running,
            runtime: None,
        };
        Front { process, api, bus }
    }

    /// The flags of shard `index` of `count` fixed shards, with the address of each frontend.
    fn shard(&self, index: usize, count: usize) -> Vec<String> {
        let shard = [
            format!("--shard-index={index}"),
            format!("--shard-count={count}"),
        ];
        let frontends = self.frontends.iter().flatten().enumerate();
        let frontends = frontends.map(|(index, front)| match &front.bus {
            Address::Unix(_) => format!("--frontend={}", front.bus),
            // Every other frontend is named by its address, the others by a name that must be resolved.
            Address::Tcp(bus) if index % 2 == 0 => format!("--frontend=https://{bus}"),
            Address::Tcp(bus) => format!("--frontend=dns:///{bus}"),
        });
        shard.into_iter().chain(frontends).collect()
    }

    async fn scraper(&self, index: usize, sharding: &[String]) -> Process {
        let paths = self.cluster.paths();
        let pki = self.cluster.pki();
        let (certificate, key) = pki
            .client(Ca::Bus, &format!("scraper-{index}"), &[])
            .and_then(|pair| pair.write(&paths.dir, &format!("scraper-{index}")))
            .expect("a certificate");
        let mut flags = vec![
            "tributary-scraper".to_owned(),
            format!("--source-name=scraper-{index}"),
            "--admin-address=127.0.0.1:0".to_owned(),
            "--kubelet-use-node-status-port".to_owned(),
            "--kubelet-preferred-address-types=InternalIP".to_owned(),
            flag("--kubelet-certificate-authority", &paths.kubelet_ca),
            flag("--kubelet-client-certificate", &paths.scraper_certificate),
            flag("--kubelet-client-key", &paths.scraper_key),
            flag("--kubeconfig", &paths.kubeconfig),
            flag("--bus-ca-file", &paths.bus_ca),
            "--bus-server-name=localhost".to_owned(),
            "--node-event-delay=1s".to_owned(),
        ];
        if self.tokens {
            flags.push(flag("--bus-token-file", &self.token_file()));
        } else {
            flags.push(flag("--bus-client-certificate", &certificate));
            flags.push(flag("--bus-client-key", &key));
        }
        flags.extend_from_slice(sharding);
        let mut args = ScraperArgs::try_parse_from(flags).expect("flags");
        args.kube.limits = self.limits;
        let config = Config::try_from(args).expect("flags that fit together");
        let config = config
            .paced(self.resolution, REQUEST_TIMEOUT)
            .fast(self.fast);
        let stop = CancellationToken::new();
        let runtime = OwnRuntime::start();
        let scraper = Scraper::start(config, self.clock(), stop.clone());
        let scraper = runtime.run(scraper).await.expect("a scraper");
        let admin = socket_of(scraper.admin_address());
        let mut running = JoinSet::new();
        running.spawn_on(scraper.run(), runtime.handle());
        Process {
            admin,
            stop,
            running,
            runtime: Some(runtime),
        }
    }
}

/// Frontends are found by their Service, and scrapers by Leases.
fn discovery(flags: &[String]) -> Vec<String> {
    let (namespace, service) = SERVICE;
    let frontend = format!("--frontend=k8s:///{namespace}/{service}:{BUS}");
    flags.iter().cloned().chain([frontend]).collect()
}

/// A loopback address that no other program on this machine uses. So the port of a stopped frontend is still free when
/// it starts again.
fn own_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let [high, low] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let [_, _, _, process] = std::process::id().to_be_bytes();
    SocketAddr::from(([127, 64 | (high & 63), process, low], 0))
}

fn flag(name: &str, path: &Path) -> String {
    format!("{name}={}", path.display())
}

fn socket_of(address: &Address) -> Option<SocketAddr> {
    match address {
        Address::Tcp(address) => Some(*address),
        Address::Unix(_) => None,
    }
}

fn tcp(address: &Address) -> SocketAddr {
    socket_of(address).expect("a TCP address")
}
