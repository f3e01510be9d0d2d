//! The resources of a process, from `/proc`: the families that every Prometheus client library has.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};
use rustix::process::{Resource, getrlimit};

/// The resources of this process. They are read for each scrape, so they cannot be stale.
#[derive(Debug)]
pub(super) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        // Some platforms have no `/proc`. A family that cannot be read is omitted.
        let Some(stat) = Stat::of("self") else {
            return Ok(());
        };
        let Some(usage) = ProcessUsage::of_self() else {
            return Ok(());
        };
        let mut put = |name: &str, help: &str, unit: Option<&Unit>, metric: &dyn EncodeMetric| {
            let encoder = encoder.encode_descriptor(name, help, unit, metric.metric_type())?;
            metric.encode(encoder)
        };
        let (seconds, bytes) = (Some(&Unit::Seconds), Some(&Unit::Bytes));
        let cpu = ConstCounter::new(usage.cpu_seconds);
        put(
            "process_cpu",
            "CPU time used, user and system",
            seconds,
            &cpu,
        )?;
        let resident = ConstGauge::new(usage.resident_bytes);
        put(
            "process_resident_memory",
            "Memory that is resident",
            bytes,
            &resident,
        )?;
        let virt = ConstGauge::new(stat.virtual_bytes);
        put(
            "process_virtual_memory",
            "Memory that is mapped",
            bytes,
            &virt,
        )?;
        let most = ConstGauge::new(getrlimit(Resource::As).current.unwrap_or(u64::MAX));
        put(
            "process_virtual_memory_max",
            "Memory that may be mapped",
            bytes,
            &most,
        )?;
        let files = ConstGauge::new(u64::try_from(usage.open_files).unwrap_or(u64::MAX));
        put("process_open_fds", "Open file descriptors", None, &files)?;
        let most = ConstGauge::new(getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX));
        put(
            "process_max_fds",
            "File descriptors that may be open",
            None,
            &most,
        )?;
        if let Some(started) = stat.started() {
            let started = ConstGauge::new(started);
            let help = "Start of the process, since the Unix epoch";
            put("process_start_time", help, seconds, &started)?;
        }
        Ok(())
    }
}

/// The resources of a process, from `/proc`.
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
    /// The resources of this process.
    pub fn of_self() -> Option<Self> {
        Self::of("self")
    }

    /// The resources of the process `pid`. `None` if it has ended, or without `/proc`.
    pub fn of(pid: &str) -> Option<Self> {
        let stat = Stat::of(pid)?;
        let page = u64::try_from(rustix::param::page_size()).ok()?;
        let files = std::path::Path::new("/proc").join(pid).join("fd");
        Some(Self {
            cpu_seconds: in_seconds(stat.cpu_ticks)?,
            resident_bytes: stat.resident_pages.saturating_mul(page),
            open_files: std::fs::read_dir(files).map_or(0, Iterator::count),
        })
    }
}

/// A part of `/proc/PID/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    /// User and system time.
    cpu_ticks: u64,
    /// The start, since the start of the machine.
    start_ticks: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

impl Stat {
    fn of(pid: &str) -> Option<Self> {
        let path = std::path::Path::new("/proc").join(pid).join("stat");
        Self::parse(&std::fs::read_to_string(path).ok()?)
    }

    /// The second field is a name in parentheses, which may contain any character. So fields are counted from the last
    /// parenthesis.
    fn parse(line: &str) -> Option<Self> {
        let (_, rest) = line.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let field = |at: usize| -> Option<u64> { fields.get(at)?.parse().ok() };
        Some(Self {
            cpu_ticks: field(11)?.saturating_add(field(12)?),
            start_ticks: field(19)?,
            virtual_bytes: field(20)?,
            resident_pages: field(21)?,
        })
    }

    /// When the process started, in seconds since the Unix epoch.
    fn started(&self) -> Option<f64> {
        let machine = std::fs::read_to_string("/proc/stat").ok()?;
        let booted = machine
            .lines()
            .find_map(|line| line.strip_prefix("btime "))?;
        let booted: u32 = booted.trim().parse().ok()?;
        Some(f64::from(booted) + in_seconds(self.start_ticks)?)
    }
}

/// Clock ticks as seconds. A float is exact for the ticks of any process.
fn in_seconds(ticks: u64) -> Option<f64> {
    let per_second = rustix::param::clock_ticks_per_second();
    let whole = u32::try_from(ticks / per_second).unwrap_or(u32::MAX);
    let rest = u32::try_from(ticks % per_second).ok()?;
    let per_second = u32::try_from(per_second).ok()?;
    Some(f64::from(whole) + f64::from(rest) / f64::from(per_second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_is_counted_from_the_last_parenthesis() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 3 0 99 1000 42 18446 1";
        assert_eq!(
            Stat::parse(stat),
            Some(Stat {
                cpu_ticks: 300,
                start_ticks: 99,
                virtual_bytes: 1_000,
                resident_pages: 42
            })
        );
    }

    #[test]
    fn the_process_started_a_moment_ago() {
        let started = Stat::of("self").unwrap().started().unwrap();
        let now = f64::from(u32::try_from(jiff_now()).unwrap());
        assert!(started <= now + 1.0, "{started} {now}");
        assert!(started > now - 3_600.0, "{started} {now}");
    }

    fn jiff_now() -> i64 {
        crate::clock::Clock::system().now().as_second()
    }
}
