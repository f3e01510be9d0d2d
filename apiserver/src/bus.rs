//! The frontend's side of the bus: a gRPC service that stores samples.
//!
//! There is one stream for each publisher. Polling the response stream reads and handles messages until one of them
//! needs a response. So a stream needs no task of its own, and ends with its connection.
//!
//! tonic writes the responses. This module reads the requests ([`frames`]), because a message must be weighed before it
//! is decoded.

mod accounts;
mod admission;
mod certificates;
mod config;
mod decode_permits;
mod frames;
mod listen;
mod metrics;
mod node_scope;
mod overdue;
mod pace;
mod publisher;
mod revocation;
mod rosters;
mod session;
mod shift;
mod text;
mod unknown;
mod wire;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    routing::post,
};
use futures::{FutureExt as _, StreamExt as _, stream::BoxStream};
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::{
    sync::{oneshot, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tonic::{Response, Status, Streaming, server::Grpc};
use tonic_prost::ProstCodec;
use tributary_model::SHORTEST_RESOLUTION;
use tributary_proto::{
    limits::MESSAGE_BYTES,
    v1::{PublishRequest, PublishResponse, sample_bus_server::SERVICE_NAME},
};
use tributary_runtime::{clock::Clock, log_limiter::LogLimiter, serve::Peer};

pub use self::metrics::BusMetrics;
use self::{
    accounts::{Accounts, TooMuch},
    admission::{Admission, Presented},
    frames::Frames,
    overdue::{Report, report_overdue},
    revocation::{Checked, Checks},
    session::{Open, Session},
};
pub(crate) use self::{
    admission::AdmissionRules,
    certificates::Certificates,
    config::{BusListener, Config, Proof},
    node_scope::ScopeRules,
};
use crate::{
    catalog::Catalog,
    scrapers::{
        demand::{self, Demand, Wish},
        node_roles::NodeRoles,
    },
    store::Store,
};

/// The service: reads streams and feeds the store.
#[derive(Clone, Debug)]
pub struct Bus {
    /// Where samples go.
    pub store: Store,
    /// The nodes and pods that exist.
    pub catalog: Catalog,
    /// The clock that gives samples their age.
    pub clock: Clock,
    /// The name of this frontend, for publishers.
    pub frontend: Arc<str>,
    /// The metrics of the bus.
    pub metrics: BusMetrics,
    /// The roles that publishers report for nodes.
    pub node_roles: NodeRoles,
    /// Ends all streams.
    pub stop: CancellationToken,
    /// The shortest resolution that a publisher may claim.
    pub(crate) shortest_resolution: Duration,
    accounts: Accounts,
    /// Limits the log lines about refused nodes and names.
    refusals: Arc<LogLimiter>,
    overdue: watch::Sender<Report>,
    /// The nodes for which fresh samples are wanted.
    pub(crate) demand: Demand,
    wishes: watch::Sender<Wish>,
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
            node_roles: NodeRoles::default(),
            stop,
            shortest_resolution: SHORTEST_RESOLUTION,
            accounts: Accounts::default(),
            refusals: Arc::default(),
            overdue: watch::Sender::new(Report::from([])),
            demand: Demand::default(),
            wishes: watch::Sender::default(),
        }
    }

    /// The same, for publishers whose resolution may be shorter than flags allow.
    #[must_use]
    pub(crate) fn with_shortest_resolution(self, shortest_resolution: Duration) -> Self {
        Self {
            shortest_resolution,
            ..self
        }
    }

    /// Reports to publishers which nodes lack fresh samples, until the service stops.
    pub async fn report_overdue(self) -> anyhow::Result<()> {
        report_overdue(
            self.catalog,
            self.store,
            self.clock,
            self.metrics,
            self.overdue,
            self.stop,
        )
        .await;
        Ok(())
    }

    /// Reports to publishers for which nodes fresh samples are wanted, until the service stops.
    pub(crate) async fn tell_demand(self) -> anyhow::Result<()> {
        demand::tell(self.demand, self.wishes, self.stop).await;
        Ok(())
    }

    /// The service as routes, behind `admission`.
    fn into_router(self, admission: Admission, checks: Checks) -> Router {
        let service = Arc::new(BusService {
            bus: self,
            admission,
            checks,
        });
        Router::new()
            .route(&format!("/{SERVICE_NAME}/Publish"), post(publish))
            .fallback(async || Status::unimplemented("").into_http::<tonic::body::Body>())
            .with_state(service)
    }
}

