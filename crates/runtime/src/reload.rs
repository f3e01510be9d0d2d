//! Files that may change while a process runs.
//!
//! They are compared by content: Kubernetes replaces mounted Secrets by swapping a symlink, which a
//! watch on the file does not see. The owner of the content has a function that reads the files and
//! returns whether something has changed. If they cannot be used, it keeps the earlier content.

use std::{fmt::Display, time::Duration};

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How often files are read.
pub const POLL_INTERVAL: Duration = Duration::from_secs(10);

/// Logs the results of reading files, once per change.
#[derive(Debug)]
pub struct ReloadReporter {
    what: &'static str,
    failures: u32,
}

impl ReloadReporter {
    /// A reporter for the files of `what`.
    pub const fn new(what: &'static str) -> Self {
        Self { what, failures: 0 }
    }

    /// Takes the result of a read.
    pub fn report<E: Display>(&mut self, look: Result<bool, E>) {
        let what = self.what;
        match look {
            Ok(changed) => {
                self.failures = 0;
                if changed {
                    info!("{what} replaced");
                }
            }
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                // A first failure may be a half-written file. Two are a fault.
                if self.failures == 2 {
                    warn!(%error, "failed to read {what}; keeping the old one");
                }
            }
        }
    }
}

/// Reads the files repeatedly until `stop`.
pub async fn follow<E: Display>(
    what: &'static str,
    stop: CancellationToken,
    mut look: impl FnMut() -> Result<bool, E>,
) {
    let mut looks = ReloadReporter::new(what);
    while stop
        .run_until_cancelled(tokio::time::sleep(POLL_INTERVAL))
        .await
        .is_some()
    {
        looks.report(look());
    }
}
