//! etcd, kube-apiserver and kube-controller-manager on loopback.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use http::Request;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};
use tributary_sim::{Ca, Credential, FRONT_PROXY_NAME, Paths, Pki};
use tributary_testkit::program::Program;

use crate::{
    assets::Assets,
    patience::{eventually, while_ok},
};

/// What kube-apiserver calls itself in tokens.
pub(crate) const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// Not run: simulated nodes have no heartbeats, so their pods would be evicted after five minutes.
const CONTROLLERS: &str =
    "*,-node-lifecycle-controller,-taint-eviction-controller,-pod-garbage-collector-controller";

/// Flags beside those that every control plane here has; of two, the later counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct More<'a> {
    /// Of kube-apiserver.
    pub api: &'a [&'a str],
    /// Of kube-controller-manager.
    pub manager: &'a [&'a str],
}

/// A control plane that runs.
#[derive(Debug)]
pub struct Plane {
    etcd: Program,
    api: Program,
    manager: Program,
    url: String,
    dir: PathBuf,
    cluster_ca: PathBuf,
}

impl Plane {
    /// Starts it and waits until kube-apiserver is ready. `dir` takes its files.
    ///
    /// # Errors
    ///
    /// A program is missing or ends.
    pub async fn start(
        assets: &Assets,
        dir: &Path,
        pki: &Pki,
        paths: &Paths,
    ) -> anyhow::Result<Self> {
        Self::start_with(assets, dir, pki, paths, &[]).await
    }

    /// The same, with more flags of kube-apiserver.
    ///
    /// # Errors
    ///
    /// As for [`Self::start`].
    pub async fn start_with(
        assets: &Assets,
        dir: &Path,
        pki: &Pki,
        paths: &Paths,
        more: &[&str],
    ) -> anyhow::Result<Self> {
        let more = More {
            api: more,
            manager: &[],
        };
        Self::start_tuned(assets, dir, pki, paths, more).await
    }

    /// The same, with more flags of both.
    ///
    /// # Errors
    ///
    /// As for [`Self::start`].
    pub async fn start_tuned(
        assets: &Assets,
        dir: &Path,
        pki: &Pki,
        paths: &Paths,
        more: More<'_>,
    ) -> anyhow::Result<Self> {
        let logs = dir.join("log");
        fs::create_dir_all(&logs)?;
        let [etcd_port, peer_port, api_port] = free_ports()?;
        let url = format!("https://127.0.0.1:{api_port}");
        let etcd_url = format!("http://127.0.0.1:{etcd_port}");
        let mut etcd = Program::start_in_environment(
            "etcd",
            &assets.program("etcd")?,
            etcd_flags(dir, &etcd_url, peer_port),
            &logs,
        )?;
        let flags = [
            api_server_flags(&etcd_url, api_port),
            api_server_files(dir, pki, paths)?,
            more.api.iter().map(ToString::to_string).collect(),
        ];
        let program = assets.program("kube-apiserver")?;
        let mut api =
            Program::start_in_environment("kube-apiserver", &program, flags.concat(), &logs)?;

        let admin = pki.client(Ca::Cluster, "kubernetes-admin", &["system:masters"])?;
        let admin = kubeconfig(dir, "kubeconfig", &url, &paths.cluster_ca, &of(&admin))?;
        let client = client(&admin).await?;
        let ready = eventually("kube-apiserver is ready", || async {
            let request = Request::get("/readyz").body(Vec::new());
            client.request_text(request?).await?;
            anyhow::Ok(())
        });
        tokio::select! {
            ready = ready => ready?,
            ended = while_ok(|| etcd.still_runs().and_then(|()| api.still_runs())) => return Err(ended),
        }

        let manager = pki.client(Ca::Cluster, "system:kube-controller-manager", &[])?;
        let manager = kubeconfig(dir, MANAGER, &url, &paths.cluster_ca, &of(&manager))?;
        let mut flags = manager_flags(dir, &manager, &paths.cluster_ca);
        flags.extend(more.manager.iter().map(ToString::to_string));
        let program = assets.program("kube-controller-manager")?;
        let manager =
            Program::start_in_environment("kube-controller-manager", &program, &flags, &logs)?;
        Ok(Self {
            etcd,
            api,
            manager,
            url,
            dir: dir.to_owned(),
            cluster_ca: paths.cluster_ca.clone(),
        })
    }

