//! What `kubectl get` shows: a row per object (docs/parity.md#tables).

use super::{json, objects::Item, quantity, time};

/// Which columns a table has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Columns {
    /// Whether there is one for swap.
    swap: bool,
}

impl Columns {
    /// The columns of a table whose first row is `first`.
    pub(crate) fn of(first: &Item) -> Self {
        Self {
            swap: first.total().swap.is_some(),
        }
    }

    /// Appends `"columnDefinitions":[..]`.
    pub(crate) fn definitions(self, out: &mut Vec<u8>) {
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

    /// Appends `{"cells":[..]`, the beginning of a row.
    pub(crate) fn cells(self, out: &mut Vec<u8>, item: &Item) {
        let total = item.total();
        out.extend_from_slice(br#"{"cells":["#);
        json::string(out, item.name());
        out.extend_from_slice(br#",""#);
        quantity::cpu(out, total.cpu);
        out.extend_from_slice(br#"",""#);
        quantity::bytes(out, total.memory);
        if self.swap {
            out.extend_from_slice(br#"",""#);
            match total.swap {
                Some(swap) => quantity::bytes(out, swap),
                // Not zero, and not a narrower row either.
                None => out.extend_from_slice(br"\u003cunknown\u003e"),
            }
        }
        out.extend_from_slice(br#"",""#);
        time::span(out, item.window());
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
