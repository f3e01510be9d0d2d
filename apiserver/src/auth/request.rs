//! What is kept of a request while it waits for reviews, and its caller.
//!
//! A waiting request costs memory, and a stranger should cost little. So headers that are no longer
//! read are dropped, and the rest is copied out of the receive buffer.

use http::{
    HeaderMap, HeaderName, HeaderValue, Uri,
    header::{ACCEPT, ACCEPT_ENCODING, IF_NONE_MATCH, USER_AGENT},
    request::Parts,
};
use tributary_runtime::serve::Peer;

use super::{
    CertificateCheck, impersonate,
    user::User,
    waiting::{Caller, CallerKind},
};

/// The most bytes that are kept of the request of an anonymous caller, including its token: 16 MiB
/// for all that may wait, and 48 MiB with the copies in reviews.
pub(super) const KEPT: usize = 32 * 1024;

/// The headers that handlers read, and those of impersonation.
const NEEDED: [HeaderName; 4] = [ACCEPT, ACCEPT_ENCODING, IF_NONE_MATCH, USER_AGENT];

/// The most bytes of the name of a client: kubectl is known by its beginning.
const AGENT: usize = 64;

/// Drops the headers that are no longer read, and copies the rest. Returns the number of bytes that
/// are kept.
pub(super) fn shrink(head: &mut Parts) -> usize {
    let mut bytes = 0;
    let mut kept = HeaderMap::new();
    for (name, value) in &head.headers {
        if !NEEDED.contains(name) && !impersonate::is_ours(name) {
            continue;
        }
        let most = if *name == USER_AGENT {
            AGENT
        } else {
            usize::MAX
        };
        let value = value.as_bytes();
        // A copy of a valid value, or of its beginning, is valid.
        if let Ok(copy) = HeaderValue::from_bytes(value.get(..most).unwrap_or(value)) {
            bytes += name.as_str().len() + copy.len();
            kept.append(name, copy);
        }
    }
    head.headers = kept;
    if let Some(target) = head.uri.path_and_query()
        && let Ok(copy) = Uri::builder().path_and_query(target.as_str()).build()
    {
        bytes += target.as_str().len();
        head.uri = copy;
    }
    bytes
}

/// The caller for the review of a token.
pub(super) fn holder(head: &Parts) -> Caller {
    on_its_connection(CallerKind::Unproven, head)
}

/// The caller for a decision on `user`.
pub(super) fn client(user: &User, head: &Parts) -> Caller {
    if user.is_anonymous() {
        on_its_connection(CallerKind::Anonymous, head)
    } else {
        Caller::of(CallerKind::Proven)
    }
}

/// The connection counts, unless its certificate was accepted.
fn on_its_connection(kind: CallerKind, head: &Parts) -> Caller {
    let peer = head.extensions.get::<Peer>();
    let connection = peer.filter(|_| !was_known(head));
    Caller {
        kind,
        connection: connection.map(|peer| peer.notes.clone()),
    }
}

/// Whether the certificate of the connection was accepted before.
pub(super) fn was_known(head: &Parts) -> bool {
    let peer = head.extensions.get::<Peer>();
    let check = peer.and_then(|peer| peer.notes.get::<CertificateCheck>());
    check.is_some_and(|check| check.was_good)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn only_what_is_read_later_is_kept() {
        let mut request = Request::get("https://host:1/apis?a=b")
            .header("Accept", "application/json")
            .header("Impersonate-User", "jane")
            .header("Cookie", "x".repeat(10_000));
        for _ in 0..1_000 {
            request = request.header("Age", "");
        }
        let (mut head, ()) = request.body(()).unwrap().into_parts();
        assert_eq!(shrink(&mut head), 6 + 16 + 16 + 4 + 9);
        assert_eq!(head.uri, "/apis?a=b");
        let mut kept: Vec<_> = head.headers.keys().map(HeaderName::as_str).collect();
        kept.sort_unstable();
        assert_eq!(kept, ["accept", "impersonate-user"]);
    }

    #[test]
    fn odd_targets_stay_what_they_are() {
        for target in ["//a//b", "/", "*", "/a%2fb?x", "/?"] {
            let (mut head, ()) = Request::get(target).body(()).unwrap().into_parts();
            shrink(&mut head);
            assert_eq!(head.uri.to_string(), target);
        }
    }
}
