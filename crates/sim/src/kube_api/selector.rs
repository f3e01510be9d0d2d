//! Label and field selectors.

use super::route::Query;
use super::status::Refusal;
use crate::store::{Kind, NODES, Object, PODS};

/// The objects of a kind that a request selects.
#[derive(Clone, Debug, Default)]
pub(super) struct Selection {
    /// All if empty.
    pub(super) namespace: String,
    labels: Vec<Requirement>,
    /// Field, whether it must be equal, value.
    fields: Vec<(String, bool, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Requirement {
    In(String, Vec<String>),
    /// Also true for an object without the label, as in Kubernetes.
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

impl Selection {
    pub(super) fn new(kind: &Kind, namespace: &str, query: &Query) -> Result<Self, Refusal> {
        let labels = parse_labels(query.get("labelSelector")).map_err(Refusal::bad_request)?;
        let fields = parse_fields(query.get("fieldSelector")).map_err(Refusal::bad_request)?;
        for (field, ..) in &fields {
            let known = matches!(
                (field.as_str(), kind),
                ("metadata.name" | "metadata.namespace", _)
            ) || (*kind == PODS
                && matches!(field.as_str(), "status.phase" | "spec.nodeName"))
                || (*kind == NODES && field == "spec.unschedulable");
            if !known {
                return Err(Refusal::bad_request(format!(
                    "field label not supported: {field}"
                )));
            }
        }
        Ok(Self {
            namespace: namespace.to_owned(),
            labels,
            fields,
        })
    }

    /// Whether there is no selector, except perhaps a namespace.
    pub(super) fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub(super) fn matches(&self, object: &Object) -> bool {
        (self.namespace.is_empty() || object.namespace() == self.namespace)
            && self
                .labels
                .iter()
                .all(|requirement| requirement.holds(object))
            && self
                .fields
                .iter()
                .all(|(field, equal, value)| (object.field(field) == Some(value)) == *equal)
    }
}

impl Requirement {
    fn holds(&self, object: &Object) -> bool {
        let among = |key: &str, values: &[String]| {
            object
                .label(key)
                .is_some_and(|value| values.iter().any(|wanted| wanted == value))
        };
        match self {
            Self::In(key, values) => among(key, values),
            Self::NotIn(key, values) => !among(key, values),
            Self::Exists(key) => object.label(key).is_some(),
            Self::Absent(key) => object.label(key).is_none(),
        }
    }
}

fn parse_labels(text: &str) -> Result<Vec<Requirement>, String> {
    let mut parsed = Vec::new();
    for part in split(text) {
        let part = part.trim();
        let bad = || format!("unable to parse requirement: {part:?}");
        parsed.push(if let Some((key, values)) = set(part, " notin ") {
            Requirement::NotIn(key, values)
        } else if let Some((key, values)) = set(part, " in ") {
            Requirement::In(key, values)
        } else if let Some((key, value)) = part.split_once("!=") {
            Requirement::NotIn(word(key), vec![word(value)])
        } else if let Some((key, value)) = part.split_once("==").or(part.split_once('=')) {
            Requirement::In(word(key), vec![word(value)])
        } else if let Some(key) = part.strip_prefix('!') {
            Requirement::Absent(word(key))
        } else if part.is_empty() || part.contains([' ', '(', ')']) {
            return Err(bad());
        } else {
            Requirement::Exists(word(part))
        });
    }
    Ok(parsed)
}

fn parse_fields(text: &str) -> Result<Vec<(String, bool, String)>, String> {
    let mut parsed = Vec::new();
    for part in split(text) {
        parsed.push(if let Some((field, value)) = part.split_once("!=") {
            (word(field), false, word(value))
        } else if let Some((field, value)) = part.split_once("==").or(part.split_once('=')) {
            (word(field), true, word(value))
        } else {
            return Err(format!(
                "invalid selector: '{text}'; can't understand '{part}'"
            ));
        });
    }
    Ok(parsed)
}

/// `key in (a, b)`, with the operator between.
fn set(part: &str, operator: &str) -> Option<(String, Vec<String>)> {
    let (key, values) = part
        .split_once(operator)
        .or_else(|| part.split_once(&format!("{}(", operator.trim_end())))?;
    let values = values.trim().trim_start_matches('(').strip_suffix(')')?;
    Some((word(key), values.split(',').map(word).collect()))
}

fn word(text: &str) -> String {
    text.trim().to_owned()
}

/// The parts between commas that are not inside parentheses.
fn split(text: &str) -> Vec<&str> {
    let mut inside = false;
    let parts = text.split(|letter| {
        match letter {
            '(' => inside = true,
            ')' => inside = false,
            _ => {}
        }
        letter == ',' && !inside
    });
    if text.is_empty() {
        Vec::new()
    } else {
        parts.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::store::CONFIG_MAPS;

    fn selects(selector: &str) -> bool {
        let object =
            json!({ "metadata": { "name": "x", "labels": { "app": "web", "tier": "front" } } });
        let query = Query::parse(Some(&format!(
            "labelSelector={}",
            selector.replace('=', "%3D")
        )));
        Selection::new(&CONFIG_MAPS, "", &query)
            .unwrap()
            .matches(&Object::Other(Arc::new(object)))
    }

    #[test]
    fn label_selectors_know_the_whole_grammar() {
        for selector in [
            "",
            "app=web",
            "app==web,tier=front",
            "app!=api",
            "app in (api, web)",
            "app in (api,web),tier notin (back)",
            "app in(web)",
            "tier",
            "!nothing",
            "nothing!=x",
            "nothing notin (x)",
        ] {
            assert!(selects(selector), "{selector}");
        }
        for selector in [
            "app=api",
            "app!=web",
            "app notin (web)",
            "!app",
            "nothing",
            "app in (api)",
            "app=web,tier=x",
        ] {
            assert!(!selects(selector), "{selector}");
        }
    }

    #[test]
    fn an_unknown_field_is_refused() {
        let query = Query::parse(Some("fieldSelector=spec.colour%3Dred"));
        let refusal = Selection::new(&PODS, "", &query).unwrap_err();
        assert_eq!(refusal.message, "field label not supported: spec.colour");
    }
}
