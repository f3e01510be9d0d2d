//! One stream of one publisher.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, watch};
use tonic::{Status, Streaming};
use tracing::{debug, info};
use tributary_model::{InvalidRoster, NodeName, Timestamp};
use tributary_proto::{
    convert::{
        Invalid, WireRoster, failure_text, node_name, reading_from_wire, roster_from_wire,
        short_name,
    },
    limits::{self, NODES_PER_STREAM, OLDEST_PROTOCOL, PROTOCOL, SHARE_NODES},
    v1::{
        self, Hello, NeedRoster, PublishRequest, PublishResponse, Welcome,
        publish_request::Message as Request, publish_response::Message as Response,
    },
};

use super::{Bus, overdue::Report};
use crate::{
    facts::{Claims, Role},
    store::{FailedScrape, Source},
};

/// A stream under way. Dropping it ends the stream.
pub(super) struct Session {
    bus: Bus,
    requests: Streaming<PublishRequest>,
    peer: Arc<str>,
    publisher: Option<Publisher>,
    overdue: watch::Receiver<Report>,
    ended: bool,
    _place: OwnedSemaphorePermit,
}

/// What is known of the publisher after its `Hello`.
struct Publisher {
    source: Source,
    /// Milliseconds by which its clock is behind ours.
    behind: i64,
    rosters: HashMap<NodeName, WireRoster>,
    /// What it is to nodes.
    claims: Claims,
}

impl Session {
    pub(super) fn new(
        bus: Bus,
        requests: Streaming<PublishRequest>,
        peer: Arc<str>,
        place: OwnedSemaphorePermit,
    ) -> Self {
        bus.metrics.streams.inc();
        Self {
            overdue: bus.overdue.subscribe(),
            bus,
            requests,
            peer,
            publisher: None,
            ended: false,
            _place: place,
        }
    }

    /// Takes messages in until one calls for a response; `None` at the end.
    pub(super) async fn next(&mut self) -> Option<Result<PublishResponse, Status>> {
        if self.ended {
            return None;
        }
        let outcome = self.until_response().await;
        self.ended = !matches!(outcome, Ok(Some(_)));
        outcome.transpose()
    }

    async fn until_response(&mut self) -> Result<Option<PublishResponse>, Status> {
        let stop = self.bus.stop.clone();
        loop {
            let request = tokio::select! {
                biased;
                () = stop.cancelled() => {
                    return Err(Status::unavailable("the frontend is stopping"));
                }
                Ok(()) = self.overdue.changed(), if self.publisher.is_some() => {
                    return Ok(Some(self.report()));
                }
                request = self.requests.message() => request?,
            };
            let Some(PublishRequest { message }) = request else {
                return Ok(None);
            };
            let Some(message) = message else {
                self.bus.metrics.unknown();
                continue;
            };
            if let Some(response) = self.take(message)? {
                return Ok(Some(PublishResponse {
                    message: Some(response),
                }));
            }
        }
    }

    /// Which nodes lack fresh samples.
    fn report(&mut self) -> PublishResponse {
        let report = self.overdue.borrow_and_update();
        let nodes = report.iter().map(ToString::to_string).collect();
        self.bus.metrics.reports.inc();
        PublishResponse {
            message: Some(Response::Overdue(v1::Overdue { nodes })),
        }
    }

    fn take(&mut self, message: Request) -> Result<Option<Response>, Status> {
        let Some(publisher) = &mut self.publisher else {
            return match message {
                Request::Hello(hello) => self.hello(hello).map(Some),
                _ => Err(self.broken("the first message is no Hello")),
            };
        };
        match message {
            Request::Hello(_) => Err(self.broken("a second Hello")),
            Request::Roster(roster) => publisher.roster(&self.bus, &roster).map(|()| None),
            Request::Reading(reading) => Ok(publisher.reading(&self.bus, &reading)),
            Request::ScrapeFailure(failure) => {
                publisher.failure(&self.bus, failure);
                Ok(None)
            }
            Request::Released(released) => {
                publisher.rosters.remove(released.node.as_str());
                Ok(None)
            }
            Request::Share(share) => {
                publisher.share(&self.bus, &share);
                Ok(None)
            }
            Request::Synced(v1::Synced {}) => {
                let (source, nodes) = (&publisher.source.name, publisher.rosters.len());
                info!(%source, nodes, "publisher has sent all it held");
                Ok(None)
            }
        }
    }

    fn hello(&mut self, hello: Hello) -> Result<Response, Status> {
        if hello.protocol < OLDEST_PROTOCOL {
            self.bus.metrics.refused("protocol");
            return Err(Status::failed_precondition(format!(
                "protocol {} is too old, {OLDEST_PROTOCOL} to {PROTOCOL} are accepted",
                hello.protocol
            )));
        }
        if hello.resolution_ms == 0 {
            return Err(self.broken("a resolution of 0"));
        }
        let name = short_name("source", hello.source)?;
        short_name("instance", hello.instance)?;
        short_name("group", hello.group)?;
        if name.is_empty() {
            return Err(self.broken("a source without a name"));
        }
        let behind = match hello.now_ms {
            0 => 0,
            theirs => self.bus.clock.now_millis().saturating_sub(theirs),
        };
        info!(source = name, peer = %self.peer, behind_ms = behind, "publisher connected");
        let name: Arc<str> = name.into();
        self.publisher = Some(Publisher {
            claims: self.bus.facts.claims(Arc::clone(&name)),
            source: Source {
                name,
                resolution: Duration::from_millis(hello.resolution_ms),
            },
            behind,
            rosters: HashMap::new(),
        });
        Ok(Response::Welcome(Welcome {
            frontend: self.bus.frontend.to_string(),
            protocol: PROTOCOL.min(hello.protocol),
            limits: Some(limits::announce()),
        }))
    }

