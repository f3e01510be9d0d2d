//! The pods of the components, and how they find each other.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use super::{
    super::{
        facts::{Endpoint, Facts},
        finding::Finding,
    },
    Checked, NotMade, fleet,
    leases::Loss,
    named,
};
use crate::{
    catalogue::Code,
    leases,
    printed::{between, count},
};

/// What says which component a pod is of.
const COMPONENT: &str = "app.kubernetes.io/component";

/// Why there is nothing to look at: `nameOverride` of the chart changes these labels.
const NOT_OURS: &str = "has the labels of Tributary or of metrics-server";

/// How old a pod is before it should be ready: two resolutions, and time to pull an image.
const SETTLED: Duration = Duration::from_mins(1);

/// Whether the pods are ready.
pub(super) fn pods(facts: &Facts) -> Checked {
    let pods = facts.pods.as_ref()?;
    let down = down_endpoints(facts);
    if pods.is_empty() && down.is_empty() {
        facts.endpoints.as_ref()?;
        return Err(NotMade::Nothing(format!("no pod {NOT_OURS}")));
    }
    let loss = Loss::of(facts);
    // That a scraper is lost is another finding, which has the state of its pod.
    let is_lost = |pod: &Pod| pod.metadata.name.as_deref().is_some_and(|it| loss.has(it));
    let mut by_code: BTreeMap<Code, Vec<&Pod>> = BTreeMap::new();
    let broken = pods.iter().filter(|pod| should_be_ready(pod, facts.now));
    for pod in broken.filter(|pod| !is_lost(pod)) {
        let code = match component(pod) {
            Some("scraper") => Code::ScrapersNotReady,
            _ => Code::FrontendsNotReady,
        };
        by_code.entry(code).or_default().push(pod);
    }
    let finding = |(code, pods): (Code, Vec<&Pod>)| {
        let names = || pods.iter().filter_map(|pod| pod.metadata.name.as_deref());
        let what = format!("{}: {}", count(pods.len(), "pod"), named(names()));
        let mut finding = Finding::new(code, what)
            .with("pod", names().next().unwrap_or_default())
            .with(
                "namespace",
                pods.first()
                    .and_then(|pod| pod.metadata.namespace.clone())
                    .unwrap_or_default(),
            );
        for pod in pods.iter().take(super::NAMED) {
            let name = pod.metadata.name.as_deref().unwrap_or_default();
            finding = finding.seen(format!("{name}: {}", why_not_ready(pod)));
        }
        finding
    };
    let mut findings: Vec<Finding> = by_code.into_iter().map(finding).collect();
    if !down.is_empty() {
        let all = count(down.len(), "endpoint");
        let what = format!("{all} of the Service not ready: {}", named(&down));
        let mut known = findings.iter_mut();
        if let Some(known) = known.find(|it| it.code == Code::FrontendsNotReady) {
            known.evidence.push(what);
        } else {
            let (namespace, service) = facts.service().unwrap_or_default();
            let finding = Finding::new(Code::FrontendsNotReady, what);
            findings.push(
                finding
                    .with("namespace", namespace)
                    .with("service", service),
            );
        }
    }
    Ok(findings)
}

/// The endpoints of the Service that are not ready and of which no pod is known that says why: nothing but them shows a
/// server that is no pod, or whose pod may not be read.
fn down_endpoints(facts: &Facts) -> Vec<&str> {
    let is_known = |it: &&Endpoint| {
        let mut pods = facts.pods.iter().flatten();
        it.pod.is_some() && pods.any(|pod| pod.metadata.name == it.pod)
    };
    let all = facts.endpoints.iter().flatten();
    let down = all.filter(|it| !it.is_ready && !it.is_terminating);
    let down = down.filter(|it| !is_known(it));
    down.map(|it| it.address.as_str()).collect()
}

/// Whether a pod is not ready and has had the time for it.
fn should_be_ready(pod: &Pod, now: Timestamp) -> bool {
    let status = pod.status.as_ref();
    let phase = status.and_then(|status| status.phase.as_deref());
    let created = pod.metadata.creation_timestamp.as_ref();
    let settled = created.is_none_or(|at| between(at.0, now) > SETTLED) || is_stuck(pod);
    let ended = matches!(phase, Some("Succeeded" | "Failed"));
    settled && !ended && pod.metadata.deletion_timestamp.is_none() && !is_ready(pod)
}

