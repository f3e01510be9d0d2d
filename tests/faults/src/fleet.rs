//! A simulated cluster, and both components as processes. Every connection goes through a proxy.

mod flags;

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU16, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tributary_e2e::ask::Client;
use tributary_runtime::clock::Clock;
use tributary_sim::{Cluster, KubeletAuth};
use tributary_testkit::program::Program;

use crate::{
    book::Served,
    observer::{Book, Observer},
    proxy::{Mode, Proxy},
};

/// The resolution, which is the shortest that the flag allows.
pub(crate) const RESOLUTION: Duration = Duration::from_secs(10);

/// The user of the observer. A rule of the cluster allows it to list nodes and pods.
const OBSERVER: &str = "observer";
const GROUP: &str = "system:authenticated";

/// The size of a fleet, and its directories.
#[derive(Clone, Debug)]
pub(crate) struct Size {
    pub(crate) nodes: usize,
    pub(crate) pods_per_node: usize,
    pub(crate) frontends: usize,
    pub(crate) scrapers: usize,
    /// The resolution of nodes that are wanted fresh.
    pub(crate) fast: Option<Duration>,
    /// The directory of the binaries.
    pub(crate) binaries: PathBuf,
    /// The directory of logs and certificates.
    pub(crate) dir: PathBuf,
}

/// A scraper and the proxies of its connections.
#[derive(Debug)]
pub(crate) struct Scraper {
    pub(crate) name: String,
    pub(crate) program: Program,
    pub(crate) admin: SocketAddr,
    /// To the Kubernetes API.
    pub(crate) api: Proxy,
    /// To all kubelets.
    pub(crate) kubelets: Proxy,
    /// To each frontend.
    pub(crate) buses: Vec<Proxy>,
}

impl Scraper {
    /// Ends it in order. Its connections stay until it has ended.
    ///
    /// # Errors
    ///
    /// It does not end, or not in order.
    pub(crate) async fn end(self) -> anyhow::Result<()> {
        let Self {
            program,
            api,
            kubelets,
            buses,
            ..
        } = self;
        let ended = program.end().await;
        drop((api, kubelets, buses));
        ended
    }
}

/// A frontend and the proxies of its connections.
#[derive(Debug)]
pub(crate) struct Frontend {
    pub(crate) name: String,
    program: Option<Program>,
    flags: Vec<String>,
    pub(crate) api: SocketAddr,
    bus: SocketAddr,
    /// To the Kubernetes API.
    pub(crate) kube: Proxy,
    /// Whether it runs and will not be stopped soon.
    up: Arc<AtomicBool>,
}

impl Frontend {
    /// The process ID, if it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.program.as_ref().and_then(Program::pid)
    }

    /// The address of its bus.
    pub(crate) fn bus(&self) -> SocketAddr {
        self.bus
    }
}

/// The whole fleet.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) scrapers: Vec<Scraper>,
    pub(crate) frontends: Vec<Frontend>,
    pub(crate) book: Book,
    pub(crate) clock: Clock,
    size: Size,
    /// The number of scrapers that were ever started.
    started: usize,
    observers: JoinSet<()>,
    stop: CancellationToken,
}

impl Fleet {
    /// Starts everything. The observers do not run yet.
    ///
    /// # Errors
    ///
    /// Something cannot be started.
    pub(crate) async fn start(size: Size) -> anyhow::Result<Self> {
        let cluster = Cluster::builder()
            .nodes(size.nodes)
            .pods_per_node(size.pods_per_node)
            // Kubelets take a sample for each request.
            .housekeeping(Duration::ZERO)
            .kubelet_auth(KubeletAuth::Delegated)
            .dir(&size.dir)
            .start()
            .await?;
        for resource in ["nodes", "pods"] {
            cluster.allow(OBSERVER, "get", "metrics.k8s.io", resource);
            cluster.allow(OBSERVER, "list", "metrics.k8s.io", resource);
        }
        let mut fleet = Self {
            cluster: Arc::new(cluster),
            scrapers: Vec::new(),
            frontends: Vec::new(),
            book: Book::new(),
            clock: Clock::system(),
            started: 0,
            observers: JoinSet::new(),
            stop: CancellationToken::new(),
            size,
        };
        for index in 0..fleet.size.frontends {
            fleet.add_frontend(index).await?;
        }
        for _ in 0..fleet.size.scrapers {
            fleet.add_scraper().await?;
        }
        Ok(fleet)
    }

