//! Describes and starts a cluster.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use std::time::Duration;

use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::changes::{made_node, made_pod};
use super::{ApiFault, Cluster, FrontendTrust, Shared, State, kubeconfig};
use crate::Error;
use crate::aggregator::Aggregator;
use crate::clock::SimClock;
use crate::encode::hash;
use crate::gate::Gate;
use crate::kube_api::{self, Written};
use crate::kubelet::{Gzip, Kubelet, KubeletAuth};
use crate::load::Usage;
use crate::objects::{Node, NodeSpec, PodSpec};
use crate::pki::{Ca, FRONT_PROXY_NAME, Paths, Pki};
use crate::store::NAMESPACES;
use crate::tls;

/// This many kubelets share a certificate, so that 5,000 of them start fast. There are few, so that the certificate is
/// about as long as a real one.
const GROUP: usize = 10;
/// How many ports are tried for the kubelets.
const PORTS: usize = 20;
/// The address on which every cluster reserves the port of its kubelets. No node has this address.
const KEEPER: Ipv4Addr = Ipv4Addr::new(127, 1, 0, 0);
/// The pods of one app, unless the cluster is too small for two apps in every namespace.
const REPLICAS: usize = 30;

/// Describes a cluster. Nodes are named `node-00001`.., on 127.1.0.1..; namespaces `ns-0000`..; pods `web-00042-7`,
/// with labels `app=app-1` and `tier=front`; containers `main`, `sidecar`, `extra-2`...
#[derive(Clone, Debug)]
pub struct Builder {
    nodes: usize,
    pods_per_node: usize,
    containers_per_pod: usize,
    namespaces: usize,
    usage: Option<Usage>,
    age: Duration,
    housekeeping: Duration,
    kubelet_auth: KubeletAuth,
    clock: SimClock,
    dir: Option<PathBuf>,
    trust: FrontendTrust,
    metadata_only: bool,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            nodes: 3,
            pods_per_node: 2,
            containers_per_pod: 1,
            namespaces: 4,
            usage: None,
            age: Duration::from_mins(15),
            housekeeping: Duration::from_secs(10),
            kubelet_auth: KubeletAuth::Open,
            clock: SimClock::system(),
            dir: None,
            trust: FrontendTrust::Unverified,
            metadata_only: false,
        }
    }
}

impl Builder {
    /// Sets the number of nodes, which may be 0.
    #[must_use]
    pub fn nodes(self, nodes: usize) -> Self {
        Self { nodes, ..self }
    }

    /// Sets the number of pods on every node.
    #[must_use]
    pub fn pods_per_node(self, pods_per_node: usize) -> Self {
        Self {
            pods_per_node,
            ..self
        }
    }

    /// Sets the number of containers in every pod.
    #[must_use]
    pub fn containers_per_pod(self, containers_per_pod: usize) -> Self {
        Self {
            containers_per_pod,
            ..self
        }
    }

    /// Sets the number of namespaces with pods, in addition to `default` and `kube-system`. At least one.
    #[must_use]
    pub fn namespaces(self, namespaces: usize) -> Self {
        Self {
            namespaces: namespaces.max(1),
            ..self
        }
    }

    /// Sets what every container uses. By default [`Usage::from_names`] of namespace, pod and container.
    #[must_use]
    pub fn usage(self, usage: Usage) -> Self {
        Self {
            usage: Some(usage),
            ..self
        }
    }

    /// Sets how long the containers have been running at least. The longest has been running twice as long. By default
    /// 15 minutes.
    #[must_use]
    pub fn age(self, age: Duration) -> Self {
        Self { age, ..self }
    }

    /// Sets how often kubelets take samples, 10 s by default. With zero they take one for every request.
    #[must_use]
    pub fn housekeeping(self, housekeeping: Duration) -> Self {
        Self {
            housekeeping,
            ..self
        }
    }

    /// Sets the callers that kubelets accept. By default all.
    #[must_use]
    pub fn kubelet_auth(self, kubelet_auth: KubeletAuth) -> Self {
        Self {
            kubelet_auth,
            ..self
        }
    }

    /// Sets the cluster's clock. By default the machine's.
    #[must_use]
    pub fn clock(self, clock: SimClock) -> Self {
        Self { clock, ..self }
    }

