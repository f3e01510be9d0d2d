//! Lines -> columns.

use std::{collections::BTreeSet, slice};

use tributary_model::{
    Bytes, Columns, CoreNanos, CpuPoint, MemoryPoint, NodePoint, PodKey, Roster, Timestamp,
};

use super::{
    family::Family,
    identity::{Identity, are_verbatim},
    refused::{At, Refusals, Refused},
};
use crate::kubelet::{
    decimal::Decimal,
    exposition::{Exposition, Labels, Line, Sample, Series},
};

/// One page on its way into columns.
#[derive(Debug)]
pub(super) struct Fill<'a> {
    roster: &'a Roster,
    row_refs: slice::Iter<'a, RowRef>,
    layout_source: LayoutSource,
    asked_at: Timestamp,
    filled: Filled,
}

/// What a page said.
#[derive(Debug, Default)]
pub(super) struct Filled {
    pub(super) point: NodePoint,
    pub(super) columns: Columns,
    pub(super) refused: Refusals,
    pub(super) scrape_error: bool,
    /// Whether any number was taken.
    pub(super) is_of_use: bool,
    /// Rows of which the page has two samples that differ.
    pub(super) twice_rows: BTreeSet<u32>,
    /// Rows of which a sample could not be used.
    pub(super) bad_rows: BTreeSet<u32>,
    /// Pods that are left out because the name of a container cannot be used. A page
    /// that has such is learnt each time, so they are those of this page.
    pub(super) unreadable: Box<[PodKey]>,
    /// Whether any sample has the time of asking for want of one of its own.
    pub(super) is_without_times: bool,
    /// Two samples of the node itself differ.
    twice: Twice,
}

/// Of what the node has two samples that differ.
#[derive(Clone, Copy, Debug, Default)]
struct Twice {
    cpu: bool,
    memory: bool,
}

/// What a line about a container is about.
#[derive(Clone, Copy, Debug)]
pub(super) enum RowRef {
    /// The container in this row; a line that makes one.
    Row(u32),
    /// The container in this row; a line that alone makes none.
    Beside(u32),
    /// None in the roster: swap or the start of a container that has nothing else,
    /// or any container of a pod that is left out.
    NotInRoster,
    /// The pod itself, which counts for nothing.
    Pod,
    /// Its labels name no container.
    Unreadable,
}

/// How far the places are to be believed.
#[derive(Clone, Copy, Debug)]
pub(super) enum LayoutSource {
    /// They are this page's.
    Learnt,
    /// They are the last page's.
    Before,
}

/// A page is not as the one before.
#[derive(Clone, Copy, Debug)]
pub(super) struct LayoutChanged;

/// Why a line ended without a number taken.
enum LineOutcome {
    Refused(Refused),
    LayoutChanged,
}

impl From<Refused> for LineOutcome {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

/// The last millisecond of the year 9999, which is as far as RFC 3339 goes.
pub(super) const LAST_MILLI: i64 = 253_402_300_799_999;

impl<'a> Fill<'a> {
    pub(super) fn new(
        roster: &'a Roster,
        row_refs: &'a [RowRef],
        layout_source: LayoutSource,
        asked_at: Timestamp,
    ) -> Self {
        Self {
            roster,
            row_refs: row_refs.iter(),
            layout_source,
            asked_at,
            filled: Filled::new(roster.containers()),
        }
    }

    pub(super) fn page(mut self, page: &[u8]) -> Result<Filled, LayoutChanged> {
        for line in Exposition::new(page) {
            let Some(family) = Family::of(line.name) else {
                continue;
            };
            match self.line(family, &line) {
                Ok(()) => {}
                Err(LineOutcome::Refused(refused)) => {
                    let at = At::Line(line.number);
                    self.filled.refused.add(refused, at, line.text);
                }
                Err(LineOutcome::LayoutChanged) => return Err(LayoutChanged),
            }
        }
        // What was there and is gone leaves places over.
        if self.row_refs.len() > 0 {
            return Err(LayoutChanged);
        }
        Ok(self.filled)
    }

    fn line(&mut self, family: Family, line: &Line<'_>) -> Result<(), LineOutcome> {
        let series = line.series().map_err(|_| Refused::Malformed)?;
        match family {
            Family::NodeCpu | Family::NodeMemory | Family::NodeSwap => {
                self.node(family, &series)?;
            }
            Family::ScrapeError => {
                let value = Decimal::parse(sample(&series)?.value).map_err(Refused::from)?;
                self.filled.scrape_error |= value.scaled(0) != Ok(0);
                return Ok(());
            }
            Family::ContainerCpu
            | Family::ContainerMemory
            | Family::ContainerStart
            | Family::ContainerSwap => {
                let Some(row) = self.row(family, series.labels)? else {
                    return Ok(());
                };
                self.container(family, row, &series)?;
            }
        }
        self.filled.is_of_use = true;
        Ok(())
    }

