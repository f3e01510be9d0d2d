//! Resources of processes, as the kernel counts them: memory, CPU, bytes on loopback.

use std::{fs, path::Path, time::Duration};

use anyhow::Context as _;
use rustix::param::clock_ticks_per_second;
use tributary_testkit::program::Program;

use crate::results::Memory;

/// A program under test. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    pid: u32,
    program: Program,
}

impl Process {
    /// Starts the program. Its output goes to `NAME.log` in `logs`.
    ///
    /// # Errors
    ///
    /// It cannot be started.
    pub(crate) fn start(
        name: &str,
        program: &Path,
        flags: &[String],
        logs: &Path,
    ) -> anyhow::Result<Self> {
        let program = Program::start(name, program, flags, logs)?;
        let pid = program.pid().context("it has ended")?;
        Ok(Self { pid, program })
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        self.program.name()
    }

    /// # Errors
    ///
    /// It has ended.
    pub(crate) fn still_runs(&mut self) -> anyhow::Result<()> {
        self.program.still_runs()
    }

    /// Kills it.
    ///
    /// # Errors
    ///
    /// It cannot be killed.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.program.kill().await
    }

    fn read(&self, file: &str) -> anyhow::Result<String> {
        let path = format!("/proc/{}/{file}", self.pid);
        fs::read_to_string(&path).with_context(|| format!("read {path} of {}", self.name()))
    }

    /// Its current memory.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub(crate) fn memory(&self) -> anyhow::Result<Memory> {
        let rollup = self.read("smaps_rollup")?;
        Ok(Memory {
            rss: kib(&rollup, "Rss:")?,
            pss: kib(&rollup, "Pss:")?,
        })
    }

    /// The peak of resident memory since the start or the last [`Process::reset_peak`], in bytes.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub(crate) fn peak(&self) -> anyhow::Result<u64> {
        kib(&self.read("status")?, "VmHWM:")
    }

    /// Sets the peak to the current memory.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub(crate) fn reset_peak(&self) -> anyhow::Result<()> {
        fs::write(format!("/proc/{}/clear_refs", self.pid), "5").context("reset the peak")
    }

    /// The CPU time that it has used, in user mode and in the kernel.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = self.read("stat")?;
        // The name may contain any character. These are the fields after it, of which 14 and 15 of the line are needed.
        let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
        let ticks: u64 = after
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(|field| field.parse::<u64>().unwrap_or(0))
            .sum();
        let millis = ticks * 1_000 / clock_ticks_per_second().max(1);
        Ok(Duration::from_millis(millis))
    }
}

/// The value of a line like `VmRSS:   12 kB`, in bytes.
///
/// # Errors
///
/// There is no such line.
pub(crate) fn kib(text: &str, name: &str) -> anyhow::Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    let kib: u64 = number.with_context(|| format!("no {name}"))?.parse()?;
    Ok(kib * 1_024)
}

/// The bytes over the loopback interface of this network namespace.
///
/// # Errors
///
/// There is none.
pub(crate) fn loopback_bytes() -> anyhow::Result<u64> {
    let table = fs::read_to_string("/proc/net/dev")?;
    let lo = table
        .lines()
        .find_map(|line| line.trim_start().strip_prefix("lo:"))
        .context("no loopback interface")?;
    let bytes = lo.split_whitespace().next().context("no bytes")?;
    Ok(bytes.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_has_memory_and_has_used_some_time() {
        let dir = tempfile::tempdir().unwrap();
        let flags = ["5".to_owned()];
        let mut process =
            Process::start("sleep", Path::new("/bin/sleep"), &flags, dir.path()).unwrap();
        process.still_runs().unwrap();
        let memory = process.memory().unwrap();
        assert!(memory.pss <= memory.rss, "{memory:?}");
        assert!(process.cpu().unwrap() < Duration::from_secs(1));
        process.reset_peak().unwrap();
        assert!(process.peak().unwrap() > 0);
        process.stop().await.unwrap();
    }
}
