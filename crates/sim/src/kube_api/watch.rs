//! WATCH: the existing objects, missed events, and new events, each as a line of JSON.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http::{Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::{Value, json};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, Interval, MissedTickBehavior};

use super::list::{check_version, select};
use super::render::{self, Shape};
use super::route::Query;
use super::selector::Selection;
use super::status::{Refusal, json_response};
use super::table;
use crate::cluster::Shared;
use crate::store::{Change, Event, Kind, Stored};
use crate::tls::Body;

/// The most lines that are written at once.
const BATCH: usize = 256;
/// How often a watcher that allows bookmarks gets one.
const BOOKMARKS: Duration = Duration::from_mins(1);
/// The duration of a watch by default, and the longest.
const LONGEST: u64 = 3_600;
const TOO_OLD: &str = "too old resource version";

struct Watcher {
    kind: &'static Kind,
    selection: Selection,
    shape: Shape,
    /// The existing objects at the start, if they are wanted.
    initial: std::vec::IntoIter<Stored>,
    /// Whether the bookmark after them must still be sent.
    initial_end: bool,
    missed: VecDeque<Event>,
    events: broadcast::Receiver<Event>,
    /// The newest version that the watcher has.
    version: u64,
    bookmarks: Option<Interval>,
    deadline: Instant,
    closing: watch::Receiver<u64>,
    silence: watch::Receiver<u64>,
    ended: bool,
    /// Whether the columns of a Table were sent.
    columns_sent: bool,
}

pub(super) fn watch(
    shared: &Arc<Shared>,
    kind: &'static Kind,
    namespace: &str,
    query: &Query,
    shape: Shape,
) -> Result<Response<Body>, Refusal> {
    let selection = Selection::new(kind, namespace, query)?;
    let streaming = query.is_true("sendInitialEvents");
    if streaming && query.get("resourceVersionMatch") != "NotOlderThan" {
        return Err(Refusal::bad_request(
            "sendInitialEvents requires resourceVersionMatch=NotOlderThan",
        ));
    }
    let seconds = match query.get("timeoutSeconds") {
        "" => LONGEST,
        text => text
            .parse()
            .map_err(|_| Refusal::bad_request(format!("invalid timeoutSeconds {text:?}")))?,
    };
    let state = shared.state();
    let asked = check_version(&state, query)?;
    // A watch without a version begins with the existing objects, as if they were added now.
    let from_now = streaming || asked == 0;
    let version = if from_now {
        state.store.version()
    } else {
        asked
    };
    let initial = if from_now {
        select(&state, kind, &selection, None, usize::MAX).0
    } else {
        Vec::new()
    };
    let Some((missed, events)) = state.store.watch(kind, version) else {
        return Err(Refusal::gone(&format!("{TOO_OLD}: {version}")));
    };
    drop(state);
    let watcher = Watcher {
        kind,
        selection,
        shape,
        initial: initial
            .into_iter()
            .map(|(_, stored)| stored)
            .collect::<Vec<_>>()
            .into_iter(),
        initial_end: streaming,
        missed: missed.into(),
        events,
        version,
        bookmarks: query.is_true("allowWatchBookmarks").then(ticks),
        deadline: Instant::now() + Duration::from_secs(seconds.min(LONGEST)),
        closing: shared.watches.subscribe(),
        silence: shared.silence.subscribe(),
        ended: false,
        columns_sent: false,
    };
    let lines = stream::unfold(watcher, |mut watcher| async move {
        let lines = watcher.next().await?;
        Some((Ok(Frame::data(lines)), watcher))
    });
    Ok(json_response(
        StatusCode::OK,
        StreamBody::new(lines).boxed_unsync(),
    ))
}

