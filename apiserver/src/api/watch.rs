//! Watches of kinds that are served from memory. A client that watches gets the changes of the list.
//!
//! There is no log of changes. Each watch reads all objects once a second, or less often if there are many, and
//! compares them with what it has sent. So an object that is created and deleted between two reads is not sent. A watch
//! leaves no state when it ends: the client sends the version of its list ([`digest`]), which shows whether the list is
//! current.
//!
//! The number of watches has a limit, for all callers together and for each caller. So has the duration of a watch. The
//! cost of a watch is limited, because many objects are read less often.

use std::{
    collections::{BTreeMap, HashMap},
    convert::Infallible,
    mem,
    sync::Arc,
    time::Duration,
};

use axum::{
    body::Body,
    extract::Request,
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use futures::stream;
use parking_lot::Mutex;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tributary_model::{PodKey, Timestamp};

use super::{
    Served, answer,
    digest::{self, Digest, Version},
    kind::Kind,
    list_yield::ListTurn,
    objects::Object as _,
    params::{Include, ListParams, WatchParams},
    status::Refusal,
    writer::JsonWriter,
};
use crate::{
    k8s::accept::{self, Encoding, Form, Subject},
    requests::limits::{self, Busy, Caller, LongRunning},
};

/// The most watches of all callers together.
const ALL: usize = 32;

/// The most watches of one caller, and of all service accounts of a namespace. kubectl has one for each object that it
/// waits for.
const OF_CALLER: usize = 16;

/// Callers with this many watches get no more while only a quarter of all is left. That quarter is for callers with
/// fewer.
const LITTLE: usize = 2;
const RESERVED: usize = ALL / 4;

/// The longest duration of a watch. Clients start another one.
const LONGEST: Duration = Duration::from_mins(30);

/// A watch whose client does not read is cut off this long after its end.
const SLACK: Duration = Duration::from_secs(5);

/// How often a watch reads up to [`AT_ONCE`] objects. The interval grows in proportion to the number of objects above
/// that.
const EVERY: Duration = Duration::from_secs(1);
const AT_ONCE: usize = 1_000;

/// The watches in flight. Cheap to clone; clones share them.
#[derive(Clone, Debug)]
pub(super) struct Watches {
    room: Arc<Semaphore>,
    by_caller: Arc<Mutex<HashMap<Arc<str>, usize>>>,
}

/// The permit of one watch, until this is dropped.
#[derive(Debug)]
struct Place {
    caller: Arc<str>,
    watches: Watches,
    _permit: OwnedSemaphorePermit,
}

impl Default for Watches {
    fn default() -> Self {
        Self {
            room: Arc::new(Semaphore::new(ALL)),
            by_caller: Arc::default(),
        }
    }
}

impl Watches {
    fn enter(&self, caller: Arc<str>) -> Result<Place, Busy> {
        let permit = Arc::clone(&self.room).try_acquire_owned();
        let permit = permit.map_err(|_| Busy)?;
        let mut by_caller = self.callers();
        let watches = by_caller.get(&caller).copied().unwrap_or_default();
        let left = self.room.available_permits();
        if watches >= OF_CALLER || (watches >= LITTLE && left < RESERVED) {
            return Err(Busy);
        }
        by_caller.insert(Arc::clone(&caller), watches + 1);
        drop(by_caller);
        Ok(Place {
            caller,
            watches: self.clone(),
            _permit: permit,
        })
    }

    fn callers(&self) -> parking_lot::MutexGuard<'_, HashMap<Arc<str>, usize>> {
        self.by_caller.lock()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut by_caller = self.watches.callers();
        if let Some(watches) = by_caller.get_mut(&self.caller) {
            *watches -= 1;
            if *watches == 0 {
                by_caller.remove(&self.caller);
            }
        }
    }
}

/// Answers a LIST with `watch`.
pub(super) async fn answer<K: Kind>(
    served: Served,
    namespace: Option<String>,
    params: ListParams,
    watch: WatchParams,
    request: Request,
) -> Result<Response, Refusal> {
    let negotiated = accept::negotiate(request.headers(), Subject::Watch)?;
    let include = match negotiated.form {
        Form::Table(_) => Include::read(request.uri())?,
        Form::Plain | Form::Partial(_) => Include::Metadata,
    };
    if !K::is_synced(&served.api) {
        return Err(Refusal::NotSynced(K::RESOURCE));
    }
    let caller = request.extensions().get::<Caller>();
    let caller = caller
        .map_or("", |caller| limits::tenant_of(&caller.0))
        .into();
    let place = match served.watches.enter(caller) {
        Ok(place) => place,
        Err(busy) => return Ok(busy.into_response()),
    };
    let now = Timestamp::from_millis(served.api.clock.now_millis());
    let until = Instant::now() + watch.timeout.unwrap_or(LONGEST).min(LONGEST);
    let mut watching = Watching::<K> {
        writer: JsonWriter::new(served.version, K::RESOURCE, negotiated.form, include, now),
        seen: BTreeMap::new(),
        round: None,
        next: Instant::now(),
        ends: until,
        ending: served.api.ending.clone(),
        watch,
        served,
        namespace,
        params,
        _place: place,
    };
    watching.begin().await?;
    let chunks = stream::unfold(watching, async |mut watching| {
        let chunk = watching.next().await?;
        Some((Ok::<_, Infallible>(chunk), watching))
    });
    let mut response = answer::typed(Encoding::Json, Body::from_stream(chunks));
    response.extensions_mut().insert(LongRunning(until + SLACK));
    Ok(response)
}

