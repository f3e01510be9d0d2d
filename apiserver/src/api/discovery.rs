//! Discovery: the documents by which clients find the groups, versions and resources (docs/parity.md#discovery).

mod aggregated;
mod protobuf;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode},
    response::{IntoResponse as _, Response},
};

use super::{
    Served, SharedApi, answer,
    kinds::{GROUPS, Group},
    status::Refusal,
};
use crate::k8s::{
    accept::{self, Encoding, Subject},
    json::{self, Indenter},
    protobuf as wire,
    resource::{Resource, Version},
    yaml,
};

/// `GET /`: every path.
pub(crate) async fn root(
    State(api): State<SharedApi>,
    request: Request,
) -> Result<Response, Refusal> {
    accept::negotiate(request.headers(), Subject::Document)?;
    Ok(answer::typed(Encoding::Json, Body::from(paths(&api))))
}

/// `GET /version`: the version of this frontend. (Upstream has the version of a library here.) It is always indented,
/// as upstream.
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
        // Go's names of architectures.
        match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        },
    );
    let version = Indenter::whole(version.as_bytes());
    Ok(answer::typed(Encoding::Json, Body::from(version)))
}

/// `GET /apis`: the groups, with their content if the client asks for aggregated discovery.
pub(crate) async fn groups(
    State(api): State<SharedApi>,
    request: Request,
) -> Result<Response, Refusal> {
    let headers = request.headers();
    let negotiated = accept::negotiate(headers, Subject::Groups)?;
    if let Some(version) = negotiated.aggregated {
        return Ok(aggregated::response(headers, version));
    }
    let address = format!(":{}", api.port);
    let message = protobuf::groups(&GROUPS, &address);
    let groups = GROUPS.iter().map(|group| {
        format!(
            r#"{{{},"serverAddressByClientCIDRs":[{{"clientCIDR":"0.0.0.0/0","serverAddress":"{address}"}}]}}"#,
            group_fields(group)
        )
    });
    let groups: Vec<String> = groups.collect();
    let groups = groups.join(",");
    let json = format!(r#"{{"kind":"APIGroupList","groups":[{groups}]}}"#);
    document(headers, json, "APIGroupList", &message)
}

/// `GET /apis/{group}`: its versions.
pub(crate) async fn group(
    State(group): State<&'static Group>,
    request: Request,
) -> Result<Response, Refusal> {
    described(group, &request)
}

fn described(group: &Group, request: &Request) -> Result<Response, Refusal> {
    let fields = group_fields(group);
    let json = format!(r#"{{"kind":"APIGroup","apiVersion":"v1",{fields}}}"#);
    document(request.headers(), json, "APIGroup", &protobuf::group(group))
}

/// `GET /apis/{group}/{version}`: its resources.
pub(crate) fn resources(served: &Served, request: &Request) -> Result<Response, Refusal> {
    let Served { group, version, .. } = *served;
    let resources: Vec<String> = group.resources().map(resource).collect();
    let json = format!(
        r#"{{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"{}","resources":[{}]}}"#,
        version.api_version,
        resources.join(",")
    );
    let message = protobuf::resources(group, version);
    document(request.headers(), json, "APIResourceList", &message)
}

fn resource(resource: &Resource) -> String {
    format!(
        r#"{{"name":"{}","singularName":"{}","namespaced":{},"kind":"{}","verbs":{}{}}}"#,
        resource.plural,
        resource.singular,
        resource.namespaced,
        resource.kind,
        names(resource.verbs()),
        match resource.short {
            [] => String::new(),
            short => format!(r#","shortNames":{}"#, names(short)),
        },
    )
}

/// Names that need no escapes, as a list in JSON.
fn names(names: &[&str]) -> String {
    format!(r#"["{}"]"#, names.join(r#"",""#))
}

/// The answer for a path without a route: a `Status` below a group or `/version`, and the list of paths elsewhere. As
/// upstream, any number of slashes may follow a group or `/version`.
pub(crate) async fn missing(State(api): State<SharedApi>, request: Request) -> Response {
    let path = request.uri().path();
    let below = |root: &str| path.strip_prefix(root).filter(|rest| rest.starts_with('/'));
    let below_group = path.strip_prefix("/apis/").and_then(|path| {
        let (name, _) = path.split_once('/')?;
        Some((Group::find(name)?, path.strip_prefix(name)?))
    });
    let rest = below_group.map(|(_, rest)| rest);
    if let Some(rest) = rest.or_else(|| below("/version")) {
        let is_root = rest.bytes().all(|byte| byte == b'/');
        return match (is_root, request.method() == Method::GET, below_group) {
            (false, ..) => Refusal::NoSuchPath.into_response(),
            (true, false, _) => Refusal::Method.into_response(),
            (true, true, Some((group, _))) => described(group, &request).into_response(),
            (true, true, None) => version(request).await.into_response(),
        };
    }
    let paths = answer::typed(Encoding::Json, Body::from(paths(&api)));
    (StatusCode::NOT_FOUND, paths).into_response()
}

/// A document in the encoding that the client prefers.
fn document(
    headers: &HeaderMap,
    mut json: String,
    kind: &str,
    message: &[u8],
) -> Result<Response, Refusal> {
    let encoding = accept::negotiate(headers, Subject::Discovery)?.encoding;
    let body = match encoding {
        Encoding::Json => {
            json.push('\n');
            json.into_bytes()
        }
        Encoding::Yaml => yaml::of_json(json.as_bytes()),
        Encoding::Protobuf => wire::wrapped("v1", kind, message),
    };
    Ok(answer::typed(encoding, Body::from(body)))
}

/// The fields that all descriptions of a group have.
fn group_fields(group: &Group) -> String {
    let version = |version: &Version| {
        format!(
            r#"{{"groupVersion":"{}","version":"{}"}}"#,
            version.api_version, version.name
        )
    };
    let versions: Vec<String> = group.versions.iter().map(version).collect();
    let preferred = versions.first().map_or("{}", String::as_str);
    format!(
        r#""name":"{}","versions":[{}],"preferredVersion":{preferred}"#,
        group.name,
        versions.join(",")
    )
}

/// The list of paths. It is always indented, as upstream.
fn paths(api: &SharedApi) -> Vec<u8> {
    let own = GROUPS.iter().flat_map(|group| {
        let versions = group.versions.iter();
        let versions = versions.map(|version| format!("/apis/{}", version.api_version));
        std::iter::once(format!("/apis/{}", group.name)).chain(versions)
    });
    let others = [
        "/apis",
        "/openapi/v2",
        "/openapi/v3",
        "/openapi/v3/",
        "/version",
    ];
    let mut paths: Vec<String> = own
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
