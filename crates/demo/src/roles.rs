//! The child's side: the same code as in the binaries of the product, in a
//! process that does not outlive the demo.

use anyhow::Context as _;
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

use crate::args::Role;

/// Runs what this process was started as.
///
/// # Errors
///
/// As the product's own `run`.
pub(crate) async fn run(role: Role) -> anyhow::Result<()> {
    match role {
        Role::RoleScraper(role) => {
            die_with(role.parent)?;
            tributary_scraper::run(*role.args).await
        }
        Role::RoleApiserver(role) => {
            die_with(role.parent)?;
            tributary_apiserver::run(*role.args).await
        }
    }
}

/// Asks the kernel to kill this process when the demo ends, however it ends.
fn die_with(parent: i32) -> anyhow::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL)).context("ask to end with the demo")?;
    // It may have ended before we asked.
    let alive = getppid() == Pid::from_raw(parent);
    anyhow::ensure!(alive, "the demo (pid {parent}) is gone");
    Ok(())
}
