//! Who may ask: whoever shows a certificate of a CA that the flags name.
//!
//! In a cluster that is the front proxy of kube-apiserver, which has
//! authenticated and authorized the user before it passes a request on. TLS has
//! verified the certificate; here it is only asked whether there is one.

use axum::{
    extract::Request,
    http::{StatusCode, header::CONTENT_TYPE},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use tributary_runtime::serve::Peer;

/// Paths that anybody may ask for: probes have no credentials (PARITY 1.7).
const OPEN: [&str; 3] = ["/healthz", "/livez", "/readyz"];

/// The words of every Kubernetes server (PARITY 5.5).
const UNAUTHORIZED: &str = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401}"#;

/// Lets a request pass, or answers 401.
pub(crate) async fn require_certificate(request: Request, next: Next) -> Response {
    let known = request
        .extensions()
        .get::<Peer>()
        .is_some_and(|peer| !peer.certificates.is_empty());
    if known || OPEN.contains(&request.uri().path()) {
        next.run(request).await
    } else {
        let json = [(CONTENT_TYPE, "application/json")];
        (StatusCode::UNAUTHORIZED, json, UNAUTHORIZED).into_response()
    }
}