    /// Where kube-apiserver is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The kubeconfig of an administrator.
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.join("kubeconfig")
    }

    /// The private key with which tokens of service accounts are signed, P-256.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn token_signer(&self) -> anyhow::Result<rcgen::KeyPair> {
        let pem = fs::read_to_string(self.dir.join(SERVICE_ACCOUNT_KEY))?;
        Ok(rcgen::KeyPair::from_pem(&pem)?)
    }

    /// Signs the certificates of kube-apiserver, and of those whom it knows by one.
    pub fn cluster_ca(&self) -> &Path {
        &self.cluster_ca
    }

    /// Writes the kubeconfig of whoever has this certificate.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn kubeconfig_with(&self, name: &str, user: &Credential) -> anyhow::Result<PathBuf> {
        kubeconfig(&self.dir, name, &self.url, &self.cluster_ca, &of(user))
    }

    /// Writes the kubeconfig of whoever holds `token`.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn kubeconfig_of(&self, name: &str, token: &str) -> anyhow::Result<PathBuf> {
        let user = json!({ "token": token });
        kubeconfig(&self.dir, name, &self.url, &self.cluster_ca, &user)
    }

    /// Starts another kube-controller-manager, in which only the autoscaler runs, with more flags.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub fn autoscaler(&self, assets: &Assets, more: &[&str]) -> anyhow::Result<Program> {
        let kubeconfig = self.dir.join(MANAGER);
        let flags = manager_flags(&self.dir, &kubeconfig, &self.cluster_ca);
        let others = flags
            .into_iter()
            .filter(|it| !it.starts_with("--controllers="));
        let mut flags: Vec<String> = others.collect();
        flags.push("--controllers=horizontal-pod-autoscaler-controller".to_owned());
        flags.extend(more.iter().map(ToString::to_string));
        let program = assets.program("kube-controller-manager")?;
        Program::start_in_environment("autoscaler", &program, &flags, &self.dir.join("log"))
    }

    /// # Errors
    ///
    /// One of the programs has ended.
    pub fn still_runs(&mut self) -> anyhow::Result<()> {
        self.etcd.still_runs()?;
        self.api.still_runs()?;
        self.manager.still_runs()
    }

    /// Ends the three, those that ask before those that answer.
    ///
    /// # Errors
    ///
    /// One cannot be ended.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.manager.kill().await?;
        self.api.kill().await?;
        self.etcd.kill().await
    }
}

