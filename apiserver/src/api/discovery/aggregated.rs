//! Aggregated discovery: all groups, versions and resources in one document, with an `ETag`, so that the polls of the
//! aggregator cost nothing.

use axum::{
    http::{
        HeaderMap, HeaderValue,
        header::{CACHE_CONTROL, CONTENT_TYPE, VARY},
    },
    response::Response,
};

use super::{
    super::{
        document::Document,
        kinds::{GROUPS, Group},
    },
    names,
};
use crate::k8s::resource::Resource;

/// The document in `version` of `apidiscovery.k8s.io`, or 304 if the client has it.
pub(super) fn response(headers: &HeaderMap, version: &str) -> Response {
    let mut response = Document::new(document(version).into_bytes()).response(headers);
    let kind =
        format!("application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList");
    let headers = response.headers_mut();
    if headers.contains_key(CONTENT_TYPE)
        && let Ok(kind) = HeaderValue::try_from(kind)
    {
        headers.insert(CONTENT_TYPE, kind);
    }
    headers.insert(VARY, HeaderValue::from_static("Accept"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public"));
    response
}

fn document(version: &str) -> String {
    let groups: Vec<String> = GROUPS.iter().map(group).collect();
    format!(
        concat!(
            r#"{{"kind":"APIGroupDiscoveryList","apiVersion":"apidiscovery.k8s.io/{}","metadata":{{}},"#,
            r#""items":[{}]}}"#,
            "\n"
        ),
        version,
        groups.join(",")
    )
}

fn group(group: &Group) -> String {
    let resources: Vec<String> = group.resources().map(resource).collect();
    let resources = resources.join(",");
    let versions = group.versions.iter().map(|version| {
        format!(
            r#"{{"version":"{}","resources":[{resources}],"freshness":"Current"}}"#,
            version.name
        )
    });
    let versions: Vec<String> = versions.collect();
    format!(
        r#"{{"metadata":{{"name":"{}"}},"versions":[{}]}}"#,
        group.name,
        versions.join(",")
    )
}

fn resource(resource: &Resource) -> String {
    format!(
        concat!(
            r#"{{"resource":"{}","responseKind":{{"group":"","version":"","kind":"{}"}},"#,
            r#""scope":"{}","singularResource":"{}","verbs":{}{}}}"#
        ),
        resource.plural,
        resource.kind,
        if resource.namespaced {
            "Namespaced"
        } else {
            "Cluster"
        },
        resource.singular,
        names(resource.verbs()),
        match resource.short {
            [] => String::new(),
            short => format!(r#","shortNames":{}"#, names(short)),
        },
    )
}
