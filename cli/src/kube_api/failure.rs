//! Why there is no answer, in the words of the server, or of what answered instead of it.

use http::{HeaderMap, StatusCode, header};
use serde_json::Value;
use tributary_kubeconfig::text;

use super::{KubeApi, Raw};

/// How many characters of an answer are shown that is not a Status.
pub(super) const EXCERPT: usize = 256;

/// How many characters of the message of a Status are kept.
const MESSAGE: usize = 4_096;

/// How many characters of a content type are kept.
const CONTENT_TYPE: usize = 64;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// 404: no such object, or no such resource.
    #[error("{0}")]
    NotFound(String),
    /// 401 or 403.
    #[error("{0}")]
    Forbidden(String),
    /// 503: the aggregator has no server to ask.
    #[error("{0}")]
    Unavailable(String),
    /// 409: another writer was first.
    #[error("{0}")]
    Conflict(String),
    /// There is no connection to the Kubernetes API: nothing can be read. The text is the same for every request.
    #[error("{0}")]
    Unreachable(String),
    /// Anything else: no time, another status, not what was expected.
    #[error("{0}")]
    Failed(String),
}

impl Failure {
    /// The same with its status, if no server answers: the message of a Status need not say that.
    #[must_use]
    pub fn with_status(&self) -> Self {
        match self {
            Self::Unavailable(why) if !why.contains("503") => {
                Self::Unavailable(format!("503: {why}"))
            }
            other => other.clone(),
        }
    }
}

pub(super) fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::Failed(error.to_string())
}

/// What an answer says that it is, for people.
pub(super) fn content_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE);
    let value = value.and_then(|value| value.to_str().ok());
    value
        .unwrap_or_default()
        .chars()
        .take(CONTENT_TYPE)
        .collect()
}

impl KubeApi {
    /// Without the path: callers say what they read, and an API that is silent is so for all of it.
    pub(super) fn silent(&self) -> Failure {
        let (server, limit) = (&self.server, self.limit);
        Failure::Failed(format!("no answer from {server} in {limit:?}"))
    }

    pub(super) fn unreachable(&self, error: &kube::Error) -> Failure {
        let server = &self.server;
        Failure::Unreachable(format!("failed to ask {server}: {}", text(error)))
    }

    /// Something answers, and it is not JSON. Without the path, as for one that is silent.
    pub(super) fn foreign(&self, answer: &Raw) -> Failure {
        let (server, status) = (&self.server, answer.status);
        let content = match &*answer.content_type {
            "" => "no content type",
            content => content,
        };
        Failure::Failed(format!(
            "{server} answers {status} with {content}, and not JSON: it is not a Kubernetes API, or something before it answers"
        ))
    }

    /// JSON that is not the expected object.
    pub(super) fn unreadable(&self, path: &str, error: &serde_json::Error) -> Failure {
        let server = &self.server;
        Failure::Failed(format!("failed to read {server}{path}: {error}"))
    }

    /// An answer with a status that is an error.
    pub(super) fn refusal(&self, path: &str, answer: &Raw) -> Failure {
        let said = serde_json::from_slice::<Value>(&answer.body).unwrap_or_default();
        let said = said.get("message").and_then(Value::as_str);
        let text = match said {
            Some(said) => said.chars().take(MESSAGE).collect(),
            None => self.excerpt(path, answer),
        };
        match answer.status {
            // kube-apiserver and the servers behind it have no web pages.
            StatusCode::NOT_FOUND if !answer.content_type.starts_with("text/html") => {
                Failure::NotFound(text)
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Failure::Forbidden(text),
            StatusCode::SERVICE_UNAVAILABLE => Failure::Unavailable(text),
            StatusCode::CONFLICT => Failure::Conflict(text),
            _ => Failure::Failed(text),
        }
    }

    /// What came instead of a Status.
    fn excerpt(&self, path: &str, answer: &Raw) -> String {
        let (server, status) = (&self.server, answer.status);
        let content = match &*answer.content_type {
            "" => String::new(),
            content => format!(" with {content}"),
        };
        let text = String::from_utf8_lossy(&answer.body);
        let text: String = text.trim().chars().take(EXCERPT).collect();
        format!("{server}{path}: {status}{content}: {text}")
    }
}
