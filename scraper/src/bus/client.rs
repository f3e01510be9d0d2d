//! One stream to one frontend.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Status};
use tracing::{debug, info, warn};
use tributary_proto::{
    convert::failure_text,
    limits::{MESSAGE_BYTES, OVERDUE_NODES, PROTOCOL, WANTED_FOR, WANTED_NODES},
    v1::{
        self, Hello, NodeRefused, Overdue, PublishRequest, publish_request,
        publish_response::Message, sample_bus_client::SampleBusClient,
    },
};
use tributary_runtime::clock::Clock;

use super::{
    credentials::{Access, Credentials, Unusable},
    dial::{DialError, dial},
    frontend_address::FrontendAddress,
    hub::Hub,
    metrics::{BusMetrics, node_refused},
    outbox::Outbox,
    reports::{Report, Wanted},
};
use crate::assignment::metrics::AssignmentMetrics;

/// Who this scraper is, and what its streams share.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) source: String,
    pub(crate) instance: String,
    pub(crate) group: String,
    pub(crate) resolution_ms: u64,
}

impl Identity {
    /// That of a process of this name and group, which starts now.
    pub(crate) fn new(source: &str, group: &str, resolution: Duration, clock: &Clock) -> Self {
        let resolution = resolution.as_millis();
        Self {
            source: source.to_owned(),
            // Two processes of one name started in the same millisecond would
            // be taken for one, which only blurs a log line.
            instance: format!("{}-{}", std::process::id(), clock.now_millis()),
            group: group.to_owned(),
            resolution_ms: u64::try_from(resolution).unwrap_or(u64::MAX),
        }
    }
}

/// How far a stream has come. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    welcomed: Arc<AtomicBool>,
    synced: Arc<AtomicBool>,
    changed: Arc<Notify>,
}

impl Progress {
    pub(super) fn new(changed: Arc<Notify>) -> Self {
        Self {
            welcomed: Arc::default(),
            synced: Arc::default(),
            changed,
        }
    }

    /// The frontend has taken the stream.
    pub(super) fn welcomed(&self) {
        self.welcomed.store(true, Ordering::Release);
        self.changed.notify_one();
    }

    /// All that is stored has gone out.
    pub(super) fn synced(&self) {
        self.synced.store(true, Ordering::Release);
        self.changed.notify_one();
    }

    pub(super) fn is_welcomed(&self) -> bool {
        self.welcomed.load(Ordering::Acquire)
    }

    pub(super) fn is_synced(&self) -> bool {
        self.synced.load(Ordering::Acquire) && self.is_welcomed()
    }
}

/// What a stream needs.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) hub: Hub,
    pub(crate) identity: Identity,
    pub(crate) credentials: Credentials,
    pub(crate) clock: Clock,
    pub(crate) metrics: BusMetrics,
    /// Where what frontends say about nodes goes.
    pub(crate) reports: mpsc::Sender<Report>,
    pub(crate) assignment: AssignmentMetrics,
}

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    /// It never began.
    #[error("{0}")]
    Dial(#[from] DialError),
    /// The frontend ended it.
    #[error("{}: {}", .0.code(), .0.message())]
    Status(Box<Status>),
    /// The frontend closed it without a word.
    #[error("closed by the frontend")]
    Closed,
}

impl From<Status> for Ended {
    fn from(status: Status) -> Self {
        Self::Status(Box::new(status))
    }
}

impl From<Unusable> for Ended {
    fn from(error: Unusable) -> Self {
        Self::Dial(error.into())
    }
}

impl Ended {
    /// Whether the frontend says that we may not publish.
    pub(super) fn is_denied(&self) -> bool {
        let denied = [Code::Unauthenticated, Code::PermissionDenied];
        matches!(self, Self::Status(status) if denied.contains(&status.code()))
    }
}

impl Client {
    /// Publishes to `frontend_address` until the stream ends, which it does in order after
    /// `closing`. `progress` is told how far it has come.
    pub(super) async fn publish(
        &self,
        frontend_address: &FrontendAddress,
        access: &Access,
        closing: CancellationToken,
        progress: Progress,
    ) -> Result<(), Ended> {
        let channel = dial(frontend_address, access).await?;
        let mut bus = SampleBusClient::new(channel)
            .max_encoding_message_size(MESSAGE_BYTES)
            .max_decoding_message_size(MESSAGE_BYTES);
        let (hub, metrics) = (self.hub.clone(), self.metrics.clone());
        let outbox = Outbox::new(hub, self.hello(), metrics, closing);
        let mailbox = Arc::clone(outbox.mailbox());
        let sending = (outbox, progress.clone());
        let requests = futures::stream::unfold(sending, async |(mut outbox, progress)| {
            let request = outbox.next().await?;
            if is_synced(&request) {
                progress.synced();
            }
            Some((request, (outbox, progress)))
        });
        let mut request = Request::new(requests);
        // Nobody on the way may read it.
        if let Some(token) = access.token.as_ref().filter(|_| frontend_address.is_tls()) {
            let metadata = request.metadata_mut();
            metadata.insert("authorization", token.clone());
        }
        let mut responses = bus.publish(request).await?.into_inner();
        while let Some(response) = responses.message().await? {
            match response.message {
                Some(Message::Welcome(welcome)) => {
                    info!(%frontend_address, frontend = welcome.frontend, "frontend connected");
                    progress.welcomed();
                }
                Some(Message::NeedRoster(wanted)) => {
                    mailbox.leave_roster_wanted(&wanted.node.into());
                }
                Some(Message::Overdue(overdue)) => self.overdue(overdue),
                Some(Message::NodeRefused(refused)) => self.refused(frontend_address, refused),
                Some(Message::Wanted(wanted)) => self.wanted(wanted),
                // A later version may say what this one does not know.
                None => debug!(%frontend_address, "message skipped"),
            }
        }
        Err(Ended::Closed)
    }

    /// Hands on which nodes lack samples. If nobody reads it now, the frontend
    /// will say so again a resolution later.
    fn overdue(&self, mut overdue: Overdue) {
        overdue.nodes.truncate(OVERDUE_NODES);
        self.report(Report::Overdue(overdue.nodes));
    }

    fn report(&self, report: Report) {
        if self.reports.try_send(report).is_err() {
            self.assignment.reports_dropped.inc();
        }
    }

    /// Hands on which nodes are wanted fresh. If the scraper is too busy to read it, the
    /// frontend sends it again.
    fn wanted(&self, mut wanted: v1::Wanted) {
        wanted.nodes.truncate(WANTED_NODES);
        let lasts = Duration::from_millis(wanted.lasts_ms).min(WANTED_FOR);
        let nodes = wanted.nodes;
        self.report(Report::Wanted(Wanted { nodes, lasts }));
    }

    /// Says once why a frontend does not take a node. Its other nodes go on.
    fn refused(&self, frontend_address: &FrontendAddress, refused: NodeRefused) {
        let reason = refused.reason();
        self.metrics.node_refused(reason);
        if self.hub.refused(&refused.node, reason) {
            let (node, reason) = (refused.node, node_refused(reason));
            let error = failure_text(refused.message);
            warn!(%frontend_address, node, reason, error, "the frontend refused a node");
        }
    }

    fn hello(&self) -> Hello {
        Hello {
            source: self.identity.source.clone(),
            instance: self.identity.instance.clone(),
            group: self.identity.group.clone(),
            resolution_ms: self.identity.resolution_ms,
            protocol: PROTOCOL,
            now_ms: self.clock.now_millis(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

fn is_synced(request: &PublishRequest) -> bool {
    matches!(request.message, Some(publish_request::Message::Synced(_)))
}
