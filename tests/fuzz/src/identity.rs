//! `X-Remote-*` and `Impersonate-*` headers.
//!
//! - After the headers are removed, the rest names no user.
//! - A named user has a name, and is authenticated unless the front proxy says that it is not.
//! - Every attribute of an impersonated user needs a review.

use http::{HeaderMap, HeaderName, HeaderValue};
use tributary_apiserver::fuzzing;

/// Reads the lines `name: value` of `data` as headers.
pub fn check(data: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n').take(512) {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let (Some(name), Some(value)) = (parts.next(), parts.next()) else {
            continue;
        };
        let name = HeaderName::from_bytes(name.trim_ascii());
        let value = HeaderValue::from_bytes(value.trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    if let Some(user) = fuzzing::auth::front_proxied(&headers) {
        assert!(!user.name.is_empty());
        if user.name != "system:anonymous" {
            assert!(user.groups.iter().any(|group| {
                ["system:authenticated", "system:unauthenticated"].contains(&group.as_str())
            }));
        }
    }
    if let Some(Ok(impersonated)) = fuzzing::auth::impersonated(&headers) {
        let user = &impersonated.user;
        assert!(!user.name.is_empty());
        assert!(impersonated.questions > user.extras, "{impersonated:?}");
    }
    let rest = fuzzing::auth::without_identity(headers);
    assert_eq!(fuzzing::auth::front_proxied(&rest), None);
    assert_eq!(fuzzing::auth::impersonated(&rest), None);
    assert!(
        !rest.keys().any(|name| {
            ["x-remote-user", "x-remote-uid", "x-remote-group"].contains(&name.as_str())
                || name.as_str().starts_with("x-remote-extra-")
                || name.as_str().starts_with("impersonate-")
        }),
        "{rest:?}"
    );
}
