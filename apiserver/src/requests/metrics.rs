//! Metrics of requests to the API: the families of k8s.io/apiserver `endpoints/metrics/metrics.go`, with their names,
//! labels and buckets, because dashboards and service level rules use them (docs/parity.md#metrics).
//!
//! Unlike upstream, refused requests are counted, too. No value that a client can choose freely becomes a label:
//! unknown paths, groups and methods share one label value.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use bytes::Bytes;
use http::{Method, StatusCode, Uri};
use http_body::{Frame, SizeHint};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use tokio::time::Instant;
use tracing::{Instrument as _, Span, debug, debug_span, field};

use crate::k8s::resource::{Resource, Resources, Version};

/// Counters of requests. Cheap to clone; clones share their counters.
#[derive(Clone, Debug)]
pub(crate) struct RequestMetrics(Arc<Families>);

#[derive(Debug)]
struct Families {
    resources: Resources,
    total: Family<Counted, Counter>,
    seconds: Family<Timed, Histogram>,
    sli_seconds: Family<Target, Histogram>,
    sizes: Family<Target, Histogram>,
    reading: Gauge,
    writing: Gauge,
    terminated: Family<Terminated, Counter>,
}

/// The target of a request, as upstream's labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Target {
    component: &'static str,
    group: &'static str,
    resource: &'static str,
    scope: &'static str,
    subresource: &'static str,
    verb: &'static str,
    version: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Counted {
    code: u16,
    dry_run: &'static str,
    #[prometheus(flatten)]
    target: Target,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Timed {
    dry_run: &'static str,
    #[prometheus(flatten)]
    target: Target,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Terminated {
    code: u16,
    #[prometheus(flatten)]
    target: Target,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    request_kind: &'static str,
}

fn seconds() -> Histogram {
    Histogram::new([
        0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0,
        10.0, 15.0, 20.0, 30.0, 45.0, 60.0,
    ])
}

fn sli_seconds() -> Histogram {
    Histogram::new([
        0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0,
        20.0, 30.0, 45.0, 60.0,
    ])
}

/// From 1 kB to 1 GB.
fn sizes() -> Histogram {
    Histogram::new([1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9])
}

impl RequestMetrics {
    /// Registers the counters. Names and help texts exist only here. Requests for `resources` have their own labels.
    pub(crate) fn register(registry: &mut Registry, resources: Resources) -> Self {
        let in_flight = Family::<Kind, Gauge>::default();
        let of = |request_kind| in_flight.get_or_create_owned(&Kind { request_kind });
        let new = Families {
            resources,
            reading: of("readOnly"),
            writing: of("mutating"),
            total: Family::default(),
            seconds: Family::new_with_constructor(seconds),
            sli_seconds: Family::new_with_constructor(sli_seconds),
            sizes: Family::new_with_constructor(sizes),
            terminated: Family::default(),
        };
        let api = registry.sub_registry_with_prefix("apiserver");
        api.register(
            "request",
            "Requests, by what they are for and the status of the answer",
            new.total.clone(),
        );
        api.register(
            "request_duration_seconds",
            "How long requests took, to the last byte of the answer",
            new.seconds.clone(),
        );
        api.register(
            "request_sli_duration_seconds",
            "How long requests took, for service level indicators",
            new.sli_seconds.clone(),
        );
        api.register(
            "response_sizes",
            "Bytes of the answers to requests that read, as they were sent",
            new.sizes.clone(),
        );
        api.register(
            "current_inflight_requests",
            "Requests in flight",
            in_flight.clone(),
        );
        api.register(
            "request_terminations",
            "Requests that were ended in self-defence: too many, or too slow",
            new.terminated.clone(),
        );
        new.start_at_zero();
        Self(Arc::new(new))
    }

    fn begin(&self, target: Target) -> InFlight {
        let gauge = match target.verb {
            "GET" | "LIST" | "WATCH" => &self.0.reading,
            _ => &self.0.writing,
        };
        gauge.inc();
        InFlight {
            gauge: gauge.clone(),
            metrics: self.clone(),
            target,
            start: Instant::now(),
            code: None,
            sent: 0,
            span: Span::none(),
        }
    }
}

impl Families {
    /// Creates each series at 0, because a rule must not wait for the first event.
    fn start_at_zero(&self) {
        for (version, resource) in self.resources.iter() {
            let target = Target {
                scope: "cluster",
                verb: "LIST",
                ..Target::named(version, resource)
            };
            for code in [429, 504] {
                drop(self.terminated.get_or_create(&Terminated { code, target }));
            }
        }
    }

    fn ended(&self, target: Target, code: StatusCode, took: f64, sent: u64) {
        let (dry_run, code) = ("", code.as_u16());
        let counted = Counted {
            code,
            dry_run,
            target,
        };
        self.total.get_or_create(&counted).inc();
        let timed = Timed { dry_run, target };
        self.seconds.get_or_create(&timed).observe(took);
        // The duration of a watch says nothing about the speed of answers.
        if target.verb != "WATCH" {
            self.sli_seconds.get_or_create(&target).observe(took);
        }
        if matches!(target.verb, "GET" | "LIST") {
            // The maximum is 4 GB, which is four times the last limit.
            let sent = f64::from(u32::try_from(sent).unwrap_or(u32::MAX));
            self.sizes.get_or_create(&target).observe(sent);
        }
        if matches!(code, 429 | 504) {
            let terminated = Terminated { code, target };
            self.terminated.get_or_create(&terminated).inc();
        }
    }
}

/// Counts a request and its answer, to the last byte, and gives it the span `request`. The
/// outermost layer. Those below record the `user` and the `reason` of a refusal.
pub(crate) async fn measure(
    State(metrics): State<RequestMetrics>,
    request: Request,
    next: Next,
) -> Response {
    let target = Target::of(request.method(), request.uri(), &metrics.0.resources);
    let mut in_flight = metrics.begin(target);
    let span = debug_span!(
        "request",
        method = request.method().as_str(),
        path = request.uri().path(),
        user = field::Empty,
        reason = field::Empty,
    );
    in_flight.span = span.clone();
    let response = next.run(request).instrument(span).await;
    in_flight.code = Some(response.status());
    response.map(|body| Body::new(Measured { body, in_flight }))
}

/// A request. It is counted when this is dropped, if it got an answer.
#[derive(Debug)]
struct InFlight {
    metrics: RequestMetrics,
    target: Target,
    start: Instant,
    gauge: Gauge,
    code: Option<StatusCode>,
    sent: u64,
    span: Span,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.gauge.dec();
        let took = self.start.elapsed();
        let code = self.code;
        let (code_field, took_ms) = (code.map(|code| code.as_u16()), took.as_millis());
        debug!(parent: &self.span, code = code_field, took_ms, sent = self.sent, "request ended");
        if let Some(code) = code {
            let took = took.as_secs_f64();
            self.metrics.0.ended(self.target, code, took, self.sent);
        }
    }
}

/// A body that counts its sent bytes.
#[derive(Debug)]
struct Measured {
    body: Body,
    in_flight: InFlight,
}

impl http_body::Body for Measured {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let sent = frame.data_ref().map_or(0, Bytes::len);
            let sent = u64::try_from(sent).unwrap_or(u64::MAX);
            self.in_flight.sent = self.in_flight.sent.saturating_add(sent);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Paths without a resource that have their own label value.
const PATHS: [&str; 9] = [
    "/healthz",
    "/livez",
    "/readyz",
    "/metrics",
    "/version",
    "/openapi/v2",
    "/openapi/v3",
    "/debug/nodes",
    "/apis",
];

impl Target {
    const NOTHING: Self = Self {
        component: "apiserver",
        group: "",
        resource: "",
        scope: "",
        subresource: "",
        verb: "",
        version: "",
    };

    fn of(method: &Method, uri: &Uri, resources: &Resources) -> Self {
        let path = uri.path().trim_end_matches('/');
        let below = path.strip_prefix("/apis/");
        let resource = below.and_then(|path| Self::resource(path, resources));
        let Some(target) = resource else {
            let is_below = |known: &&&str| {
                let rest = path.strip_prefix(**known);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            return Self {
                subresource: PATHS.iter().find(is_below).copied().unwrap_or_default(),
                verb: verb(method),
                ..Self::NOTHING
            };
        };
        let verb = match verb(method) {
            "GET" if target.scope == "resource" => "GET",
            "GET" if is_watch(uri) => "WATCH",
            "GET" => "LIST",
            other => other,
        };
        Self { verb, ..target }
    }

    /// `path` below `/apis/`, if it is one of `resources`. The verb is not set.
    fn resource(path: &str, resources: &Resources) -> Option<Self> {
        let mut segments = path.split('/');
        let (group, version) = (segments.next()?, segments.next()?);
        let rest: Vec<&str> = segments.take(5).collect();
        let (name, namespaced, scope) = match rest.as_slice() {
            [name] => (name, None, "cluster"),
            [name, _] => (name, Some(false), "resource"),
            ["namespaces", "", name] => (name, Some(true), "cluster"),
            ["namespaces", _, name] => (name, Some(true), "namespace"),
            ["namespaces", _, name, _] => (name, Some(true), "resource"),
            _ => return None,
        };
        let (version, resource) = resources.find_in(group, version, name)?;
        if namespaced.is_some_and(|namespaced| namespaced != resource.namespaced) {
            return None;
        }
        Some(Self {
            scope,
            ..Self::named(version, resource)
        })
    }

    fn named(version: Version, resource: &'static Resource) -> Self {
        Self {
            group: resource.group,
            version: version.name,
            resource: resource.plural,
            ..Self::NOTHING
        }
    }
}

/// The method, if it is one that upstream has in labels.
fn verb(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "CONNECT" => "CONNECT",
        _ => "other",
    }
}

/// Reads the flag like apimachinery: it is set unless it is missing, `0` or `false`.
fn is_watch(uri: &Uri) -> bool {
    let mut pairs = uri.query().unwrap_or_default().split('&');
    pairs.any(|pair| match pair.split_once('=').unwrap_or((pair, "")) {
        ("watch", value) => value != "0" && !value.eq_ignore_ascii_case("false"),
        _ => false,
    })
}

#[cfg(test)]
mod tests;
