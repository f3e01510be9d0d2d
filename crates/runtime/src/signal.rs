//! SIGTERM and SIGINT.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

/// The signals that ask a process to end. While this exists, they no longer end it at once.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Installs the handlers. It must be called before anything starts that the process must undo at its end.
    ///
    /// # Errors
    ///
    /// The handlers cannot be installed.
    pub fn take_over() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for a signal, then cancels `stop`. Also ends when other code cancels `stop`.
    pub async fn stop(mut self, stop: CancellationToken) {
        let which = tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            () = stop.cancelled() => return,
        };
        info!(signal = which, "stopping");
        stop.cancel();
    }

    /// Waits for a signal, then cancels `leaving`. A second signal cancels `stop`. Also ends when other code cancels
    /// `stop`.
    pub async fn leave_then_stop(mut self, leaving: CancellationToken, stop: CancellationToken) {
        for (token, what) in [(leaving, "leaving"), (stop.clone(), "stopping at once")] {
            let which = tokio::select! {
                _ = self.terminate.recv() => "SIGTERM",
                _ = self.interrupt.recv() => "SIGINT",
                () = stop.cancelled() => return,
            };
            info!(signal = which, "{what}");
            token.cancel();
        }
    }
}
