//! One stream of one publisher.

use std::{sync::Arc, time::Duration};

use prost::Message as _;
use tokio::{
    sync::{oneshot, watch},
    time::{Instant, sleep_until},
};
use tokio_util::sync::DropGuard;
use tonic::{Code, Status};
use tracing::{info, warn};
use tributary_proto::{
    limits::{self, HELLO_WITHIN, LONGEST_RESOLUTION, OLDEST_PROTOCOL, PROTOCOL},
    v1::{
        self, Hello, PublishRequest, PublishResponse, Welcome, publish_request::Message as Request,
        publish_response::Message as Response,
    },
};
use tributary_runtime::serve::Trusted;

use super::{
    Bus,
    accounts::Account,
    admission::Admitted,
    decode_permits::{DecodePermit, SincePermit},
    frames::{Frame, Frames},
    overdue::Report,
    pace::{Pace, Rate},
    publisher::Publisher,
    text::{is_source_of, plain_name},
    wire::{TooMany, Weighed, weigh},
};
use crate::{
    scrapers::{
        demand::Wish,
        node_roles::{self, Present},
    },
    store::Source,
};

/// A message with a refused part counts as this many messages. It costs as much to read and brings
/// nothing, and a scraper sends few of them.
const REFUSED_COSTS: usize = 8;

/// A reading is compared with what is stored, container by container, whatever columns it has. It counts as this many bytes
/// for each container, or as more. A page with CPU and memory has more.
const ROW_BYTES: usize = 32;

/// An open stream. Dropping it ends the stream.
pub(super) struct Session {
    bus: Bus,
    frames: Frames,
    peer: Arc<str>,
    admitted: Admitted,
    publisher: Option<Publisher>,
    /// The entry in the list of connected publishers, while the stream is open.
    present: Option<Present>,
    /// When the `Hello` must have arrived.
    hello_by: Instant,
    pace: Pace,
    /// No message is read before this time.
    wait: Option<Instant>,
    since_permit: SincePermit,
    overdue: watch::Receiver<Report>,
    wishes: watch::Receiver<Wish>,
    ended: bool,
    account: Arc<Account>,
    /// The connection is not closed for others while there is a session on it.
    _trusted: Option<Trusted>,
    /// Receives the refusal when the publisher may no longer publish.
    denied: oneshot::Receiver<Status>,
    _over: DropGuard,
}

/// What a session needs of an admitted publisher.
#[derive(Debug)]
pub(super) struct Open {
    /// The address of the peer, for logs.
    pub(super) from: Arc<str>,
    /// The account of the publisher.
    pub(super) account: Account,
    /// Protects its connection from eviction.
    pub(super) trusted: Option<Trusted>,
    /// Receives the refusal when the publisher may no longer publish.
    pub(super) denied: oneshot::Receiver<Status>,
    /// Reports the end of the stream when it is dropped.
    pub(super) over: DropGuard,
}

impl Session {
    pub(super) fn new(
        bus: Bus,
        frames: Frames,
        Open {
            from,
            account,
            trusted,
            denied,
            over,
        }: Open,
        admitted: Admitted,
    ) -> Self {
        bus.metrics.streams.inc();
        let now = Instant::now();
        Self {
            admitted,
            hello_by: now + HELLO_WITHIN,
            pace: Pace::new(Rate::OF_STREAM, now),
            wait: None,
            since_permit: SincePermit::default(),
            overdue: bus.overdue.subscribe(),
            wishes: bus.wishes.subscribe(),
            bus,
            frames,
            peer: from,
            publisher: None,
            present: None,
            ended: false,
            account: Arc::new(account),
            denied,
            _trusted: trusted,
            _over: over,
        }
    }

    /// Handles messages until one needs a response. `None` at the end.
    pub(super) async fn next(&mut self) -> Option<Result<PublishResponse, Status>> {
        if self.ended {
            return None;
        }
        let outcome = self.until_response().await;
        if let Err(status) = &outcome
            && breaks_a_rule(status)
        {
            self.account.fault(Instant::now());
        }
        self.ended = !matches!(outcome, Ok(Some(_)));
        outcome.transpose()
    }

    async fn until_response(&mut self) -> Result<Option<PublishResponse>, Status> {
        let stop = self.bus.stop.clone();
        loop {
            let look_at = self.publisher.as_ref().and_then(Publisher::look_at);
            let frame = tokio::select! {
                biased;
                () = stop.cancelled() => {
                    return Err(Status::unavailable("the frontend is stopping"));
                }
                Ok(denied) = &mut self.denied => return Err(denied),
                () = sleep_until(self.hello_by), if self.publisher.is_none() => {
                    self.bus.metrics.refused("hello");
                    return Err(Status::deadline_exceeded("no Hello"));
                }
                Ok(()) = self.overdue.changed(), if self.publisher.is_some() => {
                    return Ok(Some(self.report()));
                }
                Ok(()) = self.wishes.changed(), if self.publisher.is_some() => {
                    return Ok(Some(self.wish()));
                }
                Some(()) = reached(look_at) => {
                    match self.publisher.as_mut().and_then(|it| it.look(&self.bus)) {
                        Some(response) => return Ok(Some(respond(response))),
                        None => continue,
                    }
                }
                frame = read(&mut self.frames, self.wait) => {
                    frame.inspect_err(|status| self.unreadable(status))?
                }
            };
            let Some(frame) = frame else {
                return Ok(None);
            };
            let permit = self.decode_permit(frame.bytes.len()).await?;
            let received = self.receive(&frame);
            drop(permit);
            if let Some(response) = received? {
                return Ok(Some(respond(response)));
            }
        }
    }

