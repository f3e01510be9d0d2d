//! The numbers of one scrape, as columns in roster order.

use std::sync::Arc;

use crate::{
    endpoint::Endpoint,
    names::{NodeName, PodKey},
    roster::Roster,
    units::{Bytes, CoreNanos, Timestamp},
    usage::NoUsage,
};

/// A CPU total and the kubelet's own time of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuPoint {
    /// Cumulative CPU time.
    pub total: CoreNanos,
    /// When the kubelet measured it, by the clock of its stamp: the node's, as far as is known.
    pub at: Timestamp,
}

/// A working set and the kubelet's own time of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryPoint {
    /// Bytes in the working set.
    pub working_set: Bytes,
    /// When the kubelet measured it, by the clock of its stamp: the node's, as far as is known.
    pub at: Timestamp,
}

/// What one page says of the node itself. `None` is "not reported".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodePoint {
    /// `node_cpu_usage_seconds_total`
    pub cpu: Option<CpuPoint>,
    /// `node_memory_working_set_bytes`
    pub memory: Option<MemoryPoint>,
    /// `node_swap_usage_bytes`
    pub swap: Option<Bytes>,
}

/// What one page says of one container. `None` is "not reported".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContainerPoint {
    /// `container_cpu_usage_seconds_total`
    pub cpu: Option<CpuPoint>,
    /// `container_memory_working_set_bytes`
    pub memory: Option<MemoryPoint>,
    /// `container_start_time_seconds`, cut to milliseconds.
    pub started: Option<Timestamp>,
    /// `container_swap_usage_bytes`
    pub swap: Option<Bytes>,
}

/// One scrape of one node: its roster, and the numbers in roster order.
///
/// Immutable once made, so that it is shared, not copied, between the replay
/// memory and every mailbox.
#[derive(Debug, PartialEq, Eq)]
pub struct Reading {
    /// The node, by the name of its Node object and not by what the page says.
    pub node: NodeName,
    /// Which containers the columns are about.
    pub roster: Arc<Roster>,
    /// When the kubelet was asked, by the scraper's clock.
    pub asked_at: Timestamp,
    /// The node's own point.
    pub point: NodePoint,
    /// The containers' points.
    pub columns: Columns,
    /// What else there is to say of the numbers.
    pub remarks: Remarks,
}

/// What a scraper says of the numbers of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remarks {
    /// Why containers have no value, in the order of their rows, where more is known
    /// than that they have none.
    pub withheld: Box<[(u32, NoUsage)]>,
    /// How many CPUs the node has, in thousandths, if it is known.
    pub node_cpu_millis: Option<u64>,
    /// Pods that are on the page and not in the roster, since the name of a container
    /// cannot be used: sorted, each once, [`Remarks::MAX_UNREADABLE`] at most.
    pub unreadable: Box<[PodKey]>,
    /// Whether samples that are stamped with `asked_at` have this time for want of
    /// one on the page: then it is of the scraper's clock, and of no kubelet's.
    pub is_stamped_by_scraper: bool,
    /// Where on the kubelet the numbers are from.
    pub endpoint: Endpoint,
}

impl Remarks {
    /// Of how many pods of a node it is said that they cannot be read.
    pub const MAX_UNREADABLE: usize = 64;

    /// Whether the page had this pod, with a container whose name cannot be used.
    pub fn is_unreadable(&self, pod: &PodKey) -> bool {
        self.unreadable.binary_search(pod).is_ok()
    }
}

impl Reading {
    /// Sets when the kubelet was asked, by another clock. Samples that have this time
    /// for want of one on the page move with it, so that those which two scrapers
    /// stamped are of one clock. Their containers lose the start, which is of the
    /// kubelet's clock and not of this one.
    pub fn set_asked_at(&mut self, at: Timestamp) {
        let was = std::mem::replace(&mut self.asked_at, at);
        if !self.remarks.is_stamped_by_scraper {
            return;
        }
        if let Some(cpu) = self.point.cpu.as_mut().filter(|cpu| cpu.at == was) {
            cpu.at = at;
        }
        let (was, at) = (was.as_millis(), at.as_millis());
        let Columns {
            cpu_at, started, ..
        } = &mut self.columns;
        let rows = cpu_at.iter_mut().zip(started);
        for (stamp, started) in rows.filter(|(stamp, _)| **stamp == was) {
            (*stamp, *started) = (at, NEVER);
        }
    }

