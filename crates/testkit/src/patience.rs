//! Waiting for a condition. All polling is here.

use std::{fmt::Debug, future::Future, panic::Location, time::Duration};

use tokio::time::{Instant, sleep};

/// How long a test waits before it fails. It is long because it is not a measurement, and machines are slow at times.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The pause between two attempts.
const EVERY: Duration = Duration::from_millis(20);

/// Calls `attempt` until it returns `Ok`, and returns the value.
///
/// # Panics
///
/// After [`PATIENCE`], with the last error and the place of the caller.
#[track_caller]
#[expect(clippy::panic, reason = "a failed step is a failed test")]
pub fn eventually<T, E: Debug, F: Future<Output = Result<T, E>>>(
    attempt: impl FnMut() -> F,
) -> impl Future<Output = T> {
    let caller = Location::caller();
    async move {
        within(PATIENCE, EVERY, attempt)
            .await
            .unwrap_or_else(|error| {
                panic!("{caller}: not within {PATIENCE:?}: {error:?}");
            })
    }
}

/// Calls `attempt` repeatedly until it returns `Ok`, and returns the value.
///
/// # Errors
///
/// The error of the first attempt that ends after `most`.
pub async fn within<T, E, F: Future<Output = Result<T, E>>>(
    most: Duration,
    every: Duration,
    mut attempt: impl FnMut() -> F,
) -> Result<T, E> {
    let start = Instant::now();
    loop {
        match attempt().await {
            Ok(answer) => return Ok(answer),
            Err(error) if start.elapsed() > most => return Err(error),
            Err(_) => sleep(every).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_error_is_returned_when_time_is_over() {
        let mut attempts = 0;
        let answer = within(Duration::from_secs(5), Duration::ZERO, || {
            attempts += 1;
            std::future::ready(if attempts > 3 {
                Ok(attempts)
            } else {
                Err(attempts)
            })
        });
        assert_eq!(answer.await, Ok(4));
        let never = || std::future::ready(Err::<(), _>("no"));
        assert_eq!(
            within(Duration::ZERO, Duration::from_millis(1), never).await,
            Err("no")
        );
    }
}
