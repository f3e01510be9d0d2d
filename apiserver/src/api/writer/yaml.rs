//! Answers in YAML: each item is written in JSON and turned, so that a list need
//! not be held for it.

use super::{
    super::{objects::Item, table, yaml},
    json::JsonWriter,
};

/// Writes one answer in YAML.
#[derive(Debug)]
pub(crate) struct YamlWriter {
    json: JsonWriter,
    /// The columns, and what comes after the items; `None` before the first.
    begun: Option<(table::Columns, Vec<u8>)>,
}

impl YamlWriter {
    /// What `json` would write, in YAML.
    pub(crate) fn new(json: JsonWriter) -> Self {
        Self { json, begun: None }
    }

    /// See [`super::Writer::set_token`].
    pub(crate) fn set_token(&mut self, token: String) {
        self.json.set_token(token);
    }

    /// See [`super::Writer::items`].
    pub(crate) fn items(&mut self, out: &mut Vec<u8>, items: &[Item]) {
        let mut json = Vec::new();
        for item in items {
            let (columns, _) = self
                .begun
                .get_or_insert_with(|| begin(out, &self.json, table::Columns::of(item)));
            json.clear();
            self.json.element(&mut json, item, *columns);
            yaml::element_of_json(out, &json);
        }
    }

    /// See [`super::Writer::finish`].
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        match self.begun.take() {
            Some((_, end)) => out.extend_from_slice(&end),
            None => out.extend_from_slice(&yaml::of_json(&self.json.shell(None))),
        }
    }

    /// See [`super::Writer::one`].
    pub(crate) fn one(&mut self, out: &mut Vec<u8>, item: &Item) {
        let mut json = Vec::new();
        self.json.one(&mut json, item);
        out.extend_from_slice(&yaml::of_json(&json));
    }
}

/// Appends what comes before the items. YAML sorts keys, so some fields of the
/// list come after them: these are returned, with the columns.
fn begin(
    out: &mut Vec<u8>,
    json: &JsonWriter,
    columns: table::Columns,
) -> (table::Columns, Vec<u8>) {
    // What comes before is short: kind, version, columns.
    const EMPTY: &[u8] = b": []\n";
    let shell = yaml::of_json(&json.shell(Some(columns)));
    let at = shell
        .windows(EMPTY.len())
        .position(|window| window == EMPTY)
        .unwrap_or_default();
    out.extend_from_slice(shell.get(..at).unwrap_or_default());
    out.extend_from_slice(b":\n");
    let end = shell.get(at + EMPTY.len()..).unwrap_or_default();
    (columns, end.to_vec())
}
