//! Measures one subject on one cluster: its start, its idle cost, its answers.

use std::{net::SocketAddr, path::Path, time::Duration};

use anyhow::Context as _;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::{
    client::{HttpClient, Session},
    cluster::{Size, Where},
    load::{self, Plan},
    process::{Process, loopback_bytes},
    results::{Idle, Latency, Memory, Start, Throughput},
    subject::{RESOLUTION, Subject},
    throughput,
};

/// A check that passes when the objects are listed, even without samples. The name of the excluded check is ours, or
/// metrics-server's.
const SYNCED: &str = "/readyz?exclude=metric-coverage&exclude=metric-storage-ready";

/// The times of the steps of a start, in seconds.
#[derive(Clone, Copy, Debug, Default)]
struct Arrival {
    synced: Option<f64>,
    ready: Option<f64>,
    nodes: bool,
    complete: f64,
}

/// The longest time for a start.
const PATIENCE: Duration = Duration::from_mins(10);
/// How often memory is read.
const LOOK: Duration = Duration::from_secs(3);
const JSON: &str = "application/json";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
const NODES: &str = "/apis/metrics.k8s.io/v1beta1/nodes";
const PODS: &str = "/apis/metrics.k8s.io/v1beta1/pods";
/// The app whose pods are requested: the first app of the first namespace.
const POD: &str = "/apis/metrics.k8s.io/v1beta1/namespaces/ns-0000/pods/web-00000-";
const SELECTED: &str =
    "/apis/metrics.k8s.io/v1beta1/namespaces/ns-0000/pods?labelSelector=app%3Dapp-0";

/// A running subject.
pub(crate) struct Bench<'a> {
    subject: &'a Subject,
    size: Size,
    at: &'a Where,
    logs: &'a Path,
    processes: Vec<Process>,
    /// The API of the first frontend.
    api: SocketAddr,
    client: HttpClient,
}

impl<'a> Bench<'a> {
    /// Starts the subject and waits until it serves everything.
    ///
    /// # Errors
    ///
    /// It does not become complete.
    pub(crate) async fn start(
        subject: &'a Subject,
        size: Size,
        at: &'a Where,
        logs: &'a Path,
    ) -> anyhow::Result<(Self, Start)> {
        let api = *subject.apis.first().context("no api")?;
        let started = Instant::now();
        let mut bench = Self {
            subject,
            size,
            at,
            logs,
            processes: subject.start(logs)?,
            api,
            client: HttpClient::new(api, &at.dir)?,
        };
        let arrived = bench.arrive(started, Duration::from_millis(250)).await?;
        let start = Start {
            synced: arrived.synced,
            ready: arrived.ready.unwrap_or(arrived.complete),
            complete: arrived.complete,
            peak: bench.peak()?,
            restart: None,
        };
        Ok((bench, start))
    }