    /// The row of a line; `None` if it is about nothing in the roster.
    fn row(&mut self, family: Family, labels: Labels<'_>) -> Result<Option<usize>, LineOutcome> {
        let row_ref = *self.row_refs.next().ok_or(LineOutcome::LayoutChanged)?;
        let row = match row_ref {
            RowRef::Row(row) | RowRef::Beside(row) => usize::try_from(row).ok(),
            RowRef::NotInRoster | RowRef::Pod | RowRef::Unreadable => None,
        };
        // A row stands while a line that makes it does: another line in the place of one
        // is another page, and the other way round.
        let makes_a_row = family.makes_a_row();
        if matches!(
            (row_ref, makes_a_row),
            (RowRef::Row(_), false) | (RowRef::Beside(_), true)
        ) {
            return Err(LineOutcome::LayoutChanged);
        }
        let names = || Identity::read(labels)?.names();
        let is = |row| Identity::read(labels).is_ok_and(|it| it.is(self.roster, row));
        let as_before = match (self.layout_source, row_ref, row) {
            (LayoutSource::Learnt, RowRef::Unreadable, _) => {
                names()?;
                false
            }
            (LayoutSource::Learnt, ..) => true,
            (LayoutSource::Before, _, Some(row)) => {
                are_verbatim(labels, self.roster, row) || is(row)
            }
            (_, RowRef::Pod, _) => Identity::read(labels).is_ok_and(|it| it.is_of_the_pod()),
            (_, RowRef::NotInRoster, _) if !makes_a_row => {
                names().is_ok_and(|names| names.row(self.roster).is_none())
            }
            // Whether a pod must still be left out is for `learn` to say.
            (_, _, None) => false,
        };
        if as_before {
            Ok(row)
        } else {
            Err(LineOutcome::LayoutChanged)
        }
    }

    fn node(&mut self, family: Family, series: &Series<'_>) -> Result<(), Refused> {
        let sample = sample(series)?;
        let filled = &mut self.filled;
        match family {
            Family::NodeCpu => filled.take_node_cpu(cpu(&sample, self.asked_at)?)?,
            Family::NodeMemory => filled.take_node_memory(memory(&sample, self.asked_at)?)?,
            _ => return filled.take_node_swap(bytes(amount(&sample, 0)?)?),
        }
        filled.is_without_times |= sample.at.is_none();
        Ok(())
    }

    fn container(
        &mut self,
        family: Family,
        row: usize,
        series: &Series<'_>,
    ) -> Result<(), Refused> {
        let sample = sample(series)?;
        let filled = &mut self.filled;
        match family {
            Family::ContainerCpu => filled.take_cpu(row, cpu(&sample, self.asked_at))?,
            Family::ContainerMemory => filled.take_memory(row, memory(&sample, self.asked_at))?,
            Family::ContainerStart => return filled.take_started(row, started(&sample)?),
            _ => return filled.take_swap(row, bytes(amount(&sample, 0)?)?),
        }
        filled.is_without_times |= sample.at.is_none();
        Ok(())
    }
}

/// What counts of numbers, whatever page they stood on.
impl Filled {
    /// Nothing yet of this many containers.
    pub(super) fn new(containers: usize) -> Self {
        Self {
            columns: Columns::missing(containers),
            ..Self::default()
        }
    }

    pub(super) fn take_node_cpu(&mut self, cpu: CpuPoint) -> Result<(), Refused> {
        only(&mut self.point.cpu, &mut self.twice.cpu, cpu)
    }

    pub(super) fn take_node_memory(&mut self, memory: MemoryPoint) -> Result<(), Refused> {
        only(&mut self.point.memory, &mut self.twice.memory, memory)
    }

    pub(super) fn take_node_swap(&mut self, swap: Bytes) -> Result<(), Refused> {
        first(self.point.swap.is_some())?;
        self.point.swap = Some(swap);
        Ok(())
    }

    pub(super) fn take_cpu(
        &mut self,
        row: usize,
        cpu: Result<CpuPoint, Refused>,
    ) -> Result<(), Refused> {
        let cpu = cpu.map_err(|refused| self.bad_value(row, refused))?;
        match self.columns.cpu(row) {
            None if self.twice_rows.is_empty() => {}
            stored => self.again(row, stored == Some(cpu), stored.is_some())?,
        }
        self.columns.set_cpu(row, Some(cpu));
        Ok(())
    }

