//! Pages of `/stats/summary` -> columns.
//!
//! They are JSON, as the types of `k8s.io/kubelet/pkg/apis/stats/v1alpha1` say, which
//! have only ever been added to. A kubelet makes its other pages of the same numbers,
//! so what counts there counts here: a value that is missing or null is not there,
//! one that cannot be used is refused alone and counted, a pod of which a container
//! cannot be read is left out, and of two samples that differ there is none.
//!
//! A value stays a slice of the page until somebody wants it, and nothing is kept of
//! all that nobody wants. So what is kept is bounded by the containers of a node.

use std::{fmt, sync::Arc};

use serde::{
    Deserialize, Deserializer as _,
    de::{SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use tributary_model::{
    Bytes, CoreNanos, CpuPoint, MemoryPoint, Roster, Timestamp, is_dns_label, is_dns_subdomain,
};

use super::{
    Undecodable,
    fill::{Filled, LAST_MILLI, bytes},
    identity::Names,
    learn::roster_of,
    refused::{At, Refusals, Refused},
};
use crate::kubelet::decimal::Decimal;

/// Some JSON, as it stands on the page.
type Json<'a> = &'a RawValue;

#[derive(Default, Deserialize)]
struct Summary<'a> {
    #[serde(borrow)]
    node: Option<Json<'a>>,
    #[serde(borrow)]
    pods: Option<Json<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodStats<'a> {
    #[serde(borrow)]
    pod_ref: Option<Json<'a>>,
    #[serde(borrow)]
    containers: Option<Json<'a>>,
}

#[derive(Deserialize)]
struct PodReference<'a> {
    #[serde(borrow)]
    name: Option<Json<'a>>,
    #[serde(borrow)]
    namespace: Option<Json<'a>>,
}

/// Of a container, or of the node.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stats<'a> {
    #[serde(borrow)]
    name: Option<Json<'a>>,
    #[serde(borrow)]
    start_time: Option<Json<'a>>,
    #[serde(borrow)]
    cpu: Option<Json<'a>>,
    #[serde(borrow)]
    memory: Option<Json<'a>>,
    #[serde(borrow)]
    swap: Option<Json<'a>>,
}

/// Of CPU, memory or swap.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sample<'a> {
    #[serde(borrow)]
    time: Option<Json<'a>>,
    #[serde(borrow)]
    usage_core_nano_seconds: Option<Json<'a>>,
    #[serde(borrow)]
    working_set_bytes: Option<Json<'a>>,
    #[serde(borrow)]
    swap_usage_bytes: Option<Json<'a>>,
}

/// A number, if there is one, or why it cannot be used.
type Said<T> = Option<Result<T, Refused>>;

/// The numbers of a container, or of the node.
#[derive(Default)]
struct Numbers {
    cpu: Said<CpuPoint>,
    memory: Said<MemoryPoint>,
    started: Said<Timestamp>,
    swap: Said<Bytes>,
    /// Whether a sample has the time of asking for want of one of its own.
    is_without_time: bool,
}

/// A container, and where it stands.
struct Container<'a> {
    names: Names<'a>,
    numbers: Numbers,
    at: At,
    text: &'a str,
}

/// Namespace and name of a pod.
type Pod<'a> = (&'a str, &'a str);

/// The containers of a page: at most as many as a node may have.
struct Seen<'a> {
    asked_at: Timestamp,
    containers: Vec<Container<'a>>,
    /// Pods of which a container cannot be read. They count as containers.
    torn: Vec<Pod<'a>>,
    pods: u32,
    refused: Refusals,
}

/// What a page says: its containers, sharing names with `known`, and their numbers.
///
/// # Errors
///
/// It is no summary, or has more containers than a node may have.
pub(super) fn read(
    page: &[u8],
    known: &Roster,
    asked_at: Timestamp,
) -> Result<(Arc<Roster>, Filled), Undecodable> {
    let not_one = |error: serde_json::Error| not_a_summary(&error, page);
    let summary: Option<Summary<'_>> = serde_json::from_slice(page).map_err(not_one)?;
    let Summary { node, pods } = summary.unwrap_or_default();
    let mut seen = Seen {
        asked_at,
        containers: Vec::new(),
        torn: Vec::new(),
        pods: 0,
        refused: Refusals::default(),
    };
    if let Some(pods) = pods {
        each(pods, |pod| seen.pod(pod)).map_err(not_one)??;
    }
    let names = seen.containers.iter().map(|container| &container.names);
    let (roster, torn) = roster_of(names, seen.torn.iter().copied(), known)?;
    let mut filled = Filled::new(roster.containers());
    filled.unreadable = torn;
    filled.refused = seen.refused;
    if let Some(node) = node {
        filled.take_node(node, asked_at);
    }
    for container in seen.containers {
        // One of a pod that is left out has no row.
        if let Some(row) = container.names.row(&roster) {
            filled.take_container(row, container);
        }
    }
    Ok((roster, filled))
}

