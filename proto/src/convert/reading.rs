//! Readings to messages and back.

use std::collections::BTreeSet;

use tributary_model::{
    Bytes, Columns, ContainerPoint, CoreNanos, CpuPoint, Endpoint, MemoryPoint, NoUsage, NodeName,
    NodePoint, PodKey, Reading, Remarks, Timestamp, is_dns_label, is_dns_subdomain,
};

use super::{Invalid, node_name, roster::WireRoster};
use crate::v1::{
    self,
    reading::{Endpoint as WireEndpoint, PodName, Withheld},
};

/// A reading as a message. Its columns are in the order of its roster, which goes
/// by the name `roster` on the stream.
pub fn reading_to_wire(reading: &Reading, roster: u64) -> v1::Reading {
    let base = reading.asked_at.as_millis();
    let rows = reading.columns.len();
    let mut wire = v1::Reading {
        node: reading.node.to_string(),
        roster,
        asked_at_ms: base,
        base_ms: base,
        point: Some(node_to_wire(&reading.point, base)),
        cpu_nanos_plus_one: Vec::with_capacity(rows),
        cpu_at_ms: Vec::with_capacity(rows),
        working_set_bytes_plus_one: Vec::with_capacity(rows),
        memory_after_cpu_ms: Vec::with_capacity(rows),
        started_before_ms_plus_one: Vec::with_capacity(rows),
        swap_bytes_plus_one: Vec::with_capacity(rows),
        node_cpu_millis: reading.remarks.node_cpu_millis.unwrap_or(0),
        stamped_by_publisher: reading.remarks.is_stamped_by_scraper,
        endpoint: endpoint_to_wire(reading.remarks.endpoint).into(),
        ..v1::Reading::default()
    };
    for (row, reason) in &reading.remarks.withheld {
        wire.withheld_rows.push(*row);
        wire.withheld_reasons.push(withheld_to_wire(*reason).into());
    }
    let unreadable = reading.remarks.unreadable.iter();
    wire.unreadable_pods = unreadable
        .map(|pod| PodName {
            namespace: pod.namespace.to_string(),
            name: pod.name.to_string(),
        })
        .collect();
    for row in 0..rows {
        let point = reading.columns.point(row);
        let cpu_at = point.cpu.map_or(0, |cpu| after(cpu.at, base));
        let memory_at = point.memory.map_or(cpu_at, |memory| after(memory.at, base));
        wire.cpu_nanos_plus_one
            .push(plus_one(point.cpu.map(|cpu| cpu.total.0)));
        wire.cpu_at_ms.push(cpu_at);
        wire.working_set_bytes_plus_one
            .push(plus_one(point.memory.map(|memory| memory.working_set.0)));
        wire.memory_after_cpu_ms
            .push(memory_at.saturating_sub(cpu_at));
        wire.started_before_ms_plus_one.push(plus_one(
            point
                .started
                .map(|at| zigzag(after(at, base).saturating_neg())),
        ));
        wire.swap_bytes_plus_one
            .push(plus_one(point.swap.map(|swap| swap.0)));
    }
    leave_out(&mut wire.cpu_nanos_plus_one);
    if wire.cpu_nanos_plus_one.is_empty() {
        wire.cpu_at_ms.clear();
    }
    leave_out(&mut wire.working_set_bytes_plus_one);
    leave_out(&mut wire.memory_after_cpu_ms);
    leave_out(&mut wire.started_before_ms_plus_one);
    leave_out(&mut wire.swap_bytes_plus_one);
    wire
}

/// Empties a column that says nothing.
fn leave_out<T: PartialEq + Default>(column: &mut Vec<T>) {
    let nothing = T::default();
    if column.iter().all(|value| *value == nothing) {
        column.clear();
    }
}

fn node_to_wire(point: &NodePoint, base: i64) -> v1::NodePoint {
    v1::NodePoint {
        cpu_nanos: point.cpu.map(|cpu| cpu.total.0),
        cpu_at_ms: point.cpu.map_or(0, |cpu| after(cpu.at, base)),
        working_set_bytes: point.memory.map(|memory| memory.working_set.0),
        memory_at_ms: point.memory.map_or(0, |memory| after(memory.at, base)),
        swap_bytes: point.swap.map(|swap| swap.0),
    }
}

