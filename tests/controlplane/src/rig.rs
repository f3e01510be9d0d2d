//! A control plane, simulated nodes, pods on them, and our components: all that a test needs.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Weak},
    time::Duration,
};

use anyhow::Context as _;
use kube::Client;
use parking_lot::Mutex;
use serde_json::Value;
use tempfile::TempDir;
use tokio::{runtime::Runtime, task::JoinSet};
use tributary_sim::Cluster;

use crate::{
    assets::Assets,
    components::Components,
    kubectl::Kubectl,
    node::{Certificate, Identity, RealNode},
    objects::{apply, set_status},
    plane::{Plane, client},
    workloads::Workloads,
};

/// How big it is, and how quick.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Simulated nodes.
    pub nodes: usize,
    /// Scrapers that share them.
    pub scrapers: usize,
    /// How often each node is asked.
    pub resolution: Duration,
    /// How often a kubelet has new numbers; zero for whenever it is asked.
    pub housekeeping: Duration,
}

impl Size {
    /// For real nodes alone, whose kubelets look at their containers every ten seconds or so.
    pub const REAL: Self = Self {
        nodes: 0,
        scrapers: 1,
        resolution: Duration::from_secs(10),
        housekeeping: Duration::ZERO,
    };

    /// For tests: small, and numbers of a second ago.
    pub const SMALL: Self = Self {
        nodes: 3,
        scrapers: 2,
        resolution: Duration::from_secs(1),
        housekeeping: Duration::ZERO,
    };
}

/// All of it, running. To be ended with [`Rig::stop`]; dropped, it ends too, but nobody waits for it.
pub struct Rig {
    /// An administrator's client.
    pub client: Client,
    /// What runs on the nodes.
    pub workloads: Arc<Workloads>,
    /// The nodes.
    pub cluster: Arc<Cluster>,
    /// The control plane.
    pub plane: Plane,
    /// Ours.
    pub components: Components,
    assets: Assets,
    real: Mutex<Vec<RealNode>>,
    following: JoinSet<anyhow::Result<()>>,
    // Last, because everything above has its files there.
    dir: TempDir,
}

impl std::fmt::Debug for Rig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rig").finish_non_exhaustive()
    }
}

impl Rig {
    /// Starts everything, and makes the nodes.
    ///
    /// # Errors
    ///
    /// A program is missing, or something does not start.
    pub async fn start(size: Size) -> anyhow::Result<Self> {
        tributary_runtime::tls::install_provider();
        let assets = Assets::find()?;
        let dir = tempfile::Builder::new()
            .prefix("tributary-plane-")
            .tempdir()?;
        let cluster = Cluster::builder()
            .nodes(size.nodes)
            .pods_per_node(0)
            .housekeeping(size.housekeeping)
            .dir(dir.path().join("sim"))
            .start()
            .await?;
        let plane = Plane::start(&assets, dir.path(), cluster.pki(), cluster.paths()).await?;
        let client = client(&plane.kubeconfig()).await?;
        make_nodes(&client, &cluster).await?;
        let cluster = Arc::new(cluster);
        let workloads = Arc::new(Workloads::new(client.clone(), Arc::clone(&cluster)));
        let mut following = JoinSet::new();
        let followed = Arc::clone(&workloads);
        following.spawn(async move { followed.follow().await });
        let pace = (size.scrapers, size.resolution);
        let components = Components::start(&plane, &client, &cluster, pace).await?;
        Ok(Self {
            client,
            workloads,
            cluster,
            plane,
            components,
            assets,
            real: Mutex::default(),
            following,
            dir,
        })
    }

    /// Adds a real node, which ends with the rig.
    ///
    /// # Errors
    ///
    /// The machine lacks something, or the node does not start.
    pub async fn real_node(&self, name: &str, certificate: Certificate) -> anyhow::Result<()> {
        let cluster = (&self.plane, &self.client, self.cluster.pki());
        let dir = self.dir().join(name);
        let identity = Identity {
            name,
            certificate,
            flags: &[],
        };
        let node = RealNode::start(cluster, &self.assets, &dir, identity).await?;
        let mut real = self.real.lock();
        real.push(node);
        Ok(())
    }

