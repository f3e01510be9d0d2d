//! What the API says, and when: autoscalers and pods by watches, the metrics by asking again and again.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use futures::{Stream, StreamExt as _, stream};
use jiff::Timestamp;
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind},
    runtime::{WatchStreamExt as _, watcher},
};
use parking_lot::{Mutex, MutexGuard};
use serde_json::Value;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep_until, timeout_at},
};
use tracing::warn;
use tributary_sim::SimClock;

use super::{
    apps::App,
    ground::{Ground, NAMESPACE},
};

/// How often the metrics are asked for: what a new pod takes, and how old a sample is, are right to within this.
const ASK_EVERY: Duration = Duration::from_millis(250);
/// How long the last new pods may take to count.
const LAST_PODS: Duration = Duration::from_secs(90);

const AUTOSCALER: (&str, &str, &str) = ("autoscaling", "v2", "HorizontalPodAutoscaler");
const POD: (&str, &str, &str) = ("", "v1", "Pod");

/// What an autoscaler says of itself, and its pods.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Seen {
    /// `averageValue` of its metric, in cores or bytes.
    pub average: Option<f64>,
    /// `desiredReplicas`.
    pub desired: i64,
    /// How many pods of its Deployment there are that are not being deleted. Not the autoscaler's own words.
    pub pods: i64,
}

/// Seconds, one for each step or pod.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    pub(super) decision: Vec<f64>,
    pub(super) right_size: Vec<f64>,
    pub(super) new_pod: Vec<f64>,
    pub(super) sample_age: Vec<f64>,
    pub(super) missed: usize,
}

#[derive(Debug, Default)]
struct State {
    measured: Measured,
    /// Pods that a step made, ready since, and not counted yet.
    awaited: BTreeMap<String, Timestamp>,
    /// Pods that are known to be ready.
    known: BTreeSet<String>,
    /// Pods that are not being deleted.
    pods: BTreeSet<String>,
    /// When the newest sample of each pod was taken.
    samples: BTreeMap<String, Timestamp>,
    /// There is a sample of each of the first pods, so that those to come are made by steps.
    begun: bool,
}

impl State {
    /// Takes in what became of a pod.
    fn follow(&mut self, followed: Followed) {
        match followed {
            Followed::All => self.pods.clear(),
            Followed::Gone(name) => self.end(&name),
            Followed::Object(name, object) => {
                if object.pointer("/metadata/deletionTimestamp").is_some() {
                    self.end(&name);
                    return;
                }
                self.pods.insert(name.clone());
                if let Some(ready) = ready_since(&object)
                    && self.known.insert(name.clone())
                    && self.begun
                {
                    self.awaited.insert(name, ready);
                }
            }
        }
    }

    fn end(&mut self, pod: &str) {
        self.pods.remove(pod);
        self.awaited.remove(pod);
        self.samples.remove(pod);
    }

    fn pods_of(&self, app: &str) -> i64 {
        let pods = self.pods.iter().filter(|pod| is_of(pod, app));
        i64::try_from(pods.count()).unwrap_or(i64::MAX)
    }
}

/// Looks as long as it is there.
#[derive(Debug)]
pub struct Observer {
    seen: Arc<BTreeMap<String, watch::Sender<Seen>>>,
    state: Arc<Mutex<State>>,
    clock: SimClock,
    looking: JoinSet<()>,
}

impl Observer {
    /// Begins to look.
    pub fn start(ground: &Ground, apps: &[App]) -> Self {
        let seen = apps
            .iter()
            .map(|app| (app.name.clone(), watch::Sender::default()));
        let seen = Arc::new(seen.collect::<BTreeMap<_, _>>());
        let state = Arc::new(Mutex::new(State::default()));
        let by_cpu = apps.iter().filter(|app| app.is_cpu());
        let looker = Looker {
            client: ground.client.clone(),
            clock: ground.cluster.clock().clone(),
            by_cpu: by_cpu.map(|app| app.name.clone()).collect(),
            first: apps.len() * 2,
            seen: Arc::clone(&seen),
            state: Arc::clone(&state),
        };
        let clock = looker.clock.clone();
        let looker = Arc::new(looker);
        let mut looking = JoinSet::new();
        let one = Arc::clone(&looker);
        looking.spawn(async move { one.autoscalers().await });
        let one = Arc::clone(&looker);
        looking.spawn(async move { one.pods().await });
        looking.spawn(async move { looker.metrics().await });
        Self {
            seen,
            state,
            clock,
            looking,
        }
    }

    /// Waits until an autoscaler says this; nothing if it has not until `end`.
    pub async fn until(
        &self,
        app: &str,
        end: Instant,
        wanted: impl Fn(&Seen) -> bool,
    ) -> Option<Seen> {
        let mut seen = self.seen.get(app)?.subscribe();
        let found = timeout_at(end, seen.wait_for(|seen| wanted(seen))).await;
        found.ok()?.ok().map(|seen| *seen)
    }

