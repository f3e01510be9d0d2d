//! Limits a log line to one in a minute.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// The shortest time between two lines. A metric counts all events.
const APART: Duration = Duration::from_mins(1);

/// When a line was last written.
#[derive(Debug, Default)]
pub(super) struct OnceAMinute(Mutex<Option<Instant>>);

impl OnceAMinute {
    /// Whether a line may be written now.
    pub(super) fn allow(&self) -> bool {
        let now = Instant::now();
        let mut last = self.0.lock();
        if last.is_some_and(|last| now < last + APART) {
            return false;
        }
        *last = Some(now);
        true
    }
}
