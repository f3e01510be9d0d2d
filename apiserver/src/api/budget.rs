//! How many bytes of answers are held at a time.
//!
//! Most lists are made while they are sent. Some have to be whole before their
//! first byte: protobuf has its length in front, and a part of a list its token.
//! These share a budget, so that a few hundred of them at once cannot take the
//! memory of the process. What finds no room is asked to come again, at once: those
//! who wait would hold what they have so far, and might wait for each other.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answer::WHOLE;
use crate::limits::Busy;

/// Of all answers together: eleven lists of 150,000 pods in protobuf.
const ALL: usize = 256 << 20;

/// An answer takes its share by so much, to do so seldom.
const STEP: usize = 64 << 10;

/// What an item of a part of a list takes until it is written.
pub(super) const ITEM: usize = 256;

/// The budget. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub(super) struct Budget(Arc<Semaphore>);

/// What one answer holds of it, until this is dropped.
#[derive(Debug)]
pub(super) struct Share {
    budget: Budget,
    permit: Option<OwnedSemaphorePermit>,
}

impl Default for Budget {
    fn default() -> Self {
        Self::of(ALL)
    }
}

impl Budget {
    fn of(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes / STEP)))
    }

    /// For an answer that holds nothing yet.
    pub(super) fn share(&self) -> Share {
        Share {
            budget: self.clone(),
            permit: None,
        }
    }
}

impl Share {
    /// The answer holds `bytes` now. What is small is free: the bound on requests in
    /// flight is enough for that, and it is served whatever becomes of the rest.
    ///
    /// # Errors
    ///
    /// There is no room.
    pub(super) fn hold(&mut self, bytes: usize) -> Result<(), Busy> {
        let held = self.permit.as_ref();
        let held = held.map_or(0, OwnedSemaphorePermit::num_permits);
        let missing = bytes.div_ceil(STEP).saturating_sub(held);
        if bytes <= WHOLE || missing == 0 {
            return Ok(());
        }
        let missing = u32::try_from(missing).map_err(|_| Busy)?;
        let more = Arc::clone(&self.budget.0).try_acquire_many_owned(missing);
        let more = more.map_err(|_| Busy)?;
        match &mut self.permit {
            Some(permit) => permit.merge(more),
            none => *none = Some(more),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_takes_what_it_holds_and_gives_it_back() {
        let budget = Budget::of(1 << 20);
        let (mut one, mut other) = (budget.share(), budget.share());
        for kib in [100, 128, 129, 500, 600, 600, 100] {
            assert_eq!(one.hold(kib << 10), Ok(()), "{kib}");
        }
        assert_eq!(other.hold(384 << 10), Ok(()));
        assert_eq!(other.hold(600 << 10), Err(Busy));
        assert_eq!(one.hold(2 << 20), Err(Busy));
        // What is small is served.
        assert_eq!(budget.share().hold(WHOLE), Ok(()));
        drop(one);
        assert_eq!(other.hold(600 << 10), Ok(()));
        drop(other);
        assert_eq!(budget.0.available_permits(), 16);
    }
}
