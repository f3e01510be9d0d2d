//! Label selectors: the grammar of k8s.io/apimachinery `labels`, and matching.

mod lexer;
mod parser;
#[cfg(test)]
mod tests;
mod validation;

use std::str::FromStr;

pub use self::parser::BadSelector;

/// Requirements on labels, which must all hold. The default has none and selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector(Vec<Requirement>);

/// One requirement.
///
/// # Invariants
///
/// Values are sorted and unique. `=`, `!=`, `>` and `<` have one value.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    Exists,
    Missing,
    /// `=`, `==` and `in`.
    In(Vec<String>),
    /// `!=` and `notin`. An object without the label meets them.
    NotIn(Vec<String>),
    Above(i64),
    Below(i64),
}

impl Selector {
    /// Whether it selects everything.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of requirements.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The requirements as in `metav1.LabelSelectorRequirement`: key, operator, values. `>` and `<` do not exist there
    /// and are omitted.
    pub fn requirements(&self) -> impl Iterator<Item = (&str, &'static str, &[String])> {
        self.0.iter().filter_map(|requirement| {
            let (operator, values): (_, &[String]) = match &requirement.test {
                Test::Exists => ("Exists", &[]),
                Test::Missing => ("DoesNotExist", &[]),
                Test::In(values) => ("In", values),
                Test::NotIn(values) => ("NotIn", values),
                Test::Above(_) | Test::Below(_) => return None,
            };
            Some((requirement.key.as_str(), operator, values))
        })
    }

    /// Whether it selects an object. `label` returns the value of a label of the object.
    pub fn matches<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.0
            .iter()
            .all(|requirement| requirement.test.passes(label(&requirement.key)))
    }
}

impl FromStr for Selector {
    type Err = BadSelector;

    /// Reads a selector in the syntax of `kubectl -l`. An empty text selects everything.
    fn from_str(text: &str) -> Result<Self, BadSelector> {
        parser::parse(text).map(Self)
    }
}

impl Test {
    fn passes(&self, value: Option<&str>) -> bool {
        let among = |values: &[String], value: &str| {
            values
                .binary_search_by(|one| one.as_str().cmp(value))
                .is_ok()
        };
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match self {
            Self::Exists => value.is_some(),
            Self::Missing => value.is_none(),
            Self::In(values) => value.is_some_and(|value| among(values, value)),
            Self::NotIn(values) => value.is_none_or(|value| !among(values, value)),
            Self::Above(limit) => number().is_some_and(|number| number > *limit),
            Self::Below(limit) => number().is_some_and(|number| number < *limit),
        }
    }
}
