//! The way to the Kubernetes API: whether anything comes by it, and whether our
//! credentials are taken.

use kube::{Client, Config as KubeConfig};
use prometheus_client::registry::Registry;
use tributary_runtime::{
    args::KubeArgs,
    exit::Misconfigured,
    health::Check,
    kube::{Limits, Watches},
    kube_credentials::{KubeCredentials, reading},
    tasks::Tasks,
};

use crate::config::{Config, Sharding};

/// Where leases are if neither a flag nor a pod says so.
const SYSTEM: &str = "kube-system";

/// Makes the clients of a scraper, and knows how they fare. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct KubeApi {
    args: KubeArgs,
    watches: Watches,
    credentials: KubeCredentials,
}

impl KubeApi {
    /// As `args` say; what is counted is registered.
    pub(crate) fn register(args: &KubeArgs, registry: &mut Registry) -> Self {
        let new = Self {
            args: args.clone(),
            watches: Watches::new(args.limits),
            credentials: KubeCredentials::register(registry),
        };
        new.watches.register(registry);
        new
    }

    /// A client for the watch of this name, and for what is written beside it.
    ///
    /// # Errors
    ///
    /// The configuration cannot be used.
    pub(crate) async fn client(&self, watch: &'static str) -> Result<Client, Misconfigured> {
        let client = self.requests(watch).await?;
        Ok(self.watches.observe(watch, &client))
    }

    /// A client for requests that are no watch.
    ///
    /// # Errors
    ///
    /// The configuration cannot be used.
    pub(crate) async fn requests(&self, name: &'static str) -> Result<Client, Misconfigured> {
        let read = reading(&self.args, Limits::client);
        self.credentials.client(name, read).await
    }

    /// Starts what asks whether credentials that were refused are taken again.
    pub(crate) fn follow(&self, tasks: &mut Tasks) {
        let (stop, credentials) = (tasks.stop(), self.credentials.clone());
        tasks.spawn("kube-credentials", async move {
            credentials.follow(stop).await;
            Ok(())
        });
    }

    /// The checks for readiness.
    pub(crate) fn checks(&self) -> [Check; 2] {
        let (watches, credentials) = (self.watches.clone(), self.credentials.clone());
        [
            Check::new("watch-activity", move || watches.check()),
            Check::new("kube-credentials", move || credentials.ready()),
        ]
    }
}

/// Where the leases of our group are.
pub(crate) fn lease_namespace(config: &Config, kube: &KubeConfig) -> String {
    match (&config.sharding, &config.kube.kubeconfig) {
        (
            Sharding::Leases {
                namespace: Some(namespace),
            },
            _,
        ) => namespace.clone(),
        (_, None) => kube.default_namespace.clone(),
        (_, Some(_)) => SYSTEM.to_owned(),
    }
}

/// The UID of the pod that owns our lease, if it is in the namespace of the leases:
/// from another one the lease would be deleted at once.
pub(crate) fn lease_owner(config: &Config, kube: &KubeConfig) -> Option<String> {
    let is_in_cluster = config.kube.kubeconfig.is_none();
    let is_there = lease_namespace(config, kube) == kube.default_namespace;
    config.pod_uid.clone().filter(|_| is_in_cluster && is_there)
}
