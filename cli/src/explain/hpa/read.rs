//! What an autoscaler looks at, read from the API.

use std::{collections::BTreeMap, time::Duration};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::{
        autoscaling::{
            v1::Scale,
            v2::{
                HPAScalingRules, HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec, MetricSpec,
                MetricTarget,
            },
        },
        core::v1::{Container, Pod as KubePod},
    },
    apimachinery::pkg::api::resource::Quantity,
};
use serde::Deserialize;

use super::replay::{Pod, Question, Sample, Settings, Target, Tolerance};
use crate::{
    explain::reading::METRICS,
    fleet::Meta,
    kube_api::{Failure, KubeApi, encoded},
    quantity::milli,
};

/// All that is read.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) object: HorizontalPodAutoscaler,
    pub(super) spec: HorizontalPodAutoscalerSpec,
    pub(super) scaled: Scaled,
    pods: Vec<KubePod>,
    samples: Vec<PodMetrics>,
    /// Metrics of resources, which are replayed.
    pub(super) metrics: Vec<Metric>,
    /// Other metrics: their types.
    pub(super) others: Vec<String>,
}

/// What is scaled.
#[derive(Clone, Debug)]
pub(super) struct Scaled {
    pub(super) target: String,
    pub(super) replicas: i32,
    selector: String,
}

/// A metric of a resource.
#[derive(Clone, Debug)]
pub(super) struct Metric {
    resource: String,
    container: Option<String>,
    pub(super) target: Target,
}

/// A `PodMetrics`.
#[derive(Clone, Debug, Deserialize)]
struct PodMetrics {
    metadata: Meta,
    timestamp: Timestamp,
    #[serde(default)]
    window: String,
    #[serde(default)]
    containers: Vec<Usage>,
}

#[derive(Clone, Debug, Deserialize)]
struct Usage {
    name: String,
    #[serde(default)]
    usage: BTreeMap<String, Quantity>,
}

impl Asked {
    pub(super) async fn read(api: &KubeApi, name: &str) -> Result<Self, Failure> {
        let namespace = &api.namespace;
        let path =
            format!("/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers/{name}");
        let object: HorizontalPodAutoscaler = api.get(&path).await?;
        let spec = object.spec.clone().unwrap_or_default();
        let scaled = Scaled::read(api, &spec).await?;
        let selector = encoded(&scaled.selector);
        let pods = format!("/api/v1/namespaces/{namespace}/pods?labelSelector={selector}");
        let samples = format!("{METRICS}/namespaces/{namespace}/pods?labelSelector={selector}");
        let (pods, samples) = futures::join!(api.list(&pods), api.list(&samples));
        let (mut metrics, mut others) = (Vec::new(), Vec::new());
        for metric in spec.metrics.iter().flatten() {
            match Metric::of(metric) {
                Some(metric) => metrics.push(metric),
                None => others.push(metric.type_.clone()),
            }
        }
        Ok(Self {
            object,
            spec,
            scaled,
            pods: pods?,
            samples: samples?,
            metrics,
            others,
        })
    }
}

impl Scaled {
    async fn read(api: &KubeApi, spec: &HorizontalPodAutoscalerSpec) -> Result<Self, Failure> {
        let target = &spec.scale_target_ref;
        let (kind, name) = (&target.kind, &target.name);
        // Kinds of others are called as most are.
        let plural = format!("{}s", kind.to_lowercase());
        let version = target.api_version.as_deref().unwrap_or("apps/v1");
        let root = if version.contains('/') { "apis" } else { "api" };
        let namespace = &api.namespace;
        let path = format!("/{root}/{version}/namespaces/{namespace}/{plural}/{name}/scale");
        let scale: Scale = api.get(&path).await?;
        let status = scale.status.unwrap_or_default();
        Ok(Self {
            target: format!("{}/{name}", kind.to_lowercase()),
            replicas: scale.spec.and_then(|spec| spec.replicas).unwrap_or(0),
            selector: status.selector.unwrap_or_default(),
        })
    }
}

impl Metric {
    fn of(metric: &MetricSpec) -> Option<Self> {
        let of = |resource: &str, container: Option<&String>, target: &MetricTarget| {
            let average = target.average_value.as_ref();
            let target = match average {
                Some(average) => Target::Average(milli(&average.0)?),
                None => Target::Utilization(target.average_utilization?.into()),
            };
            Some(Self {
                resource: resource.to_owned(),
                container: container.cloned(),
                target,
            })
        };
        if let Some(pods) = &metric.resource {
            return of(&pods.name, None, &pods.target);
        }
        let one = metric.container_resource.as_ref()?;
        of(&one.name, Some(&one.container), &one.target)
    }

    /// For people.
    pub(super) fn name(&self) -> String {
        match &self.container {
            Some(container) => format!("{} of container {container}", self.resource),
            None => self.resource.clone(),
        }
    }

