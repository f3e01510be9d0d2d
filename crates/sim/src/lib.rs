//! A Kubernetes cluster in one process, for tests, the demo and benchmarks.
//!
//! [`Cluster`] has a kube API that really lists and watches, kubelets with TLS on their own loopback addresses, whose
//! load follows closed formulas, and an aggregator that forwards `metrics.k8s.io` to frontends like kube-apiserver.
//! Everything can change at run time, and every kubelet can have a [`Fault`].
//!
//! This crate knows nothing about Tributary. Both components use it over the network, like a real cluster.

mod aggregator;
mod cadvisor;
mod clock;
mod cluster;
mod encode;
mod gate;
mod identity;
mod kube_api;
mod kubelet;
mod load;
mod nulled;
mod objects;
mod pki;
mod store;
mod tls;

use std::path::PathBuf;

pub use clock::SimClock;
pub use cluster::{ApiFault, Builder, Cluster, Endpoint, FrontendTrust, ReviewCounts};
pub use identity::{API_AUDIENCE, Identity, TokenSpec};
pub use kubelet::{Fault, KubeletAuth, KubeletStats, Serves};
pub use load::{Load, Usage};
pub use nulled::nulled;
pub use objects::{NodeSpec, Phase, PodSpec};
pub use pki::{Ca, Credential, FRONT_PROXY_NAME, FRONTEND_NAME, Paths, Pki, SCRAPER_USER};

/// Why a simulation cannot start or change.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A certificate could not be made.
    #[error("make certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// A certificate could not be put to use.
    #[error("configure tls: {0}")]
    Tls(#[from] rustls::Error),
    /// The verifier of client certificates could not be made.
    #[error("configure client certificates: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
    /// A file could not be written.
    #[error("write {}: {source}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// No listener could be opened.
    #[error("listen on {address}: {source}")]
    Listen {
        /// Where.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The object that should change does not exist.
    #[error("{0} does not exist")]
    Missing(String),
    /// A PEM text holds no certificate.
    #[error("no certificate in the given pem text")]
    Pem,
}