    /// Where its files are, logs in `log`.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Where a program is.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn program(&self, name: &'static str) -> anyhow::Result<PathBuf> {
        Ok(self.assets.program(name)?)
    }

    /// The kubectl that was built, as an administrator.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn kubectl(&self) -> anyhow::Result<Kubectl> {
        self.kubectl_as(&self.plane.kubeconfig())
    }

    /// The kubectl that was built, with this kubeconfig.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn kubectl_as(&self, kubeconfig: &Path) -> anyhow::Result<Kubectl> {
        let program = self.assets.program("kubectl")?;
        Ok(Kubectl::new(&program, kubeconfig, self.dir()))
    }

    /// Every kubectl there is, as an administrator.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn kubectls(&self) -> anyhow::Result<Vec<Kubectl>> {
        self.kubectls_as(&self.plane.kubeconfig())
    }

    /// Every kubectl there is, with this kubeconfig.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn kubectls_as(&self, kubeconfig: &Path) -> anyhow::Result<Vec<Kubectl>> {
        let programs = self.assets.kubectls()?;
        let kubectl = |program: PathBuf| Kubectl::new(&program, kubeconfig, self.dir());
        Ok(programs.into_iter().map(kubectl).collect())
    }

    /// Ends everything and removes its files.
    ///
    /// # Errors
    ///
    /// Something had ended by itself before.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let ran = self.plane.still_runs();
        let real = self.real.into_inner();
        let mut nodes = Ok(());
        for node in real {
            nodes = nodes.and(node.stop().await);
        }
        let components = self.components.stop().await;
        self.following.shutdown().await;
        drop(self.workloads);
        let plane = self.plane.stop().await;
        if let Some(cluster) = Arc::into_inner(self.cluster) {
            cluster.stop().await;
        }
        self.dir.close()?;
        ran.and(nodes).and(components).and(plane)
    }
}

/// Makes the nodes of the simulator real ones.
///
/// # Errors
///
/// The API refuses one.
pub async fn make_nodes(client: &Client, cluster: &Cluster) -> anyhow::Result<()> {
    for name in cluster.nodes() {
        let node = cluster.object("nodes", "", &name);
        let node = as_new(node.context("a node of the simulator")?);
        apply(client, &node).await?;
        set_status(client, &node).await?;
    }
    Ok(())
}

/// An object of the simulator, without what only the API may write.
#[must_use]
pub fn as_new(mut object: Value) -> Value {
    if let Some(metadata) = object
        .pointer_mut("/metadata")
        .and_then(Value::as_object_mut)
    {
        for field in [
            "creationTimestamp",
            "managedFields",
            "resourceVersion",
            "uid",
        ] {
            metadata.remove(field);
        }
    }
    object
}

/// A rig with the threads that it runs on. Its end ends the rig, and waits for that.
#[derive(Debug)]
struct Shared {
    rig: Option<Arc<Rig>>,
    runtime: Runtime,
}

impl Shared {
    fn start(size: Size) -> anyhow::Result<Self> {
        let runtime = Runtime::new()?;
        // On a thread of the runtime, because programs end with the thread that started them.
        let rig = runtime.block_on(runtime.spawn(Rig::start(size)))??;
        let rig = Some(Arc::new(rig));
        Ok(Self { rig, runtime })
    }

    fn run<F>(&self, test: impl FnOnce(Arc<Rig>) -> F) -> anyhow::Result<()>
    where
        F: Future<Output = anyhow::Result<()>>,
    {
        let rig = self.rig.as_ref().map(Arc::clone);
        self.runtime.block_on(test(rig.context("a rig that runs")?))
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(rig) = self.rig.take().and_then(Arc::into_inner)
            && let Err(error) = self.runtime.block_on(rig.stop())
        {
            tracing::error!("{error:#}");
        }
    }
}

static SHARED: Mutex<Weak<Shared>> = Mutex::new(Weak::new());

/// Runs a test on a rig that all tests of the process share: the first starts it, the last ends it. So tests keep to
/// namespaces of their own.
///
/// # Errors
///
/// The rig does not start, or what the test returns.
pub fn share<F>(test: impl FnOnce(Arc<Rig>) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    shared()?.run(test)
}

/// Runs a test on a rig of its own.
///
/// # Errors
///
/// The rig does not start, or what the test returns.
pub fn alone<F>(size: Size, test: impl FnOnce(Arc<Rig>) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    Shared::start(size)?.run(test)
}

fn shared() -> anyhow::Result<Arc<Shared>> {
    let mut slot = SHARED.lock();
    if let Some(shared) = slot.upgrade() {
        return Ok(shared);
    }
    let shared = Arc::new(Shared::start(Size::SMALL)?);
    *slot = Arc::downgrade(&shared);
    Ok(shared)
}
