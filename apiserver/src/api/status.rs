//! What is refused, and the one mapping from that to HTTP.
//!
//! Texts, reasons and details are those of k8s.io/apimachinery `errors`, because
//! clients read the reason and people know the words (PARITY 5.5).

use axum::{
    body::Body,
    http::{
        HeaderValue, StatusCode,
        header::{ALLOW, CONTENT_TYPE, RETRY_AFTER},
    },
    response::{IntoResponse, Response},
};

use super::{json, kinds::Resource};
use crate::store::NoMetrics;

/// Why a request gets no answer, by what the client should do about it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// There is no such path.
    #[error("the server could not find the requested resource")]
    NoSuchPath,
    /// The path is there, but for GET alone.
    #[error("the server does not allow this method on the requested resource")]
    Method,
    /// Metrics cannot be watched.
    #[error("watch is not supported on resources of kind \"{}.metrics.k8s.io\"", .0.plural())]
    Watch(Resource),
    /// A parameter cannot be read.
    #[error("{0}")]
    BadRequest(String),
    /// The parameters of a list do not fit together.
    #[error("ListOptions.meta.k8s.io \"\" is invalid: {}", sentence(.0))]
    Invalid(Vec<Cause>),
    /// The client takes nothing that we have.
    #[error("406: Not Acceptable\n\nAvailable representations: application/json")]
    NotAcceptable,
    /// There is no such Node or running Pod.
    #[error("{} {name:?} not found", resource.object())]
    NoObject {
        /// What kind of object.
        resource: Resource,
        /// The name asked for, without a namespace.
        name: String,
    },
    /// The object exists, and has no metrics.
    #[error("no metrics for {} {name:?}: {why}", resource.singular())]
    NoMetrics {
        /// What kind of object.
        resource: Resource,
        /// Its name, with the namespace of a pod.
        name: String,
        /// What is known about it.
        why: NoMetrics,
    },
    /// It is not known yet which objects exist.
    #[error("the {} list has not been read yet", .0.singular())]
    NotSynced(Resource),
}

/// One thing that is wrong with a parameter.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    /// The machine-readable reason.
    pub(crate) reason: &'static str,
    /// In words.
    pub(crate) message: String,
    /// The parameter.
    pub(crate) field: &'static str,
}

/// As field.ErrorList prints: brackets around more than one.
fn sentence(causes: &[Cause]) -> String {
    let all: Vec<String> = causes
        .iter()
        .map(|cause| format!("{}: {}", cause.field, cause.message))
        .collect();
    match &*all {
        [one] => one.clone(),
        more => format!("[{}]", more.join(", ")),
    }
}

impl Refusal {
    /// The HTTP status and the machine-readable reason. Every mapping is here;
    /// a new variant does not compile until it has one.
    fn code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NoSuchPath | Self::NoObject { .. } | Self::NoMetrics { .. } => {
                (StatusCode::NOT_FOUND, "NotFound")
            }
            Self::Method | Self::Watch(_) => (StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
            Self::BadRequest(_) => (StatusCode::BAD_REQUEST, "BadRequest"),
            Self::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "Invalid"),
            Self::NotAcceptable => (StatusCode::NOT_ACCEPTABLE, "NotAcceptable"),
            Self::NotSynced(_) => (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable"),
        }
    }

    /// The details, in the order in which Go writes their fields.
    fn details(&self, out: &mut Vec<u8>) {
        let mut details = Details { out, any: false };
        match self {
            Self::BadRequest(_) => return,
            Self::NoSuchPath | Self::Method | Self::NotAcceptable | Self::NotSynced(_) => {
                details.open();
            }
            Self::Watch(resource) => {
                details.text("group", "metrics.k8s.io");
                details.text("kind", resource.plural());
            }
            Self::NoObject { resource, name } => {
                details.text("name", name);
                details.text("kind", resource.object());
            }
            Self::NoMetrics { resource, name, .. } => {
                details.text("name", name);
                details.text("group", "metrics.k8s.io");
                details.text("kind", resource.metrics());
            }
            Self::Invalid(causes) => {
                details.text("group", "meta.k8s.io");
                details.text("kind", "ListOptions");
                details.causes(causes);
            }
        }
        out.push(b'}');
    }

    /// The `metav1.Status` that tells it.
    fn status(&self) -> Vec<u8> {
        let (code, reason) = self.code();
        let mut out = Vec::with_capacity(256);
        out.extend_from_slice(
            br#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"#,
        );
        json::string(&mut out, &self.to_string());
        out.extend_from_slice(br#","reason":"#);
        json::string(&mut out, reason);
        self.details(&mut out);
        out.extend_from_slice(br#","code":"#);
        json::number(&mut out, u64::from(code.as_u16()));
        out.extend_from_slice(b"}\n");
        out
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.status()));
        *response.status_mut() = self.code().0;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        match self {
            Self::Method | Self::Watch(_) => {
                headers.insert(ALLOW, HeaderValue::from_static("GET"));
            }
            // client-go waits for so many seconds and asks again by itself.
            Self::NotSynced(_) => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            Self::NoSuchPath
            | Self::BadRequest(_)
            | Self::Invalid(_)
            | Self::NotAcceptable
            | Self::NoObject { .. }
            | Self::NoMetrics { .. } => {}
        }
        response
    }
}

