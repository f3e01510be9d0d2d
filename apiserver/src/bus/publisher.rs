//! The messages of a publisher after its `Hello`.
//!
//! Most of their content comes from kubelets. So a fault in a message is a fault of its node: that
//! node is refused, with a reason that operators see, and the stream goes on with the other nodes.

use std::sync::Arc;

use tokio::time::Instant;
use tracing::{debug, warn};
use tributary_model::{InvalidRoster, NodeName, Timestamp};
use tributary_proto::{
    convert::{Invalid, failure_text, node_name, reading_from_wire, roster_from_wire},
    limits::SHARE_NODES,
    v1::{
        self, NeedRoster, NodeRefused, node_refused::Reason as Kind,
        publish_response::Message as Response,
    },
};

use super::{
    Bus,
    accounts::{Account, TooMuch, Whose},
    node_scope::NodeScope,
    rosters::{Found, Refused, Rosters},
    shift::Shift,
    text::{is_node_name, printable},
    unknown::Unknown,
    wire::TooMany,
};
use crate::{
    scrapers::node_roles::{Role, StreamRoles},
    store::{FailedScrape, Source},
};

/// The state of a publisher after its `Hello`.
pub(super) struct Publisher {
    pub(super) source: Source,
    shift: Shift,
    /// The nodes that it may publish.
    node_scope: NodeScope,
    pub(super) rosters: Rosters,
    /// Its roles for nodes.
    stream_roles: StreamRoles,
    unknown: Unknown,
    account: Arc<Account>,
    /// Whether any part of the current message was refused.
    refused: bool,
    /// The containers of the reading that was taken since the last call of [`Self::take_rows`].
    rows: usize,
}

/// Why a node is refused.
pub(super) struct Why {
    /// The label of the metric.
    pub(super) reason: &'static str,
    /// The code for the publisher.
    pub(super) kind: Kind,
    /// For people.
    pub(super) message: String,
}

impl From<TooMuch> for Why {
    fn from(error: TooMuch) -> Self {
        let reason = match error {
            TooMuch::Streams { .. } => "streams",
            TooMuch::Faults(_) => "faults",
            TooMuch::Nodes { .. } => "nodes",
            TooMuch::Containers { .. } | TooMuch::LargeContainers { .. } => "containers",
            TooMuch::Names { .. } | TooMuch::LargeNames { .. } => "names",
        };
        Self {
            reason,
            kind: match error.of() {
                Whose::Stream | Whose::Publisher => Kind::Publisher,
                Whose::All => Kind::Frontend,
            },
            message: error.to_string(),
        }
    }
}

impl From<TooMany> for Why {
    fn from(error: TooMany) -> Self {
        Self {
            reason: error.reason(),
            kind: Kind::Containers,
            message: error.to_string(),
        }
    }
}

impl Why {
    /// A roster or a reading breaks a rule.
    fn invalid(what: &'static str, invalid: &Invalid) -> Self {
        let (reason, kind) = match invalid {
            Invalid::Roster { error, .. } => match error {
                InvalidRoster::TooManyContainers { .. } => ("containers", Kind::Containers),
                InvalidRoster::TooManyNameBytes { .. } => ("names", Kind::Names),
                InvalidRoster::Name { .. }
                | InvalidRoster::EmptyPod { .. }
                | InvalidRoster::Duplicate { .. } => (what, Kind::Invalid),
            },
            _ => (what, Kind::Invalid),
        };
        Self {
            reason,
            kind,
            message: printable(&invalid.to_string()),
        }
    }
}

impl Publisher {
    pub(super) fn new(
        bus: &Bus,
        source: Source,
        behind: i64,
        node_scope: NodeScope,
        account: Arc<Account>,
    ) -> Self {
        let allowed = node_scope.clone();
        let may = move |node: &str| allowed.has(node);
        Self {
            stream_roles: bus
                .node_roles
                .stream_roles_among(Arc::clone(&source.name), may),
            source,
            shift: Shift::new(behind),
            node_scope,
            rosters: Rosters::new(Arc::clone(&account)),
            unknown: Unknown::default(),
            account,
            refused: false,
            rows: 0,
        }
    }

    /// Converts a time of the publisher to the clock of the frontend.
    fn ours(&mut self, bus: &Bus, theirs: i64) -> Timestamp {
        Timestamp::from_millis(self.shift.ours(theirs, bus.clock.now_millis()))
    }

