//! A control plane with nodes, simulated or a real one, and what serves the metrics API there.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use kube::Client;
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tributary_sim::{Ca, Cluster};
use tributary_testkit::program::Program;

use super::{Kubelets, Nodes, Pipeline, Subject};
use crate::{
    assets::Assets,
    components::{Components, registration},
    node::{Certificate, Identity, RealNode, deployment_of_levels},
    objects::{apply, deployment, namespace},
    peer,
    plane::{More, Plane, client},
    rig::make_nodes,
    workloads::{Level, Workloads},
};

/// Where the Deployments are.
pub const NAMESPACE: &str = "reaction";

#[derive(Debug)]
enum Serving {
    Peer(Program),
    Ours(Components),
}

/// What pods run on.
enum Hosts {
    Simulated {
        workloads: Arc<Workloads>,
        following: JoinSet<anyhow::Result<()>>,
    },
    Real {
        node: Box<RealNode>,
        name: String,
        /// The directory of the files that say what containers burn.
        levels: PathBuf,
    },
}

/// All that one pipeline needs, running.
pub struct Ground {
    /// An administrator's client.
    pub client: Client,
    /// The simulated nodes, if there are any, and certificates and files.
    pub cluster: Arc<Cluster>,
    plane: Plane,
    hosts: Hosts,
    serving: Serving,
    // Last, because everything above has its files there.
    _dir: TempDir,
}

impl std::fmt::Debug for Ground {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ground").finish_non_exhaustive()
    }
}

impl Ground {
    /// Starts everything; metrics come when they come.
    ///
    /// # Errors
    ///
    /// A program is missing, or something does not start.
    pub async fn start(pipeline: &Pipeline, nodes: Nodes) -> anyhow::Result<Self> {
        tributary_runtime::tls::install_provider();
        let assets = Assets::find()?;
        let dir = tempfile::Builder::new()
            .prefix("tributary-reaction-")
            .tempdir()?;
        let simulated = match nodes {
            Nodes::Simulated(nodes) => nodes,
            Nodes::Real => 0,
        };
        let cluster = Cluster::builder().nodes(simulated).pods_per_node(0);
        let cluster = cluster.dir(dir.path().join("sim")).start().await?;
        match pipeline.kubelets {
            Kubelets::AsReleased => cluster.measure_as_cadvisor(),
            Kubelets::EachSecond => cluster.measure_every(Duration::from_secs(1)),
            Kubelets::AtRequest => {}
        }
        // The periods that Kubernetes has by default, where tests have shorter ones.
        let sync = format!("--horizontal-pod-autoscaler-sync-period={}s", pipeline.sync);
        let more = More {
            api: &[],
            manager: &[
                &sync,
                "--horizontal-pod-autoscaler-cpu-initialization-period=5m",
                "--horizontal-pod-autoscaler-initial-readiness-delay=30s",
            ],
        };
        let (pki, paths) = (cluster.pki(), cluster.paths());
        let plane = Plane::start_tuned(&assets, dir.path(), pki, paths, more).await?;
        let client = client(&plane.kubeconfig()).await?;
        make_nodes(&client, &cluster).await?;
        namespace(&client, NAMESPACE).await?;
        let cluster = Arc::new(cluster);
        let hosts = match nodes {
            Nodes::Simulated(_) => simulated_hosts(&client, &cluster),
            Nodes::Real => {
                let whole = (&plane, &client, &*cluster);
                real_host(whole, &assets, dir.path(), pipeline).await?
            }
        };
        let serving = serve(pipeline, (&plane, &client, &*cluster), &assets, dir.path()).await?;
        Ok(Self {
            client,
            cluster,
            plane,
            hosts,
            serving,
            _dir: dir,
        })
    }

    /// Whether containers are processes of this machine, which it may keep from running.
    pub fn is_real(&self) -> bool {
        matches!(self.hosts, Hosts::Real { .. })
    }