/// Whether its condition says so.
pub(super) fn is_ready(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_ref());
    let mut all = conditions.into_iter().flatten();
    all.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Reasons for which a container waits, and that time alone does not mend.
const STUCK: [&str; 6] = [
    "CrashLoopBackOff",
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
];

/// Whether a container waits for what does not come by itself.
fn is_stuck(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    let containers = status.and_then(|status| status.container_statuses.as_ref());
    let mut reasons = containers.into_iter().flatten().filter_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        waiting.reason.as_deref()
    });
    reasons.any(|reason| STUCK.contains(&reason))
}

/// Whether a frontend does not start.
pub(in crate::doctor) fn frontend_is_stuck(facts: &Facts) -> bool {
    let mut pods = facts.pods.iter().flatten();
    pods.any(|pod| component(pod) != Some("scraper") && is_stuck(pod))
}

fn component(pod: &Pod) -> Option<&str> {
    let labels = pod.metadata.labels.as_ref()?;
    labels.get(COMPONENT).map(String::as_str)
}

/// What the status of a pod says.
pub(super) fn why_not_ready(pod: &Pod) -> String {
    let Some(status) = &pod.status else {
        return "no status".to_owned();
    };
    let containers = status.container_statuses.iter().flatten();
    let inits = status.init_container_statuses.iter().flatten();
    if let Some(why) = inits.chain(containers).find_map(of_container) {
        return why;
    }
    let conditions = status.conditions.iter().flatten();
    let mut unmet = conditions.filter(|condition| condition.status != "True");
    let said = unmet.find_map(|condition| {
        let message = condition.message.as_deref().filter(|it| !it.is_empty())?;
        let reason = condition.reason.as_deref().unwrap_or(&condition.type_);
        Some(format!("{reason}: {message}"))
    });
    let phase = status.phase.as_deref().unwrap_or("no phase");
    said.unwrap_or_else(|| format!("{phase}, and not ready"))
}

fn of_container(status: &ContainerStatus) -> Option<String> {
    let name = &status.name;
    let waiting = status
        .state
        .as_ref()
        .and_then(|state| state.waiting.as_ref());
    let ended = status
        .last_state
        .as_ref()
        .and_then(|state| state.terminated.as_ref());
    let ended = ended.map(|ended| format!(", ended last with code {}", ended.exit_code));
    let ended = ended.unwrap_or_default();
    if let Some(waiting) = waiting {
        let reason = waiting.reason.as_deref().unwrap_or("waiting");
        let message = waiting.message.as_deref().unwrap_or_default();
        return Some(
            format!("{name}: {reason}{ended} {message}")
                .trim_end()
                .to_owned(),
        );
    }
    (!status.ready).then(|| {
        format!(
            "{name}: not ready, {} restarts{ended}",
            status.restart_count
        )
    })
}

/// Whether Deployments may create their pods.
pub(super) fn deployments(facts: &Facts) -> Checked {
    let all = facts.deployments.as_ref()?;
    if all.is_empty() {
        return Err(NotMade::Nothing(format!("no Deployment {NOT_OURS}")));
    }
    let mut findings = Vec::new();
    for deployment in all {
        let conditions = deployment
            .status
            .as_ref()
            .and_then(|status| status.conditions.as_ref());
        let mut conditions = conditions.into_iter().flatten();
        let failed = conditions.find(|it| it.type_ == "ReplicaFailure" && it.status == "True");
        let Some(failed) = failed else { continue };
        let metadata = &deployment.metadata;
        let (namespace, name) = (
            metadata.namespace.clone().unwrap_or_default(),
            metadata.name.clone().unwrap_or_default(),
        );
        let finding = Finding::new(Code::PodsRefused, format!("{namespace}/{name}"))
            .seen(failed.message.clone().unwrap_or_default())
            .with("namespace", namespace);
        findings.push(finding);
    }
    Ok(findings)
}

/// What shows that no scraper runs, although Tributary is installed. Empty if one may run, or if that is not known.
fn none_runs(facts: &Facts) -> Vec<String> {
    match (&facts.leases, &facts.pods) {
        (Ok(leases), Ok(pods)) => leases::none_runs(leases, pods, facts.now),
        _ => Vec::new(),
    }
}

