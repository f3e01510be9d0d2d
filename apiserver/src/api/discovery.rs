//! What is here: the documents by which clients find the group
//! (docs/parity.md#discovery).

mod aggregated;
mod protobuf;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode},
    response::{IntoResponse as _, Response},
};

use super::{
    Served, Shared,
    accept::{self, Encoding, Subject},
    answer,
    json::{self, Indenter},
    kinds::{GROUP, Version},
    status::Refusal,
    yaml,
};

/// `GET /`: every path.
pub(crate) async fn root(State(api): State<Shared>, request: Request) -> Result<Response, Refusal> {
    accept::negotiate(request.headers(), Subject::Document)?;
    Ok(answer::typed(Encoding::Json, Body::from(paths(&api))))
}

/// `GET /version`: ours, where upstream tells that of a library; indented for
/// everybody, as upstream writes it.
pub(crate) async fn version(request: Request) -> Result<Response, Refusal> {
    accept::negotiate(request.headers(), Subject::Document)?;
    let version = format!(
        concat!(
            r#"{{"major":"{}","minor":"{}","gitVersion":"v{}","gitCommit":"","gitTreeState":"","#,
            r#""buildDate":"1970-01-01T00:00:00Z","goVersion":"","compiler":"rustc","#,
            r#""platform":"{}/{}"}}"#
        ),
        env!("CARGO_PKG_VERSION_MAJOR"),
        env!("CARGO_PKG_VERSION_MINOR"),
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        // As Go calls them.
        match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        },
    );
    let version = Indenter::whole(version.as_bytes());
    Ok(answer::typed(Encoding::Json, Body::from(version)))
}

/// `GET /apis`: the only group, with all that is in it for who asks so.
pub(crate) async fn groups(
    State(api): State<Shared>,
    request: Request,
) -> Result<Response, Refusal> {
    let headers = request.headers();
    let wanted = accept::negotiate(headers, Subject::Groups)?;
    if let Some(version) = wanted.aggregated {
        return Ok(aggregated::response(headers, version));
    }
    let address = format!(":{}", api.port);
    let message = protobuf::groups(&address);
    let json = format!(
        concat!(
            r#"{{"kind":"APIGroupList","groups":[{{{},"#,
            r#""serverAddressByClientCIDRs":[{{"clientCIDR":"0.0.0.0/0","serverAddress":"{}"}}]}}]}}"#
        ),
        group_fields(),
        address
    );
    document(headers, json, ("APIGroupList", message))
}

/// `GET /apis/metrics.k8s.io`: its versions.
pub(crate) async fn group(request: Request) -> Result<Response, Refusal> {
    let group = group_fields();
    let json = format!(r#"{{"kind":"APIGroup","apiVersion":"v1",{group}}}"#);
    document(request.headers(), json, ("APIGroup", protobuf::group()))
}

/// `GET /apis/metrics.k8s.io/{version}`: its resources. Singular names are empty,
/// because `node` and `pod` would hide the core resources from kubectl
/// (docs/parity.md#discovery).
pub(crate) fn resources(served: &Served, request: &Request) -> Result<Response, Refusal> {
    let version = served.version.api_version();
    let json = format!(
        concat!(
            r#"{{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"{}","resources":["#,
            r#"{{"name":"nodes","singularName":"","namespaced":false,"kind":"NodeMetrics","verbs":["get","list"]}},"#,
            r#"{{"name":"pods","singularName":"","namespaced":true,"kind":"PodMetrics","verbs":["get","list"]}}]}}"#
        ),
        version
    );
    let message = protobuf::resources(version);
    document(request.headers(), json, ("APIResourceList", message))
}

/// Whatever has no route: a `Status` within the group and below `/version`, the paths
/// elsewhere. As upstream, any number of slashes may follow these two.
pub(crate) async fn missing(State(api): State<Shared>, request: Request) -> Response {
    let path = request.uri().path();
    let below = |root: &str| path.strip_prefix(root).filter(|rest| rest.starts_with('/'));
    let below_group = path.strip_prefix("/apis/").and_then(|path| {
        let rest = path.strip_prefix(GROUP)?;
        rest.starts_with('/').then_some(rest)
    });
    let known = below_group.or_else(|| below("/version"));
    if let Some(rest) = known {
        let is_root = rest.bytes().all(|byte| byte == b'/');
        return match (is_root, request.method() == Method::GET, below_group) {
            (false, ..) => Refusal::NoSuchPath.into_response(),
            (true, false, _) => Refusal::Method.into_response(),
            (true, true, Some(_)) => group(request).await.into_response(),
            (true, true, None) => version(request).await.into_response(),
        };
    }
    let paths = answer::typed(Encoding::Json, Body::from(paths(&api)));
    (StatusCode::NOT_FOUND, paths).into_response()
}

/// A document in what the client prefers.
fn document(
    headers: &HeaderMap,
    mut json: String,
    (kind, message): (&str, Vec<u8>),
) -> Result<Response, Refusal> {
    let encoding = accept::negotiate(headers, Subject::Discovery)?.encoding;
    let body = match encoding {
        Encoding::Json => {
            json.push('\n');
            json.into_bytes()
        }
        Encoding::Yaml => yaml::of_json(json.as_bytes()),
        Encoding::Protobuf => super::protobuf::wrapped("v1", kind, &message),
    };
    Ok(answer::typed(encoding, Body::from(body)))
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
    let others = ["/openapi/v2", "/openapi/v3", "/openapi/v3/", "/version"];
    let mut paths: Vec<String> = own
        .chain(versions)
        .chain(others.map(str::to_owned))
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
