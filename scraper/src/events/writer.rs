//! Writes Events. The same Event about the same node within an hour becomes a series: one object with a count.

use std::{collections::HashMap, fmt, time::Duration};

use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1::Event},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
    jiff,
};
use kube::{
    Client, Error, Resource as _,
    api::{Patch, PatchParams, PostParams, Request},
};
use serde_json::json;
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use tributary_model::NodeName;
use tributary_runtime::clock::Clock;

use super::{EventMetrics, NodeEvent, What};

/// Events about objects without a namespace are in this one.
const NAMESPACE: &str = "default";

/// What reports, as a qualified name.
const CONTROLLER: &str = "tributary.dev/scraper";

/// How long the API may take to write an Event.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);

/// The attempts to write an Event, and the wait between them.
const ATTEMPTS: usize = 5;
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// How long an Event can be continued: kube-apiserver deletes it an hour after it was written.
const SERIES: jiff::SignedDuration = jiff::SignedDuration::from_mins(55);

/// The longest part of the name of a node in the name of an Event, and of a scraper in it. Kubernetes allows 253 and 128
/// bytes.
const MOST_OF_NODE: usize = 200;
const MOST_OF_INSTANCE: usize = 128;

/// The task that writes Events.
pub(crate) struct Writer {
    client: Client,
    /// The name of this scraper.
    source: String,
    clock: Clock,
    metrics: EventMetrics,
    written: HashMap<(NodeName, &'static str), Written>,
    healthy: bool,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Writer").field(&self.source).finish()
    }
}

/// An Event that was written.
#[derive(Clone, Debug)]
struct Written {
    name: String,
    uid: String,
    count: i32,
    at: jiff::Timestamp,
}

impl What {
    /// The reason of the Event, which `kubectl get events --field-selector reason=...` takes.
    fn reason(self) -> &'static str {
        match self {
            Self::Lost { .. } => "NodeNotScraped",
            Self::Back => "NodeScraped",
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Lost { .. } => "Warning",
            Self::Back => "Normal",
        }
    }

    /// The text. It has no message of the kubelet and no address: who may read Events of this namespace may be a tenant.
    fn note(self) -> String {
        match self {
            Self::Lost {
                for_seconds,
                reason,
            } => {
                let lost = match (for_seconds / 60, for_seconds % 60) {
                    (0, seconds) => format!("{seconds}s"),
                    (minutes, 0) => format!("{minutes}m"),
                    (minutes, seconds) => format!("{minutes}m{seconds}s"),
                };
                format!(
                    "no scraper could scrape the kubelet for {lost} ({reason}), so the node and its pods have no \
                     metrics; see kubectl get nodescrapes -o wide"
                )
            }
            Self::Back => "the kubelet is scraped again".to_owned(),
        }
    }
}

/// Writes the Events that come until `stop`.
pub(crate) async fn write(
    mut writer: Writer,
    mut events: mpsc::Receiver<NodeEvent>,
    stop: CancellationToken,
) {
    let each = async {
        while let Some(event) = events.recv().await {
            writer.write(&event).await;
        }
    };
    stop.run_until_cancelled(each).await;
    // The loop of scrapes ends when it sees `stop`, too. Until then it may hand over Events, which are lost.
    stop.cancelled().await;
}

impl Writer {
    /// A writer for the scraper `source`.
    pub(crate) fn new(client: Client, source: &str, clock: Clock, metrics: EventMetrics) -> Self {
        Self {
            client,
            source: source.to_owned(),
            clock,
            metrics,
            written: HashMap::new(),
            healthy: true,
        }
    }

    async fn write(&mut self, event: &NodeEvent) {
        // All attempts write the same object, because the answer to one of them may be lost.
        let begin = self.clock.now();
        for attempt in 1..=ATTEMPTS {
            match self.attempt(event, begin).await {
                Ok(()) => {
                    self.metrics.count("written");
                    if !std::mem::replace(&mut self.healthy, true) {
                        info!("Events are written again");
                    }
                    return;
                }
                Err(error) => {
                    self.metrics.count("failed");
                    let (node, reason) = (&event.node, event.what.reason());
                    if std::mem::replace(&mut self.healthy, false) {
                        warn!(%node, reason, error = error.text, "failed to write an Event; scraping continues");
                    } else {
                        debug!(%node, reason, error = error.text, "failed to write an Event");
                    }
                    if error.is_final {
                        return;
                    }
                }
            }
            if attempt < ATTEMPTS {
                sleep(RETRY_AFTER).await;
            }
        }
    }

