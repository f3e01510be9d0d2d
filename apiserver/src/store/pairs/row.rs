//! What is stored of one container.

use std::{cmp::Ordering, time::Duration};

use tributary_model::{
    Asked, Between, Bytes, ContainerPoint, CoreNanos, CpuPoint, NoUsage, Rules, SLACK, Series,
    Sight, Timestamp, Usage,
};

use super::between::Place;

/// A [`Series`], and the memory and swap of its newest page. The points between those of
/// the pair, of which most series have none, are in a [`Place`] beside it.
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
    started: i64,
    beside: Beside,
    seen: Seen,
}

/// Memory and swap: 48 bits each for the bytes, and in the other 16 bits of each one
/// half of how long after the CPU sample that of memory was, in milliseconds. By that
/// time it is told which of two that come with the same CPU sample is the newer one, in
/// whatever order they arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Beside {
    memory: u64,
    swap: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cpu {
    total: u64,
    at: i64,
}

/// When the newest sample was first seen, and what there is to say of the series: 44
/// bits of milliseconds since the Unix epoch, 16 bits for the gap, four flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen(u64);

const MISSING: u64 = u64::MAX;
const NEVER: i64 = i64::MIN;

/// The bits of a number of bytes: 256 TiB less one is what is missing.
const VALUE_BITS: u32 = 48;
const VALUE: u64 = (1 << VALUE_BITS) - 1;
const HALF_BITS: u32 = 16;

/// The unit of a gap in milliseconds. The longest that can be told is two hours less
/// eleven minutes.
const GAP_UNIT: u64 = 100;
const GAP_MAX: u64 = 0xffff;
const GAP_SHIFT: u32 = 4;
const AT_SHIFT: u32 = 20;
/// There are points between those of the pair.
const HAS_BETWEEN: u64 = 8;
const IS_START_UNSURE: u64 = 4;
const IS_STEPPED: u64 = 2;
const IS_MISSING: u64 = 1;
const FLAGS: u64 = HAS_BETWEEN | IS_START_UNSURE | IS_STEPPED | IS_MISSING;
/// While one of these is set nothing is served.
const SERVES_NOTHING: u64 = IS_STEPPED | IS_MISSING;

