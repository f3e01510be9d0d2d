//! The operations: one GET for each path.
//!
//! kubectl finds the kind of a resource by the path of its list, so each operation names its kind.

use serde_json::{Map, Value, json};

use super::{
    super::kinds::{GROUPS, Group},
    schemas,
};
use crate::k8s::resource::{Resource, Version};

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
    /// The action and kind, for operations on objects.
    action: Option<Action>,
}

#[derive(Debug)]
struct Action {
    /// `list` or `get`.
    list: bool,
    version: Version,
    resource: &'static Resource,
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

/// What the scope of an operation adds to its name, before and after the kind.
#[derive(Clone, Copy)]
struct Scope {
    before: &'static str,
    after: &'static str,
}

impl Scope {
    const CLUSTER: Self = Self::new("", "");
    const ALL: Self = Self::new("", "ForAllNamespaces");
    const NAMESPACED: Self = Self::new("Namespaced", "");

    const fn new(before: &'static str, after: &'static str) -> Self {
        Self { before, after }
    }
}

/// A document that is about no objects.
struct Document {
    /// As the description says it.
    what: &'static str,
    /// The name of its schema.
    schema: &'static str,
}

const APIS: Document = Document {
    what: "available API versions",
    schema: "io.k8s.apimachinery.pkg.apis.meta.v1.APIGroupList",
};
const GROUP: Document = Document {
    what: "information of a group",
    schema: "io.k8s.apimachinery.pkg.apis.meta.v1.APIGroup",
};
const RESOURCES: Document = Document {
    what: "available resources",
    schema: "io.k8s.apimachinery.pkg.apis.meta.v1.APIResourceList",
};
const CODE: Document = Document {
    what: "the version of this server",
    schema: "io.k8s.apimachinery.pkg.version.Info",
};

impl Operation {
    /// All operations.
    pub(super) fn all() -> Vec<Self> {
        let mut all = vec![
            Self::about("/apis/", "getAPIVersions", &APIS),
            Self::about("/version/", "getCodeVersion", &CODE),
        ];
        for group in &GROUPS {
            let id = format!("get{}APIGroup", group.word);
            all.push(Self::about(&format!("/apis/{}/", group.name), &id, &GROUP));
            for version in group.versions {
                let id = format!("get{}APIResources", word(group, *version));
                let path = format!("/apis/{}/", version.api_version);
                all.push(Self::about(&path, &id, &RESOURCES));
                for resource in group.resources() {
                    Self::of_resource(&mut all, group, *version, resource);
                }
            }
        }
        all
    }

    /// All operations of a resource in a version.
    fn of_resource(
        all: &mut Vec<Self>,
        group: &Group,
        version: Version,
        resource: &'static Resource,
    ) {
        let base = format!("/apis/{}", version.api_version);
        let everywhere = format!("{base}/{}", resource.plural);
        let mut add = |path: String, scope: Scope, list: bool| {
            all.push(Self::objects(path, group, version, resource, scope, list));
        };
        if !resource.namespaced {
            add(everywhere.clone(), Scope::CLUSTER, true);
            add(format!("{everywhere}/{{name}}"), Scope::CLUSTER, false);
            return;
        }
        let within = format!("{base}/namespaces/{{namespace}}/{}", resource.plural);
        add(everywhere, Scope::ALL, true);
        add(within.clone(), Scope::NAMESPACED, true);
        add(format!("{within}/{{name}}"), Scope::NAMESPACED, false);
    }

    /// The operation of a document of discovery, or of the version. It has a description and a schema.
    fn about(path: &str, id: &str, document: &Document) -> Self {
        let Document { what, schema } = document;
        let tag = match path.trim_matches('/') {
            plain @ ("apis" | "version") => plain.to_owned(),
            path => tag(path.strip_prefix("apis/").unwrap_or(path)),
        };
        Self {
            path: path.to_owned(),
            id: id.to_owned(),
            description: format!("get {what}"),
            tag,
            schema: (*schema).to_owned(),
            action: None,
        }
    }

    fn objects(
        path: String,
        group: &Group,
        version: Version,
        resource: &'static Resource,
        scope: Scope,
        list: bool,
    ) -> Self {
        let Scope { before, after } = scope;
        let kind = resource.kind;
        let verb = if list { "list" } else { "read" };
        let objects = if list {
            "objects of kind"
        } else {
            "the specified"
        };
        let of_list = if list { "List" } else { "" };
        let Resource { package, .. } = resource;
        Self {
            path,
            id: format!("{verb}{}{before}{kind}{after}", word(group, version)),
            description: format!("{verb} {objects} {kind}"),
            tag: tag(version.api_version),
            schema: format!("{package}.{}.{kind}{of_list}", version.name),
            action: Some(Action {
                list,
                version,
                resource,
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

    /// The document of version 3 that has the operation.
    pub(super) fn document(&self) -> String {
        match &self.action {
            Some(action) => format!("apis/{}", action.version.api_version),
            None => self.path.trim_matches('/').to_owned(),
        }
    }

    /// The path item of the operation.
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
                "group": action.resource.group,
                "kind": action.resource.kind,
                "version": action.version.name,
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
        const ALL: &[&str] = &[
            "application/json",
            "application/yaml",
            "application/vnd.kubernetes.protobuf",
        ];
        match &self.action {
            Some(action) if !action.resource.protobuf => &["application/json", "application/yaml"],
            None if self.path == "/version/" => &["application/json"],
            _ => ALL,
        }
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
        let name = format!("name of the {}", action.resource.kind);
        let in_path = [
            ("name", "string", &*name),
            ("namespace", "string", "object name and auth scope"),
        ];
        let in_path = in_path
            .into_iter()
            .filter(|(name, ..)| self.path.contains(&format!("{{{name}}}")))
            .map(|(name, kind, text)| parameter_of(name, kind, text, "path", dialect));
        let list = if action.list { &LIST[..] } else { &[] };
        let in_query = list
            .iter()
            .chain([&PRETTY])
            .map(|(name, kind, text)| parameter_of(name, kind, text, "query", dialect));
        in_path.chain(in_query).collect()
    }
}

fn parameter_of(name: &str, kind: &str, description: &str, place: &str, dialect: Dialect) -> Value {
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

/// `object` with the fields of `more`.
fn with(mut object: Value, more: Value) -> Value {
    if let (Value::Object(fields), Value::Object(more)) = (&mut object, more) {
        fields.extend(more);
    }
    object
}

/// `MetricsV1beta1` of version `v1beta1`.
fn word(group: &Group, version: Version) -> String {
    let number = version.name.strip_prefix('v').unwrap_or(version.name);
    format!("{}V{number}", group.word)
}

/// `metrics.k8s.io/v1` becomes `metrics_v1`.
fn tag(group_version: &str) -> String {
    let (group, version) = group_version.split_once('/').unwrap_or((group_version, ""));
    let group = group.split('.').next().unwrap_or_default();
    if version.is_empty() {
        group.to_owned()
    } else {
        format!("{group}_{version}")
    }
}
