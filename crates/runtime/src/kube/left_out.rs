//! Objects that cannot be decoded.
//!
//! A user who may write one object must not be able to hide others. So each object is decoded by
//! itself. One that cannot be decoded is skipped and counted, and some are named in the log.

use std::time::Duration;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::time::Instant;
use tracing::warn;

use super::null::from_json;

/// The time between two log lines about them.
const APART: Duration = Duration::from_mins(1);

/// How many characters of a name, and of an error, are logged: users choose both.
const MAX_CHARS: usize = 256;

/// What was skipped on a page, or in a line of a watch.
#[derive(Debug, Default)]
pub struct LeftOut {
    count: u64,
    /// Name and error of the first one.
    first: Option<(String, String)>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Who {
    metadata: Meta,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Meta {
    namespace: String,
    name: String,
}

impl LeftOut {
    /// Decodes one object. `None` if it cannot be decoded, which is recorded.
    pub fn read<'a, T: Deserialize<'a>>(&mut self, json: &'a str) -> Option<T> {
        let error = match from_json(json) {
            Ok(read) => return Some(read),
            Err(error) => error,
        };
        self.count += 1;
        if self.first.is_none() {
            let Meta { namespace, name } = from_json::<Who>(json).unwrap_or_default().metadata;
            let which = if namespace.is_empty() {
                name
            } else {
                format!("{namespace}/{name}")
            };
            self.first = Some((truncated(&which), truncated(&error.to_string())));
        }
        None
    }

    /// Reads a deleted object. If it cannot be decoded, its namespace and name are enough to remove it from a set.
    /// `None` if it has no name, which is recorded.
    pub fn read_deleted<T: DeserializeOwned>(&mut self, json: &str) -> Option<T> {
        if let Ok(read) = from_json(json) {
            return Some(read);
        }
        let who = from_json::<Who>(json).ok();
        let who = who.filter(|who| !who.metadata.name.is_empty());
        let named = who.and_then(|who| from_json(&serde_json::to_string(&who).ok()?).ok());
        named.or_else(|| self.read(json))
    }

    /// The number of skipped objects.
    pub fn count(&self) -> u64 {
        self.count
    }
}

fn truncated(text: &str) -> String {
    let text = text.chars().filter(|letter| !letter.is_control());
    text.take(MAX_CHARS).collect()
}

/// When a line about them was last logged.
#[derive(Debug, Default)]
pub(super) struct Said {
    last: Option<Instant>,
    /// How many were not logged since then.
    suppressed: u64,
}

impl Said {
    /// Logs what was skipped, if the last line is old enough.
    pub(super) fn say(&mut self, kind: &str, left_out: LeftOut) {
        let LeftOut { count, first } = left_out;
        let Some((object, error)) = first else {
            return;
        };
        self.suppressed += count;
        let now = Instant::now();
        if self.last.is_some_and(|last| now < last + APART) {
            return;
        }
        self.last = Some(now);
        let count = std::mem::take(&mut self.suppressed);
        warn!(%kind, count, object, error, "failed to read an object; it is left out");
    }
}
