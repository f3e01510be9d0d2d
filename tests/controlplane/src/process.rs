//! A program that runs until it is told to stop, or until it is no longer needed.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::Context as _;
use tokio::process::{Child, Command};

/// So much of a log is shown when a program ends by itself.
const LINES: usize = 15;

/// A program that runs. Dropping it kills it, so a test that panics leaves nothing behind.
#[derive(Debug)]
pub struct Program {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts `path`; what it says goes to `NAME.log` in `logs`.
    ///
    /// It is killed by the system too when the thread that started it ends, where `setpriv` of util-linux is there: so
    /// it does not outlive a test runner that is killed.
    ///
    /// # Errors
    ///
    /// It cannot be started, or its log cannot be made.
    pub fn start(
        name: &'static str,
        path: &Path,
        flags: &[String],
        logs: &Path,
    ) -> anyhow::Result<Self> {
        let log = logs.join(format!("{name}.log"));
        let out = File::create(&log).with_context(|| format!("create {}", log.display()))?;
        let mut command = if Path::new(SETPRIV).is_file() {
            let mut command = Command::new(SETPRIV);
            command.args(["--pdeathsig", "KILL", "--"]).arg(path);
            command
        } else {
            Command::new(path)
        };
        let child = command
            .args(flags)
            .current_dir(logs)
            .stdin(Stdio::null())
            .stderr(out.try_clone()?)
            .stdout(out)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start {}", path.display()))?;
        Ok(Self { name, child, log })
    }

    /// # Errors
    ///
    /// It has ended; the end of its log says why.
    pub fn still_runs(&mut self) -> anyhow::Result<()> {
        let Some(status) = self.child.try_wait()? else {
            return Ok(());
        };
        anyhow::bail!("{} ended with {status}:\n{}", self.name, self.said())
    }

    /// The end of its log.
    pub fn said(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let end = lines.split_at(lines.len().saturating_sub(LINES)).1;
        end.join("\n")
    }

    /// Kills it and waits for its end. Nothing that it holds is to be kept.
    ///
    /// # Errors
    ///
    /// The system does not let us.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }
}

const SETPRIV: &str = "/usr/bin/setpriv";
