//! The keeper, against an API that plays those objects that it touches.

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

/// A second less.
const ALMOST_AN_HOUR: Duration = Duration::from_secs(3_599);

/// A certificate is good for a day, is renewed eight hours before its end, and
/// overlaps by an hour.
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
        // Its own clock is decades behind, and does not count.
        let shows = (
            Arc::clone(&certificate),
            Clock::fixed(Timestamp::UNIX_EPOCH),
        );
        let metrics = Metrics::register(&mut registry);
        let keeper = Keeper::new((settings, name), cluster.client(), shows, metrics);
        Self {
            keeper,
            certificate,
            registry,
        }
    }

    /// What it shows to those who call.
    fn shown(&self) -> Vec<CertificateDer<'static>> {
        self.certificate.shown().cert.clone()
    }

    fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }
}

/// Whether who trusts these takes what the frontend shows.
fn takes(cluster: &Cluster, cas: &[CertificateDer<'_>], frontend: &Frontend) -> bool {
    let now = u64::try_from(cluster.now().as_second()).unwrap();
    accepted(cas, &frontend.shown(), SERVER, now).is_ok()
}

/// All who verify take what each frontend shows.
fn all_take(cluster: &Cluster, frontends: &[&Frontend]) {
    for frontend in frontends {
        for version in ["v1beta1", "v1"] {
            let bundle = cluster.bundle(version);
            assert!(takes(cluster, &bundle, frontend), "{version}");
        }
        assert!(takes(cluster, &cluster.mounted(), frontend));
    }
}
