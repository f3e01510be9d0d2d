//! The receiving half of the bus: a gRPC service over the store.
//!
//! One stream per publisher. The response stream is what drives it: polling it
//! reads messages and takes them in until one calls for an answer, so a stream
//! needs no task of its own and ends when its connection does.

mod admission;
mod certificates;
mod listen;
mod metrics;
mod overdue;
mod pace;
mod places;
mod rosters;
mod session;
mod share;
mod spaced;

use std::sync::Arc;

use futures::{StreamExt as _, stream::BoxStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};
use tributary_proto::{
    limits::MESSAGE_BYTES,
    v1::{
        PublishRequest, PublishResponse,
        sample_bus_server::{SampleBus, SampleBusServer},
    },
};
use tributary_runtime::{clock::Clock, serve::Peer};

use self::{
    admission::Shown,
    overdue::{Report, report_overdue},
    places::Places,
    session::Session,
};
pub(crate) use self::{
    admission::{Admission, Wanted},
    certificates::Certificates,
    share::Shares,
};
pub use self::{
    metrics::BusMetrics,
    share::{Allow, BadAllow},
};
use crate::{catalog::Catalog, facts::Facts, store::Store};

/// The service: takes streams and feeds the store.
#[derive(Clone, Debug)]
pub struct Bus {
    /// Where samples go.
    pub store: Store,
    /// Which nodes and pods there are.
    pub catalog: Catalog,
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
    places: Places,
    overdue: watch::Sender<Report>,
}

impl Bus {
    /// A service that feeds `store` and ends its streams on `stop`.
    pub fn new(
        store: Store,
        catalog: Catalog,
        clock: Clock,
        frontend: Arc<str>,
        metrics: BusMetrics,
        stop: CancellationToken,
    ) -> Self {
        Self {
            store,
            catalog,
            clock,
            frontend,
            metrics,
            facts: Facts::default(),
            stop,
            places: Places::default(),
            overdue: watch::Sender::new(Report::from([])),
        }
    }

    /// Tells publishers which nodes lack fresh samples, until the end.
    pub async fn report_overdue(self) -> anyhow::Result<()> {
        report_overdue(
            (self.catalog, self.store),
            self.clock,
            self.metrics,
            self.overdue,
            self.stop,
        )
        .await;
        Ok(())
    }

    /// The service as routes, with the limits of the schema, behind `admission`.
    fn into_router(self, admission: Admission) -> axum::Router {
        let door = Door {
            bus: self,
            admission,
        };
        let service = SampleBusServer::new(door)
            .max_decoding_message_size(MESSAGE_BYTES)
            .max_encoding_message_size(MESSAGE_BYTES);
        tonic::service::Routes::new(service).into_axum_router()
    }
}

/// The service behind one address.
#[derive(Debug)]
struct Door {
    bus: Bus,
    admission: Admission,
}

#[tonic::async_trait]
impl SampleBus for Door {
    type PublishStream = BoxStream<'static, Result<PublishResponse, Status>>;

    async fn publish(
        &self,
        request: Request<Streaming<PublishRequest>>,
    ) -> Result<Response<Self::PublishStream>, Status> {
        let (head, extensions, requests) = request.into_parts();
        let peer = extensions.get::<Peer>().cloned();
        let shown = Shown::new(peer, &head.into_headers());
        let peer = shown.from();
        let admitted = self.admission.admit(shown).await?;
        let place = self.bus.places.take(&admitted.name).map_err(|full| {
            self.bus.metrics.refused("streams");
            Status::resource_exhausted(full.to_string())
        })?;
        let session = Session::new(self.bus.clone(), requests, (peer, place), admitted);
        let responses = futures::stream::unfold(session, async |mut session| {
            let response = session.next().await?;
            Some((response, session))
        });
        Ok(Response::new(responses.boxed()))
    }
}
