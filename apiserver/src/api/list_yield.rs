//! When a list lets other tasks run.
//!
//! Yielding has a cost: a thread of the runtime without other work wakes another thread, which finds no work either.
//! With pages of a fifth of a millisecond, that took a tenth of a list's time.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::task::yield_now;

/// After this many pages a list yields even if no other list is being written: there may be no second thread, or a task
/// may wait for this one. Eight pages take about two milliseconds, and longer if they are compressed.
const ALONE: usize = 8;

/// The lists that are being written.
#[derive(Clone, Debug, Default)]
pub(super) struct ListYield(Arc<AtomicUsize>);

/// One of these lists, until this is dropped.
#[derive(Debug)]
pub(super) struct ListTurn {
    lists: ListYield,
    pages: usize,
}

impl ListYield {
    /// Adds a list.
    pub(super) fn begin(&self) -> ListTurn {
        self.0.fetch_add(1, Ordering::Relaxed);
        ListTurn {
            lists: self.clone(),
            pages: 0,
        }
    }
}

impl ListTurn {
    /// Must be awaited between two pages. Otherwise a GET of one object could wait for a page of each concurrent list.
    pub(super) async fn yield_if_due(&mut self) {
        if self.is_due() {
            yield_now().await;
        }
    }

    fn is_due(&mut self) -> bool {
        self.pages = self.pages.wrapping_add(1);
        self.lists.0.load(Ordering::Relaxed) > 1 || self.pages.is_multiple_of(ALONE)
    }
}

impl Drop for ListTurn {
    fn drop(&mut self) {
        self.lists.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_alone_goes_on_for_eight_pages_and_beside_another_for_one() {
        let lists = ListYield::default();
        let mut one = lists.begin();
        let mut yield_if_due =
            |pages: usize| -> Vec<bool> { (0..pages).map(|_| one.is_due()).collect() };
        let mut alone = [false; 16];
        (alone[7], alone[15]) = (true, true);
        assert_eq!(yield_if_due(16), alone);
        let other = lists.begin();
        assert_eq!(yield_if_due(2), [true; 2]);
        drop(other);
        assert_eq!(yield_if_due(1), [false]);
    }
}
