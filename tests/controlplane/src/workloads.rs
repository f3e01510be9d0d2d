//! What a scheduler and kubelets do for the pods of the real API: a pod gets a node, runs there, uses CPU and memory,
//! and goes when it is deleted. The numbers are served by the simulated kubelet of its node.

use std::{collections::BTreeMap, pin::pin, sync::Arc, time::Duration};

use anyhow::Context as _;
use futures::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, PostParams, Preconditions},
    runtime::{WatchStreamExt as _, watcher},
};
use parking_lot::{Mutex, MutexGuard};
use serde_json::{Value, json};
use tokio::time::sleep;
use tracing::warn;
use tributary_sim::{Cluster, PodSpec, Usage};

use crate::objects::set_status;

/// An annotation `usage.tributary.dev/CONTAINER: 250m 64Mi` says what the container uses, from then on when it changes.
/// Without it usage follows from the names.
const USAGE: &str = "usage.tributary.dev/";

/// What a container uses that says nothing about its memory.
const MEMORY: u64 = 64 << 20;

/// How long after a step that failed it is done again.
const AGAIN: Duration = Duration::from_millis(500);

/// Namespace and name.
type Key = (String, String);

/// A pod that runs.
#[derive(Debug)]
struct Running {
    uid: String,
    app: Key,
    /// What each container uses by its annotation.
    usage: BTreeMap<String, Option<(u64, u64)>>,
}

/// What an app needs of one of its containers.
#[derive(Clone, Copy, Debug)]
enum Demand {
    /// This many milli-cores in all its pods together.
    Together(u64),
    /// So much in each.
    Each(Level),
}

/// What a container uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Milli-cores.
    pub millis: u64,
    /// Bytes.
    pub memory: u64,
}

#[derive(Debug, Default)]
struct State {
    running: BTreeMap<Key, Running>,
    /// What an app needs, by container.
    demand: BTreeMap<(Key, String), Demand>,
    /// How many pods were given a node.
    placed: usize,
}

/// The pods of the real API, on the nodes of the simulator.
pub struct Workloads {
    client: Client,
    cluster: Arc<Cluster>,
    /// A namespace of which somebody else runs the pods.
    without: Option<String>,
    state: Mutex<State>,
}

impl std::fmt::Debug for Workloads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workloads").finish_non_exhaustive()
    }
}

impl Workloads {
    /// None yet.
    pub fn new(client: Client, cluster: Arc<Cluster>) -> Self {
        Self {
            client,
            cluster,
            without: None,
            state: Mutex::default(),
        }
    }

    /// Leaves the pods of a namespace to somebody else.
    #[must_use]
    pub fn without(self, namespace: &str) -> Self {
        let without = Some(namespace.to_owned());
        Self { without, ..self }
    }

    /// From now on `container` of all pods with the label `app` together use `millis` milli-cores, in equal parts, as
    /// requests do that a service spreads over its pods. At least 1 each: a container that never used the CPU has no
    /// usage yet, and its pod neither.
    pub fn demand(&self, namespace: &str, app: &str, container: &str, millis: u64) {
        self.need((namespace, app), container, Demand::Together(millis));
    }

    /// From now on `container` of every pod with the label `app` uses so much, however many there are.
    pub fn level(&self, namespace: &str, app: &str, container: &str, level: Level) {
        self.need((namespace, app), container, Demand::Each(level));
    }

    fn need(&self, (namespace, app): (&str, &str), container: &str, demand: Demand) {
        let app = (namespace.to_owned(), app.to_owned());
        let mut state = self.state();
        state
            .demand
            .insert((app.clone(), container.to_owned()), demand);
        self.share(&state, &app);
    }

