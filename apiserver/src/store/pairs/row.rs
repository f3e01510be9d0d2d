//! What is held of one container.

use std::time::Duration;

use tributary_model::{
    Asked, Bytes, ContainerPoint, CoreNanos, CpuPoint, NoUsage, Rules, SLACK, Series, Sight,
    Timestamp, Usage,
};

/// A [`Series`], and the memory and swap of its newest page.
///
/// One cache line. Columns would be smaller to go through, and readings come as such; but a list takes containers in the
/// order of the names of their pods, so each is anywhere in memory, and every column would be another line to wait for.
///
/// # Invariants
///
/// What is missing is [`MISSING`], or [`NEVER`] for a time, as in [`Columns`](tributary_model::Columns), which refuse
/// these as values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub(in crate::store) struct Row {
    cpu: Cpu,
    earlier: Cpu,
    memory: u64,
    started: i64,
    swap: u64,
    seen: Seen,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cpu {
    total: u64,
    at: i64,
}

/// When the newest sample was first seen, and what there is to say of the series: 46
/// bits of milliseconds since the Unix epoch, 16 bits for the gap, two flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen(u64);

const MISSING: u64 = u64::MAX;
const NEVER: i64 = i64::MIN;

/// The unit of a gap in milliseconds. The longest that can be told is two hours less
/// eleven minutes.
const GAP_UNIT: u64 = 100;
const GAP_MAX: u64 = 0xffff;
const GAP_SHIFT: u32 = 2;
const AT_SHIFT: u32 = 18;
const IS_STEPPED: u64 = 2;
const IS_MISSING: u64 = 1;
const FLAGS: u64 = IS_STEPPED | IS_MISSING;

/// When a page was asked for, in the form in which rows want it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page {
    asked: Asked,
    at: i64,
    /// How much longer than between two moments of asking it may be between two
    /// stamps, and how much shorter; beside the gap of the sample before.
    longer: i64,
    shorter: i64,
    /// The shortest window of a pair.
    least: i64,
    seen: u64,
}

impl Page {
    pub(super) fn new(asked: Asked) -> Self {
        let gap = asked.gap.map_or(0, millis);
        let seen = Seen::pack(asked.at, asked.gap.unwrap_or_default());
        Self {
            asked,
            at: asked.at.as_millis(),
            longer: millis(SLACK),
            shorter: gap.saturating_add(millis(SLACK)),
            least: millis(asked.resolution / Series::LEAST_PART).max(1),
            seen: seen.0,
        }
    }
}

impl Row {
    /// A first point.
    pub(super) fn first(point: &ContainerPoint, page: &Page) -> Self {
        let series = Series::first(point.cpu, point.started, page.asked);
        Self::new(&series, point)
    }

    fn new(series: &Series, point: &ContainerPoint) -> Self {
        let memory = point.memory.map(|memory| memory.working_set.0);
        Self {
            cpu: series.newest.into(),
            earlier: series.earlier.into(),
            memory: memory.unwrap_or(MISSING),
            started: series.started.map_or(NEVER, Timestamp::as_millis),
            swap: point.swap.map_or(MISSING, |Bytes(swap)| swap),
            seen: Seen::new(series),
        }
    }

    /// Takes in a point of the page that was asked for last. Returns whether its clock
    /// turns out to be set.
    pub(super) fn take(&mut self, point: &ContainerPoint, page: &Page) -> bool {
        if let Some(next) = self.next(point, page) {
            *self = next;
            return false;
        }
        let before = *self;
        let mut series = self.series();
        series.take(point.cpu, point.started, page.asked);
        *self = Self::new(&series, point);
        let went_back = self.cpu.at < before.cpu.at;
        went_back || (self.is_stepped() && !before.is_stepped())
    }

