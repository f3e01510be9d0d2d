//! The registry, build information and what the process uses.

use std::{fmt, sync::Arc};

use axum::{
    Router,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{counter::ConstCounter, gauge::ConstGauge, info::Info},
    registry::{Registry, Unit},
};

/// A registry that knows the process: `process_*` and `tributary_build_info`.
pub fn registry(version: &'static str) -> Registry {
    let mut registry = Registry::default();
    registry.register(
        "tributary_build",
        "The version that runs",
        Info::new([("version", version)]),
    );
    registry.register_collector(Box::new(Process));
    registry
}

/// `/metrics` over `registry`, in the text format that every Prometheus reads.
pub fn router(registry: Arc<Registry>) -> Router {
    Router::new().route(
        "/metrics",
        get(move || {
            let registry = Arc::clone(&registry);
            async move { respond(&registry) }
        }),
    )
}

fn respond(registry: &Registry) -> Response {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, registry) {
        Ok(()) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// What this process uses, read when asked: a number that cannot drift.
#[derive(Debug)]
struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        // Not every platform has /proc; a family that cannot be read is left out.
        let Some(usage) = ProcessUsage::of_self() else {
            return Ok(());
        };
        let cpu = ConstCounter::new(usage.cpu_seconds);
        let unit = Some(&Unit::Seconds);
        let help = "CPU time used, user and system";
        cpu.encode(encoder.encode_descriptor("process_cpu", help, unit, cpu.metric_type())?)?;
        let memory = ConstGauge::new(i64::try_from(usage.resident_bytes).unwrap_or(i64::MAX));
        let unit = Some(&Unit::Bytes);
        let help = "Memory that is resident";
        memory.encode(encoder.encode_descriptor(
            "process_resident_memory",
            help,
            unit,
            memory.metric_type(),
        )?)?;
        let files = ConstGauge::new(i64::try_from(usage.open_files).unwrap_or(i64::MAX));
        let help = "Open file descriptors";
        files.encode(encoder.encode_descriptor(
            "process_open_fds",
            help,
            None,
            files.metric_type(),
        )?)
    }
}

/// What a process uses, as `/proc` says.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProcessUsage {
    /// User and system CPU time, in seconds.
    pub cpu_seconds: f64,
    /// Resident memory, in bytes.
    pub resident_bytes: u64,
    /// Open file descriptors.
    pub open_files: usize,
}

impl ProcessUsage {
    /// What this process uses.
    pub fn of_self() -> Option<Self> {
        Self::of("self")
    }

    /// What the process `pid` uses; `None` when it is gone or `/proc` is not
    /// there.
    pub fn of(pid: &str) -> Option<Self> {
        let dir = std::path::Path::new("/proc").join(pid);
        let stat = std::fs::read_to_string(dir.join("stat")).ok()?;
        let (user, system, pages) = parse_stat(&stat)?;
        let ticks = u32::try_from(rustix::param::clock_ticks_per_second()).ok()?;
        let page = u64::try_from(rustix::param::page_size()).ok()?;
        let spent = u32::try_from(user + system).unwrap_or(u32::MAX);
        Some(Self {
            cpu_seconds: f64::from(spent) / f64::from(ticks),
            resident_bytes: pages.saturating_mul(page),
            open_files: std::fs::read_dir(dir.join("fd")).map_or(0, Iterator::count),
        })
    }
}

/// `utime`, `stime` and `rss` of a stat line. The second field is a name in
/// parentheses that may hold anything, so counting starts after the last one.
fn parse_stat(stat: &str) -> Option<(u64, u64, u64)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let user = fields.next()?.parse().ok()?;
    let system = fields.next()?.parse().ok()?;
    let pages = fields.nth(8)?.parse().ok()?;
    Some((user, system, pages))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_is_counted_from_the_last_parenthesis() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 3 0 99 1000 42 18446 1";
        assert_eq!(parse_stat(stat), Some((250, 50, 42)));
    }

    #[test]
    fn the_process_knows_itself() {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry("1.2.3")).unwrap();
        assert!(
            text.contains("tributary_build_info{version=\"1.2.3\"} 1\n"),
            "{text}"
        );
        assert!(text.contains("\nprocess_resident_memory_bytes "), "{text}");
        assert!(text.contains("\nprocess_cpu_seconds_total "), "{text}");
    }
}
