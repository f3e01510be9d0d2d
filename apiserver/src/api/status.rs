//! What is refused, and the one mapping from that to HTTP.
//!
//! Texts, reasons and details are those of k8s.io/apimachinery `errors`, because
//! clients read the reason and people know the words (docs/parity.md#errors).

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

/// Why a request gets no answer, by what the client should do about it.
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
    /// The client takes nothing that we have of the subject.
    #[error(transparent)]
    NotAcceptable(#[from] NotAcceptable),
    /// There is no such object: for metrics, no such Node or running Pod. The name
    /// is without a namespace.
    #[error("{} {:?} not found", missing(.0), .1)]
    NoObject(&'static Resource, String),
    /// The object exists, and has no metrics.
    #[error("no metrics for {} {name:?}: {}", resource.about, reason(resource, why, .by.as_ref()))]
    NoMetrics {
        /// What kind of object.
        resource: &'static Resource,
        /// Its name, with the namespace of a pod.
        name: String,
        /// What is known about it.
        why: NoMetrics,
        /// The node that it is or runs on, and who scrapes that, if it is known.
        by: Option<(NodeName, Scrapers)>,
    },
    /// The content that the client has of a list is not known here.
    #[error("the provided resource version is too old: list again")]
    Expired,
    /// It is not known yet which objects exist.
    #[error("the {} list has not been read yet", .0.about)]
    NotSynced(&'static Resource),
}

/// Why there are no metrics. Who may read a pod's metrics need not look after the
/// cluster: addresses of nodes and names of scrapers are not for them
/// (docs/decisions/0022-reviews-are-bounded-and-fair.md).
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

/// Who scrapes a node, as the end of a sentence.
fn scraped(by: Option<&(NodeName, Scrapers)>) -> String {
    by.map_or_else(String::new, |(node, scrapers)| {
        format!(" (node {node}: {scrapers})")
    })
}

/// What a missing object is called.
fn missing(resource: &Resource) -> String {
    match resource.missing {
        (kind, "") => kind.to_owned(),
        (kind, group) => format!("{kind}.{group}"),
    }
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

    /// What is refused, in a form that clients can decide on.
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

/// In JSON, and with its [`Status`], so that [`super::layers::finish`] can write
/// it in what the client prefers: who refuses does not know the request.
impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let header = match self {
            Self::Method | Self::Watch(_) => Some((ALLOW, "GET")),
            // client-go waits for this many seconds and asks again by itself.
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
