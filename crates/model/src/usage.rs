//! The arithmetic that the product exists for: two points in, one usage out.

use std::time::Duration;

use crate::{
    reading::CpuPoint,
    series::Series,
    units::{Bytes, CoreNanos, NanoCores, Timestamp},
};

/// A container must have run this long before its start may stand in for a
/// first point: shorter and the rate says more about starting than about
/// running (docs/parity.md#two-points).
pub const FRESH_MIN: Duration = Duration::from_secs(10);

/// What a container or node used, as the API serves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The end of the window: the kubelet's own time of the newer CPU sample.
    pub at: Timestamp,
    /// The distance of the two CPU samples. Never zero.
    pub window: Duration,
    /// Mean CPU use over the window.
    pub cpu: NanoCores,
    /// Working set at the newer sample, an instant and not a mean.
    pub memory: Bytes,
    /// Swap in use, where the kubelet reports it.
    pub swap: Option<Bytes>,
}

/// Why there is no usage. Each reason is a sentence's end: "no metrics: ...".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum NoUsage {
    /// The kubelet gave no CPU total, or zero, which nothing that ran has.
    #[error("the kubelet reports no CPU time")]
    NoCpu,
    /// The kubelet gave no working set, or zero.
    #[error("the kubelet reports no working set")]
    NoMemory,
    /// Only one point so far.
    #[error("waiting for a second sample")]
    NoPrevious,
    /// Both points bear the same time, or the later one is the earlier.
    #[error("no time passed between the samples")]
    NoTimePassed,
    /// The counter fell without a new start time being given.
    #[error("the CPU counter went back")]
    CounterWentBack,
    /// More CPU than the node has: garbage in, or a sum that lost a part for a while.
    #[error("the CPU rate is out of range")]
    RateOutOfRange,
    /// The clock by which it is stamped was set, or one stamp is odd.
    #[error("its clock was set since the previous sample")]
    ClockSet,
    /// Two series of one container: one of them is of a run that is over.
    #[error("the kubelet reports it twice")]
    ReportedTwice,
    /// The kubelet gave something that is no number, or a negative one.
    #[error("the kubelet reports a value that cannot be used")]
    BadValue,
}

/// What usages are computed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How often the node is scraped.
    pub resolution: Duration,
    /// More than this is no rate.
    pub most: NanoCores,
}

/// The most that is believed of a node whose number of CPUs is not known: more than
/// any has.
pub const MOST_CORES: NanoCores = NanoCores(4_096 * NANOS_PER_SECOND);

/// The most that is believed of a node with this many CPUs, in thousandths: twice as
/// much and one more, since the moments of two samples are not exact.
pub fn most_of(millis: u64) -> NanoCores {
    let most = millis.saturating_mul(2).saturating_add(1_000);
    NanoCores(most.saturating_mul(1_000_000))
}

impl Usage {
    /// The usage of a container, or, without a start, of a node.
    ///
    /// Without an earlier point the container's start stands in for it, if it
    /// ran for [`FRESH_MIN`] to the resolution at the later one; this replaces
    /// nothing that was measured (docs/decisions/0002-raw-counters-and-pairs.md).
    ///
    /// # Errors
    ///
    /// There is no sample, no pair, or its rate cannot be.
    pub fn of(
        series: &Series,
        memory: Option<Bytes>,
        swap: Option<Bytes>,
        rules: Rules,
    ) -> Result<Self, NoUsage> {
        let newest = series.newest.filter(|_| !series.is_missing);
        // Kubelets say zero where they have not measured yet or no longer can.
        let newest = newest.filter(|point| point.total.0 > 0);
        let cpu = newest.ok_or(NoUsage::NoCpu)?;
        let memory = memory
            .filter(|bytes| bytes.0 > 0)
            .ok_or(NoUsage::NoMemory)?;
        if series.is_stepped {
            return Err(NoUsage::ClockSet);
        }
        let since = match series.earlier {
            Some(point) => point,
            None => fresh_start(&cpu, series.sure_start(), rules.resolution)
                .ok_or(NoUsage::NoPrevious)?,
        };
        Self::of_pair(&since, &cpu, memory, swap, rules.most)
    }