    /// Ends the subject.
    ///
    /// # Errors
    ///
    /// It cannot be ended.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        for process in self.processes {
            process.stop().await?;
        }
        Ok(())
    }

    /// Waits until it serves all nodes and pods.
    async fn arrive(&mut self, started: Instant, pause: Duration) -> anyhow::Result<Arrival> {
        let mut arrival = Arrival::default();
        loop {
            anyhow::ensure!(started.elapsed() < PATIENCE, "does not come up");
            for process in &mut self.processes {
                process.still_runs()?;
            }
            if let Ok(mut session) = self.client.open().await {
                while self.step(&mut session, &mut arrival, started).await {}
                if arrival.nodes && self.has_all(&mut session).await {
                    arrival.complete = started.elapsed().as_secs_f64();
                    return Ok(arrival);
                }
            }
            sleep(pause).await;
        }
    }

    /// Checks what is still missing. Returns whether something new was found.
    async fn step(&self, session: &mut Session, arrival: &mut Arrival, started: Instant) -> bool {
        for (path, at) in [
            (SYNCED, &mut arrival.synced),
            ("/readyz", &mut arrival.ready),
        ] {
            if at.is_none() {
                let answer = session.get(path, JSON).await;
                let yes = answer.is_ok_and(|answer| answer.status.is_success());
                *at = yes.then(|| started.elapsed().as_secs_f64());
                return yes;
            }
        }
        if arrival.nodes {
            return false;
        }
        let answer = session.get(NODES, JSON).await;
        arrival.nodes = answer.is_ok_and(|answer| answer.items == self.size.nodes);
        arrival.nodes
    }

    async fn has_all(&self, session: &mut Session) -> bool {
        let answer = session.get(PODS, JSON).await;
        answer.is_ok_and(|answer| answer.items == self.size.pods())
    }

    fn peak(&self) -> anyhow::Result<u64> {
        self.processes.iter().map(Process::peak).sum()
    }

    fn cpu(&self) -> anyhow::Result<Vec<Duration>> {
        self.processes.iter().map(Process::cpu).collect()
    }

    /// Measures the cost without requests over this many cycles.
    ///
    /// # Errors
    ///
    /// A process has ended.
    pub(crate) async fn idle(&self, cycles: u32) -> anyhow::Result<Idle> {
        let span = Duration::from_secs(u64::from(cycles * RESOLUTION));
        let (before, bytes) = (self.cpu()?, loopback_bytes()?);
        let mut memory = vec![Memory::default(); self.processes.len()];
        let mut looks = 0_u32;
        let watch = async {
            let mut tick = interval(LOOK);
            tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
            loop {
                tick.tick().await;
                for (sum, process) in memory.iter_mut().zip(&self.processes) {
                    let now = process.memory()?;
                    sum.rss += now.rss;
                    sum.pss += now.pss;
                }
                looks += 1;
            }
        };
        // The only regular end is the timeout.
        let watched: Result<anyhow::Result<()>, _> = timeout(span, watch).await;
        if let Ok(failed) = watched {
            failed?;
        }
        let (after, bytes) = (self.cpu()?, loopback_bytes()?.saturating_sub(bytes));
        let mut idle = Idle {
            bytes: bytes / u64::from(cycles.max(1)),
            ..Idle::default()
        };
        for ((sum, process), (before, after)) in memory
            .iter()
            .zip(&self.processes)
            .zip(before.iter().zip(after))
        {
            let looks = u64::from(looks.max(1));
            let mean = Memory {
                rss: sum.rss / looks,
                pss: sum.pss / looks,
            };
            let cpu = after.saturating_sub(*before).as_secs_f64() / f64::from(cycles.max(1));
            idle.memory.rss += mean.rss;
            idle.memory.pss += mean.pss;
            idle.cpu += cpu;
            idle.processes.push((process.name().to_owned(), mean, cpu));
        }
        Ok(idle)
    }

    /// Measures the times of answers, at rates at which the server is mostly idle. Also returns the peak of memory
    /// meanwhile.
    ///
    /// # Errors
    ///
    /// A request fails.
    pub(crate) async fn requests(&self, idle: &Idle) -> anyhow::Result<(Vec<Latency>, u64)> {
        for process in &self.processes {
            process.reset_peak()?;
        }
        let pods: Vec<String> = (0..30).map(|pod| format!("{POD}{pod}")).collect();
        let one = |path: &str| vec![path.to_owned()];
        // Lists of all objects take seconds in metrics-server, so they are requested one after another.
        let lists = if self.size.pods() > 50_000 { 12 } else { 30 };
        let plans = [
            self.plan("GET pod", pods, JSON, (Some(200.0), 3_000)),
            self.plan(
                "LIST namespace + selector",
                one(SELECTED),
                JSON,
                (Some(100.0), 1_500),
            ),
            self.plan("LIST nodes", one(NODES), JSON, (Some(5.0), 60)),
            self.plan("LIST all pods, JSON", one(PODS), JSON, (None, lists)),
            self.plan(
                "LIST all pods, protobuf",
                one(PODS),
                PROTOBUF,
                (None, lists),
            ),
            self.plan("LIST all pods, Table", one(PODS), TABLE, (None, lists)),
        ];
        let mut found = Vec::new();
        for plan in plans {
            found.push(self.ask(&plan, idle.cpu / f64::from(RESOLUTION)).await?);
        }
        Ok((found, self.peak()?))
    }

    fn plan(
        &self,
        name: &str,
        paths: Vec<String>,
        accept: &str,
        (rate, count): (Option<f64>, u32),
    ) -> Plan {
        Plan {
            address: self.api,
            dir: self.at.dir.clone(),
            name: name.to_owned(),
            paths,
            accept: accept.to_owned(),
            connections: if rate.is_some() { 16 } else { 1 },
            rate,
            count,
        }
    }

    /// The questions of an autoscaler that asks for each of these paths once in a resolution, without an end.
    pub(crate) fn autoscaler(&self, paths: Vec<String>) -> anyhow::Result<Plan> {
        let rate = f64::from(u32::try_from(paths.len())?) / f64::from(RESOLUTION);
        let mut plan = self.plan("autoscaler", paths, JSON, (Some(rate), u32::MAX));
        plan.connections = 1;
        Ok(plan)
    }

    /// Runs a plan. `background` is the CPU that is used without requests, in seconds per second.
    async fn ask(&self, plan: &Plan, background: f64) -> anyhow::Result<Latency> {
        let (begun, before) = (Instant::now(), self.cpu()?.iter().sum());
        let mut latency = load::elsewhere(plan).await?;
        let after: Duration = self.cpu()?.iter().sum();
        let anyway = background * begun.elapsed().as_secs_f64();
        let cpu = after.saturating_sub(before).as_secs_f64() - anyway;
        latency.cpu = cpu.max(0.0) / f64::from(plan.count.max(1));
        Ok(latency)
    }

    /// Measures the pause of a GET while eight clients list all pods repeatedly, over two cycles.
    ///
    /// # Errors
    ///
    /// A request fails.
    pub(crate) async fn pause(&self) -> anyhow::Result<Latency> {
        let pods: Vec<String> = (0..30).map(|pod| format!("{POD}{pod}")).collect();
        let seconds = f64::from(2 * RESOLUTION);
        let get = self.plan(
            "GET pod, 8 x LIST all pods",
            pods,
            JSON,
            (Some(100.0), 3_000),
        );
        let mut lists = self.plan(
            "8 x LIST all",
            vec![PODS.to_owned()],
            JSON,
            (None, u32::MAX),
        );
        lists.connections = 8;
        let listing = load::aside(&lists);
        let getting = async {
            sleep(Duration::from_secs(2)).await;
            timeout(
                Duration::from_secs_f64(seconds * 4.0),
                load::elsewhere(&get),
            )
            .await
        };
        tokio::select! {
            failed = listing => { failed?; anyhow::bail!("the lists ended") }
            got = getting => got?,
        }
    }

    /// Measures answers per second with 1, 16 and 64 connections.
    ///
    /// # Errors
    ///
    /// A request fails.
    pub(crate) async fn throughput(&self) -> anyhow::Result<Vec<Throughput>> {
        let pod = format!("{POD}0");
        let mut found = Vec::new();
        for what in [
            ("GET pod", pod.as_str()),
            ("LIST namespace + selector", SELECTED),
        ] {
            for connections in [1, 16, 64] {
                let token = &self.at.token;
                found.push(throughput::measure(what, self.api, token, connections).await?);
            }
        }
        Ok(found)
    }

    /// Kills the first frontend and starts it again. Returns the number of seconds until it is ready and serves
    /// everything.
    ///
    /// # Errors
    ///
    /// It does not become complete.
    pub(crate) async fn restart(&mut self) -> anyhow::Result<f64> {
        self.processes.remove(0).stop().await?;
        let started = Instant::now();
        let again = self.subject.start_one(0, self.logs)?;
        self.processes.insert(0, again);
        let arrived = self.arrive(started, Duration::from_millis(50)).await?;
        Ok(arrived.complete)
    }
}
