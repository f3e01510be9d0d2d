//! The layers that are the same for every path.

use axum::{
    body::{Body, HttpBody},
    extract::Request,
    http::{
        HeaderName, HeaderValue, Method, StatusCode,
        header::{
            ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, SERVER, USER_AGENT,
        },
    },
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use futures::TryStreamExt as _;
use http_body_util::BodyExt as _;
use tower_http::{
    CompressionLevel,
    compression::{CompressionLayer, Predicate},
};
use tracing::Span;

use super::{budget::WHOLE, params, status::Refusal};
use crate::{
    k8s::{
        accept::{Encoding, Preference, Subject},
        json::Indenter,
        status::Status,
    },
    requests::limits::LongRunning,
};

/// Refuses every method except GET, including HEAD (docs/parity.md#paths-and-methods).
pub(crate) async fn only_get(request: Request, next: Next) -> Response {
    if request.method() == Method::GET {
        next.run(request).await
    } else {
        Refusal::Method.into_response()
    }
}

/// Writes refusals in the encoding that the client prefers, indents JSON for curl and browsers, and sets `Audit-Id`
/// and, unless the answer has one, `Cache-Control`.
pub(crate) async fn finish(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let agent = headers
        .get(USER_AGENT)
        .and_then(|agent| agent.to_str().ok());
    let mut pretty = params::wants_pretty(request.uri(), agent.unwrap_or_default());
    let is_id = |id: &&HeaderValue| (1..=AUDIT_ID_BYTES).contains(&id.len());
    let audit_id = headers.get(AUDIT_ID).filter(is_id);
    // A copy does not keep the buffer of the whole head in memory.
    let audit_id = audit_id.and_then(|id| HeaderValue::from_bytes(id.as_bytes()).ok());
    let audit_id = audit_id.unwrap_or_else(new_id);
    let preference = Preference::of(headers);

    let mut response = next.run(request).await;
    if let Some(status) = response.extensions_mut().remove::<Status>() {
        Span::current().record("reason", status.reason);
        match preference.negotiate(Subject::Status) {
            Ok(negotiated) => rewrite(&mut response, &status, negotiated.encoding),
            // A client that accepts no Status gets an indented one, as upstream.
            Err(_) => pretty = true,
        }
    }
    let json = response.headers().get(CONTENT_TYPE).is_some_and(|kind| {
        kind.as_bytes()
            .starts_with(Encoding::Json.media_type().as_bytes())
    });
    let events = response.extensions().get::<LongRunning>().is_some();
    if pretty && json && !events && response.status() != StatusCode::NOT_MODIFIED {
        response = indented(response).await;
    }
    let headers = response.headers_mut();
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-cache, private"));
    headers.insert(AUDIT_ID, audit_id);
    // kube-apiserver passes it on: by it a client sees which server is behind an APIService.
    headers.insert(SERVER, HeaderValue::from_static("tributary"));
    response
}

/// The most values of `Accept-Encoding`, and the most bytes of one. Clients send one value of about thirty bytes.
const ENCODINGS: usize = 4;
const ENCODING_BYTES: usize = 1 << 10;

/// Removes an `Accept-Encoding` that is longer than any client needs, because the compression layer reads it for every
/// request.
pub(crate) fn bound_encodings(mut request: Request) -> Request {
    let values = request.headers().get_all(ACCEPT_ENCODING);
    let (mut number, mut longest) = (0, 0);
    for value in values.iter().take(ENCODINGS + 1) {
        number += 1;
        longest = value.len().max(longest);
    }
    if number > ENCODINGS || longest > ENCODING_BYTES {
        request.headers_mut().remove(ACCEPT_ENCODING);
    }
    request
}

/// Compresses long answers for clients that accept gzip. It uses the fastest level, because time matters more than
/// bytes (docs/parity.md#encodings).
pub(crate) fn compression() -> CompressionLayer<Long> {
    CompressionLayer::new()
        .gzip(true)
        .quality(CompressionLevel::Fastest)
        .compress_when(Long)
}

/// Selects answers that are longer than one piece.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Long;

impl Predicate for Long {
    fn should_compress<B: HttpBody>(&self, response: &Response<B>) -> bool {
        // A client that watches waits for every event, so watches are not compressed.
        if response.extensions().get::<LongRunning>().is_some() {
            return false;
        }
        let content_length = response.headers().get(CONTENT_LENGTH);
        let content_length = content_length.and_then(|length| length.to_str().ok()?.parse().ok());
        let exact = response.body().size_hint().exact();
        let whole = u64::try_from(WHOLE).unwrap_or(u64::MAX);
        content_length.or(exact).is_none_or(|length| length > whole)
    }
}

/// The name of the request in the audit logs of all servers that it passes.
const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");

/// The longest `Audit-Id` that is taken from a caller. Kubernetes makes ids of 36 bytes.
const AUDIT_ID_BYTES: usize = 1 << 10;

/// A random UUID (version 4).
fn new_id() -> HeaderValue {
    let mut bytes = [0; 16];
    if aws_lc_rs::rand::fill(&mut bytes).is_err() {
        tracing::error!("no random numbers for the id of a request");
    }
    let random = u128::from_be_bytes(bytes);
    let random = random & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let digits = format!("{random:032x}");
    let mut id = String::with_capacity(36);
    for (at, digit) in digits.chars().enumerate() {
        if matches!(at, 8 | 12 | 16 | 20) {
            id.push('-');
        }
        id.push(digit);
    }
    HeaderValue::from_str(&id).unwrap_or(HeaderValue::from_static(""))
}

/// Replaces the body by `status`.
fn rewrite(response: &mut Response, status: &Status, encoding: Encoding) {
    if encoding == Encoding::Json {
        return;
    }
    *response.body_mut() = Body::from(status.written(encoding));
    let headers = response.headers_mut();
    headers.remove(CONTENT_LENGTH);
    let media_type = HeaderValue::from_static(encoding.media_type());
    headers.insert(CONTENT_TYPE, media_type);
}

async fn indented(response: Response) -> Response {
    let (mut head, body) = response.into_parts();
    head.headers.remove(CONTENT_LENGTH);
    let mut indenter = Indenter::default();
    if body.size_hint().exact().is_some() {
        return match body.collect().await {
            Ok(whole) => {
                let whole = indenter.feed(&whole.to_bytes());
                Response::from_parts(head, Body::from(whole))
            }
            // Bodies of this server are in memory and do not fail. If one fails, the client sees that the answer ends
            // early.
            Err(error) => {
                tracing::error!(%error, "failed to read an answer of this server");
                Response::from_parts(head, Body::empty())
            }
        };
    }
    let chunks = body
        .into_data_stream()
        .map_ok(move |chunk| Bytes::from(indenter.feed(&chunk)));
    Response::from_parts(head, Body::from_stream(chunks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_random_uuid() {
        let id = new_id();
        let id = id.to_str().unwrap();
        let lengths: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{id}");
        let bytes = id.as_bytes();
        assert_eq!(bytes[14], b'4', "{id}");
        assert!(b"89ab".contains(&bytes[19]), "{id}");
        assert_ne!(new_id(), id);
    }
}
