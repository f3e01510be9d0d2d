//! Describes this machine.

use std::fs;

use crate::results::Machine;

/// Reads the description from the kernel.
pub(crate) fn describe() -> Machine {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| -> String {
        let line = text.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.split_once(':'));
        value.map_or_else(String::new, |(_, value)| value.trim().to_owned())
    };
    let up_to =
        |text: &str, end: char| text.trim().split(end).next().unwrap_or_default().to_owned();
    let kib = field(&read("/proc/meminfo"), "MemTotal");
    let kib = up_to(&kib, ' ').parse::<u64>().ok();
    Machine {
        cpu: field(&read("/proc/cpuinfo"), "model name"),
        cores: std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
        memory: kib.unwrap_or(0) * 1_024,
        // The release without the vendor's suffix.
        kernel: up_to(&read("/proc/sys/kernel/osrelease"), '-'),
    }
}
