//! What the writers need of an object, and what all objects of `metrics.k8s.io` have in common
//! (docs/parity.md#objects).

use std::{fmt, time::Duration};

use tributary_model::{Bytes, NanoCores, PodKey, Timestamp, Usage};

use crate::{
    catalog::Labels,
    k8s::{
        json,
        protobuf::{message, number, text},
        quantity, time,
    },
};

/// The group of resource metrics.
pub(crate) const METRICS: &str = "metrics.k8s.io";

/// A served object: an item of a list.
pub(crate) trait Object: Send + Sync + Sized + 'static {
    /// The columns of a table of such objects.
    type Columns: Columns<Self>;

    /// Whether the object is created when it is requested, as upstream does with metrics. Then its `creationTimestamp`
    /// is the time of the request.
    const MADE_WHEN_ASKED: bool = true;

    /// Its name.
    fn name(&self) -> &str;

    /// Its namespace; empty if it has none.
    #[expect(
        clippy::unnecessary_literal_bound,
        reason = "those that have one lend it"
    )]
    fn namespace(&self) -> &str {
        ""
    }

    /// Its name, and its namespace.
    fn key(&self) -> PodKey {
        PodKey::new(self.namespace(), self.name())
    }

    /// Its labels.
    fn labels(&self) -> &Labels;

    /// When its content was measured, if it is a measurement.
    fn measured_at(&self) -> Option<Timestamp> {
        None
    }

    /// Appends the fields after the metadata, each with a comma before it.
    fn fields(&self, out: &mut Vec<u8>);

    /// Appends the same fields as protobuf fields, from number 2 on. Appends nothing for a kind that is not served in
    /// protobuf.
    fn protobuf(&self, _out: &mut Vec<u8>) {}

    /// Appends `"metadata":{..}`. `created` is the time of the request.
    fn metadata(&self, out: &mut Vec<u8>, created: &[u8]) {
        out.extend_from_slice(br#""metadata":{"name":"#);
        json::string(out, self.name());
        if !self.namespace().is_empty() {
            out.extend_from_slice(br#","namespace":"#);
            json::string(out, self.namespace());
        }
        if Self::MADE_WHEN_ASKED {
            out.extend_from_slice(br#","creationTimestamp":""#);
            out.extend_from_slice(created);
            out.push(b'"');
        }
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
}

/// The columns of a table.
pub(crate) trait Columns<T>: Copy + fmt::Debug + Send + Sync + 'static {
    /// The columns of a table whose first row is `first`. `None` if a table without rows has no columns.
    fn of(first: Option<&T>) -> Option<Self>;

    /// Appends `"columnDefinitions":[..]`.
    fn definitions(self, out: &mut Vec<u8>);

    /// Appends `"cells":[..]`, the beginning of a row.
    fn cells(self, out: &mut Vec<u8>, object: &T);
}

/// The amounts of each resource that are used.
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

impl Amounts {
    /// Zero of everything.
    pub(crate) const NONE: Self = Self {
        cpu: NanoCores(0),
        memory: Bytes(0),
        swap: None,
    };

    /// The sum of both.
    pub(crate) fn plus(self, usage: &Usage) -> Self {
        Self {
            cpu: NanoCores(self.cpu.0.saturating_add(usage.cpu.0)),
            memory: Bytes(self.memory.0.saturating_add(usage.memory.0)),
            swap: match (self.swap, usage.swap) {
                (Some(one), Some(other)) => Some(Bytes(one.0.saturating_add(other.0))),
                (one, other) => one.or(other),
            },
        }
    }

    /// Appends `"usage":{..}`.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(br#""usage":{"cpu":""#);
        quantity::cpu(out, self.cpu);
        out.extend_from_slice(br#"","memory":""#);
        quantity::bytes(out, self.memory);
        if let Some(swap) = self.swap {
            out.extend_from_slice(br#"","swap":""#);
            quantity::bytes(out, swap);
        }
        out.extend_from_slice(br#""}"#);
    }

    /// Appends the amounts as a map of quantities by name.
    pub(crate) fn protobuf(self, out: &mut Vec<u8>, field: u8) {
        amount(out, field, "cpu", |out| quantity::cpu(out, self.cpu));
        let memory = |out: &mut Vec<u8>| quantity::bytes(out, self.memory);
        amount(out, field, "memory", memory);
        if let Some(swap) = self.swap {
            amount(out, field, "swap", |out| quantity::bytes(out, swap));
        }
    }
}

/// Appends `,"timestamp":..,"window":..`: the time of the measurement, and the window of the mean CPU rate.
pub(crate) fn measured(out: &mut Vec<u8>, at: Timestamp, window: Duration) {
    out.extend_from_slice(br#","timestamp":""#);
    time::moment(out, at);
    out.extend_from_slice(br#"","window":""#);
    time::span(out, window);
    out.push(b'"');
}

/// Appends the same fields in protobuf.
pub(crate) fn measured_protobuf(out: &mut Vec<u8>, at: Timestamp, window: Duration) {
    message(out, 2, |out| moment(out, at));
    let window = i64::try_from(window.as_nanos()).unwrap_or(i64::MAX);
    message(out, 3, |out| number(out, 1, window));
}

/// Appends a `Time` with whole seconds, as in JSON.
pub(crate) fn moment(out: &mut Vec<u8>, at: Timestamp) {
    number(out, 1, at.as_seconds());
    number(out, 2, 0);
}

/// Appends an entry of a map: a name, and a message with one text, the quantity.
fn amount(out: &mut Vec<u8>, field: u8, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
    message(out, field, |out| {
        text(out, 1, name);
        message(out, 2, |out| message(out, 1, write));
    });
}
