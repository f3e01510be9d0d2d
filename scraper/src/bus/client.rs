//! One stream to one frontend.

use std::sync::Arc;

use tonic::Status;
use tracing::{debug, info};
use tributary_proto::{
    limits::{MESSAGE_BYTES, PROTOCOL},
    v1::{Hello, publish_response::Message, sample_bus_client::SampleBusClient},
};
use tributary_runtime::clock::Clock;

use super::{
    dial::{Credentials, DialError, dial},
    doors::Door,
    hub::Hub,
    outbox::Outbox,
};
use crate::metrics::BusMetrics;

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
    /// Publishes to `door` until the stream ends. `welcomed` is called when the
    /// frontend has taken it.
    pub(crate) async fn publish(
        &self,
        door: &Door,
        mut welcomed: impl FnMut(),
    ) -> Result<(), Ended> {
        let channel = dial(door, &self.credentials).await?;
        let mut bus = SampleBusClient::new(channel)
            .max_encoding_message_size(MESSAGE_BYTES)
            .max_decoding_message_size(MESSAGE_BYTES);
        let outbox = Outbox::new(self.hub.clone(), self.hello(), self.metrics.clone());
        let mailbox = Arc::clone(outbox.mailbox());
        let requests = futures::stream::unfold(outbox, async |mut outbox| {
            let request = outbox.next().await;
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
                // Standing by for other scrapers is not done yet, and a later
                // version may say what this one does not know.
                Some(Message::Overdue(_)) | None => debug!(%door, "message skipped"),
            }
        }
        Err(Ended::Closed)
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