    /// The mean age of the newest samples of an app, in seconds.
    pub fn age(&self, app: &str) -> Option<f64> {
        let now = self.clock.now();
        let state = lock(&self.state);
        let of_app = state.samples.iter().filter(|(pod, _)| is_of(pod, app));
        let ages: Vec<f64> = of_app.map(|(_, at)| seconds(*at, now)).collect();
        let count = u32::try_from(ages.len()).ok().filter(|count| *count > 0)?;
        Some(ages.iter().sum::<f64>() / f64::from(count))
    }

    /// Adds to what was measured.
    pub fn note(&self, add: impl FnOnce(&mut Measured)) {
        add(&mut lock(&self.state).measured);
    }

    /// Waits until the pods of the last steps count.
    pub async fn settled(&self) {
        let end = Instant::now() + LAST_PODS;
        let settled = crate::patience::while_ok(|| {
            let waits = !lock(&self.state).awaited.is_empty();
            if waits { Ok(()) } else { Err(()) }
        });
        tokio::select! {
            () = settled => {}
            () = sleep_until(end) => {}
        }
    }

    /// Ends, and says what was measured.
    pub async fn stop(mut self) -> Measured {
        self.looking.shutdown().await;
        lock(&self.state).measured.clone()
    }
}

struct Looker {
    client: Client,
    clock: SimClock,
    /// The apps of which a pod counts only with a sample of a whole window after its readiness.
    by_cpu: Vec<String>,
    /// How many pods there are before the first step.
    first: usize,
    seen: Arc<BTreeMap<String, watch::Sender<Seen>>>,
    state: Arc<Mutex<State>>,
}

impl Looker {
    async fn autoscalers(&self) {
        let mut objects = pin!(follow(&self.client, AUTOSCALER));
        while let Some(followed) = objects.next().await {
            if let Followed::Object(name, object) = followed
                && let Some(seen) = self.seen.get(&name)
            {
                let (average, desired) = read(&object);
                seen.send_modify(|seen| {
                    seen.average = average;
                    seen.desired = desired;
                });
            }
        }
    }

    async fn pods(&self) {
        let mut objects = pin!(follow(&self.client, POD));
        while let Some(followed) = objects.next().await {
            let pod = followed.name().map(str::to_owned);
            let mut state = lock(&self.state);
            state.follow(followed);
            let is_its = |app: &str| pod.as_deref().is_none_or(|pod| is_of(pod, app));
            for (app, seen) in self.seen.iter().filter(|(app, _)| is_its(app)) {
                let pods = state.pods_of(app);
                seen.send_if_modified(|seen| std::mem::replace(&mut seen.pods, pods) != pods);
            }
        }
    }

    async fn metrics(&self) {
        let mut ticks = interval(ASK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut answers = pin!(stream::unfold(ticks, async |mut ticks| {
            ticks.tick().await;
            Some((self.ask().await, ticks))
        }));
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(answer) => self.note(&answer),
                // At first nobody serves them.
                Err(_) if !lock(&self.state).begun => {}
                Err(error) => warn!("{error:#}"),
            }
        }
    }

    async fn ask(&self) -> anyhow::Result<Value> {
        let path = format!("/apis/metrics.k8s.io/v1beta1/namespaces/{NAMESPACE}/pods");
        let request = http::Request::get(path).body(Vec::new())?;
        let text = self.client.request_text(request).await?;
        Ok(serde_json::from_str(&text)?)
    }

    fn note(&self, answer: &Value) {
        let now = self.clock.now();
        let items = answer.pointer("/items").and_then(Value::as_array);
        let mut state = lock(&self.state);
        // Of a pod that has ended an answer that was on its way then must not stay.
        state.samples.clear();
        for item in items.into_iter().flatten() {
            let Some((name, at, window)) = point(item) else {
                continue;
            };
            state.samples.insert(name.to_owned(), at);
            let Some(ready) = state.awaited.get(name).copied() else {
                continue;
            };
            // The autoscaler's own rule for CPU, in the first five minutes of a pod.
            let by_cpu = self.by_cpu.iter().any(|app| is_of(name, app));
            if !by_cpu || seconds(ready, at) >= window {
                state.awaited.remove(name);
                state.measured.new_pod.push(seconds(ready, now));
            }
        }
        state.begun |= state.samples.len() >= self.first;
    }
}

/// What a watch says.
#[derive(Debug)]
enum Followed {
    /// All objects that there are follow.
    All,
    /// An object with its name.
    Object(String, Value),
    /// An object of this name is no longer there.
    Gone(String),
}

impl Followed {
    fn name(&self) -> Option<&str> {
        match self {
            Self::All => None,
            Self::Object(name, _) | Self::Gone(name) => Some(name),
        }
    }
}

