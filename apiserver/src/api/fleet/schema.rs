//! The schemas of this group, which `kubectl explain` reads. The metadata is the same for all kinds. Each kind
//! describes its status in a few lines.

use serde_json::{Map, Value, json};

use crate::k8s::resource::{Resource, Version};

/// A field: name, type, description.
pub(super) type Field = (&'static str, Type, &'static str);

/// The type of a field.
#[derive(Clone, Copy, Debug)]
pub(super) enum Type {
    /// A text.
    Text,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A time in RFC 3339.
    Moment,
    /// A duration, as Go prints it.
    Span,
    /// A count.
    Count,
    /// A list of texts.
    Texts,
    /// An object with these fields.
    Object(&'static [Field]),
}

const META: &str = "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.";
const MORE: &str = "More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md";

/// The schemas of an object of `resource` and of a list of them.
pub(super) fn schemas(
    resource: &Resource,
    version: Version,
    description: &str,
    status: &[Field],
) -> Map<String, Value> {
    let Resource { package, kind, .. } = resource;
    let name = format!("{package}.{}.{kind}", version.name);
    let known =
        |kind: String| json!([{ "group": resource.group, "kind": kind, "version": version.name }]);
    let api_version = json!({
        "type": "string",
        "description": format!("APIVersion defines the versioned schema of this representation of an object. {MORE}#resources"),
    });
    let kind_field = json!({
        "type": "string",
        "description": format!("Kind is a string value representing the REST resource this object represents. {MORE}#types-kinds"),
    });
    let object = json!({
        "type": "object",
        "description": description,
        "properties": {
            "apiVersion": api_version,
            "kind": kind_field,
            "metadata": {
                "$ref": format!("{META}ObjectMeta"),
                "description": format!("Standard object's metadata. {MORE}#metadata"),
            },
            "status": with_description(fields(status), "What is known of it. Read only."),
        },
        "x-kubernetes-group-version-kind": known((*kind).to_owned()),
    });
    let list = json!({
        "type": "object",
        "description": format!("{kind}List is a list of {kind}."),
        "required": ["items"],
        "properties": {
            "apiVersion": api_version,
            "kind": kind_field,
            "metadata": {
                "$ref": format!("{META}ListMeta"),
                "description": format!("Standard list metadata. {MORE}#types-kinds"),
            },
            "items": {
                "type": "array",
                "description": "The objects.",
                "items": { "$ref": format!("#/definitions/{name}") },
            },
        },
        "x-kubernetes-group-version-kind": known(format!("{kind}List")),
    });
    Map::from_iter([(format!("{name}List"), list), (name, object)])
}

fn fields(fields: &[Field]) -> Value {
    let properties = fields.iter().map(|(name, kind, description)| {
        (
            (*name).to_owned(),
            with_description(kind.schema(), description),
        )
    });
    json!({ "type": "object", "properties": properties.collect::<Map<_, _>>() })
}

fn with_description(mut schema: Value, description: &str) -> Value {
    if let Value::Object(schema) = &mut schema {
        schema.insert("description".to_owned(), description.into());
    }
    schema
}

impl Type {
    fn schema(self) -> Value {
        match self {
            Self::Text | Self::Span => json!({ "type": "string" }),
            Self::OneOf(words) => json!({ "type": "string", "enum": words }),
            Self::Moment => json!({ "type": "string", "format": "date-time" }),
            Self::Count => json!({ "type": "integer", "format": "int64" }),
            Self::Texts => json!({ "type": "array", "items": { "type": "string" } }),
            Self::Object(inner) => fields(inner),
        }
    }
}
