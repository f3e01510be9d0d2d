//! How a frontend ends. First `/readyz` fails, then it goes on for a while, then it stops (docs/parity.md#stopping,
//! docs/decisions/0016-serving.md).

use std::time::Duration;

use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::limits::Limits;

/// The values of the flags.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// `--shutdown-delay-duration`
    pub(crate) delay: Duration,
    /// `--shutdown-send-retry-after`
    pub(crate) send_retry_after: bool,
    /// `--shutdown-grace-period`
    pub(crate) grace: Duration,
}

/// The steps. Each is a token that is cancelled when the step begins.
#[derive(Clone, Debug)]
pub(crate) struct Steps {
    /// `/readyz` fails. Everything else goes on.
    pub(crate) leaving: CancellationToken,
    /// New requests are answered with 429.
    pub(crate) refusing: CancellationToken,
    /// Long-running requests end.
    pub(crate) ending: CancellationToken,
    /// Sockets are closed. Requests in flight are finished.
    pub(crate) stop: CancellationToken,
}

impl Steps {
    /// No step has begun, except perhaps `stop`.
    pub(crate) fn to(stop: CancellationToken) -> Self {
        Self {
            leaving: CancellationToken::new(),
            refusing: CancellationToken::new(),
            ending: stop.child_token(),
            stop,
        }
    }

    /// Whether the first step has begun.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.is_cancelled() || self.stop.is_cancelled()
    }

    /// Takes the steps after the first one. Returns when the last one has begun.
    pub(crate) async fn take(self, pace: Pace, limits: Limits) {
        let Self {
            leaving,
            refusing,
            ending,
            stop,
        } = self;
        let steps = async {
            leaving.cancelled().await;
            info!(delay = ?pace.delay, "shutting down: not ready, still serving");
            sleep(pace.delay).await;
            if pace.send_retry_after {
                refusing.cancel();
                ending.cancel();
                // The server handles both cases: all requests are finished, or the time is over.
                drop(timeout(pace.grace, limits.drained()).await);
            }
        };
        if stop.run_until_cancelled(steps).await.is_some() {
            info!("stopping");
            stop.cancel();
        }
    }
}
