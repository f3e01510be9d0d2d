//! How many places each address has.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tributary_runtime::serve::Source;

/// Places by address. Clones share them.
///
/// # Invariants
///
/// No entry is 0, and each is the number of its [`Share`]s.
#[derive(Clone, Debug)]
pub(super) struct Shares {
    most: usize,
    taken: Arc<Mutex<HashMap<Source, usize>>>,
}

/// A place of an address, until this is dropped.
#[derive(Debug)]
pub(super) struct Share {
    shares: Shares,
    source: Source,
}

impl Shares {
    /// At most `most` places for each address.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            taken: Arc::default(),
        }
    }

    /// A place for `source`, if it has one left.
    pub(super) fn take(&self, source: Source) -> Option<Share> {
        let mut taken = self.taken.lock();
        let places = taken.get(&source).copied().unwrap_or_default();
        if places >= self.most {
            return None;
        }
        taken.insert(source, places + 1);
        Some(Share {
            shares: self.clone(),
            source,
        })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.shares.taken.lock();
        let left = taken.get(&self.source).map_or(0, |places| places - 1);
        if left == 0 {
            taken.remove(&self.source);
        } else {
            taken.insert(self.source, left);
        }
    }
}
