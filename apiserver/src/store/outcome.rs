//! What the store answers.

use std::{ops::Range, sync::Arc, time::Duration};

use tributary_model::{ContainerName, NoUsage, Roster, RosterPod, Timestamp, Usage};

/// What a pod used: all of its containers, or there is none of this.
///
/// # Invariants
///
/// At least one container; containers in the order of their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodUsage {
    /// The earliest `at` of the containers (docs/parity.md#pods).
    pub at: Timestamp,
    /// The window of that container.
    pub window: Duration,
    /// Has the names: to hold on to this one costs less than each of them.
    roster: Arc<Roster>,
    /// Of the containers in the roster.
    rows: Range<usize>,
    usages: Vec<Usage>,
}

impl PodUsage {
    /// What the containers of `pod` used, in their order in `roster`; nothing if
    /// there is none.
    pub(super) fn new(roster: &Arc<Roster>, pod: &RosterPod, usages: Vec<Usage>) -> Option<Self> {
        let earliest = usages.iter().min_by_key(|usage| usage.at)?;
        Some(Self {
            at: earliest.at,
            window: earliest.window,
            roster: Arc::clone(roster),
            rows: pod.rows(),
            usages,
        })
    }

    /// What each container used.
    pub fn containers(&self) -> impl Iterator<Item = (&ContainerName, &Usage)> {
        let names = self.roster.containers_in(self.rows.clone());
        names.iter().zip(&self.usages)
    }
}

/// How fresh the samples of a node are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Newest {
    /// When the newest reading was asked for, if there is one.
    pub(crate) asked_at: Option<Timestamp>,
    /// How often the node is scraped.
    pub(crate) resolution: Duration,
}

/// Why there are no metrics of something that exists. Ends the sentence
/// `no metrics for node "n3": ...`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoMetrics {
    /// No scraper has said anything about it.
    #[error("no scraper has reported it yet")]
    NeverReported,
    /// The scrape fails, and what was stored is too old to be served.
    #[error("{0}")]
    Failed(Failure),
    /// Nobody scraped it for too long, and nobody says why.
    #[error("its newest sample is {}s old", .0.as_secs())]
    TooOld(Duration),
    /// It is scraped, and the kubelet repeats itself.
    #[error("the kubelet has reported nothing new for {}s", .0.as_secs())]
    NothingNew(Duration),
    /// It is scraped again, and there is one sample.
    #[error("waiting for a second sample; {0}")]
    Recovering(Failure),
    /// The node where the pod runs is scraped, and its page lacks the pod.
    #[error("its node does not report it yet")]
    NotOnNode,
    /// The node where the pod runs is scraped, and its page has a container of the pod
    /// under a name that none can have.
    #[error("the kubelet reports a container of it with a name that cannot be used")]
    Unreadable,
    /// There is a sample, but nothing can be computed from it.
    #[error("{0}")]
    NoUsage(#[from] NoUsage),
    /// There is a sample of the pod, but a container cannot be computed.
    #[error("container {0}: {1}")]
    Container(ContainerName, NoUsage),
}

/// A scrape that failed, as it is kept: with its date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedScrape {
    /// When the kubelet was asked, by our clock.
    pub asked_at: Timestamp,
    /// The name of the scraper.
    pub by: Arc<str>,
    /// What kind of failure, in a word.
    pub reason: &'static str,
    /// The scraper's words.
    pub message: Arc<str>,
}

impl FailedScrape {
    /// The failure, as it is told at this moment.
    pub(super) fn at(&self, now: Timestamp) -> Failure {
        Failure {
            ago: now.since(self.asked_at).unwrap_or_default(),
            by: self.by.to_string(),
            message: self.message.to_string(),
        }
    }
}

/// A scrape that failed, as told by a scraper.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("last scrape failed {}s ago by {by}: {message}", ago.as_secs())]
pub struct Failure {
    /// How long ago.
    pub ago: Duration,
    /// The name of the scraper.
    pub by: String,
    /// Its words.
    pub message: String,
}
