//! `switch`: leads `metrics.k8s.io` from another server to Tributary, and back. The only command that changes something
//! (docs/decisions/0037-switch.md).
//!
//! - Each `APIService` changes in one write, with the CA of the server, so no request falls between. What was there is kept
//!   in an annotation.
//! - `v1beta1`, which autoscalers ask, comes first, and is asked before `v1` follows.
//! - Whatever is not as it should be after that, an interrupt too, leads back what was changed.
//! - Writes are never given up half-way: an interrupt waits for the answer.

mod back;
mod find;
pub mod object;
pub mod owner;
mod report;
mod stand;
mod to;
mod watch;
mod write;

use std::{pin::Pin, time::Duration};

pub use self::{
    back::back,
    report::{Log, Report, State},
    stand::{Stand, Standing, text},
    to::to,
};
use crate::compare::Pace;

/// What ends a change-over before its time: then it goes back.
pub type Stop<'a> = Pin<&'a mut (dyn Future<Output = ()> + Send)>;

/// How to change over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct To {
    /// How both servers are compared first; `None` for not at all.
    pub compare: Option<Pace>,
    /// Leaves `v1beta1` alone.
    pub only_v1: bool,
    /// Goes on although something else writes the `APIService`.
    pub ignore_owner: bool,
    /// Changes nothing, and says what would be changed.
    pub dry_run: bool,
    /// How long Tributary is asked after the change.
    pub watch_for: Duration,
    /// The Service of Tributary, if it is not that of the fleet.
    pub service: Option<String>,
}

/// How to go back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Back {
    /// Deletes `v1` if there was none before.
    pub drop_v1: bool,
    /// Goes back to a Service of which no endpoint is ready.
    pub ignore_endpoints: bool,
    /// Changes nothing, and says what would be changed.
    pub dry_run: bool,
    /// How long the server of before may take to answer.
    pub watch_for: Duration,
}

/// Ends with an interrupt (Ctrl-C), the end of the terminal, or a request to end.
///
/// # Errors
///
/// Signals cannot be received.
#[cfg(unix)]
pub fn interrupts() -> std::io::Result<impl Future<Output = ()> + Send> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut end = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = end.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}

/// Ends with Ctrl-C.
///
/// # Errors
///
/// None.
#[cfg(not(unix))]
pub fn interrupts() -> std::io::Result<impl Future<Output = ()> + Send> {
    Ok(async {
        drop(tokio::signal::ctrl_c().await);
    })
}

#[cfg(test)]
mod tests;
