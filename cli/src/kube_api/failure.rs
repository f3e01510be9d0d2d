//! Why there is no answer, in the words of the server, or of what answered instead of it.

use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, error::Category};
use tributary_kubeconfig::text;

use super::{KubeApi, exchange::Answer, interim};

/// How many characters of an answer are shown that is not a Status.
pub(super) const EXCERPT: usize = 256;

/// How many characters of the message of a Status are kept.
const MESSAGE: usize = 4_096;

/// How many characters of a content type are kept.
const CONTENT_TYPE: usize = 64;

/// What kube-apiserver answers where no API is registered. It is no Status.
const NO_SUCH_PATH: &[u8] = b"404 page not found";

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
    /// Something else than a Kubernetes API answers. The text is the same for every request.
    #[error("{0}")]
    Foreign(String),
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

/// Whether this is how the Kubernetes API says why it refuses a request.
pub(super) fn is_status(document: &Value) -> bool {
    document.get("kind").is_some_and(|kind| kind == "Status")
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

fn with_content(answer: &Answer) -> &str {
    match &*answer.content_type {
        "" => "no content type",
        content => content,
    }
}

impl KubeApi {
    /// Without the path: callers say what they read, and an API that is silent is so for all of it.
    pub(super) fn silent(&self) -> Failure {
        let (server, limit) = (&self.server, self.limit);
        Failure::Failed(format!("no answer from {server} in {limit:?}"))
    }

    /// An answer has to come after so many that only inform.
    pub(super) fn only_informs(&self) -> Failure {
        let (server, most) = (&self.server, interim::MOST);
        Failure::Unreachable(format!(
            "failed to ask {server}: more than {most} informational responses before the answer"
        ))
    }

    /// What answers is something else.
    pub(super) fn no_kubernetes(&self, path: &str, answer: &Answer) -> Failure {
        let (server, status) = (&self.server, answer.status);
        let content = with_content(answer);
        Failure::Foreign(format!(
            "{server} is not a Kubernetes API, or something before it answers: it answers {path} with {status} and {content}"
        ))
    }

    pub(super) fn unreachable(&self, error: &kube::Error) -> Failure {
        let server = &self.server;
        Failure::Unreachable(format!("failed to ask {server}: {}", text(error)))
    }

    /// What cannot be decoded: it is no JSON, or not the expected object.
    pub(super) fn undecodable(
        &self,
        path: &str,
        answer: &Answer,
        error: &serde_json::Error,
    ) -> Failure {
        match error.classify() {
            Category::Syntax | Category::Eof => self.foreign(answer),
            Category::Data | Category::Io => self.unreadable(path, error),
        }
    }

    /// Something answers, and it is not JSON. Without the path, as for one that is silent.
    fn foreign(&self, answer: &Answer) -> Failure {
        let (server, status) = (&self.server, answer.status);
        let content = with_content(answer);
        Failure::Failed(format!(
            "{server} answers {status} with {content}, and not JSON: it is not a Kubernetes API, or something before it answers"
        ))
    }

    /// JSON that is not the expected object.
    fn unreadable(&self, path: &str, error: &serde_json::Error) -> Failure {
        let server = &self.server;
        Failure::Failed(format!("failed to read {server}{path}: {error}"))
    }

    /// An answer with a status that is an error.
    pub(super) fn refusal(&self, path: &str, answer: &Answer) -> Failure {
        let document = serde_json::from_slice::<Value>(&answer.body).unwrap_or_default();
        let said = document.get("message").and_then(Value::as_str);
        let no_such_path = answer.body.trim_ascii() == NO_SUCH_PATH;
        let text = match said {
            Some(said) => said.chars().take(MESSAGE).collect(),
            None => self.excerpt(path, answer),
        };
        match answer.status {
            // Anything else is not from kube-apiserver or a server behind it.
            StatusCode::NOT_FOUND if is_status(&document) || no_such_path => {
                Failure::NotFound(text)
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Failure::Forbidden(text),
            StatusCode::SERVICE_UNAVAILABLE => Failure::Unavailable(text),
            StatusCode::CONFLICT => Failure::Conflict(text),
            _ => Failure::Failed(text),
        }
    }

    /// What came instead of a Status.
    fn excerpt(&self, path: &str, answer: &Answer) -> String {
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
