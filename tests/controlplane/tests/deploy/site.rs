//! A cluster in which the chart can be installed: a real control plane, simulated nodes, and a kubelet of ours that runs
//! the chart's pods.

use std::{
    net::{SocketAddr, TcpListener},
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use kube::Client;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{process::Command, runtime::Runtime, task::JoinSet, time::sleep};
use tributary_controlplane::{
    assets::Assets,
    kubectl::{Kubectl, Outcome},
    objects::{apply, namespace},
    patience::{PATIENCE, eventually},
    plane::{Plane, client},
    rig::make_nodes,
    workloads::Workloads,
};
use tributary_sim::Cluster;

use crate::{container::IMAGE, families::Families, pods::Pods};

/// Where the chart is installed.
pub(crate) const NAMESPACE: &str = "tributary-system";

/// How often tests ask that poll.
pub(crate) const POLL_EVERY: Duration = Duration::from_millis(200);

/// The chart, from the root of the repository.
pub(crate) const CHART: &str = "deploy/helm/tributary";

/// The root of the repository.
pub(crate) const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// All of it, running.
pub(crate) struct Site {
    pub(crate) client: Client,
    pub(crate) workloads: Arc<Workloads>,
    pub(crate) kubectl: Kubectl,
    pub(crate) plane: Plane,
    tasks: JoinSet<anyhow::Result<()>>,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) dir: TempDir,
    /// Whose pods run as processes.
    pub(crate) namespace: &'static str,
}

/// What a pod of a system priority class needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CriticalPods {
    Nothing,
    /// A quota in its namespace, as on GKE.
    Quota,
}

/// What sites differ in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) critical: CriticalPods,
    pub(crate) families: Families,
    pub(crate) namespace: &'static str,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            critical: CriticalPods::Nothing,
            families: Families::Ipv4,
            namespace: NAMESPACE,
        }
    }
}

/// What GKE, and who follows the Kubernetes page on limiting priority classes, give kube-apiserver.
const ADMISSION: &str = "apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
  - name: ResourceQuota
    configuration:
      apiVersion: apiserver.config.k8s.io/v1
      kind: ResourceQuotaConfiguration
      limitedResources:
        - resource: pods
          matchScopes:
            - scopeName: PriorityClass
              operator: In
              values: [system-node-critical, system-cluster-critical]
";

/// Runs a test on a site of its own.
pub(crate) fn on_site<F>(test: impl FnOnce(Arc<Site>) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    on(Plan::default(), test)
}

/// The same on a site that differs from most.
pub(crate) fn on<F>(plan: Plan, test: impl FnOnce(Arc<Site>) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    anyhow::ensure!(
        TcpListener::bind("10.244.0.1:0").is_ok() && Path::new(IMAGE).is_dir(),
        "these tests need a network of their own and the unpacked image: run tests/deploy/run"
    );
    let runtime = Runtime::new()?;
    // On a thread of the runtime, because programs end with the thread that started them.
    let site = Arc::new(runtime.block_on(runtime.spawn(Site::start(plan)))??);
    let outcome = runtime.block_on(test(Arc::clone(&site)));
    if outcome.is_err() {
        site.show_logs();
    }
    if let Some(site) = Arc::into_inner(site) {
        runtime.block_on(site.stop())?;
    }
    outcome
}

