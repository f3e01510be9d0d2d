//! A reading of a node with 30 pods, to the bytes of the bus and back.
//!
//! `cargo bench -p tributary-proto`

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot be set up has nothing to say"
)]

use std::hint::black_box;

use divan::{Bencher, counter::BytesCount};
use prost::Message as _;
use tributary_model::{
    Bytes, Columns, ContainerPoint, CoreNanos, CpuPoint, MemoryPoint, NodeName, NodePoint, PodKey,
    Reading, Remarks, RosterBuilder, Timestamp,
};
use tributary_proto::{
    convert::{reading_from_wire, reading_to_wire, roster_from_wire, roster_to_wire},
    v1,
};

const ASKED_AT: i64 = 1_795_229_483_400;
const PODS: i64 = 30;

fn main() {
    divan::main();
}

fn reading() -> Reading {
    let mut roster = RosterBuilder::default();
    for pod in 0..PODS {
        let key = PodKey::new("shop", format!("web-7d4b9c6f5-{pod:05}"));
        roster.add(key, "main".into()).unwrap();
    }
    let roster = roster.build();
    let mut columns = Columns::missing(roster.containers());
    for (row, number) in (0..roster.containers()).zip(0..) {
        columns.set(row, &point(number));
    }
    let ContainerPoint { cpu, memory, .. } = point(PODS);
    Reading {
        node: "node-00001".into(),
        roster,
        asked_at: Timestamp::from_millis(ASKED_AT),
        point: NodePoint {
            cpu,
            memory,
            swap: None,
        },
        columns,
        remarks: Remarks::default(),
    }
}

/// No two containers say the same, as in life.
fn point(number: i64) -> ContainerPoint {
    let at = Timestamp::from_millis(ASKED_AT - 300 * number);
    let n = number.unsigned_abs();
    ContainerPoint {
        cpu: Some(CpuPoint {
            total: CoreNanos(7_139_915_453_000 + 1_000_000_007 * n),
            at,
        }),
        memory: Some(MemoryPoint {
            working_set: Bytes(21_217_280 + 4_096 * n),
            at,
        }),
        started: Some(Timestamp::from_millis(ASKED_AT - 86_400_000 - 977 * number)),
        swap: Some(Bytes(0)),
    }
}

/// What `tests/instructions` counts, and nothing else.
#[inline(never)]
fn measured<T>(work: impl FnOnce() -> T) -> T {
    work()
}

#[divan::bench]
fn send(bencher: Bencher<'_, '_>) {
    let reading = reading();
    bencher
        .counter(BytesCount::new(reading_to_wire(&reading, 7).encoded_len()))
        .bench(|| measured(|| reading_to_wire(black_box(&reading), 7).encode_to_vec()));
}

#[divan::bench]
fn receive(bencher: Bencher<'_, '_>) {
    let reading = reading();
    let roster = roster_to_wire(&NodeName::from("node-00001"), &reading.roster, 7);
    let (_, roster) = roster_from_wire(&roster).unwrap();
    let bytes = reading_to_wire(&reading, 7).encode_to_vec();
    bencher.counter(BytesCount::of_slice(&bytes)).bench(|| {
        measured(|| {
            let message = v1::Reading::decode(black_box(&*bytes)).unwrap();
            reading_from_wire(&message, &roster).unwrap()
        })
    });
}