    /// Sets the directory of files. By default a temporary one, which is removed with the cluster.
    #[must_use]
    pub fn dir(self, dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: Some(dir.into()),
            ..self
        }
    }

    /// Sets how the aggregator verifies frontends. By default not at all.
    #[must_use]
    pub fn frontend_trust(self, trust: FrontendTrust) -> Self {
        Self { trust, ..self }
    }

    /// Makes all lists and watches of pods answer with metadata only.
    #[must_use]
    pub fn metadata_only(self) -> Self {
        Self {
            metadata_only: true,
            ..self
        }
    }

    /// Starts everything. When this returns, every server accepts connections.
    pub async fn start(self) -> Result<Cluster, Error> {
        let (dir, path) = self.directory()?;
        let pki = Pki::new()?;
        let mut paths = pki.write(&path)?;
        let wrong = Pki::new()?.server(Ca::Bus, &["localhost".to_owned()])?;
        let aggregator = Aggregator::new(&pki, &self.trust)?;
        let stop = CancellationToken::new();
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            started: self.clock.now(),
            clock: self.clock.clone(),
            pki,
            housekeeping: self.housekeeping,
            gzip: Gzip::default(),
            kubelet_auth: self.kubelet_auth.clone(),
            wrong_tls: tls::server_config(&wrong, None)?,
            aggregator,
            api_fault: Mutex::new(ApiFault::None),
            metadata_only: self.metadata_only,
            watches: watch::Sender::new(0),
            silence: watch::Sender::new(0),
            unanswered: Mutex::default(),
            stop: stop.clone(),
        });
        let mut tasks = JoinSet::new();
        self.fill(&shared);
        let (keeper, port, kubelets) = start_kubelets(&shared, &mut tasks).await?;
        self.write_system(&mut shared.state(), &shared.pki, &paths)?;
        shared.state().store.compact();

        let api_gate = Arc::new(Gate::new(stop));
        let api = kube_api::start(&shared, Arc::clone(&api_gate), &mut tasks).await?;
        paths.kubeconfig = path.join("kubeconfig");
        kubeconfig::write_admin(&shared.pki, &format!("https://{api}"), &paths.kubeconfig)?;
        Ok(Cluster {
            shared,
            kubelets: Mutex::new(kubelets.into_iter().collect()),
            kubelet_port: port,
            _port: keeper,
            api,
            api_gate,
            paths,
            tasks: Mutex::new(tasks),
            _dir: dir,
        })
    }

    fn directory(&self) -> Result<(Option<tempfile::TempDir>, PathBuf), Error> {
        if let Some(dir) = &self.dir {
            return Ok((None, dir.clone()));
        }
        let dir = tempfile::Builder::new().prefix("tributary-sim-").tempdir();
        let dir = dir.map_err(|source| Error::File {
            path: std::env::temp_dir(),
            source,
        })?;
        let path = dir.path().to_owned();
        Ok((Some(dir), path))
    }

    /// Adds nodes, still without a port, and pods.
    fn fill(&self, shared: &Shared) {
        let now = shared.started;
        let mut state = shared.state();
        for number in 1..=self.nodes {
            let spec = NodeSpec::new(&node_name(number))
                .label(
                    "topology.kubernetes.io/zone",
                    &format!("zone-{}", number % 3),
                )
                .booted(now.checked_sub(self.age * 2).unwrap_or(now));
            let node = made_node(spec, &mut state, 0, now);
            state.put_node(node);
        }
        let total = self.nodes * self.pods_per_node;
        let replicas = (total / (2 * self.namespaces)).clamp(1, REPLICAS);
        for index in 0..total {
            // Consecutive pods of an app are on different nodes.
            let node = node_name(index % self.nodes + 1);
            let app = index / replicas;
            let namespace = format!("ns-{:04}", app % self.namespaces);
            let name = format!("web-{app:05}-{}", index % replicas);
            let tier = if app.is_multiple_of(2) {
                "front"
            } else {
                "back"
            };
            let mut spec = PodSpec::new(&namespace, &name, &node)
                .label("app", &format!("app-{}", app / self.namespaces))
                .label("tier", tier);
            for number in 0..self.containers_per_pod {
                let container = container_name(number);
                let parts = [namespace.as_str(), &name, &container];
                let usage = self.usage.unwrap_or_else(|| Usage::from_names(&parts));
                let spread = u64::try_from(self.age.as_millis()).unwrap_or(0).max(1);
                let age = self.age + Duration::from_millis(hash(&parts) % spread);
                spec = spec.container_since(&container, usage, now.checked_sub(age).unwrap_or(now));
            }
            state.put_pod(made_pod(spec, now));
        }
    }

    /// Namespaces, and the config map with the CAs that frontends trust.
    fn write_system(&self, state: &mut State, pki: &Pki, paths: &Paths) -> Result<(), Error> {
        let now = self.clock.now();
        let spread = (0..self.namespaces).map(|number| format!("ns-{number:04}"));
        let fixed = ["default", "kube-node-lease", "kube-public", "kube-system"].map(str::to_owned);
        let mut objects: Vec<_> = fixed
            .into_iter()
            .chain(spread)
            .map(|name| namespace(&name))
            .collect();
        objects.push(json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": { "namespace": "kube-system", "name": "extension-apiserver-authentication" },
            "data": {
                "client-ca-file": pki.ca(Ca::Cluster),
                "requestheader-allowed-names": format!("[\"{FRONT_PROXY_NAME}\"]"),
                "requestheader-client-ca-file": pki.ca(Ca::FrontProxy),
                "requestheader-extra-headers-prefix": "[\"X-Remote-Extra-\"]",
                "requestheader-group-headers": "[\"X-Remote-Group\"]",
                "requestheader-uid-headers": "[\"X-Remote-Uid\"]",
                "requestheader-username-headers": "[\"X-Remote-User\"]",
            },
        }));
        for object in objects {
            let missing = || Error::Missing(format!("a kind for {}", paths.dir.display()));
            let (kind, object) = Written::new(object, now).ok_or_else(missing)?.into();
            state.store.put(kind, object);
        }
        Ok(())
    }
}