impl Site {
    async fn start(plan: Plan) -> anyhow::Result<Self> {
        tributary_runtime::tls::install_provider();
        let assets = Assets::find()?;
        let dir = tempfile::Builder::new()
            .prefix("tributary-site-")
            .tempdir()?;
        let cluster = Cluster::builder().nodes(3).pods_per_node(0);
        let cluster = cluster
            .housekeeping(Duration::ZERO)
            .dir(dir.path().join("sim"));
        let cluster = Arc::new(cluster.start().await?);
        // Services lead to pods, without a kube-proxy.
        let services = plan.families.service_ranges();
        let services = format!("--service-cluster-ip-range={services}");
        let mut flags = vec!["--enable-aggregator-routing=true", services.as_str()];
        let admission = dir.path().join("admission.yaml");
        std::fs::write(&admission, ADMISSION)?;
        let admission = format!("--admission-control-config-file={}", admission.display());
        if plan.critical == CriticalPods::Quota {
            flags.push(&admission);
        }
        let (pki, paths) = (cluster.pki(), cluster.paths());
        let plane = Plane::start_with(&assets, dir.path(), pki, paths, &flags).await?;
        let client = client(&plane.kubeconfig()).await?;
        make_nodes(&client, &cluster).await?;
        let workloads =
            Workloads::new(client.clone(), Arc::clone(&cluster)).without(plan.namespace);
        let workloads = Arc::new(workloads);
        make_namespace(&client, plan.namespace).await?;
        let port = plane.url().rsplit(':').next().context("a port")?.parse()?;
        let below = dir.path().join("pods");
        std::fs::create_dir_all(&below)?;
        let pods = Pods::new(client.clone(), plan, cluster.nodes(), (below, port));
        let mut tasks = JoinSet::new();
        let followed = Arc::clone(&workloads);
        tasks.spawn(async move { followed.follow().await });
        tasks.spawn(pods.follow());
        let kubectl = Kubectl::new(&assets.program("kubectl")?, &plane.kubeconfig(), dir.path());
        Ok(Self {
            client,
            workloads,
            kubectl,
            plane,
            tasks,
            cluster,
            dir,
            namespace: plan.namespace,
        })
    }

    /// Runs helm against the cluster.
    pub(crate) async fn helm(&self, arguments: &[&str]) -> anyhow::Result<Outcome> {
        helm(Some(&self.plane.kubeconfig()), arguments).await
    }

    /// Installs or upgrades the release `tributary`, with what the site needs besides `values`.
    pub(crate) async fn install(&self, values: &[&str]) -> anyhow::Result<String> {
        self.install_chart(CHART, values).await
    }

    /// The same from another chart.
    pub(crate) async fn install_chart(
        &self,
        chart: &str,
        values: &[&str],
    ) -> anyhow::Result<String> {
        let start = ["upgrade", "--install", "tributary", chart, "-n", NAMESPACE];
        // No bridge and no name spaces here: all pods share a network, each has an address.
        let own = [
            "--set",
            "bindAddress=$(POD_IP)",
            "--set",
            "scraper.args={--metric-resolution=4s,--kubelet-request-timeout=3s}",
        ];
        let outcome = self.helm(&[&start[..], &own, values].concat()).await?;
        anyhow::ensure!(outcome.ok, "helm: {}", outcome.stderr);
        Ok(outcome.stdout)
    }

    /// Waits until both versions are available.
    pub(crate) async fn available(&self) -> anyhow::Result<()> {
        for version in ["v1beta1", "v1"] {
            let name = format!("apiservice/{version}.metrics.k8s.io");
            let wait = ["wait", &name, "--for=condition=Available", "--timeout=120s"];
            self.kubectl.ok(&wait).await?;
        }
        Ok(())
    }

