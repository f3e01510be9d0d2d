//! Cases written by hand: each rule of the controller, and its edges.

mod limits;
mod metrics;

use serde_json::{Value, json};

use super::cases::{
    Case, Container, Pod,
    Stands::{
        self, Broken, Deleted, Failed, JustReady, Missing, NeverReady, NotReadyAtTheEdge,
        NotStarted, Pending, ReadyUnknown, Settled, Starting, Succeeded, Warm, WithoutCondition,
    },
    utilization,
};

fn pod(stands: Stands, millis: u64) -> Pod {
    Pod::new(stands, &[Container::uses(millis, 40)])
}

/// Pods that are ready for an hour and use these milli-cores.
fn settled(all: &[u64]) -> Vec<Pod> {
    all.iter().map(|millis| pod(Settled, *millis)).collect()
}

/// Pods that are ready for an hour and use these MiB.
fn heavy(all: &[u64]) -> Vec<Pod> {
    let pod = |mebibytes: &u64| Pod::new(Settled, &[Container::uses(10, *mebibytes)]);
    all.iter().map(pod).collect()
}

/// Settled pods, and others.
fn with(all: &[u64], others: &[(Stands, u64)]) -> Vec<Pod> {
    let others = others.iter().map(|(stands, millis)| pod(*stands, *millis));
    settled(all).into_iter().chain(others).collect()
}

/// Pods with two containers, of which the second is `mesh`.
fn double(all: &[(u64, u64)]) -> Vec<Pod> {
    let pod = |(main, mesh): &(u64, u64)| {
        Pod::new(
            Settled,
            &[
                Container::uses(*main, 40),
                Container::uses(*mesh, 20).named("mesh"),
            ],
        )
    };
    all.iter().map(pod).collect()
}

fn rules(up: &Value, down: &Value) -> Value {
    json!({ "scaleUp": up, "scaleDown": down })
}

fn policies(select: &str, all: &[(&str, u32)]) -> Value {
    let policy =
        |(kind, value): &(&str, u32)| json!({ "type": kind, "value": value, "periodSeconds": 60 });
    let all: Vec<Value> = all.iter().map(policy).collect();
    json!({ "stabilizationWindowSeconds": 0, "selectPolicy": select, "policies": all })
}

fn tolerance(up: &str, down: &str) -> Value {
    let down = json!({ "tolerance": down, "stabilizationWindowSeconds": 0 });
    rules(&json!({ "tolerance": up }), &down)
}

/// All of them.
pub(super) fn table() -> Vec<Case> {
    [
        tolerances(),
        groups(),
        metrics::memory(),
        metrics::containers(),
        metrics::several(),
        limits::limits(),
        limits::behaviors(),
        limits::targets(),
    ]
    .concat()
}

fn tolerances() -> Vec<Case> {
    let case = |what: &str, millis: u64| Case::new(what, 2, settled(&[millis, millis]));
    let tuned = |what: &str, millis: u64, up: &str, down: &str| {
        case(what, millis).behavior(tolerance(up, down))
    };
    vec![
        case("at the target", 50),
        case("above, within the tolerance", 54),
        case("above, at the tolerance: 1.1", 55),
        case("above, over the tolerance", 56),
        case("below, within the tolerance", 46),
        case("below, at the tolerance: 0.9", 45),
        Case::new("below, over the tolerance", 5, settled(&[44; 5])),
        case("twice as much", 100),
        case("idle", 1),
        tuned("a tolerance of 0 above", 51, "0", "0"),
        Case::new("a tolerance of 0 below", 3, settled(&[32, 32, 32]))
            .behavior(tolerance("0", "0")),
        tuned("a tolerance of 0.5, within", 74, "500m", "500m"),
        tuned("a tolerance of 0.5, at it", 75, "500m", "500m"),
        tuned("a tolerance of 0.5, over", 76, "500m", "500m"),
        tuned("a tolerance of 0.5 below, at it", 25, "500m", "500m"),
        tuned("a tolerance of 0.5 below, over", 24, "500m", "500m"),
        tuned("a tolerance of 0.02, at it", 51, "20m", "20m"),
        tuned(
            "a tolerance of 0.0125, which a thousandth does not hold",
            51,
            "0.0125",
            "0.0125",
        ),
        tuned("a tolerance above 1", 110, "1.5", "100m"),
        tuned("tolerances that differ", 44, "0", "300m"),
    ]
}

