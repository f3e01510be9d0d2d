//! How a frontend shows its condition: probes, metrics of sizes and states, and log lines about
//! nodes.

pub(crate) mod coverage;
mod metrics;
mod states;

use std::sync::Arc;

use prometheus_client::registry::Registry;
use tributary_model::Timestamp;
use tributary_runtime::{
    clock::Clock,
    health::{Check, Endpoint},
    kube::Watches,
    kube_credentials::KubeCredentials,
    tasks::Tasks,
};

use self::coverage::Coverage;
use crate::{
    auth::Auth, catalog::Catalog, certificates::CertificateReadiness, requests::shutdown::Steps,
    scrapers::node_roles::NodeRoles, store::Store,
};

/// What a frontend knows about its cluster, and the clock for ages. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) catalog: Catalog,
    pub(crate) store: Store,
    pub(crate) node_roles: NodeRoles,
    pub(crate) clock: Clock,
}

impl Known {
    /// The time now, by its clock.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.clock.now_millis())
    }
}

/// Reports sizes and states: as metrics, and in the log when a node changes its state.
pub(crate) fn report(tasks: &mut Tasks, registry: &mut Registry, known: &Known) {
    metrics::register(registry, known.clone());
    let (known, stop) = (known.clone(), tasks.stop());
    tasks.spawn("states", async move {
        states::log_changes(known, stop).await;
        Ok(())
    });
}

/// The checks that must pass before the frontend gets requests.
#[derive(Debug)]
pub(crate) struct Readiness {
    pub(crate) auth: Auth,
    pub(crate) coverage: Coverage,
    pub(crate) credentials: KubeCredentials,
    /// The check of the serving certificate, with `--tls-auto`.
    pub(crate) certificate: Option<CertificateReadiness>,
    pub(crate) steps: Steps,
    pub(crate) watches: Watches,
}

impl Readiness {
    /// The probes.
    pub(crate) fn endpoints(self) -> [Endpoint; 3] {
        [
            Endpoint::new("livez", vec![Check::ping()]),
            Endpoint::new("readyz", self.checks()),
            Endpoint::new("healthz", vec![Check::ping()]),
        ]
    }

    fn checks(self) -> Vec<Check> {
        let Self {
            auth,
            coverage,
            credentials,
            certificate,
            steps,
            watches,
        } = self;
        let catalog = coverage.known.catalog.clone();
        let synced = |what: &'static str, is_synced: fn(&Catalog) -> bool| {
            let catalog = catalog.clone();
            move || {
                if is_synced(&catalog) {
                    Ok(())
                } else {
                    Err(format!("the list of {what} has not been read yet"))
                }
            }
        };
        let shutdown = move || {
            let running = !steps.is_leaving();
            running
                .then_some(())
                .ok_or_else(|| "process is shutting down".to_owned())
        };
        let certificate =
            certificate.map(|kept| Check::new("serving-certificate", move || kept.check()));
        let checks = [
            Check::ping(),
            Check::new("node-informer-sync", synced("nodes", Catalog::nodes_synced)),
            Check::new("pod-informer-sync", synced("pods", Catalog::pods_synced)),
            Check::new("watch-activity", move || watches.check()),
            Check::new("authentication-configuration", move || auth.ready()),
            Check::new("kube-credentials", move || credentials.ready()),
            Check::new("metric-coverage", coverage::check(Arc::new(coverage))),
            Check::new("shutdown", shutdown),
        ];
        checks.into_iter().chain(certificate).collect()
    }
}
