//! The processes that the demo starts. They run the same code as the binaries of the product, and do not outlive the
//! demo.

use anyhow::Context as _;
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

use crate::args::Role;

/// Runs the component of this process.
///
/// # Errors
///
/// Those of the component's `run`.
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

/// Makes the kernel kill this process when the demo ends for any reason.
fn die_with(parent: i32) -> anyhow::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL)).context("ask to end with the demo")?;
    // The demo may have ended before this request.
    let alive = getppid() == Pid::from_raw(parent);
    anyhow::ensure!(alive, "the demo (pid {parent}) is gone");
    Ok(())
}