/// A watch in flight.
struct Watching<K: Kind> {
    served: Served,
    namespace: Option<String>,
    params: ListParams,
    watch: WatchParams,
    writer: JsonWriter<K::Object>,
    /// The objects that the client has, by key.
    seen: BTreeMap<PodKey, Seen>,
    /// The round in flight.
    round: Option<Round<K::Object>>,
    /// When the next round begins.
    next: Instant,
    ends: Instant,
    ending: CancellationToken,
    _place: Place,
}

/// What the client has of an object.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// The hash of its content.
    content: u64,
    /// Whether the round in flight has found it.
    found: bool,
}

/// A round reads all objects once.
struct Round<T> {
    now: Timestamp,
    pages: Box<dyn Iterator<Item = Vec<T>> + Send>,
    turn: ListTurn,
    digest: Digest,
    changed: bool,
}

impl<K: Kind> Watching<K> {
    /// Finds out from the version of the client's list what the client has.
    async fn begin(&mut self) -> Result<(), Refusal> {
        let version = match &*mem::take(&mut self.watch.version) {
            "" | "0" => return Ok(()),
            _ if self.watch.initial => return Ok(()),
            version => Version::parse(version).ok_or(Refusal::Expired)?,
        };
        let (mut round, mut scratch) = (self.look(), Vec::new());
        for objects in round.pages.by_ref() {
            for object in objects {
                let content = digest::of(&object, &mut scratch);
                let key = object.key();
                round.digest.add(&key.namespace, &key.name, content);
                self.seen.insert(
                    key,
                    Seen {
                        content,
                        found: false,
                    },
                );
            }
            round.turn.yield_if_due().await;
        }
        let current = round.digest.version();
        if version == current {
            self.pause();
        } else if version.has_names_of(current) {
            // The contents that the client has are not known, so all objects are sent again.
            for seen in self.seen.values_mut() {
                seen.content = !seen.content;
            }
        } else {
            return Err(Refusal::Expired);
        }
        Ok(())
    }

    fn look(&self) -> Round<K::Object> {
        let api = Arc::clone(&self.served.api);
        let now = Timestamp::from_millis(api.clock.now_millis());
        let pages = K::pages(api, self.namespace.clone(), self.params.clone(), now);
        Round {
            now,
            pages: Box::new(pages),
            turn: self.served.list_yield.begin(),
            digest: Digest::default(),
            changed: false,
        }
    }

    fn pause(&mut self) {
        let times = u32::try_from(self.seen.len() / AT_ONCE).unwrap_or(u32::MAX);
        self.next = Instant::now() + EVERY.saturating_mul(times.saturating_add(1));
    }

    /// The next events; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        let mut out = Vec::new();
        while out.is_empty() {
            let mut round = match self.round.take() {
                Some(round) => round,
                None => self.wait().await?,
            };
            if let Some(objects) = round.pages.next() {
                self.compare(&mut round, &objects, &mut out);
                round.turn.yield_if_due().await;
                self.round = Some(round);
            } else {
                self.finish(&round, &mut out);
                self.pause();
            }
        }
        Some(out.into())
    }

    /// Waits for the next round. `None` if the watch ends before it.
    async fn wait(&mut self) -> Option<Round<K::Object>> {
        tokio::select! {
            biased;
            () = self.ending.cancelled() => None,
            () = sleep_until(self.ends) => None,
            () = sleep_until(self.next) => Some(self.look()),
        }
    }

    /// Writes events for the new and changed objects of a page.
    fn compare(&mut self, round: &mut Round<K::Object>, objects: &[K::Object], out: &mut Vec<u8>) {
        let mut scratch = Vec::new();
        for object in objects {
            let content = digest::of(object, &mut scratch);
            let key = object.key();
            round.digest.add(&key.namespace, &key.name, content);
            let found = Seen {
                content,
                found: true,
            };
            let event = match self.seen.insert(key, found) {
                None => "ADDED",
                Some(seen) if seen.content != content => "MODIFIED",
                Some(_) => continue,
            };
            round.changed = true;
            self.writer.event(out, event, object);
        }
    }

    /// Writes events for deleted objects after a complete round.
    fn finish(&mut self, round: &Round<K::Object>, out: &mut Vec<u8>) {
        let mut gone = Vec::new();
        self.seen.retain(|key, seen| {
            let found = mem::take(&mut seen.found);
            if !found {
                gone.push(key.clone());
            }
            found
        });
        let changed = round.changed || !gone.is_empty();
        for key in gone {
            let left = K::get(&self.served.api, key.clone(), round.now).ok();
            if let Some(object) = left.or_else(|| K::gone(&key)) {
                self.writer.event(out, "DELETED", &object);
            }
        }
        let initial = mem::take(&mut self.watch.initial);
        if self.watch.bookmarks && (changed || initial) {
            let version = round.digest.version().to_string();
            self.writer.bookmark(out, &version, initial);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watches_of_a_caller_and_of_all_have_a_limit() {
        let watches = Watches::default();
        let enter = |caller: &str| watches.enter(caller.into());
        let mut kept: Vec<Place> = (0..16).map(|_| enter("a").unwrap()).collect();
        assert_eq!(enter("a").unwrap_err(), Busy);
        // The last quarter is for callers with few.
        kept.extend((0..8).map(|_| enter("b").unwrap()));
        assert_eq!(enter("b").unwrap_err(), Busy);
        for caller in ["c", "d", "e", "f"] {
            kept.extend((0..2).map(|_| enter(caller).unwrap()));
            assert_eq!(enter(caller).unwrap_err(), Busy, "{caller}");
        }
        assert_eq!(kept.len(), 32);
        assert_eq!(enter("g").unwrap_err(), Busy);
        drop(kept.remove(0));
        kept.push(enter("g").unwrap());
        drop(kept);
        assert!(watches.callers().is_empty());
        assert!(enter("a").is_ok());
    }
}
