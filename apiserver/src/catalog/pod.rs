//! A pod as an element of the sorted set.

use std::{borrow::Borrow, cmp::Ordering, sync::Arc};

use tributary_model::{NodeName, PodKey};

use super::{PodRecord, uid::Uid};

/// A pod, compared by its key.
#[derive(Clone, Debug)]
pub(super) struct Pod {
    pub(super) record: Arc<PodRecord>,
    /// A part of the UID that distinguishes two pods of one name. If the UID is not known, that of an empty text.
    uid: u64,
}

impl Pod {
    pub(super) fn new(pod: PodRecord, uid: Uid) -> Self {
        Self {
            record: Arc::new(pod),
            uid: uid.short(),
        }
    }

    pub(super) fn key(&self) -> &PodKey {
        &self.record.key
    }

    /// What distinguishes it from another pod of the same name.
    pub(super) fn uid(&self) -> u64 {
        self.uid
    }

    /// The same pod with the name of `key`, which is equal and in memory already.
    pub(super) fn named(mut self, key: PodKey) -> Self {
        if let Some(record) = Arc::get_mut(&mut self.record)
            && record.key == key
        {
            record.key.name = key.name;
        }
        self
    }

    /// The same pod on this node.
    pub(super) fn on(&self, node: NodeName) -> Self {
        let record = PodRecord {
            node: Some(node),
            ..PodRecord::clone(&self.record)
        };
        Self {
            record: Arc::new(record),
            uid: self.uid,
        }
    }
}

impl From<PodRecord> for Pod {
    fn from(pod: PodRecord) -> Self {
        Self::new(pod, Uid::from(""))
    }
}

impl Borrow<PodKey> for Pod {
    fn borrow(&self) -> &PodKey {
        self.key()
    }
}

impl PartialEq for Pod {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Pod {}

impl PartialOrd for Pod {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Pod {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(other.key())
    }
}