    /// The usage between two samples of one run, of which neither is missing.
    ///
    /// # Errors
    ///
    /// As [`Usage::of`].
    pub fn of_pair(
        earlier: &CpuPoint,
        later: &CpuPoint,
        memory: Bytes,
        swap: Option<Bytes>,
        most: NanoCores,
    ) -> Result<Self, NoUsage> {
        let usage = Self::between(earlier, later, memory, swap)?;
        if usage.cpu > most {
            return Err(NoUsage::RateOutOfRange);
        }
        Ok(usage)
    }

    fn between(
        earlier: &CpuPoint,
        later: &CpuPoint,
        memory: Bytes,
        swap: Option<Bytes>,
    ) -> Result<Self, NoUsage> {
        let window = match later.at.since(earlier.at) {
            None | Some(Duration::ZERO) => return Err(NoUsage::NoTimePassed),
            Some(window) => window,
        };
        let spent = later
            .total
            .0
            .checked_sub(earlier.total.0)
            .ok_or(NoUsage::CounterWentBack)?;
        let cpu = rate(spent, window).ok_or(NoUsage::RateOutOfRange)?;
        Ok(Self {
            at: later.at,
            window,
            cpu: NanoCores(cpu),
            memory,
            swap,
        })
    }
}

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Core-nanoseconds per second, if they fit.
fn rate(spent: u64, window: Duration) -> Option<u64> {
    let nanos = window.as_nanos();
    // A list computes a rate per container, and u128 divides slowly. It is needed
    // from 18 core-seconds on, when times a billion leaves u64.
    if let (Some(spent), Ok(nanos)) = (spent.checked_mul(NANOS_PER_SECOND), u64::try_from(nanos)) {
        return spent.checked_div(nanos);
    }
    let rate = u128::from(spent) * u128::from(NANOS_PER_SECOND);
    u64::try_from(rate.checked_div(nanos)?).ok()
}

