//! The objects of the group and how they are written (docs/parity.md#objects).

use std::{sync::Arc, time::Duration};

use tributary_model::{Bytes, NanoCores, PodKey, Timestamp, Usage};

use super::{json, quantity, time};
use crate::{
    catalog::{Labels, NodeRecord, PodRecord},
    store::PodUsage,
};

/// An object with its metrics: what a list is made of.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    /// A `NodeMetrics`.
    Node(Arc<NodeRecord>, Usage),
    /// A `PodMetrics`.
    Pod(Arc<PodRecord>, PodUsage),
}

/// What is used, by resource name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Amounts {
    pub(crate) cpu: NanoCores,
    pub(crate) memory: Bytes,
    pub(crate) swap: Option<Bytes>,
}

impl From<&Usage> for Amounts {
    fn from(usage: &Usage) -> Self {
        Self {
            cpu: usage.cpu,
            memory: usage.memory,
            swap: usage.swap,
        }
    }
}

impl Item {
    /// Its name, and its namespace, which a node has not.
    pub(crate) fn key(&self) -> PodKey {
        match self {
            Self::Node(node, _) => PodKey::new("", node.name.as_str()),
            Self::Pod(pod, _) => pod.key.clone(),
        }
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Node(node, _) => node.name.as_str(),
            Self::Pod(pod, _) => &pod.key.name,
        }
    }

    /// Its namespace; empty for a node.
    pub(crate) fn namespace(&self) -> &str {
        match self {
            Self::Node(..) => "",
            Self::Pod(pod, _) => &pod.key.namespace,
        }
    }

    /// The labels of the Node or Pod.
    pub(crate) fn labels(&self) -> &Labels {
        match self {
            Self::Node(node, _) => &node.labels,
            Self::Pod(pod, _) => &pod.labels,
        }
    }

    /// When it was measured.
    pub(crate) fn at(&self) -> Timestamp {
        match self {
            Self::Node(_, usage) => usage.at,
            Self::Pod(_, usage) => usage.at,
        }
    }

    /// Over which time the CPU use is a mean.
    pub(crate) fn window(&self) -> Duration {
        match self {
            Self::Node(_, usage) => usage.window,
            Self::Pod(_, usage) => usage.window,
        }
    }

    /// All that it uses: of a pod, the sum of its containers.
    pub(crate) fn total(&self) -> Amounts {
        match self {
            Self::Node(_, usage) => usage.into(),
            Self::Pod(_, usage) => usage.containers().map(|(_, usage)| usage).fold(
                Amounts {
                    cpu: NanoCores(0),
                    memory: Bytes(0),
                    swap: None,
                },
                |sum, usage| Amounts {
                    cpu: NanoCores(sum.cpu.0.saturating_add(usage.cpu.0)),
                    memory: Bytes(sum.memory.0.saturating_add(usage.memory.0)),
                    swap: match (sum.swap, usage.swap) {
                        (Some(one), Some(other)) => Some(Bytes(one.0.saturating_add(other.0))),
                        (one, other) => one.or(other),
                    },
                },
            ),
        }
    }

    /// Appends `"metadata":{..}`. `created` is the time of the request, as upstream
    /// has it: metrics are made when they are asked for.
    pub(crate) fn metadata(&self, out: &mut Vec<u8>, created: &[u8]) {
        out.extend_from_slice(br#""metadata":{"name":"#);
        json::string(out, self.name());
        if let Self::Pod(pod, _) = self {
            out.extend_from_slice(br#","namespace":"#);
            json::string(out, &pod.key.namespace);
        }
        out.extend_from_slice(br#","creationTimestamp":""#);
        out.extend_from_slice(created);
        out.push(b'"');
        for (at, (key, value)) in self.labels().iter().enumerate() {
            out.extend_from_slice(if at == 0 { br#","labels":{"# } else { b"," });
            json::string(out, key);
            out.push(b':');
            json::string(out, value);
        }
        if !self.labels().is_empty() {
            out.push(b'}');
        }
        out.push(b'}');
    }

    /// Appends all fields but kind and version.
    pub(crate) fn fields(&self, out: &mut Vec<u8>, created: &[u8]) {
        self.metadata(out, created);
        out.extend_from_slice(br#","timestamp":""#);
        time::moment(out, self.at());
        out.extend_from_slice(br#"","window":""#);
        time::span(out, self.window());
        out.extend_from_slice(br#"","#);
        match self {
            Self::Node(_, usage) => write_usage(out, usage.into()),
            Self::Pod(_, usage) => {
                out.extend_from_slice(br#""containers":["#);
                for (at, (name, usage)) in usage.containers().enumerate() {
                    out.extend_from_slice(if at == 0 {
                        br#"{"name":"#
                    } else {
                        br#",{"name":"#
                    });
                    json::string(out, name.as_str());
                    out.push(b',');
                    write_usage(out, usage.into());
                    out.push(b'}');
                }
                out.push(b']');
            }
        }
    }
}

fn write_usage(out: &mut Vec<u8>, usage: Amounts) {
    out.extend_from_slice(br#""usage":{"cpu":""#);
    quantity::cpu(out, usage.cpu);
    out.extend_from_slice(br#"","memory":""#);
    quantity::bytes(out, usage.memory);
    if let Some(swap) = usage.swap {
        out.extend_from_slice(br#"","swap":""#);
        quantity::bytes(out, swap);
    }
    out.extend_from_slice(br#""}"#);
}
