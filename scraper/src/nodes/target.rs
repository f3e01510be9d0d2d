//! Where one kubelet is to be asked.

use std::{fmt, sync::Arc};

use http::uri::PathAndQuery;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tributary_model::NodeName;

use super::object::Node;

/// How the kubelet of a node is found, from the flags.
#[derive(Clone, Debug)]
pub struct Rules {
    /// `--kubelet-preferred-address-types`, the first choice first.
    pub address_types: Arc<[String]>,
    /// `--kubelet-port`
    pub port: u16,
    /// `--kubelet-use-node-status-port`
    pub use_status_port: bool,
}

/// Where one kubelet is to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The name of the Node object.
    pub node: NodeName,
    /// A name or an address; a node without one is a target all the same, so
    /// that it is reported as one that cannot be scraped.
    pub host: Result<Arc<str>, NoAddress>,
    /// The port.
    pub port: u16,
    /// The path, escaped.
    pub path: PathAndQuery,
    /// Whether the node's condition `Ready` is true. Others are scraped too, but
    /// their failures are expected (PARITY 2.2).
    pub ready: bool,
}

/// A node has no address of a type that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoAddress {
    wanted: Arc<[String]>,
}

impl fmt::Display for NoAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no address matched types [{}]", self.wanted.join(" "))
    }
}

impl std::error::Error for NoAddress {}

impl Rules {
    /// The target of a node (PARITY 2.3 and 2.4).
    pub(super) fn target(&self, node: &Node) -> Target {
        let name = NodeName::from(node.name());
        // A port out of range cannot come from a kubelet; it is as none.
        let in_status = u16::try_from(node.port).unwrap_or(0);
        let port = if self.use_status_port && in_status != 0 {
            in_status
        } else {
            self.port
        };
        Target {
            node: name,
            host: self.host(node),
            port,
            path: path(node.path.as_deref().unwrap_or_default()),
            ready: node.ready,
        }
    }

    fn host(&self, node: &Node) -> Result<Arc<str>, NoAddress> {
        self.address_types
            .iter()
            .find_map(|kind| node.addresses.iter().find(|address| address.kind == *kind))
            .map(|address| address.address.as_str().into())
            .ok_or_else(|| NoAddress {
                wanted: Arc::clone(&self.address_types),
            })
    }
}

/// The path of every kubelet.
const DEFAULT_PATH: &str = "/metrics/resource";

/// What Go's `net/url` leaves as it is in a path, and nothing more: the
/// annotation is a path and cannot bring in a query.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b',')
    .remove(b'/')
    .remove(b':')
    .remove(b';')
    .remove(b'=')
    .remove(b'@');

fn path(annotated: &str) -> PathAndQuery {
    let default = PathAndQuery::from_static(DEFAULT_PATH);
    if annotated.is_empty() {
        return default;
    }
    let slash = if annotated.starts_with('/') { "" } else { "/" };
    let escaped = format!("{slash}{}", utf8_percent_encode(annotated, ESCAPED));
    // Nothing that is escaped so is refused, but for a path of 64 KiB.
    PathAndQuery::try_from(escaped).unwrap_or(default)
}
