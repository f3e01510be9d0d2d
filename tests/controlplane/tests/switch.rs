//! `kubectl tributary compare` and `switch` beside the real metrics-server: over and back, and back by itself from a Tributary
//! that is silent, refuses, or serves one node of ten; and what each owner of an `APIService` leaves in it. In each case the
//! `APIService`s and the exit code at the end are looked at.

#![expect(
    clippy::print_stdout,
    reason = "what was said is what one looks at when a case fails"
)]

mod failures;
mod owners;

use std::{
    future::pending,
    net::{SocketAddr, TcpListener as StdListener},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use kube::{
    Api,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet, time::sleep};
use tributary_cli::{
    args::Common,
    compare::Pace,
    kube_api::KubeApi,
    switch::{self, Back, Log, Report, Standing, To},
};
use tributary_controlplane::{
    components::NAMESPACE,
    objects::{apply, deployment, namespace},
    patience::eventually,
    peer,
    rig::{self, Rig, Size},
};
use tributary_sim::Ca;
use tributary_testkit::program::Program;

use self::{
    failures::{goes_wrong, interrupted, narrow, silent},
    owners::owners,
};
use crate::{count, get};

const SIZE: Size = Size {
    nodes: 10,
    scrapers: 1,
    resolution: Duration::from_secs(1),
    housekeeping: Duration::ZERO,
};

const V1BETA1: &str = "v1beta1.metrics.k8s.io";
const V1: &str = "v1.metrics.k8s.io";
const FLEET: &str = "v1alpha1.fleet.tributary.dev";

/// The Service of metrics-server, and of everything that plays Tributary. Both lead to loopback.
const INCUMBENT: &str = "metrics-server";
const OURS: &str = "tributary-apiserver";

struct Ground {
    rig: Arc<Rig>,
    api: KubeApi,
    services: Api<DynamicObject>,
    /// Where metrics-server serves.
    incumbent: SocketAddr,
}

fn free() -> anyhow::Result<SocketAddr> {
    Ok(StdListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn wanted() -> To {
    To {
        compare: Some(Pace {
            length: Duration::from_secs(3),
            every: Duration::from_secs(1),
        }),
        only_v1: false,
        ignore_owner: false,
        dry_run: false,
        watch_for: Duration::from_secs(5),
        service: None,
    }
}

impl Ground {
    /// metrics-server behind `v1beta1`, Tributary behind the fleet alone, and pods that both measure.
    async fn start(rig: Arc<Rig>) -> anyhow::Result<(Self, Program)> {
        let incumbent = free()?;
        let resolution = Duration::from_secs(12);
        let flags = peer::flags(&rig.plane, &rig.cluster, incumbent, resolution);
        let logs = rig.dir().join("log");
        let path = rig.program("metrics-server")?;
        let program = Program::start_in_environment("metrics-server", &path, &flags, &logs)?;
        let service = json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": { "namespace": NAMESPACE, "name": INCUMBENT },
            "spec": { "type": "ExternalName", "externalName": "localhost" },
        });
        apply(&rig.client, &service).await?;
        // Where the chart keeps the CA, for those who name the Service.
        let ca = k8s_openapi::ByteString(rig.cluster.pki().ca(Ca::Bus).as_bytes().to_vec());
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": { "namespace": NAMESPACE, "name": format!("{OURS}-tls") },
            "data": { "ca.crt": ca },
        });
        apply(&rig.client, &secret).await?;
        let kind = GroupVersionKind::gvk("apiregistration.k8s.io", "v1", "APIService");
        let services = Api::all_with(rig.client.clone(), &ApiResource::from_gvk(&kind));
        let ground = Self {
            api: KubeApi::patient(&Common::of(rig.plane.kubeconfig())).await?,
            services,
            incumbent,
            rig,
        };
        namespace(&ground.rig.client, "shop").await?;
        apply(&ground.rig.client, &deployment("shop", "web", 4, &["main"])).await?;
        ground.services.delete(V1, &DeleteParams::default()).await?;
        ground.put(V1BETA1, ground.of_incumbent()).await?;
        eventually("both serve ten nodes and four pods", || async {
            let nodes = count(&get(&ground.rig, "nodes").await?);
            let pods = count(&get(&ground.rig, "pods").await?);
            let standing = Standing::read(&ground.api).await?;
            let by = &standing.versions.first().context("v1beta1")?.answered_by;
            anyhow::ensure!(
                (nodes, pods, by.as_str()) == (10, 4, "another server"),
                "{nodes} nodes, {pods} pods from {by}"
            );
            let usages = ground
                .rig
                .kubectl()?
                .ok(&["get", "podusages", "-A", "-o", "name"])
                .await?;
            anyhow::ensure!(usages.lines().count() == 4, "{usages}");
            Ok(())
        })
        .await?;
        Ok((ground, program))
    }

    fn of_incumbent(&self) -> Value {
        json!({
            "group": "metrics.k8s.io", "version": "v1beta1", "groupPriorityMinimum": 100, "versionPriority": 100,
            "insecureSkipTLSVerify": true,
            "service": { "namespace": NAMESPACE, "name": INCUMBENT, "port": self.incumbent.port() },
        })
    }

    /// Replaces a `spec`.
    async fn put(&self, name: &str, spec: Value) -> anyhow::Result<()> {
        let patch = json!([{ "op": "replace", "path": "/spec", "value": spec }]);
        let patch = Patch::Json::<()>(serde_json::from_value(patch)?);
        self.services
            .patch(name, &PatchParams::default(), &patch)
            .await?;
        Ok(())
    }

    /// Leads the fleet to another port.
    async fn lead_fleet(&self, port: u16) -> anyhow::Result<()> {
        let patch = json!({ "spec": { "service": { "port": port } } });
        let params = PatchParams::default();
        self.services
            .patch(FLEET, &params, &Patch::Merge(patch))
            .await?;
        Ok(())
    }

    /// The Services behind `v1beta1` and `v1`.
    async fn leads(&self) -> anyhow::Result<[String; 2]> {
        let mut leads = [String::new(), String::new()];
        for (lead, name) in leads.iter_mut().zip([V1BETA1, V1]) {
            let found = self.services.get_opt(name).await?;
            let found = found.as_ref().map(|found| &found.data);
            let service = found.and_then(|data| data.pointer("/spec/service/name")?.as_str());
            service.unwrap_or_default().clone_into(lead);
        }
        Ok(leads)
    }

    /// Everything is as it was, and metrics-server answers.
    async fn is_as_before(&self) -> anyhow::Result<()> {
        let found = self.services.get(V1BETA1).await?;
        let spec = found.data.get("spec").context("a spec")?;
        assert_eq!(*spec, self.of_incumbent());
        let annotations = found.metadata.annotations.unwrap_or_default();
        assert!(
            !annotations.contains_key("tributary.dev/before"),
            "{annotations:?}"
        );
        assert!(self.services.get_opt(V1).await?.is_none());
        assert_eq!(count(&get(&self.rig, "nodes").await?), 10);
        Ok(())
    }

    async fn to(&self, wanted: &To) -> (u8, Vec<String>) {
        self.to_until(wanted, Box::pin(pending())).await
    }

    async fn to_until(
        &self,
        wanted: &To,
        mut stop: Pin<Box<dyn Future<Output = ()> + Send>>,
    ) -> (u8, Vec<String>) {
        let mut lines = Vec::new();
        let mut say = |line: &str| lines.push(line.to_owned());
        let mut log = Log::new(self.api.commands.clone(), &mut say);
        let report = switch::to(&self.api, wanted, &mut log, stop.as_mut()).await;
        println!("{wanted:?}: {}", lines.join("\n    "));
        (report.outcome.code(), lines)
    }

    async fn back(&self, drop_v1: bool) -> Report {
        let wanted = Back {
            drop_v1,
            ignore_endpoints: false,
            dry_run: false,
            watch_for: Duration::from_secs(30),
        };
        let mut say = |line: &str| println!("    {line}");
        switch::back(
            &self.api,
            &wanted,
            &mut Log::new(self.api.commands.clone(), &mut say),
        )
        .await
    }
}