/// Objects as they come.
fn follow(
    client: &Client,
    (group, version, kind): (&str, &str, &str),
) -> impl Stream<Item = Followed> + use<> {
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    let objects = Api::<DynamicObject>::namespaced_with(client.clone(), NAMESPACE, &kind);
    let events = watcher(objects, watcher::Config::default()).default_backoff();
    events.filter_map(async |event| match event {
        Ok(watcher::Event::Apply(object) | watcher::Event::InitApply(object)) => {
            let name = object.metadata.name.clone()?;
            Some(Followed::Object(name, serde_json::to_value(&object).ok()?))
        }
        Ok(watcher::Event::Delete(object)) => object.metadata.name.map(Followed::Gone),
        Ok(watcher::Event::Init) => Some(Followed::All),
        Ok(watcher::Event::InitDone) => None,
        Err(error) => {
            warn!(%error, "failed to watch");
            None
        }
    })
}

/// The mean usage and the desired replicas, in the words of an autoscaler.
fn read(autoscaler: &Value) -> (Option<f64>, i64) {
    let of = |kind: &str| {
        let path = format!("/status/currentMetrics/0/{kind}/current/averageValue");
        quantity(autoscaler.pointer(&path)?.as_str()?)
    };
    let desired = autoscaler.pointer("/status/desiredReplicas");
    let average = of("resource").or_else(|| of("containerResource"));
    (average, desired.and_then(Value::as_i64).unwrap_or(0))
}

/// A quantity with the suffixes that an autoscaler writes.
fn quantity(text: &str) -> Option<f64> {
    let suffixes = [
        ("Ki", 1_024.0),
        ("Mi", 1_048_576.0),
        ("k", 1e3),
        ("M", 1e6),
        ("m", 1e-3),
    ];
    for (suffix, factor) in suffixes {
        if let Some(number) = text.strip_suffix(suffix) {
            return number.parse::<f64>().ok().map(|number| number * factor);
        }
    }
    text.parse().ok()
}

/// Name, time and window in seconds of one `PodMetrics`.
fn point(item: &Value) -> Option<(&str, Timestamp, f64)> {
    let text = |path: &str| item.pointer(path).and_then(Value::as_str);
    let window = text("/window")?.parse::<jiff::SignedDuration>().ok()?;
    let at = text("/timestamp")?.parse().ok()?;
    Some((text("/metadata/name")?, at, window.as_secs_f64()))
}

fn ready_since(pod: &Value) -> Option<Timestamp> {
    let conditions = pod.pointer("/status/conditions")?.as_array()?;
    let mut ready = conditions.iter().filter(|one| {
        let is = |key: &str, value: &str| one.get(key).and_then(Value::as_str) == Some(value);
        is("type", "Ready") && is("status", "True")
    });
    let since = ready.next()?.get("lastTransitionTime")?.as_str()?;
    since.parse().ok()
}

/// Whether a pod is of the Deployment of this name.
fn is_of(pod: &str, app: &str) -> bool {
    let rest = pod.strip_prefix(app);
    rest.is_some_and(|rest| rest.starts_with('-'))
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_that_is_being_deleted_is_no_longer_one_of_its_deployment() {
        let pod = |name: &str, metadata: Value| {
            Followed::Object(name.to_owned(), json!({ "metadata": metadata }))
        };
        let mut state = State::default();
        for name in ["web-1-a", "web-1-b", "web-2-a"] {
            state.follow(pod(name, json!({})));
        }
        assert_eq!([state.pods_of("web-1"), state.pods_of("web-2")], [2, 1]);
        let ends = json!({ "deletionTimestamp": "2026-01-01T00:00:00Z" });
        state.follow(pod("web-1-a", ends));
        state.follow(Followed::Gone("web-2-a".to_owned()));
        assert_eq!([state.pods_of("web-1"), state.pods_of("web-2")], [1, 0]);
        // What went while the watch was interrupted is not in its next list.
        state.follow(Followed::All);
        assert_eq!(state.pods_of("web-1"), 0);
    }

    #[test]
    fn quantities_are_cores_and_bytes() {
        assert_eq!(quantity("200m"), Some(0.2));
        assert_eq!(quantity("134217728"), Some(134_217_728.0));
        assert_eq!(quantity("128Mi"), Some(134_217_728.0));
        assert_eq!(quantity("1"), Some(1.0));
        assert_eq!(quantity("many"), None);
    }

    #[test]
    fn a_point_has_name_time_and_window() {
        let item = json!({
            "metadata": { "name": "web-0" },
            "timestamp": "2026-01-01T00:00:10Z",
            "window": "14.5s",
        });
        let at = "2026-01-01T00:00:10Z".parse().unwrap();
        assert_eq!(point(&item), Some(("web-0", at, 14.5)));
    }
}