    /// Waits for a permit to decode a message of this many bytes, if it needs one.
    async fn decode_permit(&mut self, bytes: usize) -> Result<Option<DecodePermit>, Status> {
        if !self.since_permit.needs_permit(bytes) {
            return Ok(None);
        }
        self.bus.metrics.decode_permits.inc();
        tokio::select! {
            biased;
            () = self.bus.stop.cancelled() => Err(Status::unavailable("the frontend is stopping")),
            Ok(denied) = &mut self.denied => Err(denied),
            permit = self.account.room.decode_permits.next() => Ok(Some(permit)),
        }
    }

    /// Counts the end of the stream if the publisher caused it.
    fn unreadable(&self, status: &Status) {
        match status.code() {
            Code::OutOfRange | Code::DeadlineExceeded => self.bus.metrics.refused("message"),
            Code::Internal => self.bus.metrics.refused("malformed"),
            _ => {}
        }
    }

    /// The message with the nodes that lack fresh samples.
    fn report(&mut self) -> PublishResponse {
        let report = self.overdue.borrow_and_update();
        let nodes = report.iter().map(ToString::to_string).collect();
        self.bus.metrics.reports.inc();
        respond(Response::Overdue(v1::Overdue { nodes }))
    }

    /// The message with the nodes for which fresh samples are wanted.
    fn wish(&mut self) -> PublishResponse {
        let wish = self.wishes.borrow_and_update();
        let nodes = wish.nodes.iter().map(ToString::to_string).collect();
        let lasts_ms = u64::try_from(wish.lasts.as_millis()).unwrap_or(u64::MAX);
        respond(Response::Wanted(v1::Wanted { nodes, lasts_ms }))
    }

    /// Checks the size of a message, and handles it if it has no more parts than allowed.
    fn receive(&mut self, frame: &Frame) -> Result<Option<Response>, Status> {
        let weighed = weigh(&frame.bytes).map_err(|error| self.malformed(&error))?;
        let now = Instant::now();
        let own = self.pace.take(weighed.bytes, now);
        self.wait = own.max(self.account.take(weighed.bytes, now));
        if self.wait.is_some() {
            self.bus.metrics.throttled.inc();
        }
        let taken = self.decode(frame, &weighed);
        let rows = self.publisher.as_mut().map(Publisher::take_rows);
        let more = rows.unwrap_or_default().saturating_mul(ROW_BYTES);
        if let Some(more) = more.checked_sub(weighed.bytes).filter(|more| *more > 0) {
            self.wait = self.wait.max(self.account.take(more, now));
        }
        let refused = self.publisher.as_mut().map(Publisher::take_refused);
        if refused == Some(true) {
            let more = weighed.bytes.saturating_mul(REFUSED_COSTS - 1);
            self.wait = self.wait.max(self.account.take(more, now));
        }
        taken
    }

    fn decode(&mut self, frame: &Frame, weighed: &Weighed<'_>) -> Result<Option<Response>, Status> {
        if let Some(too_many) = weighed.too_many() {
            return self.unread(weighed, too_many);
        }
        let request = PublishRequest::decode(&*frame.bytes);
        let Some(message) = request.map_err(|error| self.malformed(&error))?.message else {
            self.bus.metrics.unknown();
            return Ok(None);
        };
        self.take(message)
    }

    /// Refuses the node of a message that is too large to decode.
    fn unread(
        &mut self,
        weighed: &Weighed<'_>,
        too_many: TooMany,
    ) -> Result<Option<Response>, Status> {
        let Some(publisher) = &mut self.publisher else {
            return Err(self.broken("the first message is no Hello"));
        };
        if matches!(too_many, TooMany::Nodes(_)) {
            self.bus.metrics.refused(too_many.reason());
            return Ok(None);
        }
        Ok(publisher.refuse_unread(&self.bus, weighed.node, too_many))
    }

    fn take(&mut self, message: Request) -> Result<Option<Response>, Status> {
        let Some(publisher) = &mut self.publisher else {
            return match message {
                Request::Hello(hello) => self.hello(&hello).map(Some),
                _ => Err(self.broken("the first message is no Hello")),
            };
        };
        match message {
            Request::Hello(_) => return Err(self.broken("a second Hello")),
            Request::Roster(roster) => return Ok(publisher.roster(&self.bus, &roster)),
            Request::Reading(reading) => return Ok(publisher.reading(&self.bus, &reading)),
            Request::ScrapeFailure(failure) => publisher.failure(&self.bus, failure),
            Request::Released(released) => publisher.released(&released),
            Request::Share(roles) => publisher.take_roles(&self.bus, &roles),
            Request::Synced(v1::Synced {}) => {
                let (source, nodes) = (&publisher.source.name, publisher.rosters.len());
                if let Some(suppressed) = self.account.lines.synced.allow() {
                    info!(%source, nodes, suppressed, "publisher has sent its replay");
                }
            }
        }
        Ok(None)
    }

