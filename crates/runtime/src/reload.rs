//! Files that may change while a process runs.
//!
//! They are looked at by content: Kubernetes replaces mounted secrets by
//! swapping a symlink, which a watch on the file does not see. Whoever holds
//! what was made of them has a function that looks, says whether something had
//! changed, and leaves what is in force as it is if it cannot be used.

use std::{fmt::Display, time::Duration};

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How often files are looked at for a change.
pub const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Says what looking at files came to, once per change.
#[derive(Debug)]
pub struct Looks {
    what: &'static str,
    failures: u32,
}

impl Looks {
    /// For the files of `what`.
    pub const fn new(what: &'static str) -> Self {
        Self { what, failures: 0 }
    }

    /// Takes what a look came to.
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
                // One failure may be files that are half written; two are a fault.
                if self.failures == 2 {
                    warn!(%error, "failed to read {what}; keeping the old one");
                }
            }
        }
    }
}

/// Looks again and again until `stop`.
pub async fn follow<E: Display>(
    what: &'static str,
    stop: CancellationToken,
    mut look: impl FnMut() -> Result<bool, E>,
) {
    let mut looks = Looks::new(what);
    while stop
        .run_until_cancelled(tokio::time::sleep(LOOK_EVERY))
        .await
        .is_some()
    {
        looks.report(look());
    }
}
