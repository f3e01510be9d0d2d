//! The real client.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::Context as _;
use tokio::process::Command;

use crate::assets::name_of;

/// A kubectl with a kubeconfig.
#[derive(Clone, Debug)]
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
    /// Where it keeps what it discovered; of this one alone, so that no version reads what another wrote.
    home: PathBuf,
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
        let output = Command::new(&self.program)
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(arguments)
            .env("HOME", &self.home)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .with_context(|| format!("start {}", self.program.display()))?;
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
}