    pub(super) fn roster(&mut self, bus: &Bus, message: &v1::Roster) -> Option<Response> {
        let node = self.node(bus, &message.node, "roster")?;
        let taken = roster_from_wire(message);
        let taken = taken.map_err(|invalid| Why::invalid("roster", &invalid));
        let put = taken.and_then(|(_, mut wire)| {
            bus.metrics.roster();
            wire.roster = bus.store.intern_roster(&node, wire.roster);
            bus.catalog.intern_names(&mut wire.roster);
            let node = bus.catalog.share_node(&node);
            Ok(self.rosters.put(node, wire)?)
        });
        put.err().map(|why| self.refuse(bus, &node, why))
    }

    pub(super) fn reading(&mut self, bus: &Bus, message: &v1::Reading) -> Option<Response> {
        if !self.may(bus, &message.node) {
            return None;
        }
        let now = Instant::now();
        let roster = match self.rosters.find(&message.node, message.roster, now) {
            Found::Roster(roster) => roster,
            Found::Ask => return self.ask(bus, &message.node),
            Found::Refused(refused) => {
                self.still_refused(bus, &message.node, refused);
                return None;
            }
            Found::Full => {
                self.count(bus, "nodes");
                return None;
            }
        };
        self.rows = roster.roster.containers();
        match reading_from_wire(message, roster) {
            Ok(mut reading) => {
                reading.set_asked_at(self.ours(bus, message.asked_at_ms));
                bus.metrics.reading(bus.store.take(reading, &self.source));
            }
            Err(invalid) => {
                let why = Why::invalid("reading", &invalid);
                let node = self.node(bus, &message.node, "reading")?;
                return Some(self.refuse_reading(bus, &node, why));
            }
        }
        None
    }

    /// Requests the roster of a node after a reading without one.
    fn ask(&mut self, bus: &Bus, node: &str) -> Option<Response> {
        let node = self.node(bus, node, "reading")?;
        bus.metrics.need_roster();
        Some(need_roster(&node))
    }

    pub(super) fn failure(&mut self, bus: &Bus, failure: v1::ScrapeFailure) {
        let Some(node) = self.node(bus, &failure.node, "failure") else {
            return;
        };
        bus.metrics.failure();
        let failed = FailedScrape {
            asked_at: self.ours(bus, failure.asked_at_ms),
            by: Arc::clone(&self.source.name),
            reason: reason(failure.reason()),
            message: printable(&failure_text(failure.message)).into(),
        };
        bus.store.fail(&node, failed, &self.source);
    }

    pub(super) fn released(&mut self, released: &v1::Released) {
        self.rosters.remove(&released.node);
        self.unknown.forget(&released.node);
    }

    pub(super) fn take_roles(&mut self, bus: &Bus, roles: &v1::Share) {
        let role = match roles.role() {
            v1::share::Role::Unspecified => None,
            v1::share::Role::Owner => Some(Role::Owner),
            v1::share::Role::Standby => Some(Role::Standby),
            v1::share::Role::Leaving => Some(Role::Leaving),
            v1::share::Role::Rescuer => Some(Role::Rescuer),
        };
        let sent = roles.nodes.len();
        let names = roles.nodes.iter().take(SHARE_NODES);
        // Whether it may report roles for these nodes is checked when they are read, because labels
        // change.
        let names = names.filter(|name| is_node_name(name));
        let nodes: Vec<NodeName> = names.map(|name| name.as_str().into()).collect();
        let (before, more) = (self.stream_roles.count(), nodes.len());
        let mut refused = sent - more;
        // This is the largest possible number of new names. It is corrected below.
        if role.is_none() || self.account.claim(before, before + more).is_ok() {
            refused += self.stream_roles.take(role, nodes);
            let booked = if role.is_none() {
                before
            } else {
                before + more
            };
            // A smaller number is always accepted.
            self.account.claim(booked, self.stream_roles.count()).ok();
        } else {
            refused += more;
        }
        if refused > 0 {
            bus.metrics.refused("share");
            debug!(source = %self.source.name, refused, "nodes of a share refused");
        }
    }

    /// When to check again whether unknown nodes exist. `None` if there are no unknown nodes.
    pub(super) fn look_at(&self) -> Option<Instant> {
        self.unknown.look_at()
    }

    /// Requests the roster of a node that exists by now.
    pub(super) fn look(&mut self, bus: &Bus) -> Option<Response> {
        let there = |node: &NodeName| bus.catalog.node(node.as_str()).is_some();
        let node = self.unknown.take(there, Instant::now())?;
        bus.metrics.need_roster();
        Some(need_roster(&node))
    }

