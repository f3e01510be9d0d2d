//! When each watch last received something from the Kubernetes API.
//!
//! A watch reports only changes to its owner: a quiet watch and a dead one look the same. So the
//! client below it records everything that it receives: the head of a response, a page of a list,
//! an event, a bookmark, the regular end of a watch.

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use parking_lot::Mutex;

use ::kube::{Client, client::Body};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body::Frame;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::{Registry, Unit},
};
use tokio::time::Instant;
use tower::{BoxError, service_fn};

use super::limits::Limits;

/// The watches of a process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Watches {
    observed: Arc<Mutex<Vec<(&'static str, Activity)>>>,
    limits: Limits,
}

impl Watches {
    /// None yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            observed: Arc::default(),
            limits,
        }
    }

    /// The limits of their clients.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// A client for the watch of this name. Everything that it receives is recorded, except the
    /// responses to writes. The watch counts from its first request on: flags may make it unnecessary.
    #[must_use]
    pub fn observe(&self, watch: &'static str, client: &Client) -> Client {
        let activity = Activity::new();
        let (observed, begun) = (Arc::clone(&self.observed), OnceLock::new());
        let begun = Arc::new(begun);
        let (through, namespace) = (client.clone(), client.default_namespace().to_owned());
        let send = move |request: Request<Body>| {
            let (through, activity) = (through.clone(), activity.clone());
            begun.get_or_init(|| observed.lock().push((watch, activity.clone())));
            async move { activity.send(&through, request).await }
        };
        Client::new(service_fn(send), namespace)
    }

    /// Whether all watches have received something recently. If not: which one has not, and for how
    /// long.
    ///
    /// # Errors
    ///
    /// The message for a probe.
    pub fn check(&self) -> Result<(), String> {
        let silent = self.seen().into_iter();
        let silent = silent.filter(|seen| seen.silence >= self.limits.unready);
        match silent.max_by_key(|seen| seen.silence) {
            None => Ok(()),
            Some(Seen { watch, silence, .. }) => Err(format!(
                "the watch of {watch} has heard nothing from the Kubernetes API for {}s",
                silence.as_secs()
            )),
        }
    }

    /// Registers `tributary_watch_silence_seconds`, `tributary_watch_failures_total` and
    /// `tributary_watch_objects_unreadable_total`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(self.clone()));
    }

    /// One entry per name. Several watches of one name count as one, with the longest silence and
    /// the sum of the counters.
    fn seen(&self) -> Vec<Seen> {
        let observed = self.observed.lock();
        let mut all: Vec<Seen> = Vec::new();
        for (watch, activity) in observed.iter() {
            let (silence, failures) = (activity.silence(), activity.failures());
            let left_out = activity.0.left_out.load(Ordering::Relaxed);
            match all.iter_mut().find(|seen| seen.watch == *watch) {
                Some(seen) => {
                    seen.silence = seen.silence.max(silence);
                    seen.failures += failures;
                    seen.left_out += left_out;
                }
                None => all.push(Seen {
                    watch,
                    silence,
                    failures,
                    left_out,
                }),
            }
        }
        all
    }
}

/// The state of the watches of one name.
#[derive(Debug)]
struct Seen {
    watch: &'static str,
    silence: Duration,
    failures: u64,
    left_out: u64,
}

