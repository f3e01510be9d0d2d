//! Events on Node objects, for people who look at a node and not at its metrics: that no scraper could scrape it for a
//! while, and that it is scraped again (docs/decisions/0039-events-on-nodes.md).
//!
//! The loop of scrapes notes what happens to a node in its [`Outage`], and hands over an Event when one is due. It never
//! waits: a task writes, and what is over a limit is handed over again after the next scrape of the node.

mod outage;
mod writer;

use std::{sync::Arc, time::Duration};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use tokio::sync::mpsc;
use tributary_model::{NodeName, Timestamp};

pub(crate) use self::outage::Outage;
use self::outage::{Due, Rules};
pub(crate) use self::writer::{Writer, write};

/// The most Events that a scraper hands over in a [`SPAN`], about all of its nodes together.
const MOST: u32 = 20;
const SPAN: Duration = Duration::from_mins(1);

/// An Event to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodeEvent {
    node: NodeName,
    /// The UID of the Node object.
    uid: Arc<str>,
    what: What,
}

/// The node that an Event is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About<'a> {
    pub(crate) node: &'a NodeName,
    /// The UID of the Node object.
    pub(crate) uid: &'a Arc<str>,
}

/// What an Event says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum What {
    /// No scraper could scrape the node for this long; the last attempt failed for this reason.
    Lost {
        for_seconds: u64,
        reason: &'static str,
    },
    /// It is scraped again.
    Back,
}

/// Decides when Events are due. A clone would have a limit of its own.
#[derive(Debug)]
pub(crate) struct NodeEvents {
    rules: Rules,
    sender: mpsc::Sender<NodeEvent>,
    metrics: EventMetrics,
    /// When the span began, and how many Events were handed over in it.
    span: (Timestamp, u32),
}

impl NodeEvents {
    /// Events about nodes that cannot be scraped for `delay`, by a scraper that scrapes each once in `resolution`. They
    /// go to the receiver.
    pub(crate) fn new(
        delay: Duration,
        resolution: Duration,
        metrics: EventMetrics,
    ) -> (Self, mpsc::Receiver<NodeEvent>) {
        // There is never more than what a span allows.
        let (sender, receiver) = mpsc::channel(usize::try_from(MOST).unwrap_or(1));
        let new = Self {
            rules: Rules { delay, resolution },
            sender,
            metrics,
            span: (Timestamp::from_millis(i64::MIN), 0),
        };
        (new, receiver)
    }

    /// A scrape of a node that this scraper owns failed.
    pub(crate) fn failed(
        &mut self,
        about: About<'_>,
        outage: &mut Outage,
        reason: &'static str,
        now: Timestamp,
    ) {
        if let Some(Due { for_seconds }) = outage.failed(&self.rules, now) {
            let what = What::Lost {
                for_seconds,
                reason,
            };
            if self.hand_over(about, what, now) {
                outage.reported(now);
            }
        }
    }

    /// A scrape succeeded.
    pub(crate) fn succeeded(&mut self, about: About<'_>, outage: &mut Outage, now: Timestamp) {
        if !outage.is_reported() || self.hand_over(about, What::Back, now) {
            *outage = Outage::default();
        }
    }

    fn hand_over(&mut self, about: About<'_>, what: What, now: Timestamp) -> bool {
        let (began, _) = self.span;
        if now.since(began).is_none_or(|age| age >= SPAN) {
            self.span = (now, 0);
        }
        let (_, count) = &mut self.span;
        let event = NodeEvent {
            node: about.node.clone(),
            uid: Arc::clone(about.uid),
            what,
        };
        if *count >= MOST || self.sender.try_send(event).is_err() {
            self.metrics.count("postponed");
            return false;
        }
        *count += 1;
        true
    }
}

/// What is counted about Events. Clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct EventMetrics(Family<Outcome, Counter>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

impl EventMetrics {
    /// Registers the counter.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let new = Self::default();
        registry.register(
            "tributary_node_events",
            "Events on Node objects: written, failed to be written, or postponed by the limit",
            new.0.clone(),
        );
        for outcome in ["written", "failed", "postponed"] {
            drop(new.0.get_or_create(&Outcome { outcome }));
        }
        new
    }

    fn count(&self, outcome: &'static str) {
        self.0.get_or_create(&Outcome { outcome }).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    /// Events after five minutes, with a resolution of 15 s.
    fn events() -> (NodeEvents, mpsc::Receiver<NodeEvent>) {
        let (delay, resolution) = (Duration::from_mins(5), Duration::from_secs(15));
        NodeEvents::new(delay, resolution, EventMetrics::default())
    }

    #[test]
    fn a_node_that_is_lost_for_five_minutes_and_comes_back_has_two_events() {
        let (mut events, mut received) = events();
        let (node, uid, mut outage) = ("n1".into(), "u1".into(), Outage::default());
        let about = About {
            node: &node,
            uid: &uid,
        };
        for second in (0..=600).step_by(15) {
            outage.overdue(at(second));
            events.failed(about, &mut outage, "tls", at(second));
        }
        let what = What::Lost {
            for_seconds: 300,
            reason: "tls",
        };
        let event = |what| NodeEvent {
            node: node.clone(),
            uid: Arc::clone(&uid),
            what,
        };
        assert_eq!(received.try_recv(), Ok(event(what)));
        assert!(received.try_recv().is_err());
        for second in [615, 630] {
            events.succeeded(about, &mut outage, at(second));
        }
        assert_eq!(received.try_recv(), Ok(event(What::Back)));
        assert!(received.try_recv().is_err());
    }

    #[test]
    fn what_is_over_the_limit_comes_in_the_next_minutes() {
        let (mut events, mut received) = events();
        let nodes: Vec<NodeName> = (0..50).map(|n| format!("n{n}").as_str().into()).collect();
        let uid: Arc<str> = "u".into();
        let mut outages: Vec<Outage> = nodes.iter().map(|_| Outage::default()).collect();
        let mut by_minute = Vec::new();
        for second in (0..600).step_by(15) {
            for (node, outage) in nodes.iter().zip(&mut outages) {
                outage.overdue(at(second));
                let about = About { node, uid: &uid };
                events.failed(about, outage, "dial", at(second));
            }
            let mut got = 0;
            while received.try_recv().is_ok() {
                got += 1;
            }
            if got > 0 {
                by_minute.push((second, got));
            }
        }
        assert_eq!(by_minute, [(300, 20), (360, 20), (420, 10)]);
    }
}