    /// From now on `container` of every pod of an app uses so much. Real ones use no more memory for that.
    ///
    /// # Errors
    ///
    /// A file cannot be written.
    pub fn level(&self, app: &str, container: &str, level: Level) -> anyhow::Result<()> {
        match &self.hosts {
            Hosts::Simulated { workloads, .. } => {
                workloads.level(NAMESPACE, app, container, level);
            }
            Hosts::Real { levels, .. } => {
                // Whole at once, because containers read it all the time.
                let written = levels.join(format!("{app}.{container}.new"));
                fs::write(&written, level.millis.to_string())?;
                fs::rename(&written, levels.join(format!("{app}.{container}")))?;
            }
        }
        Ok(())
    }

    /// A Deployment whose containers use what [`Ground::level`] says.
    pub fn deployment(&self, app: &str, replicas: usize, containers: &[&str]) -> Value {
        match &self.hosts {
            Hosts::Simulated { .. } => deployment(NAMESPACE, app, replicas, containers),
            Hosts::Real { name, levels, .. } => {
                deployment_of_levels((NAMESPACE, app, name), levels, replicas, containers)
            }
        }
    }

    /// Ends everything.
    ///
    /// # Errors
    ///
    /// Something had ended by itself before.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let ran = self.plane.still_runs();
        let served = match self.serving {
            Serving::Peer(mut peer) => match peer.still_runs() {
                Ok(()) => peer.kill().await,
                ended => ended,
            },
            Serving::Ours(components) => components.stop().await,
        };
        let hosts = match self.hosts {
            Hosts::Simulated {
                workloads,
                mut following,
            } => {
                following.shutdown().await;
                drop(workloads);
                Ok(())
            }
            Hosts::Real { node, .. } => node.stop().await,
        };
        let plane = self.plane.stop().await;
        if let Some(cluster) = Arc::into_inner(self.cluster) {
            cluster.stop().await;
        }
        ran.and(served).and(hosts).and(plane)
    }
}

fn simulated_hosts(client: &Client, cluster: &Arc<Cluster>) -> Hosts {
    let workloads = Arc::new(Workloads::new(client.clone(), Arc::clone(cluster)));
    let mut following = JoinSet::new();
    let followed = Arc::clone(&workloads);
    following.spawn(async move { followed.follow().await });
    Hosts::Simulated {
        workloads,
        following,
    }
}

async fn real_host(
    (plane, client, cluster): (&Plane, &Client, &Cluster),
    assets: &Assets,
    dir: &Path,
    pipeline: &Pipeline,
) -> anyhow::Result<Hosts> {
    let levels = dir.join("levels");
    fs::create_dir_all(&levels)?;
    // Cgroups are named after nodes, and pipelines run side by side.
    let name = format!("real-{}", pipeline.name.replace('/', "-"));
    let identity = Identity {
        name: &name,
        certificate: Certificate::Signed,
        flags: pipeline.kubelets.flags(),
    };
    let whole = (plane, client, cluster.pki());
    let node = RealNode::start(whole, assets, &dir.join("node"), identity).await?;
    let node = Box::new(node);
    Ok(Hosts::Real { node, name, levels })
}

/// Starts what serves the metrics API.
async fn serve(
    pipeline: &Pipeline,
    (plane, client, cluster): (&Plane, &Client, &Cluster),
    assets: &Assets,
    dir: &Path,
) -> anyhow::Result<Serving> {
    let pace = pipeline.pace;
    if pipeline.subject == Subject::Tributary {
        let ours = Components::start_at(plane, client, cluster, (1, pace)).await?;
        return Ok(Serving::Ours(ours));
    }
    let api = free_port()?;
    let flags = peer::flags(plane, cluster, api, pace.resolution);
    let path = assets.program("metrics-server")?;
    let peer = Program::start_in_environment("metrics-server", &path, &flags, &dir.join("log"))?;
    for object in registration(api, cluster.pki().ca(Ca::Bus)) {
        // It does not serve v1.
        if object.pointer("/spec/version") != Some(&"v1".into()) {
            apply(client, &object).await?;
        }
    }
    Ok(Serving::Peer(peer))
}

fn free_port() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
