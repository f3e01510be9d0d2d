//! Containers that the newest page of a node lacks, for as long as they may be back.
//!
//! After a restart a kubelet gives a page without containers, or with some of them,
//! while all run on. Such a page is for them what a failed scrape is for a node: their
//! pods are served for as long, and when they are back the sample before pairs.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tributary_model::{ContainerName, PodKey, Roster, RosterBuilder, Timestamp};

use super::row::Row;

/// How long they are remembered.
pub(in crate::store) const REMEMBERED: Duration = Duration::from_mins(15);

/// How many containers of one node are remembered: many times what Kubernetes
/// recommends to run on one.
const MAX: usize = 2_048;

/// What was on former pages.
#[derive(Debug, Default)]
pub(super) struct Gone {
    pods: BTreeMap<PodKey, GonePod>,
    containers: usize,
}

/// A pod, or some containers of it.
#[derive(Debug)]
pub(in crate::store) struct GonePod {
    pod: PodKey,
    names: Box<[ContainerName]>,
    /// These containers and nothing else, once somebody asks.
    roster: OnceLock<Arc<Roster>>,
    /// One for each container, in the order of their names.
    pub(in crate::store) rows: Box<[Row]>,
    /// When the page was asked for that had them last.
    pub(in crate::store) asked_at: Timestamp,
}

impl GonePod {
    /// The containers that are gone.
    pub(in crate::store) fn roster(&self) -> &Arc<Roster> {
        self.roster.get_or_init(|| {
            let mut builder = RosterBuilder::default();
            for name in &self.names {
                // They were in a roster.
                builder.add(self.pod.clone(), name.clone()).ok();
            }
            builder.build()
        })
    }
}

impl Gone {
    pub(super) fn get(&self, pod: &PodKey) -> Option<&GonePod> {
        self.pods.get(pod)
    }

    /// Remembers containers of a pod that a page lacks. What was known of the pod from
    /// longer ago is forgotten.
    pub(super) fn put(&mut self, pod: &PodKey, gone: &[(ContainerName, Row)], asked_at: Timestamp) {
        self.remove(pod);
        if gone.len() > MAX {
            return;
        }
        while self.containers + gone.len() > MAX {
            let oldest = self.pods.iter().min_by_key(|(_, pod)| pod.asked_at);
            let Some(oldest) = oldest.map(|(pod, _)| pod.clone()) else {
                break;
            };
            self.remove(&oldest);
        }
        self.containers += gone.len();
        let gone = GonePod {
            pod: pod.clone(),
            names: gone.iter().map(|(name, _)| name.clone()).collect(),
            roster: OnceLock::new(),
            rows: gone.iter().map(|(_, row)| *row).collect(),
            asked_at,
        };
        self.pods.insert(pod.clone(), gone);
    }

    /// What is remembered of a container that a page has again.
    pub(super) fn row(&self, pod: &PodKey, container: &ContainerName) -> Option<Row> {
        let gone = self.pods.get(pod)?;
        let at = gone.names.iter().position(|name| name == container)?;
        gone.rows.get(at).copied()
    }

    pub(super) fn remove(&mut self, pod: &PodKey) {
        if let Some(gone) = self.pods.remove(pod) {
            self.containers -= gone.rows.len();
        }
    }

    /// Forgets what has been gone for too long.
    pub(super) fn forget(&mut self, now: Timestamp) {
        if self.pods.is_empty() {
            return;
        }
        let stays = |gone: &GonePod| {
            let ago = now.since(gone.asked_at);
            ago.is_none_or(|ago| ago <= REMEMBERED)
        };
        self.pods.retain(|_, gone| stays(gone));
        self.containers = self.pods.values().map(|gone| gone.rows.len()).sum();
    }
}
