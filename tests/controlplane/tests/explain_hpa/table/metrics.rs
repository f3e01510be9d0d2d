//! Memory, single containers, several metrics.

use serde_json::{Value, json};

use super::{
    super::cases::{
        Case, Container, Pod,
        Stands::{Missing, Settled, Starting, WithoutCondition},
        average, of_container, utilization,
    },
    double, heavy, pod, settled,
};

pub(super) fn memory() -> Vec<Case> {
    let case = |what: &str, current, all: &[u64]| {
        Case::new(what, current, heavy(all)).metrics(vec![utilization("memory", 50)])
    };
    let averages = |what: &str, current, value: &str, all: &[u64]| {
        Case::new(what, current, heavy(all)).metrics(vec![average("memory", value)])
    };
    let mut starting = heavy(&[50]);
    starting.push(Pod::new(Starting, &[Container::uses(10, 100)]));
    let mut never = heavy(&[50]);
    never.push(Pod::new(WithoutCondition, &[Container::uses(10, 100)]));
    let mut missing = heavy(&[20, 20]);
    missing.push(pod(Missing, 0));
    vec![
        case("memory up", 2, &[80, 90]),
        case("memory down", 4, &[10, 10, 10, 10]),
        Case::new("memory of a pod that starts counts", 2, starting)
            .metrics(vec![utilization("memory", 50)]),
        Case::new("memory of a pod without a condition counts", 2, never)
            .metrics(vec![utilization("memory", 50)]),
        averages("a mean at the tolerance", 2, "40Mi", &[44, 44]),
        averages("a mean over the tolerance", 2, "40Mi", &[45, 45]),
        averages("a mean below", 4, "80Mi", &[40, 40, 40, 40]),
        Case::new("a mean with a missing pod", 3, missing).metrics(vec![average("memory", "64Mi")]),
        averages("a mean of uneven pods", 3, "50Mi", &[10, 60, 110]),
        averages("a target that is far too small", 2, "1m", &[100, 100]),
        averages("a target of a byte", 2, "1", &[100, 100]),
        Case::new("a resource that is not served", 2, settled(&[50, 50]))
            .metrics(vec![average("example.dev/things", "1")]),
        Case::new(
            "percents above 32 bits",
            2,
            vec![Pod::new(
                Settled,
                &[Container::uses(10, 3_000).requests(Some(100), None)],
            )],
        )
        .metrics(vec![utilization("memory", 50)]),
    ]
}

