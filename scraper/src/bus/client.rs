//! One stream to one frontend.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tracing::{debug, info};
use tributary_proto::{
    limits::{MESSAGE_BYTES, OVERDUE_NODES, PROTOCOL},
    v1::{Hello, Overdue, publish_response::Message, sample_bus_client::SampleBusClient},
};
use tributary_runtime::clock::Clock;

use super::{
    dial::{Credentials, DialError, dial},
    doors::Door,
    hub::Hub,
    outbox::Outbox,
};
use crate::metrics::{BusMetrics, ShareMetrics};

/// Who this scraper is, and what its streams share.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) source: String,
    pub(crate) instance: String,
    pub(crate) group: String,
    pub(crate) resolution_ms: u64,
}

/// What a stream needs.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) hub: Hub,
    pub(crate) identity: Identity,
    pub(crate) credentials: Credentials,
    pub(crate) clock: Clock,
    pub(crate) metrics: BusMetrics,
    /// Where word of overdue nodes goes.
    pub(crate) overdue: mpsc::Sender<Vec<String>>,
    pub(crate) share: ShareMetrics,
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

impl Client {
    /// Publishes to `door` until the stream ends, which it does in order after
    /// `closing`. `welcomed` is called when the frontend has taken it.
    pub(crate) async fn publish(
        &self,
        door: &Door,
        closing: CancellationToken,
        mut welcomed: impl FnMut(),
    ) -> Result<(), Ended> {
        let channel = dial(door, &self.credentials).await?;
        let mut bus = SampleBusClient::new(channel)
            .max_encoding_message_size(MESSAGE_BYTES)
            .max_decoding_message_size(MESSAGE_BYTES);
        let (hub, metrics) = (self.hub.clone(), self.metrics.clone());
        let outbox = Outbox::new(hub, self.hello(), metrics, closing);
        let mailbox = Arc::clone(outbox.mailbox());
        let requests = futures::stream::unfold(outbox, async |mut outbox| {
            let request = outbox.next().await?;
            Some((request, outbox))
        });
        let mut responses = bus.publish(requests).await?.into_inner();
        while let Some(response) = responses.message().await? {
            match response.message {
                Some(Message::Welcome(welcome)) => {
                    info!(%door, frontend = welcome.frontend, "frontend connected");
                    welcomed();
                }
                Some(Message::NeedRoster(wanted)) => {
                    mailbox.leave_roster_wanted(&wanted.node.into());
                }
                Some(Message::Overdue(overdue)) => self.overdue(overdue),
                // A later version may say what this one does not know.
                None => debug!(%door, "message skipped"),
            }
        }
        Err(Ended::Closed)
    }

    /// Hands on which nodes lack samples. If nobody reads it now, the frontend
    /// will say so again a resolution later.
    fn overdue(&self, mut overdue: Overdue) {
        overdue.nodes.truncate(OVERDUE_NODES);
        if self.overdue.try_send(overdue.nodes).is_err() {
            self.share.reports_dropped.inc();
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
        }
    }
}
