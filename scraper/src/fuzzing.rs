//! The readers of what others write, opened to the fuzz targets in `tests/fuzz`.
//!
//! Compiled with the feature `fuzzing` only; not a part of the product.

use std::{sync::Arc, time::Duration};

use tributary_model::Timestamp;

use crate::assignment::{leases, membership::Membership};

/// The members of a group, from Lease objects.
#[derive(Debug)]
pub struct Group {
    membership: Membership,
    now: Timestamp,
}

impl Group {
    /// A group of which only the member `me` is known.
    pub fn new(me: &str, resolution: Duration) -> Self {
        let now = Timestamp::from_millis(0);
        let mut membership = Membership::new(Arc::from(me), resolution, now);
        membership.replace(Vec::new(), now, now);
        Self { membership, now }
    }

    /// Takes in a Lease, as JSON, as a watch does.
    pub fn put(&mut self, json: &[u8]) {
        if let Some(lease) = leases::read(json, "default") {
            self.membership.put(lease, self.now);
        }
    }

    /// Lets time pass.
    pub fn wait(&mut self, time: Duration) {
        self.now = self.now.plus(time);
    }

    /// How many members count now beside ourselves.
    pub fn others(&self) -> usize {
        let view = self.membership.view(self.now);
        view.map_or(0, |view| view.len().saturating_sub(1))
    }

    /// How many members rank before us for `node`.
    pub fn rank(&self, node: &str) -> usize {
        let view = self.membership.view(self.now);
        view.map_or(0, |view| view.rank(node))
    }
}