    /// What [`Series::take`] makes of a row in the most frequent case, in which one
    /// ordinary sample follows another; `None` in any other.
    fn next(&self, point: &ContainerPoint, page: &Page) -> Option<Self> {
        let cpu = point.cpu?;
        let (total, at) = (cpu.total.0, cpu.at.as_millis());
        let is_known = self.seen.0 & FLAGS == 0 && page.asked.gap.is_some();
        // Without a sample before this is out of range.
        let stamped = at.checked_sub(self.cpu.at)?;
        let passed = page.at - self.seen.at().as_millis();
        let gap = self.seen.gap_millis();
        let fits = passed >= 0
            && stamped >= page.least
            && stamped <= passed + gap + page.longer
            && stamped + page.shorter >= passed;
        let runs_on = total >= self.cpu.total
            && point
                .started
                .is_none_or(|started| started.as_millis() < self.cpu.at);
        (is_known && fits && runs_on).then(|| Self {
            cpu: Cpu { total, at },
            earlier: self.cpu,
            memory: point.memory.map_or(MISSING, |memory| memory.working_set.0),
            started: point.started.map_or(NEVER, Timestamp::as_millis),
            swap: point.swap.map_or(MISSING, |Bytes(swap)| swap),
            seen: Seen(page.seen),
        })
    }

    /// Takes in a point of a page that was asked for before the newest one.
    pub(super) fn take_older(&mut self, point: &ContainerPoint, page: &Page) {
        let held = self.cpu;
        let mut series = self.series();
        series.take_older(point.cpu, point.started, page.asked);
        let mut row = Self::new(&series, point);
        if row.cpu == held {
            // Memory and swap belong to the newest sample.
            (row.memory, row.swap) = (self.memory, self.swap);
        }
        *self = row;
    }

    /// It, when the page that was asked for last does not have it.
    pub(super) fn missed(mut self) -> Self {
        self.seen.0 |= IS_MISSING;
        self
    }

    /// The usage, if there is one.
    pub(in crate::store) fn usage(&self, rules: Rules) -> Result<Usage, NoUsage> {
        let [memory, swap] = [self.memory, self.swap].map(bytes);
        let is_whole = self.seen.0 & FLAGS == 0
            && !matches!(self.memory, 0 | MISSING)
            && !matches!(self.cpu.total, 0 | MISSING);
        // The frequent case, without a detour.
        if is_whole && let (Some(earlier), Some(newest)) = (self.earlier.into(), self.cpu.into()) {
            let memory = Bytes(self.memory);
            return Usage::of_pair(&earlier, &newest, memory, swap, rules.most);
        }
        Usage::of(&self.series(), memory, swap, rules)
    }

    /// When its newest sample was first seen.
    pub(in crate::store) fn seen_at(&self) -> Timestamp {
        self.seen.at()
    }

    /// Whether the clock of its samples was set, as far as is known.
    pub(super) fn is_stepped(&self) -> bool {
        self.seen.0 & IS_STEPPED != 0
    }

    pub(super) fn series(&self) -> Series {
        let newest: Option<CpuPoint> = self.cpu.into();
        Series {
            newest,
            earlier: self.earlier.into(),
            started: time(self.started),
            sight: newest.map(|_| Sight {
                at: self.seen.at(),
                gap: self.seen.gap(),
            }),
            is_stepped: self.is_stepped(),
            is_missing: self.seen.0 & IS_MISSING != 0,
        }
    }
}

impl Seen {
    fn new(series: &Series) -> Self {
        let seen = series
            .sight
            .map_or(Self(0), |sight| Self::pack(sight.at, sight.gap));
        let flags = if series.is_stepped { IS_STEPPED } else { 0 }
            | if series.is_missing { IS_MISSING } else { 0 };
        Self(seen.0 | flags)
    }

    fn pack(at: Timestamp, gap: Duration) -> Self {
        let at = u64::try_from(at.as_millis()).unwrap_or(0);
        let gap = u64::try_from(gap.as_millis()).unwrap_or(u64::MAX);
        let gap = gap.div_ceil(GAP_UNIT).min(GAP_MAX);
        Self((at << AT_SHIFT) | (gap << GAP_SHIFT))
    }

    fn at(self) -> Timestamp {
        Timestamp::from_millis((self.0 >> AT_SHIFT).cast_signed())
    }

    fn gap_millis(self) -> i64 {
        (((self.0 >> GAP_SHIFT) & GAP_MAX) * GAP_UNIT).cast_signed()
    }

    fn gap(self) -> Duration {
        Duration::from_millis(self.gap_millis().unsigned_abs())
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

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis())
        .unwrap_or(i64::MAX / 4)
        .min(i64::MAX / 4)
}

fn bytes(value: u64) -> Option<Bytes> {
    (value != MISSING).then_some(Bytes(value))
}

#[cfg(test)]
mod tests;
