//! Starts everything in order, and handles events while the demo runs.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;
use tributary_runtime::{clock::Clock, signal::Signals, tls};
use tributary_sim::{Ca, Cluster, FRONTEND_NAME, FrontendTrust, KubeletAuth};

use crate::{
    args::DemoArgs,
    autoscaler::Workload,
    credentials::Credentials,
    directory::Directory,
    http_client::{HttpClient, connector},
    output::Output,
    plan::{Kind, plan, publish},
    processes::{Processes, Step, how},
    screen::{self, Frame},
    status::{self, Meters, count},
    tries,
    watch::{self, Seen, Served, What, ask},
};

/// How often the screen is drawn.
const TICK: Duration = Duration::from_secs(1);
/// Without a screen, one line per this many ticks.
const TICKS_PER_LINE: u64 = 5;
/// How long the simulated cluster may take to end.
const GRACE: Duration = Duration::from_secs(5);

/// Runs the demo until SIGTERM or SIGINT.
///
/// # Errors
///
/// A process cannot be started, or standard output is closed.
pub(crate) async fn run(args: DemoArgs) -> anyhow::Result<()> {
    tls::install_provider();
    raise_file_limit();
    let stop = CancellationToken::new();
    let mut signals = JoinSet::new();
    signals.spawn(Signals::take_over()?.stop(stop.clone()));

    let clock = Clock::system();
    let mut output = Output::new(clock.clone());
    let directory = Directory::open(args.dir.as_deref())?;
    output.event(&format!("working in {}", directory.path().display()))?;
    let cluster = simulate(&args, directory.path()).await?;
    let (nodes, pods) = (count(args.nodes.into(), "node"), count(args.pods(), "pod"));
    let api = cluster.api_url();
    output.event(&format!(
        "simulating {nodes} with {pods}, Kubernetes API at {api}"
    ))?;

    let credentials = Credentials::write(&cluster)?;
    let processes = Processes::new(plan(&args, &cluster, &credentials)?, args.restart_after)?;
    let mut demo = Demo {
        meters: Meters::new(processes.all().len()),
        up: Instant::now(),
        asking: Vec::new(),
        ticks: 0,
        args,
        clock,
        output,
        directory,
        cluster,
        credentials,
        processes,
    };
    let outcome = demo.live(&stop).await;
    let ended = demo.end().await;
    signals.shutdown().await;
    outcome.and(ended)
}

async fn simulate(args: &DemoArgs, dir: &Path) -> anyhow::Result<Cluster> {
    let cluster = Cluster::builder()
        .nodes(args.nodes.into())
        .pods_per_node(args.pods_per_node.into())
        .kubelet_auth(KubeletAuth::Delegated)
        .dir(dir)
        .start()
        .await
        .context("simulate a cluster")?;
    cluster.set_frontend_trust(&FrontendTrust::Ca {
        pem: cluster.pki().ca(Ca::Bus).to_owned(),
        server_name: FRONTEND_NAME.to_owned(),
    })?;
    cluster.register();
    Ok(cluster)
}

/// Raises the limit of open files, which children inherit. A large cluster needs several sockets for each node.
fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // If this fails, a demo of the usual size still works.
    setrlimit(Resource::Nofile, limit).ok();
}

struct Demo {
    args: DemoArgs,
    clock: Clock,
    output: Output,
    directory: Directory,
    cluster: Cluster,
    credentials: Credentials,
    processes: Processes,
    meters: Meters,
    up: Instant,
    /// Commands to try. Empty until the API answers.
    asking: Vec<String>,
    ticks: u64,
}