/// How many nodes have no metrics, if that is known.
fn without_metrics(facts: &Facts) -> String {
    let without =
        |without: usize, all: usize| format!("{without} of {} without metrics", count(all, "node"));
    if let Ok(nodes) = &facts.scrapes {
        let missing = nodes.iter().filter(|node| !node.status.has_metrics());
        return without(missing.count(), nodes.len());
    }
    let answers = facts.metrics().is_none_or(|it| it.available != Some(false));
    match &facts.nodes {
        Ok(nodes) if !answers => without(nodes.len(), nodes.len()),
        _ => String::new(),
    }
}

/// That no scraper is connected.
fn unconnected(facts: &Facts, what: String) -> Finding {
    let service = facts.own_service().map(|(_, name)| name);
    let finding = Finding::new(Code::NoScraperConnected, what)
        .seen(without_metrics(facts))
        .with("namespace", facts.namespace())
        .with("service", service.unwrap_or_default());
    none_runs(facts).into_iter().fold(finding, Finding::seen)
}

/// Whether a scraper is connected to the frontend that answers. If none answers, it may be because no scraper runs: without
/// samples frontends are not ready.
pub(super) fn connected(facts: &Facts) -> Checked {
    let scrapers = match fleet(facts, &facts.scrapers) {
        Err(NotMade::Unknown(_)) if !none_runs(facts).is_empty() => {
            return Ok(vec![unconnected(facts, "no scraper runs".to_owned())]);
        }
        scrapers => scrapers?,
    };
    if !scrapers.is_empty() {
        return Ok(Vec::new());
    }
    let frontends = fleet(facts, &facts.frontends)?.iter();
    let frontends: Vec<&str> = frontends.map(|it| it.metadata.name.as_str()).collect();
    if frontends.is_empty() {
        let why = "no frontend is in its own list";
        return Err(NotMade::Unknown(why.to_owned()));
    }
    let what = format!("{} has no stream", named(frontends));
    Ok(vec![unconnected(facts, what)])
}

/// The oldest Kubernetes that is supported.
const OLDEST: (u32, u32) = (1, 27);

/// Whether this version of Kubernetes is supported.
pub(super) fn kubernetes(facts: &Facts) -> Checked {
    let version = &facts.version.as_ref()?.git_version;
    if numbers(version).is_none_or(|version| version >= OLDEST) {
        return Ok(Vec::new());
    }
    let what = format!("kube-apiserver is {version}");
    Ok(vec![Finding::new(Code::KubernetesTooOld, what)])
}

/// Whether the versions of scrapers and frontends fit.
pub(super) fn versions(facts: &Facts) -> Checked {
    let scrapers = fleet(facts, &facts.scrapers)?;
    let frontends = fleet(facts, &facts.frontends)?;
    let mut findings = Vec::new();
    let of_frontend = frontends.iter().map(|it| it.status.version.as_str());
    let Some(frontend) = of_frontend.max() else {
        return Ok(findings);
    };
    let unfit = scrapers
        .iter()
        .filter(|it| !fits(&it.status.version, frontend));
    let unfit: Vec<String> = unfit
        .map(|it| format!("{} is {}", it.metadata.name, it.status.version))
        .collect();
    if !unfit.is_empty() {
        let what = format!(
            "the frontend is {frontend}: {}",
            named(unfit.iter().map(String::as_str))
        );
        findings.push(Finding::new(Code::VersionSkew, what));
    }
    Ok(findings)
}

/// Whether a frontend understands a scraper: of its own minor version, and of the one before. What is not known fits.
fn fits(scraper: &str, frontend: &str) -> bool {
    let (Some(scraper), Some(frontend)) = (numbers(scraper), numbers(frontend)) else {
        return true;
    };
    scraper == frontend || (scraper.0 == frontend.0 && scraper.1 + 1 == frontend.1)
}

/// Major and minor: `v1.37.1-gke.100` is 1 and 37.
fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.trim_start_matches('v').split('.');
    let mut next = || parts.next()?.parse().ok();
    Some((next()?, next()?))
}

#[cfg(test)]
mod tests;
