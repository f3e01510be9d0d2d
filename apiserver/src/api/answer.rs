//! From pages of items to an HTTP response.
//!
//! A JSON or YAML list is written while it is sent: one page is looked up, written and handed to the connection, then
//! the next. So no lock and no core is held for long, and a list of the whole cluster is never in memory as a whole.
//! Protobuf is the exception, because its length comes first: the whole list is in memory, with about 150 bytes for
//! each pod. Such lists share a [`budget`](super::budget).

use std::convert::Infallible;

use axum::{
    body::Body,
    extract::Request,
    http::{
        HeaderValue,
        header::{CONTENT_LENGTH, CONTENT_TYPE},
    },
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use tributary_model::Timestamp;

use super::{
    Freshness, Served,
    budget::{ITEM, Reservation, WHOLE},
    digest::Digest,
    kind::Kind,
    list_yield::{ListTurn, ListYield},
    objects::Object,
    page,
    params::Include,
    status::Refusal,
    writer::Writer,
};
use crate::k8s::{
    accept::{self, Encoding, Form, Subject},
    protobuf::Envelope,
};

/// How many objects are looked up and written at a time. That is about 30 KiB of JSON and takes a fifth of a
/// millisecond. A request for one object waits that long for each concurrent list.
pub(crate) const PAGE: usize = 128;

/// An answer whose form and time are known. Nothing was looked up yet.
#[derive(Debug)]
pub(crate) struct Answer<K: Kind> {
    /// The time of the request.
    pub(crate) now: Timestamp,
    /// The date at the time of the request. The machine's clock may be set later.
    date: Timestamp,
    writer: Writer<K::Object>,
    freshness: Freshness,
    list_yield: ListYield,
    reservation: Reservation,
}

impl<K: Kind> Answer<K> {
    /// Negotiates the form of the answer to `request`. Refuses the request if the client accepts none of our encodings,
    /// or while the objects are not listed yet, because an empty answer would be wrong.
    pub(crate) fn to(
        request: &Request,
        served: &Served,
        subject: Subject,
    ) -> Result<Self, Refusal> {
        let negotiated = accept::negotiate(request.headers(), subject)?;
        let include = match negotiated.form {
            Form::Table(_) => Include::read(request.uri())?,
            Form::Plain | Form::Partial(_) => Include::Metadata,
        };
        if !K::is_synced(&served.api) {
            return Err(Refusal::NotSynced(K::RESOURCE));
        }
        let clock = &served.api.clock;
        let date = Timestamp::from_millis(clock.date().as_millisecond());
        let writer = Writer::new(served.version, K::RESOURCE, negotiated, include, date);
        Ok(Self {
            now: Timestamp::from_millis(clock.now_millis()),
            date,
            writer,
            freshness: served.api.freshness.clone(),
            list_yield: served.list_yield.clone(),
            reservation: served.budget.reservation(request),
        })
    }

    /// An answer with the single object `item`.
    pub(crate) fn one(mut self, item: &K::Object) -> Response {
        let mut out = Vec::with_capacity(1024);
        self.writer.one(&mut out, item);
        self.freshness
            .observe(std::slice::from_ref(item), self.date);
        complete_response(&self.writer, vec![out.into()], self.reservation)
    }

    /// An answer with the items of `pages`, at most `limit` of them.
    pub(crate) async fn list(
        self,
        pages: impl Iterator<Item = Vec<K::Object>> + Send + 'static,
        limit: Option<usize>,
    ) -> Response {
        if let Some(limit) = limit {
            return self.part(pages, limit).await;
        }
        let (freshness, date) = (self.freshness.clone(), self.date);
        let pages = pages.inspect(move |items| freshness.observe(items, date));
        self.all(pages).await
    }

    /// The same with a version, if the answer is a whole list, `from_start`. It is in memory as a whole, because the
    /// version comes before the items.
    pub(crate) async fn versioned(
        self,
        pages: impl Iterator<Item = Vec<K::Object>> + Send + 'static,
        limit: Option<usize>,
        from_start: bool,
    ) -> Response {
        let limit = limit.unwrap_or(usize::MAX);
        self.collected(pages, limit, from_start).await
    }

    /// A part of a list. It is in memory until it is known whether more items follow, because the token comes before
    /// the items.
    async fn part(self, pages: impl Iterator<Item = Vec<K::Object>>, limit: usize) -> Response {
        self.collected(pages, limit, false).await
    }

    async fn collected(
        mut self,
        pages: impl Iterator<Item = Vec<K::Object>>,
        limit: usize,
        versioned: bool,
    ) -> Response {
        let (mut items, mut list_turn) = (Vec::new(), self.list_yield.begin());
        for mut page in pages {
            items.append(&mut page);
            if let Err(busy) = self.reservation.hold(items.len() * ITEM) {
                return busy.into_response();
            }
            if items.len() > limit {
                break;
            }
            // A selector may select few of many objects.
            list_turn.yield_if_due().await;
        }
        let more = items.len() > limit;
        items.truncate(limit);
        self.freshness.observe(&items, self.date);
        if more && let Some(last) = items.last() {
            self.writer.set_token(page::token(K::RESOURCE, &last.key()));
        } else if versioned {
            let version = Digest::version_of(&items);
            self.writer.set_version(version.to_string());
        }
        let mut out = Vec::new();
        self.writer.items(&mut out, &items);
        self.writer.finish(&mut out);
        match self.reservation.hold(items.len() * ITEM + out.len()) {
            Ok(()) => complete_response(&self.writer, vec![out.into()], self.reservation),
            Err(busy) => busy.into_response(),
        }
    }

    async fn all(
        mut self,
        mut pages: impl Iterator<Item = Vec<K::Object>> + Send + 'static,
    ) -> Response {
        let most = match self.writer.encoding() {
            Encoding::Json | Encoding::Yaml => WHOLE,
            Encoding::Protobuf => usize::MAX,
        };
        let (mut chunks, mut length, mut room) = (Vec::new(), 0, BufferEstimate::default());
        let mut list_turn = self.list_yield.begin();
        while length < most {
            let mut chunk = Vec::new();
            let items = pages.next();
            match &items {
                Some(items) => room.write(&mut self.writer, &mut chunk, items),
                None => self.writer.finish(&mut chunk),
            }
            length += chunk.len();
            // A list that is sent while it is written keeps only its first part in memory.
            let whole = items.is_none() || most == usize::MAX;
            if whole && let Err(busy) = self.reservation.hold(length) {
                return busy.into_response();
            }
            if !chunk.is_empty() {
                // A buffer that stays in memory gives back its unused capacity.
                if chunk.capacity() - chunk.len() > chunk.len() / 8 {
                    chunk.shrink_to_fit();
                }
                chunks.push(Bytes::from(chunk));
            }
            if items.is_none() {
                return complete_response(&self.writer, chunks, self.reservation);
            }
            list_turn.yield_if_due().await;
        }
        let encoding = self.writer.encoding();
        let rest = Rest {
            pages,
            writer: Some(self.writer),
            room,
            list_turn,
        };
        let rest = stream::unfold(rest, |mut rest| async {
            let chunk = rest.chunk().await?;
            Some((chunk, rest))
        });
        // The compressor polls once more after the end, so the stream must be fused.
        let chunks = stream::iter(chunks).chain(rest).fuse();
        typed(encoding, Body::from_stream(chunks.map(Ok::<_, Infallible>)))
    }
}

/// A complete answer of these pieces. Keeps its part of the budget until it is sent.
fn complete_response<T: Object>(
    writer: &Writer<T>,
    mut chunks: Vec<Bytes>,
    reservation: Reservation,
) -> Response {
    let length = |chunks: &[Bytes]| chunks.iter().map(Bytes::len).sum::<usize>();
    if let Some(Envelope { before, after }) = writer.envelope(length(&chunks)) {
        chunks.insert(0, before.into());
        chunks.push(Bytes::from_static(after));
    }
    let length = length(&chunks);
    if length <= WHOLE {
        return typed(writer.encoding(), Body::from(chunks.concat()));
    }
    let chunks = chunks.into_iter().map(move |chunk| {
        let _reserved = &reservation;
        Ok::<_, Infallible>(chunk)
    });
    let chunks = stream::iter(chunks);
    let mut response = typed(writer.encoding(), Body::from_stream(chunks));
    response
        .headers_mut()
        .insert(CONTENT_LENGTH, HeaderValue::from(length));
    response
}

/// The rest of a list, one chunk for each page.
struct Rest<P, T: Object> {
    pages: P,
    /// `None` after the end was written.
    writer: Option<Writer<T>>,
    room: BufferEstimate,
    list_turn: ListTurn,
}

/// Estimates the memory of the next page: that of the page before, and a little more, because growing a buffer copies
/// its content.
struct BufferEstimate {
    per_item: usize,
}

impl Default for BufferEstimate {
    /// More than most items need.
    fn default() -> Self {
        Self { per_item: 320 }
    }
}

impl BufferEstimate {
    fn write<T: Object>(&mut self, writer: &mut Writer<T>, chunk: &mut Vec<u8>, items: &[T]) {
        chunk.reserve(items.len() * self.per_item);
        writer.items(chunk, items);
        if let Some(mean) = chunk.len().checked_div(items.len()) {
            self.per_item = mean + mean / 32 + 1;
        }
    }
}

impl<T: Object, P: Iterator<Item = Vec<T>>> Rest<P, T> {
    async fn chunk(&mut self) -> Option<Bytes> {
        let mut writer = self.writer.take()?;
        let mut out = Vec::new();
        // Pages without a served object make no chunk.
        while out.is_empty() {
            self.list_turn.yield_if_due().await;
            let Some(items) = self.pages.next() else {
                writer.finish(&mut out);
                return Some(out.into());
            };
            self.room.write(&mut writer, &mut out, &items);
        }
        self.writer = Some(writer);
        Some(out.into())
    }
}

/// A response in `encoding`.
pub(crate) fn typed(encoding: Encoding, body: Body) -> Response {
    let mut response = Response::new(body);
    let media_type = HeaderValue::from_static(encoding.media_type());
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    response
}
