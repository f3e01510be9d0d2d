//! JSON with `null` in it, for tests of what decodes responses of the Kubernetes API.

use serde_json::Value;

/// Copies of `whole`, each with `null` in place of one of its parts, however deep, or of the whole.
/// Each comes as JSON with the pointer to that part.
#[must_use]
pub fn nulled(whole: &Value) -> Vec<(String, String)> {
    let mut at = vec![String::new()];
    pointers(whole, "", &mut at);
    let without = |pointer: String| {
        let mut json = whole.clone();
        if let Some(part) = json.pointer_mut(&pointer) {
            *part = Value::Null;
        }
        (pointer, json.to_string())
    };
    at.into_iter().map(without).collect()
}

fn pointers(value: &Value, at: &str, all: &mut Vec<String>) {
    let mut below = |key: &str, value| {
        let at = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
        pointers(value, &at, all);
        all.push(at);
    };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| below(key, value)),
        Value::Array(list) => {
            let numbered = list.iter().enumerate();
            numbered.for_each(|(at, value)| below(&at.to_string(), value));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_is_null_once() {
        let all = nulled(&serde_json::json!({"a/b": [1, {"c": null}], "d": "e"}));
        let mut pointers: Vec<&str> = all.iter().map(|(pointer, _)| &**pointer).collect();
        pointers.sort_unstable();
        let expected = ["", "/a~1b", "/a~1b/0", "/a~1b/1", "/a~1b/1/c", "/d"];
        assert_eq!(pointers, expected);
        assert!(all.contains(&(
            "/a~1b/0".to_owned(),
            r#"{"a/b":[null,{"c":null}],"d":"e"}"#.to_owned()
        )));
        assert!(all.contains(&(String::new(), "null".to_owned())));
    }
}
