//! The segments of a path, as the libraries of Kubernetes' servers read it: decoded, without the
//! slashes around it, and split.

use percent_encoding::percent_decode_str;

/// The segments of a path: of `/`, one that is empty.
pub(crate) fn segments(path: &str) -> Vec<String> {
    let path = decoded(path);
    let segments = path.trim_matches('/').split('/');
    segments.map(str::to_owned).collect()
}

/// The text of a path. What is not UTF-8 is no name that anything has.
pub(crate) fn decoded(path: &str) -> String {
    percent_decode_str(path).decode_utf8_lossy().into_owned()
}