    /// What kube-apiserver answers. Tests that ask again and again ask so: a kubectl each time takes more of a processor than
    /// what they watch.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let request = http::Request::get(path).body(Vec::new())?;
        let text = self.client.request_text(request).await;
        serde_json::from_str(&text.with_context(|| path.to_owned())?).context("JSON")
    }

    /// The nodes that are served by `v1beta1` or `v1`; an error unless all are.
    pub(crate) async fn nodes(&self, version: &str) -> anyhow::Result<Vec<Value>> {
        let path = format!("/apis/metrics.k8s.io/{version}/nodes");
        let list = self.get(&path).await?;
        let nodes = list["items"].as_array().cloned().unwrap_or_default();
        anyhow::ensure!(nodes.len() == 3, "{} nodes: {list}", nodes.len());
        Ok(nodes)
    }

    /// Waits until every node is served, and returns what `kubectl top` shows then.
    pub(crate) async fn top(&self) -> anyhow::Result<String> {
        eventually("all nodes are served", || self.nodes("v1beta1")).await?;
        eventually("kubectl top shows all nodes", || async {
            let top = self.kubectl.ok(&["top", "nodes", "--no-headers"]).await?;
            let complete = top.lines().count() == 3 && !top.contains("<unknown>");
            anyhow::ensure!(complete, "{top}");
            Ok(top)
        })
        .await
    }

    /// Lists nodes again and again until frontends have replaced their certificate and for a while after.
    pub(crate) async fn new_certificate_without_a_failure(&self) -> anyhow::Result<()> {
        let replaced = || {
            self.log_of("frontend")
                .matches("certificate replaced")
                .count()
        };
        let before = replaced();
        let mut after = 0;
        let start = tokio::time::Instant::now();
        while after < 50 {
            anyhow::ensure!(
                start.elapsed() < PATIENCE,
                "the certificate was not replaced"
            );
            self.nodes("v1beta1").await?;
            after += usize::from(replaced() > before);
            sleep(POLL_EVERY).await;
        }
        Ok(())
    }

    /// The pods of a component, and their addresses.
    pub(crate) async fn pods_of(&self, component: &str) -> anyhow::Result<Vec<(Value, String)>> {
        let label = format!("app.kubernetes.io/component={component}");
        let namespace = self.namespace;
        let list = format!("/api/v1/namespaces/{namespace}/pods?labelSelector={label}");
        let list = self.get(&list).await?;
        let pods = list["items"].as_array().cloned().unwrap_or_default();
        let addressed = pods.into_iter().map(|pod| {
            let ip = pod.pointer("/status/podIP").and_then(Value::as_str);
            let ip = ip.context("a pod without an address")?.to_owned();
            Ok((pod, ip))
        });
        addressed.collect()
    }

    /// What a pod of profile ha answers itself, asked as an administrator.
    pub(crate) async fn ask_pod(
        &self,
        component: &str,
        ip: &str,
        path: &str,
    ) -> anyhow::Result<String> {
        let address = |port| anyhow::Ok(SocketAddr::new(ip.parse()?, port));
        let server = match component {
            "scraper" => format!("http://{}", address(8080)?),
            _ => format!("https://{}", address(10250)?),
        };
        let raw = ["get", "--raw", path, "--server", &server];
        // That kube-apiserver verifies it, other tests show.
        let raw = [&raw[..], &["--insecure-skip-tls-verify"]].concat();
        self.kubectl.ok(&raw).await
    }

    /// What a container of the chart's pods has logged, all pods together.
    pub(crate) fn log_of(&self, container: &str) -> String {
        let files = std::fs::read_dir(self.dir.path().join("pods"));
        let files = files
            .into_iter()
            .flatten()
            .flatten()
            .map(|file| file.path());
        let end = format!("-{container}.log");
        let ours = files.filter(|path| path.display().to_string().ends_with(&end));
        let logs = ours.filter_map(|path| std::fs::read_to_string(path).ok());
        // Fields are quoted in some lines and not in others.
        logs.collect::<String>().replace("\\\"", "\"")
    }

    fn show_logs(&self) {
        for container in ["frontend", "scraper"] {
            let log = self.log_of(container);
            let lines: Vec<&str> = log.lines().collect();
            let end = lines.split_at(lines.len().saturating_sub(25)).1;
            println!("== {container}\n{}", end.join("\n"));
        }
    }

    async fn stop(mut self) -> anyhow::Result<()> {
        self.tasks.shutdown().await;
        drop(self.workloads);
        self.plane.stop().await?;
        if let Some(cluster) = Arc::into_inner(self.cluster) {
            cluster.stop().await;
        }
        Ok(self.dir.close()?)
    }
}

/// Only what the pod security standard "restricted" allows may run there.
async fn make_namespace(client: &Client, name: &str) -> anyhow::Result<()> {
    namespace(client, name).await?;
    let label = "pod-security.kubernetes.io/enforce";
    let object = json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": { "name": name, "labels": { label: "restricted" } },
    });
    apply(client, &object).await
}

/// Runs the pinned helm in the root of the repository.
pub(crate) async fn helm(kubeconfig: Option<&Path>, arguments: &[&str]) -> anyhow::Result<Outcome> {
    let mut command = Command::new(Path::new(ROOT).join("tests/deploy/bin/helm"));
    command.current_dir(ROOT).args(arguments).kill_on_drop(true);
    if let Some(kubeconfig) = kubeconfig {
        command.arg("--kubeconfig").arg(kubeconfig);
    }
    let output = command
        .output()
        .await
        .context("start helm: run tests/deploy/run")?;
    Ok(Outcome {
        ok: output.status.success(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// The objects in what helm or kubectl printed as a list in JSON.
pub(crate) fn items(json: &str) -> anyhow::Result<Vec<Value>> {
    let list: Value = serde_json::from_str(json)?;
    Ok(list["items"].as_array().cloned().unwrap_or_default())
}
