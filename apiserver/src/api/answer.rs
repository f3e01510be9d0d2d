//! From pages of items to an HTTP response.
//!
//! A list is made while it is sent: one page is looked up, written and handed to
//! the connection, then the next. So neither a lock nor a core is held for long,
//! and a list of the whole cluster never exists in memory as such. Protobuf is
//! the exception: its length comes first, so all of it is stored, in some 150 bytes
//! per pod. Those that are stored have a [`budget`](super::budget) together.

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

/// How many objects are looked up and written at a time: some 30 KiB of JSON, a
/// fifth of a millisecond. Who asks for one object meanwhile waits so long for
/// each of those who list all.
pub(crate) const PAGE: usize = 128;

/// An answer of which form and time are settled, and nothing is looked up yet.
#[derive(Debug)]
pub(crate) struct Answer<K: Kind> {
    /// The time of the request.
    pub(crate) now: Timestamp,
    /// The date then, which may have been set since.
    date: Timestamp,
    writer: Writer<K::Object>,
    freshness: Freshness,
    list_yield: ListYield,
    reservation: Reservation,
}

impl<K: Kind> Answer<K> {
    /// Settles how `request` is answered. Refuses it if the client accepts none of our encodings, or
    /// if it is not known yet which objects exist, because an empty answer would be wrong.
    pub(crate) fn to(
        request: &Request,
        served: &Served,
        subject: Subject,
    ) -> Result<Self, Refusal> {
        let wanted = accept::negotiate(request.headers(), subject)?;
        let include = match wanted.form {
            Form::Table(_) => Include::read(request.uri())?,
            Form::Plain | Form::Partial(_) => Include::Metadata,
        };
        if !K::is_synced(&served.api) {
            return Err(Refusal::NotSynced(K::RESOURCE));
        }
        let clock = &served.api.clock;
        let date = Timestamp::from_millis(clock.date().as_millisecond());
        let writer = Writer::new(served.version, K::RESOURCE, wanted, include, date);
        Ok(Self {
            now: Timestamp::from_millis(clock.now_millis()),
            date,
            writer,
            freshness: served.api.freshness.clone(),
            list_yield: served.list_yield.clone(),
            reservation: served.budget.reservation(request),
        })
    }

    /// The answer that is `item`.
    pub(crate) fn one(mut self, item: &K::Object) -> Response {
        let mut out = Vec::with_capacity(1024);
        self.writer.one(&mut out, item);
        self.freshness
            .observe(std::slice::from_ref(item), self.date);
        complete_response(&self.writer, vec![out.into()], self.reservation)
    }

    /// The answer that lists the items of `pages`, at most `limit` of them.
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

    /// The same with a version, if it is all of a list that was asked for
    /// `from_start`. Held, because the version stands before the items.
    pub(crate) async fn versioned(
        self,
        pages: impl Iterator<Item = Vec<K::Object>> + Send + 'static,
        limit: Option<usize>,
        from_start: bool,
    ) -> Response {
        let limit = limit.unwrap_or(usize::MAX);
        self.collected(pages, limit, from_start).await
    }

    /// A part of a list. Kept until it is known whether more follows, because the
    /// token stands before the items.
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
            // A selector may have to look at very many for very few.
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
            // What is sent while it is made holds no more than its first part.
            let whole = items.is_none() || most == usize::MAX;
            if whole && let Err(busy) = self.reservation.hold(length) {
                return busy.into_response();
            }
            if !chunk.is_empty() {
                // What is stored for long holds little more than it must.
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
        // Fused, because the compressor asks once more after the end.
        let chunks = stream::iter(chunks).chain(rest).fuse();
        typed(encoding, Body::from_stream(chunks.map(Ok::<_, Infallible>)))
    }
}

/// The answer of these pieces, all that there are. Keeps its share of the budget
/// until it is sent.
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

/// The rest of a list, a chunk per page.
struct Rest<P, T: Object> {
    pages: P,
    /// `None` once the end is written.
    writer: Option<Writer<T>>,
    room: BufferEstimate,
    list_turn: ListTurn,
}

/// How much memory the next page of a list will take: as the one before it, and
/// a little more, because growing would copy what is written already.
struct BufferEstimate {
    per_item: usize,
}

impl Default for BufferEstimate {
    /// Longer than most.
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
        // Pages of which nothing is served make no chunk.
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
