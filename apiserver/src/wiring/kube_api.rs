//! What a frontend asks of the Kubernetes API: reviews, and which objects exist.

use kube::Client;
use prometheus_client::registry::Registry;
use tributary_runtime::{
    args::KubeArgs,
    clock::Clock,
    exit::Misconfigured,
    kube::{Limits, Watches},
    kube_credentials::{KubeCredentials, reading},
    tasks::Tasks,
};

use crate::{
    args::Args,
    auth::Clients,
    catalog::{Catalog, Pods, Unplaced, place_pods, watch_claims, watch_nodes, watch_pods},
    store::Store,
};

/// The way to the Kubernetes API, and whether it is open. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct KubeApi {
    args: KubeArgs,
    /// Whether it says anything.
    pub(crate) watches: Watches,
    /// Whether it takes our credentials.
    pub(crate) credentials: KubeCredentials,
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

    /// The clients for token reviews and access reviews.
    ///
    /// # Errors
    ///
    /// A configuration cannot be used.
    pub(crate) async fn reviewers(&self, args: &Args) -> Result<Clients, Misconfigured> {
        let authentication = args.authentication.authentication_kubeconfig.as_deref();
        let authorization = args.authorization.authorization_kubeconfig.as_deref();
        Clients::new(
            authentication,
            authorization,
            &self.args,
            &self.watches,
            &self.credentials,
        )
        .await
    }

    /// The client that keeps the serving certificate.
    ///
    /// # Errors
    ///
    /// The configuration cannot be used.
    pub(crate) async fn keeper(&self) -> Result<Client, Misconfigured> {
        let read = reading(&self.args, Limits::client);
        self.credentials.client("certificates", read).await
    }

    /// Starts what follows the objects, and the credentials for that.
    ///
    /// # Errors
    ///
    /// The configuration cannot be used.
    pub(crate) async fn watch(
        &self,
        tasks: &mut Tasks,
        catalog: &Catalog,
        store: &Store,
        clock: &Clock,
    ) -> Result<(), Misconfigured> {
        let metadata = reading(&self.args, Limits::metadata_client);
        let metadata = self.credentials.client("watches", metadata).await?;
        let pods = Pods {
            catalog: catalog.clone(),
            store: store.clone(),
            unplaced: Unplaced::default(),
            clock: clock.clone(),
        };
        self.spawn(tasks, &metadata, pods);
        Ok(())
    }

    fn spawn(&self, tasks: &mut Tasks, metadata: &Client, pods: Pods) {
        let (catalog, store) = (pods.catalog.clone(), pods.store.clone());
        let (pods_catalog, unplaced) = (catalog.clone(), pods.unplaced.clone());
        let client = self.watches.observe("nodes", metadata);
        let (stop, nodes) = (tasks.stop(), catalog.clone());
        tasks.spawn("nodes", async move {
            watch_nodes(client, nodes, stop).await;
            Ok(())
        });
        let client = self.watches.observe("pods", metadata);
        let stop = tasks.stop();
        tasks.spawn("pods", async move {
            watch_pods(client, pods, stop).await;
            Ok(())
        });
        let (stop, client) = (tasks.stop(), metadata.clone());
        tasks.spawn("unplaced", async move {
            place_pods(client, pods_catalog, unplaced, stop).await;
            Ok(())
        });
        let stop = tasks.stop();
        tasks.spawn("claims", async move {
            watch_claims(catalog, store, stop).await;
            Ok(())
        });
        let (stop, credentials) = (tasks.stop(), self.credentials.clone());
        tasks.spawn("credentials", async move {
            credentials.follow(stop).await;
            Ok(())
        });
    }
}
