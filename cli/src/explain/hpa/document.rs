//! An autoscaler for programs: what was read and computed, in fields.

use serde_json::{Value, json};

use super::{
    super::Explained,
    prediction::{Condition, Prediction},
    read::{Asked, Metric},
    replay::{Proposal, Reason, Target},
};

/// What it is, and what the controller said last.
pub(super) fn name(explained: &mut Explained, namespace: &str, name: &str) {
    explained.detail("kind", "HorizontalPodAutoscaler");
    explained.detail("namespace", namespace);
    explained.detail("name", name);
}

/// What the next sync will write.
pub(super) fn next(explained: &mut Explained, prediction: &Prediction) {
    let condition = |condition: &Condition| {
        let status = if condition.is_true { "True" } else { "False" };
        json!({ "type": condition.kind, "status": status, "reason": condition.reason })
    };
    let conditions: Vec<Value> = prediction.conditions.iter().map(condition).collect();
    explained.detail("desired", prediction.desired);
    explained.detail("computed", prediction.computed);
    explained.detail("doubt", &prediction.doubt);
    explained.detail("conditions", conditions);
}

/// What the metrics of now are, and what each proposes.
pub(super) fn metrics(
    explained: &mut Explained,
    asked: &Asked,
    proposals: &[Result<Proposal, String>],
) {
    let spec = &asked.spec;
    explained.detail("target", &asked.scaled.target);
    explained.detail("replicas", asked.scaled.replicas);
    explained.detail("minReplicas", spec.min_replicas.unwrap_or(1));
    explained.detail("maxReplicas", spec.max_replicas);
    explained.detail("rival", &asked.rival);
    let metrics = asked.metrics.iter().zip(proposals);
    let metrics: Vec<Value> = metrics.map(|(metric, of)| metric_of(metric, of)).collect();
    explained.detail("metrics", metrics);
    explained.detail("notReplayed", &asked.others);
}

fn metric_of(metric: &Metric, proposal: &Result<Proposal, String>) -> Value {
    let (aim, value) = match metric.target {
        Target::Utilization(percent) => ("Utilization", percent),
        Target::Average(milli) => ("AverageValue", milli),
    };
    let mut document = json!({
        "resource": metric.resource, "container": metric.container,
        "target": { "type": aim, "value": value },
    });
    let of = match proposal {
        Ok(proposal) => json!({ "proposal": proposed(proposal) }),
        Err(why) => json!({ "error": why }),
    };
    if let (Some(fields), Value::Object(of)) = (document.as_object_mut(), of) {
        fields.extend(of);
    }
    document
}

/// Usage is in the unit of the target: percent, or thousandths.
fn proposed(proposal: &Proposal) -> Value {
    let groups = &proposal.groups;
    let reason = match proposal.reason {
        Reason::Tolerated => "Tolerated",
        Reason::TooUncertain => "TooUncertain",
        Reason::Reversed => "Reversed",
        Reason::Computed => "Computed",
    };
    let unready = groups.unready.iter();
    let unready = unready.map(|(pod, why)| json!({ "pod": pod, "why": why }));
    json!({
        "replicas": proposal.replicas, "reason": reason, "usage": proposal.usage,
        "ratio": proposal.ratio, "assumedRatio": proposal.assumed,
        "pods": {
            "counted": groups.ready, "notCounted": unready.collect::<Vec<_>>(),
            "missing": groups.missing, "ignored": groups.ignored,
        },
    })
}
