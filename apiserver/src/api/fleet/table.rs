//! The columns that `kubectl get` shows for this group. Some of them are shown with `-o wide` only.

use std::time::Duration;

use tributary_model::Timestamp;

use super::super::objects::{Columns, Object};
use crate::k8s::json;

/// A column after the name.
pub(crate) struct Column<T> {
    /// Its title.
    pub(crate) name: &'static str,
    /// `string` or `integer`.
    pub(crate) kind: &'static str,
    /// Whether it is shown with `-o wide` only.
    pub(crate) wide: bool,
    /// Its description.
    pub(crate) description: &'static str,
    /// Its value for an object.
    pub(crate) cell: fn(&T) -> Cell,
}

/// The content of a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cell {
    /// A text.
    Text(String),
    /// A number.
    Number(u64),
}

/// An object with its own columns.
pub(crate) trait Tabled: Object {
    /// The columns after the name.
    const COLUMNS: &'static [Column<Self>];
}

/// All columns of such an object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AllColumns;

impl<T: Tabled> Columns<T> for AllColumns {
    fn of(_: Option<&T>) -> Option<Self> {
        Some(Self)
    }

    fn definitions(self, out: &mut Vec<u8>) {
        out.extend_from_slice(
            br#""columnDefinitions":[{"name":"Name","type":"string","format":"name","description":"Name of the resource","priority":0}"#,
        );
        for column in T::COLUMNS {
            out.extend_from_slice(br#",{"name":"#);
            json::string(out, column.name);
            out.extend_from_slice(br#","type":"#);
            json::string(out, column.kind);
            out.extend_from_slice(br#","format":"","description":"#);
            json::string(out, column.description);
            out.extend_from_slice(br#","priority":"#);
            json::number(out, u64::from(column.wide));
            out.push(b'}');
        }
        out.push(b']');
    }

    fn cells(self, out: &mut Vec<u8>, object: &T) {
        out.extend_from_slice(br#""cells":["#);
        json::string(out, object.name());
        for column in T::COLUMNS {
            out.push(b',');
            match (column.cell)(object) {
                Cell::Text(text) => json::string(out, &text),
                Cell::Number(number) => json::number(out, number),
            }
        }
        out.push(b']');
    }
}

impl Cell {
    /// A text, or `<none>`.
    pub(super) fn text(text: Option<&str>) -> Self {
        Self::Text(text.unwrap_or("<none>").to_owned())
    }

    /// A text, or `<unknown>` if it is empty.
    pub(super) fn known(text: &str) -> Self {
        let text = if text.is_empty() { "<unknown>" } else { text };
        Self::Text(text.to_owned())
    }

    /// The time since `at`, or `<unknown>`.
    pub(super) fn ago(at: Option<Timestamp>, now: Timestamp) -> Self {
        Self::span(at.map(|at| now.since(at).unwrap_or_default()))
    }

    /// A duration, or `<unknown>`.
    pub(super) fn span(span: Option<Duration>) -> Self {
        Self::Text(span.map_or_else(|| "<unknown>".to_owned(), human))
    }

    /// A number.
    pub(super) fn count(count: usize) -> Self {
        Self::Number(u64::try_from(count).unwrap_or(u64::MAX))
    }
}

/// A duration as kubectl prints ages: `42s`, `3m20s`, `5h`, `12d`.
fn human(span: Duration) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    let seconds = span.as_secs();
    let two = |whole: u64, unit: &str, part: u64, smaller: &str| match part {
        0 => format!("{whole}{unit}"),
        part => format!("{whole}{unit}{part}{smaller}"),
    };
    if seconds < 2 * MINUTE {
        format!("{seconds}s")
    } else if seconds < 10 * MINUTE {
        two(seconds / MINUTE, "m", seconds % MINUTE, "s")
    } else if seconds < 3 * HOUR {
        format!("{}m", seconds / MINUTE)
    } else if seconds < 8 * HOUR {
        two(seconds / HOUR, "h", seconds % HOUR / MINUTE, "m")
    } else if seconds < 2 * DAY {
        format!("{}h", seconds / HOUR)
    } else if seconds < 8 * DAY {
        two(seconds / DAY, "d", seconds % DAY / HOUR, "h")
    } else {
        format!("{}d", seconds / DAY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cases follow `duration.HumanDuration` of k8s.io/apimachinery.
    #[test]
    fn spans_read_as_kubectl_prints_ages() {
        for (seconds, text) in [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (200, "3m20s"),
            (600, "10m"),
            (10_799, "179m"),
            (10_800, "3h"),
            (12_000, "3h20m"),
            (28_800, "8h"),
            (172_799, "47h"),
            (176_400, "2d1h"),
            (691_200, "8d"),
            (31_536_000, "365d"),
        ] {
            assert_eq!(human(Duration::from_secs(seconds)), text, "{seconds}");
        }
    }
}
