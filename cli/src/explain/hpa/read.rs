//! What an autoscaler looks at, read from the API.

use std::{collections::BTreeMap, time::Duration};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::{
        autoscaling::v2::{
            HPAScalingRules, HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec, MetricSpec,
            MetricTarget,
        },
        core::v1::Pod as KubePod,
    },
    apimachinery::pkg::api::resource::Quantity,
};
use serde::Deserialize;

use super::{
    replay::{Pod, Question, Sample, Settings, Target, Tolerance},
    requests::requests,
    scaled::Scaled,
};
use crate::{
    fleet::Meta,
    kube_api::{Failure, KubeApi, encoded, path},
    metrics_api::V1BETA1,
    quantity::{milli, near},
};

/// All that is read.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) object: HorizontalPodAutoscaler,
    pub(super) spec: HorizontalPodAutoscalerSpec,
    pub(super) scaled: Scaled,
    pods: Vec<KubePod>,
    /// Or why the metrics API has no answer.
    samples: Result<Vec<PodMetrics>, String>,
    /// Metrics of resources, which are replayed.
    pub(super) metrics: Vec<Metric>,
    /// Other metrics: their types.
    pub(super) others: Vec<String>,
    /// Another autoscaler of the same target.
    pub(super) rival: Option<String>,
}

/// Why it cannot be read.
#[derive(Clone, Debug)]
pub(super) enum Unread {
    /// The autoscaler is there, and its target is not.
    Target(Box<HorizontalPodAutoscaler>, String),
    /// Anything else.
    Failed(Failure),
}

impl From<Failure> for Unread {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// A metric of a resource.
#[derive(Clone, Debug)]
pub(super) struct Metric {
    pub(super) resource: String,
    pub(super) container: Option<String>,
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
    pub(super) async fn read(api: &KubeApi, name: &str) -> Result<Self, Unread> {
        let namespace = &api.namespace;
        let all = path(
            "/apis/autoscaling/v2/namespaces",
            &[namespace, "horizontalpodautoscalers"],
        );
        let object: HorizontalPodAutoscaler = api.get(&path(&all, &[name])).await?;
        let spec = object.spec.clone().unwrap_or_default();
        let scaled = match Scaled::read(api, &spec).await {
            Ok(scaled) => scaled,
            Err(Failure::NotFound(why)) => return Err(Unread::Target(Box::new(object), why)),
            Err(failure) => return Err(failure.into()),
        };
        let (mut metrics, mut others) = (Vec::new(), Vec::new());
        for metric in spec.metrics.iter().flatten() {
            match Metric::of(metric) {
                Some(metric) => metrics.push(metric),
                None => others.push(metric.type_.clone()),
            }
        }
        let mut asked = Self {
            object,
            spec,
            scaled,
            pods: Vec::new(),
            samples: Ok(Vec::new()),
            metrics,
            others,
            rival: None,
        };
        // Without a selector the controller computes nothing, and here the lists would be those of all pods.
        if !asked.scaled.selector.is_empty() {
            asked.read_pods(api, &all).await?;
        }
        Ok(asked)
    }

    async fn read_pods(&mut self, api: &KubeApi, all: &str) -> Result<(), Failure> {
        let namespace = &api.namespace;
        let selector = encoded(&self.scaled.selector);
        // The version that autoscalers ask.
        let [pods, samples] = ["/api/v1", V1BETA1].map(|root| {
            let pods = path(root, &["namespaces", namespace, "pods"]);
            format!("{pods}?labelSelector={selector}")
        });
        let (pods, samples, all) =
            futures::join!(api.list(&pods), api.list(&samples), api.list(all));
        self.pods = pods?;
        self.samples = match samples {
            Err(failure @ Failure::Forbidden(_)) => return Err(failure),
            samples => samples.map_err(|failure| failure.to_string()),
        };
        self.rival = self.rival_of(&all?);
        Ok(())
    }

    /// An autoscaler of the same target. The controller also refuses one whose selector matches the same pods; that is not
    /// looked for here.
    fn rival_of(&self, all: &[HorizontalPodAutoscaler]) -> Option<String> {
        let target = &self.spec.scale_target_ref;
        let others = all
            .iter()
            .filter(|it| it.metadata.name != self.object.metadata.name);
        let mut rivals = others.filter(|it| {
            let other = it.spec.as_ref().map(|spec| &spec.scale_target_ref);
            other.is_some_and(|it| it.kind == target.kind && it.name == target.name)
        });
        rivals.next()?.metadata.name.clone()
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

    /// The reason of `ScalingActive` if it cannot be computed.
    pub(super) fn failure(&self) -> &'static str {
        match self.container {
            Some(_) => "FailedGetContainerResourceMetric",
            None => "FailedGetResourceMetric",
        }
    }

    /// What the autoscaler computes from.
    ///
    /// # Errors
    ///
    /// The metrics API does not answer.
    pub(super) fn question(&self, asked: &Asked, now: Timestamp) -> Result<Question, String> {
        let samples = asked.samples.as_ref().map_err(|why| {
            let resource = &self.resource;
            format!("unable to get metrics for resource {resource}: unable to fetch metrics from resource metrics API: {why}")
        })?;
        let rules = asked.spec.behavior.as_ref();
        let tolerance = |rules: Option<&HPAScalingRules>, usual: f64| {
            rules
                .and_then(|rules| near(&rules.tolerance.as_ref()?.0))
                .unwrap_or(usual)
        };
        let usual = Tolerance::default();
        Ok(Question {
            current: asked.scaled.replicas,
            target: self.target,
            resource: self.resource.clone(),
            tolerance: Tolerance {
                down: tolerance(
                    rules.and_then(|rules| rules.scale_down.as_ref()),
                    usual.down,
                ),
                up: tolerance(rules.and_then(|rules| rules.scale_up.as_ref()), usual.up),
            },
            pods: asked.pods.iter().map(pod).collect(),
            served: !samples.is_empty(),
            samples: samples.iter().filter_map(|it| self.sample(it)).collect(),
            requests: requests(&asked.pods, &self.resource, self.container.as_deref()),
            now,
            settings: Settings::default(),
        })
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