impl<'a> Seen<'a> {
    fn pod(&mut self, json: Json<'a>) -> Result<(), Undecodable> {
        self.pods = self.pods.saturating_add(1);
        let at = At::Pod(self.pods);
        let Ok(pod) = serde_json::from_str::<PodStats<'a>>(json.get()) else {
            self.refuse(Refused::Malformed, at, json);
            return Ok(());
        };
        let key = pod.pod_ref.and_then(key_of);
        let Some(containers) = pod.containers else {
            return Ok(());
        };
        let taken = each(containers, |container| self.container(key, at, container));
        taken.unwrap_or_else(|_| {
            self.refuse(Refused::Malformed, at, json);
            Ok(())
        })
    }

    fn container(
        &mut self,
        pod: Option<Pod<'a>>,
        at: At,
        json: Json<'a>,
    ) -> Result<(), Undecodable> {
        let Ok(stats) = serde_json::from_str::<Stats<'a>>(json.get()) else {
            return self.tear(pod, Refused::Malformed, at, json);
        };
        let numbers = Numbers::of(&stats, self.asked_at);
        let name = stats.name.and_then(text);
        // A start or swap alone makes no container, and one without a name is the pod.
        if !numbers.make_a_row() || name == Some("") {
            return Ok(());
        }
        let name = name.filter(|name| is_dns_label(name));
        let (Some((namespace, pod)), Some(container)) = (pod, name) else {
            return self.tear(pod, Refused::BadLabel, at, json);
        };
        self.has_room()?;
        self.containers.push(Container {
            names: Names {
                namespace,
                pod,
                container,
            },
            numbers,
            at,
            text: json.get(),
        });
        Ok(())
    }

    /// Refuses a container, and so leaves out its pod.
    fn tear(
        &mut self,
        pod: Option<Pod<'a>>,
        refused: Refused,
        at: At,
        json: Json<'a>,
    ) -> Result<(), Undecodable> {
        self.refuse(refused, at, json);
        let known = self.torn.last().copied();
        if let Some(pod) = pod.filter(|_| pod != known) {
            self.has_room()?;
            self.torn.push(pod);
        }
        Ok(())
    }

    fn has_room(&self) -> Result<(), Undecodable> {
        if self.containers.len() + self.torn.len() >= Roster::MAX_CONTAINERS {
            return Err(Undecodable::TooManyContainers);
        }
        Ok(())
    }

    fn refuse(&mut self, refused: Refused, at: At, json: Json<'a>) {
        self.refused.add(refused, at, json.get().as_bytes());
    }
}

impl Numbers {
    fn of(stats: &Stats<'_>, asked_at: Timestamp) -> Self {
        let mut numbers = Self::default();
        let without = &mut numbers.is_without_time;
        let mut time = |sample: &Sample<'_>| {
            *without |= sample.time.is_none();
            sample.time.map_or(Ok(asked_at), moment)
        };
        numbers.cpu = said(
            stats.cpu,
            |sample| sample.usage_core_nano_seconds,
            |total, sample| {
                let at = time(sample)?;
                let total = CoreNanos(total);
                Ok(CpuPoint { total, at })
            },
        );
        numbers.memory = said(
            stats.memory,
            |sample| sample.working_set_bytes,
            |value, sample| {
                let at = time(sample)?;
                let working_set = bytes(value)?;
                Ok(MemoryPoint { working_set, at })
            },
        );
        numbers.swap = said(
            stats.swap,
            |sample| sample.swap_usage_bytes,
            |value, _| bytes(value),
        );
        numbers.started = stats.start_time.and_then(started);
        numbers
    }

    /// Whether they are those of a container: one that has CPU or memory, good or bad.
    fn make_a_row(&self) -> bool {
        self.cpu.is_some() || self.memory.is_some()
    }
}

