//! What is here: the documents by which clients find the group.
//!
//! Plain discovery. A client that asks for the aggregated kind and nothing else is
//! told 406 and asks again for this one.

use axum::{
    body::Body,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};

use super::{
    Served, Shared,
    accept::{self, Subject},
    answer,
    json::{self, Indenter},
    kinds::{GROUP, Version},
    status::Refusal,
};

/// `GET /`: every path.
pub(crate) async fn root(State(api): State<Shared>, request: Request) -> Result<Response, Refusal> {
    accept::negotiate(request.headers(), Subject::Document)?;
    Ok(answer::json(Body::from(paths(&api))))
}

/// `GET /apis`: the only group.
pub(crate) async fn groups(
    State(api): State<Shared>,
    request: Request,
) -> Result<Response, Refusal> {
    let address = format!(
        r#","serverAddressByClientCIDRs":[{{"clientCIDR":"0.0.0.0/0","serverAddress":":{}"}}]"#,
        api.port
    );
    let group = group_fields();
    document(
        &request,
        format!(r#"{{"kind":"APIGroupList","groups":[{{{group}{address}}}]}}"#),
    )
}

/// `GET /apis/metrics.k8s.io`: its versions.
pub(crate) async fn group(request: Request) -> Result<Response, Refusal> {
    let group = group_fields();
    document(
        &request,
        format!(r#"{{"kind":"APIGroup","apiVersion":"v1",{group}}}"#),
    )
}

/// `GET /apis/metrics.k8s.io/{version}`: its resources. Singular names are empty,
/// because `node` and `pod` would hide the core resources from kubectl
/// (PARITY 5.1).
pub(crate) async fn resources(
    State(served): State<Served>,
    request: Request,
) -> Result<Response, Refusal> {
    let version = served.version.api_version();
    document(
        &request,
        format!(
            concat!(
                r#"{{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"{}","resources":["#,
                r#"{{"name":"nodes","singularName":"","namespaced":false,"kind":"NodeMetrics","verbs":["get","list"]}},"#,
                r#"{{"name":"pods","singularName":"","namespaced":true,"kind":"PodMetrics","verbs":["get","list"]}}]}}"#
            ),
            version
        ),
    )
}

/// Whatever has no route: a `Status` within the group, the paths elsewhere.
pub(crate) async fn missing(State(api): State<Shared>, request: Request) -> Response {
    let path = request.uri().path();
    let below = path
        .strip_prefix("/apis/")
        .and_then(|path| path.strip_prefix(GROUP))
        .is_some_and(|rest| rest.starts_with('/'));
    if below {
        return Refusal::NoSuchPath.into_response();
    }
    (StatusCode::NOT_FOUND, answer::json(Body::from(paths(&api)))).into_response()
}

fn document(request: &Request, mut text: String) -> Result<Response, Refusal> {
    accept::negotiate(request.headers(), Subject::Document)?;
    text.push('\n');
    Ok(answer::json(Body::from(text)))
}

/// The fields that all descriptions of the group have.
fn group_fields() -> String {
    let version = |version: Version| {
        format!(
            r#"{{"groupVersion":"{}","version":"{}"}}"#,
            version.api_version(),
            version.name()
        )
    };
    let versions = Version::ALL.map(version).join(",");
    let [preferred, ..] = Version::ALL;
    let preferred = version(preferred);
    format!(r#""name":"{GROUP}","versions":[{versions}],"preferredVersion":{preferred}"#)
}

/// The list of paths, indented for everybody, as upstream writes it.
fn paths(api: &Shared) -> Vec<u8> {
    let own = ["/apis".to_owned(), format!("/apis/{GROUP}")].into_iter();
    let versions = Version::ALL.map(|version| format!("/apis/{}", version.api_version()));
    let mut paths: Vec<String> = own
        .chain(versions)
        .chain(api.beside.iter().cloned())
        .collect();
    paths.sort_unstable();
    let mut out = br#"{"paths":["#.to_vec();
    for (at, path) in paths.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        json::string(&mut out, path);
    }
    out.extend_from_slice(b"]}");
    Indenter::whole(&out)
}
