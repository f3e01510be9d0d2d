//! Field selectors: `metadata.name`, `metadata.namespace`, and fields of a resource, such as `spec.nodeName` of pods
//! (docs/parity.md#selection).
//!
//! The grammar is that of k8s.io/apimachinery `fields`: terms are separated by commas. A comma, equals sign or
//! backslash in a value has a `\` before it.

use super::resource::Resource;

/// A field for selection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    /// `metadata.name`
    Name,
    /// `metadata.namespace`. Empty for a node.
    Namespace,
    /// Another field of the resource, by its path.
    More(&'static str),
}

impl Field {
    fn of(resource: &'static Resource) -> impl Iterator<Item = Self> {
        let more = resource.fields.iter().copied().map(Self::More);
        [Self::Name, Self::Namespace].into_iter().chain(more)
    }

    fn path(self) -> &'static str {
        match self {
            Self::Name => "metadata.name",
            Self::Namespace => "metadata.namespace",
            Self::More(path) => path,
        }
    }
}

/// Conditions on fields, all of which must hold. The default has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields(Vec<Term>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    field: Field,
    equals: bool,
    value: String,
}

/// Why a field selector cannot be read, in upstream's words.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadFields {
    /// There is no operator in a term.
    #[error("invalid selector: '{selector}'; can't understand '{term}'")]
    Syntax {
        /// The whole selector.
        selector: String,
        /// The term.
        term: String,
    },
    /// A backslash before a character that needs none.
    #[error("invalid field selector: invalid escape sequence: {0}")]
    Escape(String),
    /// An equals sign without a backslash in a value.
    #[error("invalid field selector: unescaped character in value: {0}")]
    Unescaped(char),
    /// Objects cannot be selected by this field.
    #[error("{field:?} is not a known field selector: only {known}")]
    Unknown {
        /// The field.
        field: String,
        /// The fields that can be used.
        known: String,
    },
}

impl Fields {
    /// Reads the conditions on objects of `resource`.
    pub(crate) fn parse(text: &str, resource: &'static Resource) -> Result<Self, BadFields> {
        let mut parts = split(text);
        // Upstream sorts the terms, which decides which error is reported.
        parts.sort_unstable();
        let mut terms = Vec::new();
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            let (path, equals, value) = operator(part).ok_or_else(|| BadFields::Syntax {
                selector: text.to_owned(),
                term: part.to_owned(),
            })?;
            let value = unescape(value)?;
            terms.push((path, equals, value));
        }
        let known = |(path, equals, value)| {
            let field = find(path, resource)?;
            Ok(Term {
                field,
                equals,
                value,
            })
        };
        terms
            .into_iter()
            .map(known)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The one value that `field` must have, if a condition requires one.
    pub(crate) fn exact(&self, field: Field) -> Option<&str> {
        let term = self
            .0
            .iter()
            .find(|term| term.field == field && term.equals)?;
        Some(&term.value)
    }

    /// The conditions: path, whether the operator is `=`, and value.
    pub(crate) fn terms(&self) -> impl Iterator<Item = (&'static str, bool, &str)> {
        self.0
            .iter()
            .map(|term| (term.field.path(), term.equals, term.value.as_str()))
    }

    /// Whether an object with this name and namespace meets the conditions on both.
    pub(crate) fn matches(&self, name: &str, namespace: &str) -> bool {
        self.0.iter().all(|term| match term.field {
            Field::Name => term.meets(name),
            Field::Namespace => term.meets(namespace),
            Field::More(_) => true,
        })
    }

    /// Whether there is a condition on another field.
    pub(crate) fn needs_more(&self) -> bool {
        let mut terms = self.0.iter();
        terms.any(|term| matches!(term.field, Field::More(_)))
    }

    /// Whether an object meets the conditions on other fields. `has` returns whether the field at a path has a value.
    pub(crate) fn matches_more(&self, has: impl Fn(&str, &str) -> bool) -> bool {
        self.0.iter().all(|term| match term.field {
            Field::Name | Field::Namespace => true,
            Field::More(path) => has(path, &term.value) == term.equals,
        })
    }
}

impl Term {
    fn meets(&self, value: &str) -> bool {
        (self.value == value) == self.equals
    }
}

