//! Limits of requests: how many are in flight, how long they take, and how they end with the process
//! (docs/parity.md#flags-about-requests, docs/parity.md#stopping).

mod room;

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{
    HeaderValue, StatusCode, Version,
    header::{CONNECTION, RETRY_AFTER},
};
use tokio::time::{Instant, timeout_at};
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};
use tributary_runtime::serve::{ConnectionHandle, TrackedBody};

pub(crate) use self::room::tenant_of;
use self::room::{Room, Taken};
use crate::k8s::status::{Details, Status};

/// The values of the flags.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// `--max-requests-inflight`
    pub(crate) in_flight: Option<usize>,
    /// `--request-timeout`
    pub(crate) timeout: Option<Duration>,
    /// `--goaway-chance`
    pub(crate) goaway_chance: f64,
}

/// How long a peer may take to read an answer that refuses its request. These answers are short, strangers get them,
/// and they have no permit.
const REFUSED_WITHIN: Duration = Duration::from_secs(5);

/// The limits. Cheap to clone; clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Limits(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: Settings,
    room: Option<Arc<Room>>,
    /// The paths of probes and metrics. Without an answer the kubelet would end this process, and
    /// an operator could not see why. Only these exact paths: a caller can append anything to them.
    exempt: Vec<String>,
    /// When it is cancelled, new requests are refused.
    refusing: CancellationToken,
    in_flight: TaskTracker,
}

/// The permit of a request in flight. The response has it until the last byte of its body is sent.
#[derive(Clone, Debug)]
pub(crate) struct RequestPermit {
    taken: Option<Arc<Taken>>,
}

/// Marks a response that may last until this time, whatever `--request-timeout` is, and needs no permit. The handler
/// that sends it limits the number of such responses, and ends them with the process. At this time the response ends
/// even if the peer does not read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LongRunning(pub(crate) Instant);

/// The caller of a long-running request. Each caller has its own limit of them.
#[derive(Clone, Debug)]
pub(crate) struct Caller(pub(crate) Arc<str>);

/// There is no permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Busy;

/// The users whose answers may be dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// Only answers of the tenant that needs room.
    Own,
    /// Answers of every tenant.
    Anybody,
}

impl Limits {
    /// Limits for all requests except those to `exempt`, until `refusing` is cancelled.
    pub(crate) fn new(
        settings: Settings,
        exempt: Vec<String>,
        refusing: CancellationToken,
    ) -> Self {
        Self(Arc::new(Inner {
            settings,
            exempt,
            room: settings.in_flight.map(Room::new),
            refusing,
            in_flight: TaskTracker::new(),
        }))
    }

    /// A permit for a request of `user` to `path`. `privileged` callers always get one.
    ///
    /// # Errors
    ///
    /// All permits are taken, or the user has its share.
    pub(crate) fn enter(
        &self,
        path: &str,
        user: &str,
        privileged: bool,
    ) -> Result<RequestPermit, Busy> {
        if self.is_exempt(path) {
            return Ok(RequestPermit { taken: None });
        }
        self.take(user, privileged)
    }

    /// A permit for `user`, whatever is requested. `privileged` callers always get one.
    ///
    /// # Errors
    ///
    /// All permits are taken, or the user has its share.
    pub(crate) fn take(&self, user: &str, privileged: bool) -> Result<RequestPermit, Busy> {
        let taken = match &self.0.room {
            None => None,
            // They do not depend on a free permit, so no answer is dropped for them.
            Some(room) if privileged => room.take_free(user),
            Some(room) => Some(room.take(user)?),
        };
        Ok(RequestPermit {
            taken: taken.map(Arc::new),
        })
    }

    /// Drops an answer that is not read, to make room for one to `tenant`. Returns whether there was one.
    pub(crate) fn make_room(&self, tenant: &str, whose: Whose) -> bool {
        let room = self.0.room.as_ref();
        room.is_some_and(|room| room.make_room_for(tenant, whose))
    }

    /// Waits until all requests that began before `refusing` are answered.
    pub(crate) async fn drained(&self) {
        self.0.in_flight.close();
        self.0.in_flight.wait().await;
    }

    /// Counts a request to `path` as in flight until the result is dropped.
    ///
    /// # Errors
    ///
    /// The frontend refuses new requests.
    fn begin(&self, path: &str) -> Result<Option<TaskTrackerToken>, Busy> {
        if self.is_exempt(path) {
            Ok(None)
        } else if self.0.refusing.is_cancelled() {
            Err(Busy)
        } else {
            Ok(Some(self.0.in_flight.token()))
        }
    }

