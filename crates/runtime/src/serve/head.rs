//! Limits of the head of a request, checked before it is interpreted.
//!
//! Its bytes are limited where it is read. HPACK lets a few bytes on the wire stand for a field of
//! thousands, so in HTTP/2 the fields are counted, too, as they are in HTTP/1 while it is read.

use std::error::Error;

use axum::{body::Body, response::IntoResponse as _};
use http::{Request, Response, StatusCode, Version, header::HOST};

use super::path::{self, BadPath};

/// The most header fields of a request: enough for a user in a thousand groups, each of which is a
/// field of the front proxy.
pub(super) const FIELDS: usize = 1_100;

/// The most bytes of a path, without the query. The longest served path has a namespace of 63 bytes and a name of 253.
const PATH: usize = 2 << 10;

/// The request with a normalized path, so that all readers see the same one.
///
/// # Errors
///
/// The response to a head that is too large, or that cannot be read.
pub(super) fn read<B>(mut request: Request<B>) -> Result<Request<B>, Response<Body>> {
    let (status, why) = if request.headers().len() > FIELDS {
        let why = "the request has too many header fields";
        (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, why.to_owned())
    } else if request.uri().path().len() > PATH {
        let why = format!("the path is longer than {PATH} bytes");
        (StatusCode::URI_TOO_LONG, why)
    } else if request.version() == Version::HTTP_11 && hosts(&request) != 1 {
        // RFC 9112, section 3.2, requires this.
        let why = "the request has no Host header field, or several";
        (StatusCode::BAD_REQUEST, why.to_owned())
    } else {
        match path::normal(request.uri()) {
            Ok(None) => return Ok(request),
            Ok(Some(uri)) => {
                *request.uri_mut() = uri;
                return Ok(request);
            }
            Err(error @ (BadPath::Escape | BadPath::Parts(_))) => {
                (StatusCode::BAD_REQUEST, error.to_string())
            }
            Err(error @ BadPath::TooLong(_)) => (StatusCode::URI_TOO_LONG, error.to_string()),
        }
    };
    Err((status, why).into_response())
}

fn hosts<B>(request: &Request<B>) -> usize {
    request.headers().get_all(HOST).iter().take(2).count()
}

/// Whether a connection ended because a head was too large to be read. (In HTTP/2 it ends only its
/// stream, which is not visible here.)
pub(super) fn was_refused(error: &(dyn Error + Send + Sync + 'static)) -> bool {
    error
        .downcast_ref::<hyper::Error>()
        .is_some_and(hyper::Error::is_parse_too_large)
}
