//! What an autoscaler may do at once: minimum and maximum, and the policies of its behaviour. Pure.
//!
//! The controller remembers what it recommended and when it scaled, and no API has that. So a limit here is the one of an
//! autoscaler that did not scale within the periods of its policies; with such an event it is closer.

use k8s_openapi::api::autoscaling::v2::{
    HPAScalingPolicy, HPAScalingRules, HorizontalPodAutoscalerSpec,
};

use super::replay::int32;

/// How many replicas there will be, and what limits them, in the words of the condition `ScalingLimited`.
#[must_use]
pub fn limited(
    spec: &HorizontalPodAutoscalerSpec,
    current: i32,
    desired: i32,
) -> (i32, &'static str) {
    let (min, max) = (spec.min_replicas.unwrap_or(1), spec.max_replicas);
    let (fastest_up, fastest_down) = match &spec.behavior {
        None => (doubled(current), i32::MIN),
        Some(behavior) => (
            behavior
                .scale_up
                .as_ref()
                .map_or(i32::MAX, |rules| up(rules, current)),
            behavior
                .scale_down
                .as_ref()
                .map_or(i32::MIN, |rules| down(rules, current)),
        ),
    };
    if desired > current || spec.behavior.is_none() {
        let most = max.min(fastest_up);
        if desired > most {
            let reason = if fastest_up < max {
                "ScaleUpLimit"
            } else {
                "TooManyReplicas"
            };
            return (most, reason);
        }
    }
    let least = min.max(if desired < current { fastest_down } else { min });
    if desired < least {
        let reason = if fastest_down > min && desired < current {
            "ScaleDownLimit"
        } else {
            "TooFewReplicas"
        };
        return (least, reason);
    }
    (desired, "DesiredWithinRange")
}

/// The most that a sync may come to without a behaviour.
#[must_use]
pub fn most(spec: &HorizontalPodAutoscalerSpec, current: i32) -> i32 {
    spec.max_replicas.min(doubled(current))
}

/// Twice as many, and at least four.
fn doubled(current: i32) -> i32 {
    current.saturating_mul(2).max(4)
}

/// For how many seconds the policies of a direction remember that the autoscaler scaled.
#[must_use]
pub fn longest_period(spec: &HorizontalPodAutoscalerSpec, up: bool) -> i32 {
    let behavior = spec.behavior.as_ref();
    let rules = behavior.and_then(|it| {
        if up {
            it.scale_up.as_ref()
        } else {
            it.scale_down.as_ref()
        }
    });
    let rules = rules.filter(|rules| rules.select_policy.as_deref() != Some("Disabled"));
    let policies = rules
        .and_then(|rules| rules.policies.as_ref())
        .into_iter()
        .flatten();
    policies
        .map(|policy| policy.period_seconds)
        .max()
        .unwrap_or(0)
}

/// How long a scale down waits for the highest recommendation, in seconds.
#[must_use]
pub fn down_window(spec: &HorizontalPodAutoscalerSpec) -> i32 {
    let rules = spec
        .behavior
        .as_ref()
        .and_then(|behavior| behavior.scale_down.as_ref());
    rules
        .and_then(|rules| rules.stabilization_window_seconds)
        .unwrap_or(300)
}

/// How long a scale up waits for the lowest recommendation, in seconds.
#[must_use]
pub fn up_window(spec: &HorizontalPodAutoscalerSpec) -> i32 {
    let rules = spec
        .behavior
        .as_ref()
        .and_then(|behavior| behavior.scale_up.as_ref());
    rules
        .and_then(|rules| rules.stabilization_window_seconds)
        .unwrap_or(0)
}

fn up(rules: &HPAScalingRules, current: i32) -> i32 {
    let proposed = |policy: &HPAScalingPolicy| match &*policy.type_ {
        "Pods" => current.saturating_add(policy.value),
        _ => int32((f64::from(current) * (1.0 + f64::from(policy.value) / 100.0)).ceil()),
    };
    let all = rules.policies.iter().flatten().map(proposed);
    let limit = match rules.select_policy.as_deref() {
        Some("Disabled") => return current,
        Some("Min") => all.min(),
        _ => all.max(),
    };
    limit.unwrap_or(i32::MAX).max(current)
}

