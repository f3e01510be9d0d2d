//! What is the same for every path.

use axum::{
    body::{Body, HttpBody as _},
    extract::Request,
    http::{
        HeaderValue, Method,
        header::{CACHE_CONTROL, CONTENT_LENGTH, USER_AGENT},
    },
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use futures::TryStreamExt as _;
use http_body_util::BodyExt as _;

use super::{json::Indenter, params, status::Refusal};

/// Refuses every method but GET, HEAD too (PARITY 5.2).
pub(crate) async fn only_get(request: Request, next: Next) -> Response {
    if request.method() == Method::GET {
        next.run(request).await
    } else {
        Refusal::Method.into_response()
    }
}

/// Indents JSON for people, and keeps everything out of caches.
pub(crate) async fn finish(request: Request, next: Next) -> Response {
    let agent = request
        .headers()
        .get(USER_AGENT)
        .and_then(|agent| agent.to_str().ok());
    let pretty = params::wants_pretty(request.uri(), agent.unwrap_or_default());
    let response = next.run(request).await;
    let mut response = if pretty {
        indented(response).await
    } else {
        response
    };
    response
        .headers_mut()
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-cache, private"));
    response
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
            // Ours are in memory and do not fail; whoever sees this sees it end.
            Err(error) => {
                tracing::error!(%error, "cannot read an answer of our own");
                Response::from_parts(head, Body::empty())
            }
        };
    }
    let chunks = body
        .into_data_stream()
        .map_ok(move |chunk| Bytes::from(indenter.feed(&chunk)));
    Response::from_parts(head, Body::from_stream(chunks))
}