/// The reading of a message, in the order of `roster`, which is the one that
/// the message names.
///
/// # Errors
///
/// [`Invalid`] says which rule of the schema is broken.
pub fn reading_from_wire(wire: &v1::Reading, roster: &WireRoster) -> Result<Reading, Invalid> {
    let node = node_name(&wire.node)?;
    let rows = roster.roster.containers();
    let check = |column, len| match len {
        0 => Ok(()),
        len if len == rows => Ok(()),
        len => Err(Invalid::Column {
            node: node.clone(),
            column,
            len,
            rows,
        }),
    };
    check("cpu_nanos_plus_one", wire.cpu_nanos_plus_one.len())?;
    check("cpu_at_ms", wire.cpu_at_ms.len())?;
    check(
        "working_set_bytes_plus_one",
        wire.working_set_bytes_plus_one.len(),
    )?;
    check("memory_after_cpu_ms", wire.memory_after_cpu_ms.len())?;
    check(
        "started_before_ms_plus_one",
        wire.started_before_ms_plus_one.len(),
    )?;
    check("swap_bytes_plus_one", wire.swap_bytes_plus_one.len())?;

    let late = |column| Invalid::Time {
        node: node.clone(),
        column,
    };
    let mut columns = Columns::missing(rows);
    for listed in 0..rows {
        let point = point(wire, listed).map_err(late)?;
        let row = match &roster.rows {
            None => Some(listed),
            Some(rows) => rows.get(listed).copied().map(usize::from),
        };
        if let Some(row) = row {
            columns.set(row, &point);
        }
    }
    let point = match &wire.point {
        None => NodePoint::default(),
        Some(point) => node_from_wire(point, wire.base_ms).map_err(late)?,
    };
    Ok(Reading {
        roster: std::sync::Arc::clone(&roster.roster),
        asked_at: Timestamp::from_millis(wire.asked_at_ms),
        point,
        columns,
        remarks: remarks(wire, roster, &node)?,
        node,
    })
}

fn remarks(wire: &v1::Reading, roster: &WireRoster, node: &NodeName) -> Result<Remarks, Invalid> {
    let reasons = wire.withheld_reasons();
    let withheld = wire.withheld_rows.iter().zip(reasons);
    let withheld = withheld.filter_map(|(listed, reason)| {
        let reason = withheld_from_wire(reason)?;
        let row = match &roster.rows {
            None => *listed,
            Some(rows) => u32::from(*rows.get(usize::try_from(*listed).ok()?)?),
        };
        Some((row, reason))
    });
    let mut withheld: Vec<(u32, NoUsage)> = withheld.collect();
    withheld.sort_by_key(|(row, _)| *row);
    Ok(Remarks {
        withheld: withheld.into(),
        unreadable: unreadable(wire, node)?,
        node_cpu_millis: Some(wire.node_cpu_millis).filter(|millis| *millis > 0),
        is_stamped_by_scraper: wire.stamped_by_publisher,
        endpoint: endpoint_from_wire(wire.endpoint()),
    })
}

fn unreadable(wire: &v1::Reading, node: &NodeName) -> Result<Box<[PodKey]>, Invalid> {
    let unreadable = wire.unreadable_pods.iter().take(Remarks::MAX_UNREADABLE);
    let key = |pod: &PodName| {
        let is_name = is_dns_label(&pod.namespace) && is_dns_subdomain(&pod.name);
        is_name.then(|| PodKey::new(pod.namespace.as_str(), pod.name.as_str()))
    };
    let unreadable: Option<BTreeSet<PodKey>> = unreadable.map(key).collect();
    let unreadable = unreadable.ok_or_else(|| Invalid::PodName { node: node.clone() })?;
    Ok(unreadable.into_iter().collect())
}

fn withheld_to_wire(reason: NoUsage) -> Withheld {
    match reason {
        NoUsage::ReportedTwice => Withheld::ReportedTwice,
        NoUsage::BadValue => Withheld::BadValue,
        _ => Withheld::Unspecified,
    }
}

fn withheld_from_wire(reason: Withheld) -> Option<NoUsage> {
    match reason {
        Withheld::Unspecified => None,
        Withheld::ReportedTwice => Some(NoUsage::ReportedTwice),
        Withheld::BadValue => Some(NoUsage::BadValue),
    }
}

fn endpoint_to_wire(endpoint: Endpoint) -> WireEndpoint {
    match endpoint {
        Endpoint::Resource => WireEndpoint::Unspecified,
        Endpoint::ResourceV1alpha1 => WireEndpoint::ResourceV1alpha1,
        Endpoint::StatsSummary => WireEndpoint::StatsSummary,
    }
}

