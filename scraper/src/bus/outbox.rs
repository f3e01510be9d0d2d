//! The messages of one stream, in order.
//!
//! Pulled by the connection as it has room, so nothing is queued beyond the
//! mailbox. Live readings go before the replay: a frontend that is new must not
//! fall behind while it catches up.
//!
//! One message that is longer than a frontend takes would end the stream for all
//! nodes. So each is measured, and what is too long goes as a failure of its node.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use tributary_model::{NodeName, Reading, Roster};
use tributary_proto::{
    convert::{failure_text, reading_to_wire, roster_to_wire},
    limits::{MESSAGE_BYTES, SHARE_NODES},
    measure::too_long,
    v1::{
        Hello, PublishRequest, Released, ScrapeFailure, Share, Synced, publish_request::Message,
        scrape_failure::Reason, share::Role,
    },
};

use super::{
    hub::{Hub, NodeHistory, Subscription},
    mailbox::{Mailbox, News},
    metrics::BusMetrics,
};
use crate::assignment::ownership::NodeRole;

/// How long the first news waits for others: for every time that something is
/// sent, both ends wake up, encrypt or decrypt, and call the kernel.
const GATHER: Duration = Duration::from_millis(50);

/// A roster that the frontend has, and its name on this stream.
#[derive(Debug)]
struct Known {
    roster: Arc<Roster>,
    id: u64,
}

/// The sending side of a stream.
#[derive(Debug)]
pub(super) struct Outbox {
    hub: Hub,
    place: Subscription,
    metrics: BusMetrics,
    /// Ready to go, before anything else.
    ready: VecDeque<Message>,
    /// Rosters that the frontend has been sent.
    known: HashMap<NodeName, Known>,
    /// The id of the last roster on this stream.
    last_id: u64,
    /// Bytes that a message may have.
    longest: usize,
    /// Nodes of which a message had more.
    oversized: HashSet<NodeName>,
    synced: bool,
    /// Nothing will come after what is there.
    closing: CancellationToken,
}

impl Outbox {
    /// The messages for a new stream, which ends when all is sent that was
    /// there when `closing` was cancelled.
    pub(super) fn new(
        hub: Hub,
        hello: Hello,
        metrics: BusMetrics,
        closing: CancellationToken,
    ) -> Self {
        Self {
            place: hub.subscribe(),
            hub,
            metrics,
            ready: VecDeque::from([Message::Hello(hello)]),
            known: HashMap::new(),
            last_id: 0,
            longest: MESSAGE_BYTES,
            oversized: HashSet::new(),
            synced: false,
            closing,
        }
    }

    /// Where news for this stream is left.
    pub(super) fn mailbox(&self) -> &Arc<Mailbox> {
        &self.place.mailbox
    }

