//! Fair turns for TLS handshakes: one step of one handshake of each address at a time.

use std::{
    future::poll_fn,
    pin::pin,
    sync::Arc,
    task::{Poll, ready},
};

use tokio::sync::Semaphore;
use tokio_util::sync::PollSemaphore;

/// Polls `future` only with the permit of `turn`. A task that gets the permit yields once first, so that tasks that are queued
/// already run before it. The others that share `turn` wait meanwhile, and are not queued. While `future` waits for its peer,
/// it has no permit.
pub(super) async fn in_turn<F: Future>(turn: Arc<Semaphore>, future: F) -> F::Output {
    let mut turn = PollSemaphore::new(turn);
    let mut future = pin!(future);
    let mut permit = None;
    poll_fn(move |context| {
        if permit.is_none() {
            permit = ready!(turn.poll_acquire(context));
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let polled = future.as_mut().poll(context);
        permit = None;
        polled
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;
    use tokio::{
        sync::Semaphore,
        task::{JoinSet, yield_now},
    };

    use super::in_turn;

    /// A handshake of three steps.
    async fn handshake(name: &'static str, ended: Arc<Mutex<Vec<&'static str>>>) {
        for _ in 0..2 {
            yield_now().await;
        }
        ended.lock().push(name);
    }

    #[tokio::test]
    async fn one_source_with_many_handshakes_delays_another_one_by_a_few() {
        let ended = Arc::new(Mutex::new(Vec::new()));
        let (crowd, honest) = (Arc::new(Semaphore::new(1)), Arc::new(Semaphore::new(1)));
        let mut tasks = JoinSet::new();
        for _ in 0..100 {
            tasks.spawn(in_turn(
                Arc::clone(&crowd),
                handshake("crowd", Arc::clone(&ended)),
            ));
        }
        tasks.spawn(in_turn(honest, handshake("honest", Arc::clone(&ended))));
        while tasks.join_next().await.is_some() {}
        let ended = ended.lock();
        assert_eq!(ended.len(), 101);
        let before = ended.iter().take_while(|name| **name == "crowd").count();
        assert!(before <= 2, "{before} handshakes of the crowd ended before");
    }

    #[tokio::test]
    async fn a_handshake_that_waits_for_its_peer_blocks_no_other_one() {
        let turn = Arc::new(Semaphore::new(1));
        let mut tasks = JoinSet::new();
        tasks.spawn(in_turn(Arc::clone(&turn), std::future::pending::<()>()));
        yield_now().await;
        in_turn(turn, async {}).await;
    }
}
