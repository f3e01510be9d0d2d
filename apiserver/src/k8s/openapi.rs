//! Schemas that are written in JSON.

use serde_json::{Map, Value};

use super::resource::Version;

/// The schemas in `text`, with `VERSION` replaced by the version.
pub(crate) fn schemas_in(text: &str, version: Version) -> Map<String, Value> {
    parse(&text.replace("VERSION", version.name))
}

/// The schemas in `text` by name. Empty if it cannot be read, which tests exclude.
pub(crate) fn parse(text: &str) -> Map<String, Value> {
    serde_json::from_str(text).unwrap_or_else(|error| {
        tracing::error!(%error, "failed to read a schema of this server");
        Map::new()
    })
}