impl Collector for Watches {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let all = self.seen();
        if all.is_empty() {
            return Ok(());
        }
        let mut silence = encoder.encode_descriptor(
            "tributary_watch_silence",
            "How long a watch has heard nothing from the Kubernetes API",
            Some(&Unit::Seconds),
            MetricType::Gauge,
        )?;
        for seen in &all {
            let labels = [("watch", seen.watch)];
            let series = silence.encode_family(&labels)?;
            ConstGauge::new(seen.silence.as_secs_f64()).encode(series)?;
        }
        let mut failures = encoder.encode_descriptor(
            "tributary_watch_failures",
            "Lists and watches that failed or were given up",
            None,
            MetricType::Counter,
        )?;
        for seen in &all {
            let labels = [("watch", seen.watch)];
            let series = failures.encode_family(&labels)?;
            ConstCounter::new(seen.failures).encode(series)?;
        }
        let mut left_out = encoder.encode_descriptor(
            "tributary_watch_objects_unreadable",
            "Objects in lists and watches that could not be read and were left out",
            None,
            MetricType::Counter,
        )?;
        for seen in &all {
            let labels = [("watch", seen.watch)];
            let series = left_out.encode_family(&labels)?;
            ConstCounter::new(seen.left_out).encode(series)?;
        }
        Ok(())
    }
}

/// What one watch has received.
#[derive(Clone, Debug)]
pub(super) struct Activity(Arc<Notes>);

#[derive(Debug)]
struct Notes {
    start: Instant,
    /// When it last received something, in milliseconds since `start`.
    heard: AtomicU64,
    failures: AtomicU64,
    /// Objects that could not be decoded.
    left_out: AtomicU64,
}

impl Activity {
    /// The silence begins now.
    fn new() -> Self {
        Self(Arc::new(Notes {
            start: Instant::now(),
            heard: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            left_out: AtomicU64::new(0),
        }))
    }

