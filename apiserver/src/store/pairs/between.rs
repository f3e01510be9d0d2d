//! The points between those of pairs, beside the rows.
//!
//! Only nodes that are asked more often than the shortest window have any, or were by two
//! scrapers just now: rows stay as small as they are.

use std::collections::BTreeMap;

use tributary_model::{Between, CpuPoint};

/// By what a row is found. There is no entry without points.
pub(super) type Betweens<K> = BTreeMap<K, Vec<CpuPoint>>;

/// Where the points of one row are.
pub(super) struct Place<'a, K> {
    all: &'a mut Betweens<K>,
    key: K,
}

impl<'a, K: Ord> Place<'a, K> {
    pub(super) fn new(all: &'a mut Betweens<K>, key: K) -> Self {
        Self { all, key }
    }

    pub(super) fn get(&self) -> Between {
        let points = self.all.get(&self.key);
        points.into_iter().flatten().copied().collect()
    }

    pub(super) fn put(self, between: &Between) {
        if between.is_empty() {
            self.all.remove(&self.key);
            return;
        }
        let points = self.all.entry(self.key).or_default();
        points.clear();
        points.extend(between.iter());
    }
}