#[expect(clippy::too_many_lines, reason = "one row for each rule")]
fn groups() -> Vec<Case> {
    let case = |what: &str, current, all: &[u64], others: &[(Stands, u64)]| {
        Case::new(what, current, with(all, others))
    };
    vec![
        case("down with a missing pod", 3, &[10, 10], &[(Missing, 0)]),
        case(
            "a missing pod turns the direction",
            2,
            &[40],
            &[(Missing, 0)],
        ),
        case(
            "up with a missing pod, to the target",
            3,
            &[75, 75],
            &[(Missing, 0)],
        ),
        case(
            "up with a missing pod, and still up",
            3,
            &[90, 90],
            &[(Missing, 0)],
        ),
        case(
            "at the target with a missing pod",
            2,
            &[50],
            &[(Missing, 0)],
        ),
        case("all are missing", 2, &[], &[(Missing, 0), (Missing, 0)]),
        case(
            "a Pending pod is nothing against scaling down",
            3,
            &[10, 10],
            &[(Pending, 0)],
        ),
        case(
            "a Pending pod counts with nothing for scaling up",
            3,
            &[90, 90],
            &[(Pending, 0)],
        ),
        case(
            "up, and Pending pods turn it",
            3,
            &[60],
            &[(Pending, 0), (Pending, 0)],
        ),
        case("only Pending pods", 2, &[], &[(Pending, 0), (Pending, 0)]),
        case("a failed pod is not there", 3, &[80, 80], &[(Failed, 0)]),
        case(
            "a pod that has succeeded is missing",
            3,
            &[80, 80],
            &[(Succeeded, 0)],
        ),
        case(
            "a pod that is deleted is not there",
            3,
            &[80, 80],
            &[(Deleted, 100)],
        ),
        case("only deleted pods", 2, &[], &[(Deleted, 80), (Deleted, 80)]),
        case("a pod that starts is doubted", 2, &[50], &[(Starting, 100)]),
        case(
            "a pod that starts, and up",
            3,
            &[90, 90],
            &[(Starting, 100)],
        ),
        case(
            "a sample of before the pod was ready",
            2,
            &[50],
            &[(JustReady, 100)],
        ),
        case("a new pod whose sample counts", 2, &[50], &[(Warm, 100)]),
        case(
            "only new pods whose samples count",
            2,
            &[],
            &[(Warm, 90), (Warm, 90)],
        ),
        case(
            "only pods that start",
            2,
            &[],
            &[(Starting, 90), (Starting, 90)],
        ),
        case("a pod that was never ready", 2, &[50], &[(NeverReady, 100)]),
        case(
            "a pod that was ready at the edge",
            2,
            &[50],
            &[(NotReadyAtTheEdge, 100)],
        ),
        case(
            "a pod that was ready once counts",
            2,
            &[50],
            &[(Broken, 100)],
        ),
        case(
            "a pod without a condition",
            2,
            &[50],
            &[(WithoutCondition, 100)],
        ),
        case("a pod without a start", 2, &[50], &[(NotStarted, 100)]),
        case(
            "a pod of a node that does not answer",
            2,
            &[50],
            &[(ReadyUnknown, 100)],
        ),
        case("fewer pods than replicas", 9, &[75, 75], &[]),
        case(
            "fewer pods than replicas, one unready",
            9,
            &[90, 90],
            &[(Pending, 0)],
        ),
        case("more pods than replicas", 1, &[40, 40, 40], &[]),
        case(
            "more pods than replicas, one missing",
            2,
            &[35, 35, 35],
            &[(Missing, 0)],
        ),
        case("no pods at all", 2, &[], &[]),
        case(
            "every kind at once",
            8,
            &[95, 85],
            &[
                (Missing, 0),
                (Pending, 0),
                (Failed, 0),
                (Deleted, 9),
                (Starting, 9),
                (NeverReady, 9),
            ],
        ),
        case(
            "no metrics and a target above the requests",
            3,
            &[150, 150],
            &[(Missing, 0)],
        )
        .metrics(vec![utilization("cpu", 250)]),
    ]
}