impl Demo {
    /// Starts the processes and restarts those that end.
    async fn live(&mut self, stop: &CancellationToken) -> anyhow::Result<()> {
        self.route()?;
        for index in 0..self.processes.all().len() {
            self.processes.start(index, &self.directory)?;
        }
        let pid = std::process::id();
        self.output.event(&format!(
            "started {} and {}, children of pid {pid}",
            count(self.args.scrapers.into(), "scraper"),
            count(self.args.frontends.into(), "frontend"),
        ))?;
        let (tell, mut looks) = mpsc::channel(64);
        let mut watchers = self.watch(&tell)?;
        let workload = Workload::label(&self.cluster)?;
        self.output.event(&workload.text())?;
        watchers.spawn(workload.read(self.client()?, stop.clone()));
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                happened = self.processes.next() => self.step(happened?)?,
                Some((index, seen)) = looks.recv() => self.see(index, seen)?,
                _ = tick.tick() => {
                    // Cancelling a tick loses only its answer.
                    if let Some(done) = stop.run_until_cancelled(self.tick()).await {
                        done?;
                    }
                }
                Some(ended) = watchers.join_next() => ended.context("watch a process")?,
            }
        }
    }

    fn watch(&self, tell: &mpsc::Sender<(usize, Option<Seen>)>) -> anyhow::Result<JoinSet<()>> {
        let credentials = &self.credentials;
        let tls = connector(&credentials.paths.bus_ca, &credentials.admin)?;
        let mut watchers = JoinSet::new();
        for (index, process) in self.processes.all().iter().enumerate() {
            let (kind, address) = (process.spec.kind, process.spec.look_at);
            let client = match kind {
                Kind::Scraper => HttpClient::plain(address),
                Kind::Frontend => HttpClient::tls(address, &tls),
            };
            let wake = Arc::clone(&process.wake);
            watchers.spawn(watch::follow(index, kind, client, wake, tell.clone()));
        }
        Ok(watchers)
    }

    fn step(&mut self, step: Step) -> anyhow::Result<()> {
        match step {
            Step::Ended { index, status } => {
                let Some(process) = self.processes.get_mut(index) else {
                    return Ok(());
                };
                let name = process.spec.name.clone();
                let pid = process.pid.unwrap_or_default();
                let mut text = format!("{name} (pid {pid}) {}", how(&status));
                let by_itself = status.is_ok_and(|status| status.code().is_some());
                let last = self.directory.last_line(&name);
                if by_itself && !last.is_empty() {
                    text.push_str(": ");
                    text.push_str(&last);
                }
                let pause = self.processes.ended(index, &self.directory)?;
                self.route()?;
                self.output
                    .event(&format!("{text}; starts again in {} s", pause.as_secs()))?;
            }
            Step::Due { index } => {
                self.processes.start(index, &self.directory)?;
                if let Some(process) = self.processes.get_mut(index) {
                    let pid = process.pid.unwrap_or_default();
                    let text = format!("{} started again as pid {pid}", process.spec.name);
                    self.output.event(&text)?;
                }
            }
            Step::Stopped => {}
        }
        self.draw()
    }

    fn see(&mut self, index: usize, seen: Option<Seen>) -> anyhow::Result<()> {
        let complete = seen.as_ref().is_some_and(|seen| self.is_complete(seen));
        let Some(process) = self.processes.get_mut(index) else {
            return Ok(());
        };
        let was_ready = process.is_ready();
        let before = std::mem::replace(&mut process.seen, seen);
        let message = match (before.map(|seen| seen.what), &process.seen) {
            (Some(What::Scraper(before)), Some(now)) if !self.asking.is_empty() => {
                match &now.what {
                    What::Scraper(now) => status::changed(&before, now),
                    What::Frontend { .. } => None,
                }
            }
            _ => None,
        };
        if let Some(message) = message {
            self.output
                .event(&format!("{} {message}", process.spec.name))?;
        }
        let changed = process.is_ready() != was_ready;
        if process.pid.is_some() && complete && !process.arrived {
            process.arrived = true;
            let after = process.started.elapsed().as_secs_f64();
            let text = format!(
                "{} is ready {after:.1} s after its start",
                process.spec.name
            );
            self.output.event(&text)?;
        }
        if changed {
            self.route()?;
            self.draw()?;
        }
        Ok(())
    }

    /// Whether a process does all of its work.
    fn is_complete(&self, seen: &Seen) -> bool {
        seen.ready
            && match &seen.what {
                What::Scraper(counts) => counts.frontends == usize::from(self.args.frontends),
                What::Frontend { served, .. } => self.is_all(served),
            }
    }

    fn is_all(&self, served: &Served) -> bool {
        served.nodes == usize::from(self.args.nodes) && served.pods == self.args.pods()
    }

    /// Passes the ready frontends to the aggregator, and all frontends to scrapers, as the endpoints of a Service.
    fn route(&self) -> anyhow::Result<()> {
        let frontends = self.processes.of_kind(Kind::Frontend);
        let endpoints = frontends.map(|process| (&process.spec, process.is_ready()));
        publish(&self.cluster, &endpoints.collect::<Vec<_>>())?;
        let ready = self.processes.of_kind(Kind::Frontend);
        let ready = ready.filter(|process| process.is_ready());
        let addresses: Vec<SocketAddr> = ready.map(|process| process.spec.look_at).collect();
        self.cluster.set_frontends(addresses);
        Ok(())
    }

    async fn tick(&mut self) -> anyhow::Result<()> {
        if self.asking.is_empty() && self.answers().await {
            self.open()?;
        }
        self.meters.look(&self.processes, Instant::now());
        self.draw()?;
        self.ticks += 1;
        if !self.output.is_terminal() && self.ticks.is_multiple_of(TICKS_PER_LINE) {
            let line = screen::line(&self.frame());
            self.output.event(&line)?;
        }
        Ok(())
    }

    /// Whether the API serves all objects to a user.
    async fn answers(&self) -> bool {
        let seen = |process: &crate::processes::Process| {
            process
                .seen
                .as_ref()
                .is_some_and(|seen| self.is_complete(seen))
        };
        if !self.processes.all().iter().all(seen) {
            return false;
        }
        let Ok(client) = self.client() else {
            return false;
        };
        ask(&client).await.is_ok_and(|served| self.is_all(&served))
    }

    /// A client of the API, for a user.
    fn client(&self) -> anyhow::Result<HttpClient> {
        let credentials = &self.credentials;
        let tls = connector(&credentials.paths.cluster_ca, &credentials.admin)?;
        Ok(HttpClient::tls(self.cluster.api_address(), &tls))
    }

    /// Announces that the demo is ready to be used.
    fn open(&mut self) -> anyhow::Result<()> {
        let kubeconfig = self.directory.kubeconfig();
        self.asking = tries::asking(&kubeconfig, &self.cluster, &self.credentials);
        let after = self.up.elapsed().as_secs_f64();
        self.output.event(&format!(
            "every node and pod is served, {after:.1} s after the start"
        ))?;
        if self.output.is_terminal() {
            return Ok(());
        }
        self.output
            .line(&format!("kubeconfig: {}", kubeconfig.display()))?;
        for command in self.tries() {
            self.output.line(&format!("try: {command}"))?;
        }
        Ok(())
    }

    fn tries(&self) -> Vec<String> {
        if self.asking.is_empty() {
            return Vec::new();
        }
        let mut tries = self.asking.clone();
        tries.extend(tries::breaking(&self.processes));
        tries
    }

    fn draw(&mut self) -> anyhow::Result<()> {
        if self.output.is_terminal() {
            let screen = screen::render(&self.frame());
            self.output.draw(&screen)?;
        }
        Ok(())
    }

    fn frame(&self) -> Frame<'_> {
        let now = self.clock.now().as_second();
        let nodes = self.args.nodes.into();
        Frame {
            up: self.up.elapsed(),
            resolution: self.args.resolution.to_string(),
            nodes,
            pods: self.args.pods(),
            directory: self.directory.path(),
            rows: self.meters.rows(&self.processes, nodes, now),
            tries: self.tries(),
            events: self.output.events(),
        }
    }

    /// Ends the processes, the cluster and the directory, in this order. Goes on after an error.
    async fn end(mut self) -> anyhow::Result<()> {
        let message = self.output.event("stopping");
        let drawn = self.draw();
        self.cluster.set_frontends(Vec::new());
        self.processes.end().await;
        let forgotten = self.directory.write_processes(&[]);
        // If this takes too long, its sockets close with the process.
        drop(timeout(GRACE, self.cluster.stop()).await);
        self.directory.close()?;
        forgotten?;
        drawn?;
        Ok(message?)
    }
}