    fn is_exempt(&self, path: &str) -> bool {
        self.0.exempt.iter().any(|exempt| exempt == path)
    }

    /// Whether this request is randomly chosen to be the last on its connection.
    fn is_last(&self, version: Version) -> bool {
        let chance = self.0.settings.goaway_chance;
        if chance <= 0.0 || version != Version::HTTP_2 {
            return false;
        }
        let mut random = [0; 4];
        let drawn = aws_lc_rs::rand::fill(&mut random).is_ok();
        let whole = f64::from(u32::MAX) + 1.0;
        drawn && f64::from(u32::from_ne_bytes(random)) < chance * whole
    }
}

/// The outermost layer of the limits.
pub(crate) async fn enforce(
    State(limits): State<Limits>,
    mut request: Request,
    next: Next,
) -> Response {
    let Ok(in_flight) = limits.begin(request.uri().path()) else {
        let mut response = too_many(SHUTTING_DOWN, 5);
        close(&mut response);
        return response;
    };
    let version = request.version();
    let is_last = limits.is_last(version);
    let connection = request.extensions().get::<ConnectionHandle>().cloned();
    request.extensions_mut().insert(limits.clone());
    let deadline = limits
        .0
        .settings
        .timeout
        .map(|limit| Instant::now() + limit);
    let answered = match deadline {
        Some(deadline) => timeout_at(deadline, next.run(request)).await,
        None => Ok(next.run(request).await),
    };
    let mut response = answered.unwrap_or_else(|_| timed_out());
    let deadline = if response.status().is_success() {
        deadline
    } else {
        let soon = Instant::now() + REFUSED_WITHIN;
        Some(deadline.map_or(soon, |deadline| deadline.min(soon)))
    };
    if is_last {
        close(&mut response);
    }
    if let Some(connection) = connection {
        let mut permit = response.extensions_mut().remove::<RequestPermit>();
        let mut deadline = deadline;
        if let Some(LongRunning(until)) = response.extensions().get() {
            (permit, deadline) = (None, Some(*until));
        }
        response.extensions_mut().insert(Answered {
            limits,
            connection,
            version,
            deadline,
            permit,
            _in_flight: in_flight,
        });
    }
    response
}

/// What an answer keeps until it is sent.
#[derive(Clone)]
struct Answered {
    limits: Limits,
    connection: ConnectionHandle,
    version: Version,
    deadline: Option<Instant>,
    permit: Option<RequestPermit>,
    _in_flight: Option<TaskTrackerToken>,
}

/// The layer outside of all layers that change the body. So an answer keeps its permit until the last byte is really
/// sent.
pub(crate) async fn hold(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let Some(answered) = response.extensions_mut().remove::<Answered>() else {
        return response;
    };
    response.map(|body| {
        let (version, deadline) = (answered.version, answered.deadline);
        // An answer without a permit cannot make room.
        let taken = answered
            .permit
            .as_ref()
            .and_then(|permit| permit.taken.clone());
        let room = answered.limits.0.room.clone();
        let connection = answered.connection.clone();
        let TrackedBody { body, sending } = connection.track(version, body, deadline, answered);
        if let (Some(room), Some(taken)) = (room, taken) {
            room.sends(sending, &taken);
        }
        body
    })
}

const SHUTTING_DOWN: &str = "The apiserver is shutting down, please try again later.";
const TOO_MANY: &str = "Too many requests, please try again later.";

/// 429 with `Retry-After: 1`.
impl IntoResponse for Busy {
    fn into_response(self) -> Response {
        too_many(TOO_MANY, 1)
    }
}

