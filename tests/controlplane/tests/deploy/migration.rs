//! From metrics-server and back, under a client that polls and an autoscaler that runs.

use std::{
    ffi::OsString,
    net::TcpListener,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Event;
use kube::{Api, api::ListParams};
use serde_json::{Value, json};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};
use tributary_controlplane::{
    assets::Assets,
    objects::{apply, deployment, namespace},
    patience::{PATIENCE, eventually},
};
use tributary_testkit::program::Program;

use crate::site::{Site, on_site};

const PODS: &str = "/apis/metrics.k8s.io/v1beta1/namespaces/shop/pods";

/// Where metrics-server is.
const ADDRESS: &str = "10.244.0.2";

/// What the client has seen.
#[derive(Default)]
struct Seen {
    answers: AtomicUsize,
    retries: AtomicUsize,
}

#[test]
fn over_from_metrics_server_and_back_no_request_fails_twice_and_no_autoscaler_complains()
-> anyhow::Result<()> {
    on_site(async |site| {
        let incumbent = incumbent(&site).await?;
        workload(&site).await?;
        site.install(&["--set", "apiService.create=false"]).await?;
        let rollout = [
            "rollout",
            "status",
            "deploy/tributary",
            "-n",
            "tributary-system",
        ];
        site.kubectl
            .ok(&[&rollout[..], &["--timeout=120s"]].concat())
            .await?;
        let before = complaints(&site).await?;

        let seen = Arc::new(Seen::default());
        let mut polling = JoinSet::new();
        polling.spawn(poll(Arc::clone(&site), Arc::clone(&seen)));
        more_answers(&seen, &mut polling).await?;
        assert_eq!(serving(&site).await?, "metrics-server");
        switch(&site, &QUICK).await?;
        assert_eq!(serving(&site).await?, "tributary");
        more_answers(&seen, &mut polling).await?;
        // Only ours has it.
        site.kubectl
            .ok(&["get", "--raw", "/apis/metrics.k8s.io/v1/nodes"])
            .await?;
        switch(&site, &["back", "--drop-v1"]).await?;
        assert_eq!(serving(&site).await?, "metrics-server");
        more_answers(&seen, &mut polling).await?;
        polling.shutdown().await;

        let (answers, retries) = (&seen.answers, &seen.retries);
        let (answers, retries) = (
            answers.load(Ordering::Relaxed),
            retries.load(Ordering::Relaxed),
        );
        println!("{answers} answers, {retries} after a retry");
        assert_eq!(complaints(&site).await?, before);
        incumbent.kill().await
    })
}

/// metrics-server, behind the v1beta1 that it is released with.
async fn incumbent(site: &Site) -> anyhow::Result<Program> {
    let program = Assets::find()?.program("metrics-server")?;
    let port = TcpListener::bind((ADDRESS, 0))?.local_addr()?.port();
    let kubeconfig = site.plane.kubeconfig().display().to_string();
    let ca = site.cluster.paths().kubelet_ca.display().to_string();
    let flags = [
        format!("--kubeconfig={kubeconfig}"),
        format!("--authentication-kubeconfig={kubeconfig}"),
        format!("--authorization-kubeconfig={kubeconfig}"),
        format!("--kubelet-certificate-authority={ca}"),
        format!("--cert-dir={}", site.dir.path().join("incumbent").display()),
        format!("--secure-port={port}"),
        format!("--bind-address={ADDRESS}"),
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        "--kubelet-use-node-status-port".to_owned(),
        "--metric-resolution=12s".to_owned(),
    ];
    let program = Program::start_in_environment(
        "metrics-server",
        &program,
        &flags,
        &site.dir.path().join("log"),
    )?;
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "namespace": "kube-system", "name": "metrics-server" },
        "spec": { "ports": [{ "port": 443, "targetPort": port }] },
    });
    apply(&site.client, &service).await?;
    // No pod: a kubelet would not run it in our image.
    let endpoints = json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "namespace": "kube-system",
            "name": "metrics-server-1",
            "labels": { "kubernetes.io/service-name": "metrics-server" },
        },
        "addressType": "IPv4",
        "endpoints": [{ "addresses": [ADDRESS], "conditions": { "ready": true } }],
        "ports": [{ "name": "", "port": port, "protocol": "TCP" }],
    });
    apply(&site.client, &endpoints).await?;
    let version = json!({
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": { "name": "v1beta1.metrics.k8s.io" },
        "spec": {
            "group": "metrics.k8s.io",
            "version": "v1beta1",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "insecureSkipTLSVerify": true,
            "service": { "namespace": "kube-system", "name": "metrics-server", "port": 443 },
        },
    });
    apply(&site.client, &version).await?;
    Ok(program)
}