/// A client from a kubeconfig.
///
/// # Errors
///
/// It cannot be read or used.
pub async fn client(kubeconfig: &Path) -> anyhow::Result<Client> {
    let file = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

/// Ports that are free now. All are stored until the last is known, so they differ.
fn free_ports() -> anyhow::Result<[u16; 3]> {
    let listen = || TcpListener::bind("127.0.0.1:0");
    let stored = [listen()?, listen()?, listen()?];
    let [a, b, c] = stored.each_ref().map(TcpListener::local_addr);
    Ok([a?.port(), b?.port(), c?.port()])
}

fn etcd_flags(dir: &Path, url: &str, peer_port: u16) -> Vec<String> {
    let peer = format!("http://127.0.0.1:{peer_port}");
    vec![
        "--name=plane".to_owned(),
        flag("--data-dir", &dir.join("etcd")),
        format!("--listen-client-urls={url}"),
        format!("--advertise-client-urls={url}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=plane={peer}"),
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
    ]
}

fn api_server_flags(etcd: &str, port: u16) -> Vec<String> {
    [
        format!("--etcd-servers={etcd}").as_str(),
        &format!("--secure-port={port}"),
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        &format!("--service-account-issuer={ISSUER}"),
        &format!("--requestheader-allowed-names={FRONT_PROXY_NAME}"),
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-username-headers=X-Remote-User",
        "--kubelet-preferred-address-types=InternalIP",
        "--authorization-mode=Node,RBAC",
        "--service-cluster-ip-range=10.0.0.0/16",
        "--endpoint-reconciler-type=none",
        "--allow-privileged=true",
        "--max-requests-inflight=3000",
        "--max-mutating-requests-inflight=1000",
    ]
    .map(str::to_owned)
    .into()
}

/// The flags that name files, which are made here.
fn api_server_files(dir: &Path, pki: &Pki, paths: &Paths) -> anyhow::Result<Vec<String>> {
    let names = ["localhost", "kubernetes.default.svc", "127.0.0.1"].map(str::to_owned);
    let (certificate, key) = pki.server(Ca::Cluster, &names)?.write(dir, "apiserver")?;
    let kubelet_client = pki.client(Ca::Cluster, "kube-apiserver", &["system:masters"])?;
    let (kubelet_certificate, kubelet_key) = kubelet_client.write(dir, "kubelet-client")?;
    let (tokens, token_signer) = service_account_keys(dir)?;
    Ok(vec![
        flag("--cert-dir", dir),
        flag("--tls-cert-file", &certificate),
        flag("--tls-private-key-file", &key),
        flag("--client-ca-file", &paths.cluster_ca),
        flag("--service-account-key-file", &tokens),
        flag("--service-account-signing-key-file", &token_signer),
        flag("--requestheader-client-ca-file", &paths.front_proxy_ca),
        flag("--proxy-client-cert-file", &paths.front_proxy_certificate),
        flag("--proxy-client-key-file", &paths.front_proxy_key),
        flag("--kubelet-client-certificate", &kubelet_certificate),
        flag("--kubelet-client-key", &kubelet_key),
        flag("--kubelet-certificate-authority", &paths.cluster_ca),
    ])
}

fn manager_flags(dir: &Path, kubeconfig: &Path, cluster_ca: &Path) -> Vec<String> {
    vec![
        flag("--kubeconfig", kubeconfig),
        // It serves nothing that is asked for here.
        "--secure-port=0".to_owned(),
        flag("--root-ca-file", cluster_ca),
        flag(
            "--service-account-private-key-file",
            &dir.join(SERVICE_ACCOUNT_KEY),
        ),
        "--use-service-account-credentials=true".to_owned(),
        "--leader-elect=false".to_owned(),
        flag("--cert-dir", &dir.join("manager-certs")),
        flag("--flex-volume-plugin-dir", &dir.join("flex")),
        format!("--controllers={CONTROLLERS}"),
        // Pods of a second ago count, and what is no longer needed goes at once.
        "--horizontal-pod-autoscaler-sync-period=1s".to_owned(),
        "--horizontal-pod-autoscaler-downscale-stabilization=1s".to_owned(),
        "--horizontal-pod-autoscaler-cpu-initialization-period=1s".to_owned(),
        "--horizontal-pod-autoscaler-initial-readiness-delay=1s".to_owned(),
        "--kube-api-qps=500".to_owned(),
        "--kube-api-burst=1000".to_owned(),
    ]
}

/// The file with the kubeconfig of kube-controller-manager.
const MANAGER: &str = "manager";

const SERVICE_ACCOUNT_KEY: &str = "service-accounts.key";

/// What verifies the tokens of service accounts, and what signs them.
fn service_account_keys(dir: &Path) -> anyhow::Result<(PathBuf, PathBuf)> {
    let private = dir.join(SERVICE_ACCOUNT_KEY);
    let public = private.with_extension("pub");
    let pair = rcgen::KeyPair::generate()?;
    fs::write(&private, pair.serialize_pem())?;
    fs::write(&public, pair.public_key_pem())?;
    Ok((public, private))
}

/// The user of a kubeconfig who has a certificate.
fn of(credential: &Credential) -> Value {
    json!({
        "client-certificate-data": base64(&credential.certificate),
        "client-key-data": base64(&credential.key),
    })
}

fn base64(pem: &str) -> Value {
    // The API's own way to write bytes in JSON.
    json!(k8s_openapi::ByteString(pem.as_bytes().to_vec()))
}

/// Writes a kubeconfig; in JSON, which is YAML.
fn kubeconfig(
    dir: &Path,
    name: &str,
    url: &str,
    ca: &Path,
    user: &Value,
) -> anyhow::Result<PathBuf> {
    let path = dir.join(name);
    let ca = fs::read_to_string(ca).with_context(|| format!("read {}", ca.display()))?;
    let text = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "plane", "cluster": { "server": url, "certificate-authority-data": base64(&ca) } }],
        "users": [{ "name": "user", "user": user }],
        "contexts": [{ "name": "plane", "context": { "cluster": "plane", "user": "user" } }],
        "current-context": "plane",
    });
    fs::write(&path, text.to_string()).with_context(|| format!("write {}", path.display()))?;
    Ok(path)
}

fn flag(name: &str, path: &Path) -> String {
    format!("{name}={}", path.display())
}
