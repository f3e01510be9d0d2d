//! Whether it is a Kubernetes API that answers.
//!
//! Any HTTP server may answer 404, `{}` or a web page to everything, and would be taken for a cluster in which nothing is
//! installed. So no answer counts before the server has answered `/version` and `/api` as only a Kubernetes API does. That is
//! asked once, when the client is made, and again where it failed.

use std::time::Duration;

use http::{Request, StatusCode, header};
use kube::client::Body;
use serde_json::Value;
use tokio::{
    sync::{Semaphore, watch},
    time::Instant,
};

use super::{
    Failure, KubeApi, OBJECT,
    decode::{self, Memory},
    failure::{failed, is_status},
};

/// How long a failure counts for other requests, most of which come together.
const COUNTS_FOR: Duration = Duration::from_secs(1);

/// What is known of the server.
#[derive(Debug)]
pub(super) struct Proof {
    /// The turn of those who ask.
    turn: Semaphore,
    last: watch::Sender<Option<Last>>,
}

/// What came of it last.
#[derive(Clone, Debug)]
struct Last {
    at: Instant,
    proven: Result<(), Failure>,
}

impl Default for Proof {
    fn default() -> Self {
        Self {
            turn: Semaphore::new(1),
            last: watch::Sender::new(None),
        }
    }
}

impl Proof {
    /// One that need not be asked for.
    #[cfg(test)]
    pub(super) fn given() -> std::sync::Arc<Self> {
        let proof = Self::default();
        proof.set(Ok(()));
        std::sync::Arc::new(proof)
    }

    fn set(&self, proven: Result<(), Failure>) {
        let at = Instant::now();
        self.last.send_replace(Some(Last { at, proven }));
    }

    /// What counts now.
    fn known(&self) -> Option<Result<(), Failure>> {
        let last = self.last.borrow().clone()?;
        let counts = last.proven.is_ok() || last.at.elapsed() < COUNTS_FOR;
        counts.then_some(last.proven)
    }
}

impl KubeApi {
    /// Ends well if the server is a Kubernetes API.
    ///
    /// # Errors
    ///
    /// It is something else, or does not answer.
    pub(super) async fn proven(&self) -> Result<(), Failure> {
        if let Some(known) = self.proof.known() {
            return known;
        }
        let _turn = self.proof.turn.acquire().await.map_err(failed)?;
        // Another request may have asked meanwhile.
        if let Some(known) = self.proof.known() {
            return known;
        }
        let (version, api) = futures::join!(
            self.answers_as_kubernetes("/version", is_version),
            self.answers_as_kubernetes("/api", is_api_versions),
        );
        let proven = version.and(api);
        self.proof.set(proven.clone());
        proven
    }

    async fn answers_as_kubernetes(
        &self,
        path: &str,
        is_expected: fn(&Value) -> bool,
    ) -> Result<(), Failure> {
        let request = Request::get(path).header(header::ACCEPT, "application/json");
        let request = request.body(Body::empty()).map_err(failed)?;
        let mut end = Instant::now() + self.limit;
        let Some(answer) = self.exchange(request, &mut end).await? else {
            return Err(self.silent());
        };
        let mut left = OBJECT;
        let memory = Memory {
            most: OBJECT,
            left: &mut left,
        };
        let document: Value = decode::object(&answer.body, memory).unwrap_or_default();
        let status = answer.status;
        let is_busy = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
        let is_denied = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        if status.is_success() {
            if is_expected(&document) {
                return Ok(());
            }
        } else if is_busy || is_denied {
            // Only a Kubernetes API refuses like this, so that is known. Others may come before one.
            if is_status(&document) {
                return Ok(());
            }
            return Err(self.refusal(path, &answer));
        }
        Err(self.no_kubernetes(path, &answer))
    }
}

fn is_version(document: &Value) -> bool {
    let version = document.get("gitVersion").and_then(Value::as_str);
    version.is_some_and(|version| !version.is_empty())
}

fn is_api_versions(document: &Value) -> bool {
    let is_kind = document
        .get("kind")
        .is_some_and(|kind| kind == "APIVersions");
    let versions = document.get("versions").and_then(Value::as_array);
    is_kind && versions.is_some_and(|versions| !versions.is_empty())
}
