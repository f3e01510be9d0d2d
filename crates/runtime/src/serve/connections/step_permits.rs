//! Permits for the steps of handshakes and requests of strangers: one step of each address at a time.

use std::{
    future::poll_fn,
    pin::pin,
    sync::Arc,
    task::{Poll, ready},
};

use tokio::sync::Semaphore;
use tokio_util::sync::PollSemaphore;

/// The permits that a step needs, in this order. One of each at a time is given.
#[derive(Clone, Debug)]
pub(in super::super) struct StepPermits {
    of_host: Arc<Semaphore>,
    of_source: Arc<Semaphore>,
}

impl StepPermits {
    pub(super) fn new(of_host: &Arc<Semaphore>, of_source: &Arc<Semaphore>) -> Self {
        Self {
            of_host: Arc::clone(of_host),
            of_source: Arc::clone(of_source),
        }
    }

    /// Polls `future` only with both permits. A task that gets them yields once first, so that tasks that are queued already
    /// run before it. The others wait meanwhile, and are not queued. For the permit of the source only one task of each host
    /// waits. While `future` waits for its peer, it has no permit.
    pub(in super::super) async fn run<F: Future>(&self, future: F) -> F::Output {
        self.run_until(|| false, future).await
    }

    /// The same until `is_free` at the beginning of a step. From then on the future needs no permit.
    pub(in super::super) async fn run_until<F: Future>(
        &self,
        is_free: impl Fn() -> bool,
        future: F,
    ) -> F::Output {
        let mut of_host = PollSemaphore::new(Arc::clone(&self.of_host));
        let mut of_source = PollSemaphore::new(Arc::clone(&self.of_source));
        let (mut host, mut source) = (None, None);
        let mut future = pin!(future);
        poll_fn(move |context| {
            if is_free() {
                (host, source) = (None, None);
                return future.as_mut().poll(context);
            }
            if host.is_none() {
                host = ready!(of_host.poll_acquire(context));
            }
            if source.is_none() {
                source = ready!(of_source.poll_acquire(context));
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            let polled = future.as_mut().poll(context);
            (host, source) = (None, None);
            polled
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };

    use parking_lot::Mutex;
    use tokio::{
        sync::Semaphore,
        task::{JoinSet, yield_now},
    };

    use super::StepPermits;

    fn permit() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(1))
    }

    /// A handshake of three steps.
    async fn handshake(name: &'static str, ended: Arc<Mutex<Vec<&'static str>>>) {
        for _ in 0..2 {
            yield_now().await;
        }
        ended.lock().push(name);
    }

    /// How many of a hundred handshakes end before a later one.
    async fn ended_before(crowd: StepPermits, honest: StepPermits) -> usize {
        let ended = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        for _ in 0..100 {
            let (crowd, ended) = (crowd.clone(), Arc::clone(&ended));
            tasks.spawn(async move { crowd.run(handshake("crowd", ended)).await });
        }
        let log = Arc::clone(&ended);
        tasks.spawn(async move { honest.run(handshake("honest", log)).await });
        while tasks.join_next().await.is_some() {}
        let ended = ended.lock();
        assert_eq!(ended.len(), 101);
        ended.iter().take_while(|name| **name == "crowd").count()
    }

    #[tokio::test]
    async fn one_source_with_many_handshakes_delays_another_one_by_a_few() {
        let crowd = StepPermits::new(&permit(), &permit());
        let before = ended_before(crowd, StepPermits::new(&permit(), &permit())).await;
        assert!(before <= 2, "{before} handshakes of the crowd ended before");
    }

    #[tokio::test]
    async fn one_host_with_many_handshakes_delays_another_one_of_its_network_by_a_few() {
        let network = permit();
        let crowd = StepPermits::new(&permit(), &network);
        let before = ended_before(crowd, StepPermits::new(&permit(), &network)).await;
        assert!(before <= 4, "{before} handshakes of the crowd ended before");
    }

    #[tokio::test]
    async fn what_becomes_free_waits_for_no_permit() {
        let (permit, other) = (permit(), permit());
        let permits = StepPermits::new(&permit, &other);
        let taken = Arc::clone(&permit).try_acquire_owned().unwrap();
        let free = Arc::new(AtomicBool::new(false));
        let is_free = Arc::clone(&free);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let is_free = || is_free.load(Ordering::Relaxed);
            permits.run_until(is_free, async {}).await;
        });
        yield_now().await;
        assert!(tasks.try_join_next().is_none());
        free.store(true, Ordering::Relaxed);
        drop(taken);
        tasks.join_next().await.unwrap().unwrap();
        let always = StepPermits::new(&Arc::new(Semaphore::new(0)), &permit);
        always.run_until(|| true, async {}).await;
    }

    #[tokio::test]
    async fn a_handshake_that_waits_for_its_peer_blocks_no_other_one() {
        let permits = StepPermits::new(&permit(), &permit());
        let waiting = permits.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { waiting.run(std::future::pending::<()>()).await });
        yield_now().await;
        permits.run(async {}).await;
    }
}