    async fn add_frontend(&mut self, index: usize) -> anyhow::Result<()> {
        let name = format!("frontend-{index}");
        let (api, bus) = (own_address(), own_address());
        let kube = Proxy::before(self.cluster.api_address()).await?;
        let flags = flags::frontend(&self.cluster, &name, (api, bus), kube.address())?;
        let program = self.program("tributary-apiserver", &name, &flags)?;
        let up = Arc::new(AtomicBool::new(true));
        self.frontends.push(Frontend {
            name,
            program: Some(program),
            flags,
            api,
            bus,
            kube,
            up,
        });
        Ok(())
    }

    /// Starts another scraper with a new name, as a pod has.
    ///
    /// # Errors
    ///
    /// It cannot be started.
    pub(crate) async fn add_scraper(&mut self) -> anyhow::Result<()> {
        let name = format!("scraper-{}", self.started);
        self.started += 1;
        let admin = own_address();
        let api = Proxy::before(self.cluster.api_address()).await?;
        let kubelets = Proxy::before_all(self.cluster.kubelet_port()).await?;
        let mut buses = Vec::new();
        for frontend in &self.frontends {
            buses.push(Proxy::before(frontend.bus).await?);
        }
        let ways = flags::Ways {
            api: api.address(),
            kubelet_port: kubelets.address().port(),
            buses: buses.iter().map(Proxy::address).collect(),
        };
        let mut flags = flags::scraper(&self.cluster, &name, admin, &ways)?;
        let fast = self.size.fast;
        flags.extend(fast.map(|fast| format!("--fast-resolution={}s", fast.as_secs())));
        let program = self.program("tributary-scraper", &name, &flags)?;
        self.scrapers.push(Scraper {
            name,
            program,
            admin,
            api,
            kubelets,
            buses,
        });
        Ok(())
    }

    fn program(&self, binary: &str, name: &str, flags: &[String]) -> anyhow::Result<Program> {
        Program::start(
            name,
            &self.size.binaries.join(binary),
            flags,
            &self.size.dir,
        )
    }

    /// Removes a scraper from the fleet. It keeps running.
    ///
    /// # Errors
    ///
    /// There is no such scraper.
    pub(crate) fn take_scraper(&mut self, index: usize) -> anyhow::Result<Scraper> {
        anyhow::ensure!(index < self.scrapers.len(), "there is no scraper {index}");
        Ok(self.scrapers.remove(index))
    }

    /// The scraper with this index.
    ///
    /// # Errors
    ///
    /// There is none.
    pub(crate) fn scraper(&mut self, index: usize) -> anyhow::Result<&mut Scraper> {
        self.scrapers.get_mut(index).context("no such scraper")
    }

    /// Stops a frontend with SIGTERM and starts it again at the same addresses.
    ///
    /// # Errors
    ///
    /// It does not end in order, or cannot be started.
    pub(crate) async fn restart_frontend(&mut self, index: usize) -> anyhow::Result<()> {
        let frontend = self.frontends.get_mut(index).context("no such frontend")?;
        frontend.up.store(false, Ordering::Release);
        let program = frontend.program.take().context("it does not run")?;
        program.end().await?;
        let (name, flags) = (frontend.name.clone(), frontend.flags.clone());
        let program = self.program("tributary-apiserver", &name, &flags)?;
        if let Some(frontend) = self.frontends.get_mut(index) {
            frontend.program = Some(program);
        }
        Ok(())
    }

    /// From now on a frontend must be ready.
    pub(crate) fn expect_ready(&self, index: usize) {
        if let Some(frontend) = self.frontends.get(index) {
            frontend.up.store(true, Ordering::Release);
        }
    }

