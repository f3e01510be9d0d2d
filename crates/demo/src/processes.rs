//! Starts, observes, restarts and ends the processes.
//!
//! The task that waits for a child owns it. So a child that gets a signal from it has not been reaped, and its process
//! ID belongs to no other process.

use std::{
    io,
    os::unix::process::ExitStatusExt as _,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use rustix::process::Signal;
use tokio::{
    process::{Child, Command},
    sync::Notify,
    task::JoinSet,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;
use tributary_testkit::program::send;

use crate::{
    directory::{Directory, Entry},
    plan::{Kind, Spec},
    watch::Seen,
};

/// How long a process may take to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(6);
/// The pause before a process restarts that repeatedly ends soon after its start.
const HASTY_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_HASTY_PAUSE: Duration = Duration::from_secs(15);
/// A process that ends sooner than this is assumed to be unable to start.
const LIVED: Duration = Duration::from_secs(10);

/// A process and its state.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) spec: Spec,
    /// `None` while it does not run.
    pub(crate) pid: Option<u32>,
    pub(crate) restarts: u32,
    /// The time of its last start.
    pub(crate) started: Instant,
    /// Whether its readiness after this start was announced.
    pub(crate) arrived: bool,
    pub(crate) seen: Option<Seen>,
    /// Notifies the observer of the process that it was started.
    pub(crate) wake: Arc<Notify>,
    /// How often in a row it ended soon after its start.
    hasty: u32,
}

impl Process {
    /// Whether it runs and is ready.
    pub(crate) fn is_ready(&self) -> bool {
        self.pid.is_some() && self.seen.as_ref().is_some_and(|seen| seen.ready)
    }
}

/// An event of a process.
#[derive(Debug)]
pub(crate) enum Step {
    /// It ended by itself.
    Ended {
        index: usize,
        status: io::Result<ExitStatus>,
    },
    /// Its pause is over.
    Due { index: usize },
    /// It ended as requested.
    Stopped,
}

/// All processes of the product.
#[derive(Debug)]
pub(crate) struct Processes {
    all: Vec<Process>,
    program: PathBuf,
    /// The pause before a process that has ended is restarted.
    pause: Duration,
    steps: JoinSet<Step>,
    ending: CancellationToken,
}

impl Processes {
    /// An empty set without running processes. A process that ends by itself is restarted after `pause`.
    ///
    /// # Errors
    ///
    /// The path of this program is not known.
    pub(crate) fn new(specs: Vec<Spec>, pause: Duration) -> anyhow::Result<Self> {
        let now = Instant::now();
        let process = |spec| Process {
            spec,
            pid: None,
            restarts: 0,
            started: now,
            arrived: false,
            seen: None,
            wake: Arc::new(Notify::new()),
            hasty: 0,
        };
        Ok(Self {
            all: specs.into_iter().map(process).collect(),
            program: std::env::current_exe().context("find this program")?,
            pause,
            steps: JoinSet::new(),
            ending: CancellationToken::new(),
        })
    }

    pub(crate) fn all(&self) -> &[Process] {
        &self.all
    }

    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut Process> {
        self.all.get_mut(index)
    }

    pub(crate) fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Process> {
        self.all.iter().filter(move |one| one.spec.kind == kind)
    }

    /// Starts a process.
    ///
    /// Must be called on the main thread, because the kernel kills a child when the *thread* that started it ends.
    ///
    /// # Errors
    ///
    /// The process cannot be started.
    pub(crate) fn start(&mut self, index: usize, directory: &Directory) -> anyhow::Result<()> {
        let Some(process) = self.all.get_mut(index) else {
            return Ok(());
        };
        let name = &process.spec.name;
        let first = process.pid.is_none() && process.restarts == 0 && process.hasty == 0;
        let log = directory
            .open_log(name, first)
            .with_context(|| format!("open the log of {name}"))?;
        let child = Command::new(&self.program)
            .arg(process.spec.kind.subcommand())
            .arg(format!("--parent={}", std::process::id()))
            .args(&process.spec.flags)
            // The process must depend on its flags only, and logs must have no colours.
            .env_clear()
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C must reach only the demo, which ends its children itself.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start {name}"))?;
        process.pid = child.id();
        process.started = Instant::now();
        process.arrived = false;
        process.seen = None;
        process.wake.notify_one();
        self.steps.spawn(mind(index, child, self.ending.clone()));
        self.write(directory)
    }

    /// The next event. Never resolves while nothing runs.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Step> {
        match self.steps.join_next().await {
            Some(step) => step.context("mind a process"),
            None => std::future::pending().await,
        }
    }

    /// Records that a process has ended, and after which pause it is restarted.
    ///
    /// # Errors
    ///
    /// `processes.json` cannot be written.
    pub(crate) fn ended(
        &mut self,
        index: usize,
        directory: &Directory,
    ) -> anyhow::Result<Duration> {
        let Some(process) = self.all.get_mut(index) else {
            return Ok(self.pause);
        };
        let hasty = process.started.elapsed() < LIVED && !process.arrived;
        process.hasty = if hasty { process.hasty + 1 } else { 0 };
        process.pid = None;
        process.seen = None;
        process.restarts += 1;
        let pause = match process.hasty {
            0 => self.pause,
            hasty => hasty_pause(hasty),
        };
        let ending = self.ending.clone();
        self.steps.spawn(async move {
            let waited = ending.run_until_cancelled(tokio::time::sleep(pause)).await;
            waited.map_or(Step::Stopped, |()| Step::Due { index })
        });
        self.write(directory)?;
        Ok(pause)
    }

    /// Sends SIGTERM to every process, and kills those that do not end.
    pub(crate) async fn end(&mut self) {
        self.ending.cancel();
        while self.steps.join_next().await.is_some() {}
    }

    fn write(&self, directory: &Directory) -> anyhow::Result<()> {
        let entry = |process| {
            let Process {
                spec,
                pid,
                restarts,
                ..
            }: &Process = process;
            Entry {
                pid: *pid,
                role: spec.kind.name(),
                name: &spec.name,
                addresses: &spec.addresses,
                restarts: *restarts,
            }
        };
        directory.write_processes(&self.all.iter().map(entry).collect::<Vec<_>>())
    }
}

