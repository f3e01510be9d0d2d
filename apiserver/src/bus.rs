//! The receiving half of the bus: a gRPC service over the store.
//!
//! One stream per publisher. The response stream is what drives it: polling it
//! reads messages and takes them in until one calls for an answer, so a stream
//! needs no task of its own and ends when its connection does.

mod metrics;
mod overdue;
mod session;

use std::sync::Arc;

use futures::{StreamExt as _, stream::BoxStream};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};
use tributary_proto::{
    limits::{MESSAGE_BYTES, STREAMS},
    v1::{
        PublishRequest, PublishResponse,
        sample_bus_server::{SampleBus, SampleBusServer},
    },
};
use tributary_runtime::{clock::Clock, serve::Peer};

pub use self::metrics::BusMetrics;
use self::{
    overdue::{Report, report_overdue},
    session::Session,
};
use crate::{catalog::Catalog, facts::Facts, store::Store};

/// The service: takes streams and feeds the store.
#[derive(Clone, Debug)]
pub struct Bus {
    /// Where samples go.
    pub store: Store,
    /// Tells how old they are.
    pub clock: Clock,
    /// The name of this frontend, for publishers.
    pub frontend: Arc<str>,
    /// What is counted.
    pub metrics: BusMetrics,
    /// What publishers are to nodes.
    pub facts: Facts,
    /// Ends all streams.
    pub stop: CancellationToken,
    room: Arc<Semaphore>,
    overdue: watch::Sender<Report>,
}

impl Bus {
    /// A service over `store` that ends its streams on `stop`.
    pub fn new(
        store: Store,
        clock: Clock,
        frontend: Arc<str>,
        metrics: BusMetrics,
        stop: CancellationToken,
    ) -> Self {
        Self {
            store,
            clock,
            frontend,
            metrics,
            facts: Facts::default(),
            stop,
            room: Arc::new(Semaphore::new(STREAMS)),
            overdue: watch::Sender::new(Report::from([])),
        }
    }

    /// Tells publishers which of the nodes in `catalog` lack fresh samples, until
    /// the end.
    pub async fn report_overdue(self, catalog: Catalog) {
        let Self { store, clock, .. } = self;
        report_overdue(
            (catalog, store),
            clock,
            self.metrics,
            self.overdue,
            self.stop,
        )
        .await;
    }

    /// The service as routes, with the limits of the schema.
    pub fn into_router(self) -> axum::Router {
        let service = SampleBusServer::new(self)
            .max_decoding_message_size(MESSAGE_BYTES)
            .max_encoding_message_size(MESSAGE_BYTES);
        tonic::service::Routes::new(service).into_axum_router()
    }
}

#[tonic::async_trait]
impl SampleBus for Bus {
    type PublishStream = BoxStream<'static, Result<PublishResponse, Status>>;

    async fn publish(
        &self,
        request: Request<Streaming<PublishRequest>>,
    ) -> Result<Response<Self::PublishStream>, Status> {
        let Ok(place) = Arc::clone(&self.room).try_acquire_owned() else {
            self.metrics.refused("streams");
            return Err(Status::resource_exhausted(format!(
                "{STREAMS} streams are open, which is the most"
            )));
        };
        let peer = request.extensions().get::<Peer>();
        let peer = peer.map_or_else(|| "unknown".into(), |peer| Arc::clone(&peer.name));
        let session = Session::new(self.clone(), request.into_inner(), peer, place);
        let responses = futures::stream::unfold(session, async |mut session| {
            let response = session.next().await?;
            Some((response, session))
        });
        Ok(Response::new(responses.boxed()))
    }
}
