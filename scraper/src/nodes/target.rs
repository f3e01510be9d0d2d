//! Where one kubelet is to be asked.

use std::sync::Arc;

use http::uri::PathAndQuery;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rustls_pki_types::ServerName;
use tributary_model::{Endpoint, NodeName};

use super::object::Node;

/// How the kubelet of a node is found, from the flags.
#[derive(Clone, Debug)]
pub struct AddressRules {
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
    /// The UID of the Node object.
    pub uid: Arc<str>,
    /// A name or an address; a node without one is a target all the same, so
    /// that it is reported as one that cannot be scraped. So is one with a port or
    /// a path that cannot be a kubelet's.
    pub host: Result<Arc<str>, NoAddress>,
    /// The port.
    pub port: u16,
    /// The path, escaped. That of every kubelet says nothing of this one, see
    /// [`Target::named`].
    pub path: PathAndQuery,
    /// Whether the node's condition `Ready` is true. Others are scraped too, but
    /// their failures are expected (docs/parity.md#which-nodes).
    pub ready: bool,
    /// How many CPUs the node has, in thousandths, if it says so. Never 0.
    pub cpu_millis: Option<u64>,
}

impl Target {
    /// The endpoint at the path that the node names, by the end of this path; `None`
    /// if it names none.
    pub fn named(&self) -> Option<Endpoint> {
        let path = self.path.path();
        let [_, old @ ..] = Endpoint::ALL;
        let old = old.into_iter().find(|it| path.ends_with(it.path()));
        match old {
            None if path == DEFAULT_PATH => None,
            None => Some(Endpoint::Resource),
            old => old,
        }
    }
}

/// Why a node cannot be asked. What the node says is not repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAddress {
    /// It has no address of a type that is wanted.
    #[error("no address matched types [{}]", .0.join(" "))]
    NoneWanted(Arc<[String]>),
    /// What it has is neither a DNS name nor an IP address.
    #[error("the address of type {kind} is neither a name nor an IP address")]
    NotAHost {
        /// Which of its addresses.
        kind: String,
    },
    /// The port in its status is not one of a kubelet.
    #[error(
        "the port {0} in the status of the node is not one of a kubelet; \
         those below {LEAST_PORT} are not asked"
    )]
    Port(u16),
    /// The annotation is not a path.
    #[error("the annotation {PATH_ANNOTATION} is not a path of at most {MAX_PATH} bytes")]
    Path,
}

/// Ports of kubelets are not below. Others have those: a node that names 443 in
/// its status wants our credentials shown to somebody else.
const LEAST_PORT: u16 = 1_024;

/// The annotation with which a node moves its page.
const PATH_ANNOTATION: &str = "metrics.k8s.io/resource-metrics-path";

/// The longest path that a node may ask for.
const MAX_PATH: usize = 1_024;

impl AddressRules {
    /// The target of a node (docs/parity.md#address, docs/parity.md#path).
    pub(super) fn target(&self, node: &Node) -> Target {
        let name = NodeName::from(node.name.as_str());
        // A port out of range cannot come from a kubelet; it is as none.
        let in_status = u16::try_from(node.port).unwrap_or(0);
        let (port, fits) = match in_status {
            1.. if self.use_status_port => (in_status, in_status >= LEAST_PORT),
            _ => (self.port, true),
        };
        let path = path(node.path.as_deref().unwrap_or_default());
        let host = self.host(node).and_then(|host| match &path {
            None => Err(NoAddress::Path),
            Some(_) if !fits => Err(NoAddress::Port(port)),
            Some(_) => Ok(host),
        });
        Target {
            node: name,
            uid: node.uid.as_str().into(),
            host,
            port,
            path: path.unwrap_or(PathAndQuery::from_static(DEFAULT_PATH)),
            ready: node.ready,
            cpu_millis: node.cpu_millis,
        }
    }

    fn host(&self, node: &Node) -> Result<Arc<str>, NoAddress> {
        let found = self
            .address_types
            .iter()
            .find_map(|kind| node.addresses.iter().find(|address| address.kind == *kind))
            .ok_or_else(|| NoAddress::NoneWanted(Arc::clone(&self.address_types)))?;
        let host = found.address.as_str();
        // That it is empty has words of its own.
        if host.is_empty() || ServerName::try_from(host).is_ok() {
            return Ok(host.into());
        }
        Err(NoAddress::NotAHost {
            kind: found.kind.clone(),
        })
    }
}

/// The path of every kubelet.
const DEFAULT_PATH: &str = Endpoint::Resource.path();

/// Keeps volumes and networks out of a summary, since Kubernetes 1.13.
const ONLY_CPU_AND_MEMORY: &str = "?only_cpu_and_memory=true";

/// What is asked for at an endpoint of a kubelet.
pub(crate) fn path_of(endpoint: Endpoint) -> PathAndQuery {
    PathAndQuery::from_static(match endpoint {
        Endpoint::Resource => DEFAULT_PATH,
        Endpoint::ResourceV1alpha1 => Endpoint::ResourceV1alpha1.path(),
        // The path with `ONLY_CPU_AND_MEMORY`, as one literal.
        Endpoint::StatsSummary => "/stats/summary?only_cpu_and_memory=true",
    })
}

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

/// The path of a kubelet; `None` if a node asks for something that is none. What
/// is asked begins with one slash, which is added as by metrics-server, and never
/// with the name of another host.
fn path(annotated: &str) -> Option<PathAndQuery> {
    if annotated.is_empty() {
        return Some(PathAndQuery::from_static(DEFAULT_PATH));
    }
    let names_a_host = annotated.starts_with("//") || annotated.contains("://");
    if names_a_host || annotated.len() > MAX_PATH {
        return None;
    }
    let slash = if annotated.starts_with('/') { "" } else { "/" };
    let mut asked = format!("{slash}{}", utf8_percent_encode(annotated, ESCAPED));
    if asked.ends_with(Endpoint::StatsSummary.path()) {
        asked.push_str(ONLY_CPU_AND_MEMORY);
    }
    PathAndQuery::try_from(asked).ok()
}