/// When a page was asked for, in the form in which rows want it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page {
    asked: Asked,
    at: i64,
    /// How much longer than between two moments of asking it may be between two
    /// stamps, and how much shorter; beside the gap of the sample before.
    longer: i64,
    shorter: i64,
    /// How far apart the points of a pair are at least, if there was one before.
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
            least: millis(asked.steady_window.max(asked.min_window)).max(1),
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
        Self {
            cpu: series.newest.into(),
            earlier: series.earlier.into(),
            started: series.started.map_or(NEVER, Timestamp::as_millis),
            beside: Beside::new(point),
            seen: Seen::new(series),
        }
    }

    /// Takes in a point of the page that was asked for last. Returns whether its clock
    /// turns out to be set.
    #[inline]
    pub(super) fn take<K: Ord>(
        &mut self,
        point: &ContainerPoint,
        page: &Page,
        place: Place<'_, K>,
    ) -> bool {
        if let Some(next) = self.next(point, page) {
            *self = next;
            return false;
        }
        self.take_by_all_rules(point, page, place)
    }

    /// [`Row::take`] where [`Row::next`] does not know. It is a function of its own, so that the frequent case needs no
    /// room for a whole series.
    #[inline(never)]
    fn take_by_all_rules<K: Ord>(
        &mut self,
        point: &ContainerPoint,
        page: &Page,
        place: Place<'_, K>,
    ) -> bool {
        let before = *self;
        self.change(point, place, |series| {
            series.take(point.cpu, point.started, page.asked);
        });
        self.keep_beside_of(&before, point, Ordering::Greater);
        let went_back = self.cpu.at < before.cpu.at;
        went_back || (self.is_stepped() && !before.is_stepped())
    }

    /// Makes it what becomes of its series by `change`.
    fn change<K: Ord>(
        &mut self,
        point: &ContainerPoint,
        place: Place<'_, K>,
        change: impl FnOnce(&mut Series),
    ) {
        let mut series = self.series();
        if self.seen.0 & HAS_BETWEEN != 0 {
            series.between = place.get();
        }
        change(&mut series);
        if !series.between.is_empty() || self.seen.0 & HAS_BETWEEN != 0 {
            place.put(&series.between);
        }
        *self = Self::new(&series, point);
    }

    /// What [`Series::take`] makes of a row in the most frequent case, in which one
    /// ordinary sample follows another; `None` in any other.
    fn next(&self, point: &ContainerPoint, page: &Page) -> Option<Self> {
        let cpu = point.cpu?;
        let (total, at) = (cpu.total.0, cpu.at.as_millis());
        let is_known = self.seen.0 & FLAGS == 0 && page.asked.gap.is_some();
        // Without a sample before this is out of range.
        let stamped = at.checked_sub(self.cpu.at)?;
        let passed = page.at.saturating_sub(self.seen.at().as_millis());
        let longest = passed.saturating_add(self.seen.gap_millis() + page.longer);
        let fits = passed >= 0
            && stamped >= page.least
            && stamped <= longest
            && stamped.saturating_add(page.shorter) >= passed;
        let started = point.started.map_or(NEVER, Timestamp::as_millis);
        let runs_on = total >= self.cpu.total && started == self.started && started < self.cpu.at;
        (is_known && fits && runs_on).then(|| Self {
            cpu: Cpu { total, at },
            earlier: self.cpu,
            started,
            beside: Beside::new(point),
            seen: Seen(page.seen),
        })
    }

    /// Takes in a point of a page that was asked for before the newest one.
    pub(super) fn take_older<K: Ord>(
        &mut self,
        point: &ContainerPoint,
        page: &Page,
        place: Place<'_, K>,
    ) {
        let before = *self;
        self.change(point, place, |series| {
            series.take_older(point.cpu, point.started, page.asked);
        });
        // What is as old is that of the later page, which is known.
        self.keep_beside_of(&before, point, Ordering::Equal);
    }

    /// Memory and swap belong to the newest CPU sample. Of two that came with it those
    /// stay that were measured last: those of `before` if their age is of `least` order
    /// or more.
    fn keep_beside_of(&mut self, before: &Self, point: &ContainerPoint, least: Ordering) {
        let at = point.cpu.map(|cpu| cpu.at.as_millis());
        let is_older = || before.beside.age().cmp(&self.beside.age()) >= least;
        if at != Some(self.cpu.at) || (before.cpu.at == self.cpu.at && is_older()) {
            self.beside = before.beside;
        }
    }

    /// Without what was of a container that is no more.
    pub(super) fn empty() -> Self {
        Self::new(&Series::default(), &ContainerPoint::default()).missed()
    }

    /// It, when the page that was asked for last does not have it.
    pub(super) fn missed(mut self) -> Self {
        self.seen.0 |= IS_MISSING;
        self
    }

    /// The usage, if there is one.
    pub(in crate::store) fn usage(&self, rules: Rules) -> Result<Usage, NoUsage> {
        let [memory, swap] = [self.beside.memory, self.beside.swap].map(bytes);
        let is_whole = self.seen.0 & SERVES_NOTHING == 0 && !matches!(self.cpu.total, 0 | MISSING);
        // The frequent case, without a detour.
        if is_whole
            && let Some(memory) = memory.filter(|memory| memory.0 > 0)
            && let (Some(earlier), Some(newest)) = (self.earlier.into(), self.cpu.into())
        {
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

    /// Its series, without the points between those of the pair.
    pub(super) fn series(&self) -> Series {
        let newest: Option<CpuPoint> = self.cpu.into();
        Series {
            newest,
            earlier: self.earlier.into(),
            between: Between::default(),
            started: time(self.started),
            is_start_unsure: self.seen.0 & IS_START_UNSURE != 0,
            sight: newest.map(|_| Sight {
                at: self.seen.at(),
                gap: self.seen.gap(),
            }),
            is_stepped: self.is_stepped(),
            is_missing: self.seen.0 & IS_MISSING != 0,
        }
    }
}

impl Beside {
    #[inline]
    fn new(point: &ContainerPoint) -> Self {
        let after = match (point.cpu, point.memory) {
            (Some(cpu), Some(memory)) => {
                let after = memory.at.as_millis().saturating_sub(cpu.at.as_millis());
                after.clamp(i64::from(i32::MIN), i64::from(i32::MAX))
            }
            _ => 0,
        };
        let components = after.cast_unsigned();
        let memory = point.memory.map_or(VALUE, |memory| {
            let Bytes(bytes) = memory.working_set;
            bytes.min(Bytes::MOST.0)
        });
        let swap = point
            .swap
            .map_or(VALUE, |Bytes(bytes)| bytes.min(Bytes::MOST.0));
        Self {
            memory: memory | ((components >> HALF_BITS) << VALUE_BITS),
            swap: swap | (components << VALUE_BITS),
        }
    }

    /// Whether there is memory, and how long after the CPU sample it was measured.
    fn age(self) -> (bool, i32) {
        let [upper, lower] = [self.memory, self.swap].map(|packed| packed >> VALUE_BITS);
        let after = u32::try_from((upper << HALF_BITS) | lower).unwrap_or_default();
        (bytes(self.memory).is_some(), after.cast_signed())
    }
}

impl Seen {
    fn new(series: &Series) -> Self {
        let seen = series
            .sight
            .map_or(Self(0), |sight| Self::pack(sight.at, sight.gap));
        let flags = if series.is_stepped { IS_STEPPED } else { 0 }
            | if series.is_missing { IS_MISSING } else { 0 }
            | if series.is_start_unsure {
                IS_START_UNSURE
            } else {
                0
            }
            | if series.between.is_empty() {
                0
            } else {
                HAS_BETWEEN
            };
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

fn bytes(packed: u64) -> Option<Bytes> {
    let value = packed & VALUE;
    (value != VALUE).then_some(Bytes(value))
}

#[cfg(test)]
mod tests;
