//! The messages of one stream, in order.
//!
//! Pulled by the connection as it has room, so nothing is queued beyond the
//! mailbox. Live readings go before the replay: a frontend that is new must not
//! fall behind while it catches up.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tributary_model::{NodeName, Reading, RosterId};
use tributary_proto::{
    convert::{reading_to_wire, roster_to_wire},
    limits::SHARE_NODES,
    v1::{Hello, PublishRequest, Released, Share, Synced, publish_request::Message, share::Role},
};

use super::{
    hub::{Held, Hub, Subscription},
    mailbox::{Mailbox, News},
};
use crate::{metrics::BusMetrics, ownership::Standing};

/// How long the first news waits for others: for every time that something is
/// sent, both ends wake up, encrypt or decrypt, and call the kernel.
const GATHER: Duration = Duration::from_millis(50);

/// The sending side of a stream.
#[derive(Debug)]
pub(super) struct Outbox {
    hub: Hub,
    place: Subscription,
    metrics: BusMetrics,
    /// Ready to go, before anything else.
    ready: VecDeque<Message>,
    /// Rosters that the frontend has been sent.
    known: HashMap<NodeName, RosterId>,
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
            } else if let Some((node, held)) = self.place.replay.pop() {
                self.prepare_replay(&node, held);
            } else if self.synced {
                let filled = self.place.mailbox.filled();
                self.closing.run_until_cancelled(filled).await?;
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
        let standings = self.place.mailbox.take_standings();
        if standings.is_empty() {
            return;
        }
        let mut nodes: BTreeMap<i32, Vec<String>> = BTreeMap::new();
        for (node, standing) in standings {
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
            self.ready.push_back(Message::Released(Released {
                node: node.to_string(),
            }));
        }
    }

    fn prepare_replay(&mut self, node: &NodeName, held: Held) {
        let readings = [held.older, held.newest];
        for reading in readings.into_iter().flatten() {
            self.prepare_reading(&reading);
        }
        let news = News {
            failure: held.failure,
            ..News::default()
        };
        self.prepare(node, news);
    }

    fn prepare_reading(&mut self, reading: &Arc<Reading>) {
        let id = reading.roster.id();
        if self.known.get(&reading.node) != Some(&id) {
            self.known.insert(reading.node.clone(), id);
            let roster = roster_to_wire(&reading.node, &reading.roster);
            self.ready.push_back(Message::Roster(roster));
        }
        self.ready
            .push_back(Message::Reading(reading_to_wire(reading)));
    }
}

