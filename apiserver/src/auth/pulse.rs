//! Whether reviews of one kind are answered, which defines an outage
//! (docs/decisions/0012-reviews-in-an-outage.md).
//!
//! In an outage no review is answered. One question detects it, in two ways: it failed, or its turn
//! has come and nothing was received for [`PATIENCE`]. In both cases no review of the kind was
//! answered for as long. Waiting for a turn does not count, because strangers can make others wait.

use std::time::Duration;

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

/// How long nothing may be received. This is long for a review, and short for the callers that wait.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

/// The same while the Kubernetes API answers that it is overloaded. Strangers may cause that, but then it still answers
/// some reviews.
pub(crate) const PATIENCE_WITH_TOO_MANY: Duration = Duration::from_secs(5);

/// The state of all reviews of one kind. Cheap to clone; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Pulse(watch::Sender<State>);

#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// When a review was last answered.
    answered: Option<Instant>,
    /// Whether an outage was detected since.
    outage: bool,
}

/// When the turn of a question came. Cheap to clone; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Permitted(watch::Sender<Option<Instant>>);

impl Default for Pulse {
    fn default() -> Self {
        Self(watch::Sender::new(State::default()))
    }
}

impl Default for Permitted {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Permitted {
    /// The turn comes now.
    pub(crate) fn now(&self) {
        self.0.send_replace(Some(Instant::now()));
    }

    /// Whether the turn has come.
    pub(crate) fn has_come(&self) -> bool {
        self.0.borrow().is_some()
    }
}

impl Pulse {
    /// A review was answered, with any result.
    pub(crate) fn answered(&self) {
        self.0.send_modify(|state| {
            state.answered = Some(Instant::now());
            state.outage = false;
        });
    }

    /// A review failed. Returns whether that is an outage, because nothing was answered for
    /// `quiet`.
    pub(crate) fn failed(&self, quiet: Duration) -> bool {
        let since = Instant::now().checked_sub(quiet);
        self.0.send_modify(|state| {
            state.outage |= state.answered <= since;
        });
        self.0.borrow().outage
    }

    /// Waits for an outage, for a question whose turn is `permitted`: until nothing was received
    /// for [`PATIENCE`] since its turn came, or until another question has detected the outage
    /// before.
    pub(crate) async fn silence(&self, permitted: &Permitted) {
        let (mut turn, mut others) = (permitted.0.subscribe(), self.0.subscribe());
        let mut heard = tokio::select! {
            biased;
            // The senders live as long as this does.
            from = turn.wait_for(Option::is_some) => from.ok().and_then(|from| *from),
            _ = others.wait_for(|state| state.outage) => None,
        };
        while let Some(at) = heard {
            sleep_until(at + PATIENCE).await;
            let answered = self.0.borrow().answered;
            heard = answered.filter(|answered| *answered > at);
        }
        self.0.send_modify(|state| state.outage = true);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn silence_counts_from_the_turn_and_from_the_last_answer_to_anybody() {
        let (pulse, turn) = (Pulse::default(), Permitted::default());
        let hour = Duration::from_hours(1);
        assert!(timeout(hour, pulse.silence(&turn)).await.is_err());
        let others = async {
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_millis(900)).await;
                pulse.answered();
            }
        };
        turn.now();
        let start = Instant::now();
        tokio::join!(others, pulse.silence(&turn));
        assert_eq!(start.elapsed(), Duration::from_millis(5_500));
        // The other question does not wait for the outage again.
        pulse.silence(&Permitted::default()).await;
        pulse.answered();
        assert!(
            timeout(hour, pulse.silence(&Permitted::default()))
                .await
                .is_err()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_an_outage_if_no_review_was_answered_for_a_while() {
        let pulse = Pulse::default();
        pulse.answered();
        advance(Duration::from_millis(999)).await;
        assert!(!pulse.failed(PATIENCE));
        advance(Duration::from_millis(1)).await;
        assert!(!pulse.failed(PATIENCE_WITH_TOO_MANY));
        assert!(pulse.failed(PATIENCE));
        assert!(pulse.failed(PATIENCE_WITH_TOO_MANY), "it is one for all");
        pulse.answered();
        assert!(!pulse.failed(PATIENCE));
    }
}
