//! Our components, and what makes the control plane use them. They run as tasks here, with the flags, sockets and
//! certificates of processes.

mod extra;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use clap::Parser as _;
use kube::Client;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tributary_apiserver::{Frontend, args::Args as FrontendArgs};
use tributary_runtime::{clock::Clock, serve::Address};
use tributary_scraper::{Scraper, args::Args as ScraperArgs, config::Config};
use tributary_sim::{Ca, Cluster};

pub use self::extra::{IdleScraper, Narrow};
use crate::{
    objects::{apply, bind, grant, service_account, token},
    plane::Plane,
};

/// Where our parts live.
pub const NAMESPACE: &str = "kube-system";

/// The Service whose endpoints are frontends too, on its port `bus`. It has none until a test makes some.
pub const BUS_SERVICE: &str = "tributary-bus";

/// What the frontend's Service is called: its certificate is for that name.
const FRONTEND: &str = "tributary-apiserver";
const SCRAPER: &str = "tributary-scraper";

/// The account whose tokens kubelets see.
pub const KUBELET_READER: &str = "tributary-kubelet-reader";

/// In the namespace `default`, the Role of scrapers for Events, and its binding.
pub const NODE_EVENTS: &str = "tributary-node-events";

/// The audience of tokens for the bus.
pub const AUDIENCE: &str = "tributary-bus";

/// The API that is aggregated, in both versions.
pub const VERSIONS: [&str; 2] = ["v1", "v1beta1"];

/// A scraper or a frontend.
#[derive(Debug)]
struct Component {
    stop: CancellationToken,
    running: JoinSet<anyhow::Result<()>>,
}

impl Component {
    async fn end(mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        while let Some(ended) = self.running.join_next().await {
            ended??;
        }
        Ok(())
    }
}

/// How often nodes are scraped.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// All of them.
    pub resolution: Duration,
    /// Those that are wanted fresh, if more often.
    pub fast: Option<Duration>,
}

/// One frontend, and scrapers that share the nodes.
#[derive(Debug)]
pub struct Components {
    /// Where the frontend serves.
    pub api: SocketAddr,
    bus: SocketAddr,
    /// Of the scrapers.
    kubeconfig: PathBuf,
    frontend_kubeconfig: PathBuf,
    frontend: Component,
    scrapers: Vec<Component>,
}

impl Components {
    /// Starts them with identities and permissions of their own, and registers the frontend.
    ///
    /// # Errors
    ///
    /// One does not start, or the API refuses an object.
    pub async fn start(
        plane: &Plane,
        client: &Client,
        cluster: &Cluster,
        (scrapers, resolution): (usize, Duration),
    ) -> anyhow::Result<Self> {
        let pace = Pace {
            resolution,
            fast: None,
        };
        Self::start_at(plane, client, cluster, (scrapers, pace)).await
    }

    /// The same, at this pace.
    ///
    /// # Errors
    ///
    /// As [`Components::start`].
    pub async fn start_at(
        plane: &Plane,
        client: &Client,
        cluster: &Cluster,
        (scrapers, pace): (usize, Pace),
    ) -> anyhow::Result<Self> {
        let frontend_kubeconfig = frontend_identity(plane, client).await?;
        let accepts = Accepts {
            bus: LOOPBACK,
            max_sample_age: MAX_SAMPLE_AGE,
        };
        let started = start_frontend(cluster, &frontend_kubeconfig, pace, accepts);
        let (frontend, api, bus) = started.await?;
        let bus = tcp(&bus)?;
        let kubeconfig = scraper_identity(plane, client).await?;
        let mut running = Vec::new();
        for index in 0..scrapers {
            let shown = token(client, (NAMESPACE, SCRAPER), &[AUDIENCE]).await?;
            let name = format!("scraper-{index}");
            let flags = scraper_flags(cluster, &kubeconfig, bus, (&name, &shown))?;
            let (scraper, _) = start_scraper(flags, pace).await?;
            running.push(scraper);
        }
        for object in registration(api, cluster.pki().ca(Ca::Bus)) {
            apply(client, &object).await?;
        }
        Ok(Self {
            api,
            bus,
            kubeconfig,
            frontend_kubeconfig,
            frontend,
            scrapers: running,
        })
    }