    /// Follows the pods of the API; ends only by being dropped.
    ///
    /// # Errors
    ///
    /// The watch has ended.
    pub async fn follow(&self) -> anyhow::Result<()> {
        let pods = Api::<Pod>::all(self.client.clone());
        let events = watcher(pods, watcher::Config::default()).default_backoff();
        let mut events = pin!(events);
        // Pods with which a step failed, for the next time.
        let mut again = BTreeMap::new();
        loop {
            let event = tokio::select! {
                event = events.next() => event.context("the watch of pods has ended")?,
                () = sleep(AGAIN), if !again.is_empty() => {
                    let (_, pod) = again.pop_first().context("nothing to do again")?;
                    Ok(watcher::Event::Apply(pod))
                }
            };
            match event {
                Ok(watcher::Event::InitApply(pod) | watcher::Event::Apply(pod)) => {
                    again.remove(&key(&pod));
                    if let Err(error) = self.settle(&pod).await {
                        warn!("{error:#}");
                        again.insert(key(&pod), pod);
                    }
                }
                Ok(watcher::Event::Delete(pod)) => {
                    again.remove(&key(&pod));
                    self.end(&pod);
                }
                Ok(watcher::Event::Init | watcher::Event::InitDone) => {}
                Err(error) => warn!(%error, "watch pods"),
            }
        }
    }

    /// One step of what is to be done with a pod; the next comes with the event that this one makes.
    async fn settle(&self, pod: &Pod) -> anyhow::Result<()> {
        if self.without.is_some() && self.without == pod.metadata.namespace {
            return Ok(());
        }
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
        if pod.metadata.deletion_timestamp.is_some() {
            self.end(pod);
            return self.delete(pod).await;
        }
        let Some(node) = node else {
            return self.place(pod).await;
        };
        if self.cluster.kubelet_address(node).is_none() {
            return Ok(()); // a node of somebody else's
        }
        self.start(pod, node);
        let phase = pod
            .status
            .as_ref()
            .and_then(|status| status.phase.as_deref());
        if phase == Some("Running") {
            return Ok(());
        }
        let status = status(pod, self.cluster.clock().now());
        gone_is_fine(set_status(&self.client, &status).await)
    }

    async fn place(&self, pod: &Pod) -> anyhow::Result<()> {
        let nodes = self.cluster.nodes();
        let node = {
            let mut state = self.state();
            state.placed += 1;
            let index = state.placed.checked_rem(nodes.len()).unwrap_or(0);
            nodes.get(index).context("no node to run a pod on")?
        };
        let binding = json!({
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": { "name": pod.name_any() },
            "target": { "apiVersion": "v1", "kind": "Node", "name": node },
        });
        let bound = self
            .pods(pod)
            .create_subresource::<Value, Value>(
                "binding",
                &pod.name_any(),
                &PostParams::default(),
                &binding,
            )
            .await;
        let bound = bound.with_context(|| format!("bind pod {}", pod.name_any()));
        gone_is_fine(bound)
    }

    async fn delete(&self, pod: &Pod) -> anyhow::Result<()> {
        let params = DeleteParams {
            grace_period_seconds: Some(0),
            preconditions: Some(Preconditions {
                uid: pod.uid(),
                ..Preconditions::default()
            }),
            ..DeleteParams::default()
        };
        let deleted = self.pods(pod).delete(&pod.name_any(), &params).await;
        let deleted = deleted.with_context(|| format!("delete pod {}", pod.name_any()));
        gone_is_fine(deleted)
    }

    fn pods(&self, pod: &Pod) -> Api<Pod> {
        let namespace = pod.namespace().unwrap_or_default();
        Api::namespaced(self.client.clone(), &namespace)
    }

