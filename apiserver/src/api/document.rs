//! JSON that does not change while the process runs, with an `ETag` by which clients and the aggregator know that they
//! have it.

use axum::{
    body::Body,
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{ETAG, IF_NONE_MATCH},
    },
    response::Response,
};
use bytes::Bytes;

use super::answer;
use crate::k8s::accept::Encoding;

/// A document and its `ETag`.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    body: Bytes,
    hash: String,
}

impl Document {
    /// A document with the content `body`.
    pub(crate) fn new(body: Vec<u8>) -> Self {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA512, &body);
        let digits = digest.as_ref().iter().map(|byte| format!("{byte:02X}"));
        Self {
            hash: digits.collect(),
            // Without the memory that was for it to grow.
            body: body.into_boxed_slice().into(),
        }
    }

    /// SHA-512 of the document in upper case, like upstream's `ETags`.
    pub(crate) fn hash(&self) -> &str {
        &self.hash
    }

    /// The document, or 304 if the client that sent `headers` has it.
    pub(crate) fn response(&self, headers: &HeaderMap) -> Response {
        let tag = format!("\"{}\"", self.hash);
        let known = headers
            .get_all(IF_NONE_MATCH)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .any(|have| have == "*" || have.strip_prefix("W/").unwrap_or(have) == tag);
        let mut response = if known {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response
        } else {
            answer::typed(Encoding::Json, Body::from(self.body.clone()))
        };
        if let Ok(tag) = HeaderValue::try_from(tag) {
            response.headers_mut().insert(ETAG, tag);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "DDAF35A193617ABACC417349AE20413112E6FA4E89A97EA20A9EEEE64B55D39A\
        2192992A274FC1A836BA3C23A3FEEBBD454D4423643CE80E2A9AC94FA54CA49F";

    fn status(document: &Document, have: &str) -> u16 {
        let mut headers = HeaderMap::new();
        headers.insert(IF_NONE_MATCH, have.parse().unwrap());
        document.response(&headers).status().as_u16()
    }

    #[test]
    fn a_document_is_sent_only_to_those_who_do_not_have_it() {
        let document = Document::new(b"abc".to_vec());
        assert_eq!(document.hash(), HASH);
        let response = document.response(&HeaderMap::new());
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()[ETAG], format!("\"{HASH}\""));
        for (have, code) in [
            (format!("\"{HASH}\""), 304),
            (format!("\"other\", W/\"{HASH}\""), 304),
            ("*".to_owned(), 304),
            ("\"other\"".to_owned(), 200),
            (HASH.to_owned(), 200),
        ] {
            assert_eq!(status(&document, &have), code, "{have}");
        }
    }
}
