//! Objects that cannot be read.
//!
//! Whoever may write one object must not decide whether others are seen. So each is read
//! by itself: one that cannot be read is left out, counted, and some are named in the log.

use std::time::Duration;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::time::Instant;
use tracing::warn;

use super::null::from_json;

/// How far lines in the log about them are apart.
const APART: Duration = Duration::from_mins(1);

/// So much is told of a name, and of why it cannot be read: both are a stranger's words.
const MOST_TOLD: usize = 256;

/// What was left out of a page, or of a line of a watch.
#[derive(Debug, Default)]
pub struct LeftOut {
    count: u64,
    /// Which, and why, of the first.
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
    /// Reads one object; `None` if it cannot be read, which is noted.
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
            self.first = Some((told(&which), told(&error.to_string())));
        }
        None
    }

    /// Reads one object that was deleted. Of one that cannot be read namespace and name
    /// are enough to take it out of a set; `None` if it has no name, which is noted.
    pub fn read_deleted<T: DeserializeOwned>(&mut self, json: &str) -> Option<T> {
        if let Ok(read) = from_json(json) {
            return Some(read);
        }
        let who = from_json::<Who>(json).ok();
        let who = who.filter(|who| !who.metadata.name.is_empty());
        let named = who.and_then(|who| from_json(&serde_json::to_string(&who).ok()?).ok());
        named.or_else(|| self.read(json))
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.count
    }
}

fn told(text: &str) -> String {
    let text = text.chars().filter(|letter| !letter.is_control());
    text.take(MOST_TOLD).collect()
}

/// When something was last said of them.
#[derive(Debug, Default)]
pub(super) struct Said {
    last: Option<Instant>,
    /// How many nothing was said of since then.
    unsaid: u64,
}

impl Said {
    /// Says in the log what was left out, if it is time.
    pub(super) fn say(&mut self, kind: &str, left_out: LeftOut) {
        let LeftOut { count, first } = left_out;
        let Some((object, error)) = first else {
            return;
        };
        self.unsaid += count;
        let now = Instant::now();
        if self.last.is_some_and(|last| now < last + APART) {
            return;
        }
        self.last = Some(now);
        let count = std::mem::take(&mut self.unsaid);
        warn!(%kind, count, object, error, "failed to read an object; it is left out");
    }
}
