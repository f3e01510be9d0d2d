//! The keeper, against a fake API with the objects that it reads and writes.

mod adopted;
mod cluster;
mod ready;
mod renewal;
mod trouble;

use std::{sync::Arc, time::Duration};

use clap::Parser as _;
use jiff::Timestamp;
use prometheus_client::registry::Registry;
use rustls_pki_types::CertificateDer;
use tributary_runtime::{
    clock::Clock,
    tls::{ServingCertificate, accepted},
};

use self::cluster::Cluster;
use super::{Keeper, Metrics, Settings};
use crate::args::Args;

const SERVER: &str = "t.ns.svc";

const HOUR: Duration = Duration::from_hours(1);

/// An hour without one second.
const ALMOST_AN_HOUR: Duration = Duration::from_secs(3_599);

/// A certificate is valid for a day and renewed eight hours before it expires. The overlap is an
/// hour.
const FLAGS: [&str; 3] = [
    "--tls-auto=ns/t",
    "--tls-auto-validity=24h",
    "--tls-auto-overlap=1h",
];

/// One frontend.
struct Frontend {
    keeper: Keeper,
    certificate: Arc<ServingCertificate>,
    registry: Registry,
}

impl Frontend {
    fn new(cluster: &Cluster, name: &str) -> Self {
        Self::with(cluster, name, &[])
    }

    fn with(cluster: &Cluster, name: &str, more: &[&str]) -> Self {
        let flags = ["tributary-apiserver"].iter().chain(&FLAGS).chain(more);
        let args = Args::try_parse_from(flags).unwrap();
        let settings = Settings::read(&args.tls_auto).unwrap().unwrap();
        let certificate = ServingCertificate::self_signed([SERVER.to_owned()], []).unwrap();
        let mut registry = Registry::default();
        // The frontend's own clock is decades behind. It must not be used.
        let clock = Clock::fixed(Timestamp::UNIX_EPOCH);
        let metrics = Metrics::register(&mut registry);
        let served = Arc::clone(&certificate);
        let keeper = Keeper::new(settings, name, cluster.client(), served, clock, metrics);
        Self {
            keeper,
            certificate,
            registry,
        }
    }

    /// The certificate that the frontend serves.
    fn shown(&self) -> Vec<CertificateDer<'static>> {
        self.certificate.shown().cert.clone()
    }

    fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }
}

/// Whether a client that trusts these CAs accepts the frontend's certificate.
fn takes(cluster: &Cluster, cas: &[CertificateDer<'_>], frontend: &Frontend) -> bool {
    let now = u64::try_from(cluster.now().as_second()).unwrap();
    accepted(cas, &frontend.shown(), SERVER, now).is_ok()
}

/// Checks that all clients accept the certificate of each frontend.
fn all_take(cluster: &Cluster, frontends: &[&Frontend]) {
    for frontend in frontends {
        for version in ["v1beta1", "v1"] {
            let bundle = cluster.bundle(version);
            assert!(takes(cluster, &bundle, frontend), "{version}");
        }
        assert!(takes(cluster, &cluster.mounted(), frontend));
    }
}