    /// Starts an observer of every frontend. All that is in the cluster now must be served.
    pub(crate) fn look(&mut self) {
        self.book.open().served = self.all();
        for frontend in &self.frontends {
            let observer = Observer {
                front: frontend.name.clone(),
                client: self.observer(frontend),
                up: Arc::clone(&frontend.up),
                cluster: Arc::clone(&self.cluster),
                clock: self.clock.clone(),
                book: self.book.clone(),
            };
            self.observers.spawn(observer.look_on(self.stop.clone()));
        }
    }

    /// From now on everything must be served, except what is on these nodes.
    pub(crate) fn expect_all_but(&self, nodes: &[String]) {
        let mut all = self.all();
        all.nodes.retain(|node| !nodes.contains(node));
        all.pods.retain(|_, node| !nodes.contains(node));
        self.book.open().served = all;
    }

    /// All that is in the cluster.
    pub(crate) fn all(&self) -> Served {
        let nodes: BTreeSet<String> = self.cluster.nodes().into_iter().collect();
        let on = |node: &String| {
            let pods = self.cluster.pods_on(node).into_iter();
            let named = pods.map(|(namespace, pod)| (format!("{namespace}/{pod}"), node.clone()));
            named.collect::<Vec<_>>()
        };
        Served {
            pods: nodes.iter().flat_map(on).collect(),
            nodes,
        }
    }

    /// A client of a frontend that may only list and get.
    pub(crate) fn observer(&self, frontend: &Frontend) -> Client {
        Client::on_behalf_of(OBSERVER, GROUP, &self.cluster, frontend.api)
    }

    /// Half of the nodes, by address.
    pub(crate) fn half_of_the_kubelets(&self) -> BTreeSet<IpAddr> {
        let nodes = self.cluster.nodes();
        let half = nodes.iter().step_by(2);
        half.filter_map(|node| self.cluster.kubelet_address(node))
            .map(|address| address.ip())
            .collect()
    }

    /// Sets the mode of all connections to the Kubernetes API.
    pub(crate) fn set_api(&self, mode: Mode) {
        for scraper in &self.scrapers {
            scraper.api.set(mode);
        }
        for frontend in &self.frontends {
            frontend.kube.set(mode);
        }
    }

    /// Every connection to the Kubernetes API is silently lost. New connections work.
    pub(crate) fn lose_all_to_the_api(&self) {
        for scraper in &self.scrapers {
            scraper.api.lose_all();
        }
        for frontend in &self.frontends {
            frontend.kube.lose_all();
        }
    }

    /// # Errors
    ///
    /// A process has ended by itself, or the result is no longer needed.
    pub(crate) fn all_run(&mut self) -> anyhow::Result<()> {
        for scraper in &mut self.scrapers {
            scraper.program.still_runs()?;
        }
        for program in self
            .frontends
            .iter_mut()
            .filter_map(|it| it.program.as_mut())
        {
            program.still_runs()?;
        }
        anyhow::ensure!(
            self.observers.try_join_next().is_none(),
            "an observer has ended"
        );
        Ok(())
    }

    /// Ends everything in order.
    ///
    /// # Errors
    ///
    /// A process does not end in order.
    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        while let Some(ended) = self.observers.join_next().await {
            ended.context("an observer")?;
        }
        for scraper in self.scrapers.drain(..) {
            scraper.end().await?;
        }
        for frontend in self.frontends.drain(..) {
            if let Some(program) = frontend.program {
                program.end().await?;
            }
        }
        Ok(())
    }
}

/// A loopback address that no other program uses, and a port. So the port of a stopped process is still free when it
/// starts again. The kernel does not assign this port itself. Otherwise a proxy on all addresses could get it
/// meanwhile.
fn own_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let [high, low] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let [_, _, above, process] = std::process::id().to_be_bytes();
    let ip = Ipv4Addr::new(127, 128 | (high & 63), process, low);
    SocketAddr::from((ip, 20_000 + u16::from(above)))
}

/// `--NAME=PATH`.
fn flag(name: &str, path: &Path) -> String {
    format!("{name}={}", path.display())
}
