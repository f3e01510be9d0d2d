//! What the head of a request may be, before anybody looks at what it says.
//!
//! Its bytes are bounded where it is read. HPACK lets a few bytes on the wire
//! stand for a field of thousands, so in HTTP/2 the fields are counted too, as
//! they are in HTTP/1 while it is read.

use std::error::Error;

use axum::{body::Body, response::IntoResponse as _};
use http::{Request, Response, StatusCode, Version, header::HOST};

/// The header fields of one request: enough for somebody in a thousand groups,
/// each of which is a field of the front proxy.
pub(super) const FIELDS: usize = 1_100;

/// The bytes of a path, without the query. The longest that is served has a
/// namespace of 63 and a name of 253.
const PATH: usize = 2 << 10;

/// The answer to a head that is too large, if it is.
pub(super) fn refuse<B>(request: &Request<B>) -> Option<Response<Body>> {
    let status = if request.headers().len() > FIELDS {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
    } else if request.uri().path().len() > PATH {
        StatusCode::URI_TOO_LONG
    } else if request.version() == Version::HTTP_11 && hosts(request) != 1 {
        // RFC 9112, 3.2.
        StatusCode::BAD_REQUEST
    } else {
        return None;
    };
    Some(status.into_response())
}

fn hosts<B>(request: &Request<B>) -> usize {
    request.headers().get_all(HOST).iter().take(2).count()
}

/// Whether a connection ended with a head that was too large to be read. (One in
/// HTTP/2 ends only its stream, which nobody hears of.)
pub(super) fn was_refused(error: &(dyn Error + Send + Sync + 'static)) -> bool {
    error
        .downcast_ref::<hyper::Error>()
        .is_some_and(hyper::Error::is_parse_too_large)
}
