//! What pods request, as the autoscaler adds it up.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod};

use crate::quantity::milli;

/// The resources that a pod may request for all its containers together, beside huge pages.
const OF_PODS: [&str; 2] = ["cpu", "memory"];

/// The requests of all pods as milli-values, by name: of one container, or of all.
///
/// # Errors
///
/// The first request that is missing, in the words of the controller.
pub(super) fn requests(
    pods: &[Pod],
    resource: &str,
    container: Option<&str>,
) -> Result<BTreeMap<String, i64>, String> {
    let of_pod = |pod: &Pod| {
        let name = pod.metadata.name.clone().unwrap_or_default();
        let request = match container {
            Some(container) => of_container(pod, &name, resource, container)?,
            None if is_set_for_the_pod(pod) => of_whole(pod, resource)
                .ok_or_else(|| format!("missing pod-level request for {resource} in Pod {name}"))?,
            None => {
                let requests = containers(pod).map(|it| of(it, &name, resource));
                requests.sum::<Result<i64, String>>()?
            }
        };
        Ok((name, request))
    };
    pods.iter().map(of_pod).collect()
}

/// The containers that run all the time.
fn containers(pod: &Pod) -> impl Iterator<Item = &Container> {
    let spec = pod.spec.iter();
    let sidecars = pod
        .spec
        .iter()
        .flat_map(|spec| spec.init_containers.iter().flatten());
    spec.flat_map(|spec| &spec.containers)
        .chain(sidecars.filter(|it| is_sidecar(it)))
}

fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

fn of_container(pod: &Pod, name: &str, resource: &str, container: &str) -> Result<i64, String> {
    let found = containers(pod).find(|it| it.name == container);
    let found = found.ok_or_else(|| format!("container {container} not found in Pod {name}"))?;
    of(found, name, resource)
}

fn of(container: &Container, pod: &str, resource: &str) -> Result<i64, String> {
    requested(container, resource).ok_or_else(|| {
        let container = &container.name;
        format!("missing request for {resource} in container {container} of Pod {pod}")
    })
}

fn requested(container: &Container, resource: &str) -> Option<i64> {
    let requests = container.resources.as_ref()?.requests.as_ref()?;
    milli(&requests.get(resource)?.0)
}

fn may_be_of_the_pod(resource: &str) -> bool {
    OF_PODS.contains(&resource) || resource.starts_with("hugepages-")
}

fn is_set_for_the_pod(pod: &Pod) -> bool {
    let resources = pod.spec.as_ref().and_then(|spec| spec.resources.as_ref());
    let requests = resources.and_then(|it| it.requests.as_ref());
    requests.is_some_and(|it| it.keys().any(|resource| may_be_of_the_pod(resource)))
}

/// The request of a pod that has requests of its own: of a resource that these lack, that of its containers.
fn of_whole(pod: &Pod, resource: &str) -> Option<i64> {
    let spec = pod.spec.as_ref()?;
    let requests = spec.resources.as_ref().and_then(|it| it.requests.as_ref());
    let own = requests.and_then(|it| milli(&it.get(resource)?.0));
    let request = own
        .filter(|_| may_be_of_the_pod(resource))
        .or_else(|| of_all(pod, resource));
    let overhead = spec
        .overhead
        .as_ref()
        .and_then(|it| milli(&it.get(resource)?.0));
    match (request, overhead) {
        (None, None) => None,
        (request, overhead) => Some(request.unwrap_or(0).saturating_add(overhead.unwrap_or(0))),
    }
}

/// What a scheduler reserves for the containers: those that run, or an init container if it needs more.
fn of_all(pod: &Pod, resource: &str) -> Option<i64> {
    let running: Vec<i64> = containers(pod)
        .filter_map(|it| requested(it, resource))
        .collect();
    let (mut sidecars, mut most) = (0_i64, None);
    let init = pod
        .spec
        .iter()
        .flat_map(|spec| spec.init_containers.iter().flatten());
    for container in init {
        let Some(request) = requested(container, resource) else {
            continue;
        };
        let beside = sidecars.saturating_add(request);
        if is_sidecar(container) {
            sidecars = beside;
        }
        most = most.max(Some(beside));
    }
    let sum = (!running.is_empty()).then(|| running.iter().sum());
    sum.max(most)
}