fn ticks() -> Interval {
    let mut ticks = tokio::time::interval_at(Instant::now() + BOOKMARKS, BOOKMARKS);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

impl Watcher {
    /// The next lines, `None` at the end of the watch.
    async fn next(&mut self) -> Option<Bytes> {
        let mut out = Vec::new();
        while out.is_empty() {
            if self.ended {
                return None;
            }
            if self.initial.len() > 0 {
                let batch: Vec<Stored> = self.initial.by_ref().take(BATCH).collect();
                for stored in batch {
                    self.line(Change::Added, &stored, &mut out);
                }
            } else if self.initial_end {
                self.initial_end = false;
                self.bookmark(&json!({ "k8s.io/initial-events-end": "true" }), &mut out);
            } else if let Some(event) = self.missed.pop_front() {
                self.event(event, &mut out);
            } else {
                self.wait(&mut out).await;
            }
        }
        Some(Bytes::from(out))
    }

    async fn wait(&mut self, out: &mut Vec<u8>) {
        let tick = async {
            match &mut self.bookmarks {
                Some(ticks) => ticks.tick().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            event = self.events.recv() => match event {
                Ok(event) => {
                    self.event(event, out);
                    self.more(out);
                }
                Err(RecvError::Lagged(_)) => self.expire(out),
                Err(RecvError::Closed) => self.ended = true,
            },
            _ = tick => self.bookmark(&json!({}), out),
            () = tokio::time::sleep_until(self.deadline) => self.ended = true,
            _ = self.closing.changed() => self.ended = true,
            Ok(()) = self.silence.changed() => std::future::pending().await,
        }
    }

    /// Adds events that are available without waiting.
    fn more(&mut self, out: &mut Vec<u8>) {
        for _ in 0..BATCH {
            match self.events.try_recv() {
                Ok(event) => self.event(event, out),
                Err(TryRecvError::Lagged(_)) => return self.expire(out),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    fn event(&mut self, event: Event, out: &mut Vec<u8>) {
        if event.version <= self.version {
            return;
        }
        self.version = event.version;
        if event.kind != self.kind {
            return;
        }
        let was = event
            .before
            .as_ref()
            .is_some_and(|before| self.selection.matches(before));
        let is = event.change != Change::Deleted && self.selection.matches(&event.object);
        let change = match (was, is) {
            (false, true) => Change::Added,
            (true, true) => Change::Modified,
            (true, false) => Change::Deleted,
            (false, false) => return,
        };
        let stored = Stored {
            object: event.object,
            version: event.version,
        };
        self.line(change, &stored, out);
    }

    fn line(&mut self, change: Change, stored: &Stored, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"type\":\"");
        out.extend_from_slice(change.as_str().as_bytes());
        out.extend_from_slice(b"\",\"object\":");
        let mut object = Vec::new();
        render::write(
            self.kind,
            &stored.object,
            stored.version,
            self.shape,
            &mut object,
        );
        if let Shape::Table(_) = self.shape {
            self.table(stored.version, &object, out);
        } else {
            out.append(&mut object);
        }
        out.extend_from_slice(b"}\n");
    }

    /// A Table with this row, with the columns if it is the first.
    fn table(&mut self, version: u64, row: &[u8], out: &mut Vec<u8>) {
        let columns = (!self.columns_sent).then(|| table::columns(self.kind));
        table::write_table(columns, version, row, out);
        self.columns_sent = true;
    }

    fn bookmark(&mut self, annotations: &Value, out: &mut Vec<u8>) {
        let (kind, version) = match self.shape {
            Shape::Table(_) => {
                let row = table::bookmark_row(self.kind, self.version, annotations).to_string();
                out.extend_from_slice(b"{\"type\":\"BOOKMARK\",\"object\":");
                self.table(self.version, row.as_bytes(), out);
                out.extend_from_slice(b"}\n");
                return;
            }
            Shape::Full => (self.kind.name, self.kind.api_version()),
            Shape::Metadata => ("PartialObjectMetadata", "meta.k8s.io/v1".to_owned()),
        };
        let mut object = json!({
            "kind": kind,
            "apiVersion": version,
            "metadata": {
                "resourceVersion": self.version.to_string(),
                "creationTimestamp": null,
                "annotations": annotations,
            },
        });
        // Typed clients require a pod's containers even here.
        if *self.kind == crate::store::PODS
            && self.shape == Shape::Full
            && let Some(object) = object.as_object_mut()
        {
            object.insert("spec".to_owned(), json!({ "containers": [] }));
        }
        push(&json!({ "type": "BOOKMARK", "object": object }), out);
    }

    fn expire(&mut self, out: &mut Vec<u8>) {
        self.ended = true;
        push(
            &json!({ "type": "ERROR", "object": Refusal::gone(TOO_OLD).body() }),
            out,
        );
    }
}

fn push(value: &Value, out: &mut Vec<u8>) {
    out.extend_from_slice(value.to_string().as_bytes());
    out.push(b'\n');
}