fn endpoint_from_wire(endpoint: WireEndpoint) -> Endpoint {
    match endpoint {
        WireEndpoint::Unspecified => Endpoint::Resource,
        WireEndpoint::ResourceV1alpha1 => Endpoint::ResourceV1alpha1,
        WireEndpoint::StatsSummary => Endpoint::StatsSummary,
    }
}

/// Says which column holds a time that does not fit.
type OutOfRange = &'static str;

fn point(wire: &v1::Reading, row: usize) -> Result<ContainerPoint, OutOfRange> {
    let base = wire.base_ms;
    let cpu_after = cell(&wire.cpu_at_ms, row);
    let cpu = minus_one(cell(&wire.cpu_nanos_plus_one, row));
    let cpu = cpu_point(cpu, at(base, Some(cpu_after)), "cpu_at_ms")?;
    let since = if cpu.is_some() { cpu_after } else { 0 };
    let memory_after = since.checked_add(cell(&wire.memory_after_cpu_ms, row));
    let memory = minus_one(cell(&wire.working_set_bytes_plus_one, row));
    let started = match minus_one(cell(&wire.started_before_ms_plus_one, row)) {
        None => None,
        Some(before) => {
            let after = unzigzag(before).checked_neg();
            Some(at(base, after).ok_or("started_before_ms_plus_one")?)
        }
    };
    Ok(ContainerPoint {
        cpu,
        memory: memory_point(memory, at(base, memory_after), "memory_after_cpu_ms")?,
        started,
        swap: minus_one(cell(&wire.swap_bytes_plus_one, row)).map(Bytes),
    })
}

fn node_from_wire(wire: &v1::NodePoint, base: i64) -> Result<NodePoint, OutOfRange> {
    let cpu_at = at(base, Some(wire.cpu_at_ms));
    let memory_at = at(base, Some(wire.memory_at_ms));
    Ok(NodePoint {
        cpu: cpu_point(wire.cpu_nanos, cpu_at, "point.cpu_at_ms")?,
        memory: memory_point(wire.working_set_bytes, memory_at, "point.memory_at_ms")?,
        swap: wire.swap_bytes.map(Bytes),
    })
}

fn cpu_point(
    total: Option<u64>,
    at: Option<Timestamp>,
    column: OutOfRange,
) -> Result<Option<CpuPoint>, OutOfRange> {
    let Some(total) = total.map(CoreNanos) else {
        return Ok(None);
    };
    let at = at.ok_or(column)?;
    Ok(Some(CpuPoint { total, at }))
}

fn memory_point(
    bytes: Option<u64>,
    at: Option<Timestamp>,
    column: OutOfRange,
) -> Result<Option<MemoryPoint>, OutOfRange> {
    let Some(working_set) = bytes.map(Bytes) else {
        return Ok(None);
    };
    let at = at.ok_or(column)?;
    Ok(Some(MemoryPoint { working_set, at }))
}

fn cell<T: Copy + Default>(column: &[T], row: usize) -> T {
    column.get(row).copied().unwrap_or_default()
}

fn after(at: Timestamp, base: i64) -> i64 {
    at.as_millis().saturating_sub(base)
}

/// The moment `after` the base. The smallest time of all is no time, so that a
/// column can use it for "never".
fn at(base: i64, after: Option<i64>) -> Option<Timestamp> {
    let millis = base.checked_add(after?)?;
    (millis != i64::MIN).then(|| Timestamp::from_millis(millis))
}

/// The largest value of all is no value: see [`Columns`].
fn plus_one(value: Option<u64>) -> u64 {
    value.map_or(0, |value| value.saturating_add(1))
}

fn minus_one(value: u64) -> Option<u64> {
    value.checked_sub(1)
}

/// Small numbers of either sign to small numbers, as protobuf's sint64 does.
fn zigzag(value: i64) -> u64 {
    let doubled = value.unsigned_abs().wrapping_mul(2);
    if value < 0 {
        doubled.wrapping_sub(1)
    } else {
        doubled
    }
}

fn unzigzag(value: u64) -> i64 {
    let half = (value / 2).cast_signed();
    if value.is_multiple_of(2) { half } else { !half }
}

#[cfg(test)]
mod tests;