    /// The next message; waits until there is one. `None` at the end.
    pub(super) async fn next(&mut self) -> Option<PublishRequest> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                self.metrics.sent(&message);
                return Some(PublishRequest {
                    message: Some(message),
                });
            }
            self.prepare_standings();
            if !self.ready.is_empty() {
                continue;
            }
            if let Some((node, news)) = self.place.mailbox.try_take() {
                self.prepare(&node, news);
            } else if let Some((node, history)) = self.place.replay.pop() {
                self.prepare_replay(&node, history);
            } else if self.synced {
                let wait_nonempty = self.place.mailbox.wait_nonempty();
                self.closing.run_until_cancelled(wait_nonempty).await?;
                // What else comes shortly goes along.
                self.closing.run_until_cancelled(sleep(GATHER)).await;
            } else {
                self.synced = true;
                self.ready.push_back(Message::Synced(Synced {}));
            }
        }
    }

    /// What we have become to nodes: one message, or a few, for each role.
    fn prepare_standings(&mut self) {
        let roles = self.place.mailbox.take_roles();
        if roles.is_empty() {
            return;
        }
        let mut nodes: BTreeMap<i32, Vec<String>> = BTreeMap::new();
        for (node, standing) in roles {
            let role = i32::from(role(standing));
            nodes.entry(role).or_default().push(node.to_string());
        }
        for (role, nodes) in nodes {
            let shares = nodes.chunks(SHARE_NODES).map(|nodes| Share {
                role,
                nodes: nodes.to_vec(),
            });
            self.ready.extend(shares.map(Message::Share));
        }
    }

    fn prepare(&mut self, node: &NodeName, news: News) {
        let mut reading = news.reading;
        if news.roster_wanted {
            self.known.remove(node);
            reading = reading.or_else(|| self.hub.newest(node.as_str()));
        }
        if let Some(reading) = reading {
            self.prepare_reading(&reading);
        }
        if let Some(failure) = news.failure {
            self.ready
                .push_back(Message::ScrapeFailure((*failure).clone()));
        }
        if news.released {
            self.known.remove(node);
            self.oversized.remove(node);
            self.ready.push_back(Message::Released(Released {
                node: node.to_string(),
            }));
        }
    }

    fn prepare_replay(&mut self, node: &NodeName, history: NodeHistory) {
        let readings = [history.older, history.newest];
        for reading in readings.into_iter().flatten() {
            self.prepare_reading(&reading);
        }
        let news = News {
            failure: history.failure,
            ..News::default()
        };
        self.prepare(node, news);
    }

    fn prepare_reading(&mut self, reading: &Arc<Reading>) {
        let known = self.known.get(&reading.node);
        // Content, not a hash of it, decides: the names are those of tenants.
        let known = known.filter(|known| known.roster == reading.roster);
        let id = known.map(|known| known.id);
        let Some(id) = id.or_else(|| self.prepare_roster(reading)) else {
            return;
        };
        let message = Message::Reading(reading_to_wire(reading, id));
        self.push(message, reading);
    }

    /// The roster of `reading`, and by which id it goes. None if it does not go.
    fn prepare_roster(&mut self, reading: &Arc<Reading>) -> Option<u64> {
        let (node, roster) = (&reading.node, Arc::clone(&reading.roster));
        self.known.remove(node);
        self.last_id += 1;
        let id = self.last_id;
        let message = Message::Roster(roster_to_wire(node, &roster, id));
        self.push(message, reading).then(|| {
            self.known.insert(node.clone(), Known { roster, id });
            id
        })
    }

    /// Puts a message about the node of `reading` with what is ready, or a failure
    /// instead if it is too long. Returns whether it is there.
    fn push(&mut self, message: Message, reading: &Reading) -> bool {
        let Some(bytes) = too_long(&message, self.longest) else {
            self.ready.push_back(message);
            return true;
        };
        self.metrics.oversized(&message);
        let (node, longest) = (&reading.node, self.longest);
        if self.oversized.insert(node.clone()) {
            warn!(%node, bytes, longest, "a message about the node is too long for the bus");
        }
        let failure = too_large(reading, bytes, longest);
        self.ready.push_back(Message::ScrapeFailure(failure));
        false
    }
}

/// What is said instead of a message about the node of `reading`.
fn too_large(reading: &Reading, bytes: usize, longest: usize) -> ScrapeFailure {
    let (pods, containers) = (reading.roster.pods().len(), reading.roster.containers());
    let message = format!(
        "{containers} containers in {pods} pods make a message of {bytes} bytes on the bus, \
         allowed are {longest}"
    );
    ScrapeFailure {
        node: reading.node.to_string(),
        asked_at_ms: reading.asked_at.as_millis(),
        reason: Reason::TooLarge.into(),
        message: failure_text(message),
    }
}

fn role(standing: NodeRole) -> Role {
    match standing {
        NodeRole::None => Role::Unspecified,
        NodeRole::Owner => Role::Owner,
        NodeRole::Standby => Role::Standby,
        NodeRole::Leaving => Role::Leaving,
        NodeRole::Rescuer => Role::Rescuer,
    }
}

#[cfg(test)]
mod tests;
