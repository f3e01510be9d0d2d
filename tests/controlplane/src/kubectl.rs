//! The real client.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::Context as _;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use crate::assets::name_of;

/// A kubectl with a kubeconfig.
#[derive(Clone, Debug)]
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
    /// Where it keeps what it discovered; of this one alone, so that no version reads what another wrote.
    home: PathBuf,
}

/// A command that goes on.
#[derive(Debug)]
pub struct Running {
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

/// What a command came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Whether it exited with 0.
    pub ok: bool,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Kubectl {
    /// `program`, its caches below `dir`.
    pub fn new(program: &Path, kubeconfig: &Path, dir: &Path) -> Self {
        Self {
            program: program.to_owned(),
            kubeconfig: kubeconfig.to_owned(),
            home: dir.join(format!("home-{}", name_of(program))),
        }
    }

    /// What it is called; says the version, where there are several.
    pub fn name(&self) -> String {
        name_of(&self.program)
    }

    /// Runs a command.
    ///
    /// # Errors
    ///
    /// It cannot be started.
    pub async fn run(&self, arguments: &[&str]) -> anyhow::Result<Outcome> {
        let output = self.command(arguments).output().await;
        let output = output.with_context(|| format!("start {}", self.program.display()))?;
        Ok(Outcome {
            ok: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs a command that must work, and returns what it printed.
    ///
    /// # Errors
    ///
    /// It did not.
    pub async fn ok(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let outcome = self.run(arguments).await?;
        let (name, command) = (self.name(), arguments.join(" "));
        anyhow::ensure!(outcome.ok, "{name} {command}: {}", outcome.stderr);
        Ok(outcome.stdout)
    }

    /// Starts a command that prints lines until it is dropped.
    ///
    /// # Errors
    ///
    /// It cannot be started.
    pub fn start(&self, arguments: &[&str]) -> anyhow::Result<Running> {
        let child = self.command(arguments).stdout(Stdio::piped()).spawn();
        let mut child = child.with_context(|| format!("start {}", self.program.display()))?;
        let printed = child.stdout.take().context("stdout")?;
        Ok(Running {
            _child: child,
            lines: BufReader::new(printed).lines(),
        })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(arguments)
            .env("HOME", &self.home)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }
}

impl Running {
    /// The next line that it prints.
    ///
    /// # Errors
    ///
    /// It ended, or printed none for a minute.
    pub async fn line(&mut self) -> anyhow::Result<String> {
        let line = timeout(Duration::from_mins(1), self.lines.next_line());
        line.await.context("no line")??.context("ended")
    }
}