    /// The newest kubelet time in this reading; `None` if it has no sample.
    ///
    /// For people and counters only: readings are ordered by when they were asked for, and each
    /// container's samples by stamps of their own (docs/decisions/0026-time.md).
    pub fn newest_at(&self) -> Option<Timestamp> {
        let node = self.point.cpu.map(|cpu| cpu.at);
        node.max(self.columns.newest_at())
    }
}

/// Points of containers, one column per quantity.
///
/// # Invariants
///
/// All columns have the same length, the number of containers of the roster.
/// A value that is missing is [`MISSING`], or [`NEVER`] for a time; neither
/// can be a value, because whoever fills a column refuses them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    cpu: Vec<u64>,
    cpu_at: Vec<i64>,
    memory: Vec<u64>,
    memory_at: Vec<i64>,
    started: Vec<i64>,
    swap: Vec<u64>,
}

const MISSING: u64 = u64::MAX;
const NEVER: i64 = i64::MIN;

impl Columns {
    /// Columns for this many containers, nothing reported yet.
    pub fn missing(containers: usize) -> Self {
        let mut columns = Self::default();
        columns.reset(containers);
        columns
    }

    /// Makes these columns for this many containers again, nothing reported,
    /// keeping the memory.
    pub fn reset(&mut self, containers: usize) {
        for column in [&mut self.cpu, &mut self.memory, &mut self.swap] {
            column.clear();
            column.resize(containers, MISSING);
        }
        for column in [&mut self.cpu_at, &mut self.memory_at, &mut self.started] {
            column.clear();
            column.resize(containers, NEVER);
        }
    }

    /// How many containers.
    pub fn len(&self) -> usize {
        self.cpu.len()
    }

    /// Whether there are no containers.
    pub fn is_empty(&self) -> bool {
        self.cpu.is_empty()
    }

    /// The point of the container in `row`; all missing if there is no such row.
    pub fn point(&self, row: usize) -> ContainerPoint {
        ContainerPoint {
            cpu: self.cpu(row),
            memory: value(&self.memory, row)
                .zip(time(&self.memory_at, row))
                .map(|(bytes, at)| MemoryPoint {
                    working_set: Bytes(bytes),
                    at,
                }),
            started: self.started(row),
            swap: value(&self.swap, row).map(Bytes),
        }
    }

    /// The points of all containers, in order.
    pub fn points(&self) -> impl ExactSizeIterator<Item = ContainerPoint> {
        let cpu = self.cpu.iter().zip(&self.cpu_at);
        let memory = self.memory.iter().zip(&self.memory_at);
        let other = self.started.iter().zip(&self.swap);
        let rows = cpu.zip(memory).zip(other);
        rows.map(|(((cpu, cpu_at), (memory, memory_at)), (started, swap))| {
            let cpu = (*cpu != MISSING && *cpu_at != NEVER).then_some(CpuPoint {
                total: CoreNanos(*cpu),
                at: Timestamp::from_millis(*cpu_at),
            });
            let memory = (*memory != MISSING && *memory_at != NEVER).then_some(MemoryPoint {
                working_set: Bytes(*memory),
                at: Timestamp::from_millis(*memory_at),
            });
            ContainerPoint {
                cpu,
                memory,
                started: (*started != NEVER).then_some(Timestamp::from_millis(*started)),
                swap: (*swap != MISSING).then_some(Bytes(*swap)),
            }
        })
    }

    /// The CPU point of the container in `row`.
    pub fn cpu(&self, row: usize) -> Option<CpuPoint> {
        let total = value(&self.cpu, row)?;
        let at = time(&self.cpu_at, row)?;
        Some(CpuPoint {
            total: CoreNanos(total),
            at,
        })
    }

    /// The start time of the container in `row`.
    pub fn started(&self, row: usize) -> Option<Timestamp> {
        time(&self.started, row)
    }

    /// Writes the CPU point of `row`. A total of `u64::MAX` is not a value and
    /// is taken for missing. Rows that do not exist are ignored.
    pub fn set_cpu(&mut self, row: usize, point: Option<CpuPoint>) {
        let (total, at) = match point {
            Some(point) => (point.total.0, point.at.as_millis()),
            None => (MISSING, NEVER),
        };
        put(&mut self.cpu, row, total);
        put(&mut self.cpu_at, row, at);
    }

    /// Writes the memory point of `row`, by the rules of [`Columns::set_cpu`].
    pub fn set_memory(&mut self, row: usize, point: Option<MemoryPoint>) {
        let (bytes, at) = match point {
            Some(point) => (point.working_set.0, point.at.as_millis()),
            None => (MISSING, NEVER),
        };
        put(&mut self.memory, row, bytes);
        put(&mut self.memory_at, row, at);
    }

