//! The schemas of answers. Those of `meta/v1` are copied exactly from Kubernetes 1.37 (api/openapi-spec/swagger.json,
//! Apache 2.0), because the aggregator renames definitions that differ from its own.

use serde_json::{Map, Value, json};

use super::super::kinds::GROUPS;
use crate::k8s::openapi;

const META: &str = include_str!("meta.json");

/// The prefix of references in version 2, and in version 3.
pub(super) const V2: &str = "#/definitions/";
pub(super) const V3: &str = "#/components/schemas/";

/// All schemas by name, in the form of version 2.
#[derive(Debug)]
pub(super) struct Schemas(Map<String, Value>);

impl Schemas {
    /// Reads the schemas.
    pub(super) fn new() -> Self {
        let mut all = openapi::parse(META);
        for group in &GROUPS {
            for version in group.versions {
                let schemas = group.resources().map(|resource| resource.schemas);
                all.extend(schemas.flat_map(|schemas| schemas(*version)));
            }
        }
        Self(all)
    }

    /// All schemas, for version 2.
    pub(super) fn all(&self) -> Value {
        self.0.clone().into()
    }

    /// The schemas with these names and all that they refer to, for version 3.
    pub(super) fn reachable(&self, names: impl Iterator<Item = String>) -> Value {
        let mut reached = Map::new();
        let mut waiting: Vec<String> = names.collect();
        while let Some(name) = waiting.pop() {
            let Some(schema) = self.0.get(&name) else {
                continue;
            };
            if !reached.contains_key(&name) {
                reached.insert(name, v3(schema, &mut waiting));
            }
        }
        reached.into()
    }
}

/// Converts a schema to version 3. There a reference has no other fields beside it, so a reference with other fields
/// becomes the only element of an `allOf`. Adds the names of referenced schemas to `names`.
fn v3(schema: &Value, names: &mut Vec<String>) -> Value {
    match schema {
        Value::Array(items) => items.iter().map(|item| v3(item, names)).collect(),
        Value::Object(fields) => {
            let mut fields = fields.clone();
            let name = match fields.remove("$ref") {
                Some(Value::String(to)) => to.strip_prefix(V2).map(str::to_owned),
                Some(_) | None => None,
            };
            for value in fields.values_mut() {
                *value = v3(value, names);
            }
            if let Some(name) = name {
                let reference = json!({ "$ref": format!("{V3}{name}") });
                names.push(name);
                if fields.is_empty() {
                    return reference;
                }
                fields.insert("allOf".to_owned(), json!([reference]));
            }
            fields.into()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => schema.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_leads_somewhere() {
        let schemas = Schemas::new();
        let mut referred = Vec::new();
        v3(&schemas.all(), &mut referred);
        assert!(!referred.is_empty());
        for name in referred {
            assert!(schemas.0.contains_key(&name), "{name}");
        }
    }

    #[test]
    fn a_reference_stands_alone_in_version_3() {
        let schema = json!({ "a": { "$ref": "#/definitions/X", "description": "d" },
            "b": [{ "$ref": "#/definitions/Y" }] });
        let mut names = Vec::new();
        assert_eq!(
            v3(&schema, &mut names),
            json!({ "a": { "allOf": [{ "$ref": "#/components/schemas/X" }], "description": "d" },
                "b": [{ "$ref": "#/components/schemas/Y" }] })
        );
        assert_eq!(names, ["X", "Y"]);
    }

    #[test]
    fn only_what_is_referred_to_is_reachable() {
        let schemas = Schemas::new();
        let info = "io.k8s.apimachinery.pkg.version.Info".to_owned();
        let reached = schemas.reachable([info.clone()].into_iter());
        assert_eq!(
            reached.as_object().unwrap().keys().collect::<Vec<_>>(),
            [&info]
        );
    }
}
