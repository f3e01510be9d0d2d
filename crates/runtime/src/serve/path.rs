//! The normal form of a path.
//!
//! A path can be written in many ways: `%73` is an `s`. If one part of the server compares the raw
//! path and another one decodes it, they see different requests, and one of them may decide about
//! permissions. So the path is decoded first, as Go does, and encoded again with the necessary
//! escapes. From then on `%2F` is a slash, and `%2573` is `%73` and nothing else.

use std::borrow::Cow;

use http::{
    Uri,
    uri::{InvalidUri, InvalidUriParts, PathAndQuery},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

/// Bytes that are escaped: all that RFC 3986 does not allow in a path.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

/// Why a path has no normal form.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadPath {
    /// A `%` without two hexadecimal digits after it.
    #[error("invalid URL escape in the path")]
    Escape,
    /// With its escapes it is too long.
    #[error("the URL is too long")]
    TooLong(#[source] InvalidUri),
    /// With the decoded path, the parts of the URL do not fit together.
    #[error("invalid URL")]
    Parts(#[source] InvalidUriParts),
}

/// `uri` with its path in normal form. `None` if it is already.
///
/// # Errors
///
/// It has no normal form.
pub(super) fn normal(uri: &Uri) -> Result<Option<Uri>, BadPath> {
    let path = uri.path();
    let written = written(path)?;
    if written == path {
        return Ok(None);
    }
    let target = match uri.query() {
        Some(query) => format!("{written}?{query}"),
        None => written.into_owned(),
    };
    let target = PathAndQuery::try_from(target).map_err(BadPath::TooLong)?;
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(target);
    let uri = Uri::from_parts(parts).map_err(BadPath::Parts)?;
    Ok(Some(uri))
}

fn written(path: &str) -> Result<Cow<'_, str>, BadPath> {
    if !path.contains('%') {
        return Ok(percent_encode(path.as_bytes(), ESCAPED).into());
    }
    let is_escape = |after: &str| {
        let digits = after.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if !path.split('%').skip(1).all(is_escape) {
        return Err(BadPath::Escape);
    }
    let decoded: Vec<u8> = percent_decode_str(path).collect();
    let written: Cow<'_, str> = percent_encode(&decoded, ESCAPED).into();
    Ok(Cow::Owned(written.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(uri: &str) -> Result<String, String> {
        let uri: Uri = uri.parse().unwrap();
        let normal = normal(&uri).map_err(|error| error.to_string())?;
        Ok(normal.map_or_else(|| uri.to_string(), |normal| normal.to_string()))
    }

    #[test]
    fn a_path_has_one_form() {
        for (uri, form) in [
            (
                "/%61pis/metrics.k8s.io/v1/node%73",
                "/apis/metrics.k8s.io/v1/nodes",
            ),
            ("/%41%5A%2d%2E%5F%7e", "/AZ-._~"),
            // An escaped slash separates segments.
            ("/a%2Fb%2fc", "/a/b/c"),
            ("/%2F", "//"),
            // The path is decoded once only.
            ("/node%2573", "/node%2573"),
            ("/%252F", "/%252F"),
            ("/%25", "/%25"),
            // Escaped characters that would end the path stay escaped.
            ("/a%3Fb%23c", "/a%3Fb%23c"),
            ("/a%20b%00%7f", "/a%20b%00%7F"),
            // A path need not be UTF-8.
            ("/%ff%FE", "/%FF%FE"),
            ("/%c3%a9", "/%C3%A9"),
            ("/\u{e9}", "/%C3%A9"),
            ("/a{b}\"", "/a%7Bb%7D%22"),
            // Dot segments stay.
            ("/%2e%2e/a", "/../a"),
            ("//a//", "//a//"),
            ("/a;b=c:d@e!$&'()*+,", "/a;b=c:d@e!$&'()*+,"),
            ("*", "*"),
            ("/a%3ab?x=%73%zz#y", "/a:b?x=%73%zz"),
            ("http://h:1/node%73?a=b", "http://h:1/nodes?a=b"),
        ] {
            assert_eq!(of(uri).as_deref(), Ok(form), "{uri}");
            assert_eq!(of(form).as_deref(), Ok(form), "again {form}");
        }
    }

    #[test]
    fn an_escape_that_is_none_is_refused() {
        for uri in [
            "/%", "/%2", "/%zz", "/a%2/b", "/%%41", "/%2573%", "/%+1", "/%\u{e9}",
        ] {
            let error = Err("invalid URL escape in the path".to_owned());
            assert_eq!(of(uri), error, "{uri}");
        }
        assert_eq!(of("/a?b=%").as_deref(), Ok("/a?b=%"));
    }

    #[test]
    fn a_path_that_gets_too_long_is_refused() {
        let query = "x".repeat(65_500);
        let error = Err("the URL is too long".to_owned());
        assert_eq!(of(&format!("/{}?{query}", "\"".repeat(16))), error);
        of(&format!("/{}?{query}", "\"".repeat(4))).unwrap();
    }
}