/// The text is that of k8s.io/apiserver, which sends it as plain text. Here it is a Status.
fn too_many(message: &str, seconds: u32) -> Response {
    let status = Status {
        message: message.to_owned(),
        reason: "TooManyRequests",
        details: Some(Details {
            retry_after: seconds,
            ..Details::default()
        }),
        code: StatusCode::TOO_MANY_REQUESTS,
    };
    let mut response = status.into_response();
    let headers = response.headers_mut();
    headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

fn timed_out() -> Response {
    let status = Status {
        message: "Timeout: request did not complete within the allotted timeout".to_owned(),
        reason: "Timeout",
        details: Some(Details::default()),
        code: StatusCode::GATEWAY_TIMEOUT,
    };
    status.into_response()
}

fn close(response: &mut Response) {
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(CONNECTION, close);
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, middleware::from_fn_with_state, routing::get};
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    const SETTINGS: Settings = Settings {
        in_flight: Some(1),
        timeout: Some(Duration::from_mins(1)),
        goaway_chance: 0.0,
    };

    fn limits(settings: Settings) -> (Limits, CancellationToken) {
        let refusing = CancellationToken::new();
        let exempt = [
            "/livez",
            "/livez/ping",
            "/readyz/ping",
            "/healthz",
            "/metrics",
        ];
        let exempt = exempt.map(str::to_owned).to_vec();
        let limits = Limits::new(settings, exempt, refusing.clone());
        (limits, refusing)
    }

    async fn ask(limits: &Limits, path: &str) -> (u16, String, Response<()>) {
        let router = Router::new()
            .route("/livez", get(async || "ok"))
            .route("/slow", get(std::future::pending::<()>))
            .route("/quick", get(async || "ok"))
            .layer(from_fn_with_state(limits.clone(), enforce));
        let mut request = http::Request::get(path).body(Body::empty()).unwrap();
        *request.version_mut() = Version::HTTP_2;
        let (head, body) = router.oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        (head.status.as_u16(), body, Response::from_parts(head, ()))
    }

    #[test]
    fn a_place_is_given_back_and_some_need_none() {
        let (limits, _) = limits(SETTINGS);
        let first = limits.enter("/apis", "jane", false).unwrap();
        assert_eq!(limits.enter("/apis", "jane", false).unwrap_err(), Busy);
        for path in ["/livez", "/readyz/ping", "/healthz", "/metrics"] {
            assert!(limits.enter(path, "jane", false).is_ok(), "{path}");
        }
        for path in [
            "/livezz",
            "/livez/",
            "/livez/x",
            "/metrics/x",
            "/metrics/",
            "//metrics",
        ] {
            assert!(limits.enter(path, "jane", false).is_err(), "{path}");
        }
        assert!(limits.enter("/apis", "jane", true).is_ok());
        drop(first);
        assert!(limits.enter("/apis", "jane", false).is_ok());
    }

    #[test]
    fn a_tenant_has_a_quarter_of_the_places() {
        let (limits, _) = limits(Settings {
            in_flight: Some(8),
            ..SETTINGS
        });
        let enter = |user| limits.enter("/apis", user, false);
        let jane = [enter("jane").unwrap(), enter("jane").unwrap()];
        assert_eq!(enter("jane").unwrap_err(), Busy);
        // A refused request takes no permit from other users.
        let others = ["a", "b", "c"].map(|user| [enter(user).unwrap(), enter(user).unwrap()]);
        assert_eq!(enter("d").unwrap_err(), Busy);
        drop(jane);
        enter("jane").unwrap();
        drop(others);
        // All ServiceAccounts of a namespace count as one tenant.
        let [first, second, third] =
            ["a", "b", "c"].map(|name| format!("system:serviceaccount:shop:{name}"));
        let kept = [enter(&first).unwrap(), enter(&second).unwrap()];
        assert_eq!(enter(&third).unwrap_err(), Busy);
        enter("system:serviceaccount:other:a").unwrap();
        drop(kept);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_takes_too_long_is_answered_so() {
        let (limits, _) = limits(SETTINGS);
        let start = Instant::now();
        let (status, body, _) = ask(&limits, "/slow").await;
        assert_eq!((status, start.elapsed()), (504, Duration::from_mins(1)));
        assert_eq!(
            body,
            concat!(
                r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","#,
                r#""message":"Timeout: request did not complete within the allotted timeout","#,
                r#""reason":"Timeout","details":{},"code":504}"#,
                "\n"
            )
        );
    }

    #[tokio::test]
    async fn at_the_end_new_requests_are_sent_away() {
        let (limits, refusing) = limits(SETTINGS);
        assert_eq!(ask(&limits, "/quick").await.0, 200);
        refusing.cancel();
        let (status, body, response) = ask(&limits, "/quick").await;
        assert_eq!(status, 429);
        assert_eq!(response.headers()[RETRY_AFTER], "5");
        assert_eq!(response.headers()[CONNECTION], "close");
        assert_eq!(
            body,
            concat!(
                r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","#,
                r#""message":"The apiserver is shutting down, please try again later.","#,
                r#""reason":"TooManyRequests","details":{"retryAfterSeconds":5},"code":429}"#,
                "\n"
            )
        );
        assert_eq!(ask(&limits, "/livez").await.0, 200);
        limits.drained().await;
    }

    #[tokio::test]
    async fn some_requests_are_the_last_of_their_connection() {
        let always = Settings {
            goaway_chance: 1.0,
            ..SETTINGS
        };
        for (settings, wanted) in [(always, true), (SETTINGS, false)] {
            let (limits, _) = limits(settings);
            let (_, _, response) = ask(&limits, "/quick").await;
            assert_eq!(response.headers().contains_key(CONNECTION), wanted);
        }
    }
}
