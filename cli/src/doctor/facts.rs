//! What the API says, read once. Checks are functions of this, so that tests need no API.

mod accounts;
mod autoscalers;
mod endpoints;
#[cfg(test)]
pub(crate) mod healthy;

use std::collections::BTreeMap;

use futures::join;
use jiff::Timestamp;
use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        certificates::v1::CertificateSigningRequest,
        coordination::v1::Lease,
        core::v1::{ConfigMap, Node, Pod, Service},
    },
    apimachinery::pkg::{apis::meta::v1::APIGroupList, version::Info},
    kube_aggregator::pkg::apis::apiregistration::v1::APIService,
};

pub use self::{
    accounts::{Denied, Need, Role},
    autoscalers::{Lacking, Scalers, Unread},
    endpoints::Endpoint,
};
use crate::{
    api_services::{API_SERVICES, FLEET as FLEET_SERVICE, METRICS, Registration},
    commands::Commands,
    fleet::{FLEET, MetricsFrontend, NodeScrape, Scraper},
    kube_api::{Dated, Failure, KubeApi},
    leases::LEASES,
};

/// What was read, or why not.
pub type Read<T> = Result<T, Failure>;

/// Pods, Deployments and Services of Tributary and of metrics-server's chart; then those of metrics-server's manifest.
const SELECTORS: [&str; 2] = [
    "app.kubernetes.io/name%20in%20%28tributary%2Cmetrics-server%29",
    "k8s-app%3Dmetrics-server",
];

/// What servers know of the front proxy.
const FRONT_PROXY: &str =
    "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication";

/// Requests of kubelets for serving certificates.
const REQUESTS: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests?fieldSelector=spec.signerName%3Dkubernetes.io%2Fkubelet-serving";

/// The label that says of what an object is a part.
const NAME: &str = "app.kubernetes.io/name";

/// Everything that checks look at.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The date, by the clock of the servers.
    pub now: Timestamp,
    /// The namespace that the caller named.
    pub named: Option<String>,
    /// Commands to copy, for the cluster of the caller.
    pub commands: Commands,
    /// The version of Kubernetes.
    pub version: Read<Info>,
    /// The names of the API groups.
    pub groups: Read<Vec<String>>,
    /// What servers know of the front proxy: the data of a `ConfigMap`.
    pub front_proxy: Read<BTreeMap<String, String>>,
    /// The `APIService`s of our groups.
    pub registrations: Read<Vec<Registration>>,
    /// Services of Tributary and metrics-server.
    pub services: Read<Vec<Service>>,
    /// Deployments of both.
    pub deployments: Read<Vec<Deployment>>,
    /// Pods of both, and those behind the Service that have other labels and are not ready.
    pub pods: Read<Vec<Pod>>,
    /// The endpoints of the Service of the frontends, or of the server that answers.
    pub endpoints: Read<Vec<Endpoint>>,
    /// All nodes.
    pub nodes: Read<Vec<Node>>,
    /// The nodes as the fleet shows them.
    pub scrapes: Read<Vec<NodeScrape>>,
    /// The connected scrapers.
    pub scrapers: Read<Vec<Scraper>>,
    /// The frontend that answers.
    pub frontends: Read<Vec<MetricsFrontend>>,
    /// The names of the nodes that have metrics. Read only where there is no fleet.
    pub measured: Read<Vec<String>>,
    /// The Leases of scrapers.
    pub leases: Read<Vec<Lease>>,
    /// Requests for certificates.
    pub requests: Read<Vec<CertificateSigningRequest>>,
    /// What accounts of the components may not do and should.
    pub denied: Read<Vec<Denied>>,
    /// Autoscalers whose pods lack requests.
    pub scalers: Read<Scalers>,
}

/// An object with nothing but its name.
#[derive(serde::Deserialize)]
struct Named {
    metadata: crate::fleet::Meta,
}

impl Facts {
    /// Reads everything. Autoscalers are those of `namespace`, or all. Where the cluster does not say where Tributary is, it
    /// is taken for its namespace, too.
    pub async fn read(api: &KubeApi, namespace: Option<&str>, own_clock: Timestamp) -> Self {
        let version = api.get::<Info>("/version");
        let groups = api.get::<APIGroupList>("/apis");
        let front_proxy = api.get::<ConfigMap>(FRONT_PROXY);
        let registrations = api.list::<APIService>(API_SERVICES);
        let deployments = labelled::<Deployment>(api, "/apis/apps/v1/deployments");
        let scraper_path = format!("{FLEET}/scrapers");
        let frontend_path = format!("{FLEET}/metricsfrontends");
        let fleet = async {
            let scrapers = api.list::<Scraper>(&scraper_path);
            let frontends = api.list::<MetricsFrontend>(&frontend_path);
            let (nodes, scrapers, frontends) = join!(nodes_of_fleet(api), scrapers, frontends);
            // Afterwards: a Lease that had expired when others took over has expired in this list, too.
            let leases = api.if_known::<Lease>(LEASES).await;
            (nodes, scrapers, frontends, leases)
        };
        let objects = async {
            join!(
                labelled::<Service>(api, "/api/v1/services"),
                labelled::<Pod>(api, "/api/v1/pods"),
                api.dated_list::<Node>("/api/v1/nodes"),
                if_known::<CertificateSigningRequest>(api, REQUESTS),
                autoscalers::scalers(api, namespace),
            )
        };
        let (version, groups, front_proxy, registrations) =
            join!(version, groups, front_proxy, registrations);
        let (deployments, fleet, objects) = join!(deployments, fleet, objects);
        let ((nodes_of_fleet, measured), scrapers, frontends, leases) = fleet;
        let (services, pods, nodes, requests, scalers) = objects;
        let dates = [date_of(&nodes_of_fleet), date_of(&nodes), date_of(&leases)];
        let names = |groups: APIGroupList| groups.groups.into_iter().map(|group| group.name);
        let mut facts = Self {
            now: dates.into_iter().flatten().max().unwrap_or(own_clock),
            named: namespace.map(str::to_owned),
            commands: api.commands.clone(),
            version,
            groups: groups.map(|groups| names(groups).collect()),
            front_proxy: front_proxy.map(|map| map.data.unwrap_or_default()),
            registrations: registrations.map(|all| Registration::all(&all)),
            denied: accounts::denied(api, deployments.as_deref()).await,
            services,
            deployments,
            pods,
            endpoints: Ok(Vec::new()),
            nodes: nodes.map(|nodes| nodes.read),
            scrapes: nodes_of_fleet.map(|nodes| nodes.read),
            scrapers,
            frontends,
            measured,
            leases: leases.map(|leases| leases.read),
            requests,
            scalers,
        };
        endpoints::read(api, &mut facts).await;
        facts
    }

