//! Reads method, path and query as attributes of RBAC.
//!
//! It follows `RequestInfoFactory` of k8s.io/apiserver. The segments of the path are those of the
//! router, so that both read the same request.

use axum::extract::Query;
use http::{Method, Uri};
use k8s_openapi::{
    api::authorization::v1::{
        FieldSelectorAttributes, LabelSelectorAttributes, NonResourceAttributes, ResourceAttributes,
    },
    apimachinery::pkg::apis::meta::v1::{FieldSelectorRequirement, LabelSelectorRequirement},
};
use tributary_runtime::selector::Selector;

use crate::k8s::{fields::Fields, path, resource::Resources};

/// What a request wants to do.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Attributes {
    /// A resource below `/api/<version>` or `/apis/<group>/<version>`.
    Resource(Box<ResourceAttributes>),
    /// Any other path.
    Path {
        /// The method in lower case.
        verb: String,
        /// The path, decoded.
        path: String,
    },
}

impl Attributes {
    /// Reads a request. The fields by which `resources` can be selected are read, too.
    pub(crate) fn of(method: &Method, uri: &Uri, resources: &Resources) -> Self {
        let segments = path::segments(uri.path());
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let resource = match segments.as_slice() {
            ["api", version, rest @ ..] if !rest.is_empty() => named("", version, rest),
            ["apis", group, version, rest @ ..] if !rest.is_empty() => named(group, version, rest),
            _ => {
                return Self::Path {
                    verb: method.as_str().to_ascii_lowercase(),
                    path: path::decoded(uri.path()),
                };
            }
        };
        Self::Resource(Box::new(with_verb(resource, method, uri, resources)))
    }

    /// Whether the request is a watch.
    pub(crate) fn is_watch(&self) -> bool {
        match self {
            Self::Resource(resource) => resource.verb.as_deref() == Some("watch"),
            Self::Path { .. } => false,
        }
    }

    /// The attributes of a review for a resource.
    pub(crate) fn resource(&self) -> Option<ResourceAttributes> {
        match self {
            Self::Resource(resource) => Some(resource.as_ref().clone()),
            Self::Path { .. } => None,
        }
    }

    /// The attributes of a review for a path.
    pub(crate) fn path(&self) -> Option<NonResourceAttributes> {
        match self {
            Self::Resource(_) => None,
            Self::Path { verb, path } => Some(NonResourceAttributes {
                path: Some(path.clone()),
                verb: Some(verb.clone()),
            }),
        }
    }
}

