//! How each node stands, for people.

use std::{fmt, time::Duration};

use tributary_model::{Endpoint, Freshness, NoUsage, NodeName, Timestamp, overdue_after};

use super::{
    super::{
        outcome::{FailedScrape, NoMetrics},
        pairs::Pairs,
    },
    Points,
    nodes::Entry,
};

/// How a node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// It has metrics.
    Served,
    /// It has metrics, and the next sample is late.
    Late,
    /// There is a sample, and nothing can be computed from it yet.
    Incomplete,
    /// It has none, and no scraper has said anything about it.
    Unreported,
    /// It has none, since the newest sample is too old; nobody says why.
    Expired,
    /// It has none, and the last scrape failed.
    Failing,
}

impl State {
    /// All of them, from good to bad.
    pub const ALL: [Self; 6] = [
        Self::Served,
        Self::Late,
        Self::Incomplete,
        Self::Unreported,
        Self::Expired,
        Self::Failing,
    ];

    /// A word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Served => "served",
            Self::Late => "late",
            Self::Incomplete => "incomplete",
            Self::Unreported => "unreported",
            Self::Expired => "expired",
            Self::Failing => "failing",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is known of a node.
#[derive(Clone, Debug)]
pub struct Report {
    /// How it stands.
    pub state: State,
    /// Why it has no metrics, if it has none.
    pub why_not: Option<NoMetrics>,
    /// How often it is scraped, as whoever spoke of it last said.
    pub resolution: Option<Duration>,
    /// When the kubelet was asked for the newest sample, by our clock.
    pub sampled_at: Option<Timestamp>,
    /// Where on the kubelet the newest sample is from, while it is stored.
    pub endpoint: Option<Endpoint>,
    /// When the kubelet measured the node's CPU that is served, by its own clock, and
    /// over which time that is a mean.
    pub measured: Option<(Timestamp, Duration)>,
    /// The last failure, even if it is over.
    pub failed: Option<FailedScrape>,
}

impl Report {
    /// Why it has no metrics, in a word: that of the last failure if it is failing.
    pub fn reason(&self) -> Option<&'static str> {
        let failed = self.failed.as_ref();
        Some(match self.why_not.as_ref()? {
            NoMetrics::Failed(_) => failed.map_or("unspecified", |failed| failed.reason),
            NoMetrics::NeverReported => "never-reported",
            NoMetrics::TooOld(_) => "too-old",
            NoMetrics::NothingNew(_) => "nothing-new",
            NoMetrics::Recovering(_) | NoMetrics::NoUsage(NoUsage::NoPrevious) => "one-sample",
            NoMetrics::NotOnNode
            | NoMetrics::Unreadable
            | NoMetrics::NoUsage(_)
            | NoMetrics::Container(..) => "unusable",
        })
    }

    /// Why no newer sample came, in a word, if the newest scrape failed.
    pub(crate) fn fails(&self) -> Option<&'static str> {
        let failed = self.failed.as_ref()?;
        let newest = self.sampled_at.is_none_or(|at| at < failed.asked_at);
        newest.then_some(failed.reason)
    }
}

impl Points {
    pub(in crate::store) fn report(&self, node: &NodeName, now: Timestamp) -> Report {
        let entry = self.nodes.get(node.as_str());
        let usage = self.node(node.as_str(), now);
        let measured = usage.as_ref().ok().map(|usage| (usage.at, usage.window));
        let why_not = usage.err();
        Report {
            state: state(entry, why_not.as_ref(), now),
            why_not,
            measured,
            resolution: entry.map(|entry| entry.resolution),
            sampled_at: entry.and_then(sampled_at),
            endpoint: entry.and_then(|entry| Some(entry.pairs.as_ref()?.endpoint())),
            failed: entry.and_then(|entry| entry.failed.as_deref().cloned()),
        }
    }

    /// When the kubelet of a node measures.
    pub(in crate::store) fn freshness(&self, node: &NodeName) -> Freshness {
        let entry = self.nodes.get(node.as_str());
        let pairs = entry.and_then(|entry| entry.pairs.as_ref());
        pairs.map(Pairs::freshness).unwrap_or_default()
    }

    /// How a node stands, and how old its newest sample is, if one is stored.
    pub(in crate::store) fn state(
        &self,
        node: &NodeName,
        now: Timestamp,
    ) -> (State, Option<Duration>) {
        let entry = self.nodes.get(node.as_str());
        let why_not = self.node(node.as_str(), now).err();
        let stored = entry.and_then(|entry| entry.pairs.as_ref());
        let age = stored.map(|pairs| now.since(pairs.asked_at()).unwrap_or_default());
        (state(entry, why_not.as_ref(), now), age)
    }
}

fn sampled_at(entry: &Entry) -> Option<Timestamp> {
    entry.answered()
}

fn state(entry: Option<&Entry>, why_not: Option<&NoMetrics>, now: Timestamp) -> State {
    match why_not {
        None => {
            let late = entry.and_then(|entry| {
                // Then scrapers get a message, too (docs/decisions/0009-leases-and-ownership.md).
                let patience = overdue_after(entry.resolution);
                Some(now > sampled_at(entry)?.plus(patience))
            });
            if late == Some(true) {
                State::Late
            } else {
                State::Served
            }
        }
        Some(NoMetrics::Failed(_)) => State::Failing,
        Some(NoMetrics::TooOld(_) | NoMetrics::NothingNew(_)) => State::Expired,
        Some(NoMetrics::NeverReported) => State::Unreported,
        Some(
            NoMetrics::NotOnNode
            | NoMetrics::Unreadable
            | NoMetrics::NoUsage(_)
            | NoMetrics::Container(..)
            | NoMetrics::Recovering(_),
        ) => State::Incomplete,
    }
}
