//! Whose messages are decoded now.
//!
//! A message of 4 MiB takes some ten milliseconds of a processor, and there may be hundreds of streams. If all of
//! them were decoded as they arrive, a probe would wait behind all of them at each of its steps. So a stream needs a permit for each
//! [`LITTLE`] bytes, or for a longer message. Half of the processors have permits. Each publisher has one at a
//! time, in the order in which its streams are ready, so a publisher with many streams delays no other by more than one message.
//!
//! A stream runs only while its responses are taken, so one that waits may never run again. Of the permits of all, none is given to
//! one that waits: it takes a free one when it runs. What it keeps from others is the permit of its own publisher.

use std::{pin::pin, sync::Arc, thread::available_parallelism};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// So many bytes of a stream are decoded without a permit: the roster of an ordinary node with its reading.
pub(super) const LITTLE: usize = 32 << 10;

/// The permits of one publisher, among those of all. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct DecodePermits {
    own: Arc<Semaphore>,
    all: Arc<All>,
}

/// The permits of all publishers.
#[derive(Debug)]
struct All {
    free: Arc<Semaphore>,
    /// Wakes all that wait for one.
    freed: Notify,
}

/// A permit, until this is dropped.
#[derive(Debug)]
pub(super) struct DecodePermit {
    _own: Option<OwnedSemaphorePermit>,
    of_all: Option<OwnedSemaphorePermit>,
    all: Arc<All>,
}

impl Drop for DecodePermit {
    fn drop(&mut self) {
        drop(self.of_all.take());
        self.all.freed.notify_waiters();
    }
}

impl Default for DecodePermits {
    fn default() -> Self {
        let processors = available_parallelism().map_or(1, usize::from);
        Self::of(processors)
    }
}

impl DecodePermits {
    fn of(processors: usize) -> Self {
        Self {
            own: Arc::new(Semaphore::new(1)),
            all: Arc::new(All {
                free: Arc::new(Semaphore::new((processors / 2).max(1))),
                freed: Notify::new(),
            }),
        }
    }

    /// The permits of another publisher, among the same of all.
    pub(super) fn of_another(&self) -> Self {
        Self {
            own: Arc::new(Semaphore::new(1)),
            all: Arc::clone(&self.all),
        }
    }

    /// Waits for a permit. It is not to be kept across an await, so it comes soon.
    pub(super) async fn next(&self) -> DecodePermit {
        // It is never closed.
        let own = Arc::clone(&self.own).acquire_owned().await;
        let of_all = self.all.next().await;
        DecodePermit {
            _own: own.ok(),
            of_all: Some(of_all),
            all: Arc::clone(&self.all),
        }
    }
}

impl All {
    async fn next(&self) -> OwnedSemaphorePermit {
        loop {
            let mut freed = pin!(self.freed.notified());
            // From here on it is woken, also by what is freed before it waits.
            freed.as_mut().enable();
            if let Ok(free) = Arc::clone(&self.free).try_acquire_owned() {
                return free;
            }
            freed.await;
        }
    }
}

/// How many bytes of a stream were decoded since its last permit.
#[derive(Debug, Default)]
pub(super) struct SincePermit(usize);

impl SincePermit {
    /// Counts a message. Returns whether the stream needs a permit for it.
    pub(super) fn needs_permit(&mut self, bytes: usize) -> bool {
        self.0 = self.0.saturating_add(bytes);
        let needs = self.0 > LITTLE;
        if needs {
            self.0 = 0;
        }
        needs
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use parking_lot::Mutex;
    use tokio::{
        task::{JoinSet, yield_now},
        time::timeout,
    };

    use super::*;

    #[test]
    fn a_permit_is_needed_for_each_32_kib_and_for_a_longer_message() {
        let mut since = SincePermit::default();
        assert!(!since.needs_permit(16 << 10));
        assert!(!since.needs_permit(16 << 10));
        assert!(since.needs_permit(1));
        assert!(!since.needs_permit(32 << 10));
        assert!(since.needs_permit(4 << 20));
        assert!(!since.needs_permit(1));
    }

    /// Takes permits for the streams of one publisher, and writes its name for each.
    fn queue(
        permits: &DecodePermits,
        streams: usize,
        name: &'static str,
        order: &Arc<Mutex<Vec<&'static str>>>,
        waiting: &mut JoinSet<()>,
    ) {
        for _ in 0..streams {
            let (permits, order) = (permits.clone(), Arc::clone(order));
            waiting.spawn(async move {
                let _permit = permits.next().await;
                order.lock().push(name);
            });
        }
    }

    #[tokio::test]
    async fn a_publisher_with_many_streams_delays_no_other_by_more_than_one_permit() {
        let one = DecodePermits::of(2);
        let other = one.of_another();
        let (order, mut waiting) = (Arc::default(), JoinSet::new());
        let first = one.next().await;
        queue(&one, 200, "many", &order, &mut waiting);
        yield_now().await;
        queue(&other, 3, "few", &order, &mut waiting);
        yield_now().await;
        drop(first);
        while waiting.join_next().await.is_some() {}
        let order = order.lock();
        let few = |(at, name): (usize, &&str)| (*name == "few").then_some(at);
        let few: Vec<usize> = order.iter().enumerate().filter_map(few).collect();
        assert_eq!(few.len(), 3);
        // Each of them waits for one permit of the other publisher at most.
        assert!(few.iter().all(|at| *at < 6), "{few:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_never_runs_again_keeps_no_permit_from_other_publishers() {
        let second = Duration::from_secs(1);
        let permits = DecodePermits::of(2);
        let taken = permits.next().await;
        let asleep = permits.of_another();
        let mut asleep = pin!(asleep.next());
        assert!(timeout(second, asleep.as_mut()).await.is_err());
        drop(taken);
        // It was woken, and is not polled.
        for _ in 0..3 {
            let other = timeout(second, permits.of_another().next()).await;
            assert!(other.is_ok());
        }
        // It still can have one.
        assert!(timeout(second, asleep).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn half_of_the_processors_have_permits_and_a_publisher_has_one() {
        let second = Duration::from_secs(1);
        for (processors, at_once) in [(1, 1), (2, 1), (3, 1), (8, 4)] {
            let first = DecodePermits::of(processors);
            let mut taken = vec![first.next().await];
            // Another one of the same publisher waits.
            assert!(timeout(second, first.next()).await.is_err());
            for _ in 1..at_once {
                taken.push(timeout(second, first.of_another().next()).await.unwrap());
            }
            let more = timeout(second, first.of_another().next()).await;
            assert!(more.is_err(), "{processors}");
        }
    }
}
