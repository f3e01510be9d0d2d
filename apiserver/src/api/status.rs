//! Errors of the API, and their only mapping to HTTP.
//!
//! Texts, reasons and details are those of k8s.io/apimachinery `errors`, because clients read the reason, and operators
//! know the texts (docs/parity.md#errors).

use std::borrow::Cow;

use axum::{
    http::{
        HeaderValue, StatusCode,
        header::{ALLOW, RETRY_AFTER},
    },
    response::{IntoResponse, Response},
};

use tributary_model::NodeName;

use crate::{
    k8s::{
        accept::NotAcceptable,
        resource::Resource,
        status::{Cause, Details, Status},
    },
    scrapers::node_roles::Scrapers,
    store::{Failure, NoMetrics},
};

/// Why a request is refused. There is a variant for each reaction of a client.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// There is no such path.
    #[error("the server could not find the requested resource")]
    NoSuchPath,
    /// The path exists only for GET.
    #[error("the server does not allow this method on the requested resource")]
    Method,
    /// Metrics cannot be watched.
    #[error("watch is not supported on resources of kind {:?}", .0.qualified())]
    Watch(&'static Resource),
    /// A parameter cannot be read.
    #[error("{0}")]
    BadRequest(String),
    /// The parameters of a list do not fit together.
    #[error("ListOptions.meta.k8s.io \"\" is invalid: {}", sentence(.0))]
    Invalid(Vec<Cause>),
    /// The client accepts none of the encodings of the subject.
    #[error(transparent)]
    NotAcceptable(#[from] NotAcceptable),
    /// The object does not exist. For metrics: the Node does not exist, or no such Pod is running. The name is without
    /// the namespace.
    #[error("{} {:?} not found", missing(.0), .1)]
    NoObject(&'static Resource, String),
    /// The object exists, and has no metrics.
    #[error("no metrics for {} {name:?}: {}", resource.about, reason(resource, why, .by.as_ref()))]
    NoMetrics {
        /// What kind of object.
        resource: &'static Resource,
        /// Its name, with the namespace of a pod.
        name: String,
        /// Why it has no metrics.
        why: NoMetrics,
        /// The node that it is, or runs on, and the scrapers of the node, if that is known.
        by: Option<(NodeName, Scrapers)>,
    },
    /// The frontend does not know the version of the client's list.
    #[error("the provided resource version is too old: list again")]
    Expired,
    /// The objects are not listed yet.
    #[error("the {} list has not been read yet", .0.about)]
    NotSynced(&'static Resource),
}

impl Refusal {
    /// The same of another resource with the same objects.
    pub(crate) fn about(self, other: &'static Resource) -> Self {
        match self {
            Self::NoObject(_, name) => Self::NoObject(other, name),
            Self::NoMetrics { name, why, by, .. } => Self::NoMetrics {
                resource: other,
                name,
                why,
                by,
            },
            Self::NotSynced(_) => Self::NotSynced(other),
            Self::NoSuchPath
            | Self::Method
            | Self::Watch(_)
            | Self::BadRequest(_)
            | Self::Invalid(_)
            | Self::NotAcceptable(_)
            | Self::Expired => self,
        }
    }
}

/// Why there are no metrics. A caller that may read a pod's metrics is not always an operator. So the text has no
/// addresses of nodes and no names of scrapers (docs/decisions/0022-reviews-are-bounded-and-fair.md).
fn reason(resource: &Resource, why: &NoMetrics, by: Option<&(NodeName, Scrapers)>) -> String {
    if !resource.namespaced {
        return format!("{why}{}", scraped(by));
    }
    match why {
        NoMetrics::Failed(failure) => of_its_node(failure),
        NoMetrics::Recovering(failure) => {
            format!("waiting for a second sample; {}", of_its_node(failure))
        }
        why => why.to_string(),
    }
}

fn of_its_node(failure: &Failure) -> String {
    let ago = failure.ago.as_secs();
    format!("the last scrape of its node failed {ago}s ago")
}

/// The scrapers of a node, as the end of a sentence.
fn scraped(by: Option<&(NodeName, Scrapers)>) -> String {
    by.map_or_else(String::new, |(node, scrapers)| {
        format!(" (node {node}: {scrapers})")
    })
}

/// The name of a resource in the message about a missing object.
fn missing(resource: &Resource) -> String {
    match resource.missing {
        (kind, "") => kind.to_owned(),
        (kind, group) => format!("{kind}.{group}"),
    }
}

/// Prints causes like field.ErrorList: in brackets if there are several.
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
            Self::NoSuchPath | Self::NoObject(..) | Self::NoMetrics { .. } => {
                (StatusCode::NOT_FOUND, "NotFound")
            }
            Self::Method | Self::Watch(_) => (StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
            Self::BadRequest(_) => (StatusCode::BAD_REQUEST, "BadRequest"),
            Self::Expired => (StatusCode::GONE, "Expired"),
            Self::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "Invalid"),
            Self::NotAcceptable(_) => (StatusCode::NOT_ACCEPTABLE, "NotAcceptable"),
            Self::NotSynced(_) => (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable"),
        }
    }

    /// The details, for programs.
    fn details(self) -> Option<Details> {
        let named = |name: String, group: &'static str, kind: Cow<'static, str>| Details {
            name,
            group: group.into(),
            kind,
            ..Details::default()
        };
        Some(match self {
            Self::BadRequest(_) | Self::NotAcceptable(NotAcceptable::Form(_)) | Self::Expired => {
                return None;
            }
            Self::NoSuchPath | Self::Method | Self::NotAcceptable(_) | Self::NotSynced(_) => {
                Details::default()
            }
            Self::Watch(resource) => named(String::new(), resource.group, resource.plural.into()),
            Self::NoObject(resource, name) => {
                let (kind, group) = resource.missing;
                named(name, group, kind.into())
            }
            Self::NoMetrics { resource, name, .. } => {
                let kind = resource.kind.to_ascii_lowercase();
                named(name, resource.group, kind.into())
            }
            Self::Invalid(causes) => Details {
                causes,
                ..named(String::new(), "meta.k8s.io", "ListOptions".into())
            },
        })
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let (code, reason) = refusal.code();
        Self {
            message: refusal.to_string(),
            reason,
            details: refusal.details(),
            code,
        }
    }
}

/// A JSON response with its [`Status`]. The code that refuses does not know the request, so [`super::layers::finish`]
/// writes the status again in the encoding that the client prefers.
impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let header = match self {
            Self::Method | Self::Watch(_) => Some((ALLOW, "GET")),
            // client-go waits for this number of seconds and retries.
            Self::NotSynced(_) => Some((RETRY_AFTER, "1")),
            Self::NoSuchPath
            | Self::BadRequest(_)
            | Self::Invalid(_)
            | Self::NotAcceptable(_)
            | Self::NoObject(..)
            | Self::Expired
            | Self::NoMetrics { .. } => None,
        };
        let mut response = Status::from(self).into_response();
        if let Some((name, value)) = header {
            let value = HeaderValue::from_static(value);
            response.headers_mut().insert(name, value);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::api::{nodes::NODES, pods::PODS};

    fn status(refusal: Refusal) -> String {
        String::from_utf8(Status::from(refusal).json()).unwrap()
    }

    #[test]
    fn a_missing_node_reads_as_upstream_says_it() {
        let refusal = Refusal::NoObject(&NODES, "zzz".to_owned());
        assert_eq!(
            status(refusal),
            concat!(
                r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","#,
                r#""message":"node \"zzz\" not found","reason":"NotFound","#,
                r#""details":{"name":"zzz","kind":"node"},"code":404}"#,
                "\n"
            )
        );
    }

    #[test]
    fn a_pod_without_metrics_gets_the_reason() {
        let refusal = Refusal::NoMetrics {
            resource: &PODS,
            name: "default/web".to_owned(),
            why: NoMetrics::NeverReported,
            by: None,
        };
        assert_eq!(
            status(refusal),
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
    fn a_tenant_sees_no_scrapers_and_addresses() {
        let failure = Failure {
            ago: Duration::from_secs(12),
            by: "scraper-2".to_owned(),
            message: "dial 10.0.0.7: connection refused".to_owned(),
        };
        let failed = NoMetrics::Failed(failure.clone());
        let by = Some(("n3".into(), Scrapers::default()));
        let refusal = |resource, why| Refusal::NoMetrics {
            resource,
            name: "x".to_owned(),
            why,
            by: by.clone(),
        };
        for (resource, why, text) in [
            (
                &PODS,
                failed.clone(),
                "no metrics for pod \"x\": the last scrape of its node failed 12s ago",
            ),
            (
                &PODS,
                NoMetrics::Recovering(failure),
                "no metrics for pod \"x\": waiting for a second sample; the last scrape of its \
                 node failed 12s ago",
            ),
            (
                &PODS,
                NoMetrics::NotOnNode,
                "no metrics for pod \"x\": its node does not report it yet",
            ),
            (
                &NODES,
                failed,
                "no metrics for node \"x\": last scrape failed 12s ago by scraper-2: dial \
                 10.0.0.7: connection refused (node n3: no connected scraper owns it)",
            ),
        ] {
            assert_eq!(refusal(resource, why).to_string(), text);
        }
    }

    #[test]
    fn a_catalog_that_is_not_read_yet_asks_for_patience() {
        let response = Refusal::NotSynced(&NODES).into_response();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[RETRY_AFTER], "1");
        assert_eq!(
            Refusal::NotSynced(&NODES).to_string(),
            "the node list has not been read yet"
        );
    }
}
