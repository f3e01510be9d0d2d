//! What a kubelet does for the pods of the chart: gives them an address, their volumes and tokens, runs their commands
//! in the unpacked image, asks their probes and reports whether they are ready.
//!
//! Each container is a process in a mount namespace of its own, changed into the image, under the user, without the
//! capabilities and on the read-only root that its security context says. All share one network, in which every pod has
//! an address (the chart's `bindAddress: $(POD_IP)`).

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Container, Pod, Probe};
use kube::{
    Api, Client, Config, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    runtime::{WatchStreamExt as _, watcher},
};
use serde_json::{Value, json};
use tokio::time::{interval, timeout};
use tracing::warn;

use crate::{container, site::Plan, volumes};

/// How often probes are asked, volumes refreshed, and containers looked after. Each probe is a TLS handshake.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// How long a probe may take.
const PROBE: Duration = Duration::from_secs(1);

/// A pod that runs.
pub(crate) struct Running {
    pod: Pod,
    /// It listens on the first.
    ips: Vec<IpAddr>,
    dir: PathBuf,
    containers: Vec<container::Process>,
    /// What was reported last.
    reported: Option<Vec<bool>>,
}

/// The pods of one namespace.
pub(crate) struct Pods {
    client: Client,
    plan: Plan,
    nodes: Vec<String>,
    dir: PathBuf,
    /// Of kube-apiserver, on loopback.
    api_port: u16,
    running: BTreeMap<String, Running>,
    /// Those with which a step failed, such as one that waits for a secret.
    again: BTreeMap<String, Pod>,
}

impl Pods {
    pub(crate) fn new(
        client: Client,
        plan: Plan,
        nodes: Vec<String>,
        (dir, api_port): (PathBuf, u16),
    ) -> Self {
        Self {
            client,
            plan,
            nodes,
            dir,
            api_port,
            running: BTreeMap::new(),
            again: BTreeMap::new(),
        }
    }

    /// Follows the pods of the API; ends only by being dropped, and with it every container.
    pub(crate) async fn follow(mut self) -> anyhow::Result<()> {
        let api = self.api();
        let mut events = pin!(watcher(api, watcher::Config::default()).default_backoff());
        let mut tick = interval(POLL_INTERVAL);
        loop {
            tokio::select! {
                event = events.next() => match event.context("the watch of pods has ended")? {
                    Ok(watcher::Event::InitApply(pod) | watcher::Event::Apply(pod)) => self.step(pod).await,
                    Ok(watcher::Event::Delete(pod)) => {
                        let uid = pod.uid().unwrap_or_default();
                        self.again.remove(&uid);
                        self.running.remove(&uid);
                    }
                    Ok(_) => {}
                    Err(error) => warn!(%error, "watch pods"),
                },
                _ = tick.tick() => {
                    for pod in std::mem::take(&mut self.again).into_values() {
                        self.step(pod).await;
                    }
                    self.look().await;
                }
            }
        }
    }

    async fn step(&mut self, pod: Pod) {
        let uid = pod.uid().unwrap_or_default();
        self.again.remove(&uid);
        if let Err(error) = Box::pin(self.settle(pod.clone())).await {
            warn!("{error:#}");
            self.again.insert(uid, pod);
        }
    }

