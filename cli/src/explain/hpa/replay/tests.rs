use As::{Broken, Deleted, Missing, NeverReady, Pending, ReadyFor, Starting, Uses};
use Reason::{Computed, Reversed, Tolerated, TooUncertain};

use super::*;

fn now() -> Timestamp {
    "2026-11-29T17:00:00Z".parse().unwrap()
}

fn ago(seconds: u64) -> Timestamp {
    now().checked_sub(Duration::from_secs(seconds)).unwrap()
}

/// How a pod stands in the table: its milli-cores of a request of 1,000, or why they do not count.
#[derive(Clone, Copy, Debug)]
enum As {
    /// Ready for an hour, and uses so much.
    Uses(i64),
    /// Ready for an hour, without a sample.
    Missing,
    Pending,
    Deleted,
    /// Started two minutes ago, not Ready, and uses so much.
    Starting(i64),
    /// Started two minutes ago, Ready for so many seconds; the sample is 5 s old and has a window of 15 s.
    ReadyFor(u64, i64),
    /// Started an hour ago, and was never Ready.
    NeverReady(i64),
    /// Started an hour ago, was Ready, and is not Ready now.
    Broken(i64),
}

/// A pod of the table, and its sample.
fn stands(row: As, name: &str) -> (Pod, Option<i64>) {
    let pod = |started: u64, is_false: bool, since: u64| Pod {
        name: name.to_owned(),
        started: Some(ago(started)),
        ready: Some((is_false, ago(since))),
        ..Pod::default()
    };
    let settled = || pod(3_600, false, 3_590);
    let pending = Pod {
        pending: true,
        ..settled()
    };
    let deleted = Pod {
        ends: true,
        ..settled()
    };
    match row {
        Uses(value) => (settled(), Some(value)),
        Missing => (settled(), None),
        Pending => (pending, None),
        Deleted => (deleted, Some(9_999)),
        Starting(value) => (pod(120, true, 119), Some(value)),
        ReadyFor(seconds, value) => (pod(120, false, seconds), Some(value)),
        NeverReady(value) => (pod(3_600, true, 3_599), Some(value)),
        Broken(value) => (pod(3_600, true, 60), Some(value)),
    }
}

fn question(target: Target, resource: &str, current: i32, rows: &[As]) -> Question {
    let (mut pods, mut samples, mut requests) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    for (index, row) in rows.iter().enumerate() {
        let name = format!("p{index}");
        let (pod, value) = stands(*row, &name);
        if let Some(value) = value {
            let sample = Sample {
                at: ago(5),
                window: Duration::from_secs(15),
                value,
            };
            samples.insert(name.clone(), sample);
        }
        requests.insert(name, 1_000);
        pods.push(pod);
    }
    Question {
        current,
        target,
        resource: resource.to_owned(),
        tolerance: Tolerance::default(),
        pods,
        served: !samples.is_empty(),
        samples,
        requests: Ok(requests),
        now: now(),
        settings: Settings::default(),
    }
}

fn proposed(
    target: Target,
    resource: &str,
    current: i32,
    rows: &[As],
) -> Result<(i32, Reason), String> {
    propose(&question(target, resource, current, rows))
        .map(|proposal| (proposal.replicas, proposal.reason))
}

const HALF: Target = Target::Utilization(50);

/// What it is about, the replicas now, the pods, and what is proposed.
type Row = (&'static str, i32, &'static [As], (i32, Reason));

