//! The segments of a path, read like the libraries of Kubernetes servers do: decoded, without leading and trailing
//! slashes, and split.

use percent_encoding::percent_decode_str;

/// The segments of a path. `/` has one empty segment.
pub(crate) fn segments(path: &str) -> Vec<String> {
    let path = decoded(path);
    let segments = path.trim_matches('/').split('/');
    segments.map(str::to_owned).collect()
}

/// A path as text. A path that is not UTF-8 matches no name.
pub(crate) fn decoded(path: &str) -> String {
    percent_decode_str(path).decode_utf8_lossy().into_owned()
}
