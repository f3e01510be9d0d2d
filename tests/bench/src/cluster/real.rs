//! The same cluster with a real kube-apiserver. The nodes and pods of the simulator become objects there, and its
//! kubelets are used as before.

use std::{fs, path::Path};

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind, PostParams},
};
use serde_json::{Value, json};
use tributary_controlplane::{
    assets::Assets,
    objects::{bind, service_account, set_status},
    plane::{Plane, client},
    rig::{as_new, make_nodes},
};
use tributary_sim::Cluster;

/// Requests that are sent at the same time.
const AT_ONCE: usize = 64;
/// The namespace of the accounts.
const NAMESPACE: &str = "kube-system";

/// A real control plane. It ends with this process.
pub(super) struct RealPlane {
    /// The kubeconfig of the programs under test, which may do everything.
    pub(super) kubeconfig: std::path::PathBuf,
    /// The token of the clients, which may do everything, too.
    pub(super) token: String,
    _plane: Plane,
}

impl RealPlane {
    /// Starts it and creates every object of `cluster` there.
    ///
    /// # Errors
    ///
    /// A program is missing, or the API refuses an object.
    pub(super) async fn start(cluster: &Cluster, dir: &Path) -> anyhow::Result<Self> {
        let dir = dir.join("plane");
        fs::create_dir(&dir)?;
        // Pods have no controllers here, and are created before their ServiceAccounts.
        let flags = ["--disable-admission-plugins=ServiceAccount"];
        let assets = Assets::find()?;
        let (pki, paths) = (cluster.pki(), cluster.paths());
        let plane = Plane::start_with(&assets, &dir, pki, paths, &flags).await?;
        let client = client(&plane.kubeconfig()).await?;
        make_nodes(&client, cluster).await?;
        let mut namespaces: Vec<String> =
            cluster.pods().into_iter().map(|(name, _)| name).collect();
        namespaces.sort_unstable();
        namespaces.dedup();
        for name in namespaces {
            let object =
                json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
            create(&client, &object).await?;
        }
        let pods = stream::iter(cluster.pods()).map(|(namespace, name)| {
            let pod = cluster.object("pods", &namespace, &name);
            make_pod(&client, pod)
        });
        pods.buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        let mut tokens = Vec::new();
        for account in ["bench", "client"] {
            tokens.push(service_account(&client, NAMESPACE, account).await?);
            bind(&client, (NAMESPACE, account), "cluster-admin").await?;
        }
        let [bench, token] = <[String; 2]>::try_from(tokens).ok().context("two tokens")?;
        Ok(Self {
            kubeconfig: plane.kubeconfig_of("bench.kubeconfig", &bench)?,
            token,
            _plane: plane,
        })
    }
}

/// Creates a pod with its node and phase.
async fn make_pod(client: &Client, pod: Option<Value>) -> anyhow::Result<()> {
    let pod = as_new(pod.context("a pod of the simulator")?);
    create(client, &pod).await?;
    set_status(client, &pod).await
}

async fn create(client: &Client, object: &Value) -> anyhow::Result<()> {
    let text = |at: &str| object.pointer(at).and_then(Value::as_str);
    let kind = text("/kind").context("a kind")?;
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", kind));
    let api: Api<DynamicObject> = match text("/metadata/namespace") {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let new = serde_json::from_value(object.clone())?;
    let created = api.create(&PostParams::default(), &new).await;
    created.with_context(|| format!("create {kind} {:?}", text("/metadata/name")))?;
    Ok(())
}
