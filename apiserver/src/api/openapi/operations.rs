//! What can be asked: one GET per path.
//!
//! kubectl finds the kind of a resource by the path of its list, so each
//! operation carries it.

use serde_json::{Map, Value, json};

use super::{
    super::kinds::{GROUP, Resource, Version},
    schemas,
};

/// A version of OpenAPI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// 2.0, which was Swagger.
    V2,
    /// 3.0
    V3,
}

/// A GET.
#[derive(Debug)]
pub(super) struct Operation {
    path: String,
    id: String,
    description: String,
    /// `apis`, `version`, or the group and version.
    tag: String,
    /// The name of the schema of the answer.
    schema: String,
    /// What it does to which kind, if it is about objects.
    action: Option<Action>,
}

#[derive(Debug)]
struct Action {
    /// List or get.
    list: bool,
    version: Version,
    kind: &'static str,
}

/// Name, type and description of the parameters of a list.
const LIST: [(&str, &str, &str); 11] = [
    (
        "allowWatchBookmarks",
        "boolean",
        "Without meaning: metrics cannot be watched.",
    ),
    (
        "continue",
        "string",
        "The token of the page before, as it stands in the metadata of the list.",
    ),
    (
        "fieldSelector",
        "string",
        "A selector to restrict the list of returned objects by their fields: metadata.name, \
         metadata.namespace, and for pods spec.nodeName. Defaults to everything.",
    ),
    (
        "labelSelector",
        "string",
        "A selector to restrict the list of returned objects by the labels of the node or pod. \
         Defaults to everything.",
    ),
    (
        "limit",
        "integer",
        "The maximum number of objects in the answer. If more exist, the metadata of the list \
         has a token for `continue`. Defaults to everything.",
    ),
    (
        "resourceVersion",
        "string",
        "Without meaning: metrics have no versions.",
    ),
    (
        "resourceVersionMatch",
        "string",
        "Without meaning: metrics have no versions.",
    ),
    (
        "sendInitialEvents",
        "boolean",
        "Forbidden: metrics cannot be watched.",
    ),
    ("shardSelector", "string", "Without meaning."),
    ("timeoutSeconds", "integer", "Timeout for the list call."),
    (
        "watch",
        "boolean",
        "Refused if true: metrics cannot be watched.",
    ),
];

const PRETTY: (&str, &str, &str) = (
    "pretty",
    "string",
    "If 'true', then the output is pretty printed. Defaults to 'false' unless the user-agent \
     indicates a browser or command-line HTTP tool (curl and wget).",
);

impl Operation {
    /// All that can be asked.
    pub(super) fn all() -> Vec<Self> {
        let mut all = vec![
            Self::about("/apis/", "getAPIVersions", "available API versions"),
            Self::about(
                &format!("/apis/{GROUP}/"),
                "getMetricsAPIGroup",
                "information of a group",
            ),
            Self::about("/version/", "getCodeVersion", "the version of this server"),
        ];
        for version in Version::ALL {
            let base = format!("/apis/{}", version.api_version());
            let id = format!("getMetrics{}APIResources", camel(version));
            all.push(Self::about(&format!("{base}/"), &id, "available resources"));
            let within = format!("{base}/namespaces/{{namespace}}/pods");
            let (nodes, pods) = (Resource::Nodes, Resource::Pods);
            for (path, resource, scope, list) in [
                (format!("{base}/nodes"), nodes, ("", ""), true),
                (format!("{base}/nodes/{{name}}"), nodes, ("", ""), false),
                (format!("{base}/pods"), pods, ("", "ForAllNamespaces"), true),
                (within.clone(), pods, ("Namespaced", ""), true),
                (
                    format!("{within}/{{name}}"),
                    pods,
                    ("Namespaced", ""),
                    false,
                ),
            ] {
                all.push(Self::objects(path, (version, resource), scope, list));
            }
        }
        all
    }

    /// A document of discovery, or the version.
    fn about(path: &str, id: &str, what: &str) -> Self {
        let schema = match id {
            "getAPIVersions" => "io.k8s.apimachinery.pkg.apis.meta.v1.APIGroupList",
            "getMetricsAPIGroup" => "io.k8s.apimachinery.pkg.apis.meta.v1.APIGroup",
            "getCodeVersion" => "io.k8s.apimachinery.pkg.version.Info",
            _ => "io.k8s.apimachinery.pkg.apis.meta.v1.APIResourceList",
        };
        let tag = match path.trim_matches('/') {
            plain @ ("apis" | "version") => plain.to_owned(),
            path => tag(path.strip_prefix("apis/").unwrap_or(path)),
        };
        Self {
            path: path.to_owned(),
            id: id.to_owned(),
            description: format!("get {what}"),
            tag,
            schema: schema.to_owned(),
            action: None,
        }
    }

