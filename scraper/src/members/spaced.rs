//! A log line at most so often, however often there is reason for it.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// How far lines are apart at least. What they are about lasts, and is counted.
const APART: Duration = Duration::from_mins(1);

/// When a line was last written.
#[derive(Debug, Default)]
pub(super) struct Spaced(Mutex<Option<Instant>>);

impl Spaced {
    /// Whether a line may be written now.
    pub(super) fn is_time(&self) -> bool {
        let now = Instant::now();
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|last| now < last + APART) {
            return false;
        }
        *last = Some(now);
        true
    }
}