fn hasty_pause(hasty: u32) -> Duration {
    let doubled = HASTY_PAUSE.saturating_mul(1 << hasty.saturating_sub(1).min(8));
    doubled.min(LONGEST_HASTY_PAUSE)
}

async fn mind(index: usize, mut child: Child, ending: CancellationToken) -> Step {
    tokio::select! {
        status = child.wait() => return Step::Ended { index, status },
        () = ending.cancelled() => {}
    }
    // An error means that it has already ended.
    drop(send(&child, Signal::TERM));
    if timeout(GRACE, child.wait()).await.is_err() {
        // An error means that it has ended meanwhile.
        drop(child.kill().await);
    }
    Step::Stopped
}

/// How a process ended, as text.
pub(crate) fn how(status: &io::Result<ExitStatus>) -> String {
    let status = match status {
        Ok(status) => status,
        Err(error) => return format!("was lost: {error}"),
    };
    match (status.signal(), status.code()) {
        (Some(9), _) => "was killed (SIGKILL)".to_owned(),
        (Some(15), _) => "was killed (SIGTERM)".to_owned(),
        (Some(signal), _) => format!("was killed (signal {signal})"),
        (None, Some(code)) => format!("ended with exit code {code}"),
        (None, None) => "ended".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_cannot_start_is_tried_less_and_less_often() {
        let seconds = |hasty| hasty_pause(hasty).as_secs();
        assert_eq!([1, 2, 3, 4, 5, 99].map(seconds), [1, 2, 4, 8, 15, 15]);
    }

    #[test]
    fn an_end_has_a_reason() {
        for (raw, text) in [
            (9, "was killed (SIGKILL)"),
            (11, "was killed (signal 11)"),
            (2 << 8, "ended with exit code 2"),
            (0, "ended with exit code 0"),
        ] {
            assert_eq!(how(&Ok(ExitStatus::from_raw(raw))), text);
        }
    }
}