fn role(standing: Standing) -> Role {
    match standing {
        Standing::None => Role::Unspecified,
        Standing::Owner => Role::Owner,
        Standing::Standby => Role::Standby,
        Standing::Leaving => Role::Leaving,
        Standing::Rescuer => Role::Rescuer,
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::bus::mailbox::reading;

    fn outbox(hub: &Hub) -> Outbox {
        let closing = CancellationToken::new();
        Outbox::new(
            hub.clone(),
            Hello::default(),
            BusMetrics::default(),
            closing,
        )
    }

    /// The next messages, in short.
    async fn next(outbox: &mut Outbox, count: usize) -> Vec<String> {
        let mut said = Vec::new();
        for _ in 0..count {
            said.push(match outbox.next().await.unwrap().message.unwrap() {
                Message::Hello(_) => "hello".to_owned(),
                Message::Roster(roster) => format!("roster {}", roster.node),
                Message::Reading(reading) => {
                    format!("reading {} {}", reading.node, reading.asked_at_ms)
                }
                Message::ScrapeFailure(failure) => format!("failure {}", failure.node),
                Message::Released(released) => format!("released {}", released.node),
                Message::Synced(_) => "synced".to_owned(),
                Message::Share(share) => format!("share {} {:?}", share.role, share.nodes),
            });
        }
        said
    }

    #[tokio::test]
    async fn a_newcomer_gets_the_roster_once_and_two_readings() {
        let hub = Hub::default();
        hub.publish(reading("n1", 1, 10));
        hub.publish(reading("n1", 2, 20));
        let mut outbox = outbox(&hub);
        assert_eq!(
            next(&mut outbox, 5).await,
            [
                "hello",
                "roster n1",
                "reading n1 1",
                "reading n1 2",
                "synced"
            ]
        );
        hub.publish(reading("n1", 3, 30));
        assert_eq!(next(&mut outbox, 1).await, ["reading n1 3"]);
    }

    #[tokio::test]
    async fn live_readings_overtake_the_replay() {
        let hub = Hub::default();
        hub.publish(reading("n1", 1, 10));
        let mut outbox = outbox(&hub);
        hub.publish(reading("n2", 2, 20));
        assert_eq!(
            next(&mut outbox, 6).await,
            [
                "hello",
                "roster n2",
                "reading n2 2",
                "roster n1",
                "reading n1 1",
                "synced"
            ]
        );
    }

    #[tokio::test]
    async fn a_roster_that_is_wanted_is_sent_again_with_the_newest_reading() {
        let hub = Hub::default();
        hub.publish(reading("n1", 1, 10));
        let mut outbox = outbox(&hub);
        next(&mut outbox, 4).await;
        outbox.place.mailbox.leave_roster_wanted(&"n1".into());
        assert_eq!(next(&mut outbox, 2).await, ["roster n1", "reading n1 1"]);
    }

    #[tokio::test]
    async fn failures_and_releases_are_told() {
        let hub = Hub::default();
        let mut outbox = outbox(&hub);
        next(&mut outbox, 2).await;
        let failure = tributary_proto::v1::ScrapeFailure {
            node: "n1".to_owned(),
            ..Default::default()
        };
        hub.fail(&"n1".into(), failure);
        assert_eq!(next(&mut outbox, 1).await, ["failure n1"]);
        hub.publish(reading("n1", 1, 10));
        hub.release(&"n1".into());
        assert_eq!(
            next(&mut outbox, 3).await,
            ["roster n1", "reading n1 1", "released n1"]
        );
    }

    #[tokio::test]
    async fn what_is_there_is_sent_before_the_end() {
        let hub = Hub::default();
        let mut outbox = outbox(&hub);
        next(&mut outbox, 2).await;
        hub.publish(reading("n1", 1, 10));
        hub.release(&"n1".into());
        outbox.closing.cancel();
        assert_eq!(
            next(&mut outbox, 3).await,
            ["roster n1", "reading n1 1", "released n1"]
        );
        assert_eq!(outbox.next().await, None);
    }

    #[tokio::test]
    async fn what_we_are_to_nodes_is_told_first_and_when_it_changes() {
        let hub = Hub::default();
        hub.publish(reading("n1", 1, 10));
        hub.share(vec![
            ("n1".into(), Standing::Owner),
            ("n2".into(), Standing::Standby),
            ("n3".into(), Standing::None),
        ]);
        let mut outbox = outbox(&hub);
        assert_eq!(
            next(&mut outbox, 6).await,
            [
                "hello",
                "share 1 [\"n1\"]",
                "share 2 [\"n2\"]",
                "roster n1",
                "reading n1 1",
                "synced"
            ]
        );
        // The same again is no news.
        hub.share(vec![
            ("n1".into(), Standing::Owner),
            ("n2".into(), Standing::Rescuer),
        ]);
        assert_eq!(next(&mut outbox, 1).await, ["share 4 [\"n2\"]"]);
        hub.share(vec![("n1".into(), Standing::None)]);
        assert_eq!(next(&mut outbox, 1).await, ["share 0 [\"n1\"]"]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_news_after_a_pause_waits_for_others_and_the_end_for_nothing() {
        let hub = Hub::default();
        let mut outbox = outbox(&hub);
        next(&mut outbox, 2).await;
        let begun = Instant::now();
        let news = async {
            hub.publish(reading("n1", 1, 10));
            sleep(Duration::from_millis(40)).await;
            hub.publish(reading("n2", 2, 20));
        };
        let (said, ()) = tokio::join!(next(&mut outbox, 4), news);
        assert_eq!(
            said,
            ["roster n1", "reading n1 1", "roster n2", "reading n2 2"]
        );
        assert_eq!(begun.elapsed(), Duration::from_millis(50));

        let closing = outbox.closing.clone();
        let end = async {
            hub.publish(reading("n3", 3, 30));
            sleep(Duration::from_millis(10)).await;
            closing.cancel();
        };
        let (said, ()) = tokio::join!(next(&mut outbox, 2), end);
        assert_eq!(said, ["roster n3", "reading n3 3"]);
        assert_eq!(outbox.next().await, None);
        assert_eq!(begun.elapsed(), Duration::from_millis(60));
    }

    #[tokio::test]
    async fn many_nodes_are_told_in_several_messages() {
        let hub = Hub::default();
        let nodes = (0..5_000).map(|n| (format!("n{n}").into(), Standing::Owner));
        hub.share(nodes.collect());
        let mut outbox = outbox(&hub);
        let mut sizes = Vec::new();
        for _ in 0..3 {
            if let Some(Message::Share(share)) = outbox.next().await.unwrap().message {
                sizes.push(share.nodes.len());
            }
        }
        assert_eq!(sizes, [4_096, 904]);
    }
}
