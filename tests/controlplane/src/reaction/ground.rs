//! A control plane with simulated nodes, and what serves the metrics API there.

use std::{net::SocketAddr, net::TcpListener, sync::Arc};

use kube::Client;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tributary_sim::{Ca, Cluster};
use tributary_testkit::program::Program;

use super::{Pipeline, Subject};
use crate::{
    assets::Assets,
    components::{Components, registration},
    objects::{apply, namespace},
    peer,
    plane::{More, Plane, client},
    rig::make_nodes,
    workloads::Workloads,
};

/// Where the Deployments are.
pub const NAMESPACE: &str = "reaction";

#[derive(Debug)]
enum Serving {
    Peer(Program),
    Ours(Components),
}

/// All that one pipeline needs, running.
pub struct Ground {
    /// An administrator's client.
    pub client: Client,
    /// What runs on the nodes.
    pub workloads: Arc<Workloads>,
    /// The nodes.
    pub cluster: Arc<Cluster>,
    plane: Plane,
    serving: Serving,
    following: JoinSet<anyhow::Result<()>>,
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
    pub async fn start(pipeline: &Pipeline, nodes: usize) -> anyhow::Result<Self> {
        tributary_runtime::tls::install_provider();
        let assets = Assets::find()?;
        let dir = tempfile::Builder::new()
            .prefix("tributary-reaction-")
            .tempdir()?;
        let cluster = Cluster::builder().nodes(nodes).pods_per_node(0);
        let cluster = cluster.dir(dir.path().join("sim")).start().await?;
        if !pipeline.is_fresh {
            cluster.measure_as_cadvisor();
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
        let workloads = Arc::new(Workloads::new(client.clone(), Arc::clone(&cluster)));
        let mut following = JoinSet::new();
        let followed = Arc::clone(&workloads);
        following.spawn(async move { followed.follow().await });
        let pace = pipeline.pace;
        let serving = match pipeline.subject {
            Subject::Tributary => {
                Serving::Ours(Components::start_at(&plane, &client, &cluster, (1, pace)).await?)
            }
            Subject::MetricsServer => {
                let api = free_port()?;
                let flags = peer::flags(&plane, &cluster, api, pace.resolution);
                let path = assets.program("metrics-server")?;
                let logs = dir.path().join("log");
                let peer = Program::start_in_environment("metrics-server", &path, &flags, &logs)?;
                for object in registration(api, cluster.pki().ca(Ca::Bus)) {
                    // It does not serve v1.
                    if object.pointer("/spec/version") != Some(&"v1".into()) {
                        apply(&client, &object).await?;
                    }
                }
                Serving::Peer(peer)
            }
        };
        Ok(Self {
            client,
            workloads,
            cluster,
            plane,
            serving,
            following,
            _dir: dir,
        })
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
        self.following.shutdown().await;
        drop(self.workloads);
        let plane = self.plane.stop().await;
        if let Some(cluster) = Arc::into_inner(self.cluster) {
            cluster.stop().await;
        }
        ran.and(served).and(plane)
    }
}

fn free_port() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
