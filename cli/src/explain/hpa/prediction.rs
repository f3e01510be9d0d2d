//! What the controller will do at its next sync: how many replicas, and which conditions it writes. Pure.
//!
//! The controller remembers what it recommended and when it scaled, and no API has that. What follows from the age of the
//! autoscaler and from `status.lastScaleTime` is used; where that is not enough, [`Prediction::doubt`] says so.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;

use super::{
    limits::{down_window, limited, longest_period, most, up_window},
    read::Asked,
    replay::Proposal,
};

/// How soon the next sync is at the latest, by default.
const SYNC: i64 = 15;

/// A condition in the status of an autoscaler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    /// `AbleToScale`, `ScalingActive` or `ScalingLimited`.
    pub kind: &'static str,
    /// Whether it is True; otherwise it is False.
    pub is_true: bool,
    /// Why, in a word.
    pub reason: &'static str,
}

/// What the next sync will write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prediction {
    /// How many replicas there will be. `None`: they stay, because nothing can be computed.
    pub desired: Option<i32>,
    /// What the metrics alone ask for, before windows and limits; if they can be computed.
    pub computed: Option<i32>,
    /// The conditions that it writes. Others stay as they are.
    pub conditions: Vec<Condition>,
    /// What only the controller knows, if that may make it decide otherwise.
    pub doubt: Option<String>,
}

impl Prediction {
    fn with(mut self, kind: &'static str, is_true: bool, reason: &'static str) -> Self {
        self.conditions.push(Condition {
            kind,
            is_true,
            reason,
        });
        self
    }

    /// A condition, if the next sync writes it.
    #[must_use]
    pub fn condition(&self, kind: &str) -> Option<Condition> {
        self.conditions.iter().find(|it| it.kind == kind).copied()
    }

    /// The target cannot be read.
    pub(super) fn without_target() -> Self {
        Self::default().with("AbleToScale", false, "FailedGetScale")
    }

    /// The target was read, and nothing can be computed.
    fn without_metrics(desired: Option<i32>, reason: &'static str) -> Self {
        let prediction = Self {
            desired,
            ..Self::default()
        };
        let prediction = prediction.with("AbleToScale", true, "SucceededGetScale");
        prediction.with("ScalingActive", false, reason)
    }

    /// A limit decides, whatever the metrics are.
    fn by_limit(desired: i32) -> Self {
        let prediction = Self {
            desired: Some(desired),
            ..Self::default()
        };
        prediction.with("AbleToScale", true, "SucceededRescale")
    }
}

/// What the next sync will do with what its metrics propose.
pub(super) fn predict(
    asked: &Asked,
    proposals: &[Result<Proposal, String>],
    now: Timestamp,
) -> Prediction {
    let spec = &asked.spec;
    let current = asked.scaled.replicas;
    let (min, max) = (spec.min_replicas.unwrap_or(1), spec.max_replicas);
    if current == 0 && !starts_from_zero(asked, min) {
        return Prediction::without_metrics(Some(0), "ScalingDisabled");
    }
    if current > max {
        return Prediction::by_limit(max);
    }
    if current != 0 && current < min {
        return Prediction::by_limit(min);
    }
    if asked.scaled.selector.is_empty() {
        return Prediction::without_metrics(None, "InvalidSelector");
    }
    if asked.rival.is_some() {
        return Prediction::without_metrics(None, "AmbiguousSelector");
    }
    let others = (!asked.others.is_empty()).then(|| {
        let types = asked.others.join(", ");
        format!("metrics that are not replayed ({types}) may ask for more, or fail")
    });
    let mut prediction = by_metrics(asked, proposals, now);
    prediction.doubt = others.or(prediction.doubt);
    prediction
}

/// Whether the controller scaled to zero itself, so that metrics count although there are no replicas.
fn starts_from_zero(asked: &Asked, min: i32) -> bool {
    let external = |kind: &String| kind == "Object" || kind == "External";
    let scaled_to_zero = stands(&asked.object, "ScaledToZero").is_some_and(|it| it.0);
    scaled_to_zero && (min != 0 || asked.others.iter().any(external))
}

