//! Autoscalers with their pods, as objects of the API.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tributary_sim::{PodSpec, Usage};

/// What the API says about a pod, and whether its kubelet measures it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stands {
    /// Ready for an hour.
    #[default]
    Settled,
    /// Ready for an hour, and no kubelet reports it.
    Missing,
    Pending,
    Failed,
    Succeeded,
    /// It is being deleted, and a finalizer keeps it.
    Deleted,
    /// New, and not ready.
    Starting,
    /// New, and it became ready after its newest sample.
    JustReady,
    /// New, and ready for more than a window.
    Warm,
    /// Started an hour ago, and not ready since soon after.
    NeverReady,
    /// The same, exactly as long after its start as the controller waits.
    NotReadyAtTheEdge,
    /// Started an hour ago, and not ready for a minute.
    Broken,
    /// It has no condition Ready.
    WithoutCondition,
    /// It has no start time.
    NotStarted,
    /// Its condition Ready is Unknown, as when its node does not answer.
    ReadyUnknown,
}

/// A container: milli-cores and MiB that it requests, if it does, and uses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Container {
    pub(super) name: &'static str,
    pub(super) cpu: Option<u64>,
    pub(super) memory: Option<u64>,
    pub(super) millis: u64,
    pub(super) mebibytes: u64,
    /// It is an init container that goes on.
    pub(super) is_sidecar: bool,
}

impl Container {
    /// A container that requests 100m and 100Mi, so what it uses is also a percentage.
    pub(super) const fn uses(millis: u64, mebibytes: u64) -> Self {
        Self {
            name: "main",
            cpu: Some(100),
            memory: Some(100),
            millis,
            mebibytes,
            is_sidecar: false,
        }
    }

    pub(super) const fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    pub(super) const fn requests(self, cpu: Option<u64>, memory: Option<u64>) -> Self {
        Self {
            cpu,
            memory,
            ..self
        }
    }

    fn object(&self) -> Value {
        let mut requests = json!({});
        if let Some(cpu) = self.cpu {
            requests["cpu"] = json!(format!("{cpu}m"));
        }
        if let Some(memory) = self.memory {
            requests["memory"] = json!(format!("{memory}Mi"));
        }
        let mut object = json!({
            "name": self.name, "image": "registry.example/app:1",
            "resources": { "requests": requests },
        });
        if self.is_sidecar {
            object["restartPolicy"] = json!("Always");
        }
        object
    }
}

/// A pod of a case.
#[derive(Clone, Debug)]
pub(super) struct Pod {
    pub(super) stands: Stands,
    pub(super) containers: Vec<Container>,
    /// What it requests and may use as a whole.
    pub(super) resources: Value,
}

impl Pod {
    pub(super) fn new(stands: Stands, containers: &[Container]) -> Self {
        Self {
            stands,
            containers: containers.to_vec(),
            resources: Value::Null,
        }
    }

    pub(super) fn object(&self, (namespace, app): (&str, &str), name: &str, node: &str) -> Value {
        let of = |sidecars: bool| {
            let containers = self
                .containers
                .iter()
                .filter(|it| it.is_sidecar == sidecars);
            containers.map(Container::object).collect::<Vec<_>>()
        };
        let mut object = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "namespace": namespace, "name": name, "labels": { "app": app } },
            "spec": { "nodeName": node, "containers": of(false), "initContainers": of(true) },
        });
        if !self.resources.is_null() {
            object["spec"]["resources"] = self.resources.clone();
        }
        if self.stands == Stands::Deleted {
            object["metadata"]["finalizers"] = json!(["example.dev/stays"]);
        }
        object
    }

    /// What a kubelet writes about it.
    pub(super) fn status(&self, now: Timestamp) -> Value {
        use Stands::{
            Broken, Deleted, Failed, JustReady, Missing, NeverReady, NotReadyAtTheEdge, NotStarted,
            Pending, ReadyUnknown, Settled, Starting, Succeeded, Warm, WithoutCondition,
        };
        let date = |seconds: i64| {
            let at = now - jiff::SignedDuration::from_secs(seconds);
            at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
        };
        // Seconds since it started and since it became what it is.
        let (phase, started, ready, since) = match self.stands {
            Settled | Missing | Deleted | WithoutCondition | NotStarted => {
                ("Running", 3_600, "True", 3_590)
            }
            Pending => ("Pending", 3_600, "False", 3_600),
            Failed => ("Failed", 3_600, "False", 1_800),
            Succeeded => ("Succeeded", 3_600, "False", 1_800),
            // A start in the future is new for as long as this takes.
            Starting => ("Running", -600, "False", 59),
            JustReady => ("Running", -600, "True", -600),
            Warm => ("Running", -600, "True", 60),
            NeverReady => ("Running", 3_600, "False", 3_590),
            NotReadyAtTheEdge => ("Running", 3_600, "False", 3_570),
            Broken => ("Running", 3_600, "False", 60),
            ReadyUnknown => ("Running", 3_600, "Unknown", 60),
        };
        let mut status = json!({
            "phase": phase,
            "startTime": date(started),
            "conditions": [{ "type": "Ready", "status": ready, "lastTransitionTime": date(since) }],
        });
        match self.stands {
            WithoutCondition => status["conditions"] = json!([]),
            NotStarted => status["startTime"] = Value::Null,
            _ => {}
        }
        status
    }

    /// What its kubelet measures. `None`: nothing.
    pub(super) fn measured(&self, namespace: &str, name: &str, node: &str) -> Option<PodSpec> {
        use Stands::{Failed, Missing, Pending, Succeeded};
        if [Missing, Pending, Failed, Succeeded].contains(&self.stands) {
            return None;
        }
        let mut spec = PodSpec::new(namespace, name, node);
        for it in &self.containers {
            let usage = Usage::steady(it.millis, it.mebibytes << 20);
            spec = spec.container(it.name, usage);
        }
        Some(spec)
    }
}