/// The service of one listener.
#[derive(Debug)]
struct BusService {
    bus: Bus,
    admission: Admission,
    checks: Checks,
}

/// Begins a stream. A publisher that is not admitted is refused before any message is read.
async fn publish(
    State(service): State<Arc<BusService>>,
    request: Request,
) -> http::Response<tonic::body::Body> {
    let (mut head, body) = request.into_parts();
    match service.begin(&mut head, body).await {
        Err(refused) => refused.into_http(),
        Ok(session) => {
            let codec = ProstCodec::<PublishResponse, PublishRequest>::default();
            let mut grpc =
                Grpc::new(codec).apply_max_message_size_config(None, Some(MESSAGE_BYTES));
            // The session has the body.
            let request = Request::from_parts(head, Body::empty());
            grpc.streaming(Responses(Some(session)), request).await
        }
    }
}

impl BusService {
    async fn begin(&self, head: &mut http::request::Parts, body: Body) -> Result<Session, Status> {
        let peer = head.extensions.get::<Peer>().cloned();
        let presented = Presented::new(peer.clone(), &head.headers);
        // A publisher that has proven nothing waits for reviews, so its memory must be small.
        head.headers = needed(&head.headers);
        let from = presented.from();
        let mut admitted = self.admission.admit(presented).await?;
        let opened = self.bus.accounts.open(&admitted.account(), Instant::now());
        let account = opened.map_err(|full| {
            let reason = if matches!(full, TooMuch::Faults(_)) {
                "faults"
            } else {
                "streams"
            };
            self.bus.metrics.refused(reason);
            Status::resource_exhausted(full.to_string())
        })?;
        let frames = Frames::new(body, &account.room);
        let (reported, denied) = oneshot::channel();
        let over = CancellationToken::new();
        let check = Checked {
            denied: std::mem::replace(&mut admitted.denied, std::future::pending().boxed()),
            reported,
            over: over.clone(),
            peer: peer.clone(),
        };
        let checked = self.checks.try_send(check);
        checked.map_err(|_| Status::unavailable("too many streams begin at once"))?;
        let publisher = Open {
            from,
            account,
            trusted: peer.and_then(|peer| peer.trust()),
            denied,
            over: over.drop_guard(),
        };
        Ok(Session::new(self.bus.clone(), frames, publisher, admitted))
    }
}

/// The headers that tonic reads.
fn needed(headers: &HeaderMap) -> HeaderMap {
    let names = [
        "content-type",
        "grpc-encoding",
        "grpc-accept-encoding",
        "te",
    ];
    let needed = names.into_iter().filter_map(|name| {
        let value = HeaderValue::from_bytes(headers.get(name)?.as_bytes());
        Some((HeaderName::from_static(name), value.ok()?))
    });
    needed.collect()
}

/// The responses of one session, in the form that tonic wants.
struct Responses(Option<Session>);

impl tonic::server::StreamingService<PublishRequest> for Responses {
    type Response = PublishResponse;
    type ResponseStream = BoxStream<'static, Result<PublishResponse, Status>>;
    type Future = std::future::Ready<Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, _: tonic::Request<Streaming<PublishRequest>>) -> Self::Future {
        let responses = futures::stream::unfold(self.0.take(), async |session| {
            let mut session = session?;
            let response = session.next().await?;
            Some((response, Some(session)))
        });
        std::future::ready(Ok(Response::new(responses.boxed())))
    }
}
