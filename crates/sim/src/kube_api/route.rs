//! Parses paths and queries of the Kubernetes API.

use std::borrow::Cow;
use std::collections::HashMap;

use http::Method;
use percent_encoding::percent_decode_str;

use crate::identity::Attributes;

/// The parts of a path below `/api/v1` or `/apis/<group>/<version>`. Missing parts are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) namespace: String,
    pub(super) plural: String,
    pub(super) name: String,
    pub(super) sub: String,
}

impl Route {
    pub(super) fn parse(path: &str) -> Option<Self> {
        let parts: Vec<String> = path
            .split('/')
            .filter(|part| !part.is_empty())
            .map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned())
            .collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let (group, version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return None,
        };
        let (namespace, plural, name, sub) = match rest {
            ["namespaces", namespace, plural, name, sub] => (*namespace, *plural, *name, *sub),
            ["namespaces", namespace, plural, name] => (*namespace, *plural, *name, ""),
            ["namespaces", namespace, plural] => (*namespace, *plural, "", ""),
            [plural, name, sub] => ("", *plural, *name, *sub),
            [plural, name] => ("", *plural, *name, ""),
            [plural] => ("", *plural, "", ""),
            _ => return None,
        };
        let [group, version, namespace, plural, name, sub] =
            [group, version, namespace, plural, name, sub].map(str::to_owned);
        Some(Self {
            group,
            version,
            namespace,
            plural,
            name,
            sub,
        })
    }

    /// What the caller wants, as attributes of RBAC.
    pub(super) fn attributes(&self, method: &Method, query: &Query) -> Attributes {
        let verb = match (method.as_str(), self.name.is_empty()) {
            ("GET" | "HEAD", true) if query.is_true("watch") => "watch",
            ("GET" | "HEAD", true) => "list",
            ("GET" | "HEAD", false) => "get",
            ("POST", _) => "create",
            ("PUT", _) => "update",
            ("PATCH", _) => "patch",
            ("DELETE", true) => "deletecollection",
            ("DELETE", false) => "delete",
            _ => "",
        };
        let resource = if self.sub.is_empty() {
            self.plural.clone()
        } else {
            format!("{}/{}", self.plural, self.sub)
        };
        Attributes {
            verb: verb.to_owned(),
            group: self.group.clone(),
            resource,
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            path: None,
        }
    }
}

/// The parameters of a query. The last value of a name counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Query(HashMap<String, String>);

impl Query {
    pub(super) fn parse(query: Option<&str>) -> Self {
        let decoded = |text: &str| {
            let text: Cow<'_, str> = if text.contains('+') {
                text.replace('+', " ").into()
            } else {
                text.into()
            };
            percent_decode_str(&text).decode_utf8_lossy().into_owned()
        };
        let pairs = query
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty());
        Self(
            pairs
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .map(|(k, v)| (decoded(k), decoded(v)))
                .collect(),
        )
    }

    /// A parameter. Empty if it is missing.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    pub(super) fn is_true(&self, name: &str) -> bool {
        matches!(self.get(name), "1" | "true" | "True" | "t" | "T" | "TRUE")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(path: &str) -> [String; 6] {
        let Route {
            group,
            version,
            namespace,
            plural,
            name,
            sub,
        } = Route::parse(path).unwrap();
        [group, version, namespace, plural, name, sub]
    }

    #[test]
    fn paths_name_resources_with_and_without_namespace() {
        assert_eq!(route("/api/v1/pods"), ["", "v1", "", "pods", "", ""]);
        assert_eq!(
            route("/api/v1/namespaces"),
            ["", "v1", "", "namespaces", "", ""]
        );
        assert_eq!(
            route("/api/v1/namespaces/shop"),
            ["", "v1", "", "namespaces", "shop", ""]
        );
        assert_eq!(
            route("/api/v1/namespaces/shop/pods/web-0"),
            ["", "v1", "shop", "pods", "web-0", ""]
        );
        assert_eq!(
            route("/apis/coordination.k8s.io/v1/namespaces/a/leases"),
            ["coordination.k8s.io", "v1", "a", "leases", "", ""]
        );
        assert_eq!(Route::parse("/version"), None);
    }

    #[test]
    fn a_query_is_decoded() {
        let query = Query::parse(Some("labelSelector=app%3Dweb%2Ctier+in+(a)&watch=1&x"));
        assert_eq!(query.get("labelSelector"), "app=web,tier in (a)");
        assert!(query.is_true("watch"));
        assert_eq!(query.get("x"), "");
    }
}