/// What is scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// One of Kubernetes, by version and kind.
    Of(&'static str, &'static str),
    /// A custom resource with a scale that has a selector.
    Battery,
    /// A custom resource with a scale that has no selector.
    Class,
    /// It does not exist, and this is its version and kind.
    None(&'static str, &'static str),
}

impl Target {
    pub(super) const DEPLOYMENT: Self = Self::Of("apps/v1", "Deployment");

    pub(super) fn version_and_kind(self) -> (&'static str, &'static str) {
        match self {
            Self::Of(version, kind) | Self::None(version, kind) => (version, kind),
            Self::Battery => ("example.dev/v1", "Battery"),
            Self::Class => ("example.dev/v1", "Class"),
        }
    }
}

/// An autoscaler, its target and its pods.
#[derive(Clone, Debug)]
pub(super) struct Case {
    /// What it is about.
    pub(super) what: String,
    pub(super) target: Target,
    pub(super) current: i32,
    pub(super) limits: (i32, i32),
    pub(super) metrics: Vec<Value>,
    pub(super) behavior: Value,
    pub(super) pods: Vec<Pod>,
    /// Another autoscaler of the same target.
    pub(super) rival: bool,
}

impl Case {
    /// An autoscaler from 1 to 10 that aims at half of the CPU that is requested, and may scale down at once.
    pub(super) fn new(what: &str, current: i32, pods: Vec<Pod>) -> Self {
        Self {
            what: what.to_owned(),
            target: Target::DEPLOYMENT,
            current,
            limits: (1, 10),
            metrics: vec![utilization("cpu", 50)],
            behavior: json!({ "scaleDown": { "stabilizationWindowSeconds": 0 } }),
            pods,
            rival: false,
        }
    }

    pub(super) fn metrics(self, metrics: Vec<Value>) -> Self {
        Self { metrics, ..self }
    }

    pub(super) fn behavior(self, behavior: Value) -> Self {
        Self { behavior, ..self }
    }

    pub(super) fn between(self, min: i32, max: i32) -> Self {
        let limits = (min, max);
        Self { limits, ..self }
    }

    pub(super) fn of(self, target: Target) -> Self {
        Self { target, ..self }
    }

    pub(super) fn autoscaler(&self, namespace: &str, name: &str, target: &str) -> Value {
        let (version, kind) = self.target.version_and_kind();
        let mut object = json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": { "namespace": namespace, "name": name },
            "spec": {
                "scaleTargetRef": { "apiVersion": version, "kind": kind, "name": target },
                "minReplicas": self.limits.0, "maxReplicas": self.limits.1,
                "metrics": self.metrics,
            },
        });
        if !self.behavior.is_null() {
            object["spec"]["behavior"] = self.behavior.clone();
        }
        object
    }

    /// What is scaled, and its status if that has the selector.
    pub(super) fn scaled(&self, namespace: &str, name: &str) -> Option<(Value, Option<Value>)> {
        let (version, kind) = self.target.version_and_kind();
        // Written in the version that is served.
        let version = version.replace("v1beta1", "v1");
        let object = |spec: Value| {
            json!({
                "apiVersion": version, "kind": kind,
                "metadata": { "namespace": namespace, "name": name }, "spec": spec,
            })
        };
        let labels = json!({ "app": name });
        let container = json!({ "name": "main", "image": "registry.example/app:1" });
        let template = json!({
            "metadata": { "labels": labels }, "spec": { "containers": [container] },
        });
        match self.target {
            Target::None(..) => None,
            Target::Battery | Target::Class => {
                let whole = object(json!({ "replicas": self.current }));
                let mut status = whole.clone();
                let selector = format!("app={name}");
                status["status"] = json!({ "replicas": self.current, "selector": selector });
                Some((whole, Some(status)))
            }
            Target::Of(_, kind) => {
                let mut spec = json!({
                    "replicas": self.current,
                    "selector": { "matchLabels": labels },
                    "template": template,
                });
                match kind {
                    "ReplicationController" => spec["selector"] = labels,
                    "StatefulSet" => spec["serviceName"] = json!("none"),
                    _ => {}
                }
                Some((object(spec), None))
            }
        }
    }
}

/// How long all may take: after that a sample is no longer older than the moment when its pod became ready.
pub(super) const STEADY: Duration = Duration::from_mins(10);

/// A metric that aims at a part of the requests.
pub(super) fn utilization(resource: &str, percent: u32) -> Value {
    let target = json!({ "type": "Utilization", "averageUtilization": percent });
    json!({ "type": "Resource", "resource": { "name": resource, "target": target } })
}

/// A metric that aims at an absolute value.
pub(super) fn average(resource: &str, value: &str) -> Value {
    let target = json!({ "type": "AverageValue", "averageValue": value });
    json!({ "type": "Resource", "resource": { "name": resource, "target": target } })
}

/// The same metric of one container.
pub(super) fn of_container(container: &str, metric: &Value) -> Value {
    let mut source = metric["resource"].clone();
    source["container"] = json!(container);
    json!({ "type": "ContainerResource", "containerResource": source })
}