    /// The node of a message, if its samples count: the name is valid, this publisher may publish
    /// it, and it exists. Nothing is stored for other nodes.
    fn node(&mut self, bus: &Bus, name: &str, what: &'static str) -> Option<NodeName> {
        if !is_node_name(name) {
            self.count(bus, what);
            debug!(source = %self.source.name, what, "message about no node refused");
            return None;
        }
        if !self.may(bus, name) {
            return None;
        }
        // Its length was checked before. A longer one is not a name.
        let node = node_name(name).ok()?;
        if bus.catalog.nodes_synced() && bus.catalog.node(name).is_none() {
            self.count(bus, "unknown-node");
            self.rosters.remove(name);
            self.unknown.put(node, Instant::now());
            return None;
        }
        Some(node)
    }

    /// Whether anything was refused since the last call.
    pub(super) fn take_refused(&mut self) -> bool {
        std::mem::take(&mut self.refused)
    }

    /// How many containers the last reading is about, since the last call.
    pub(super) fn take_rows(&mut self) -> usize {
        std::mem::take(&mut self.rows)
    }

    fn count(&mut self, bus: &Bus, reason: &'static str) {
        bus.metrics.refused(reason);
        self.refused = true;
    }

    /// Whether it may publish `node`. A denial is counted.
    fn may(&mut self, bus: &Bus, node: &str) -> bool {
        let may = self.node_scope.has(node);
        if !may {
            self.count(bus, "node");
            debug!(source = %self.source.name, node, "not a node of this publisher");
        }
        may
    }

    /// Refuses the node that is named in a message that was not decoded.
    pub(super) fn refuse_unread(
        &mut self,
        bus: &Bus,
        node: &[u8],
        too_many: TooMany,
    ) -> Option<Response> {
        let why = Why::from(too_many);
        let name = std::str::from_utf8(node).unwrap_or_default();
        let node = self.node(bus, name, why.reason)?;
        Some(self.refuse(bus, &node, why))
    }

    /// Refuses a node until it sends a valid roster. Its earlier samples are served as long as they
    /// are fresh enough.
    fn refuse(&mut self, bus: &Bus, node: &NodeName, why: Why) -> Response {
        let message = refusal(&why).into();
        let new = self
            .rosters
            .refuse(node, why.reason, message, Instant::now());
        self.say_refused(bus, node, why, new)
    }

    /// Refuses a reading. The next one may be valid.
    fn refuse_reading(&mut self, bus: &Bus, node: &NodeName, why: Why) -> Response {
        self.say_refused(bus, node, why, true)
    }

    /// Counts and logs a refusal, stores it for requests for the node, and sends it to the
    /// publisher.
    fn say_refused(&mut self, bus: &Bus, node: &NodeName, why: Why, new: bool) -> Response {
        self.count(bus, why.reason);
        self.failed(bus, node.as_str(), refusal(&why).into());
        let Why {
            reason,
            kind,
            message,
        } = why;
        if new && let Some(suppressed) = bus.refusals.allow() {
            let source = &self.source.name;
            warn!(%source, %node, reason, message, suppressed, "node refused");
        }
        Response::NodeRefused(NodeRefused {
            node: node.to_string(),
            reason: kind.into(),
            message: failure_text(message),
        })
    }

    /// A reading arrived for a node that is refused.
    fn still_refused(&mut self, bus: &Bus, node: &str, refused: Refused) {
        self.count(bus, refused.reason);
        self.failed(bus, node, refused.message);
    }

    /// Stores why a node has no samples, for requests for it.
    fn failed(&self, bus: &Bus, node: &str, message: Arc<str>) {
        let failed = FailedScrape {
            asked_at: Timestamp::from_millis(bus.clock.now_millis()),
            by: Arc::clone(&self.source.name),
            reason: "refused",
            message,
        };
        bus.store.fail(&node.into(), failed, &self.source);
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        // A smaller number is always accepted.
        self.account.claim(self.stream_roles.count(), 0).ok();
    }
}

/// Why a node is refused, for requests for its metrics.
fn refusal(why: &Why) -> String {
    format!("refused by the frontend: {}", why.message)
}

fn need_roster(node: &NodeName) -> Response {
    let node = node.to_string();
    Response::NeedRoster(NeedRoster { node })
}

/// The kind of a failure, as scrapers call it.
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