#[expect(clippy::too_many_lines, reason = "one row for each rule")]
pub(super) fn containers() -> Vec<Case> {
    let one = |percent| vec![of_container("main", &utilization("cpu", percent))];
    let mean = |value| vec![of_container("main", &average("cpu", value))];
    let mut without = double(&[(50, 50), (50, 50)]);
    without.push(Pod::new(Settled, &[Container::uses(50, 40).named("other")]));
    let lacking = |main: Option<u64>, mesh: Option<u64>| {
        let containers = [
            Container::uses(80, 40).requests(main, Some(100)),
            Container::uses(20, 20)
                .named("mesh")
                .requests(mesh, Some(100)),
        ];
        vec![
            Pod::new(Settled, &containers),
            Pod::new(Settled, &containers),
        ]
    };
    let sidecar = Container {
        is_sidecar: true,
        ..Container::uses(80, 20).named("proxy")
    };
    let beside = vec![Pod::new(Settled, &[Container::uses(80, 40), sidecar]); 2];
    let whole = |requests: Value, containers: &[Container]| {
        let mut pod = Pod::new(Settled, containers);
        pod.resources = json!({ "requests": requests });
        vec![pod.clone(), pod]
    };
    let bare = Container::uses(80, 40).requests(None, None);
    let whole_limits = || {
        let mut pod = Pod::new(Settled, &[bare]);
        pod.resources = json!({ "limits": { "cpu": "200m" } });
        vec![pod]
    };
    vec![
        Case::new("both containers count", 2, double(&[(90, 30), (90, 30)])),
        Case::new("one container counts", 2, double(&[(90, 10), (90, 10)])).metrics(one(50)),
        Case::new(
            "what the other one uses is its business",
            2,
            double(&[(50, 200), (50, 200)]),
        )
        .metrics(one(50)),
        Case::new("a mean of one container", 2, double(&[(90, 10), (70, 10)])).metrics(mean("50m")),
        Case::new("a pod lacks the container", 3, without.clone()).metrics(one(50)),
        Case::new("a mean, and a pod lacks the container", 3, without).metrics(mean("30m")),
        Case::new("no pod has the container", 2, settled(&[50, 50]))
            .metrics(vec![of_container("nothing", &utilization("cpu", 50))]),
        Case::new(
            "a mean of a container that no pod has",
            2,
            settled(&[50, 50]),
        )
        .metrics(vec![of_container("nothing", &average("cpu", "50m"))]),
        Case::new("a container lacks its request", 2, lacking(Some(100), None)),
        Case::new(
            "another container lacks its request",
            2,
            lacking(Some(100), None),
        )
        .metrics(one(50)),
        Case::new(
            "the container lacks its request",
            2,
            lacking(None, Some(100)),
        )
        .metrics(one(50)),
        Case::new("a mean needs no requests", 2, lacking(None, None)).metrics(mean("50m")),
        Case::new("an init container that goes on counts", 2, beside.clone()),
        Case::new("one that goes on, alone", 2, beside)
            .metrics(vec![of_container("proxy", &utilization("cpu", 50))]),
        Case::new(
            "requests of the pod",
            2,
            whole(json!({ "cpu": "200m" }), &[bare]),
        ),
        Case::new(
            "requests of the pod for another resource",
            2,
            whole(json!({ "memory": "200Mi" }), &[bare]),
        ),
        Case::new(
            "requests of the pod, one container",
            2,
            whole(json!({ "cpu": "400m" }), &[Container::uses(80, 40)]),
        )
        .metrics(one(50)),
        Case::new(
            "requests of the pod, and of a container for the other resource",
            2,
            whole(json!({ "memory": "200Mi" }), &[Container::uses(80, 40)]),
        ),
        Case::new("limits of the pod become requests", 1, whole_limits()),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn several() -> Vec<Case> {
    let both = |percent| vec![utilization("cpu", 50), utilization("memory", percent)];
    let case = |what: &str, current, pods: Vec<Pod>, metrics| {
        Case::new(what, current, pods).metrics(metrics)
    };
    let broken = || of_container("nothing", &utilization("cpu", 50));
    let without_requests = || {
        let containers = [Container::uses(80, 40).requests(Some(100), None)];
        vec![
            Pod::new(Settled, &containers),
            Pod::new(Settled, &containers),
        ]
    };
    vec![
        case("the largest of two counts", 2, settled(&[80, 80]), both(10)),
        case("one up, one down", 3, settled(&[90, 90, 90]), both(90)),
        case("both down", 4, settled(&[10, 10, 10, 10]), both(80)),
        case(
            "one cannot be computed, the other is up",
            2,
            settled(&[90, 90]),
            vec![broken(), utilization("cpu", 50)],
        ),
        case(
            "one cannot be computed, the other is down",
            3,
            settled(&[10, 10, 10]),
            vec![utilization("cpu", 50), broken()],
        ),
        case(
            "one cannot be computed, the other stays",
            2,
            settled(&[50, 50]),
            vec![utilization("cpu", 50), broken()],
        ),
        case(
            "none can be computed",
            2,
            settled(&[90, 90]),
            vec![broken(), average("example.dev/things", "1")],
        ),
        case(
            "none can be computed, in the other order",
            2,
            settled(&[90, 90]),
            vec![average("example.dev/things", "1"), broken()],
        ),
        case(
            "memory lacks its requests, CPU is up",
            2,
            without_requests(),
            both(50),
        ),
        case(
            "three metrics",
            2,
            settled(&[70, 70]),
            vec![
                average("cpu", "60m"),
                utilization("memory", 20),
                of_container("main", &average("memory", "30Mi")),
            ],
        ),
    ]
}
