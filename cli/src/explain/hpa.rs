//! An autoscaler: what it computes from the metrics of now, and what it would do.

mod document;
pub mod limits;
pub mod prediction;
mod read;
pub mod replay;
mod requests;
mod scaled;

use jiff::Timestamp;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use serde_json::json;

use self::{
    prediction::{Prediction, predict},
    read::{Asked, Metric, Unread},
    replay::{Groups, Proposal, Reason, Target, propose},
};
use super::Explained;
use crate::{
    kube_api::{Failure, KubeApi},
    printed::{Outcome, count, some_of},
};

/// How many pods are named.
const NAMED: usize = 5;

/// Explains an autoscaler of the namespace of the API.
pub async fn hpa(api: &KubeApi, name: &str, now: Timestamp) -> Explained {
    let title = format!("autoscaler {}/{name}", api.namespace);
    let mut explained = match Asked::read(api, name).await {
        Ok(asked) => explained(&title, &asked, now),
        Err(Unread::Target(object, why)) => without_target(&title, &object, why),
        Err(Unread::Failed(failure)) => unread(&title, &api.or_no_namespace(failure).await),
    };
    document::name(&mut explained, &api.namespace, name);
    explained
}

fn unread(title: &str, failure: &Failure) -> Explained {
    if let Failure::NotFound(why) = failure {
        let mut explained = Explained::new(title, Outcome::Findings);
        explained.line("why", why);
        explained.item("why", json!({ "message": why }));
        return explained;
    }
    let mut explained = Explained::new(title, Outcome::Unknown);
    explained.unread("why", failure);
    explained
}

/// What the controller will do with an autoscaler of the namespace of the API at its next sync.
///
/// # Errors
///
/// Something cannot be read that the controller can read.
pub async fn prediction(api: &KubeApi, name: &str, now: Timestamp) -> Result<Prediction, Failure> {
    match Asked::read(api, name).await {
        Ok(asked) => Ok(predict(&asked, &proposals(&asked, now), now)),
        Err(Unread::Target(..)) => Ok(Prediction::without_target()),
        Err(Unread::Failed(failure)) => Err(failure),
    }
}

/// What each metric proposes, or why it cannot.
fn proposals(asked: &Asked, now: Timestamp) -> Vec<Result<Proposal, String>> {
    let metrics = asked.metrics.iter();
    let propose = |metric: &Metric| metric.question(asked, now).and_then(|it| propose(&it));
    metrics.map(propose).collect()
}

fn without_target(title: &str, object: &HorizontalPodAutoscaler, why: String) -> Explained {
    let mut explained = Explained::new(format!("{title}: has no target"), Outcome::Findings);
    explained.item("why", json!({ "message": &why }));
    explained.line("why", why);
    next(&Prediction::without_target(), &mut explained);
    controller(object, &mut explained);
    explained
}

fn explained(title: &str, asked: &Asked, now: Timestamp) -> Explained {
    let (target, current) = (&asked.scaled.target, asked.scaled.replicas);
    let proposals = proposals(asked, now);
    let prediction = predict(asked, &proposals, now);
    let outcome = if proposals.iter().all(Result::is_ok) && prediction.desired.is_some() {
        Outcome::Healthy
    } else {
        Outcome::Findings
    };
    let title = match prediction.desired {
        Some(desired) if desired == current => format!("{title}: stays at {current}"),
        Some(desired) => format!("{title}: {current} would become {desired}"),
        None => format!("{title}: stays at {current}, because it cannot be computed"),
    };
    let mut explained = Explained::new(title, outcome);
    document::metrics(&mut explained, asked, &proposals);
    let spec = &asked.spec;
    let (min, max) = (spec.min_replicas.unwrap_or(1), spec.max_replicas);
    explained.line(
        "target",
        format!("{target}: {current} wanted, between {min} and {max}"),
    );
    if let Some(rival) = &asked.rival {
        let line = format!("{rival} has the same target, so neither is computed");
        explained.line("target", line);
    }
    for (metric, proposal) in asked.metrics.iter().zip(&proposals) {
        match proposal {
            Ok(proposal) => of_proposal(metric, proposal, &mut explained),
            Err(why) => {
                explained.line("metric", format!("{}: cannot be computed", metric.name()));
                explained.line("metric", format!("  {why}"));
            }
        }
    }
    for other in &asked.others {
        explained.line("metric", format!("{other}: not replayed"));
    }
    explained.line("limits", limits(&prediction, current));
    explained.line("limits", prediction.doubt.clone().unwrap_or_default());
    next(&prediction, &mut explained);
    controller(&asked.object, &mut explained);
    explained.line(
        "rules",
        "those of Kubernetes 1.37, with the default flags of kube-controller-manager",
    );
    explained
}