/// Lists nodes as fast as it can until it is dropped. Each list has to have all ten.
struct Polling {
    seen: Arc<AtomicUsize>,
    failed: Arc<AtomicUsize>,
    _running: JoinSet<()>,
}

impl Polling {
    fn on(rig: &Arc<Rig>) -> Self {
        let seen: Arc<AtomicUsize> = Arc::default();
        let failed: Arc<AtomicUsize> = Arc::default();
        let mut running = JoinSet::new();
        running.spawn({
            let (rig, seen, failed) = (Arc::clone(rig), Arc::clone(&seen), Arc::clone(&failed));
            async move {
                loop {
                    match get(&rig, "nodes").await {
                        Ok(list) if count(&list) == 10 => {}
                        other => {
                            println!("polled: {other:?}");
                            failed.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    seen.fetch_add(1, Ordering::Relaxed);
                    sleep(Duration::from_millis(20)).await;
                }
            }
        });
        Self {
            seen,
            failed,
            _running: running,
        }
    }

    /// Waits for one list more: how many there were depends on the machine.
    async fn all_had_all_nodes(&self) -> anyhow::Result<()> {
        let before = self.seen.load(Ordering::Relaxed);
        eventually("another list", || async {
            let seen = self.seen.load(Ordering::Relaxed);
            anyhow::ensure!(seen > before, "{seen} lists");
            Ok(())
        })
        .await?;
        let seen = self.seen.load(Ordering::Relaxed);
        let failed = self.failed.load(Ordering::Relaxed);
        println!("{seen} lists meanwhile, {failed} failed");
        anyhow::ensure!(failed == 0, "{failed} of {seen} lists failed");
        Ok(())
    }
}

async fn over_and_back(ground: &Ground) -> anyhow::Result<()> {
    let polling = Polling::on(&ground.rig);
    let (code, lines) = ground.to(&wanted()).await;
    assert_eq!(code, 0, "{lines:?}");
    polling.all_had_all_nodes().await?;
    assert_eq!(ground.leads().await?, [OURS, OURS]);
    let standing = Standing::read(&ground.api).await?;
    assert_eq!(standing.outcome.code(), 0, "{standing:?}");
    for version in &standing.versions {
        assert_eq!(
            (&*version.answered_by, version.nodes),
            ("tributary", Some(10))
        );
    }
    // v1 stays, as clients have discovered it.
    assert_eq!(ground.back(false).await.outcome.code(), 0);
    assert_eq!(ground.leads().await?, [INCUMBENT, OURS]);
    let raw = ["get", "--raw", "/apis/metrics.k8s.io/v1/nodes"];
    ground.rig.kubectl()?.ok(&raw).await?;
    polling.all_had_all_nodes().await?;
    drop(polling);
    assert_eq!(ground.back(true).await.outcome.code(), 0);
    ground.is_as_before().await?;
    // There is nothing more to go back to.
    assert_eq!(ground.back(true).await.outcome.code(), 1);
    Ok(())
}

#[test]
fn over_from_metrics_server_and_back_and_back_by_itself_whatever_tributary_does()
-> anyhow::Result<()> {
    rig::alone(SIZE, async |rig| {
        let (ground, incumbent) = Ground::start(rig).await?;
        over_and_back(&ground).await?;
        interrupted(&ground).await?;
        silent(&ground).await?;
        let refuses = free()?;
        let found = ("Tributary did not answer", ": going back");
        goes_wrong(&ground, refuses, found).await?;
        narrow(&ground).await?;
        owners(&ground).await?;
        over_and_back(&ground).await?;
        incumbent.kill().await
    })
}
