//! Something that is read again and again while it is wanted.
//!
//! A request never waits for the Kubernetes API: it gets what was read last, how old that is, and why there is nothing
//! newer. A request that has seen that already waits for the next one, for a limited time.

use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until, timeout},
};

/// How long a request waits for something newer.
const PATIENCE: Duration = Duration::from_secs(8);

/// A read may take this part of the time: one of five.
const SHARE: u32 = 5;

/// How often something is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace(Duration);

impl Pace {
    /// At most once in `interval`.
    pub(super) fn of(interval: Duration) -> Self {
        Self(interval)
    }

    /// The time from the beginning of a read that took this long to the next one.
    fn after(self, took: Duration) -> Duration {
        self.0.max(took.saturating_mul(SHARE))
    }
}

/// What was read last.
#[derive(Clone, Debug, Default)]
struct Latest {
    /// Counts reads, also those that failed.
    number: u64,
    /// A JSON document, and when it was there.
    read: Option<(Box<RawValue>, Instant)>,
    /// Why the last read failed.
    failure: Option<String>,
}

/// What a page gets.
#[derive(Serialize)]
struct Answer<'a> {
    number: u64,
    /// Seconds since it was read.
    age: Option<f64>,
    failure: Option<&'a str>,
    read: Option<&'a RawValue>,
}

/// The side of those who want it.
#[derive(Clone, Debug)]
pub(super) struct Source {
    wanted: mpsc::Sender<()>,
    latest: watch::Receiver<Latest>,
}

/// A source, and the task that reads for it. The task ends when the source is dropped.
pub(super) fn new<R>(
    pace: Pace,
    read: impl Fn() -> R + Send + 'static,
) -> (Source, impl Future<Output = ()> + Send)
where
    R: Future<Output = Result<String, String>> + Send,
{
    // One wish is as good as many.
    let (wanted, mut wishes) = mpsc::channel(1);
    let (publish, latest) = watch::channel(Latest::default());
    let reader = async move {
        while wishes.recv().await.is_some() {
            let begin = Instant::now();
            let document = read().await.and_then(|text| {
                RawValue::from_string(text).map_err(|error| format!("not JSON: {error}"))
            });
            let end = Instant::now();
            let is_read = document.is_ok();
            publish.send_modify(|latest| {
                latest.number += 1;
                match document {
                    Ok(document) => {
                        latest.read = Some((document, end));
                        latest.failure = None;
                    }
                    Err(failure) => latest.failure = Some(failure),
                }
            });
            // A read that failed costs the API nothing more, and pages wait for it to answer again.
            let next = if is_read {
                begin + pace.after(end - begin)
            } else {
                end + pace.0
            };
            sleep_until(next).await;
        }
    };
    (Source { wanted, latest }, reader)
}

impl Source {
    /// What was read after the read `number`, as soon as it is there. If that takes too long: what was read last.
    pub(super) async fn after(&self, number: u64) -> String {
        // It is full if a wish is there already.
        self.wanted.try_send(()).ok();
        let mut latest = self.latest.clone();
        let newer = latest.wait_for(|latest| latest.number > number);
        // In the end there is an answer, newer or not.
        drop(timeout(PATIENCE, newer).await);
        let latest = self.latest.borrow().clone();
        let read = latest.read.as_ref();
        let answer = Answer {
            number: latest.number,
            age: read.map(|(_, at)| at.elapsed().as_secs_f64()),
            failure: latest.failure.as_deref(),
            read: read.map(|(document, _)| &**document),
        };
        serde_json::to_string(&answer).unwrap_or_default()
    }
}