    /// A milli-value for people.
    pub(super) fn amount(&self, milli: i64) -> String {
        if self.resource == "memory" {
            format!("{}Mi", milli / 1_000 / (1 << 20))
        } else {
            format!("{milli}m")
        }
    }

    /// What the autoscaler computes from.
    pub(super) fn question(&self, asked: &Asked, now: Timestamp) -> Question {
        let rules = asked.spec.behavior.as_ref();
        let tolerance = |rules: Option<&HPAScalingRules>, usual: f64| {
            let milli = rules.and_then(|rules| milli(&rules.tolerance.as_ref()?.0));
            let milli = milli.and_then(|milli| i32::try_from(milli).ok());
            milli.map_or(usual, |milli| f64::from(milli) / 1_000.0)
        };
        let usual = Tolerance::default();
        Question {
            current: asked.scaled.replicas,
            target: self.target,
            is_cpu: self.resource == "cpu",
            tolerance: Tolerance {
                down: tolerance(
                    rules.and_then(|rules| rules.scale_down.as_ref()),
                    usual.down,
                ),
                up: tolerance(rules.and_then(|rules| rules.scale_up.as_ref()), usual.up),
            },
            pods: asked.pods.iter().map(pod).collect(),
            samples: asked
                .samples
                .iter()
                .filter_map(|it| self.sample(it))
                .collect(),
            requests: self.requests(&asked.pods),
            now,
            settings: Settings::default(),
        }
    }

    /// The sample of a pod, with the usage of the container or of all.
    fn sample(&self, metrics: &PodMetrics) -> Option<(String, Sample)> {
        let wanted = |it: &&Usage| self.container.as_ref().is_none_or(|name| *name == it.name);
        let containers: Vec<&Usage> = metrics.containers.iter().filter(wanted).collect();
        if containers.is_empty() {
            return None;
        }
        let values = containers
            .iter()
            .map(|it| milli(&it.usage.get(&self.resource)?.0));
        let window: Option<SignedDuration> = metrics.window.parse().ok();
        let window = window.and_then(|window| Duration::try_from(window).ok());
        let sample = Sample {
            at: metrics.timestamp,
            window: window.unwrap_or_default(),
            value: values.sum::<Option<i64>>()?,
        };
        Some((metrics.metadata.name.clone(), sample))
    }

    /// The requests of all pods; the first that is missing is an error.
    fn requests(&self, pods: &[KubePod]) -> Result<BTreeMap<String, i64>, String> {
        let of_pod = |pod: &KubePod| {
            let name = pod.metadata.name.clone().unwrap_or_default();
            let request = self.request(pod, &name)?;
            Ok((name, request))
        };
        pods.iter().map(of_pod).collect()
    }

    fn request(&self, pod: &KubePod, name: &str) -> Result<i64, String> {
        let Some(spec) = &pod.spec else { return Ok(0) };
        let resource = &self.resource;
        let of_pod = spec.resources.as_ref().and_then(|it| it.requests.as_ref());
        if let Some(requests) = of_pod.filter(|it| !it.is_empty() && self.container.is_none()) {
            let request = requests.get(resource).and_then(|request| milli(&request.0));
            return request
                .ok_or_else(|| format!("missing pod-level request for {resource} in Pod {name}"));
        }
        let sidecars = spec.init_containers.iter().flatten();
        let sidecars = sidecars.filter(|it| it.restart_policy.as_deref() == Some("Always"));
        let wanted = |it: &&Container| self.container.as_ref().is_none_or(|name| *name == it.name);
        let containers = spec.containers.iter().chain(sidecars).filter(wanted);
        let requests = containers.map(|container| {
            let requests = container
                .resources
                .as_ref()
                .and_then(|it| it.requests.as_ref());
            let request = requests.and_then(|requests| milli(&requests.get(resource)?.0));
            let container = &container.name;
            request.ok_or_else(|| {
                format!("missing request for {resource} in container {container} of Pod {name}")
            })
        });
        requests.sum()
    }
}

fn pod(object: &KubePod) -> Pod {
    let status = object.status.clone().unwrap_or_default();
    let phase = status.phase.as_deref();
    let ready = status
        .conditions
        .iter()
        .flatten()
        .find(|it| it.type_ == "Ready");
    let ready = ready.map(|it| {
        let since = it.last_transition_time.as_ref().map(|at| at.0);
        (it.status == "False", since.unwrap_or(Timestamp::UNIX_EPOCH))
    });
    Pod {
        name: object.metadata.name.clone().unwrap_or_default(),
        ends: object.metadata.deletion_timestamp.is_some() || phase == Some("Failed"),
        pending: phase == Some("Pending"),
        started: status.start_time.map(|at| at.0),
        ready,
    }
}