fn filled(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// Namespace, resource, name and subresource from what follows the version.
fn named(group: &str, version: &str, rest: &[&str]) -> ResourceAttributes {
    let (namespace, rest) = match rest {
        // A namespace itself has `status` and `finalize`. Any other segment after its name is a
        // resource in it.
        ["namespaces", namespace, below, ..] if !matches!(*below, "status" | "finalize") => {
            (*namespace, rest.get(2..).unwrap_or_default())
        }
        ["namespaces", namespace, ..] => (*namespace, rest),
        _ => ("", rest),
    };
    let part = |at: usize| filled(rest.get(at).copied().unwrap_or_default());
    ResourceAttributes {
        group: filled(group),
        version: filled(version),
        namespace: filled(namespace),
        resource: part(0),
        name: part(1),
        subresource: part(2),
        ..ResourceAttributes::default()
    }
}

fn with_verb(
    mut resource: ResourceAttributes,
    method: &Method,
    uri: &Uri,
    resources: &Resources,
) -> ResourceAttributes {
    let one = resource.name.is_some();
    let verb = match method.as_str() {
        "GET" | "HEAD" if one => "get",
        "GET" | "HEAD" => {
            let query = Pairs::of(uri);
            let fields = fields(&resource, query.first("fieldSelector"), resources);
            resource.name = fields.as_ref().and_then(exact_name);
            resource.field_selector = fields.as_ref().and_then(field_requirements);
            resource.label_selector = label_requirements(query.first("labelSelector"));
            if query.flag("watch") { "watch" } else { "list" }
        }
        "POST" => "create",
        "PUT" => "update",
        "PATCH" => "patch",
        "DELETE" if one => "delete",
        "DELETE" => "deletecollection",
        _ => "",
    };
    resource.verb = Some(verb.to_owned());
    resource
}

/// The conditions on fields. `None` if there are none, or if they cannot be read, which the API
/// reports. They can only narrow the request, so a review without them is safe.
fn fields(resource: &ResourceAttributes, text: &str, resources: &Resources) -> Option<Fields> {
    let (group, plural) = (resource.group.as_deref()?, resource.resource.as_deref()?);
    Fields::parse(text, resources.find(group, plural)?).ok()
}

fn exact_name(fields: &Fields) -> Option<String> {
    let mut exact = fields
        .terms()
        .filter(|(path, equals, _)| *path == "metadata.name" && *equals);
    let (_, _, name) = exact.next()?;
    let fits = !matches!(name, "" | "." | "..") && !name.contains(['/', '%']);
    fits.then(|| name.to_owned())
}

fn field_requirements(fields: &Fields) -> Option<FieldSelectorAttributes> {
    let requirements: Vec<_> = fields
        .terms()
        .map(|(path, equals, value)| FieldSelectorRequirement {
            key: path.to_owned(),
            operator: if equals { "In" } else { "NotIn" }.to_owned(),
            values: Some(vec![value.to_owned()]),
        })
        .collect();
    (!requirements.is_empty()).then_some(FieldSelectorAttributes {
        raw_selector: None,
        requirements: Some(requirements),
    })
}

fn label_requirements(text: &str) -> Option<LabelSelectorAttributes> {
    let selector: Selector = text.parse().ok()?;
    let requirements: Vec<_> = selector
        .requirements()
        .map(|(key, operator, values)| LabelSelectorRequirement {
            key: key.to_owned(),
            operator: operator.to_owned(),
            values: (!values.is_empty()).then(|| values.to_vec()),
        })
        .collect();
    (!requirements.is_empty()).then_some(LabelSelectorAttributes {
        raw_selector: None,
        requirements: Some(requirements),
    })
}

/// Names and values of the query. The first value counts, as for the API.
struct Pairs(Vec<(String, String)>);

impl Pairs {
    fn of(uri: &Uri) -> Self {
        Self(Query::try_from_uri(uri).map_or_else(|_| Vec::new(), |Query(pairs)| pairs))
    }

    fn first(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(have, _)| have == name);
        found.map_or("", |(_, value)| value)
    }

    fn flag(&self, name: &str) -> bool {
        let mut values = self.0.iter().filter(|(have, _)| have == name);
        values
            .next()
            .is_some_and(|(_, value)| value != "0" && !value.eq_ignore_ascii_case("false"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::k8s::resource::examples::resources;

    /// The attributes in a review.
    fn wanted(method: &Method, uri: &str) -> Value {
        let attributes = Attributes::of(method, &uri.parse().unwrap(), &resources());
        match attributes.resource() {
            Some(resource) => serde_json::to_value(resource).unwrap(),
            None => serde_json::to_value(attributes.path().unwrap()).unwrap(),
        }
    }

    fn got(uri: &str) -> Value {
        wanted(&Method::GET, uri)
    }

    /// Recorded from metrics-server v0.9.0.
    #[test]
    fn requests_are_read_as_upstream_reads_them() {
        assert_eq!(
            got("/apis/metrics.k8s.io/v1beta1/nodes"),
            json!({"verb": "list", "group": "metrics.k8s.io", "version": "v1beta1", "resource": "nodes"})
        );
        assert_eq!(
            got("/apis/metrics.k8s.io/v1beta1/nodes/n1"),
            json!({"verb": "get", "group": "metrics.k8s.io", "version": "v1beta1", "resource": "nodes", "name": "n1"})
        );
        assert_eq!(
            got("/apis/metrics.k8s.io/v1beta1/namespaces/default/pods/web-1"),
            json!({"namespace": "default", "verb": "get", "group": "metrics.k8s.io", "version": "v1beta1",
                "resource": "pods", "name": "web-1"})
        );
        assert_eq!(
            got(
                "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods?limit=1&fieldSelector=metadata.name%3Dweb-2"
            ),
            json!({"namespace": "default", "verb": "list", "group": "metrics.k8s.io", "version": "v1beta1",
                "resource": "pods", "name": "web-2", "fieldSelector": {"requirements": [
                    {"key": "metadata.name", "operator": "In", "values": ["web-2"]}]}})
        );
        assert_eq!(
            got("/healthz/ping"),
            json!({"path": "/healthz/ping", "verb": "get"})
        );
    }

    #[test]
    fn selectors_of_every_kind_are_passed_on() {
        let labels = "labelSelector=app%20in%20(web,dns),tier!=back,x,!y,n%3E3";
        let fields = "fieldSelector=metadata.namespace!=kube-system,spec.nodeName=n1";
        assert_eq!(
            got(&format!("/apis/metrics.k8s.io/v1/pods?{labels}&{fields}")),
            json!({"verb": "list", "group": "metrics.k8s.io", "version": "v1", "resource": "pods",
                "labelSelector": {"requirements": [
                    {"key": "app", "operator": "In", "values": ["dns", "web"]},
                    {"key": "tier", "operator": "NotIn", "values": ["back"]},
                    {"key": "x", "operator": "Exists"},
                    {"key": "y", "operator": "DoesNotExist"}]},
                "fieldSelector": {"requirements": [
                    {"key": "metadata.namespace", "operator": "NotIn", "values": ["kube-system"]},
                    {"key": "spec.nodeName", "operator": "In", "values": ["n1"]}]}})
        );
    }

    #[test]
    fn selectors_that_cannot_be_read_are_left_out() {
        let plain = json!({"verb": "list", "group": "metrics.k8s.io", "version": "v1", "resource": "nodes"});
        for query in ["labelSelector=!!", "fieldSelector=bogus", "%ff=%ff&a", ""] {
            assert_eq!(
                got(&format!("/apis/metrics.k8s.io/v1/nodes?{query}")),
                plain,
                "{query}"
            );
        }
    }

    const LIST: &str = "/apis/metrics.k8s.io/v1/nodes";
    const ONE: &str = "/apis/metrics.k8s.io/v1/nodes/n1";

    #[test]
    fn verbs_follow_method_name_and_watch() {
        let verb = |method: &str, uri: &str| {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            wanted(&method, uri)["verb"].as_str().unwrap().to_owned()
        };
        for (method, uri, expected) in [
            ("GET", "/apis/metrics.k8s.io/v1/nodes?watch=true", "watch"),
            ("GET", "/apis/metrics.k8s.io/v1/nodes?watch=0", "list"),
            ("HEAD", LIST, "list"),
            ("HEAD", ONE, "get"),
            ("POST", LIST, "create"),
            ("PUT", ONE, "update"),
            ("PATCH", ONE, "patch"),
            ("DELETE", ONE, "delete"),
            ("DELETE", LIST, "deletecollection"),
            ("POST", "/metrics", "post"),
        ] {
            assert_eq!(verb(method, uri), expected, "{method} {uri}");
        }
    }

    #[test]
    fn an_encoded_slash_is_one() {
        assert_eq!(
            got("/apis/metrics.k8s.io/v1/namespaces/a%2Fpods%2Fx"),
            json!({"verb": "get", "group": "metrics.k8s.io", "version": "v1",
                "namespace": "a", "resource": "pods", "name": "x"})
        );
        assert_eq!(
            got("/version%2f"),
            json!({"path": "/version/", "verb": "get"})
        );
    }

    /// The cases follow `RequestInfoFactory` of Kubernetes 1.36.
    #[test]
    fn escapes_and_empty_segments_are_read_as_upstream_reads_them() {
        let resource = |namespace: &str, resource: &str, name: &str, subresource: &str| {
            [namespace, resource, name, subresource].map(str::to_owned)
        };
        for (below, wanted) in [
            ("/node%73", resource("", "nodes", "", "")),
            ("/nodes//", resource("", "nodes", "", "")),
            ("/nodes/n%2531", resource("", "nodes", "n%31", "")),
            ("/nodes//n1", resource("", "nodes", "", "n1")),
            ("//nodes", resource("", "", "nodes", "")),
            ("/namespaces//pods", resource("", "pods", "", "")),
            ("/namespaces/%2Fpods", resource("", "pods", "", "")),
            ("/namespaces//pods/x", resource("", "pods", "x", "")),
            ("/namespaces///pods", resource("", "", "pods", "")),
            ("/namespaces/a//pods", resource("a", "", "pods", "")),
            ("/namespaces/a/pods//x", resource("a", "pods", "", "x")),
            (
                "/namespaces/a%2Fpods%2Fx/pods/",
                resource("a", "pods", "x", "pods"),
            ),
        ] {
            let found = got(&format!("/apis/metrics.k8s.io/v1{below}"));
            let of = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
            let found = ["namespace", "resource", "name", "subresource"].map(of);
            assert_eq!(found, wanted, "{below}");
        }
    }

    #[test]
    fn paths_that_name_no_resource_are_paths() {
        for path in [
            "/",
            "/apis",
            "/apis/metrics.k8s.io/v1",
            "/metrics",
            "/openapi/v3/x/y/z",
        ] {
            assert_eq!(got(path), json!({"path": path, "verb": "get"}));
        }
        assert_eq!(
            got("/apis/metrics.k8s.io/v1/namespaces/a/status"),
            json!({"verb": "get", "group": "metrics.k8s.io", "version": "v1", "namespace": "a",
                "resource": "namespaces", "name": "a", "subresource": "status"})
        );
    }
}