    pub(super) fn take_memory(
        &mut self,
        row: usize,
        memory: Result<MemoryPoint, Refused>,
    ) -> Result<(), Refused> {
        let memory = memory.map_err(|refused| self.bad_value(row, refused))?;
        match self.columns.point(row).memory {
            None if self.twice_rows.is_empty() => {}
            stored => self.again(row, stored == Some(memory), stored.is_some())?,
        }
        self.columns.set_memory(row, Some(memory));
        Ok(())
    }

    /// Of two starts the later one: nobody goes back to a run that is over.
    pub(super) fn take_started(&mut self, row: usize, started: Timestamp) -> Result<(), Refused> {
        let stored = self.columns.started(row);
        self.columns.set_started(row, stored.max(Some(started)));
        first(stored.is_some())
    }

    pub(super) fn take_swap(&mut self, row: usize, swap: Bytes) -> Result<(), Refused> {
        first(self.columns.point(row).swap.is_some())?;
        self.columns.set_swap(row, Some(swap));
        Ok(())
    }

    /// A second sample of a container, or one of a container that has two: the same is
    /// ignored, and another one makes that it has none. One of the two is of a run
    /// that is over, and nobody knows which.
    #[cold]
    fn again(&mut self, row: usize, is_same: bool, is_stored: bool) -> Result<(), Refused> {
        let number = u32::try_from(row).unwrap_or(u32::MAX);
        let is_twice = self.twice_rows.contains(&number);
        if !is_stored && !is_twice {
            return Ok(());
        }
        if !is_same && !is_twice {
            self.twice_rows.insert(number);
            self.columns.set_cpu(row, None);
            self.columns.set_memory(row, None);
        }
        Err(Refused::Duplicate)
    }

    #[cold]
    fn bad_value(&mut self, row: usize, refused: Refused) -> Refused {
        let number = u32::try_from(row).unwrap_or(u32::MAX);
        self.bad_rows.insert(number);
        refused
    }
}

/// Takes the only sample of its kind: two that differ are none.
fn only<T: PartialEq>(slot: &mut Option<T>, twice: &mut bool, value: T) -> Result<(), Refused> {
    if *twice {
        return Err(Refused::Duplicate);
    }
    match slot {
        None => {
            *slot = Some(value);
            Ok(())
        }
        Some(stored) => {
            *twice = *stored != value;
            if *twice {
                *slot = None;
            }
            Err(Refused::Duplicate)
        }
    }
}

fn sample<'a>(series: &Series<'a>) -> Result<Sample<'a>, Refused> {
    series.sample().ok_or(Refused::Malformed)
}

fn first(taken: bool) -> Result<(), Refused> {
    if taken {
        Err(Refused::Duplicate)
    } else {
        Ok(())
    }
}

fn amount(sample: &Sample<'_>, shift: i32) -> Result<u64, Refused> {
    let number = Decimal::parse(sample.value)?;
    Ok(number.scaled(shift)?)
}

/// So many bytes, if a node may have them.
pub(super) fn bytes(value: u64) -> Result<Bytes, Refused> {
    let bytes = Some(Bytes(value)).filter(|bytes| *bytes <= Bytes::MOST);
    bytes.ok_or(Refused::Overflow)
}

fn cpu(sample: &Sample<'_>, asked_at: Timestamp) -> Result<CpuPoint, Refused> {
    Ok(CpuPoint {
        total: CoreNanos(amount(sample, 9)?),
        at: time(sample, asked_at)?,
    })
}

fn memory(sample: &Sample<'_>, asked_at: Timestamp) -> Result<MemoryPoint, Refused> {
    Ok(MemoryPoint {
        working_set: bytes(amount(sample, 0)?)?,
        at: time(sample, asked_at)?,
    })
}

/// The value is the time; its own timestamp is ignored (docs/parity.md#decoding).
fn started(sample: &Sample<'_>) -> Result<Timestamp, Refused> {
    let millis = i64::try_from(amount(sample, 3)?).map_err(|_| Refused::Overflow)?;
    match millis {
        ..=LAST_MILLI => Ok(Timestamp::from_millis(millis)),
        _ => Err(Refused::Overflow),
    }
}

fn time(sample: &Sample<'_>, asked_at: Timestamp) -> Result<Timestamp, Refused> {
    let Some(at) = sample.at else {
        return Ok(asked_at);
    };
    let millis = at.iter().try_fold(0_i64, |millis, byte| match byte {
        b'0'..=b'9' => millis.checked_mul(10)?.checked_add(i64::from(byte - b'0')),
        _ => None,
    });
    millis
        .filter(|millis| *millis <= LAST_MILLI)
        .map(Timestamp::from_millis)
        .ok_or(Refused::BadTimestamp)
}