    /// Ends them, in the order of a rollout.
    ///
    /// # Errors
    ///
    /// One had ended by itself.
    pub async fn stop(self) -> anyhow::Result<()> {
        for scraper in self.scrapers {
            scraper.end().await.context("a scraper")?;
        }
        self.frontend.end().await.context("the frontend")
    }
}

/// An account that may do what a frontend needs, and nothing else.
async fn frontend_identity(plane: &Plane, client: &Client) -> anyhow::Result<PathBuf> {
    let token = service_account(client, NAMESPACE, FRONTEND).await?;
    let rules = json!([
        { "apiGroups": [""], "resources": ["nodes", "pods"], "verbs": ["list", "watch"] },
    ]);
    grant(client, (NAMESPACE, FRONTEND), rules).await?;
    bind(client, (NAMESPACE, FRONTEND), "system:auth-delegator").await?;
    let reader = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": { "namespace": NAMESPACE, "name": format!("{FRONTEND}-auth-reader") },
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "Role",
            "name": "extension-apiserver-authentication-reader",
        },
        "subjects": [{ "kind": "ServiceAccount", "namespace": NAMESPACE, "name": FRONTEND }],
    });
    apply(client, &reader).await?;
    plane.kubeconfig_of(FRONTEND, &token)
}

/// An account that may do what a scraper needs, and nothing else, and one for kubelets.
async fn scraper_identity(plane: &Plane, client: &Client) -> anyhow::Result<PathBuf> {
    let token = service_account(client, NAMESPACE, SCRAPER).await?;
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": { "namespace": NAMESPACE, "name": SCRAPER },
        "rules": [
            {
                "apiGroups": ["coordination.k8s.io"],
                "resources": ["leases"],
                "verbs": ["list", "watch", "create", "patch", "delete"],
            },
            { "apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"] },
            {
                "apiGroups": [""],
                "resources": ["serviceaccounts/token"],
                "resourceNames": [KUBELET_READER],
                "verbs": ["create"],
            },
        ],
    });
    apply(client, &role).await?;
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": { "namespace": NAMESPACE, "name": SCRAPER },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": SCRAPER },
        "subjects": [{ "kind": "ServiceAccount", "namespace": NAMESPACE, "name": SCRAPER }],
    });
    apply(client, &binding).await?;
    node_events(client).await?;
    let rules = json!([
        { "apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "watch"] },
        { "apiGroups": ["bus.tributary.dev"], "resources": ["samplestreams"], "verbs": ["create"] },
    ]);
    grant(client, (NAMESPACE, SCRAPER), rules).await?;
    service_account(client, NAMESPACE, KUBELET_READER).await?;
    let metrics = json!([{ "apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"] }]);
    grant(client, (NAMESPACE, KUBELET_READER), metrics).await?;
    plane.kubeconfig_of(SCRAPER, &token)
}

/// What a scraper needs to write Events about nodes.
async fn node_events(client: &Client) -> anyhow::Result<()> {
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": { "namespace": "default", "name": NODE_EVENTS },
        "rules": [{ "apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"] }],
    });
    apply(client, &role).await?;
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": { "namespace": "default", "name": NODE_EVENTS },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": NODE_EVENTS },
        "subjects": [{ "kind": "ServiceAccount", "namespace": NAMESPACE, "name": SCRAPER }],
    });
    apply(client, &binding).await
}

/// Three resolutions of a second are soon over on a busy machine.
const MAX_SAMPLE_AGE: &str = "30s";

/// A port that is free.
const LOOPBACK: &str = "127.0.0.1:0";

/// What a frontend accepts.
#[derive(Clone, Copy, Debug)]
struct Accepts<'a> {
    /// Where publishers connect.
    bus: &'a str,
    /// How old samples may be.
    max_sample_age: &'a str,
}