    async fn attempt(&mut self, event: &NodeEvent, now: jiff::Timestamp) -> Result<(), Failed> {
        self.written
            .retain(|_, written| now.duration_since(written.at) < SERIES);
        let key = (event.node.clone(), event.what.reason());
        let events = Event::url_path(&(), Some(NAMESPACE));
        let before = self.written.get(&key).filter(|it| *it.uid == *event.uid);
        if let Some(mut written) = before.cloned() {
            written.count = written.count.saturating_add(1);
            written.at = now;
            let series = json!({ "series": {
                "count": written.count,
                "lastObservedTime": MicroTime(now),
            } });
            let patch = Request::new(&events).patch(
                &written.name,
                &PatchParams::default(),
                &Patch::Merge(&series),
            );
            match self.send(patch).await {
                Ok(()) => {
                    self.written.insert(key, written);
                    return Ok(());
                }
                // It was deleted. Another one takes its place.
                Err(failed) if failed.is_not_found => {
                    self.written.remove(&key);
                }
                Err(failed) => return Err(failed),
            }
        }
        let object = self.object(event, now);
        let name = object.metadata.name.clone().unwrap_or_default();
        let body = serde_json::to_vec(&object).map_err(|error| Failed::of(&error))?;
        let create = Request::new(&events).create(&PostParams::default(), body);
        match self.send(create).await {
            Err(failed) if !failed.already_exists => return Err(failed),
            _ => {}
        }
        let written = Written {
            name,
            uid: event.uid.to_string(),
            count: 1,
            at: now,
        };
        self.written.insert(key, written);
        Ok(())
    }

    fn object(&self, event: &NodeEvent, now: jiff::Timestamp) -> Event {
        let node = event.node.as_str();
        let begin = cut(node, MOST_OF_NODE).trim_end_matches(['.', '-']);
        Event {
            metadata: ObjectMeta {
                name: Some(format!("{begin}.{:x}", now.as_nanosecond())),
                namespace: Some(NAMESPACE.to_owned()),
                ..ObjectMeta::default()
            },
            regarding: Some(ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Node".to_owned()),
                name: Some(node.to_owned()),
                uid: Some(event.uid.to_string()),
                ..ObjectReference::default()
            }),
            type_: Some(event.what.kind().to_owned()),
            reason: Some(event.what.reason().to_owned()),
            action: Some("Scrape".to_owned()),
            note: Some(event.what.note()),
            event_time: Some(MicroTime(now)),
            reporting_controller: Some(CONTROLLER.to_owned()),
            reporting_instance: Some(cut(&self.source, MOST_OF_INSTANCE).to_owned()),
            ..Event::default()
        }
    }

    async fn send(
        &self,
        request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<(), Failed> {
        let request = request.map_err(|error| Failed::of(&error))?;
        match timeout(REQUEST_TIMEOUT, self.client.request_text(request)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(Failed {
                text: format!("no answer within {}s", REQUEST_TIMEOUT.as_secs()),
                ..Failed::default()
            }),
        }
    }
}

/// Why an Event was not written.
#[derive(Debug, Default)]
struct Failed {
    text: String,
    /// Another attempt fails in the same way.
    is_final: bool,
    is_not_found: bool,
    already_exists: bool,
}

impl Failed {
    /// The Event cannot be sent.
    fn of(error: &dyn std::error::Error) -> Self {
        Self {
            text: error.to_string(),
            is_final: true,
            ..Self::default()
        }
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        let Error::Api(status) = error else {
            return Self {
                text,
                ..Self::default()
            };
        };
        Self {
            text,
            is_final: (400..500).contains(&status.code) && status.code != 429,
            is_not_found: status.code == 404,
            already_exists: status.code == 409,
        }
    }
}

/// The first bytes of a text, whole letters.
fn cut(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
