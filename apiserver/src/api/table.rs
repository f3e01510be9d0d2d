//! The table of `kubectl get` for usage: one row for each object (docs/parity.md#tables).

use std::time::Duration;

use super::objects::{Amounts, Columns, Object};
use crate::k8s::{json, quantity, time};

/// An object that has usage.
pub(crate) trait Used: Object {
    /// The usage of the object. For a pod: the sum of its containers.
    fn total(&self) -> Amounts;

    /// The window of the mean CPU rate.
    fn window(&self) -> Duration;
}

/// The columns of such a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UsageColumns {
    /// Whether there is a column for swap.
    swap: bool,
}

impl<T: Used> Columns<T> for UsageColumns {
    /// As upstream, a table without rows has no columns.
    fn of(first: Option<&T>) -> Option<Self> {
        first.map(|first| Self {
            swap: first.total().swap.is_some(),
        })
    }

    fn definitions(self, out: &mut Vec<u8>) {
        out.extend_from_slice(
            br#""columnDefinitions":[{"name":"Name","type":"string","format":"name","description":"Name of the resource","priority":0}"#,
        );
        let resources = ["cpu", "memory"]
            .into_iter()
            .chain(self.swap.then_some("swap"));
        for name in resources {
            definition(out, name, "quantity");
        }
        definition(out, "Window", "duration");
        out.push(b']');
    }

    fn cells(self, out: &mut Vec<u8>, object: &T) {
        let total = object.total();
        out.extend_from_slice(br#""cells":["#);
        json::string(out, object.name());
        out.extend_from_slice(br#",""#);
        quantity::cpu(out, total.cpu);
        out.extend_from_slice(br#"",""#);
        quantity::bytes(out, total.memory);
        if self.swap {
            out.extend_from_slice(br#"",""#);
            match total.swap {
                Some(swap) => quantity::bytes(out, swap),
                // The value is not known. It is not zero, and the row must have all cells.
                None => out.extend_from_slice(br"\u003cunknown\u003e"),
            }
        }
        out.extend_from_slice(br#"",""#);
        time::span(out, object.window());
        out.extend_from_slice(br#""]"#);
    }
}

fn definition(out: &mut Vec<u8>, name: &str, format: &str) {
    out.extend_from_slice(br#",{"name":""#);
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(br#"","type":"string","format":""#);
    out.extend_from_slice(format.as_bytes());
    out.extend_from_slice(br#"","description":"","priority":0}"#);
}
