use prost::Message as _;
use tributary_model::{PodKey, RosterBuilder};

use super::*;

fn roster() -> WireRoster {
    let mut builder = RosterBuilder::default();
    for (pod, container) in [("x", "m"), ("x", "s"), ("y", "m")] {
        builder
            .add(PodKey::new("a", pod), container.into())
            .unwrap();
    }
    let roster = builder.build();
    WireRoster {
        id: 7,
        roster,
        rows: None,
    }
}

fn full(total: u64, at: i64) -> ContainerPoint {
    ContainerPoint {
        cpu: Some(CpuPoint {
            total: CoreNanos(total),
            at: Timestamp::from_millis(at),
        }),
        memory: Some(MemoryPoint {
            working_set: Bytes(0),
            at: Timestamp::from_millis(at - 3),
        }),
        started: Some(Timestamp::from_millis(at - 86_400_000)),
        swap: None,
    }
}

fn reading(roster: &WireRoster, points: [ContainerPoint; 3]) -> Reading {
    let mut columns = Columns::missing(3);
    for (row, point) in points.iter().enumerate() {
        columns.set(row, point);
    }
    Reading {
        node: "n1".into(),
        roster: std::sync::Arc::clone(&roster.roster),
        asked_at: Timestamp::from_millis(1_795_229_483_301),
        point: NodePoint {
            cpu: full(7_250_367_519_314, 1_795_229_481_138).cpu,
            memory: None,
            swap: Some(Bytes(0)),
        },
        columns,
        remarks: Remarks::default(),
    }
}

#[test]
fn a_reading_survives_the_journey() {
    let roster = roster();
    let at = 1_795_229_483_291;
    let mut late = full(1, at + 60_000);
    late.started = Some(Timestamp::from_millis(at + 100_000)); // after the base
    late.swap = Some(Bytes(0));
    let no_cpu = ContainerPoint {
        cpu: None,
        ..full(1, at)
    };
    let there = reading(&roster, [full(7_139_915_453, at), no_cpu, late]);
    let wire = reading_to_wire(&there, 7);
    let bytes = wire.encode_to_vec();
    let wire = v1::Reading::decode(&*bytes).unwrap();
    assert_eq!(reading_from_wire(&wire, &roster).unwrap(), there);
}

#[test]
fn the_endpoint_survives_the_journey() {
    let roster = roster();
    for endpoint in Endpoint::ALL {
        let mut there = reading(&roster, [full(1, 11); 3]);
        there.remarks.endpoint = endpoint;
        let wire = reading_to_wire(&there, 7).encode_to_vec();
        let wire = v1::Reading::decode(&*wire).unwrap();
        let here = reading_from_wire(&wire, &roster).unwrap();
        assert_eq!(here.remarks.endpoint, endpoint);
    }
    // One of a later version.
    let mut later = reading_to_wire(&reading(&roster, [full(1, 11); 3]), 7);
    later.endpoint = 99;
    let here = reading_from_wire(&later, &roster).unwrap();
    assert_eq!(here.remarks.endpoint, Endpoint::Resource);
}

#[test]
fn columns_that_say_nothing_are_left_out() {
    let roster = roster();
    let there = reading(&roster, [ContainerPoint::default(); 3]);
    let wire = reading_to_wire(&there, 7);
    assert!(wire.cpu_nanos_plus_one.is_empty() && wire.cpu_at_ms.is_empty());
    assert!(wire.swap_bytes_plus_one.is_empty() && wire.memory_after_cpu_ms.is_empty());
    assert_eq!(reading_from_wire(&wire, &roster).unwrap(), there);
}

#[test]
fn a_foreign_order_is_put_right() {
    let own = roster();
    let foreign = WireRoster {
        rows: Some([2, 0, 1].into()),
        ..own.clone()
    };
    let points = [full(1, 11), full(2, 12), full(3, 13)];
    let wire = reading_to_wire(&reading(&own, points), 7);
    let there = reading_from_wire(&wire, &foreign).unwrap();
    assert_eq!(there.columns.point(2), points[0]);
    assert_eq!(there.columns.point(0), points[1]);
    assert_eq!(there.columns.point(1), points[2]);
}