fn down(rules: &HPAScalingRules, current: i32) -> i32 {
    let proposed = |policy: &HPAScalingPolicy| match &*policy.type_ {
        "Pods" => current.saturating_sub(policy.value),
        _ => int32(f64::from(current) * (1.0 - f64::from(policy.value) / 100.0)),
    };
    let all = rules.policies.iter().flatten().map(proposed);
    let limit = match rules.select_policy.as_deref() {
        Some("Disabled") => return current,
        // The lowest change.
        Some("Min") => all.max(),
        _ => all.min(),
    };
    limit.unwrap_or(i32::MIN).min(current)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn spec(behavior: Value) -> HorizontalPodAutoscalerSpec {
        let spec = json!({
            "minReplicas": 2, "maxReplicas": 10,
            "scaleTargetRef": { "kind": "Deployment", "name": "web" },
        });
        let mut spec: HorizontalPodAutoscalerSpec = serde_json::from_value(spec).unwrap();
        spec.behavior = serde_json::from_value(behavior).unwrap();
        spec
    }

    #[test]
    fn without_a_behaviour_it_doubles_at_most() {
        let spec = spec(Value::Null);
        for (current, desired, expected) in [
            (1, 4, (4, "DesiredWithinRange")),
            (1, 9, (4, "ScaleUpLimit")),
            (3, 9, (6, "ScaleUpLimit")),
            (8, 12, (10, "TooManyReplicas")),
            (8, 1, (2, "TooFewReplicas")),
            (8, 5, (5, "DesiredWithinRange")),
        ] {
            assert_eq!(
                limited(&spec, current, desired),
                expected,
                "{current} {desired}"
            );
        }
        assert_eq!((up_window(&spec), down_window(&spec)), (0, 300));
    }

    #[test]
    fn policies_limit_each_direction() {
        let slow = json!({
            "scaleUp": { "selectPolicy": "Max", "policies": [
                { "type": "Pods", "value": 1, "periodSeconds": 60 },
                { "type": "Percent", "value": 50, "periodSeconds": 60 },
            ] },
            "scaleDown": { "selectPolicy": "Min", "stabilizationWindowSeconds": 60, "policies": [
                { "type": "Pods", "value": 1, "periodSeconds": 60 },
                { "type": "Percent", "value": 50, "periodSeconds": 60 },
            ] },
        });
        let slow = spec(slow);
        // Half of 3 more is 4.5, rounded up.
        assert_eq!(limited(&slow, 3, 9), (5, "ScaleUpLimit"));
        assert_eq!(limited(&slow, 8, 3), (7, "ScaleDownLimit"));
        assert_eq!(down_window(&slow), 60);
        // As floats do it: 100 x 1.1 is a little above 110, and 10 x (1 - 0.9) a little below 1.
        let tenth = json!([{ "type": "Percent", "value": 10, "periodSeconds": 60 }]);
        let most = json!([{ "type": "Percent", "value": 90, "periodSeconds": 60 }]);
        let mut float = spec(json!({
            "scaleUp": { "policies": tenth }, "scaleDown": { "policies": most },
        }));
        (float.min_replicas, float.max_replicas) = (Some(0), 1_000);
        assert_eq!(limited(&float, 100, 500), (111, "ScaleUpLimit"));
        assert_eq!(limited(&float, 10, 0), (0, "DesiredWithinRange"));
        let never = spec(json!({ "scaleDown": { "selectPolicy": "Disabled" } }));
        assert_eq!(limited(&never, 8, 3), (8, "ScaleDownLimit"));
        assert_eq!(limited(&never, 3, 99), (10, "TooManyReplicas"));
    }
}
