//! What the pages of all kubelets may cost together.
//!
//! A page is bounded by the limit of one ([`Pages::limit`]), and a thousand may be
//! read at the same time. Nearly all are well below [`SMALL`]. What is larger needs
//! room, of which there is [`ROOM`] for all kubelets: who has none waits, within
//! the time of its request. Reading may take as long as a kubelet pleases, so
//! large pages are read side by side, and no kubelet that dawdles keeps others
//! from theirs: it takes as many as fit into the room. Decoding takes as long as
//! the page is, so large ones are decoded one after another.

use std::{ops::RangeInclusive, sync::Arc};

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// The largest page if no flag says otherwise. What a kubelet says of one
/// container is about 800 bytes with long names: 5,000 of those fit.
pub const DEFAULT_PAGE: usize = 4 << 20;

/// What a flag may choose. A page of the smallest fits a usual node; the largest
/// has room for [`Roster::MAX_CONTAINERS`](tributary_model::Roster::MAX_CONTAINERS)
/// with names and lines longer than any kubelet's.
pub const PAGE_LIMITS: RangeInclusive<usize> = (64 << 10)..=ROOM;

/// Pages up to here, as inflated, are read and decoded side by side without
/// further ado: a node of 110 pods with ten containers each has no more.
pub(super) const SMALL: usize = 1 << 20;

/// Bytes of all pages that are larger, each counted with what it may become.
pub(super) const ROOM: usize = 64 << 20;

/// What the pages of all kubelets have in common.
#[derive(Debug)]
pub(super) struct Pages {
    limit: usize,
    /// In bytes.
    room: Arc<Semaphore>,
    decoding: Semaphore,
    buffers: Buffers,
    counters: PageCounters,
}

/// What is counted of pages. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct PageCounters {
    /// Bytes of whole pages, after inflation.
    pub bytes: Counter,
    /// Pages that had to wait for room.
    pub waited: Counter,
}

/// Part of the room.
pub(super) type Room = OwnedSemaphorePermit;

/// A page that was read to its end.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) bytes: Vec<u8>,
    /// What it takes up, if it is larger than [`SMALL`].
    pub(super) room: Option<Room>,
}

impl Pages {
    /// Pages of up to `limit` bytes, as sent and as inflated.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit: limit.min(ROOM),
            room: Arc::new(Semaphore::new(ROOM)),
            decoding: Semaphore::new(1),
            buffers: Buffers::default(),
            counters: PageCounters::default(),
        }
    }

    /// The most bytes of one page.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// What is counted.
    pub(super) fn counters(&self) -> &PageCounters {
        &self.counters
    }

    /// An empty buffer.
    pub(super) fn buffer(&self) -> Vec<u8> {
        self.buffers.take()
    }

    /// Waits for the room of a page that is larger than [`SMALL`].
    pub(super) async fn room(&self) -> Option<Room> {
        // Fits, as ROOM is below 4 GiB.
        let bytes = u32::try_from(self.limit).unwrap_or(u32::MAX);
        if let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(bytes) {
            return Some(room);
        }
        self.counters.waited.inc();
        // Never closed.
        Arc::clone(&self.room).acquire_many_owned(bytes).await.ok()
    }

    /// Waits for the turn of `page` to be decoded; at once if it is small. Nobody
    /// waits for anything while it has it.
    pub(super) async fn turn(&self, page: &Page) -> Option<SemaphorePermit<'_>> {
        page.room.as_ref()?;
        self.decoding.acquire().await.ok()
    }

    /// Counts a page, and gives back what it takes up.
    pub(super) fn give_back(&self, page: Page) {
        let bytes = u64::try_from(page.bytes.len()).unwrap_or(u64::MAX);
        self.counters.bytes.inc_by(bytes);
        self.buffers.give(page.bytes);
    }
}

/// Buffers between two pages.
#[derive(Debug, Default)]
struct Buffers(Mutex<Vec<Vec<u8>>>);

impl Buffers {
    /// This many are kept: pages are read at the same time by a few tasks only.
    const KEPT: usize = 16;
    /// A buffer that grew over this, by an odd page, is let go.
    const LARGEST_KEPT: usize = 256 << 10;

    fn take(&self) -> Vec<u8> {
        let mut kept = self.0.lock();
        kept.pop().unwrap_or_default()
    }

    fn give(&self, mut buffer: Vec<u8>) {
        let mut kept = self.0.lock();
        if kept.len() < Self::KEPT && buffer.capacity() <= Self::LARGEST_KEPT {
            buffer.clear();
            kept.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_used_again_unless_they_are_huge() {
        let buffers = Buffers::default();
        buffers.give(Vec::with_capacity(1000));
        buffers.give(Vec::with_capacity(1 << 20));
        assert_eq!(buffers.take().capacity(), 1000);
        assert_eq!(buffers.take().capacity(), 0);
    }

    #[tokio::test]
    async fn large_pages_have_a_limit_and_the_next_one_waits() {
        let pages = Pages::new(4 << 20);
        let mut taken = Vec::new();
        for _ in 0..16 {
            taken.push(pages.room().await.unwrap());
        }
        assert_eq!(pages.counters.waited.get(), 0);
        let (room, ()) = tokio::join!(pages.room(), async {
            tokio::task::yield_now().await;
            taken.pop();
        });
        assert!(room.is_some());
        assert_eq!(pages.counters.waited.get(), 1);
    }

    #[tokio::test]
    async fn large_pages_are_decoded_one_after_another_and_small_ones_beside() {
        let pages = Pages::new(4 << 20);
        let bytes = Vec::new();
        let small = Page { bytes, room: None };
        let large = Page {
            bytes: vec![0; SMALL + 1],
            room: pages.room().await,
        };
        let turn = pages.turn(&large).await;
        assert!(turn.is_some());
        assert!(pages.turn(&small).await.is_none());
        let mut next = std::pin::pin!(pages.turn(&large));
        assert!(futures::poll!(next.as_mut()).is_pending());
        drop(turn);
        assert!(next.await.is_some());
    }
}
