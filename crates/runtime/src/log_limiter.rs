//! Limits how often a log line is written.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// The shortest time between two lines.
const APART: Duration = Duration::from_secs(10);

/// When a line was last written, and how many were suppressed since.
#[derive(Debug, Default)]
pub struct LogLimiter(Mutex<(Option<Instant>, u64)>);

impl LogLimiter {
    /// Whether a line may be written now. If so, how many were suppressed before it.
    pub fn allow(&self) -> Option<u64> {
        let now = Instant::now();
        let mut state = self.0.lock();
        let (last, suppressed) = &mut *state;
        if last.is_some_and(|last| now < last + APART) {
            *suppressed += 1;
            return None;
        }
        *last = Some(now);
        Some(std::mem::take(suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_left_out_is_counted() {
        let log_limiter = LogLimiter::default();
        assert_eq!(log_limiter.allow(), Some(0));
        assert_eq!((log_limiter.allow(), log_limiter.allow()), (None, None));
        tokio::time::advance(APART).await;
        assert_eq!(log_limiter.allow(), Some(2));
        tokio::time::advance(APART).await;
        assert_eq!(log_limiter.allow(), Some(0));
    }
}