/// And where it serves, and where publishers connect.
async fn start_frontend(
    cluster: &Cluster,
    kubeconfig: &Path,
    pace: Pace,
    Accepts {
        bus,
        max_sample_age,
    }: Accepts<'_>,
) -> anyhow::Result<(Component, SocketAddr, Address)> {
    let paths = cluster.paths();
    let flags = [
        "tributary-apiserver".to_owned(),
        "--bind-address=127.0.0.1".to_owned(),
        "--secure-port=0".to_owned(),
        format!("--bus-address={bus}"),
        "--frontend-name=frontend-0".to_owned(),
        "--bus-recheck-interval=1s".to_owned(),
        format!("--max-sample-age={max_sample_age}"),
        flag("--tls-cert-file", &paths.frontend_certificate),
        flag("--tls-private-key-file", &paths.frontend_key),
        flag("--kubeconfig", kubeconfig),
    ];
    let stop = CancellationToken::new();
    let mut args = FrontendArgs::try_parse_from(flags)?;
    if pace.resolution < Duration::from_secs(10) {
        // Samples are closer than those of a real cluster.
        args.samples.min_window = pace.resolution / 8;
    }
    let frontend = Frontend::start(args, Clock::system(), stop.clone()).await?;
    let api = tcp(frontend.api_address())?;
    let bus = frontend.bus_addresses().first().context("no bus")?.clone();
    let mut running = JoinSet::new();
    running.spawn(frontend.run());
    Ok((Component { stop, running }, api, bus))
}

fn scraper_flags(
    cluster: &Cluster,
    kubeconfig: &Path,
    bus: SocketAddr,
    (name, token): (&str, &str),
) -> anyhow::Result<Vec<String>> {
    let paths = cluster.paths();
    let token_file = paths.dir.join(format!("{name}.token"));
    std::fs::write(&token_file, token)?;
    Ok(vec![
        "tributary-scraper".to_owned(),
        format!("--source-name={name}"),
        format!("--lease-namespace={NAMESPACE}"),
        "--admin-address=127.0.0.1:0".to_owned(),
        "--kubelet-use-node-status-port".to_owned(),
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        format!("--kubelet-token-service-account={NAMESPACE}/{KUBELET_READER}"),
        flag("--kubelet-certificate-authority", &paths.kubelet_ca),
        flag("--kubeconfig", kubeconfig),
        flag("--bus-ca-file", &paths.bus_ca),
        flag("--bus-token-file", &token_file),
        format!("--frontend=https://{bus}"),
        format!("--frontend=k8s:///{NAMESPACE}/{BUS_SERVICE}:bus"),
    ])
}

/// And where its metrics are.
async fn start_scraper(
    flags: Vec<String>,
    Pace { resolution, fast }: Pace,
) -> anyhow::Result<(Component, SocketAddr)> {
    let stop = CancellationToken::new();
    let config = Config::try_from(ScraperArgs::try_parse_from(flags)?)?;
    let config = config.paced(resolution, resolution * 4 / 5).fast(fast);
    let scraper = Scraper::start(config, Clock::system(), stop.clone()).await?;
    let admin = tcp(scraper.admin_address())?;
    let mut running = JoinSet::new();
    running.spawn(scraper.run());
    Ok((Component { stop, running }, admin))
}

/// A Service that leads to loopback, and an `APIService` for each version.
#[must_use]
pub fn registration(api: SocketAddr, ca: &str) -> Vec<Value> {
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "namespace": NAMESPACE, "name": FRONTEND },
        "spec": { "type": "ExternalName", "externalName": "localhost" },
    });
    let metrics = VERSIONS.map(|version| ("metrics.k8s.io", version));
    let served = metrics
        .into_iter()
        .chain([("fleet.tributary.dev", "v1alpha1")]);
    let versions = served.map(|(group, version)| {
        json!({
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": { "name": format!("{version}.{group}") },
            "spec": {
                "group": group,
                "version": version,
                "groupPriorityMinimum": 100,
                "versionPriority": if version == "v1" { 200 } else { 100 },
                "service": { "namespace": NAMESPACE, "name": FRONTEND, "port": api.port() },
                "caBundle": k8s_openapi::ByteString(ca.as_bytes().to_vec()),
            },
        })
    });
    [service].into_iter().chain(versions).collect()
}

fn tcp(address: &Address) -> anyhow::Result<SocketAddr> {
    match address {
        Address::Tcp(address) => Ok(*address),
        Address::Unix(path) => anyhow::bail!("{} is no TCP address", path.display()),
    }
}

fn flag(name: &str, path: &Path) -> String {
    format!("{name}={}", path.display())
}
