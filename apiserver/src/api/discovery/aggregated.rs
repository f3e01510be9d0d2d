//! Aggregated discovery: all groups, versions and resources in one document, with
//! a tag, so that the aggregator's polling costs nothing.

use axum::{
    http::{
        HeaderMap, HeaderValue,
        header::{CACHE_CONTROL, CONTENT_TYPE, VARY},
    },
    response::Response,
};

use super::super::{
    document::Document,
    kinds::{GROUP, Version},
};

/// The document in `version` of `apidiscovery.k8s.io`; 304 for who has it.
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
    let resource = |name: &str, kind: &str, scope: &str| {
        format!(
            concat!(
                r#"{{"resource":"{}","responseKind":{{"group":"","version":"","kind":"{}"}},"#,
                r#""scope":"{}","singularResource":"","verbs":["get","list"]}}"#
            ),
            name, kind, scope
        )
    };
    let nodes = resource("nodes", "NodeMetrics", "Cluster");
    let pods = resource("pods", "PodMetrics", "Namespaced");
    let versions = Version::ALL.map(|version| {
        format!(
            r#"{{"version":"{}","resources":[{nodes},{pods}],"freshness":"Current"}}"#,
            version.name()
        )
    });
    format!(
        concat!(
            r#"{{"kind":"APIGroupDiscoveryList","apiVersion":"apidiscovery.k8s.io/{}","metadata":{{}},"#,
            r#""items":[{{"metadata":{{"name":"{}"}},"versions":[{}]}}]}}"#,
            "\n"
        ),
        version,
        GROUP,
        versions.join(",")
    )
}
