//! Taking readings in, at the size of a large cluster: 5,000 nodes of 30 pods.
//!
//! `cargo bench -p tributary-apiserver --bench store`

use std::{sync::Arc, time::Duration};

use divan::{AllocProfiler, Bencher, counter::ItemsCount};
use tributary_apiserver::store::{Source, Store};
use tributary_model::{
    Bytes, Columns, ContainerPoint, CoreNanos, CpuPoint, MemoryPoint, NodePoint, PodKey, Reading,
    Remarks, Roster, RosterBuilder, Timestamp,
};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

const NODES: i64 = 5_000;
/// Nodes. `tests/instructions` counts on the small one, which is quick to set up.
const SIZES: [i64; 2] = [500, NODES];
const PODS: u64 = 30;

fn main() {
    divan::main();
}

fn source() -> Source {
    Source {
        name: "bench".into(),
        resolution: Duration::from_secs(15),
    }
}

/// The roster of a node; `odd` has one other pod than the even one.
fn roster(node: i64, odd: bool) -> Arc<Roster> {
    let mut builder = RosterBuilder::default();
    for pod in 0..PODS {
        let name = match pod {
            0 if odd => format!("odd-{node:05}"),
            _ => format!("web-{node:05}-{pod}"),
        };
        let key = PodKey::new(format!("ns-{:04}", pod % 10), name);
        if builder.add(key, "main".into()).is_err() {
            break;
        }
    }
    builder.build()
}

/// For how many cycles the containers have run by then.
const RUNNING: i64 = 1_000;

/// Milliseconds.
const CYCLE: i64 = 15_000;
const SECOND: i64 = 1_000;

/// The reading of `node` in `cycle`, which are `every` so many milliseconds.
fn reading(node: i64, (cycle, every): (i64, i64), roster: &Arc<Roster>) -> Reading {
    let millis = (cycle + RUNNING) * every;
    let at = Timestamp::from_millis(millis);
    let total = CoreNanos(millis.unsigned_abs() * 250_000);
    let point = ContainerPoint {
        cpu: Some(CpuPoint { total, at }),
        memory: Some(MemoryPoint {
            working_set: Bytes(64 << 20),
            at,
        }),
        started: Some(Timestamp::from_millis(0)),
        swap: Some(Bytes(0)),
    };
    let mut columns = Columns::missing(roster.containers());
    for row in 0..roster.containers() {
        columns.set(row, &point);
    }
    Reading {
        node: format!("node-{node:05}").into(),
        roster: Arc::clone(roster),
        asked_at: at,
        point: NodePoint {
            cpu: point.cpu,
            memory: point.memory,
            swap: None,
        },
        columns,
        remarks: Remarks::default(),
    }
}

fn cycle(cycle: i64, rosters: &[Arc<Roster>]) -> Vec<Reading> {
    cycle_of((cycle, CYCLE), rosters)
}

fn cycle_of(cycle: (i64, i64), rosters: &[Arc<Roster>]) -> Vec<Reading> {
    let nodes = (0..).zip(rosters);
    nodes
        .map(|(node, roster)| reading(node, cycle, roster))
        .collect()
}

fn rosters(nodes: i64, odd: bool) -> Vec<Arc<Roster>> {
    (0..nodes).map(|node| roster(node, odd)).collect()
}

/// What `tests/instructions` counts, and nothing else.
#[inline(never)]
fn measured<T>(work: impl FnOnce() -> T) -> T {
    work()
}

fn take(store: &Store, readings: Vec<Reading>, source: &Source) {
    for reading in readings {
        divan::black_box(store.take(reading, source));
    }
}

/// One cycle of all nodes, the containers being the same as before: the steady
/// state.
#[divan::bench(args = SIZES, sample_count = 20)]
fn take_a_cycle(bencher: Bencher<'_, '_>, nodes: i64) {
    let store = Store::new(None);
    let (rosters, source) = (rosters(nodes, false), source());
    take(&store, cycle(0, &rosters), &source);
    let mut now = 0;
    bencher
        .counter(ItemsCount::new(nodes.unsigned_abs()))
        .with_inputs(|| {
            now += 1;
            cycle(now, &rosters)
        })
        .bench_local_values(|readings| measured(|| take(&store, readings, &source)));
}

/// The same of kubelets that measure at every request and are scraped every second, so that there are points between those of
/// each pair.
#[divan::bench(args = SIZES, sample_count = 20)]
fn take_a_second(bencher: Bencher<'_, '_>, nodes: i64) {
    let store = Store::new(None);
    let (rosters, source) = (rosters(nodes, false), source());
    let mut now = 0;
    while now < 10 {
        now += 1;
        take(&store, cycle_of((now, SECOND), &rosters), &source);
    }
    bencher
        .counter(ItemsCount::new(nodes.unsigned_abs()))
        .with_inputs(|| {
            now += 1;
            cycle_of((now, SECOND), &rosters)
        })
        .bench_local_values(|readings| measured(|| take(&store, readings, &source)));
}

/// One cycle in which a pod of every node was replaced.
#[divan::bench(args = SIZES, sample_count = 20)]
fn take_a_cycle_of_new_rosters(bencher: Bencher<'_, '_>, nodes: i64) {
    let store = Store::new(None);
    let (even, odd, source) = (rosters(nodes, false), rosters(nodes, true), source());
    take(&store, cycle(0, &even), &source);
    let mut now = 0;
    bencher
        .counter(ItemsCount::new(nodes.unsigned_abs()))
        .with_inputs(|| {
            now += 1;
            cycle(now, if now % 2 == 0 { &even } else { &odd })
        })
        .bench_local_values(|readings| measured(|| take(&store, readings, &source)));
}

/// The usage of one pod.
#[divan::bench]
fn pod(bencher: Bencher<'_, '_>) {
    let store = Store::new(None);
    let (rosters, source) = (rosters(NODES, false), source());
    for now in [1, 2] {
        for reading in cycle(now, &rosters) {
            store.take(reading, &source);
        }
    }
    let key = PodKey::new("ns-0007", "web-02500-7");
    let now = Timestamp::from_millis(31_000);
    bencher.bench_local(|| measured(|| store.pods([(divan::black_box(&key), None)], now)));
}
