//! The arithmetic that the product exists for: two points in, one usage out.

use std::time::Duration;

use crate::{
    reading::{ContainerPoint, CpuPoint, MemoryPoint, NodePoint},
    units::{Bytes, CoreNanos, NanoCores, Timestamp},
};

/// A container must have run this long before its start may stand in for a
/// first point: shorter and the rate says more about starting than about
/// running (PARITY 4.3, "fresh-container rule").
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
    /// The container started anew between the points.
    #[error("restarted since the previous sample")]
    Restarted,
    /// The rate does not fit the type: garbage in.
    #[error("the CPU rate is out of range")]
    RateOutOfRange,
}

impl Usage {
    /// The usage of a container between two of its points.
    ///
    /// Without an earlier point the container's start stands in for it, if it
    /// ran for [`FRESH_MIN`] to `resolution` at the later one; this replaces
    /// nothing that was measured (DESIGN 3.2).
    pub fn of_container(
        earlier: Option<&CpuPoint>,
        later: &ContainerPoint,
        resolution: Duration,
    ) -> Result<Self, NoUsage> {
        let (cpu, memory) = complete(later.cpu, later.memory)?;
        let since = match earlier {
            Some(point) => *point,
            None => fresh_start(&cpu, later.started, resolution).ok_or(NoUsage::NoPrevious)?,
        };
        Self::between(&since, &cpu, memory.working_set, later.swap)
    }

    /// The usage of a node between two of its points.
    pub fn of_node(earlier: Option<&CpuPoint>, later: &NodePoint) -> Result<Self, NoUsage> {
        let (cpu, memory) = complete(later.cpu, later.memory)?;
        let earlier = earlier.ok_or(NoUsage::NoPrevious)?;
        Self::between(earlier, &cpu, memory.working_set, later.swap)
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

/// A point from which something can be served: both resources are there, and
/// neither is zero. Kubelets say zero where they have not measured yet or no
/// longer can (PARITY 3.3, 10 row 1).
fn complete(
    cpu: Option<CpuPoint>,
    memory: Option<MemoryPoint>,
) -> Result<(CpuPoint, MemoryPoint), NoUsage> {
    let cpu = cpu
        .filter(|point| point.total.0 > 0)
        .ok_or(NoUsage::NoCpu)?;
    let memory = memory
        .filter(|point| point.working_set.0 > 0)
        .ok_or(NoUsage::NoMemory)?;
    Ok((cpu, memory))
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

    const RESOLUTION: Duration = Duration::from_secs(15);

    fn cpu(seconds: f64, at_millis: i64) -> CpuPoint {
        CpuPoint {
            total: CoreNanos(
                Duration::from_secs_f64(seconds)
                    .as_nanos()
                    .try_into()
                    .unwrap(),
            ),
            at: Timestamp::from_millis(at_millis),
        }
    }

    fn point(seconds: f64, at_millis: i64) -> ContainerPoint {
        ContainerPoint {
            cpu: Some(cpu(seconds, at_millis)),
            memory: Some(MemoryPoint {
                working_set: Bytes(4096),
                at: Timestamp::from_millis(at_millis + 7),
            }),
            started: Some(Timestamp::from_millis(1_000)),
            swap: None,
        }
    }

    #[test]
    fn the_rate_divides_by_the_distance_of_the_cpu_samples() {
        // 2.5 core-seconds in 12.5 s; the memory sample is 7 ms later and does
        // not count.
        assert_eq!(
            Usage::of_container(Some(&cpu(1.0, 100_000)), &point(3.5, 112_500), RESOLUTION),
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
        let usage = Usage::of_container(None, &point(2.0, 11_000), RESOLUTION).unwrap();
        assert_eq!(
            (usage.cpu, usage.window),
            (NanoCores(200_000_000), FRESH_MIN)
        );
    }

    #[test]
    fn younger_or_older_ones_wait_for_a_second_sample() {
        for at in [10_999, 16_000, 16_001, 500] {
            assert_eq!(
                Usage::of_container(None, &point(2.0, at), RESOLUTION),
                Err(NoUsage::NoPrevious),
                "at {at}"
            );
        }
    }

    #[test]
    fn a_real_previous_point_beats_the_start() {
        let usage =
            Usage::of_container(Some(&cpu(1.0, 8_000)), &point(2.0, 12_000), RESOLUTION).unwrap();
        assert_eq!(usage.window, Duration::from_secs(4));
    }

    #[test]
    fn zero_is_not_a_measurement() {
        assert_eq!(
            Usage::of_container(Some(&cpu(0.0, 1)), &point(0.0, 2_000), RESOLUTION),
            Err(NoUsage::NoCpu)
        );
        let mut idle = point(1.0, 2_000);
        idle.memory = Some(MemoryPoint {
            working_set: Bytes(0),
            at: Timestamp::from_millis(2_000),
        });
        assert_eq!(
            Usage::of_container(Some(&cpu(0.5, 1)), &idle, RESOLUTION),
            Err(NoUsage::NoMemory)
        );
        idle.memory = None;
        assert_eq!(
            Usage::of_container(Some(&cpu(0.5, 1)), &idle, RESOLUTION),
            Err(NoUsage::NoMemory)
        );
    }

    #[test]
    fn a_rate_is_exact_however_much_was_spent() {
        for (seconds, at, rate) in [
            (1.0, 3_000, 333_333_333),
            (18.0, 15_000, 1_200_000_000),
            // From here on times a billion is more than u64 holds.
            (19.0, 15_000, 1_266_666_666),
            (1_000_000.0, 1_000, 1_000_000_000_000_000),
        ] {
            let later = point(seconds, at);
            let usage = Usage::of_container(Some(&cpu(0.0, 0)), &later, RESOLUTION);
            assert_eq!(usage.map(|usage| usage.cpu), Ok(NanoCores(rate)));
        }
    }

    #[test]
    fn what_makes_no_rate_has_a_name() {
        let later = point(5.0, 20_000);
        let of = |earlier: CpuPoint| Usage::of_container(Some(&earlier), &later, RESOLUTION);
        assert_eq!(of(cpu(5.0, 20_000)), Err(NoUsage::NoTimePassed));
        assert_eq!(of(cpu(5.0, 20_001)), Err(NoUsage::NoTimePassed));
        assert_eq!(of(cpu(5.1, 19_000)), Err(NoUsage::CounterWentBack));
        let mut garbage = later;
        garbage.cpu = Some(CpuPoint {
            total: CoreNanos(u64::MAX - 1),
            at: Timestamp::from_millis(20_000),
        });
        assert_eq!(
            Usage::of_container(Some(&cpu(0.0, 19_999)), &garbage, RESOLUTION),
            Err(NoUsage::RateOutOfRange)
        );
    }

    #[test]
    fn a_node_has_no_start_to_stand_in() {
        let node = NodePoint {
            cpu: Some(cpu(9.0, 11_000)),
            memory: point(1.0, 1).memory,
            swap: Some(Bytes(0)),
        };
        assert_eq!(Usage::of_node(None, &node), Err(NoUsage::NoPrevious));
        let usage = Usage::of_node(Some(&cpu(6.0, 1_000)), &node).unwrap();
        assert_eq!(
            (usage.cpu, usage.swap),
            (NanoCores(300_000_000), Some(Bytes(0)))
        );
    }
}
