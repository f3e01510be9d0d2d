//! Requests to the Kubernetes API for single objects, and their errors.

use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use jiff::{Timestamp, fmt::rfc2822::DateTimeParser};
use kube::{Client, client::Body};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tributary_runtime::kube::{LONGEST_ANSWER, from_json};

/// The format of the Date header.
const DATES: DateTimeParser = DateTimeParser::new();

/// The manager of the fields that patches write. Without it managed fields say `unknown`, and so do conflicts with Helm.
const MANAGER: &str = "tributary";

/// The bytes of a refusal that errors show.
const SHOWN: usize = 300;

/// Why an object could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    /// Another client has written the object in between.
    #[error("it has changed meanwhile")]
    Conflict,
    /// The API has refused the request.
    #[error("{0}: {1}")]
    Refused(StatusCode, String),
    /// There is no response, or it cannot be read.
    #[error("{0}")]
    Unanswered(String),
}

impl Failed {
    fn unanswered(error: &dyn std::fmt::Display) -> Self {
        Self::Unanswered(error.to_string())
    }
}

/// How an object is written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Write<'a> {
    /// Patches the object, if its version is still the one in the body.
    Merge,
    /// Creates the object under this name. If another client has created it meanwhile, the API
    /// answers with a conflict. RBAC can limit `create` to a name only this way.
    Apply(&'a str),
}

/// A client of the Kubernetes API for single objects.
#[derive(Clone)]
pub(super) struct Api(Client);

impl Api {
    pub(super) const fn new(client: Client) -> Self {
        Self(client)
    }

    /// The object at `path`, if it exists, and the date by the clock of the API server.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
    ) -> Result<(Option<T>, Option<Timestamp>), Failed> {
        let request = Request::get(path).header(header::ACCEPT, "application/json");
        let (status, date, body) = self.send(request.body(Body::empty())).await?;
        if status == StatusCode::NOT_FOUND {
            return Ok((None, date));
        }
        let object = succeeded(status, &body)?;
        Ok((Some(object), date))
    }

    /// Writes the object at `path`.
    pub(super) async fn patch(
        &self,
        path: &str,
        how: Write<'_>,
        body: &Value,
    ) -> Result<(), Failed> {
        let (kind, manager) = match how {
            Write::Merge => ("application/merge-patch+json", MANAGER),
            Write::Apply(manager) => ("application/apply-patch+yaml", manager),
        };
        let request = Request::builder()
            .method(Method::PATCH)
            .uri(format!("{path}?fieldManager={manager}"))
            .header(header::CONTENT_TYPE, kind)
            .header(header::ACCEPT, "application/json");
        let body = serde_json::to_vec(body).map_err(|error| Failed::unanswered(&error))?;
        let (status, _, body) = self.send(request.body(Body::from(body))).await?;
        succeeded::<Value>(status, &body).map(drop)
    }

    async fn send(
        &self,
        request: http::Result<Request<Body>>,
    ) -> Result<(StatusCode, Option<Timestamp>, Vec<u8>), Failed> {
        let request = request.map_err(|error| Failed::unanswered(&error))?;
        let response = self.0.send(request).await;
        let response: Response<Body> = response.map_err(|error| Failed::unanswered(&error))?;
        let date = response.headers().get(header::DATE);
        let date = date.and_then(|date| DATES.parse_timestamp(date.as_bytes()).ok());
        let status = response.status();
        let body = Limited::new(response.into_body(), LONGEST_ANSWER)
            .collect()
            .await;
        let body = body.map_err(|error| Failed::unanswered(&error))?.to_bytes();
        Ok((status, date, body.to_vec()))
    }
}

fn succeeded<T: DeserializeOwned>(status: StatusCode, body: &[u8]) -> Result<T, Failed> {
    if status.is_success() {
        let text = std::str::from_utf8(body).map_err(|error| Failed::unanswered(&error))?;
        return from_json(text).map_err(|error| Failed::unanswered(&error));
    }
    if status == StatusCode::CONFLICT {
        return Err(Failed::Conflict);
    }
    let text = std::str::from_utf8(body).unwrap_or_default();
    let said: Option<Value> = from_json(text).ok();
    let said = said.as_ref().and_then(|said| said.get("message")?.as_str());
    let said = said.unwrap_or_default().chars().take(SHOWN);
    Err(Failed::Refused(status, said.collect()))
}
