//! Waiting for a condition. All polling is here.

use std::{
    fmt::{self, Debug, Display},
    future::Future,
    panic::Location,
    time::Duration,
};

use tokio::time::{Instant, sleep, timeout};

/// How long a test waits before it fails. It is long because it is not a measurement, and machines are slow at times.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The pause between two attempts.
const EVERY: Duration = Duration::from_millis(20);

/// Why waiting ended without success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Late<E> {
    /// The time is over. This is the error of the last attempt.
    Failed(E),
    /// An attempt took this long, and was not complete.
    Hung(Duration),
}

impl<E: Debug> Display for Late<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => write!(f, "{error:?}"),
            Self::Hung(limit) => write!(f, "an attempt hangs for {limit:?}"),
        }
    }
}

/// Calls `attempt` until it returns `Ok`, and returns the value.
///
/// # Panics
///
/// After [`PATIENCE`], with the last error and the place of the caller. Also if one attempt takes that long.
#[track_caller]
#[expect(clippy::panic, reason = "a failed step is a failed test")]
pub fn eventually<T, E: Debug, F: Future<Output = Result<T, E>>>(
    attempt: impl FnMut() -> F,
) -> impl Future<Output = T> {
    let caller = Location::caller();
    async move {
        within(PATIENCE, EVERY, attempt)
            .await
            .unwrap_or_else(|late| panic!("{caller}: not within {PATIENCE:?}: {late}"))
    }
}

/// Calls `attempt` repeatedly until it returns `Ok`, and returns the value. One attempt may take `most`, too.
///
/// With a paused clock an attempt must not wait for a socket: the runtime then advances the clock to the limit at once.
///
/// # Errors
///
/// [`Late::Failed`] with the error of the first attempt that ends after `most`. [`Late::Hung`] if an attempt does not end:
/// there is no other attempt, because a call that hangs is a fault.
pub async fn within<T, E, F: Future<Output = Result<T, E>>>(
    most: Duration,
    every: Duration,
    mut attempt: impl FnMut() -> F,
) -> Result<T, Late<E>> {
    let start = Instant::now();
    loop {
        match timeout(most, attempt()).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) if start.elapsed() > most => return Err(Late::Failed(error)),
            Ok(Err(_)) => sleep(every).await,
            Err(_) => return Err(Late::Hung(most)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    const MOST: Duration = Duration::from_secs(5);
    const PAUSE: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn an_attempt_is_made_until_one_succeeds() {
        let mut attempts = 0;
        let answer = within(MOST, PAUSE, || {
            attempts += 1;
            ready(if attempts > 3 {
                Ok(attempts)
            } else {
                Err(attempts)
            })
        });
        assert_eq!(answer.await, Ok(4));
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_error_is_returned_when_time_is_over() {
        let mut attempts = 0;
        let start = Instant::now();
        let answer = within(MOST, PAUSE, || {
            attempts += 1;
            ready(Err::<(), _>(attempts))
        });
        // At 0 s, 1 s, .. 6 s.
        assert_eq!(answer.await, Err(Late::Failed(7)));
        assert_eq!(start.elapsed(), Duration::from_secs(6));
        assert_eq!(Late::Failed("no").to_string(), "\"no\"");
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_hangs_ends_the_waiting_and_is_named() {
        let mut attempts = 0;
        let start = Instant::now();
        let answer = within(MOST, PAUSE, || {
            attempts += 1;
            let hangs = attempts == 3;
            async move {
                if hangs {
                    pending::<()>().await;
                }
                Err::<(), _>("no")
            }
        });
        let late = answer.await.unwrap_err();
        assert_eq!(late, Late::Hung(MOST));
        assert_eq!(late.to_string(), "an attempt hangs for 5s");
        assert_eq!(start.elapsed(), 2 * PAUSE + MOST);
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_begins_in_time_may_take_its_time() {
        let answer = within(MOST, PAUSE, || async {
            sleep(4 * PAUSE).await;
            Ok::<_, ()>("slow")
        });
        assert_eq!(answer.await, Ok("slow"));
    }
}