#[test]
fn a_column_of_another_length_is_refused() {
    let roster = roster();
    let mut wire = reading_to_wire(&reading(&roster, [full(1, 11); 3]), 7);
    wire.cpu_at_ms.pop();
    assert_eq!(
        reading_from_wire(&wire, &roster).unwrap_err().to_string(),
        "node n1: column cpu_at_ms has 2 entries, the roster has 3"
    );
}

#[test]
fn times_out_of_range_are_refused() {
    let roster = roster();
    let mut wire = reading_to_wire(&reading(&roster, [full(1, 11); 3]), 7);
    wire.cpu_at_ms[1] = i64::MAX;
    assert_eq!(
        reading_from_wire(&wire, &roster).unwrap_err().to_string(),
        "node n1: a time in cpu_at_ms is out of range"
    );
}

#[test]
fn zigzag_turns_back() {
    for (value, coded) in [
        (0, 0),
        (-1, 1),
        (1, 2),
        (i64::MAX, u64::MAX - 1),
        (i64::MIN, u64::MAX),
    ] {
        assert_eq!(zigzag(value), coded);
        assert_eq!(unzigzag(coded), value);
    }
}

#[test]
fn a_steady_reading_fits_the_budget() {
    // 30 containers that run for a month: at most 24 bytes each.
    let mut builder = RosterBuilder::default();
    for pod in 0..30 {
        builder
            .add(
                PodKey::new("ns-0000", format!("web-{pod:05}")),
                "main".into(),
            )
            .unwrap();
    }
    let roster = builder.build();
    let mut columns = Columns::missing(30);
    for row in 0..30 {
        let ago = i64::try_from(row).unwrap() * 333;
        columns.set(
            row,
            &ContainerPoint {
                cpu: Some(CpuPoint {
                    total: CoreNanos(648_000_000_000_000),
                    at: Timestamp::from_millis(1_795_229_483_301 - ago),
                }),
                memory: Some(MemoryPoint {
                    working_set: Bytes(600 << 20),
                    at: Timestamp::from_millis(1_795_229_483_301 - ago),
                }),
                started: Some(Timestamp::from_millis(1_795_229_483_301 - 2_592_000_000)),
                swap: Some(Bytes(0)),
            },
        );
    }
    let reading = Reading {
        node: "node-00001".into(),
        roster,
        asked_at: Timestamp::from_millis(1_795_229_483_301),
        point: NodePoint::default(),
        columns,
        remarks: Remarks::default(),
    };
    let bytes = reading_to_wire(&reading, 7).encoded_len();
    assert!(bytes <= 30 * 24, "{bytes} bytes");
}

#[test]
fn pods_that_cannot_be_read_survive_the_journey() {
    let roster = roster();
    let mut there = reading(&roster, [ContainerPoint::default(); 3]);
    let pods = [("a", "x"), ("a", "y"), ("b", "x")].map(|(space, pod)| PodKey::new(space, pod));
    there.remarks.unreadable = pods.clone().into();
    let wire = reading_to_wire(&there, 7);
    assert_eq!(reading_from_wire(&wire, &roster).unwrap(), there);
    // In any order, twice: each is one.
    let mut odd = wire.clone();
    odd.unreadable_pods.reverse();
    odd.unreadable_pods.push(odd.unreadable_pods[0].clone());
    assert_eq!(reading_from_wire(&odd, &roster).unwrap(), there);
}

#[test]
fn of_pods_that_cannot_be_read_some_are_kept_and_all_have_names() {
    let roster = roster();
    let mut wire = reading_to_wire(&reading(&roster, [ContainerPoint::default(); 3]), 7);
    let pod = |namespace: &str, name: &str| PodName {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    };
    wire.unreadable_pods = (100..200).map(|at| pod("a", &format!("p{at}"))).collect();
    let read = reading_from_wire(&wire, &roster).unwrap();
    let kept = &read.remarks.unreadable;
    assert_eq!((kept.len(), &*kept[63].name), (64, "p163"));
    for bad in [pod("", "x"), pod("a", ""), pod("a.b", "x"), pod("a", "x\n")] {
        wire.unreadable_pods = vec![bad];
        let error = reading_from_wire(&wire, &roster).unwrap_err();
        assert_eq!(
            error.to_string(),
            "node n1: name of an unreadable pod is not one that Kubernetes allows"
        );
    }
}
