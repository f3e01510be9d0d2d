//! Whose messages are decoded now.
//!
//! A message of 4 MiB takes some ten milliseconds of a processor, and there may be hundreds of streams. If all of
//! them were decoded as they arrive, a probe would wait behind all of them at each of its steps. So a stream needs a turn for each
//! [`LITTLE`] bytes, or for a longer message. Half of the processors have turns. Each publisher has one at a
//! time, in the order in which its streams are ready, so a publisher with many streams delays no other by more than one message.

use std::{sync::Arc, thread::available_parallelism};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many bytes of a stream are decoded without a turn: the roster of an ordinary node with its reading.
pub(super) const LITTLE: usize = 32 << 10;

/// The turns of one publisher, among those of all. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Turns {
    own: Arc<Semaphore>,
    all: Arc<Semaphore>,
}

/// A turn, until this is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    _own: Option<OwnedSemaphorePermit>,
    _all: Option<OwnedSemaphorePermit>,
}

impl Default for Turns {
    fn default() -> Self {
        let processors = available_parallelism().map_or(1, usize::from);
        Self::of(processors)
    }
}

impl Turns {
    fn of(processors: usize) -> Self {
        Self {
            own: Arc::new(Semaphore::new(1)),
            all: Arc::new(Semaphore::new((processors / 2).max(1))),
        }
    }

    /// The turns of another publisher, among the same of all.
    pub(super) fn of_another(&self) -> Self {
        Self {
            own: Arc::new(Semaphore::new(1)),
            all: Arc::clone(&self.all),
        }
    }

    /// Waits for a turn. It is not to be kept across an await, so it comes soon.
    pub(super) async fn next(&self) -> Turn {
        // The semaphores are never closed. Both give permits in the order of waiting.
        let own = Arc::clone(&self.own).acquire_owned().await;
        let all = Arc::clone(&self.all).acquire_owned().await;
        Turn {
            _own: own.ok(),
            _all: all.ok(),
        }
    }
}

/// How many bytes of a stream were decoded since its last turn.
#[derive(Debug, Default)]
pub(super) struct SinceTurn(usize);

impl SinceTurn {
    /// Counts a message. Returns whether the stream needs a turn for it.
    pub(super) fn needs_turn(&mut self, bytes: usize) -> bool {
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
    fn a_turn_is_needed_for_each_32_kib_and_for_a_longer_message() {
        let mut since = SinceTurn::default();
        assert!(!since.needs_turn(16 << 10));
        assert!(!since.needs_turn(16 << 10));
        assert!(since.needs_turn(1));
        assert!(!since.needs_turn(32 << 10));
        assert!(since.needs_turn(4 << 20));
        assert!(!since.needs_turn(1));
    }

    /// Takes turns for the streams of one publisher, and writes its name for each.
    fn queue(
        turns: &Turns,
        streams: usize,
        name: &'static str,
        order: &Arc<Mutex<Vec<&'static str>>>,
        waiting: &mut JoinSet<()>,
    ) {
        for _ in 0..streams {
            let (turns, order) = (turns.clone(), Arc::clone(order));
            waiting.spawn(async move {
                let _turn = turns.next().await;
                order.lock().push(name);
            });
        }
    }

    #[tokio::test]
    async fn a_publisher_with_many_streams_delays_no_other_by_more_than_one_turn() {
        let one = Turns::of(2);
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
        // Each of them waits for one turn of the other publisher at most.
        assert!(few.iter().all(|at| *at < 6), "{few:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn half_of_the_processors_have_turns_and_a_publisher_has_one() {
        let second = Duration::from_secs(1);
        for (processors, at_once) in [(1, 1), (2, 1), (3, 1), (8, 4)] {
            let first = Turns::of(processors);
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