fn find(path: &str, resource: &'static Resource) -> Result<Field, BadFields> {
    Field::of(resource)
        .find(|field| field.path() == path)
        .ok_or_else(|| {
            let known: Vec<String> = Field::of(resource)
                .map(|field| format!("{:?}", field.path()))
                .collect();
            BadFields::Unknown {
                field: path.to_owned(),
                known: known.join(", "),
            }
        })
}

/// The terms, split at commas without a backslash.
fn split(text: &str) -> Vec<&str> {
    let mut escaped = false;
    text.split(move |character| {
        let separates = character == ',' && !escaped;
        escaped = character == '\\' && !escaped;
        separates
    })
    .collect()
}

/// Splits a term at its first operator: path, whether the operator is `=`, and value.
fn operator(term: &str) -> Option<(&str, bool, &str)> {
    let at = term.char_indices().map(|(at, _)| at).find(|at| {
        term.get(*at..)
            .is_some_and(|rest| rest.starts_with("!=") || rest.starts_with('='))
    })?;
    let (path, rest) = term.split_at_checked(at)?;
    if let Some(value) = rest.strip_prefix("!=") {
        return Some((path, false, value));
    }
    let value = rest.strip_prefix("==").or_else(|| rest.strip_prefix('='))?;
    Some((path, true, value))
}

fn unescape(value: &str) -> Result<String, BadFields> {
    let mut plain = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some(escaped @ ('\\' | ',' | '=')) => plain.push(escaped),
                Some(other) => return Err(BadFields::Escape(format!("\\{other}"))),
                None => return Err(BadFields::Escape("\\".to_owned())),
            },
            ',' | '=' => return Err(BadFields::Unescaped(character)),
            other => plain.push(other),
        }
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::k8s::resource::examples::{NODES, PODS};

    fn pods(text: &str) -> Result<Fields, String> {
        Fields::parse(text, &PODS).map_err(|error| error.to_string())
    }

    #[test]
    fn terms_select_by_name_and_namespace() {
        for (text, selects) in [
            ("", true),
            ("metadata.name=web", true),
            ("metadata.name==web,metadata.namespace=default", true),
            ("metadata.name!=web", false),
            ("metadata.namespace!=kube-system", true),
            ("metadata.name=web,,", true),
            ("metadata.name=", false),
            (r"metadata.name=a\,b", false),
        ] {
            assert_eq!(
                pods(text).unwrap().matches("web", "default"),
                selects,
                "{text}"
            );
        }
        let escaped = pods(r"metadata.name=a\,b\=c\\").unwrap();
        assert_eq!(escaped.exact(Field::Name), Some(r"a,b=c\"));
        assert_eq!(pods("metadata.name!=a").unwrap().exact(Field::Name), None);
    }

    #[test]
    fn a_pod_is_selected_by_its_node() {
        let on = pods("spec.nodeName=n1").unwrap();
        let not_on = pods("spec.nodeName!=n1").unwrap();
        assert!(on.needs_more() && not_on.needs_more());
        assert!(!pods("metadata.name=n1").unwrap().needs_more());
        for (node, is_on) in [("n1", true), ("n0", false), ("", false)] {
            let has = |path: &str, value: &str| {
                assert_eq!(path, "spec.nodeName");
                node == value
            };
            assert_eq!(on.matches_more(has), is_on, "{node}");
            assert_eq!(not_on.matches_more(has), !is_on, "{node}");
        }
    }

    #[test]
    fn mistakes_are_reported_in_upstreams_words() {
        for (text, message) in [
            (
                "bogus",
                "invalid selector: 'bogus'; can't understand 'bogus'",
            ),
            (
                "status.phase=Running",
                "\"status.phase\" is not a known field selector: \
                 only \"metadata.name\", \"metadata.namespace\", \"spec.nodeName\"",
            ),
            (
                r"metadata.name=a\b",
                r"invalid field selector: invalid escape sequence: \b",
            ),
            (
                r"metadata.name=a\",
                r"invalid field selector: invalid escape sequence: \",
            ),
            (
                "metadata.name=a=b",
                "invalid field selector: unescaped character in value: =",
            ),
        ] {
            assert_eq!(pods(text).unwrap_err(), message);
        }
        assert_eq!(
            Fields::parse("spec.nodeName=n1", &NODES)
                .unwrap_err()
                .to_string(),
            "\"spec.nodeName\" is not a known field selector: \
             only \"metadata.name\", \"metadata.namespace\""
        );
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "[a-z.=!,\\\\é]{0,20}") {
            drop(pods(&text));
        }
    }
}
