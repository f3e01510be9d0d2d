//! The query of a LIST: label and field selectors, `limit` and `continue`.
//!
//! - An accepted selector is the same after it is written and read again.
//! - An accepted token has the key from which it would be made.
//! - A label selector selects the same as a simple evaluation of its requirements.

use std::collections::BTreeMap;

use tributary_apiserver::fuzzing;
use tributary_runtime::selector::Selector;

/// Reads `data` as a query, as a selector of either kind, and as a token.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let query: String = text.bytes().map(escaped).collect();
    for uri in [
        format!("/pods?{text}"),
        format!("/pods?labelSelector={query}&limit=3"),
    ] {
        if let Ok(uri) = uri.parse() {
            fuzzing::api::list_params(&uri);
        }
    }
    labels(text);
    fields(text);
    token(text);
}

fn escaped(byte: u8) -> String {
    format!("%{byte:02x}")
}

fn labels(text: &str) {
    let Ok(selector) = text.parse::<Selector>() else {
        return;
    };
    let mut samples: BTreeMap<&str, &str> = BTreeMap::new();
    let mut written = Vec::new();
    for (key, operator, values) in selector.requirements() {
        written.push(match operator {
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            "In" => format!("{key} in ({})", values.join(",")),
            _ => format!("{key} notin ({})", values.join(",")),
        });
        samples.insert(key, values.first().map_or("", String::as_str));
    }
    let plain = |labels: &BTreeMap<&str, &str>| {
        selector.requirements().all(|(key, operator, values)| {
            let value = labels.get(key);
            let among = value.is_some_and(|value| values.iter().any(|one| one == value));
            match operator {
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                "In" => among,
                _ => !among,
            }
        })
    };
    // The requirements lack `>` and `<`, which occur in no name or value.
    if text.contains(['>', '<']) {
        return;
    }
    for labels in [BTreeMap::new(), samples] {
        let selected = selector.matches(|key| labels.get(key).copied());
        assert_eq!(selected, plain(&labels), "{text} of {labels:?}");
    }
    let again = written.join(",").parse::<Selector>();
    assert_eq!(again.as_ref(), Ok(&selector), "{text}");
}

fn fields(text: &str) {
    for pods in [true, false] {
        let Some(terms) = fuzzing::api::field_terms(text, pods) else {
            continue;
        };
        let escape = |value: &str| {
            let value = value.replace('\\', "\\\\");
            value.replace(',', "\\,").replace('=', "\\=")
        };
        let written: Vec<String> = terms
            .iter()
            .map(|(path, equals, value)| {
                format!(
                    "{path}{}{}",
                    if *equals { "=" } else { "!=" },
                    escape(value)
                )
            })
            .collect();
        let mut again = fuzzing::api::field_terms(&written.join(","), pods).unwrap_or_default();
        let mut terms = terms;
        again.sort();
        terms.sort();
        assert_eq!(again, terms, "{text}");
    }
}

fn token(text: &str) {
    for pods in [true, false] {
        let Some(key) = fuzzing::api::continue_key(text, pods) else {
            continue;
        };
        let token = fuzzing::api::continue_token(&key, pods);
        assert_eq!(fuzzing::api::continue_key(&token, pods), Some(key));
        assert_eq!(fuzzing::api::continue_key(&token, !pods), None);
    }
}
