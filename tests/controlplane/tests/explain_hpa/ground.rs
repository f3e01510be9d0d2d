//! A control plane on which nothing but the autoscaler moves: targets have no controller, so their pods stay as they were
//! written, and their kubelets report the same for ever.

use std::{net::TcpListener, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::{autoscaling::v2::HorizontalPodAutoscaler, core::v1::Pod as KubePod};
use kube::{
    Api, Client, Config,
    api::{DeleteParams, PostParams},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tributary_controlplane::{
    assets::Assets,
    components::Components,
    objects::{apply, namespace, set_status},
    patience::eventually,
    plane::{More, Plane, client},
    rig::make_nodes,
};
use tributary_sim::Cluster;
use tributary_testkit::program::Program;

use super::cases::{Case, Stands, Target};

/// The cases are spread over these, because an autoscaler is explained with a list of all in its namespace.
const NAMESPACES: usize = 24;

const NODES: usize = 8;

/// How many requests are made at once.
pub(super) const AT_ONCE: usize = 8;

/// How often the autoscaler decides.
const SYNC: Duration = Duration::from_secs(8);

/// Nothing that makes or ends pods, and no autoscaler.
const STILL: &str = "--controllers=-deployment-controller,-replicaset-controller,-statefulset-controller,\
    -replicationcontroller-controller,-horizontal-pod-autoscaler-controller,-garbage-collector-controller";

/// Where a case is, and what it is called.
pub(super) type Place = (String, String);

/// All of it, running.
pub(super) struct Ground {
    pub(super) client: Client,
    pub(super) plane: Plane,
    cluster: Arc<Cluster>,
    components: Components,
    assets: Assets,
    dir: TempDir,
}

impl Ground {
    pub(super) async fn start() -> anyhow::Result<Self> {
        tributary_runtime::tls::install_provider();
        let assets = Assets::find()?;
        let dir = tempfile::Builder::new()
            .prefix("tributary-hpa-")
            .tempdir()?;
        let cluster = Cluster::builder().nodes(NODES).pods_per_node(0);
        let cluster = cluster.housekeeping(Duration::ZERO);
        let cluster = cluster.dir(dir.path().join("sim")).start().await?;
        let more = More {
            api: &[],
            manager: &[STILL],
        };
        let (pki, paths) = (cluster.pki(), cluster.paths());
        let plane = Plane::start_tuned(&assets, dir.path(), pki, paths, more).await?;
        let client = client(&plane.kubeconfig()).await?;
        make_nodes(&client, &cluster).await?;
        let cluster = Arc::new(cluster);
        let pace = (1, Duration::from_secs(3));
        let components = Components::start(&plane, &client, &cluster, pace).await?;
        let namespaces = stream::iter(0..NAMESPACES).map(|index| {
            let client = client.clone();
            async move { namespace(&client, &format!("hpa-{index}")).await }
        });
        let made = namespaces.buffer_unordered(AT_ONCE);
        made.try_collect::<Vec<()>>().await?;
        custom_resources(&client).await?;
        Ok(Self {
            client,
            plane,
            cluster,
            components,
            assets,
            dir,
        })
    }

    /// Makes all targets, pods and autoscalers, and waits until each pod that its kubelet measures is served.
    pub(super) async fn make(&self, cases: &[Case]) -> anyhow::Result<Vec<Place>> {
        let places: Vec<Place> = (0..cases.len())
            .map(|index| {
                (
                    format!("hpa-{}", index % NAMESPACES),
                    format!("c{index:03}"),
                )
            })
            .collect();
        let nodes = self.cluster.nodes();
        let made = stream::iter(cases.iter().zip(&places).enumerate());
        let made = made.map(|(index, (case, place))| {
            let nodes = nodes.iter().cycle().skip(index).cloned();
            self.make_one(case, place, nodes)
        });
        let measured: Vec<usize> = made.buffer_unordered(AT_ONCE).try_collect().await?;
        let measured: usize = measured.into_iter().sum();
        eventually("all pods are measured", || async {
            let path = "/apis/metrics.k8s.io/v1beta1/pods";
            let request = http::Request::get(path).body(Vec::new())?;
            let list: Value = serde_json::from_str(&self.client.request_text(request).await?)?;
            let served = list["items"].as_array().map_or(0, Vec::len);
            anyhow::ensure!(served == measured, "{served} of {measured} pods");
            Ok(())
        })
        .await?;
        Ok(places)
    }

    /// Makes one, and returns how many of its pods have metrics.
    async fn make_one(
        &self,
        case: &Case,
        (namespace, name): &Place,
        mut nodes: impl Iterator<Item = String>,
    ) -> anyhow::Result<usize> {
        if let Some((target, status)) = case.scaled(namespace, name) {
            apply(&self.client, &target).await?;
            if let Some(status) = status {
                set_status(&self.client, &status).await?;
            }
        }
        let pods = Api::<KubePod>::namespaced(self.client.clone(), namespace);
        let autoscalers =
            Api::<HorizontalPodAutoscaler>::namespaced(self.client.clone(), namespace);
        let mut measured = 0;
        for (index, pod) in case.pods.iter().enumerate() {
            let pod_name = format!("{name}-{index}");
            let node = nodes.next().context("a node")?;
            let object = pod.object((namespace, name), &pod_name, &node);
            let params = PostParams::default();
            let made = pods
                .create(&params, &serde_json::from_value(object)?)
                .await?;
            // Cheaper for the API than to patch, and there are many.
            let status = serde_json::from_value(pod.status(self.cluster.clock().now()))?;
            let made = KubePod {
                status: Some(status),
                ..made
            };
            pods.replace_status(&pod_name, &params, &made).await?;
            if let Some(spec) = pod.measured(namespace, &pod_name, &node) {
                self.cluster.add_pod(spec);
                measured += 1;
            }
            if pod.stands == Stands::Deleted {
                pods.delete(&pod_name, &DeleteParams::default()).await?;
            }
        }
        let rival = case.rival.then(|| format!("{name}-rival"));
        for it in [Some(name), rival.as_ref()].into_iter().flatten() {
            let object = serde_json::from_value(case.autoscaler(namespace, it, name))?;
            autoscalers.create(&PostParams::default(), &object).await?;
        }
        Ok(measured)
    }

    /// The real autoscaler, and nothing else of kube-controller-manager, with the flags that it has by default.
    pub(super) fn autoscaler(&self) -> anyhow::Result<Autoscaler> {
        let sync = format!(
            "--horizontal-pod-autoscaler-sync-period={}s",
            SYNC.as_secs()
        );
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let serves = format!("--secure-port={port}");
        let program = self.plane.autoscaler(
            &self.assets,
            &[
                &sync,
                &serves,
                "--bind-address=127.0.0.1",
                "--authorization-always-allow-paths=/metrics",
                "--horizontal-pod-autoscaler-downscale-stabilization=5m",
                "--horizontal-pod-autoscaler-cpu-initialization-period=5m",
                "--horizontal-pod-autoscaler-initial-readiness-delay=30s",
            ],
        )?;
        // It made the certificate itself.
        let mut config = Config::new(format!("https://127.0.0.1:{port}").parse()?);
        config.accept_invalid_certs = true;
        Ok(Autoscaler {
            program,
            client: Client::try_from(config)?,
        })
    }

    pub(super) fn kubeconfig(&self) -> PathBuf {
        self.plane.kubeconfig()
    }

    pub(super) async fn stop(self) -> anyhow::Result<()> {
        self.components.stop().await?;
        self.plane.stop().await?;
        if let Some(cluster) = Arc::into_inner(self.cluster) {
            cluster.stop().await;
        }
        self.dir.close()?;
        Ok(())
    }
}

/// The autoscaler, running.
pub(super) struct Autoscaler {
    program: Program,
    client: Client,
}

impl Autoscaler {
    /// Returns when it has looked at each of `count` autoscalers at least once more. It looks at them by turns, and writes
    /// only what changes, so that an autoscaler that stayed the same may be one that it has not looked at.
    pub(super) async fn looks_at_all(&self, count: usize) -> anyhow::Result<()> {
        let wanted = self.looked().await? + 2 * count;
        eventually("the autoscaler looks at all", || async {
            let looked = self.looked().await?;
            anyhow::ensure!(looked >= wanted, "{looked} of {wanted} times");
            Ok(())
        })
        .await
    }

    /// How many times it has looked at one.
    async fn looked(&self) -> anyhow::Result<usize> {
        let request = http::Request::get("/metrics").body(Vec::new())?;
        let page = self.client.request_text(request).await?;
        let counts = page.lines().filter_map(|line| {
            let line = line.strip_prefix(LOOKED)?;
            line.split_once("} ")?.1.parse::<usize>().ok()
        });
        Ok(counts.sum())
    }

    pub(super) async fn kill(self) -> anyhow::Result<()> {
        self.program.kill().await
    }
}

/// What kube-controller-manager counts, with the action and the error as labels.
const LOOKED: &str = "horizontal_pod_autoscaler_controller_reconciliations_total{";

/// Two kinds with a scale: one with a selector, and one without.
async fn custom_resources(client: &Client) -> anyhow::Result<()> {
    for (target, plural) in [(Target::Battery, "batteries"), (Target::Class, "classes")] {
        let (_, kind) = target.version_and_kind();
        let mut scale = json!({
            "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas",
        });
        if target == Target::Battery {
            scale["labelSelectorPath"] = json!(".status.selector");
        }
        let open = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": { "name": format!("{plural}.example.dev") },
            "spec": {
                "group": "example.dev", "scope": "Namespaced",
                "names": { "kind": kind, "plural": plural },
                "versions": [{
                    "name": "v1", "served": true, "storage": true,
                    "schema": { "openAPIV3Schema": {
                        "type": "object", "properties": { "spec": open, "status": open },
                    } },
                    "subresources": { "status": {}, "scale": scale },
                }],
            },
        });
        apply(client, &definition).await?;
        eventually("the resource is served", || async {
            let path = format!("/apis/example.dev/v1/{plural}");
            client
                .request_text(http::Request::get(&path).body(Vec::new())?)
                .await?;
            anyhow::Ok(())
        })
        .await?;
    }
    Ok(())
}