fn namespace(name: &str) -> serde_json::Value {
    json!({
        "apiVersion": NAMESPACES.version,
        "kind": NAMESPACES.name,
        "metadata": { "name": name, "labels": { "kubernetes.io/metadata.name": name } },
        "spec": { "finalizers": ["kubernetes"] },
        "status": { "phase": "Active" },
    })
}

fn node_name(number: usize) -> String {
    format!("node-{number:05}")
}

fn container_name(number: usize) -> String {
    match number {
        0 => "main".to_owned(),
        1 => "sidecar".to_owned(),
        _ => format!("extra-{number}"),
    }
}

type Started = Vec<(String, Arc<Kubelet>)>;

/// Opens one listener per node, all on one port, and starts the kubelets behind them.
async fn start_kubelets(
    shared: &Arc<Shared>,
    tasks: &mut JoinSet<()>,
) -> Result<(TcpListener, u16, Started), Error> {
    let nodes = shared.state().all_nodes();
    let addresses: Vec<Ipv4Addr> = nodes.iter().map(|node| node.address).collect();
    let (keeper, port, mut listeners) = listen(&addresses).await?;
    let mut kubelets = Vec::with_capacity(nodes.len());
    for group in nodes.chunks(GROUP) {
        let names = group
            .iter()
            .flat_map(|node| [node.name.clone(), node.address.to_string()]);
        let credential = shared.pki.server(Ca::Cluster, &names.collect::<Vec<_>>())?;
        let tls = tls::server_config(&credential, Some(shared.pki.ca_der(Ca::Cluster)))?;
        let own = listeners.drain(..group.len().min(listeners.len()));
        for (node, listener) in group.iter().zip(own) {
            let address = SocketAddr::from((node.address, port));
            let (tls, shared) = (Arc::clone(&tls), Arc::clone(shared));
            let kubelet = Kubelet::new(&node.name, address, tls, Arc::clone(&shared));
            tasks.spawn(Arc::clone(&kubelet).run(listener));
            kubelets.push((node.name.clone(), kubelet));
            shared.state().put_node(Node {
                port,
                ..Node::clone(node)
            });
        }
    }
    Ok((keeper, port, kubelets))
}

/// Opens one listener for each address, all on a port that is free on every address, and one that reserves the port.
async fn listen(addresses: &[Ipv4Addr]) -> Result<(TcpListener, u16, Vec<TcpListener>), Error> {
    let mut last = Error::Missing("a free port".to_owned());
    for _ in 0..PORTS {
        match listen_once(addresses).await {
            Ok(found) => return Ok(found),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn listen_once(
    addresses: &[Ipv4Addr],
) -> Result<(TcpListener, u16, Vec<TcpListener>), Error> {
    let (keeper, port) = bind(SocketAddr::from((KEEPER, 0))).await?;
    let mut listeners = Vec::with_capacity(addresses.len());
    for address in addresses {
        listeners.push(bind(SocketAddr::from((*address, port))).await?.0);
    }
    Ok((keeper, port, listeners))
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, u16), Error> {
    let failed = |source| Error::Listen {
        address: address.to_string(),
        source,
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let port = listener.local_addr().map_err(failed)?.port();
    Ok((listener, port))
}
