//! A real node: kubelet, containerd and crun on this machine, with containers that are processes.
//!
//! Its processes have mounts and process numbers of their own (`node/inside.sh`), so killing the first kills all and
//! unmounts everything. It needs root. Pods have the network of the machine.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Node;
use kube::{Api, Client};
use serde_json::{Value, json};
use tributary_sim::{Ca, Pki};
use tributary_testkit::program::Program;

use crate::{
    assets::Assets,
    objects::{apply, set_status},
    patience::{eventually, while_ok},
    plane::Plane,
};

use cgroup::Cgroup;

pub use account::Account;
pub use levels::deployment_of_levels;

mod account;
mod cgroup;
mod image;
mod levels;

/// `load MILLICORES MEBIBYTES`, or a file with the milli-cores; on every real node.
const IMAGE: &str = "localhost/load:1";

const INSIDE: &str = include_str!("node/inside.sh");
const CONTAINERD: &str = include_str!("node/containerd.toml");

/// In Debian's packages containerd, crun and util-linux.
const NEEDED: [&str; 5] = ["containerd", "ctr", "crun", "unshare", "setpriv"];

/// A pod on a real node. Each container has a name and what its program is told; those that come before the others end
/// at once, or go on beside them if they are given something to do.
pub fn pod(
    (namespace, name, node): (&str, &str, &str),
    before: &[(&str, &[&str])],
    containers: &[(&str, &[&str])],
) -> Value {
    let container = |(name, args): &(&str, &[&str]), policy: Value| {
        json!({
            "name": name,
            "image": IMAGE,
            "imagePullPolicy": "Never",
            "args": args,
            "restartPolicy": policy,
        })
    };
    let first = |given: &(&str, &[&str])| match given.1 {
        ["end"] => container(given, Value::Null),
        _ => container(given, json!("Always")),
    };
    let other = |given: &(&str, &[&str])| container(given, Value::Null);
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "namespace": namespace, "name": name },
        "spec": {
            "nodeName": node,
            "hostNetwork": true,
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 0,
            "tolerations": [{ "operator": "Exists" }],
            "initContainers": before.iter().map(first).collect::<Vec<_>>(),
            "containers": containers.iter().map(other).collect::<Vec<_>>(),
        },
    })
}

/// What a kubelet shows to those who ask it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// One that the cluster's authority signed for its address.
    Signed,
    /// One that it makes for itself, as it does when nobody gives it one.
    SelfSigned,
}

/// What distinguishes a node.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    /// Its name.
    pub name: &'a str,
    /// The certificate of its kubelet.
    pub certificate: Certificate,
    /// Flags of its kubelet beside those that every kubelet here has.
    pub flags: &'a [&'a str],
}

/// A node that runs.
#[derive(Debug)]
pub struct RealNode {
    program: Program,
    cgroup: Cgroup,
}

impl RealNode {
    /// Starts it and waits until it says that it is ready. `dir` takes its files.
    ///
    /// # Errors
    ///
    /// The machine lacks something, or a program ends.
    pub async fn start(
        (plane, client, pki): (&Plane, &Client, &Pki),
        assets: &Assets,
        dir: &Path,
        identity: Identity<'_>,
    ) -> anyhow::Result<Self> {
        let name = identity.name;
        let kubelet = assets.program("kubelet")?;
        machine()?;
        fs::create_dir_all(dir.join("cni"))?;
        fs::write(dir.join("image.tar"), image::archive(dir).await?)?;
        register(client, name).await?;
        let cgroup = Cgroup::create(name)?;
        let files = Files { dir, name };
        let mut flags = files.write((plane, pki), &cgroup, identity.certificate)?;
        flags.extend(identity.flags.iter().map(ToString::to_string));
        let flags = [inside(dir, &cgroup, &kubelet), flags].concat();
        let program = Program::start_in_environment("node", Path::new("unshare"), &flags, dir)?;
        let mut node = Self { program, cgroup };
        if let Err(error) = node.ready(client, name).await {
            let said = node.program.log_end();
            node.stop().await?;
            return Err(error.context(said));
        }
        Ok(node)
    }

    async fn ready(&mut self, client: &Client, name: &str) -> anyhow::Result<()> {
        let nodes = Api::<Node>::all(client.clone());
        let ready = eventually("the node is ready", async || {
            let status = nodes.get(name).await?.status.unwrap_or_default();
            let conditions = status.conditions.unwrap_or_default();
            let mut all = conditions.iter();
            let ready = all.any(|found| found.type_ == "Ready" && found.status == "True");
            anyhow::ensure!(ready, "{conditions:?}");
            Ok(())
        });
        tokio::select! {
            ready = ready => ready,
            ended = while_ok(|| self.program.still_runs()) => Err(ended),
        }
    }

