//! A process of the product: started, stopped, let go on, ended, killed.

use std::{
    ffi::OsStr,
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, Command},
    time::timeout,
};

/// So much of a log is shown of a process that ended by itself.
const LINES: usize = 15;
/// How long a process may take to end in order.
const GRACE: Duration = Duration::from_secs(30);
/// Kills a process when the thread that started it ends, so that none outlives a runner that is killed itself.
const SETPRIV: &str = "/usr/bin/setpriv";

/// A process that runs. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Program {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts the program at `path`; what it says goes on at the end of `NAME.log` in `dir`.
    ///
    /// # Errors
    ///
    /// It cannot be started.
    pub(crate) fn start(
        name: &str,
        path: &Path,
        flags: &[String],
        dir: &Path,
    ) -> anyhow::Result<Self> {
        let log = dir.join(format!("{name}.log"));
        let out = OpenOptions::new().create(true).append(true).open(&log);
        let out = out.with_context(|| format!("open {}", log.display()))?;
        let mut command = if Path::new(SETPRIV).is_file() {
            let mut command = Command::new(SETPRIV);
            command
                .args(["--pdeathsig", "KILL", "--"].map(OsStr::new))
                .arg(path);
            command
        } else {
            Command::new(path)
        };
        let child = command
            .args(flags)
            // What it does depends on its flags only; and no colours in logs.
            .env_clear()
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start {}", path.display()))?;
        let name = name.to_owned();
        Ok(Self { name, child, log })
    }

    /// # Errors
    ///
    /// It has ended; the end of its log says why.
    pub(crate) fn still_runs(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(self.ended(status)),
        }
    }

    /// Its number; absent once it has ended.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// SIGKILL: nothing is finished.
    ///
    /// # Errors
    ///
    /// It had ended before.
    pub(crate) async fn kill(mut self) -> anyhow::Result<()> {
        self.still_runs()?;
        Ok(self.child.kill().await?)
    }

    /// SIGTERM, and waits for the end.
    ///
    /// # Errors
    ///
    /// It does not end, or not in order.
    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        self.signal(Signal::TERM)?;
        let ended = timeout(GRACE, self.child.wait()).await;
        let status = ended.with_context(|| format!("{} does not end", self.name))??;
        if status.success() {
            Ok(())
        } else {
            Err(self.ended(status))
        }
    }

    /// SIGSTOP: it stands still, and its connections stay.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub(crate) fn stand_still(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)
    }

    /// SIGCONT.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub(crate) fn go_on(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&mut self, signal: Signal) -> anyhow::Result<()> {
        // Not reaped yet, so the number is not another's.
        self.still_runs()?;
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok());
        let pid = pid.and_then(Pid::from_raw).context("it has ended")?;
        kill_process(pid, signal).with_context(|| format!("signal {}", self.name))
    }

    fn ended(&self, status: ExitStatus) -> anyhow::Error {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let (_, end) = lines.split_at(lines.len().saturating_sub(LINES));
        anyhow::anyhow!("{} ended with {status}:\n{}", self.name, end.join("\n"))
    }
}