fn by_metrics(asked: &Asked, proposals: &[Result<Proposal, String>], now: Timestamp) -> Prediction {
    let current = asked.scaled.replicas;
    let known = proposals.iter().filter_map(|it| it.as_ref().ok());
    let most = known.map(|proposal| proposal.replicas).max();
    let failed = proposals.iter().position(Result::is_err);
    let failed = failed.and_then(|index| asked.metrics.get(index));
    let computed = match (most, failed) {
        // A metric that cannot be computed keeps it from scaling down.
        (Some(most), Some(failed)) if most < current => {
            return Prediction::without_metrics(None, failed.failure());
        }
        (None, Some(failed)) => return Prediction::without_metrics(None, failed.failure()),
        (None, None) => return Prediction::default(),
        // The controller looks for a number above zero.
        (Some(most), _) => most.max(0),
    };
    let stable = stabilized(asked, computed, now);
    let (desired, limit) = limited(&asked.spec, current, stable.replicas);
    let able = if desired == current {
        stable.reason
    } else {
        "SucceededRescale"
    };
    let prediction = Prediction {
        desired: Some(desired),
        computed: Some(computed),
        conditions: Vec::new(),
        doubt: stable
            .doubt
            .or_else(|| scaled_before(asked, stable.replicas, now)),
    };
    let prediction = prediction.with("AbleToScale", true, able);
    let prediction = prediction.with("ScalingActive", true, "ValidMetricFound");
    prediction.with("ScalingLimited", desired != stable.replicas, limit)
}

/// What the windows of stabilisation leave of a recommendation.
struct Stable {
    replicas: i32,
    reason: &'static str,
    doubt: Option<String>,
}

fn stabilized(asked: &Asked, computed: i32, now: Timestamp) -> Stable {
    let (spec, object) = (&asked.spec, &asked.object);
    let current = asked.scaled.replicas;
    let (up, down) = (up_window(spec), down_window(spec));
    let stable = |replicas, reason| Stable {
        replicas,
        reason,
        doubt: None,
    };
    let doubt = |scales: &str, which: &str, seconds: i32| Stable {
        doubt: Some(format!(
            "scales {scales} to the {which} recommendation of the last {seconds}s, which only the controller knows"
        )),
        ..stable(computed, "ReadyForNewScale")
    };
    if computed < current && down > 0 {
        if remembers(object, current, down, now) {
            return stable(current, "ScaleDownStabilized");
        }
        return doubt("down", "highest", down);
    }
    if computed > current && up > 0 {
        if remembers(object, current, up, now) {
            return stable(current, "ScaleUpStabilized");
        }
        return doubt("up", "lowest", up);
    }
    // Without a behaviour a recommendation above what was allowed lives on, and may raise what is computed now.
    let was_limited = stands(object, "ScalingLimited")
        .is_some_and(|(is_true, reason)| is_true && reason != "TooFewReplicas");
    if spec.behavior.is_none() && was_limited && computed < most(spec, current) {
        return doubt("up", "highest", down);
    }
    stable(computed, "ReadyForNewScale")
}

/// Whether the controller recommended the current number within a window for certain: it does when it first sees an
/// autoscaler, and this one did not scale since.
fn remembers(object: &HorizontalPodAutoscaler, current: i32, window: i32, now: Timestamp) -> bool {
    let Some(status) = object.status.as_ref().filter(|it| it.conditions.is_some()) else {
        return true;
    };
    let stayed = status.last_scale_time.is_none() && status.current_replicas == Some(current);
    let made = object.metadata.creation_timestamp.as_ref().map(|it| it.0);
    stayed && made.is_some_and(|made| is_within(made, i64::from(window) - SYNC, now))
}

/// A limit of policies counts from where it was at the beginning of their periods.
fn scaled_before(asked: &Asked, wanted: i32, now: Timestamp) -> Option<String> {
    let current = asked.scaled.replicas;
    if wanted == current {
        return None;
    }
    let period = longest_period(&asked.spec, wanted > current);
    let last = asked.object.status.as_ref()?.last_scale_time.as_ref()?.0;
    is_within(last, period.into(), now)
        .then(|| format!("it scaled at {last}, and the policies count what changed in {period}s"))
}

fn is_within(at: Timestamp, seconds: i64, now: Timestamp) -> bool {
    now.duration_since(at) < SignedDuration::from_secs(seconds)
}

/// A condition as the controller left it: whether it is True, and its reason.
fn stands<'a>(object: &'a HorizontalPodAutoscaler, kind: &str) -> Option<(bool, &'a str)> {
    let conditions = object.status.as_ref()?.conditions.as_ref()?;
    let found = conditions.iter().find(|it| it.type_ == kind)?;
    Some((
        found.status == "True",
        found.reason.as_deref().unwrap_or_default(),
    ))
}
