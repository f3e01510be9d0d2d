//! The pairs of both servers: those of our store, and those of metrics-server.

use std::{sync::Arc, time::Duration};

use tributary_apiserver::store::{Source, Store};
use tributary_model::{
    Bytes, Columns, ContainerPoint, CoreNanos, CpuPoint, MemoryPoint, NodeName, NodePoint, PodKey,
    Reading, Remarks, Roster, RosterBuilder, Timestamp,
};

use super::{EPOCH, Hour, Kubelets, NODES, PODS, PODS_OF_NODE, SYNC};

/// What the metrics API says of a pod.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    /// In milliseconds of the hour.
    pub(super) at: i64,
    pub(super) window: Duration,
    pub(super) nanocores: u64,
}

/// The newest two samples of a pod: time and core-nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
struct Pair {
    earlier: Option<(i64, u64)>,
    newest: Option<(i64, u64)>,
}

/// metrics-server: a new sample makes the newest one the earlier one, and a repeated one changes nothing (docs/parity.md#values).
#[derive(Debug)]
pub(super) struct Peer([Pair; PODS]);

impl Default for Peer {
    fn default() -> Self {
        Self([Pair::default(); PODS])
    }
}

impl Peer {
    pub(super) fn scrape(&mut self, hour: &Hour, kubelets: Kubelets, node: usize, at: i64) {
        for pod in pods_of(node) {
            let pair = &mut self.0[pod];
            let sample = hour.sample(kubelets, pod, at);
            if sample > pair.newest {
                (pair.earlier, pair.newest) = (pair.newest, sample);
            }
        }
    }

    pub(super) fn answers(&self) -> Vec<Option<Answer>> {
        let answer = |pair: &Pair| {
            let ((from, before), (to, total)) = pair.earlier.zip(pair.newest)?;
            let millis = (to - from).unsigned_abs();
            Some(Answer {
                at: to,
                window: Duration::from_millis(millis),
                nanocores: (total - before) * 1_000 / millis,
            })
        };
        self.0.iter().map(answer).collect()
    }
}

/// The store of a frontend.
#[derive(Debug)]
pub(super) struct Ours {
    store: Store,
    source: Source,
    nodes: Vec<(NodeName, Arc<Roster>)>,
    keys: Vec<PodKey>,
}

impl Ours {
    /// With this shortest window, in seconds.
    pub(super) fn new(window: u64) -> Self {
        let keys: Vec<PodKey> = (0..PODS)
            .map(|pod| PodKey::new("shop", format!("web-{pod}")))
            .collect();
        let nodes = (0..NODES).map(|node| {
            let mut builder = RosterBuilder::default();
            for pod in pods_of(node) {
                builder.add(keys[pod].clone(), "main".into()).unwrap();
            }
            (format!("node-{node}").into(), builder.build())
        });
        Self {
            store: Store::with_min_window(None, Duration::from_secs(window)),
            source: Source {
                name: "scraper-0".into(),
                resolution: Duration::from_millis(SYNC.unsigned_abs()),
            },
            nodes: nodes.collect(),
            keys,
        }
    }

    pub(super) fn scrape(&self, hour: &Hour, kubelets: Kubelets, node: usize, at: i64) {
        let (name, roster) = &self.nodes[node];
        let mut columns = Columns::missing(roster.containers());
        // Names of ten pods sort as their numbers do.
        for (row, pod) in pods_of(node).enumerate() {
            columns.set(row, &point(hour.sample(kubelets, pod, at)));
        }
        let reading = Reading {
            node: name.clone(),
            roster: Arc::clone(roster),
            asked_at: date(at),
            point: NodePoint::default(),
            columns,
            remarks: Remarks::default(),
        };
        self.store.take(reading, &self.source);
    }

    pub(super) fn answers(&self, now: i64) -> Vec<Option<Answer>> {
        let pods = self.keys.iter().enumerate();
        let pods = pods.map(|(pod, key)| (key, Some(&self.nodes[pod / PODS_OF_NODE].0)));
        let found = self.store.pods(pods, date(now));
        let answers = found.into_iter().map(|found| {
            let found = found.ok()?;
            let (_, usage) = found.containers().next()?;
            Some(Answer {
                at: usage.at.as_millis() - EPOCH * 1_000,
                window: usage.window,
                nanocores: usage.cpu.0,
            })
        });
        answers.collect()
    }
}

fn pods_of(node: usize) -> std::ops::Range<usize> {
    node * PODS_OF_NODE..(node + 1) * PODS_OF_NODE
}

fn point(sample: Option<(i64, u64)>) -> ContainerPoint {
    let Some((at, total)) = sample else {
        return ContainerPoint::default();
    };
    let at = date(at);
    ContainerPoint {
        cpu: Some(CpuPoint {
            total: CoreNanos(total),
            at,
        }),
        memory: Some(MemoryPoint {
            working_set: Bytes(64 << 20),
            at,
        }),
        started: None,
        swap: None,
    }
}

fn date(at: i64) -> Timestamp {
    Timestamp::from_millis(EPOCH * 1_000 + at)
}