    /// The `APIService` that kubectl and autoscalers ask, if there is one.
    #[must_use]
    pub fn metrics(&self) -> Option<&Registration> {
        let all = self.registrations.as_ref().ok()?;
        all.iter().find(|service| service.name == METRICS)
    }

    /// The Service of the frontends, as namespace and name: that of the fleet, or one with our labels.
    #[must_use]
    pub fn own_service(&self) -> Option<(String, String)> {
        let all = self.registrations.iter().flatten();
        let mut fleet = all.filter(|service| service.name == FLEET_SERVICE);
        let fleet = fleet.find_map(|service| service.service.clone());
        fleet.or_else(|| {
            let services = self.services.iter().flatten();
            let mut ours = services.filter(|service| {
                let labels = service.metadata.labels.as_ref();
                let label = |name: &str| labels.and_then(|labels| labels.get(name));
                label(NAME).is_some_and(|name| name == "tributary")
                    && label("app.kubernetes.io/component").is_some_and(|it| it == "frontend")
            });
            ours.find_map(|it| it.metadata.namespace.clone().zip(it.metadata.name.clone()))
        })
    }

    /// The same, or that of the server that answers.
    #[must_use]
    pub fn service(&self) -> Option<(String, String)> {
        let metrics = || self.metrics()?.service.clone();
        self.own_service().or_else(metrics)
    }

    /// Where Tributary is, or else the server that answers; or else the namespace that the caller named. Empty if none is
    /// known.
    #[must_use]
    pub fn namespace(&self) -> String {
        let namespace = self.service().map(|(namespace, _)| namespace);
        namespace.or_else(|| self.named.clone()).unwrap_or_default()
    }

    /// What serves the metrics, for people.
    #[must_use]
    pub fn server(&self) -> String {
        let versions = self.frontends.iter().flatten();
        let mut versions = versions.map(|frontend| frontend.status.version.as_str());
        let own = self.own_service().map(|(namespace, _)| namespace);
        match (own, versions.next()) {
            (Some(namespace), Some(version)) => format!("Tributary {version} in {namespace}"),
            (Some(namespace), None) => format!("Tributary in {namespace}"),
            (None, Some(version)) => format!("Tributary {version}, without an APIService"),
            (None, None) => match (self.metrics(), &self.registrations) {
                (Some(metrics), _) => format!("{} as the server of the metrics", metrics.target()),
                (None, Ok(_)) => "no server of metrics".to_owned(),
                (None, Err(_)) => "a server of metrics that is not known".to_owned(),
            },
        }
    }
}

/// The nodes as the fleet shows them; without a fleet the names of those that have metrics.
async fn nodes_of_fleet(api: &KubeApi) -> (Read<Dated<Vec<NodeScrape>>>, Read<Vec<String>>) {
    let scrapes = api.dated_list(&format!("{FLEET}/nodescrapes")).await;
    if !matches!(scrapes, Err(Failure::NotFound(_))) {
        return (scrapes, Ok(Vec::new()));
    }
    let measured = api
        .list::<Named>("/apis/metrics.k8s.io/v1beta1/nodes")
        .await;
    let names = |nodes: Vec<Named>| nodes.into_iter().map(|node| node.metadata.name);
    (scrapes, measured.map(|nodes| names(nodes).collect()))
}

fn date_of<T>(read: &Read<Dated<T>>) -> Option<Timestamp> {
    read.as_ref().ok()?.date
}

/// The objects at `path`. An API without this kind has none of them.
async fn if_known<T: serde::de::DeserializeOwned>(api: &KubeApi, path: &str) -> Read<Vec<T>> {
    Ok(api.if_known(path).await?.read)
}

/// The objects at `path` with the labels of either server.
async fn labelled<T: serde::de::DeserializeOwned>(api: &KubeApi, path: &str) -> Read<Vec<T>> {
    let mut all = Vec::new();
    for selector in SELECTORS {
        all.extend(if_known::<T>(api, &format!("{path}?labelSelector={selector}")).await?);
    }
    Ok(all)
}