    fn broken(&self, rule: &str) -> Status {
        self.bus.metrics.refused("protocol");
        Status::invalid_argument(rule)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.bus.metrics.streams.dec();
        let source = self.publisher.as_ref();
        let source = source.map_or("unknown", |publisher| &*publisher.source.name);
        info!(source, peer = %self.peer, "publisher gone");
    }
}

impl Publisher {
    /// A time of the publisher by our clock. What would lie in our future is
    /// taken to be now: no sample is younger than its arrival.
    fn ours(&self, bus: &Bus, theirs: i64) -> Timestamp {
        let ours = theirs.saturating_add(self.behind);
        Timestamp::from_millis(ours.min(bus.clock.now_millis()))
    }

    fn roster(&mut self, bus: &Bus, message: &v1::Roster) -> Result<(), Status> {
        let (node, mut wire) = match roster_from_wire(message) {
            Ok(taken) => taken,
            Err(
                invalid @ Invalid::Roster {
                    error: InvalidRoster::TooManyContainers { .. },
                    ..
                },
            ) => {
                bus.metrics.refused("containers");
                return Err(Status::resource_exhausted(invalid.to_string()));
            }
            Err(invalid) => {
                self.refuse(bus, "roster", &invalid);
                return Ok(());
            }
        };
        if self.rosters.len() >= NODES_PER_STREAM && !self.rosters.contains_key(&node) {
            bus.metrics.refused("nodes");
            return Err(Status::resource_exhausted(format!(
                "more than {NODES_PER_STREAM} nodes on one stream"
            )));
        }
        bus.metrics.roster();
        wire.roster = bus.store.share_roster(&node, wire.roster);
        self.rosters.insert(node, wire);
        Ok(())
    }

    fn reading(&self, bus: &Bus, message: &v1::Reading) -> Option<Response> {
        let roster = self.rosters.get(message.node.as_str());
        let Some(roster) = roster.filter(|roster| roster.id == message.roster) else {
            if let Err(invalid) = node_name(&message.node) {
                self.refuse(bus, "reading", &invalid);
                return None;
            }
            bus.metrics.need_roster();
            return Some(Response::NeedRoster(NeedRoster {
                node: message.node.clone(),
            }));
        };
        match reading_from_wire(message, roster) {
            Ok(mut reading) => {
                reading.asked_at = self.ours(bus, message.asked_at_ms);
                bus.metrics.reading(bus.store.take(reading, &self.source));
            }
            Err(invalid) => self.refuse(bus, "reading", &invalid),
        }
        None
    }

    fn failure(&self, bus: &Bus, failure: v1::ScrapeFailure) {
        match node_name(&failure.node) {
            Ok(node) => {
                bus.metrics.failure();
                let failed = FailedScrape {
                    asked_at: self.ours(bus, failure.asked_at_ms),
                    by: Arc::clone(&self.source.name),
                    reason: reason(failure.reason()),
                    message: failure_text(failure.message).into(),
                };
                bus.store.fail(node, failed, &self.source);
            }
            Err(invalid) => self.refuse(bus, "failure", &invalid),
        }
    }

    fn share(&mut self, bus: &Bus, share: &v1::Share) {
        let role = match share.role() {
            v1::share::Role::Unspecified => None,
            v1::share::Role::Owner => Some(Role::Owner),
            v1::share::Role::Standby => Some(Role::Standby),
            v1::share::Role::Leaving => Some(Role::Leaving),
            v1::share::Role::Rescuer => Some(Role::Rescuer),
        };
        let told = share.nodes.len();
        let names = share.nodes.iter().take(SHARE_NODES);
        let nodes: Vec<NodeName> = names.filter_map(|name| node_name(name).ok()).collect();
        let refused = told - nodes.len() + self.claims.take(role, nodes);
        if refused > 0 {
            bus.metrics.refused("share");
            debug!(source = %self.source.name, refused, "nodes of a share refused");
        }
    }

    /// Counts a message that breaks a rule but no limit. The stream lives: one
    /// bad node must not take the others with it.
    fn refuse(&self, bus: &Bus, what: &'static str, invalid: &Invalid) {
        bus.metrics.refused(what);
        debug!(source = %self.source.name, what, %invalid, "message refused");
    }
}

/// A kind of failure in the word that scrapers have for it.
fn reason(reason: v1::scrape_failure::Reason) -> &'static str {
    use v1::scrape_failure::Reason;
    match reason {
        Reason::Unspecified => "unspecified",
        Reason::Address => "address",
        Reason::Dial => "dial",
        Reason::Tls => "tls",
        Reason::Auth => "auth",
        Reason::Status => "status",
        Reason::Timeout => "timeout",
        Reason::TooLarge => "too-large",
        Reason::Malformed => "malformed",
        Reason::Empty => "empty",
    }
}
