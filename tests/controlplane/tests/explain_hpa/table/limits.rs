//! Minimum and maximum, policies and windows, and what is scaled.

use serde_json::{Value, json};

use super::{
    super::cases::{Case, Target, utilization},
    policies, rules, settled,
};

pub(super) fn limits() -> Vec<Case> {
    let plain = |what: &str, current, all: &[u64]| {
        Case::new(what, current, settled(all)).behavior(Value::Null)
    };
    vec![
        plain("four at least, without a behaviour", 1, &[190]),
        plain("more than four, without a behaviour", 1, &[400]),
        plain("twice at most, without a behaviour", 3, &[190, 190, 190]),
        plain("the maximum, without a behaviour", 8, &[90; 8]),
        plain("down waits, without a behaviour", 4, &[10; 4]),
        plain("at the target, without a behaviour", 2, &[50; 2]),
        plain("the minimum and a window", 4, &[1; 4]).between(3, 10),
        Case::new("the minimum", 4, settled(&[1; 4])).between(3, 10),
        Case::new("the maximum", 3, settled(&[190; 3])).between(1, 5),
        Case::new("more than the maximum", 7, settled(&[50; 7])).between(1, 5),
        Case::new("less than the minimum", 2, settled(&[50; 2])).between(4, 9),
        Case::new("no replicas", 0, Vec::new()),
        Case::new("exactly the maximum", 2, settled(&[125; 2])).between(1, 5),
        Case::new("exactly the minimum", 4, settled(&[25; 4])).between(2, 5),
        Case::new("one, and no more", 1, settled(&[90])).between(1, 1),
    ]
}

#[expect(clippy::too_many_lines, reason = "one row for each rule")]
pub(super) fn behaviors() -> Vec<Case> {
    let up = |what: &str, current: i32, max, rule: Value| {
        let pods = settled(&[900]);
        let down = json!({ "stabilizationWindowSeconds": 0 });
        Case::new(what, current, pods)
            .between(1, max)
            .behavior(rules(&rule, &down))
    };
    let down = |what: &str, current: i32, rule: Value| {
        let pods = settled(&[1]);
        Case::new(what, current, pods)
            .between(1, 20)
            .behavior(rules(&json!({}), &rule))
    };
    let both = [("Pods", 1), ("Percent", 50)];
    let window = |seconds: u32| json!({ "stabilizationWindowSeconds": seconds });
    vec![
        up("up by pods", 2, 20, policies("Max", &[("Pods", 3)])),
        up("up by percent", 3, 20, policies("Max", &[("Percent", 50)])),
        up("up by the larger", 4, 20, policies("Max", &both)),
        up("up by the smaller", 4, 20, policies("Min", &both)),
        up("up never", 2, 20, json!({ "selectPolicy": "Disabled" })),
        up(
            "up by a percent of one",
            1,
            20,
            policies("Max", &[("Percent", 10)]),
        ),
        up(
            "up by ten percent of ten",
            10,
            30,
            policies("Max", &[("Percent", 10)]),
        ),
        up(
            "up to the maximum first",
            4,
            5,
            policies("Max", &[("Pods", 9)]),
        ),
        up(
            "up to the maximum and the policy",
            4,
            6,
            policies("Max", &[("Pods", 2)]),
        ),
        up("up by what is usual", 2, 20, json!({})),
        up("up waits for its window", 2, 20, window(600)),
        down("down by pods", 6, policies("Max", &[("Pods", 2)])),
        down("down by percent", 7, policies("Max", &[("Percent", 50)])),
        down("down by the larger", 6, policies("Max", &both)),
        down("down by the smaller", 6, policies("Min", &both)),
        down(
            "down never",
            3,
            json!({ "selectPolicy": "Disabled", "stabilizationWindowSeconds": 0 }),
        ),
        down(
            "down by ninety percent of ten",
            10,
            policies("Max", &[("Percent", 90)]),
        ),
        down(
            "down by a percent of little",
            3,
            policies("Max", &[("Percent", 10)]),
        ),
        down(
            "down by more pods than there are",
            3,
            policies("Max", &[("Pods", 9)]),
        ),
        down("down waits for the usual window", 4, json!({})),
        down("down waits for its window", 4, window(600)),
        down(
            "down waits, and by policies",
            4,
            json!({
                "stabilizationWindowSeconds": 3_600,
                "policies": [{ "type": "Pods", "value": 1, "periodSeconds": 60 }],
            }),
        ),
        Case::new("up by ten percent of a hundred", 100, settled(&[60; 2]))
            .metrics(vec![utilization("cpu", 1)])
            .between(1, 500)
            .behavior(rules(&policies("Max", &[("Percent", 10)]), &json!({}))),
    ]
}

pub(super) fn targets() -> Vec<Case> {
    let case = |what: &str, target| Case::new(what, 2, settled(&[90, 90])).of(target);
    let mut rival = Case::new("two autoscalers of one target", 2, settled(&[90, 90]));
    rival.rival = true;
    vec![
        case("a ReplicaSet", Target::Of("apps/v1", "ReplicaSet")),
        case("a StatefulSet", Target::Of("apps/v1", "StatefulSet")),
        case(
            "a ReplicationController",
            Target::Of("v1", "ReplicationController"),
        ),
        case("a custom resource", Target::Battery),
        case("a custom resource without a selector", Target::Class),
        case(
            "a target that does not exist",
            Target::None("apps/v1", "Deployment"),
        ),
        case(
            "a kind that does not exist",
            Target::None("apps/v1", "Nothing"),
        ),
        case(
            "a group that does not exist",
            Target::None("nowhere.example/v1", "Deployment"),
        ),
        case("a kind that has no scale", Target::None("batch/v1", "Job")),
        case(
            "a version that is no longer served",
            Target::Of("apps/v1beta1", "Deployment"),
        ),
        rival,
    ]
}
