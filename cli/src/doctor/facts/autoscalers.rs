//! Autoscalers that aim at a part of the requests, and pods of theirs that lack one.

use futures::{StreamExt as _, stream};
use k8s_openapi::api::{
    autoscaling::{
        v1::Scale,
        v2::{HorizontalPodAutoscaler, MetricSpec},
    },
    core::v1::{Container, Pod},
};

use super::Read;
use crate::kube_api::{Failure, KubeApi, encoded, path};

/// How many autoscalers are looked at together.
const AT_ONCE: usize = 8;

/// How many of them may be unreadable before no more are looked at.
const UNREAD: usize = 8;

/// The group of autoscalers.
const GROUP: &str = "/apis/autoscaling/v2";

/// An autoscaler with pods that lack a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lacking {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub autoscaler: String,
    /// What it scales: `deployment/web`.
    pub target: String,
    /// `cpu` or `memory`.
    pub resource: String,
    /// A container that lacks the request.
    pub container: String,
    /// The pods that have such a container.
    pub pods: Vec<String>,
}

/// An autoscaler of which it is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub autoscaler: String,
    /// Why.
    pub why: Failure,
}

/// What is known of the autoscalers. One that cannot be read hides no other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scalers {
    /// Those with pods that lack a request.
    pub lacking: Vec<Lacking>,
    /// Those of which it is not known. After some no more are looked at.
    pub unread: Vec<Unread>,
}

/// The request that a metric needs: of which resource, and of one container or all.
struct NeededRequest {
    resource: String,
    container: Option<String>,
}

pub(super) async fn scalers(api: &KubeApi, namespace: Option<&str>) -> Read<Scalers> {
    let kind = "horizontalpodautoscalers";
    let all = match namespace {
        Some(namespace) => path(GROUP, &["namespaces", namespace, kind]),
        None => path(GROUP, &[kind]),
    };
    let scalers = super::if_known::<HorizontalPodAutoscaler>(api, &all).await?;
    if let Some(namespace) = namespace.filter(|_| scalers.is_empty()) {
        api.has_namespace(namespace).await?;
    }
    let looks = stream::iter(scalers).map(|scaler| async move {
        let found = of(api, &scaler).await;
        (found, scaler.metadata)
    });
    let mut looks = looks.buffered(AT_ONCE);
    let mut seen = Scalers::default();
    while let Some((found, metadata)) = looks.next().await {
        match found {
            Ok(found) => seen.lacking.extend(found),
            Err(failure) => seen.unread.push(Unread {
                namespace: metadata.namespace.unwrap_or_default(),
                autoscaler: metadata.name.unwrap_or_default(),
                why: failure,
            }),
        }
        // What fails for some will fail for all, and each may take long.
        if seen.unread.len() >= UNREAD {
            break;
        }
    }
    Ok(seen)
}

async fn of(api: &KubeApi, scaler: &HorizontalPodAutoscaler) -> Read<Vec<Lacking>> {
    let needed = needed(scaler);
    let Some(spec) = scaler.spec.as_ref().filter(|_| !needed.is_empty()) else {
        return Ok(Vec::new());
    };
    let target = &spec.scale_target_ref;
    let plural = match (target.api_version.as_deref(), &*target.kind) {
        (Some("apps/v1"), "Deployment") => "deployments",
        (Some("apps/v1"), "StatefulSet") => "statefulsets",
        (Some("apps/v1"), "ReplicaSet") => "replicasets",
        // Kinds of others: only their API knows how they are called in a path.
        _ => return Ok(Vec::new()),
    };
    let namespace = scaler.metadata.namespace.clone().unwrap_or_default();
    let scale = path(
        "/apis/apps/v1/namespaces",
        &[&namespace, plural, &target.name, "scale"],
    );
    let scale = match api.get::<Scale>(&scale).await {
        Err(Failure::NotFound(_)) => return Ok(Vec::new()),
        read => read?,
    };
    let selector = scale.status.and_then(|status| status.selector);
    let Some(selector) = selector.filter(|selector| !selector.is_empty()) else {
        return Ok(Vec::new());
    };
    let pods = path("/api/v1/namespaces", &[&namespace, "pods"]);
    let pods = format!("{pods}?labelSelector={}", encoded(&selector));
    let pods = api.list::<Pod>(&pods).await?;
    let lacking = needed.into_iter().filter_map(|needed| {
        let found = pods.iter().filter_map(|pod| {
            let container = container_without(pod, &needed)?;
            Some((pod.metadata.name.clone()?, container))
        });
        let found: Vec<(String, String)> = found.collect();
        let (_, container) = found.first()?.clone();
        Some(Lacking {
            namespace: namespace.clone(),
            autoscaler: scaler.metadata.name.clone().unwrap_or_default(),
            target: format!("{}/{}", target.kind.to_lowercase(), target.name),
            resource: needed.resource,
            container,
            pods: found.into_iter().map(|(pod, _)| pod).collect(),
        })
    });
    Ok(lacking.collect())
}

/// The requests that the metrics of an autoscaler need.
fn needed(scaler: &HorizontalPodAutoscaler) -> Vec<NeededRequest> {
    let spec = scaler.spec.as_ref();
    let metrics = spec
        .and_then(|spec| spec.metrics.as_ref())
        .into_iter()
        .flatten();
    let needed = |metric: &MetricSpec| {
        if let Some(of_pod) = &metric.resource {
            let target = of_pod.target.average_utilization?;
            return (target > 0).then(|| NeededRequest {
                resource: of_pod.name.clone(),
                container: None,
            });
        }
        let of_one = metric.container_resource.as_ref()?;
        of_one.target.average_utilization?;
        Some(NeededRequest {
            resource: of_one.name.clone(),
            container: Some(of_one.container.clone()),
        })
    };
    metrics.filter_map(needed).collect()
}

/// A container of the pod that lacks the request. Pods that have ended or are being deleted do not count.
fn container_without(pod: &Pod, needed: &NeededRequest) -> Option<String> {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    if pod.metadata.deletion_timestamp.is_some() || matches!(phase, Some("Failed" | "Succeeded")) {
        return None;
    }
    let spec = pod.spec.as_ref()?;
    let requests = spec
        .resources
        .as_ref()
        .and_then(|of_pod| of_pod.requests.as_ref());
    if requests.is_some_and(|requests| requests.contains_key(&needed.resource)) {
        return None;
    }
    // The autoscaler also counts init containers that go on running.
    let sidecars = spec.init_containers.iter().flatten();
    let sidecars = sidecars.filter(|it| it.restart_policy.as_deref() == Some("Always"));
    let lacks = |container: &&Container| {
        let of_it = needed
            .container
            .as_ref()
            .is_none_or(|name| *name == container.name);
        let requests = container.resources.as_ref();
        let requests = requests.and_then(|resources| resources.requests.as_ref());
        of_it && !requests.is_some_and(|requests| requests.contains_key(&needed.resource))
    };
    let mut containers = spec.containers.iter().chain(sidecars);
    containers
        .find(lacks)
        .map(|container| container.name.clone())
}

#[cfg(test)]
mod tests;