    fn objects(
        path: String,
        (version, resource): (Version, Resource),
        (before, after): (&str, &str),
        list: bool,
    ) -> Self {
        let kind = resource.kind();
        let verb = if list { "list" } else { "read" };
        let objects = if list {
            "objects of kind"
        } else {
            "the specified"
        };
        let of_list = if list { "List" } else { "" };
        let version_name = version.name();
        Self {
            path,
            id: format!("{verb}Metrics{}{before}{kind}{after}", camel(version)),
            description: format!("{verb} {objects} {kind}"),
            tag: tag(version.api_version()),
            schema: format!("io.k8s.metrics.pkg.apis.metrics.{version_name}.{kind}{of_list}"),
            action: Some(Action {
                list,
                version,
                kind,
            }),
        }
    }

    /// Its path.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The name of the schema of its answer.
    pub(super) fn schema(&self) -> String {
        self.schema.clone()
    }

    /// The document of version 3 that it belongs to.
    pub(super) fn document(&self) -> String {
        match &self.action {
            Some(action) => format!("apis/{}", action.version.api_version()),
            None => self.path.trim_matches('/').to_owned(),
        }
    }

    /// The item of its path.
    pub(super) fn described(&self, dialect: Dialect) -> Value {
        let mut get = json!({
            "description": self.description,
            "operationId": self.id,
            "tags": [self.tag],
            "responses": self.responses(dialect),
        });
        if dialect == Dialect::V2 {
            let more = json!({
                "consumes": ["*/*"],
                "produces": self.media_types(),
                "schemes": ["https"],
            });
            get = with(get, more);
        }
        let mut item = Map::new();
        if let Some(action) = &self.action {
            let kind = json!({
                "group": GROUP,
                "kind": action.kind,
                "version": action.version.name(),
            });
            let more = json!({
                "x-kubernetes-action": if action.list { "list" } else { "get" },
                "x-kubernetes-group-version-kind": kind,
            });
            get = with(get, more);
            item.insert("parameters".to_owned(), self.parameters(action, dialect));
        }
        item.insert("get".to_owned(), get);
        item.into()
    }

    fn media_types(&self) -> &'static [&'static str] {
        if self.path == "/version/" {
            return &["application/json"];
        }
        &[
            "application/json",
            "application/yaml",
            "application/vnd.kubernetes.protobuf",
        ]
    }

    fn responses(&self, dialect: Dialect) -> Value {
        let answer = match dialect {
            Dialect::V2 => {
                let schema = json!({ "$ref": format!("{}{}", schemas::V2, self.schema) });
                json!({ "description": "OK", "schema": schema })
            }
            Dialect::V3 => {
                let schema = json!({ "$ref": format!("{}{}", schemas::V3, self.schema) });
                let types = self.media_types().iter();
                let content: Map<String, Value> = types
                    .map(|name| ((*name).to_owned(), json!({ "schema": schema })))
                    .collect();
                json!({ "description": "OK", "content": content })
            }
        };
        json!({ "200": answer, "401": { "description": "Unauthorized" } })
    }

    fn parameters(&self, action: &Action, dialect: Dialect) -> Value {
        let name = format!("name of the {}", action.kind);
        let in_path = [
            ("name", "string", &*name),
            ("namespace", "string", "object name and auth scope"),
        ];
        let in_path = in_path
            .into_iter()
            .filter(|(name, ..)| self.path.contains(&format!("{{{name}}}")))
            .map(|parameter| parameter_of(parameter, "path", dialect));
        let list = if action.list { &LIST[..] } else { &[] };
        let in_query = list
            .iter()
            .chain([&PRETTY])
            .map(|parameter| parameter_of(*parameter, "query", dialect));
        in_path.chain(in_query).collect()
    }
}

fn parameter_of(
    (name, kind, description): (&str, &str, &str),
    place: &str,
    dialect: Dialect,
) -> Value {
    let mut parameter = json!({ "name": name, "in": place, "description": description });
    if place == "path" {
        parameter = with(parameter, json!({ "required": true }));
    }
    let kind = json!({ "type": kind, "uniqueItems": true });
    match dialect {
        Dialect::V2 => with(parameter, kind),
        Dialect::V3 => with(parameter, json!({ "schema": kind })),
    }
}

/// An object with the fields of another.
fn with(mut object: Value, more: Value) -> Value {
    if let (Value::Object(fields), Value::Object(more)) = (&mut object, more) {
        fields.extend(more);
    }
    object
}

fn camel(version: Version) -> &'static str {
    match version {
        Version::V1 => "V1",
        Version::V1Beta1 => "V1beta1",
    }
}

/// `metrics.k8s.io/v1` becomes `metrics_v1`.
fn tag(group_version: &str) -> String {
    group_version.replacen(".k8s.io", "", 1).replace('/', "_")
}