fn fresh_start(
    later: &CpuPoint,
    started: Option<Timestamp>,
    resolution: Duration,
) -> Option<CpuPoint> {
    let started = started?;
    let ran = later.at.since(started)?;
    (FRESH_MIN <= ran && ran < resolution).then_some(CpuPoint {
        total: CoreNanos(0),
        at: started,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules {
        resolution: Duration::from_secs(15),
        most: MOST_CORES,
    };

    fn cpu(seconds: f64, at_millis: i64) -> CpuPoint {
        let nanos = Duration::from_secs_f64(seconds).as_nanos();
        CpuPoint {
            total: CoreNanos(nanos.try_into().unwrap()),
            at: Timestamp::from_millis(at_millis),
        }
    }

    fn series(earlier: Option<CpuPoint>, newest: CpuPoint) -> Series {
        Series {
            newest: Some(newest),
            earlier,
            started: Some(Timestamp::from_millis(1_000)),
            ..Series::default()
        }
    }

    fn usage(earlier: Option<CpuPoint>, newest: CpuPoint) -> Result<Usage, NoUsage> {
        let memory = Some(Bytes(4096));
        Usage::of(&series(earlier, newest), memory, None, RULES)
    }

    #[test]
    fn the_rate_divides_by_the_distance_of_the_cpu_samples() {
        assert_eq!(
            usage(Some(cpu(1.0, 100_000)), cpu(3.5, 112_500)),
            Ok(Usage {
                at: Timestamp::from_millis(112_500),
                window: Duration::from_millis(12_500),
                cpu: NanoCores(200_000_000),
                memory: Bytes(4096),
                swap: None,
            })
        );
    }

    #[test]
    fn a_container_of_ten_seconds_is_measured_from_its_start() {
        let usage = usage(None, cpu(2.0, 11_000)).unwrap();
        assert_eq!(
            (usage.cpu, usage.window),
            (NanoCores(200_000_000), FRESH_MIN)
        );
    }

    #[test]
    fn younger_or_older_ones_wait_for_a_second_sample() {
        for at in [10_999, 16_000, 16_001, 500] {
            let waits = Err(NoUsage::NoPrevious);
            assert_eq!(usage(None, cpu(2.0, at)), waits, "at {at}");
        }
        let mut node = series(None, cpu(9.0, 11_000));
        node.started = None;
        let usage = Usage::of(&node, Some(Bytes(1)), None, RULES);
        assert_eq!(usage, Err(NoUsage::NoPrevious));
    }

    #[test]
    fn a_real_previous_point_beats_the_start() {
        let usage = usage(Some(cpu(1.0, 8_000)), cpu(2.0, 12_000)).unwrap();
        assert_eq!(usage.window, Duration::from_secs(4));
    }

    #[test]
    fn zero_is_not_a_measurement() {
        let zero = usage(Some(cpu(0.0, 1)), cpu(0.0, 2_000));
        assert_eq!(zero, Err(NoUsage::NoCpu));
        let idle = series(Some(cpu(0.5, 1)), cpu(1.0, 2_000));
        for memory in [Some(Bytes(0)), None] {
            let usage = Usage::of(&idle, memory, None, RULES);
            assert_eq!(usage, Err(NoUsage::NoMemory));
        }
    }

    #[test]
    fn a_rate_is_exact_however_much_was_spent() {
        for (seconds, at, rate) in [
            (1.0, 3_000, 333_333_333),
            (18.0, 15_000, 1_200_000_000),
            // From here on times a billion is more than u64 holds.
            (19.0, 15_000, 1_266_666_666),
            (4_096.0, 1_000, 4_096_000_000_000),
        ] {
            let usage = usage(Some(cpu(0.0, 0)), cpu(seconds, at));
            assert_eq!(usage.map(|usage| usage.cpu), Ok(NanoCores(rate)));
        }
    }

    #[test]
    fn what_makes_no_rate_has_a_name() {
        let later = cpu(5.0, 20_000);
        let of = |earlier: CpuPoint| usage(Some(earlier), later);
        assert_eq!(of(cpu(5.0, 20_000)), Err(NoUsage::NoTimePassed));
        assert_eq!(of(cpu(5.0, 20_001)), Err(NoUsage::NoTimePassed));
        assert_eq!(of(cpu(5.1, 19_000)), Err(NoUsage::CounterWentBack));
        let garbage = CpuPoint {
            total: CoreNanos(u64::MAX - 1),
            at: Timestamp::from_millis(20_000),
        };
        let usage = usage(Some(cpu(0.0, 19_999)), garbage);
        assert_eq!(usage, Err(NoUsage::RateOutOfRange));
    }

    #[test]
    fn no_rate_is_more_than_the_node_has() {
        let of = |most, seconds: f64| {
            let memory = Some(Bytes(1));
            let series = series(Some(cpu(0.0, 1_001)), cpu(seconds, 11_001));
            let rules = Rules { most, ..RULES };
            Usage::of(&series, memory, None, rules).map(|usage| usage.cpu)
        };
        // Of a node with two CPUs up to five are believed.
        assert_eq!(of(most_of(2_000), 50.0), Ok(NanoCores(5_000_000_000)));
        assert_eq!(of(most_of(2_000), 50.1), Err(NoUsage::RateOutOfRange));
        assert!(of(MOST_CORES, 40_960.0).is_ok());
        assert_eq!(of(MOST_CORES, 40_961.0), Err(NoUsage::RateOutOfRange));
    }

    #[test]
    fn a_series_that_is_stepped_or_missing_serves_nothing() {
        let whole = series(Some(cpu(1.0, 5_000)), cpu(2.0, 20_000));
        let of = |series| Usage::of(&series, Some(Bytes(1)), None, RULES);
        let stepped = Series {
            is_stepped: true,
            ..whole
        };
        assert_eq!(of(stepped), Err(NoUsage::ClockSet));
        let missing = Series {
            is_missing: true,
            ..whole
        };
        assert_eq!(of(missing), Err(NoUsage::NoCpu));
    }
}
