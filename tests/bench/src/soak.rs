//! Memory over a day: the store and the catalog of a frontend run in this process with simulated time, while a tenth of
//! all pods is replaced every hour.

use std::{fs, sync::Arc, time::Duration};

use anyhow::Context as _;
use tributary_apiserver::{
    catalog::{Catalog, Labels, NodeRecord, PodRecord},
    store::{Source, Store},
};
use tributary_model::{
    Bytes, Columns, ContainerPoint, CoreNanos, CpuPoint, MemoryPoint, NodePoint, PodKey, Reading,
    Remarks, Roster, RosterBuilder, Timestamp,
};

use crate::{process::kib, results::Soak};

const NODES: usize = 500;
const PODS_PER_NODE: usize = 30;
const CYCLE: Duration = Duration::from_secs(15);
const CYCLES_PER_HOUR: usize = 240;
const HOURS: usize = 24;
/// The number of pods that are replaced in an hour.
const REPLACED: usize = NODES * PODS_PER_NODE / 10;
/// The first second of the simulation.
const START: i64 = 1_795_200_000;

struct Day {
    store: Store,
    catalog: Catalog,
    source: Source,
    /// The pods of each node, by number.
    nodes: Vec<(Vec<PodKey>, Arc<Roster>)>,
    /// The number of pods that were ever created.
    made: usize,
}

/// Simulates a day. Returns the resident memory after each hour.
///
/// # Errors
///
/// The kernel does not report the memory.
pub(crate) fn run() -> anyhow::Result<Soak> {
    let mut day = Day::new()?;
    let mut resident = Vec::new();
    for hour in 0..HOURS {
        for cycle in 0..CYCLES_PER_HOUR {
            let due = |cycle: usize| REPLACED * cycle / CYCLES_PER_HOUR;
            for _ in due(cycle)..due(cycle + 1) {
                day.replace()?;
            }
            day.read(hour * CYCLES_PER_HOUR + cycle)?;
        }
        resident.push(kib(&fs::read_to_string("/proc/self/status")?, "VmRSS:")?);
    }
    Ok(Soak {
        nodes: NODES,
        pods_per_node: PODS_PER_NODE,
        resident,
    })
}

impl Day {
    fn new() -> anyhow::Result<Self> {
        let mut day = Self {
            store: Store::default(),
            catalog: Catalog::default(),
            source: Source {
                name: "scraper-0".into(),
                resolution: CYCLE,
            },
            nodes: Vec::new(),
            made: 0,
        };
        day.catalog.set_pods(Vec::new());
        for node in 0..NODES {
            day.catalog.put_node(NodeRecord {
                name: name(node).into(),
                labels: Labels::from_iter([("kubernetes.io/hostname", name(node))]),
            });
            let pods: Vec<PodKey> = (0..PODS_PER_NODE).map(|_| day.make()).collect();
            let roster = roster(&pods)?;
            day.nodes.push((pods, roster));
        }
        Ok(day)
    }

    /// Creates a running pod.
    fn make(&mut self) -> PodKey {
        let number = self.made;
        self.made += 1;
        let app = number % 500;
        let key = PodKey::new(
            format!("ns-{:04}", app % 50),
            format!("web-{app:04}-6b8f9c7d5-{number:08x}"),
        );
        self.catalog.put_pod(PodRecord {
            key: key.clone(),
            // Its node reports it before the API does.
            node: None,
            labels: Labels::from_iter([
                ("app", format!("web-{app:04}")),
                ("statefulset.kubernetes.io/pod-name", key.name.to_string()),
            ]),
        });
        key
    }

    /// Deletes a pod and creates another one on the same node.
    fn replace(&mut self) -> anyhow::Result<()> {
        let new = self.make();
        // Each time another pod on another node is selected.
        let (node, pod) = (
            self.made * 7 % NODES,
            self.made * 11 / NODES % PODS_PER_NODE,
        );
        let (pods, stored) = self.nodes.get_mut(node).context("no such node")?;
        let old = pods.get_mut(pod).context("no such pod")?;
        self.catalog.remove_pod(old);
        *old = new;
        *stored = roster(pods)?;
        Ok(())
    }

    /// Stores one reading of every node.
    fn read(&self, cycle: usize) -> anyhow::Result<()> {
        let seconds = i64::try_from(cycle)? * 15;
        let at = Timestamp::from_millis((START + seconds) * 1_000);
        let point = ContainerPoint {
            cpu: Some(CpuPoint {
                total: CoreNanos(u64::try_from(cycle)? * 3_750_000_000),
                at,
            }),
            memory: Some(MemoryPoint {
                working_set: Bytes(64 << 20),
                at,
            }),
            started: None,
            swap: None,
        };
        for (number, (_, roster)) in self.nodes.iter().enumerate() {
            let mut columns = Columns::missing(roster.containers());
            for row in 0..roster.containers() {
                columns.set(row, &point);
            }
            let reading = Reading {
                node: name(number).into(),
                roster: Arc::clone(roster),
                asked_at: at,
                point: NodePoint {
                    cpu: point.cpu,
                    memory: point.memory,
                    swap: None,
                },
                columns,
                remarks: Remarks::default(),
            };
            self.store.take(reading, &self.source);
        }
        self.store.expire(at, |_| true);
        Ok(())
    }
}

fn name(node: usize) -> String {
    format!("node-{node:05}")
}

fn roster(pods: &[PodKey]) -> anyhow::Result<Arc<Roster>> {
    let mut builder = RosterBuilder::default();
    for pod in pods {
        builder.add(pod.clone(), "main".into())?;
    }
    Ok(builder.build())
}