/// A Deployment of two pods under load, and an autoscaler that has its metric.
async fn workload(site: &Site) -> anyhow::Result<()> {
    namespace(&site.client, "shop").await?;
    site.workloads.demand("shop", "web", "main", 160);
    apply(&site.client, &deployment("shop", "web", 2, &["main"])).await?;
    eventually("metrics-server serves both pods", || async {
        let pods = list(site).await?;
        anyhow::ensure!(pods == 2, "{pods} pods");
        Ok(())
    })
    .await?;
    let target = json!({ "type": "AverageValue", "averageValue": "100m" });
    let scaler = json!({
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": { "namespace": "shop", "name": "web" },
        "spec": {
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" },
            "minReplicas": 1,
            "maxReplicas": 5,
            "metrics": [{ "type": "Resource", "resource": { "name": "cpu", "target": target } }],
        },
    });
    apply(&site.client, &scaler).await?;
    let wait = [
        "wait",
        "hpa/web",
        "-n",
        "shop",
        "--for=condition=ScalingActive",
    ];
    site.kubectl
        .ok(&[&wait[..], &["--timeout=120s"]].concat())
        .await?;
    Ok(())
}

async fn list(site: &Site) -> anyhow::Result<usize> {
    let request = http::Request::get(PODS).body(Vec::new())?;
    let answer = timeout(
        Duration::from_secs(10),
        site.client.request::<Value>(request),
    );
    let answer = answer.await.context("no answer in 10 s")??;
    Ok(answer["items"].as_array().map_or(0, Vec::len))
}

/// Lists, again and again; tries once more when that fails, and ends when that fails, too.
async fn poll(site: Arc<Site>, seen: Arc<Seen>) -> anyhow::Result<()> {
    loop {
        let mut pods = list(&site).await;
        if !matches!(pods, Ok(2)) {
            println!("again after {pods:?}");
            seen.retries.fetch_add(1, Ordering::Relaxed);
            pods = list(&site).await;
        }
        let pods = pods.context("twice in a row")?;
        anyhow::ensure!(pods == 2, "{pods} of 2 pods");
        seen.answers.fetch_add(1, Ordering::Relaxed);
        sleep(Duration::from_millis(50)).await;
    }
}

/// Waits for this many more answers that autoscaler, aggregator and two scrapes had their turn.
async fn more_answers(
    seen: &Seen,
    polling: &mut JoinSet<anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let wanted = seen.answers.load(Ordering::Relaxed) + 300;
    let enough = eventually("answers", || async {
        let answers = seen.answers.load(Ordering::Relaxed);
        anyhow::ensure!(answers >= wanted, "{answers} of {wanted}");
        Ok(())
    });
    tokio::select! {
        enough = enough => enough,
        ended = polling.join_next() => ended.context("nobody polls")??,
    }
}

/// The Service behind v1beta1.
async fn serving(site: &Site) -> anyhow::Result<String> {
    let get = [
        "get",
        "apiservice",
        "v1beta1.metrics.k8s.io",
        "-o",
        "jsonpath={.spec.service.name}",
    ];
    site.kubectl.ok(&get).await
}

/// Runs `kubectl tributary switch` and what follows, which must succeed.
pub(crate) async fn switch(site: &Site, arguments: &[&str]) -> anyhow::Result<()> {
    let kubeconfig = site.plane.kubeconfig().display().to_string();
    let words = ["kubectl-tributary", "switch"].iter().chain(arguments);
    let words: Vec<OsString> = words
        .copied()
        .chain(["--kubeconfig", &kubeconfig])
        .map(OsString::from)
        .collect();
    // It has a runtime of its own.
    let run = tokio::task::spawn_blocking(|| tributary_cli::run(words));
    let code = timeout(PATIENCE, run).await??;
    anyhow::ensure!(code == ExitCode::SUCCESS, "switch {arguments:?}: {code:?}");
    Ok(())
}

/// A comparison and a watch of a few seconds.
pub(crate) const QUICK: [&str; 7] = ["to", "--for", "4s", "--every", "1s", "--watch-for", "4s"];

/// How often the autoscaler had no metric.
async fn complaints(site: &Site) -> anyhow::Result<i32> {
    let events = Api::<Event>::namespaced(site.client.clone(), "shop");
    let events = events.list(&ListParams::default()).await?;
    let failed = events.items.iter().filter(|event| {
        let reason = event.reason.as_deref().unwrap_or_default();
        reason.starts_with("FailedGet") || reason.starts_with("FailedComputeMetricsReplicas")
    });
    Ok(failed.map(|event| event.count.unwrap_or(1)).sum())
}