    /// Runs a pod, or changes what it uses.
    fn start(&self, pod: &Pod, node: &str) {
        let (key, uid) = (key(pod), pod.uid().unwrap_or_default());
        let usage = usage(pod);
        let mut state = self.state();
        let before = state.running.get(&key).filter(|before| before.uid == uid);
        if before.is_some_and(|before| before.usage == usage) {
            return;
        }
        let new = before.is_none();
        let app = pod.labels().get("app").cloned().unwrap_or_default();
        let app = (key.0.clone(), app);
        if new {
            let mut spec = PodSpec::new(&key.0, &key.1, node);
            for (container, given) in &usage {
                let (millis, memory) = given.unwrap_or((0, 0));
                let usage = match given {
                    Some(_) => Usage::steady(millis, memory),
                    None => Usage::from_names(&[&key.0, &key.1, container]),
                };
                spec = spec.container(container, usage);
            }
            self.cluster.add_pod(spec);
        }
        for (container, given) in usage.iter().filter(|_| !new) {
            if let Some((millis, memory)) = *given {
                let set = self
                    .cluster
                    .set_usage(&key.0, &key.1, container, millis, memory);
                report(set);
            }
        }
        let running = Running {
            uid,
            app: app.clone(),
            usage,
        };
        state.running.insert(key, running);
        self.share(&state, &app);
    }

    fn end(&self, pod: &Pod) {
        let key = key(pod);
        let mut state = self.state();
        if let Some(ended) = state.running.remove(&key) {
            report(self.cluster.remove_pod(&key.0, &key.1));
            self.share(&state, &ended.app);
        }
    }

    /// Spreads what is demanded of an app over its pods.
    fn share(&self, state: &State, app: &Key) {
        let pods = || state.running.iter().filter(|(_, pod)| pod.app == *app);
        let count = u64::try_from(pods().count()).unwrap_or(u64::MAX).max(1);
        for ((_, container), demand) in state.demand.iter().filter(|((of, _), _)| of == app) {
            let Level { millis, memory } = match *demand {
                Demand::Together(millis) => Level {
                    millis: (millis / count).max(1),
                    memory: MEMORY,
                },
                Demand::Each(level) => level,
            };
            for (key, _) in pods() {
                let set = self
                    .cluster
                    .set_usage(&key.0, &key.1, container, millis, memory);
                report(set);
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

fn key(pod: &Pod) -> Key {
    (pod.namespace().unwrap_or_default(), pod.name_any())
}

fn report(outcome: Result<(), tributary_sim::Error>) {
    if let Err(error) = outcome {
        warn!(%error, "the simulator does not follow");
    }
}

/// A pod may go, or be another of the same name, while we look at it: the watch will say so.
fn gone_is_fine<T>(outcome: anyhow::Result<T>) -> anyhow::Result<()> {
    let Err(error) = outcome else {
        return Ok(());
    };
    match error.downcast_ref::<kube::Error>() {
        Some(kube::Error::Api(status)) if [404, 409].contains(&status.code) => Ok(()),
        _ => Err(error),
    }
}

/// What each container uses, in milli-cores and bytes, where an annotation says it.
fn usage(pod: &Pod) -> BTreeMap<String, Option<(u64, u64)>> {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    containers
        .map(|container| {
            let text = pod.annotations().get(&format!("{USAGE}{}", container.name));
            (container.name.clone(), text.map(|text| parse(text)))
        })
        .collect()
}

fn parse(text: &str) -> (u64, u64) {
    let number = |suffix: &str| {
        let mut words = text.split_whitespace();
        words.find_map(|word| word.strip_suffix(suffix)?.parse::<u64>().ok())
    };
    let memory = number("Mi").map_or(MEMORY, |mebibytes| mebibytes << 20);
    (number("m").unwrap_or(0), memory)
}

/// The status that a kubelet writes when all containers have started.
fn status(pod: &Pod, now: Timestamp) -> Value {
    let now = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let conditions = ["PodScheduled", "Initialized", "ContainersReady", "Ready"];
    let conditions =
        conditions.map(|kind| json!({ "type": kind, "status": "True", "lastTransitionTime": now }));
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let statuses = containers.map(|container| {
        json!({
            "name": container.name,
            "image": container.image,
            "imageID": "sha256:0",
            "ready": true,
            "started": true,
            "restartCount": 0,
            "state": { "running": { "startedAt": now } },
        })
    });
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "namespace": pod.namespace(), "name": pod.name_any() },
        "status": {
            "phase": "Running",
            "startTime": now,
            "conditions": conditions,
            "containerStatuses": statuses.collect::<Vec<_>>(),
        },
    })
}
