//! Metrics of tokio's scheduler, as far as its stable API has them.

use std::{fmt, time::Duration};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};
use tokio::runtime::{Handle, RuntimeMetrics};

/// The runtime in which the metrics are read.
#[derive(Debug)]
pub(super) struct Scheduler;

impl Collector for Scheduler {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Ok(handle) = Handle::try_current() else {
            return Ok(());
        };
        let metrics = handle.metrics();
        for (name, help, count) in [
            (
                "tributary_tokio_workers",
                "Threads that run tasks",
                metrics.num_workers(),
            ),
            (
                "tributary_tokio_tasks",
                "Tasks that have begun and not ended",
                metrics.num_alive_tasks(),
            ),
            (
                "tributary_tokio_queue_depth",
                "Tasks in the queue that all workers share, which are ready and wait",
                metrics.global_queue_depth(),
            ),
        ] {
            let gauge = ConstGauge::new(u64::try_from(count).unwrap_or(u64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        let busy = ConstCounter::new(busy(&metrics).as_secs_f64());
        let help = "Time that workers were busy, all together";
        busy.encode(encoder.encode_descriptor(
            "tributary_tokio_busy",
            help,
            Some(&Unit::Seconds),
            busy.metric_type(),
        )?)
    }
}

fn busy(metrics: &RuntimeMetrics) -> Duration {
    let workers = 0..metrics.num_workers();
    workers
        .map(|worker| metrics.worker_total_busy_duration(worker))
        .sum()
}
