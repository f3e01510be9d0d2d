//! What is held of one container.

use tributary_model::{Bytes, ContainerPoint, CoreNanos, CpuPoint, MemoryPoint, Timestamp};

/// The newest point of a container, and the CPU of the one that makes a pair with it.
///
/// One cache line. Columns would be smaller to go through, and readings come as such; but a list takes containers in the
/// order of the names of their pods, so each is anywhere in memory, and every column would be another line to wait for.
///
/// # Invariants
///
/// What is missing is [`MISSING`], or [`NEVER`] for a time, as in [`Columns`](tributary_model::Columns), which refuse
/// these as values.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(in crate::store) struct Row {
    cpu: Cpu,
    before: Cpu,
    memory: u64,
    memory_at: i64,
    started: i64,
    swap: u64,
}

#[derive(Clone, Copy, Debug)]
struct Cpu {
    total: u64,
    at: i64,
}

const MISSING: u64 = u64::MAX;
const NEVER: i64 = i64::MIN;

impl Row {
    /// A point, with the earlier one that it has.
    pub(super) fn new(point: &ContainerPoint, before: Option<CpuPoint>) -> Self {
        let memory = point.memory.map(|memory| (memory.working_set.0, memory.at));
        let (memory, memory_at) = memory.unzip();
        Self {
            cpu: point.cpu.into(),
            before: before.into(),
            memory: memory.unwrap_or(MISSING),
            memory_at: memory_at.map_or(NEVER, Timestamp::as_millis),
            started: point.started.map_or(NEVER, Timestamp::as_millis),
            swap: point.swap.map_or(MISSING, |Bytes(swap)| swap),
        }
    }

    /// The newest point.
    pub(in crate::store) fn point(&self) -> ContainerPoint {
        let memory = |at| MemoryPoint {
            working_set: Bytes(self.memory),
            at,
        };
        ContainerPoint {
            cpu: self.cpu(),
            memory: time(self.memory_at).map(memory),
            started: self.started(),
            swap: (self.swap != MISSING).then_some(Bytes(self.swap)),
        }
    }

    /// The CPU of the newest point.
    pub(in crate::store) fn cpu(&self) -> Option<CpuPoint> {
        self.cpu.into()
    }

    /// The CPU of the earlier point.
    pub(in crate::store) fn before(&self) -> Option<CpuPoint> {
        self.before.into()
    }

    pub(super) fn set_before(&mut self, before: Option<CpuPoint>) {
        self.before = before.into();
    }

    /// When the container started.
    pub(in crate::store) fn started(&self) -> Option<Timestamp> {
        time(self.started)
    }
}

impl From<Option<CpuPoint>> for Cpu {
    fn from(point: Option<CpuPoint>) -> Self {
        match point {
            Some(CpuPoint { total, at }) => Self {
                total: total.0,
                at: at.as_millis(),
            },
            None => Self {
                total: MISSING,
                at: NEVER,
            },
        }
    }
}

impl From<Cpu> for Option<CpuPoint> {
    fn from(cpu: Cpu) -> Self {
        let total = CoreNanos(cpu.total);
        time(cpu.at).map(|at| CpuPoint { total, at })
    }
}

fn time(millis: i64) -> Option<Timestamp> {
    (millis != NEVER).then(|| Timestamp::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_what_it_was_made_of_and_one_cache_line() {
        assert_eq!(size_of::<Row>(), 64);
        let cpu = |total| CpuPoint {
            total: CoreNanos(total),
            at: Timestamp::from_millis(0),
        };
        let whole = ContainerPoint {
            cpu: Some(cpu(0)),
            memory: Some(MemoryPoint {
                working_set: Bytes(0),
                at: Timestamp::from_millis(1),
            }),
            started: Some(Timestamp::from_millis(-1)),
            swap: Some(Bytes(0)),
        };
        let row = Row::new(&whole, Some(cpu(7)));
        assert_eq!(row.point(), whole);
        assert_eq!((row.cpu(), row.before()), (Some(cpu(0)), Some(cpu(7))));
        let row = Row::new(&ContainerPoint::default(), None);
        assert_eq!(row.point(), ContainerPoint::default());
        assert_eq!((row.cpu(), row.before()), (None, None));
    }
}
