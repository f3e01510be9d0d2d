//! TokenReview, SubjectAccessReview and `TokenRequest`.

use std::time::Duration;

use http::{Response, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::render::date;
use super::status::{Refusal, answer};
use crate::cluster::State;
use crate::identity::{Attributes, Identity, TokenSpec};
use crate::tls::Body;

/// How long a requested token is valid by default, in seconds.
const LIFETIME: u64 = 3_600;

/// Answers a TokenReview. A refused token is an answer, too, not an error.
pub(super) fn token(state: &mut State, review: &Value, now: Timestamp) -> Response<Body> {
    state.reviews.tokens += 1;
    let spec = review.get("spec");
    let token = spec
        .and_then(|spec| spec.get("token"))
        .and_then(Value::as_str)
        .unwrap_or_default();
    let status = match state.access.check(token, &strings(spec, "audiences"), now) {
        Ok((identity, audiences)) => json!({
            "authenticated": true,
            "user": {
                "username": identity.user,
                "uid": identity.uid,
                "groups": identity.groups,
                "extra": identity.extra,
            },
            "audiences": audiences,
        }),
        Err(why) => json!({ "user": {}, "error": format!("[invalid bearer token, {why}]") }),
    };
    let object = json!({
        "kind": "TokenReview",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": { "creationTimestamp": null },
        "spec": spec,
        "status": status,
    });
    answer(StatusCode::CREATED, &object)
}

/// Answers whether the user in the review, or the caller, may do something.
pub(super) fn access(
    state: &mut State,
    review: &Value,
    caller: Option<&Identity>,
) -> Response<Body> {
    state.reviews.accesses += 1;
    let spec = review.get("spec");
    let text = |value: Option<&Value>, name: &str| {
        value
            .and_then(|value| value.get(name))
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let (user, groups, kind) = match caller {
        Some(caller) => (
            caller.user.clone(),
            caller.groups.clone(),
            "SelfSubjectAccessReview",
        ),
        None => (
            text(spec, "user"),
            strings(spec, "groups"),
            "SubjectAccessReview",
        ),
    };
    let resource = spec.and_then(|spec| spec.get("resourceAttributes"));
    let path = spec.and_then(|spec| spec.get("nonResourceAttributes"));
    let name = match text(resource, "subresource").as_str() {
        "" => text(resource, "resource"),
        sub => format!("{}/{sub}", text(resource, "resource")),
    };
    let wanted = Attributes {
        verb: text(resource.or(path), "verb"),
        group: text(resource, "group"),
        resource: name,
        namespace: text(resource, "namespace"),
        name: text(resource, "name"),
        path: path.map(|_| text(path, "path")),
    };
    let allowed = state.access.allows(&user, &groups, &wanted);
    let object = json!({
        "kind": kind,
        "apiVersion": "authorization.k8s.io/v1",
        "metadata": { "creationTimestamp": null },
        "spec": spec,
        "status": { "allowed": allowed, "reason": if allowed { "simulated rule" } else { "" } },
    });
    answer(StatusCode::CREATED, &object)
}

/// Issues a token of a ServiceAccount, as `kubectl create token` requests it.
pub(super) fn request(
    state: &mut State,
    namespace: &str,
    name: &str,
    request: &Value,
    now: Timestamp,
) -> Result<Response<Body>, Refusal> {
    let spec = request.get("spec");
    let seconds = spec
        .and_then(|spec| spec.get("expirationSeconds"))
        .and_then(Value::as_u64)
        .unwrap_or(LIFETIME);
    let lifetime = Duration::from_secs(seconds);
    let expires = now
        .checked_add(lifetime)
        .map_err(|_| Refusal::bad_request("expirationSeconds is out of range"))?;
    let mut wanted =
        TokenSpec::new(&format!("system:serviceaccount:{namespace}:{name}")).lifetime(lifetime);
    wanted.audiences = strings(spec, "audiences");
    let object = json!({
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": { "name": name, "namespace": namespace },
        "spec": spec,
        "status": { "token": state.access.mint(wanted, now), "expirationTimestamp": date(expires) },
    });
    Ok(answer(StatusCode::CREATED, &object))
}

fn strings(value: Option<&Value>, name: &str) -> Vec<String> {
    let list = value
        .and_then(|value| value.get(name))
        .and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}