    /// Writes the start time of `row`, by the rules of [`Columns::set_cpu`].
    pub fn set_started(&mut self, row: usize, at: Option<Timestamp>) {
        put(
            &mut self.started,
            row,
            at.map_or(NEVER, Timestamp::as_millis),
        );
    }

    /// Writes the swap of `row`, by the rules of [`Columns::set_cpu`].
    pub fn set_swap(&mut self, row: usize, swap: Option<Bytes>) {
        put(&mut self.swap, row, swap.map_or(MISSING, |bytes| bytes.0));
    }

    /// Writes all of `row`, by the rules of [`Columns::set_cpu`].
    pub fn set(&mut self, row: usize, point: &ContainerPoint) {
        self.set_cpu(row, point.cpu);
        self.set_memory(row, point.memory);
        self.set_started(row, point.started);
        self.set_swap(row, point.swap);
    }

    /// The newest time of a CPU sample.
    pub fn newest_at(&self) -> Option<Timestamp> {
        let newest = self.cpu_at.iter().copied().max()?;
        (newest != NEVER).then(|| Timestamp::from_millis(newest))
    }
}

fn value(column: &[u64], row: usize) -> Option<u64> {
    column.get(row).copied().filter(|value| *value != MISSING)
}

fn time(column: &[i64], row: usize) -> Option<Timestamp> {
    let millis = column.get(row).copied().filter(|at| *at != NEVER)?;
    Some(Timestamp::from_millis(millis))
}

fn put<T>(column: &mut [T], row: usize, value: T) {
    debug_assert!(row < column.len(), "row {row} of {}", column.len());
    if let Some(cell) = column.get_mut(row) {
        *cell = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_scraper_stamped_moves_with_its_clock_and_has_no_start() {
        let at = Timestamp::from_millis;
        let cpu = |millis| {
            Some(CpuPoint {
                total: CoreNanos(1),
                at: at(millis),
            })
        };
        let made = |is_stamped_by_scraper| {
            let mut columns = Columns::missing(2);
            for (row, millis) in [(0, 1_000), (1, 990)] {
                columns.set_cpu(row, cpu(millis));
                columns.set_started(row, Some(at(5)));
            }
            let mut reading = Reading {
                node: "n1".into(),
                roster: crate::RosterBuilder::default().build(),
                asked_at: at(1_000),
                point: NodePoint {
                    cpu: cpu(1_000),
                    ..NodePoint::default()
                },
                columns,
                remarks: Remarks {
                    is_stamped_by_scraper,
                    ..Remarks::default()
                },
            };
            reading.set_asked_at(at(7_000));
            let stamps = [0, 1].map(|row| reading.columns.cpu(row).unwrap().at);
            let starts = [0, 1].map(|row| reading.columns.started(row));
            (reading.point.cpu, stamps, starts)
        };
        let moved = (cpu(7_000), [at(7_000), at(990)], [None, Some(at(5))]);
        assert_eq!(made(true), moved);
        let same = (cpu(1_000), [at(1_000), at(990)], [Some(at(5)); 2]);
        assert_eq!(made(false), same);
    }

    #[test]
    fn a_pod_that_cannot_be_read_is_known() {
        let unreadable = [("a", "x"), ("a", "y")].map(|(space, pod)| PodKey::new(space, pod));
        let remarks = Remarks {
            unreadable: unreadable.into(),
            ..Remarks::default()
        };
        assert!(remarks.is_unreadable(&PodKey::new("a", "y")));
        assert!(!remarks.is_unreadable(&PodKey::new("b", "x")));
    }

    #[test]
    fn missing_is_not_zero() {
        let mut columns = Columns::missing(2);
        columns.set(
            0,
            &ContainerPoint {
                cpu: Some(CpuPoint {
                    total: CoreNanos(0),
                    at: Timestamp::from_millis(0),
                }),
                memory: None,
                started: None,
                swap: Some(Bytes(0)),
            },
        );
        assert_eq!(columns.point(1), ContainerPoint::default());
        assert_eq!(columns.point(2), ContainerPoint::default());
        assert_eq!(columns.point(0).swap, Some(Bytes(0)));
        let points: Vec<_> = columns.points().collect();
        assert_eq!(points, [columns.point(0), columns.point(1)]);
        assert_eq!(columns.cpu(0).unwrap().total, CoreNanos(0));
        assert_eq!(columns.newest_at(), Some(Timestamp::from_millis(0)));
        columns.reset(1);
        assert_eq!(columns, Columns::missing(1));
        assert_eq!(columns.newest_at(), None);
    }
}
