//! A scripted Kubernetes API.

use std::{io, sync::Arc, time::Duration};

use http::{Request, Response};
use http_body_util::BodyExt as _;
use kube::{Client, client::Body};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tower::BoxError;

/// What the cluster does with a request.
pub(super) enum Reply {
    /// Answers with this status and body.
    Json(u16, Value),
    /// Answers with this status of a review, after this time.
    Late(Duration, Value),
    /// Cuts the connection.
    Cut(io::ErrorKind),
    /// Does not answer.
    Never,
}

/// The requests that the cluster received: the last part of the path, and the `spec` of the review.
#[derive(Clone, Default)]
pub(super) struct Asked(Arc<Mutex<Vec<(String, Value)>>>);

impl Asked {
    pub(super) fn all(&self) -> Vec<(String, Value)> {
        self.0.lock().clone()
    }

    pub(super) fn count(&self) -> usize {
        self.0.lock().len()
    }

    /// The specs of all access reviews.
    pub(super) fn access(&self) -> Vec<Value> {
        let mut all = self.all();
        all.retain(|(kind, _)| kind == "subjectaccessreviews");
        all.into_iter().map(|(_, spec)| spec).collect()
    }
}

/// A real client of a cluster that answers as `reply` says. `reply` gets the kind of the review, its spec, and the
/// number of earlier requests.
pub(super) fn cluster(
    reply: impl Fn(&str, &Value, usize) -> Reply + Send + Sync + 'static,
) -> (Client, Asked) {
    let asked = Asked::default();
    let (reply, seen) = (Arc::new(reply), asked.clone());
    let service = tower::service_fn(move |request: Request<Body>| {
        let (reply, seen) = (Arc::clone(&reply), seen.clone());
        async move {
            let (head, body) = request.into_parts();
            let kind = head.uri.path().rsplit('/').next().unwrap().to_owned();
            let body = body.collect().await?.to_bytes();
            let review: Value = serde_json::from_slice(&body)?;
            let before = seen.count();
            let spec = review["spec"].clone();
            seen.0.lock().push((kind.clone(), spec.clone()));
            match reply(&kind, &spec, before) {
                Reply::Json(code, body) => {
                    let body = Body::from(body.to_string().into_bytes());
                    Ok::<_, BoxError>(Response::builder().status(code).body(body)?)
                }
                Reply::Late(after, status) => {
                    tokio::time::sleep(after).await;
                    let body = reviewed(&status).to_string();
                    let body = Body::from(body.into_bytes());
                    Ok(Response::builder().status(201).body(body)?)
                }
                Reply::Cut(kind) => Err(io::Error::from(kind).into()),
                Reply::Never => std::future::pending().await,
            }
        }
    });
    (Client::new(service, "default"), asked)
}

/// A review with this status.
pub(super) fn status(status: &Value) -> Reply {
    Reply::Json(201, reviewed(status))
}

fn reviewed(status: &Value) -> Value {
    json!({ "metadata": {}, "spec": {}, "status": status })
}

/// An error in the form of the Kubernetes API.
pub(super) fn failure(code: u16, reason: &str, message: &str) -> Reply {
    Reply::Json(
        code,
        json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "reason": reason, "message": message, "code": code }),
    )
}

/// The cluster from which answers of metrics-server v0.9.0 were recorded. Tokens `ok:<user>` are valid. Users
/// `denied-*` and the anonymous user are denied. The authorizer cannot decide about `boom`.
pub(super) fn golden() -> (Client, Asked) {
    cluster(|kind, spec, _| {
        if kind == "tokenreviews" {
            return match spec["token"].as_str().unwrap().strip_prefix("ok:") {
                Some(user) => status(&json!({ "authenticated": true,
                    "user": { "username": user, "uid": "u1", "groups": ["g1"] } })),
                None => status(&json!({ "user": {} })),
            };
        }
        match spec["user"].as_str().unwrap() {
            "boom" => failure(500, "InternalError", "boom"),
            user if user.starts_with("denied-") || user == "system:anonymous" => {
                status(&json!({ "allowed": false, "reason": "fake reason" }))
            }
            _ => status(&json!({ "allowed": true })),
        }
    })
}