    /// Kills all its processes, and waits until nothing of it is left.
    ///
    /// # Errors
    ///
    /// The system does not let us.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.program.kill().await?;
        self.cgroup.remove().await
    }
}

/// Says what this machine lacks.
fn machine() -> anyhow::Result<()> {
    anyhow::ensure!(
        rustix::process::geteuid().is_root(),
        "a real node needs root: it mounts and makes cgroups"
    );
    let path = std::env::var_os("PATH").unwrap_or_default();
    for program in NEEDED {
        let there = std::env::split_paths(&path).any(|directory| directory.join(program).is_file());
        anyhow::ensure!(
            there,
            "a real node needs {program} on PATH: apt-get install containerd crun util-linux"
        );
    }
    Ok(())
}

/// Makes the object before the kubelet does, with an address: a kubelet takes loopback from nobody but a cloud
/// provider, which we are.
async fn register(client: &Client, name: &str) -> anyhow::Result<()> {
    let addresses = json!([
        { "type": "InternalIP", "address": "127.0.0.1" },
        { "type": "Hostname", "address": name },
    ]);
    let node = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": { "name": name },
        "status": { "addresses": addresses },
    });
    apply(client, &node).await?;
    set_status(client, &node).await
}

/// What `unshare` runs: the first process of the node, killed with `unshare` itself.
fn inside(dir: &Path, cgroup: &Cgroup, kubelet: &Path) -> Vec<String> {
    let mut flags = [
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "sh",
        "-c",
        INSIDE,
        "inside.sh",
    ]
    .map(str::to_owned)
    .to_vec();
    let text = |path: &Path| path.display().to_string();
    flags.extend([text(dir), cgroup.name().to_owned(), text(kubelet)]);
    flags
}

/// What the programs of a node read.
struct Files<'a> {
    dir: &'a Path,
    name: &'a str,
}

impl Files<'_> {
    /// Writes it all; returns the flags of the kubelet.
    fn write(
        &self,
        (plane, pki): (&Plane, &Pki),
        cgroup: &Cgroup,
        certificate: Certificate,
    ) -> anyhow::Result<Vec<String>> {
        let containerd = CONTAINERD.replace("NODE_DIR", &self.dir.display().to_string());
        self.file("containerd.toml", &containerd)?;
        // Without a network a node is not ready. Pods that want one of their own would not start.
        let network =
            json!({ "cniVersion": "0.4.0", "name": "none", "plugins": [{ "type": "loopback" }] });
        self.file("cni/10-none.conflist", &network.to_string())?;
        let names = ["127.0.0.1".to_owned(), self.name.to_owned()];
        let serving = match certificate {
            Certificate::Signed => Some(
                pki.server(Ca::Cluster, &names)?
                    .write(self.dir, "serving")?,
            ),
            Certificate::SelfSigned => None,
        };
        let settings = settings(cgroup, plane.cluster_ca(), serving.as_ref())?;
        let settings = self.file("kubelet.json", &settings.to_string())?;
        let user = format!("system:node:{}", self.name);
        let identity = pki.client(Ca::Cluster, &user, &["system:nodes"])?;
        let kubeconfig = plane.kubeconfig_with(&user, &identity)?;
        Ok(vec![
            format!("--config={}", settings.display()),
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--hostname-override={}", self.name),
            // It leaves the addresses alone.
            "--cloud-provider=external".to_owned(),
        ])
    }

    fn file(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.dir.join(name);
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        Ok(path)
    }
}

/// The kubelet's configuration: as kubeadm leaves it where it matters to those who scrape.
fn settings(
    cgroup: &Cgroup,
    cluster_ca: &Path,
    serving: Option<&(PathBuf, PathBuf)>,
) -> anyhow::Result<Value> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    Ok(json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": { "enabled": false },
            "webhook": { "enabled": true, "cacheTTL": "1s" },
            "x509": { "clientCAFile": cluster_ca },
        },
        "authorization": {
            "mode": "Webhook",
            "webhook": { "cacheAuthorizedTTL": "1s", "cacheUnauthorizedTTL": "1s" },
        },
        "tlsCertFile": serving.map(|(certificate, _)| certificate),
        "tlsPrivateKeyFile": serving.map(|(_, key)| key),
        "address": "127.0.0.1",
        "port": port,
        "healthzPort": 0,
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("{}/pods", cgroup.name()),
        "failCgroupV1": false,
        "failSwapOn": false,
        "oomScoreAdj": 0,
        "volumePluginDir": "/var/lib/kubelet/volumeplugins",
        // A full disk is the machine's own business.
        "evictionHard": { "memory.available": "0%", "nodefs.available": "0%", "imagefs.available": "0%" },
    }))
}