impl Filled {
    fn take_node(&mut self, json: Json<'_>, asked_at: Timestamp) {
        let text = json.get();
        let Ok(stats) = serde_json::from_str::<Stats<'_>>(text) else {
            self.refused
                .add(Refused::Malformed, At::Node, text.as_bytes());
            return;
        };
        let numbers = Numbers::of(&stats, asked_at);
        self.is_without_times |= numbers.is_without_time;
        let cpu = numbers.cpu.map(|cpu| self.take_node_cpu(cpu?));
        let memory = numbers.memory.map(|memory| self.take_node_memory(memory?));
        let swap = numbers.swap.map(|swap| self.take_node_swap(swap?));
        for taken in [cpu, memory, swap].into_iter().flatten() {
            self.settle(taken, At::Node, text);
        }
    }

    fn take_container(&mut self, row: usize, container: Container<'_>) {
        let Container {
            numbers, at, text, ..
        } = container;
        self.is_without_times |= numbers.is_without_time;
        let cpu = numbers.cpu.map(|cpu| self.take_cpu(row, cpu));
        let memory = numbers.memory.map(|memory| self.take_memory(row, memory));
        let started = numbers.started.map(|at| self.take_started(row, at?));
        let swap = numbers.swap.map(|swap| self.take_swap(row, swap?));
        for taken in [cpu, memory, started, swap].into_iter().flatten() {
            self.settle(taken, at, text);
        }
    }

    fn settle(&mut self, taken: Result<(), Refused>, at: At, text: &str) {
        match taken {
            Ok(()) => self.is_of_use = true,
            Err(refused) => self.refused.add(refused, at, text.as_bytes()),
        }
    }
}

/// The number that `value` finds in a sample, made into a point.
fn said<'a, T>(
    json: Option<Json<'a>>,
    value: impl Fn(&Sample<'a>) -> Option<Json<'a>>,
    mut point: impl FnMut(u64, &Sample<'a>) -> Result<T, Refused>,
) -> Said<T> {
    let Ok(sample) = serde_json::from_str::<Sample<'a>>(json?.get()) else {
        return Some(Err(Refused::Malformed));
    };
    let value = value(&sample)?;
    Some(number(value).and_then(|number| point(number, &sample)))
}

fn number(json: Json<'_>) -> Result<u64, Refused> {
    let number = Decimal::parse(json.get().as_bytes())?;
    Ok(number.scaled(0)?)
}

/// What stands between the quotes; what is escaped stays so.
fn text(json: Json<'_>) -> Option<&str> {
    json.get().strip_prefix('"')?.strip_suffix('"')
}

fn moment(json: Json<'_>) -> Result<Timestamp, Refused> {
    let at = millis(json).filter(|at| (0..=LAST_MILLI).contains(at));
    at.map(Timestamp::from_millis).ok_or(Refused::BadTimestamp)
}

/// A start that is not after 1970 is none, as for kubelets themselves.
fn started(json: Json<'_>) -> Said<Timestamp> {
    match millis(json) {
        Some(..=0) => None,
        Some(at @ ..=LAST_MILLI) => Some(Ok(Timestamp::from_millis(at))),
        _ => Some(Err(Refused::BadTimestamp)),
    }
}

fn millis(json: Json<'_>) -> Option<i64> {
    let at: jiff::Timestamp = text(json)?.parse().ok()?;
    Some(at.as_millisecond())
}

fn key_of(json: Json<'_>) -> Option<Pod<'_>> {
    let pod: PodReference<'_> = serde_json::from_str(json.get()).ok()?;
    let namespace = text(pod.namespace?).filter(|name| is_dns_label(name))?;
    let name = text(pod.name?).filter(|name| is_dns_subdomain(name))?;
    Some((namespace, name))
}

/// Gives the elements of an array to `take`, until one is too many.
fn each<'a>(
    array: Json<'a>,
    take: impl FnMut(Json<'a>) -> Result<(), Undecodable>,
) -> serde_json::Result<Result<(), Undecodable>> {
    serde_json::Deserializer::from_str(array.get()).deserialize_seq(Each(take))
}

struct Each<F>(F);

impl<'de, F> Visitor<'de> for Each<F>
where
    F: FnMut(Json<'de>) -> Result<(), Undecodable>,
{
    type Value = Result<(), Undecodable>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut array: A) -> Result<Self::Value, A::Error> {
        let mut taken = Ok(());
        while let Some(element) = array.next_element::<Json<'de>>()? {
            // As in Go, one that is null says nothing.
            if taken.is_ok() && element.get() != "null" {
                taken = (self.0)(element);
            }
        }
        Ok(taken)
    }
}

fn not_a_summary(error: &serde_json::Error, page: &[u8]) -> Undecodable {
    Undecodable::NotASummary {
        line: error.line(),
        column: error.column(),
        text: super::refused::beginning(page),
    }
}

#[cfg(test)]
mod tests;
