//! A program that runs, with its log in a file.

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

/// The most log lines in the error about a program that ended by itself.
const LINES: usize = 15;

/// How long a program may take to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(30);

/// Kills a program when the thread that started it ends, so that no program outlives a killed test runner.
const SETPRIV: &str = "/usr/bin/setpriv";

/// A program that runs. Dropping it kills it, so a test that panics leaves nothing behind.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts the program at `path`, and appends its output to `NAME.log` in the directory `logs`. Its environment has
    /// only `NO_COLOR`, so that it depends on its flags only.
    ///
    /// # Errors
    ///
    /// It cannot be started, or its log cannot be opened.
    pub fn start(
        name: &str,
        path: &Path,
        flags: impl IntoIterator<Item = impl AsRef<OsStr>>,
        logs: &Path,
    ) -> anyhow::Result<Self> {
        let mut command = ending_with_this_thread(path);
        command.args(flags).env_clear().env("NO_COLOR", "1");
        Self::spawn(name, command, logs)
    }

    /// Starts the program at `path`, which may be looked up in `PATH`, in the directory `logs` and
    /// with the environment of this process. Appends its output to `NAME.log` there.
    ///
    /// # Errors
    ///
    /// It cannot be started, or its log cannot be opened.
    pub fn start_in_environment(
        name: &str,
        path: &Path,
        flags: impl IntoIterator<Item = impl AsRef<OsStr>>,
        logs: &Path,
    ) -> anyhow::Result<Self> {
        let mut command = ending_with_this_thread(path);
        command.args(flags).current_dir(logs);
        Self::spawn(name, command, logs)
    }

    fn spawn(name: &str, mut command: Command, logs: &Path) -> anyhow::Result<Self> {
        let log = logs.join(format!("{name}.log"));
        let out = OpenOptions::new().create(true).append(true).open(&log);
        let out = out.with_context(|| format!("open {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start {name}"))?;
        let name = name.to_owned();
        Ok(Self { name, child, log })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The process ID. `None` after the end.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Checks that it runs.
    ///
    /// # Errors
    ///
    /// It has ended. The error has the end of its log.
    pub fn still_runs(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(self.ended(status)),
        }
    }

    /// Kills it, as a crash does, and waits for its end.
    ///
    /// # Errors
    ///
    /// It ended before.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        self.still_runs()?;
        Ok(self.child.kill().await?)
    }

    /// Sends SIGTERM and waits for the end.
    ///
    /// # Errors
    ///
    /// It does not end within 30 s, or not with code 0.
    pub async fn end(mut self) -> anyhow::Result<()> {
        self.signal(Signal::TERM)?;
        let ended = timeout(GRACE, self.child.wait()).await;
        let status = ended.with_context(|| format!("{} does not end", self.name))??;
        if status.success() {
            Ok(())
        } else {
            Err(self.ended(status))
        }
    }

    /// Sends SIGSTOP. The program stops, and its connections stay open.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub fn stand_still(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Sends SIGCONT.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub fn go_on(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    /// The end of its log.
    pub fn log_end(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let (_, end) = lines.split_at(lines.len().saturating_sub(LINES));
        end.join("\n")
    }

    fn signal(&mut self, signal: Signal) -> anyhow::Result<()> {
        self.still_runs()?;
        send(&self.child, signal).with_context(|| format!("signal {}", self.name))
    }

    fn ended(&self, status: ExitStatus) -> anyhow::Error {
        anyhow::anyhow!("{} ended with {status}:\n{}", self.name, self.log_end())
    }
}

/// Sends `signal` to `child`. It has not been reaped, so no other process has its ID.
///
/// # Errors
///
/// It has ended.
pub fn send(child: &Child, signal: Signal) -> anyhow::Result<()> {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
    let pid = pid.and_then(Pid::from_raw).context("it has ended")?;
    Ok(kill_process(pid, signal)?)
}

/// The command for the program at `path`. Where the system supports it, the program ends with this thread.
fn ending_with_this_thread(path: &Path) -> Command {
    if !Path::new(SETPRIV).is_file() {
        return Command::new(path);
    }
    let mut command = Command::new(SETPRIV);
    command
        .args(["--pdeathsig", "KILL", "--"].map(OsStr::new))
        .arg(path);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_of_the_log_says_why_a_program_ended() {
        let logs = tempfile::tempdir().unwrap();
        let flags = ["-c", "echo first; echo last >&2; exit 3"];
        let mut program = Program::start("sh", Path::new("/bin/sh"), flags, logs.path()).unwrap();
        program.child.wait().await.unwrap();
        let error = program.still_runs().unwrap_err().to_string();
        assert_eq!(error, "sh ended with exit status: 3:\nfirst\nlast");
    }

    #[tokio::test]
    async fn a_program_that_is_stopped_ends_in_order() {
        let logs = tempfile::tempdir().unwrap();
        let script = "trap 'exit 0' TERM; echo ready; while :; do sleep 0.1; done";
        let shell = Path::new("/bin/sh");
        let mut program = Program::start("sh", shell, ["-c", script], logs.path()).unwrap();
        crate::patience::eventually(|| {
            std::future::ready(if program.log_end().is_empty() {
                Err("silent")
            } else {
                Ok(())
            })
        })
        .await;
        program.still_runs().unwrap();
        program.end().await.unwrap();
    }
}
