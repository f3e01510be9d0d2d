//! The responses to refused requests. The texts are those of k8s.io/apiserver
//! (docs/parity.md#errors).
//!
//! Each is a [`Status`] in the encoding that the client prefers, except for a failed decision,
//! which is plain text upstream, too.

use axum::response::{IntoResponse, Response};
use http::{
    HeaderName, HeaderValue, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use k8s_openapi::api::authorization::v1::ResourceAttributes;

use super::{attributes::Attributes, user::User};
use crate::{
    k8s::status::{Details, Status},
    requests::limits::Busy,
};

const NOSNIFF: (HeaderName, &str) = (HeaderName::from_static("x-content-type-options"), "nosniff");

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Denial {
    /// The credential is not valid.
    Unauthorized,
    /// The credential cannot be checked now.
    Unavailable(&'static str),
    /// The user may not do this.
    Forbidden {
        /// The user's name.
        user: String,
        /// What the request wants to do.
        attributes: Attributes,
        /// The reason of the authorizer, if it has one.
        reason: String,
    },
    /// The head of an anonymous request is too large to wait.
    TooLong,
    /// Too many requests are in flight.
    Busy,
    /// The authorizer failed.
    Undecided {
        /// The path with its query.
        uri: String,
        /// What went wrong.
        error: String,
    },
}

impl Denial {
    pub(crate) fn forbidden(user: &User, attributes: Attributes, reason: &str) -> Self {
        Self::Forbidden {
            user: user.name.clone(),
            attributes,
            reason: reason.to_owned(),
        }
    }
}

impl IntoResponse for Denial {
    fn into_response(self) -> Response {
        match self {
            Self::Unauthorized => {
                let code = StatusCode::UNAUTHORIZED;
                status(code, "Unauthorized", "Unauthorized".to_owned(), None)
            }
            Self::Busy => Busy.into_response(),
            Self::TooLong => {
                let code = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
                let why = "the target, headers and token of the request are too long";
                status(code, "RequestEntityTooLarge", why.to_owned(), None)
            }
            Self::Unavailable(why) => {
                let code = StatusCode::SERVICE_UNAVAILABLE;
                let mut response = status(code, "ServiceUnavailable", why.to_owned(), None);
                let headers = response.headers_mut();
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
                response
            }
            Self::Forbidden {
                user,
                attributes,
                reason,
            } => forbidden(&user, &attributes, &reason),
            Self::Undecided { uri, error } => {
                let text = format!("Internal Server Error: {uri:?}: {error}");
                let text = text.replace('&', "&amp;");
                let text = text.replace('<', "&lt;").replace('>', "&gt;");
                let plain = (CONTENT_TYPE, "text/plain; charset=utf-8");
                let headers = [plain, NOSNIFF];
                (StatusCode::INTERNAL_SERVER_ERROR, headers, text + "\n").into_response()
            }
        }
    }
}

fn forbidden(user: &str, attributes: &Attributes, reason: &str) -> Response {
    let (message, details) = match attributes {
        Attributes::Path { verb, path } => (
            format!("forbidden: User {user:?} cannot {verb} path {path:?}"),
            Details::default(),
        ),
        Attributes::Resource(resource) => (
            of_resource(user, resource),
            Details {
                name: text(resource.name.as_ref()).to_owned(),
                group: text(resource.group.as_ref()).to_owned().into(),
                kind: text(resource.resource.as_ref()).to_owned().into(),
                ..Details::default()
            },
        ),
    };
    let message = match reason {
        "" => message,
        reason => format!("{message}: {reason}"),
    };
    let code = StatusCode::FORBIDDEN;
    let mut response = status(code, "Forbidden", message, Some(details));
    let (name, value) = NOSNIFF;
    let headers = response.headers_mut();
    headers.insert(name, HeaderValue::from_static(value));
    response
}

fn text(value: Option<&String>) -> &str {
    value.map_or("", String::as_str)
}

fn of_resource(user: &str, wanted: &ResourceAttributes) -> String {
    let verb = text(wanted.verb.as_ref());
    let group = text(wanted.group.as_ref());
    let plural = text(wanted.resource.as_ref());
    let qualified = match group {
        "" => plural.to_owned(),
        group => format!("{plural}.{group}"),
    };
    let what = match text(wanted.name.as_ref()) {
        "" => qualified,
        name => format!("{qualified} {name:?}"),
    };
    let resource = match text(wanted.subresource.as_ref()) {
        "" => plural.to_owned(),
        sub => format!("{plural}/{sub}"),
    };
    let place = match text(wanted.namespace.as_ref()) {
        "" => "at the cluster scope".to_owned(),
        namespace => format!("in the namespace {namespace:?}"),
    };
    format!(
        "{what} is forbidden: User {user:?} cannot {verb} resource {resource:?} in API group {group:?} {place}"
    )
}

fn status(
    code: StatusCode,
    reason: &'static str,
    message: String,
    details: Option<Details>,
) -> Response {
    let status = Status {
        message,
        reason,
        details,
        code,
    };
    status.into_response()
}

#[cfg(test)]
mod tests {
    use http::Method;
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::k8s::resource::examples::resources;

    async fn body(denial: Denial) -> (u16, String) {
        let (head, body) = denial.into_response().into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let sniff = head.headers.get("x-content-type-options").is_some();
        assert_eq!(sniff, matches!(head.status.as_u16(), 403 | 500));
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        (head.status.as_u16(), text)
    }

    fn denied(user: &str, uri: &str) -> Denial {
        Denial::Forbidden {
            user: user.to_owned(),
            attributes: Attributes::of(&Method::GET, &uri.parse().unwrap(), &resources()),
            reason: "fake reason".to_owned(),
        }
    }

    /// Recorded from metrics-server v0.9.0.
    #[tokio::test]
    async fn refusals_are_those_of_upstream_to_the_byte() {
        const HEAD: &str =
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"#;
        for (denial, code, rest) in [
            (
                denied("system:anonymous", "/apis/metrics.k8s.io/v1beta1/nodes"),
                403,
                r#""nodes.metrics.k8s.io is forbidden: User \"system:anonymous\" cannot list resource \"nodes\" in API group \"metrics.k8s.io\" at the cluster scope: fake reason","reason":"Forbidden","details":{"group":"metrics.k8s.io","kind":"nodes"},"code":403}"#,
            ),
            (
                denied(
                    "denied-bob",
                    "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods/web-1",
                ),
                403,
                r#""pods.metrics.k8s.io \"web-1\" is forbidden: User \"denied-bob\" cannot get resource \"pods\" in API group \"metrics.k8s.io\" in the namespace \"default\": fake reason","reason":"Forbidden","details":{"name":"web-1","group":"metrics.k8s.io","kind":"pods"},"code":403}"#,
            ),
            (
                denied("system:anonymous", "/metrics"),
                403,
                r#""forbidden: User \"system:anonymous\" cannot get path \"/metrics\": fake reason","reason":"Forbidden","details":{},"code":403}"#,
            ),
            (
                Denial::Unauthorized,
                401,
                r#""Unauthorized","reason":"Unauthorized","code":401}"#,
            ),
        ] {
            assert_eq!(body(denial).await, (code, format!("{HEAD}{rest}\n")));
        }
    }

    #[tokio::test]
    async fn a_failure_to_decide_is_plain_text() {
        let denial = |uri: &str| Denial::Undecided {
            uri: uri.to_owned(),
            error: "boom".to_owned(),
        };
        assert_eq!(
            body(denial("/apis/metrics.k8s.io/v1beta1/nodes/n1")).await,
            (
                500,
                "Internal Server Error: \"/apis/metrics.k8s.io/v1beta1/nodes/n1\": boom\n"
                    .to_owned()
            )
        );
        assert_eq!(
            body(denial("/x?a=<b>&c")).await.1,
            "Internal Server Error: \"/x?a=&lt;b&gt;&amp;c\": boom\n"
        );
    }
}
