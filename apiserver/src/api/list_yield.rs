//! When a list lets others go first.
//!
//! To be asked again by the runtime is not free: a thread that finds nothing else to do meanwhile wakes another one up,
//! which finds nothing either. With a page of a fifth of a millisecond that was a tenth of a list's time.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::task::yield_now;

/// After this many pages, some two milliseconds and more if they are compressed, a list lets others go first even if no other
/// list is written: there may be no second thread, or something may wait for this one in particular.
const ALONE: usize = 8;

/// The lists that are written now.
#[derive(Clone, Debug, Default)]
pub(super) struct ListYield(Arc<AtomicUsize>);

/// One of them. It is no more when this is dropped.
#[derive(Debug)]
pub(super) struct ListTurn {
    lists: ListYield,
    pages: usize,
}

impl ListYield {
    /// One more.
    pub(super) fn begin(&self) -> ListTurn {
        self.0.fetch_add(1, Ordering::Relaxed);
        ListTurn {
            lists: self.clone(),
            pages: 0,
        }
    }
}

impl ListTurn {
    /// Await between two pages. With concurrent lists, a GET of one object would otherwise wait for a page of each.
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