/// Writes `,"details":{..` field by field.
struct Details<'a> {
    out: &'a mut Vec<u8>,
    any: bool,
}

impl Details<'_> {
    fn open(&mut self) {
        let before: &[u8] = if self.any { b"," } else { br#","details":{"# };
        self.out.extend_from_slice(before);
        self.any = true;
    }

    fn text(&mut self, field: &str, value: &str) {
        self.open();
        json::string(self.out, field);
        self.out.push(b':');
        json::string(self.out, value);
    }

    fn causes(&mut self, causes: &[Cause]) {
        self.open();
        self.out.extend_from_slice(br#""causes":["#);
        for (at, cause) in causes.iter().enumerate() {
            self.out.extend_from_slice(if at == 0 {
                br#"{"reason":"#
            } else {
                br#",{"reason":"#
            });
            json::string(self.out, cause.reason);
            self.out.extend_from_slice(br#","message":"#);
            json::string(self.out, &cause.message);
            self.out.extend_from_slice(br#","field":"#);
            json::string(self.out, cause.field);
            self.out.push(b'}');
        }
        self.out.push(b']');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(refusal: &Refusal) -> String {
        String::from_utf8(refusal.status()).unwrap()
    }

    #[test]
    fn a_missing_node_reads_as_upstream_says_it() {
        let refusal = Refusal::NoObject {
            resource: Resource::Nodes,
            name: "zzz".to_owned(),
        };
        assert_eq!(
            status(&refusal),
            concat!(
                r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","#,
                r#""message":"node \"zzz\" not found","reason":"NotFound","#,
                r#""details":{"name":"zzz","kind":"node"},"code":404}"#,
                "\n"
            )
        );
    }

    #[test]
    fn a_pod_without_metrics_is_told_why() {
        let refusal = Refusal::NoMetrics {
            resource: Resource::Pods,
            name: "default/web".to_owned(),
            why: NoMetrics::NeverReported,
        };
        assert_eq!(
            status(&refusal),
            concat!(
                r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","#,
                r#""message":"no metrics for pod \"default/web\": no scraper has reported it yet","#,
                r#""reason":"NotFound","details":{"name":"default/web","group":"metrics.k8s.io","#,
                r#""kind":"podmetrics"},"code":404}"#,
                "\n"
            )
        );
    }

    #[test]
    fn a_catalog_that_is_not_read_yet_asks_for_patience() {
        let response = Refusal::NotSynced(Resource::Nodes).into_response();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[RETRY_AFTER], "1");
        assert_eq!(
            Refusal::NotSynced(Resource::Nodes).to_string(),
            "the node list has not been read yet"
        );
    }
}
