//! One stream of one publisher.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tonic::{Code, Status, Streaming};
use tracing::{debug, info};
use tributary_model::{InvalidRoster, NodeName, Timestamp};
use tributary_proto::{
    convert::{Invalid, failure_text, node_name, reading_from_wire, roster_from_wire, short_name},
    limits::{
        self, HELLO_WITHIN, LONGEST_RESOLUTION, OLDEST_PROTOCOL, PROTOCOL, SHARE_NODES,
        SHORTEST_RESOLUTION,
    },
    v1::{
        self, Hello, NeedRoster, PublishRequest, PublishResponse, Welcome,
        publish_request::Message as Request, publish_response::Message as Response,
    },
};

use super::{
    Bus,
    admission::Admitted,
    overdue::Report,
    pace::{Pace, roster_bytes, weight},
    places::Place,
    rosters::{Rosters, TooMuch},
    share::Share,
};
use crate::{
    facts::{Claims, Role},
    store::{FailedScrape, Source},
};

/// A stream under way. Dropping it ends the stream.
pub(super) struct Session {
    bus: Bus,
    requests: Streaming<PublishRequest>,
    peer: Arc<str>,
    admitted: Admitted,
    publisher: Option<Publisher>,
    /// When there has to be one.
    hello_by: Instant,
    pace: Pace,
    /// Until then nothing is read.
    wait: Option<Instant>,
    overdue: watch::Receiver<Report>,
    ended: bool,
    _place: Place,
}

/// What is known of the publisher after its `Hello`.
struct Publisher {
    source: Source,
    /// Milliseconds by which its clock is behind ours.
    behind: i64,
    /// The nodes that it may publish.
    share: Share,
    rosters: Rosters,
    /// What it is to nodes.
    claims: Claims,
}

impl Session {
    pub(super) fn new(
        bus: Bus,
        requests: Streaming<PublishRequest>,
        (peer, place): (Arc<str>, Place),
        admitted: Admitted,
    ) -> Self {
        bus.metrics.streams.inc();
        let now = Instant::now();
        Self {
            admitted,
            hello_by: now + HELLO_WITHIN,
            pace: Pace::new(now),
            wait: None,
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
                denied = &mut self.admitted.denied => return Err(denied),
                () = sleep_until(self.hello_by), if self.publisher.is_none() => {
                    self.bus.metrics.refused("hello");
                    return Err(Status::deadline_exceeded("no Hello"));
                }
                Ok(()) = self.overdue.changed(), if self.publisher.is_some() => {
                    return Ok(Some(self.report()));
                }
                request = read(&mut self.requests, self.wait) => {
                    request.inspect_err(|status| self.unreadable(status))?
                }
            };
            let Some(PublishRequest { message }) = request else {
                return Ok(None);
            };
            let Some(message) = message else {
                self.bus.metrics.unknown();
                continue;
            };
            self.wait = self.pace.take(weight(&message), Instant::now());
            if self.wait.is_some() {
                self.bus.metrics.throttled.inc();
            }
            if let Some(response) = self.take(message)? {
                return Ok(Some(PublishResponse {
                    message: Some(response),
                }));
            }
        }
    }

    /// Counts what ended the stream if it was the publisher's doing.
    fn unreadable(&self, status: &Status) {
        match status.code() {
            Code::OutOfRange | Code::ResourceExhausted => self.bus.metrics.refused("message"),
            Code::Internal => self.bus.metrics.refused("malformed"),
            _ => {}
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
        let resolution = Duration::from_millis(hello.resolution_ms);
        if !(SHORTEST_RESOLUTION..=LONGEST_RESOLUTION).contains(&resolution) {
            return Err(self.broken("a resolution that is not from 100 ms to an hour"));
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
        let (peer, publisher) = (&self.peer, &self.admitted.name);
        info!(source = name, %peer, %publisher, behind_ms = behind, "publisher connected");
        let name: Arc<str> = name.into();
        self.publisher = Some(Publisher {
            claims: self.bus.facts.claims(Arc::clone(&name)),
            source: Source { name, resolution },
            behind,
            share: self.admitted.share.clone(),
            rosters: Rosters::default(),
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

/// The next message, not before `wait`.
async fn read(
    requests: &mut Streaming<PublishRequest>,
    wait: Option<Instant>,
) -> Result<Option<PublishRequest>, Status> {
    if let Some(until) = wait {
        sleep_until(until).await;
    }
    requests.message().await
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
        if !self.may(bus, node.as_str()) {
            return Ok(());
        }
        bus.metrics.roster();
        wire.roster = bus.store.share_roster(&node, wire.roster);
        bus.catalog.share_names(&mut wire.roster);
        let put = self.rosters.put(node, wire, roster_bytes(message));
        put.map_err(|error| {
            bus.metrics.refused(match error {
                TooMuch::Nodes => "nodes",
                TooMuch::Containers => "containers",
                TooMuch::Names => "names",
            });
            Status::resource_exhausted(error.to_string())
        })
    }

    /// Whether it may publish `node`; counts it if not.
    fn may(&self, bus: &Bus, node: &str) -> bool {
        let may = self.share.has(node);
        if !may {
            bus.metrics.refused("node");
            debug!(source = %self.source.name, node, "not a node of this publisher");
        }
        may
    }

    fn reading(&self, bus: &Bus, message: &v1::Reading) -> Option<Response> {
        if !self.may(bus, &message.node) {
            return None;
        }
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
        if !self.may(bus, &failure.node) {
            return;
        }
        match node_name(&failure.node) {
            Ok(node) => {
                bus.metrics.failure();
                let failed = FailedScrape {
                    asked_at: self.ours(bus, failure.asked_at_ms),
                    by: Arc::clone(&self.source.name),
                    reason: reason(failure.reason()),
                    message: failure_text(failure.message).into(),
                };
                bus.store.fail(&node, failed, &self.source);
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
        let names = names.filter(|name| self.share.has(name));
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
