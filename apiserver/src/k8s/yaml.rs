//! YAML as sigs.k8s.io/yaml prints it: converted from JSON, with keys in natural order and sequences that are not
//! indented more than their key.
//!
//! It is for people and small answers. A list is converted item by item. Line folding is not supported, because it does
//! not change the meaning.

mod plain;

use std::cmp::Ordering;

use serde_json::{Map, Value};

/// Converts a JSON document of this server to YAML.
pub(crate) fn of_json(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len());
    match read(json) {
        Value::Object(map) if !map.is_empty() => mapping(&mut out, &map, 0, false),
        other => scalar_line(&mut out, &other, 0),
    }
    out
}

/// Converts a JSON document to an element of a sequence that is not indented.
pub(crate) fn element_of_json(out: &mut Vec<u8>, json: &[u8]) {
    sequence(out, &[read(json)], 0, false);
}

fn read(json: &[u8]) -> Value {
    serde_json::from_slice(json).unwrap_or_else(|error| {
        tracing::error!(%error, "failed to read JSON of this server");
        Value::Null
    })
}

/// Appends all fields. `inline`: the first one follows a dash.
fn mapping(out: &mut Vec<u8>, map: &Map<String, Value>, indent: usize, inline: bool) {
    let mut fields: Vec<(&String, &Value)> = map.iter().collect();
    fields.sort_by(|(one, _), (other, _)| natural(one, other));
    for (at, (key, value)) in fields.into_iter().enumerate() {
        if at > 0 || !inline {
            pad(out, indent);
        }
        plain::key(out, key);
        out.push(b':');
        match value {
            Value::Object(map) if !map.is_empty() => {
                out.push(b'\n');
                mapping(out, map, indent + 2, false);
            }
            Value::Array(items) if !items.is_empty() => {
                out.push(b'\n');
                sequence(out, items, indent, false);
            }
            other => {
                out.push(b' ');
                scalar_line(out, other, indent);
            }
        }
    }
}

fn sequence(out: &mut Vec<u8>, items: &[Value], indent: usize, inline: bool) {
    for (at, item) in items.iter().enumerate() {
        if at > 0 || !inline {
            pad(out, indent);
        }
        out.extend_from_slice(b"- ");
        match item {
            Value::Object(map) if !map.is_empty() => mapping(out, map, indent + 2, true),
            Value::Array(items) if !items.is_empty() => sequence(out, items, indent + 2, true),
            other => scalar_line(out, other, indent),
        }
    }
}

/// Appends a scalar and the end of the line.
fn scalar_line(out: &mut Vec<u8>, value: &Value, indent: usize) {
    match value {
        Value::String(text) => plain::value(out, text, indent),
        Value::Object(_) => out.extend_from_slice(b"{}"),
        Value::Array(_) => out.extend_from_slice(b"[]"),
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            out.extend_from_slice(value.to_string().as_bytes());
        }
    }
    out.push(b'\n');
}

fn pad(out: &mut Vec<u8>, indent: usize) {
    out.resize(out.len() + indent, b' ');
}

/// The order of keys in go-yaml: letters come after all other characters, and numbers in a key are compared by value.
fn natural(one: &str, other: &str) -> Ordering {
    let (a, b): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let same = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let (Some(first), Some(second)) = (a.get(same), b.get(same)) else {
        return a.len().cmp(&b.len());
    };
    match (first.is_alphabetic(), second.is_alphabetic()) {
        (true, true) => return first.cmp(second),
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    // A zero after another digit counts as a digit of that number.
    let before = a.get(..same).unwrap_or_default();
    let mut digits = before.iter().rev().take_while(|c| c.is_ascii_digit());
    let within = (*first == '0' || *second == '0') && digits.any(|digit| *digit != '0');
    let (value_a, length_a) = run(a.get(same..).unwrap_or_default(), within);
    let (value_b, length_b) = run(b.get(same..).unwrap_or_default(), within);
    value_a
        .cmp(&value_b)
        .then(length_a.cmp(&length_b))
        .then(first.cmp(second))
}

/// The digits at the start: their value and their number. If they are `within` a number, a 1 precedes the value.
fn run(text: &[char], within: bool) -> (u64, usize) {
    let digits = text.iter().map_while(|c| c.to_digit(10));
    digits.fold((u64::from(within), 0), |(value, length), digit| {
        let value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
        (value, length + 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn yaml(json: &str) -> String {
        String::from_utf8(of_json(json.as_bytes())).unwrap()
    }

    #[test]
    fn objects_and_lists_nest_as_upstream_prints_them() {
        assert_eq!(
            yaml(
                r#"{"b":{"y":[{"d":1,"c":"x"},{}],"x":{}},"a":[],"n":null,"t":true,"m":[["p","q"],[]]}"#
            ),
            concat!(
                "a: []\nb:\n  x: {}\n  \"y\":\n  - c: x\n    d: 1\n  - {}\n",
                "m:\n- - p\n  - q\n- []\n\"n\": null\nt: true\n"
            )
        );
        assert_eq!(yaml("{}"), "{}\n");
        let mut out = Vec::new();
        element_of_json(&mut out, br#"{"b":{"c":1},"a":2}"#);
        assert_eq!(String::from_utf8(out).unwrap(), "- a: 2\n  b:\n    c: 1\n");
    }

    #[test]
    fn keys_are_in_natural_order() {
        let mut keys = [
            "b", "a10", "a2", "a02", "B", "a", "a-b", "a/b", "1", "10", "2", "a100", "a1",
        ];
        keys.sort_by(|one, other| natural(one, other));
        assert_eq!(
            keys,
            [
                "1", "2", "10", "B", "a", "a-b", "a/b", "a1", "a2", "a02", "a10", "a100", "b"
            ]
        );
    }
}
