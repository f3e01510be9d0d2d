//! The only place that polls.

use std::{fmt::Debug, future::Future, time::Duration};

use tokio::time::{Instant, sleep};

/// How long anything may take before the test gives up. Generous: it is not a
/// measurement, and machines are slow at times.
pub const PATIENCE: Duration = Duration::from_secs(30);

const POLL_EVERY: Duration = Duration::from_millis(20);

/// Asks until the answer is `Ok`, and returns it. Gives up with the last
/// refusal.
#[track_caller]
pub fn eventually<T, E: Debug, F: Future<Output = Result<T, E>>>(
    mut ask: impl FnMut() -> F,
) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        let start = Instant::now();
        loop {
            match ask().await {
                Ok(answer) => return answer,
                Err(refusal) if start.elapsed() > PATIENCE => {
                    panic!("{caller}: not within {PATIENCE:?}: {refusal:?}")
                }
                Err(_) => sleep(POLL_EVERY).await,
            }
        }
    }
}
