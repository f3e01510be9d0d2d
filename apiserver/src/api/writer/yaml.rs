//! Answers in YAML. Each item is written in JSON and converted, so that the whole list is never in memory.

use super::{super::objects::Object, json::JsonWriter};
use crate::k8s::yaml;

/// Writes one answer in YAML.
#[derive(Debug)]
pub(crate) struct YamlWriter<T: Object> {
    json: JsonWriter<T>,
    /// The text after the items. `None` before the first item.
    end: Option<Vec<u8>>,
}

impl<T: Object> YamlWriter<T> {
    /// A writer that converts the output of `json` to YAML.
    pub(crate) fn new(json: JsonWriter<T>) -> Self {
        Self { json, end: None }
    }

    /// See [`super::Writer::set_token`].
    pub(crate) fn set_token(&mut self, token: String) {
        self.json.set_token(token);
    }

    /// See [`super::Writer::set_version`].
    pub(crate) fn set_version(&mut self, version: String) {
        self.json.set_version(version);
    }

    /// See [`super::Writer::items`].
    pub(crate) fn items(&mut self, out: &mut Vec<u8>, items: &[T]) {
        let mut json = Vec::new();
        for item in items {
            if self.end.is_none() {
                self.json.fix_columns(Some(item));
                self.end = Some(begin(out, &self.json.shell()));
            }
            json.clear();
            self.json.element(&mut json, item);
            yaml::element_of_json(out, &json);
        }
    }

    /// See [`super::Writer::finish`].
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        if let Some(end) = self.end.take() {
            out.extend_from_slice(&end);
        } else {
            self.json.fix_columns(None);
            out.extend_from_slice(&yaml::of_json(&self.json.shell()));
        }
    }

    /// See [`super::Writer::one`].
    pub(crate) fn one(&mut self, out: &mut Vec<u8>, item: &T) {
        let mut json = Vec::new();
        self.json.one(&mut json, item);
        out.extend_from_slice(&yaml::of_json(&json));
    }
}

/// Appends the text before the items of a list. `shell` is the list without items. YAML sorts keys, so some fields of
/// the list come after the items. Returns these.
fn begin(out: &mut Vec<u8>, shell: &[u8]) -> Vec<u8> {
    // The text before the items is short: kind, version and columns.
    const EMPTY: &[u8] = b": []\n";
    let shell = yaml::of_json(shell);
    let at = shell
        .windows(EMPTY.len())
        .position(|window| window == EMPTY)
        .unwrap_or_default();
    out.extend_from_slice(shell.get(..at).unwrap_or_default());
    out.extend_from_slice(b":\n");
    shell.get(at + EMPTY.len()..).unwrap_or_default().to_vec()
}
