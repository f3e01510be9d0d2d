//! An autoscaler: what it computes from the metrics of now, and what it would do.

pub mod limits;
mod read;
pub mod replay;

use jiff::Timestamp;
use k8s_openapi::api::autoscaling::v2::{HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec};

use self::{
    limits::{down_window, limited, up_window},
    read::{Asked, Metric, Scaled},
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
    match Asked::read(api, name).await {
        Ok(asked) => explained(&title, &asked, now),
        Err(failure) => {
            let outcome = match failure {
                Failure::NotFound(_) => Outcome::Findings,
                _ => Outcome::Unknown,
            };
            let mut explained = Explained::new(title, outcome);
            explained.line("why", failure.to_string());
            explained
        }
    }
}

/// What all metrics together come to.
enum Together {
    /// So many replicas, before any limit.
    Replicas(i32),
    /// Nothing can be computed.
    Nothing,
    /// Some metrics cannot be computed, and the others would scale down: so nothing happens.
    NotDown,
}

fn together(proposals: &[Result<Proposal, String>], current: i32) -> Together {
    let known = proposals
        .iter()
        .filter_map(|proposal| proposal.as_ref().ok());
    let Some(most) = known.map(|proposal| proposal.replicas).max() else {
        return Together::Nothing;
    };
    let some_fail = proposals.iter().any(Result::is_err);
    if some_fail && most < current {
        return Together::NotDown;
    }
    Together::Replicas(most)
}

fn explained(title: &str, asked: &Asked, now: Timestamp) -> Explained {
    let Scaled {
        target,
        replicas: current,
        ..
    } = asked.scaled.clone();
    let questions = asked
        .metrics
        .iter()
        .map(|metric| metric.question(asked, now));
    let proposals: Vec<_> = questions.map(|question| propose(&question)).collect();
    let (next, limit) = next(asked, &proposals, current);
    let outcome = if proposals.iter().all(Result::is_ok) {
        Outcome::Healthy
    } else {
        Outcome::Findings
    };
    let title = match next {
        Some(next) if next == current => format!("{title}: stays at {current}"),
        Some(next) => format!("{title}: {current} would become {next}"),
        None => format!("{title}: stays at {current}, because it cannot be computed"),
    };
    let mut explained = Explained::new(title, outcome);
    let spec = &asked.spec;
    let (min, max) = (spec.min_replicas.unwrap_or(1), spec.max_replicas);
    explained.line(
        "target",
        format!("{target}: {current} wanted, between {min} and {max}"),
    );
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
    explained.line("limits", limit);
    explained.line("limits", windows(spec, next.unwrap_or(current), current));
    for condition in conditions(&asked.object) {
        explained.line("controller", condition);
    }
    explained.line(
        "rules",
        "those of Kubernetes 1.37, with the default flags of kube-controller-manager",
    );
    explained
}

/// The replicas at the next sync, and what limits them.
fn next(
    asked: &Asked,
    proposals: &[Result<Proposal, String>],
    current: i32,
) -> (Option<i32>, String) {
    let spec = &asked.spec;
    let (min, max) = (spec.min_replicas.unwrap_or(1), spec.max_replicas);
    if current == 0 && min != 0 {
        return (
            Some(0),
            "ScalingDisabled: the target has no replicas".to_owned(),
        );
    }
    if current > max {
        return (
            Some(max),
            "more than the maximum: no metric counts".to_owned(),
        );
    }
    if current < min {
        return (
            Some(min),
            "less than the minimum: no metric counts".to_owned(),
        );
    }
    match together(proposals, current) {
        Together::Nothing => (None, String::new()),
        Together::NotDown => (
            Some(current),
            "a metric that cannot be computed keeps it from scaling down".to_owned(),
        ),
        Together::Replicas(desired) => {
            let (next, reason) = limited(spec, current, desired);
            (
                Some(next),
                format!("{reason}: {desired} computed, {next} allowed"),
            )
        }
    }
}

/// What the windows of stabilisation mean for it.
fn windows(spec: &HorizontalPodAutoscalerSpec, next: i32, current: i32) -> String {
    let (up, down) = (up_window(spec), down_window(spec));
    if next < current && down > 0 {
        return format!(
            "scales down to the highest recommendation of the last {down}s, which only the controller knows"
        );
    }
    if next > current && up > 0 {
        return format!(
            "scales up to the lowest recommendation of the last {up}s, which only the controller knows"
        );
    }
    String::new()
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
fn conditions(object: &HorizontalPodAutoscaler) -> Vec<String> {
    let status = object.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_ref());
    let text = |condition: &k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscalerCondition| {
        let reason = condition.reason.as_deref().unwrap_or_default();
        let message = condition.message.as_deref().unwrap_or_default();
        format!(
            "{} {} {reason}: {message}",
            condition.type_, condition.status
        )
    };
    conditions.into_iter().flatten().map(text).collect()
}

#[cfg(test)]
mod tests;