    fn api(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), self.plan.namespace)
    }

    async fn settle(&mut self, pod: Pod) -> anyhow::Result<()> {
        let (name, uid) = (pod.name_any(), pod.uid().unwrap_or_default());
        if pod.metadata.deletion_timestamp.is_some() {
            if let Some(running) = self.running.remove(&uid) {
                let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or(30);
                running
                    .stop(Duration::from_secs(u64::try_from(grace)?))
                    .await;
            }
            let at_once = DeleteParams::default().grace_period(0);
            drop(self.api().delete(&name, &at_once).await);
            return Ok(());
        }
        let bound = pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref());
        if bound.is_none() {
            return self.bind(&name).await;
        }
        if !self.running.contains_key(&uid) {
            let started = self.start(pod).await;
            let started = started.with_context(|| format!("start pod {name}"))?;
            self.running.insert(uid, started);
        }
        Ok(())
    }

    async fn bind(&self, name: &str) -> anyhow::Result<()> {
        let index = self.running.len() % self.nodes.len();
        let binding = json!({
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": { "name": name },
            "target": { "apiVersion": "v1", "kind": "Node", "name": self.nodes[index] },
        });
        let params = PostParams::default();
        let api = self.api();
        let bound = api.create_subresource::<Value, Value>("binding", name, &params, &binding);
        bound.await.with_context(|| format!("bind pod {name}"))?;
        Ok(())
    }

    async fn start(&self, pod: Pod) -> anyhow::Result<Running> {
        let ips = self.plan.families.new_pod();
        let ip = *ips.first().context("an address")?;
        let dir = self.dir.join(pod.name_any());
        let folders = volumes::make(&self.client, &pod, &dir).await?;
        let world = container::World {
            dir: dir.clone(),
            namespace: self.plan.namespace.to_owned(),
            uid: pod.uid().unwrap_or_default(),
            ip,
            folders,
            api_port: self.api_port,
            logs: self.dir.clone(),
        };
        let world = Arc::new(world);
        let spec = pod.spec.as_ref().context("a pod without a spec")?;
        let mut containers = Vec::new();
        for container in &spec.containers {
            containers.push(container::Process::start(&pod, container, &world)?);
        }
        Ok(Running {
            pod,
            ips,
            dir,
            containers,
            reported: None,
        })
    }

    /// Starts again what has ended, asks the probes, and reports what has changed.
    async fn look(&mut self) {
        let (client, api) = (self.client.clone(), self.api());
        for running in self.running.values_mut() {
            if let Err(error) = volumes::refresh(&client, &running.pod, &running.dir).await {
                warn!(
                    "refresh the volumes of {}: {error:#}",
                    running.pod.name_any()
                );
            }
            let ready = running.ready().await;
            if running.reported.as_ref() == Some(&ready) {
                continue;
            }
            let status = Patch::Merge(json!({ "status": running.status(&ready) }));
            let params = PatchParams::default();
            match api
                .patch_status(&running.pod.name_any(), &params, &status)
                .await
            {
                Ok(_) => running.reported = Some(ready),
                Err(error) => warn!("report pod {}: {error}", running.pod.name_any()),
            }
        }
    }
}

impl Running {
    async fn stop(self, grace: Duration) {
        for container in self.containers {
            container.stop(grace).await;
        }
    }

    async fn ready(&mut self) -> Vec<bool> {
        let mut ready = Vec::new();
        for process in &mut self.containers {
            process.keep_running();
            let answer = match process.spec().readiness_probe.clone() {
                Some(probe) => ask(&self.ips, process.spec(), &probe).await,
                None => Ok(()),
            };
            ready.push(answer.is_ok());
        }
        ready
    }

    fn status(&self, ready: &[bool]) -> Value {
        let word = |yes: bool| if yes { "True" } else { "False" };
        let all = ready.iter().all(|ready| *ready);
        let conditions = [
            ("PodScheduled", true),
            ("Initialized", true),
            ("ContainersReady", all),
            ("Ready", all),
        ];
        let conditions = conditions.map(|(kind, yes)| json!({ "type": kind, "status": word(yes) }));
        let statuses = self.containers.iter().zip(ready).map(|(process, ready)| {
            json!({
                "name": process.spec().name,
                "image": process.spec().image,
                "imageID": "sha256:0",
                "ready": ready,
                "started": true,
                "restartCount": process.restarts(),
                "state": { "running": {} },
            })
        });
        let ips = self.ips.iter().map(|ip| json!({ "ip": ip }));
        json!({
            "phase": "Running",
            "podIP": self.ips.first(),
            "podIPs": ips.collect::<Vec<_>>(),
            "conditions": conditions,
            "containerStatuses": statuses.collect::<Vec<_>>(),
        })
    }
}

/// Asks as a kubelet does: without verifying, by the number or the name of a port.
async fn ask(ips: &[IpAddr], spec: &Container, probe: &Probe) -> anyhow::Result<()> {
    use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
    let get = probe.http_get.as_ref().context("a probe that is no GET")?;
    let port = match &get.port {
        IntOrString::Int(port) => *port,
        IntOrString::String(name) => {
            let ports = spec.ports.iter().flatten();
            let mut named = ports.filter(|port| port.name.as_ref() == Some(name));
            named.next().context("a port by that name")?.container_port
        }
    };
    let scheme = get.scheme.as_deref().unwrap_or("HTTP").to_lowercase();
    let ip = *ips.first().context("an address")?;
    let address = SocketAddr::new(ip, u16::try_from(port)?);
    let mut config = Config::new(format!("{scheme}://{address}").parse()?);
    config.accept_invalid_certs = true;
    let client = Client::try_from(config)?;
    let path = get.path.as_deref().unwrap_or("/");
    let request = http::Request::get(path).body(Vec::new())?;
    timeout(PROBE, client.request_text(request)).await??;
    Ok(())
}