const TABLE: &[Row] = &[
    ("at the target", 2, &[Uses(500), Uses(500)], (2, Tolerated)),
    (
        "54 % is within a tenth",
        2,
        &[Uses(540), Uses(540)],
        (2, Tolerated),
    ),
    (
        "56 % is not: 2 x 1.12",
        2,
        &[Uses(560), Uses(560)],
        (3, Computed),
    ),
    (
        "twice as much",
        2,
        &[Uses(1_000), Uses(1_000)],
        (4, Computed),
    ),
    (
        "44 % of three: 3 x 0.88 is 2.64",
        3,
        &[Uses(440), Uses(440), Uses(440)],
        (3, Computed),
    ),
    (
        "idle",
        4,
        &[Uses(0), Uses(0), Uses(0), Uses(0)],
        (0, Computed),
    ),
    (
        "percent are cut, not rounded: 55.9",
        1,
        &[Uses(559)],
        (1, Tolerated),
    ),
    // Scaling down: the missing pod counts with its whole request: (100 + 100 + 1000) / 3000 is 40 %, 0.8 x 3.
    (
        "down with a missing pod",
        3,
        &[Uses(100), Uses(100), Missing],
        (3, Computed),
    ),
    // (400 + 1000) / 2000 is 70 %: up, where it was down.
    (
        "a missing pod turns the direction",
        2,
        &[Uses(400), Missing],
        (2, TooUncertain),
    ),
    // Scaling up: the missing pod counts with nothing: 1500 / 3000 is the target.
    (
        "up with a missing pod",
        3,
        &[Uses(750), Uses(750), Missing],
        (3, TooUncertain),
    ),
    (
        "up with a missing pod, and still up",
        3,
        &[Uses(900), Uses(900), Missing],
        (4, Computed),
    ),
    // The pods that it no longer wants are multiplied, too: 4 x 0.6 is 2.4.
    (
        "two are wanted, and four are still there",
        2,
        &[Uses(300), Uses(300), Uses(300), Uses(300)],
        (3, Computed),
    ),
    (
        "a Pending pod is no reason against scaling down",
        3,
        &[Uses(100), Uses(100), Pending],
        (1, Computed),
    ),
    (
        "a Pending pod counts with nothing for scaling up",
        3,
        &[Uses(900), Uses(900), Pending],
        (4, Computed),
    ),
    (
        "a pod that is deleted is not there",
        3,
        &[Uses(500), Uses(500), Deleted],
        (3, Tolerated),
    ),
    (
        "a pod that starts is doubted",
        2,
        &[Uses(500), Starting(1_000)],
        (2, Tolerated),
    ),
    (
        "a sample of before the pod was Ready does not count",
        2,
        &[Uses(500), ReadyFor(10, 1_000)],
        (2, Tolerated),
    ),
    (
        "a sample of a whole window after that counts",
        2,
        &[Uses(500), ReadyFor(20, 1_000)],
        (3, Computed),
    ),
    (
        "a pod that was never Ready does not count",
        2,
        &[Uses(500), NeverReady(1_000)],
        (2, Tolerated),
    ),
    (
        "a pod that was Ready once counts",
        2,
        &[Uses(500), Broken(1_000)],
        (3, Computed),
    ),
    // Two of ten pods match: 1.5 x 2 is 3, fewer than now, although the ratio says up.
    (
        "fewer pods than replicas, and nothing missing",
        10,
        &[Uses(750), Uses(750)],
        (3, Computed),
    ),
    // The same with an unready pod: (1800 / 3000) is 60 %, 1.2 x 3 is 4, fewer than 10.
    (
        "fewer pods than replicas, one unready",
        10,
        &[Uses(900), Uses(900), Pending],
        (10, Reversed),
    ),
];

#[test]
fn proposals_are_those_of_the_autoscaler() {
    for (what, current, rows, expected) in TABLE {
        assert_eq!(
            proposed(HALF, "cpu", *current, rows),
            Ok(*expected),
            "{what}"
        );
    }
}

#[test]
fn an_average_is_that_of_the_pods() {
    let target = Target::Average(100);
    let of = |current, rows: &[As]| proposed(target, "cpu", current, rows).unwrap();
    assert_eq!(of(2, &[Uses(160), Uses(160)]), (4, Computed));
    // A missing pod counts with the target: (20 + 100) / 2 is 60.
    assert_eq!(of(2, &[Uses(20), Missing]), (2, Computed));
    assert_eq!(of(3, &[Uses(20), Uses(20), Missing]), (2, Computed));
    assert_eq!(of(2, &[Uses(105), Uses(105)]), (2, Tolerated));
}

#[test]
fn memory_is_not_doubted_while_a_pod_starts() {
    let rows = [Uses(500), Starting(1_000)];
    assert_eq!(proposed(HALF, "memory", 2, &rows), Ok((3, Computed)));
}

#[test]
fn what_cannot_be_computed_has_the_words_of_the_autoscaler() {
    let refused = |rows: &[As]| proposed(HALF, "cpu", 2, rows).unwrap_err();
    let unready = "did not receive metrics for targeted pods (pods might be unready)";
    assert_eq!(refused(&[Starting(1)]), unready);
    let none =
        "unable to get metrics for resource cpu: no metrics returned from resource metrics API";
    assert_eq!(refused(&[Missing]), none);
    let missing = "missing request for cpu in container mesh of Pod p0".to_owned();
    let question = Question {
        requests: Err(missing.clone()),
        ..question(HALF, "cpu", 1, &[Uses(1)])
    };
    assert_eq!(propose(&question), Err(missing));
}

#[test]
fn why_a_pod_does_not_count_is_said() {
    let question = question(HALF, "cpu", 2, &[Uses(500), ReadyFor(10, 1_000)]);
    let groups = propose(&question).unwrap().groups;
    let why = "Ready since 2026-11-29T16:59:50Z: its sample counts if it is not before 2026-11-29T17:00:05Z";
    assert_eq!(groups.unready, [("p1".to_owned(), why.to_owned())]);
    assert_eq!(groups.ready, 1);
}

#[test]
fn numbers_have_as_many_bits_as_those_of_the_autoscaler() {
    // 64 MiB of one byte is 6,710,886,400 %, of which 32 bits keep the lower ones: -1,879,048,192.
    let mut question = question(HALF, "memory", 2, &[Uses(67_108_864_000)]);
    question.requests = Ok(BTreeMap::from([("p0".to_owned(), 1_000)]));
    assert_eq!(propose(&question).unwrap().usage, -1_879_048_192);
    // A ratio of 67,108,864,000 is no number of replicas, and becomes the smallest one.
    question.target = Target::Average(1);
    assert_eq!(propose(&question).unwrap().replicas, i32::MIN);
}