/// What limits the replicas at the next sync.
fn limits(prediction: &Prediction, current: i32) -> String {
    let reason = |kind| prediction.condition(kind).map(|condition| condition.reason);
    match (prediction.computed, prediction.desired) {
        (Some(computed), Some(desired)) => {
            let limited = reason("ScalingLimited").unwrap_or_default();
            let able = reason("AbleToScale").filter(|reason| reason.ends_with("Stabilized"));
            let reason = able.unwrap_or(limited);
            format!("{reason}: {computed} computed, {desired} allowed")
        }
        (None, Some(0)) => "ScalingDisabled: the target has no replicas".to_owned(),
        (None, Some(desired)) if desired < current => {
            "more than the maximum: no metric counts".to_owned()
        }
        (None, Some(_)) => "less than the minimum: no metric counts".to_owned(),
        _ => String::new(),
    }
}

/// The conditions that the next sync will write.
fn next(prediction: &Prediction, explained: &mut Explained) {
    document::next(explained, prediction);
    for condition in &prediction.conditions {
        let status = if condition.is_true { "True" } else { "False" };
        let line = format!("{} {status} {}", condition.kind, condition.reason);
        explained.line("next sync", line);
    }
}

fn of_proposal(metric: &Metric, proposal: &Proposal, explained: &mut Explained) {
    let usage = match metric.target {
        Target::Utilization(target) => {
            format!("{} % of the requests, target {target} %", proposal.usage)
        }
        Target::Average(target) => {
            format!(
                "a mean of {}, target {}",
                metric.amount(proposal.usage),
                metric.amount(target)
            )
        }
    };
    let ratio = proposal.ratio;
    explained.line(
        "metric",
        format!("{}: {usage}: ratio {ratio:.2}", metric.name()),
    );
    of_groups(&proposal.groups, explained);
    let assumed = proposal
        .assumed
        .map(|assumed| format!("with what is assumed of them the ratio is {assumed:.2}; "));
    let assumed = assumed.unwrap_or_default();
    let replicas = proposal.replicas;
    let why = match proposal.reason {
        Reason::Tolerated => "within the tolerance".to_owned(),
        Reason::TooUncertain => "too little to change anything".to_owned(),
        Reason::Reversed => "the number of pods that count would turn the direction".to_owned(),
        Reason::Computed => "the ratio times the pods that count, rounded up".to_owned(),
    };
    explained.line("metric", format!("  {assumed}proposes {replicas}: {why}"));
}

fn of_groups(groups: &Groups, explained: &mut Explained) {
    explained.line(
        "metric",
        format!("  {} counted", count(groups.ready, "pod")),
    );
    for (pod, why) in groups.unready.iter().take(NAMED) {
        explained.line("metric", format!("  {pod} does not count: {why}"));
    }
    for (what, names) in [
        ("no metrics, so assumed against a change", &groups.missing),
        ("being deleted or failed, so not there", &groups.ignored),
    ] {
        if !names.is_empty() {
            explained.line("metric", format!("  {what}: {}", some_of(names, NAMED)));
        }
    }
}

/// What the controller itself reported last.
fn controller(object: &HorizontalPodAutoscaler, explained: &mut Explained) {
    let status = object.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_ref());
    for condition in conditions.into_iter().flatten() {
        let (kind, status) = (&condition.type_, &condition.status);
        let reason = condition.reason.as_deref().unwrap_or_default();
        let message = condition.message.as_deref().unwrap_or_default();
        let line = format!("{kind} {status} {reason}: {message}");
        explained.line("controller", line);
        explained.item("controller", condition);
    }
}

#[cfg(test)]
mod tests;
