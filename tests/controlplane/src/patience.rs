//! How long a control plane may take. The waiting itself is [`within`]; here a failure is an error that says what was
//! waited for, because a run on a control plane ends in order.

use std::{fmt::Debug, future::Future, time::Duration};

use anyhow::anyhow;
use tokio::time::sleep;
use tributary_testkit::patience::within;

/// How long anything may take before a test gives up. Generous: it is not a measurement, and control planes are slow
/// on small machines.
pub const PATIENCE: Duration = Duration::from_mins(5);

/// Most questions are a kubectl, which takes longer than this of a processor.
const POLL_EVERY: Duration = Duration::from_millis(300);

/// Asks until the answer is `Ok`, and returns it.
///
/// # Errors
///
/// There was none for [`PATIENCE`]; says what the last refusal was. Or one call took as long as that.
pub async fn eventually<T, E: Debug, F: Future<Output = Result<T, E>>>(
    what: &str,
    ask: impl FnMut() -> F,
) -> anyhow::Result<T> {
    let answer = within(PATIENCE, POLL_EVERY, ask).await;
    answer.map_err(|late| anyhow!("{what}: not within {PATIENCE:?}: {late}"))
}

/// Looks again and again, and ends with what is wrong.
pub async fn while_ok<E>(mut look: impl FnMut() -> Result<(), E>) -> E {
    loop {
        if let Err(wrong) = look() {
            return wrong;
        }
        sleep(POLL_EVERY).await;
    }
}