    fn heard(&self) {
        let now = u64::try_from(self.0.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.heard.store(now, Ordering::Relaxed);
    }

    fn silence(&self) -> Duration {
        let heard = Duration::from_millis(self.0.heard.load(Ordering::Relaxed));
        self.0.start.elapsed().saturating_sub(heard)
    }

    /// Counts a failed request.
    pub(super) fn failed(&self) {
        self.0.failures.fetch_add(1, Ordering::Relaxed);
    }

    fn failures(&self) -> u64 {
        self.0.failures.load(Ordering::Relaxed)
    }

    /// Counts objects that could not be decoded.
    pub(super) fn left_out(&self, count: u64) {
        self.0.left_out.fetch_add(count, Ordering::Relaxed);
    }

    async fn send(
        self,
        client: &Client,
        request: Request<Body>,
    ) -> Result<Response<Observed>, ::kube::Error> {
        let is_read = request.method() == Method::GET;
        let answer = client.send(request).await;
        let activity = is_read.then_some(self);
        if let Some(activity) = &activity {
            match answer.as_ref().map(Response::status) {
                // An API that denies a request is not silent. 401 is different: only other
                // credentials end it.
                Ok(status) if status != StatusCode::UNAUTHORIZED => activity.heard(),
                Ok(_) | Err(_) => {}
            }
            if !answer
                .as_ref()
                .is_ok_and(|answer| answer.status().is_success())
            {
                activity.failed();
            }
        }
        let mut answer = answer?;
        if let Some(activity) = &activity {
            // The reader may find that it cannot be decoded.
            answer.extensions_mut().insert(activity.clone());
        }
        Ok(answer.map(|body| Observed { body, activity }))
    }
}

/// A body that records each frame.
#[derive(Debug)]
struct Observed {
    body: Body,
    activity: Option<Activity>,
}

impl http_body::Body for Observed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(activity) = &self.activity {
            match &frame {
                Some(Err(_)) => activity.failed(),
                Some(Ok(_)) | None => activity.heard(),
            }
        }
        Poll::Ready(frame.map(|frame| frame.map_err(BoxError::from)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures::channel::mpsc;
    use http_body_util::{BodyExt as _, StreamBody};
    use prometheus_client::encoding::text;
    use tokio::time::advance;

    use super::*;

    const LIMITS: Limits = Limits {
        connect: Duration::from_secs(5),
        request: Duration::from_secs(15),
        silence: Duration::from_secs(63),
        unready: Duration::from_mins(5),
    };

    fn watch() -> Request<Body> {
        Request::get("/api/v1/nodes?watch=true")
            .body(Body::empty())
            .unwrap()
    }

    /// A client that gets this status for every request.
    fn answering(status: u16) -> Client {
        let answer = move |_: Request<Body>| async move {
            Response::builder()
                .status(status)
                .body(Body::empty())
                .map_err(BoxError::from)
        };
        Client::new(service_fn(answer), "default")
    }

    fn rendered(watches: &Watches) -> String {
        let mut registry = Registry::default();
        watches.register(&mut registry);
        let mut text = String::new();
        text::encode(&mut text, &registry).unwrap();
        text
    }

    #[tokio::test(start_paused = true)]
    async fn every_frame_is_a_sign_of_life_and_nothing_else_is() {
        let watches = Watches::new(LIMITS);
        let (events, body) = mpsc::unbounded::<Result<Frame<Bytes>, BoxError>>();
        let body = Mutex::new(Some(StreamBody::new(body)));
        let client = Client::new(
            service_fn(move |_: Request<Body>| {
                let body = body.lock().take().unwrap();
                async move { Ok::<_, BoxError>(Response::new(body)) }
            }),
            "default",
        );
        let client = watches.observe("nodes", &client);
        // One that is never begun is not silent.
        advance(Duration::from_mins(10)).await;
        assert!(!rendered(&watches).contains("nodes"));
        assert_eq!(watches.check(), Ok(()));
        let mut body = client.send(watch()).await.unwrap().into_body();
        assert!(rendered(&watches).contains("silence_seconds{watch=\"nodes\"} 0.0\n"));
        advance(Duration::from_secs(299)).await;
        assert_eq!(watches.check(), Ok(()));
        advance(Duration::from_secs(1)).await;
        assert_eq!(
            watches.check(),
            Err("the watch of nodes has heard nothing from the Kubernetes API for 300s".to_owned())
        );
        // A bookmark, for example.
        let bookmark = Frame::data(Bytes::from_static(b"{}\n"));
        events.unbounded_send(Ok(bookmark)).unwrap();
        body.frame().await.unwrap().unwrap();
        assert_eq!(watches.check(), Ok(()));
        assert!(rendered(&watches).contains("failures_total{watch=\"nodes\"} 0\n"));
        events.unbounded_send(Err("silent".into())).unwrap();
        assert!(body.frame().await.unwrap().is_err());
        assert!(rendered(&watches).contains("failures_total{watch=\"nodes\"} 1\n"));
    }

    #[tokio::test(start_paused = true)]
    async fn an_api_that_refuses_is_not_silent_unless_it_does_not_know_us() {
        for (status, silence) in [(200, 0), (403, 0), (429, 0), (503, 0), (401, 300)] {
            let watches = Watches::new(LIMITS);
            let client = watches.observe("pods", &answering(status));
            advance(Duration::from_mins(5)).await;
            client.send(watch()).await.unwrap();
            let rendered = rendered(&watches);
            let line = format!("silence_seconds{{watch=\"pods\"}} {silence}.0\n");
            assert!(rendered.contains(&line), "{status}: {rendered}");
            let failures = u64::from(status != 200);
            let line = format!("failures_total{{watch=\"pods\"}} {failures}\n");
            assert!(rendered.contains(&line), "{status}: {rendered}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn of_two_watches_of_one_name_the_silent_one_counts() {
        let watches = Watches::new(LIMITS);
        let silent = watches.observe("endpointslices", &answering(200));
        let heard = watches.observe("endpointslices", &answering(200));
        silent.send(watch()).await.unwrap();
        advance(Duration::from_mins(5)).await;
        heard.send(watch()).await.unwrap();
        assert!(watches.check().is_err());
        // Writes are not recorded.
        let written = watches.observe("leases", &answering(200));
        advance(Duration::from_secs(40)).await;
        let write = Request::patch("/x").body(Body::empty()).unwrap();
        written.send(write).await.unwrap();
        assert!(rendered(&watches).contains("silence_seconds{watch=\"leases\"} 40.0\n"));
    }
}