    fn hello(&mut self, hello: &Hello) -> Result<Response, Status> {
        if hello.protocol < OLDEST_PROTOCOL {
            self.bus.metrics.refused("protocol");
            return Err(Status::failed_precondition(format!(
                "protocol {} is too old, {OLDEST_PROTOCOL} to {PROTOCOL} are accepted",
                hello.protocol
            )));
        }
        let resolution = Duration::from_millis(hello.resolution_ms);
        let shortest = self.bus.shortest_resolution;
        if !(shortest..=LONGEST_RESOLUTION).contains(&resolution) {
            return Err(self.broken(&format!(
                "a resolution that is not from {shortest:?} to {LONGEST_RESOLUTION:?}"
            )));
        }
        let name: Arc<str> = self.source(hello)?.into();
        let behind = match hello.now_ms {
            0 => 0,
            theirs => self.bus.clock.now_millis().saturating_sub(theirs),
        };
        let (peer, publisher) = (&self.peer, &self.admitted.name);
        if let Some(suppressed) = self.account.lines.came.allow() {
            info!(
                source = %name, %peer, %publisher, behind_ms = behind, suppressed,
                "publisher connected"
            );
        }
        let present = self.bus.node_roles.arrived(node_roles::Publisher {
            source: Arc::clone(&name),
            version: hello.version.as_str().into(),
            group: hello.group.as_str().into(),
            instance: hello.instance.as_str().into(),
            resolution,
        });
        let source = Source { name, resolution };
        let node_scope = self.admitted.node_scope.clone();
        let account = Arc::clone(&self.account);
        let publisher = Publisher::new(&self.bus, source, behind, node_scope, account);
        self.publisher = Some(publisher);
        self.present = Some(present);
        Ok(Response::Welcome(Welcome {
            frontend: self.bus.frontend.to_string(),
            protocol: PROTOCOL.min(hello.protocol),
            limits: Some(limits::announce()),
        }))
    }

    /// The name of the source, if it is valid and that of its own pod.
    fn source(&self, hello: &Hello) -> Result<String, Status> {
        let checked = |what, name: &str| plain_name(what, name.to_owned());
        let name = checked("source", &hello.source)
            .and_then(|name| checked("instance", &hello.instance).map(|_| name))
            .and_then(|name| checked("group", &hello.group).map(|_| name))
            .and_then(|name| checked("version", &hello.version).map(|_| name))
            .map_err(|bad| self.broken(&bad.to_string()))?;
        if name.is_empty() {
            return Err(self.broken("a source without a name"));
        }
        let Some(pod) = &self.admitted.pod else {
            return Ok(name);
        };
        if is_source_of(&name, pod) {
            return Ok(name);
        }
        let refused = format!(
            "the source calls itself {name:?}, and its token is bound to pod {pod:?}: it must have \
             the pod's name, or one that begins with it and '/' (--source-name)"
        );
        self.refused("source", &refused);
        Err(Status::permission_denied(refused))
    }

    fn malformed(&self, error: &dyn std::error::Error) -> Status {
        let error = error.to_string();
        self.refused("malformed", &error);
        Status::invalid_argument(error)
    }

    fn broken(&self, rule: &str) -> Status {
        self.refused("protocol", rule);
        Status::invalid_argument(rule)
    }

    /// Counts and logs the error that ends the stream.
    fn refused(&self, reason: &'static str, refused: &str) {
        self.bus.metrics.refused(reason);
        let (peer, publisher) = (&self.peer, &self.admitted.name);
        if let Some(suppressed) = self.bus.refusals.allow() {
            warn!(%peer, %publisher, reason, refused, suppressed, "publisher refused");
        }
    }
}

/// Whether the stream ended because its publisher broke a rule.
fn breaks_a_rule(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::InvalidArgument | Code::OutOfRange | Code::DeadlineExceeded | Code::Internal
    )
}

fn respond(message: Response) -> PublishResponse {
    PublishResponse {
        message: Some(message),
    }
}

/// Resolves at `at`. Without a time it resolves at once.
async fn reached(at: Option<Instant>) -> Option<()> {
    sleep_until(at?).await;
    Some(())
}

/// The next message, not before `wait`.
async fn read(frames: &mut Frames, wait: Option<Instant>) -> Result<Option<Frame>, Status> {
    if let Some(until) = wait {
        sleep_until(until).await;
    }
    frames.next().await
}

impl Drop for Session {
    fn drop(&mut self) {
        self.bus.metrics.streams.dec();
        let source = self.publisher.as_ref();
        let source = source.map_or("unknown", |publisher| &*publisher.source.name);
        if let Some(suppressed) = self.account.lines.went.allow() {
            info!(source, peer = %self.peer, suppressed, "publisher disconnected");
        }
    }
}
