//! Removing metrics-server after the change, as docs/MIGRATING.md tells it, under a client that polls.

use std::sync::Arc;

use serde_json::Value;
use tokio::{task::JoinSet, time::sleep};

use crate::{
    migration::{QUICK, switch},
    site::{CHART, NAMESPACE, POLL_EVERY, ROOT, Site, on_site},
};

/// What `tests/deploy/build` fetched from metrics-server's module.
fn of_metrics_server(part: &str) -> String {
    format!("{ROOT}/tests/deploy/bin/metrics-server/{part}")
}

/// Lists nodes until something fails.
async fn poll(site: Arc<Site>) -> anyhow::Result<()> {
    loop {
        site.nodes("v1beta1").await?;
        sleep(POLL_EVERY).await;
    }
}

async fn helm(site: &Site, line: &[&str]) -> anyhow::Result<()> {
    let outcome = site.helm(line).await?;
    anyhow::ensure!(outcome.ok, "helm {line:?}: {}", outcome.stderr);
    Ok(())
}

/// Installs beside metrics-server, which has v1beta1 already, and changes over.
async fn change_over(site: &Site) -> anyhow::Result<()> {
    site.install(&["--set", "apiService.create=false"]).await?;
    let rollout = ["rollout", "status", "deploy/tributary", "-n", NAMESPACE];
    site.kubectl
        .ok(&[&rollout[..], &["--timeout=120s"]].concat())
        .await?;
    switch(site, &QUICK).await?;
    site.available().await
}

/// Lets Helm own the APIServices.
async fn own(site: &Site) -> anyhow::Result<()> {
    let upgrade = [
        "upgrade",
        "tributary",
        CHART,
        "-n",
        NAMESPACE,
        "--reuse-values",
        "--set",
        "apiService.create=true",
        "--take-ownership",
    ];
    helm(site, &upgrade).await
}

/// Both versions lead to Tributary, verified, and belong to its release alone.
async fn all_is_ours(site: &Site) -> anyhow::Result<()> {
    for version in ["v1beta1", "v1"] {
        let name = format!("apiservice/{version}.metrics.k8s.io");
        let found = site.kubectl.ok(&["get", &name, "-o", "json"]).await?;
        let found: Value = serde_json::from_str(&found)?;
        assert_eq!(found["spec"]["service"]["name"], "tributary", "{found}");
        assert!(found["spec"]["caBundle"].is_string(), "{found}");
        assert!(found["spec"]["insecureSkipTLSVerify"].is_null(), "{found}");
        let annotations = &found["metadata"]["annotations"];
        assert_eq!(annotations["meta.helm.sh/release-name"], "tributary");
        assert!(annotations["helm.sh/resource-policy"].is_null(), "{found}");
    }
    site.available().await
}

#[test]
fn metrics_server_installed_by_helm_is_removed_without_a_failed_request() -> anyhow::Result<()> {
    on_site(async |site| {
        let chart = of_metrics_server("charts/metrics-server");
        let (namespace, name) = ("kube-system", "metrics-server");
        helm(&site, &["install", name, &chart, "-n", namespace]).await?;
        let service = "v1beta1.metrics.k8s.io";
        let annotate = ["annotate", "apiservice", service];
        let keep = ["helm.sh/resource-policy=keep"];
        site.kubectl.ok(&[&annotate[..], &keep].concat()).await?;
        let forget = ["--reuse-values", "--set", "apiService.create=false"];
        let upgrade = ["upgrade", name, &chart, "-n", namespace];
        helm(&site, &[&upgrade[..], &forget].concat()).await?;
        change_over(&site).await?;
        let mut polling = JoinSet::new();
        polling.spawn(poll(Arc::clone(&site)));

        own(&site).await?;
        helm(&site, &["uninstall", name, "-n", namespace]).await?;
        let no_more = ["helm.sh/resource-policy-"];
        site.kubectl.ok(&[&annotate[..], &no_more].concat()).await?;

        all_is_ours(&site).await?;
        site.top().await?;
        // A failed request would have ended it.
        assert!(polling.try_join_next().is_none());
        polling.shutdown().await;

        // The release goes on as any other.
        site.install(&["--set", "apiService.create=true"]).await?;
        all_is_ours(&site).await?;
        helm(&site, &["uninstall", "tributary", "-n", NAMESPACE]).await?;
        let gone = ["get", "apiservice", service, "--ignore-not-found"];
        assert_eq!(site.kubectl.ok(&gone).await?, "");
        Ok(())
    })
}

#[test]
fn metrics_server_installed_by_its_manifest_is_removed_without_a_failed_request()
-> anyhow::Result<()> {
    on_site(async |site| {
        let manifest = of_metrics_server("manifests/overlays/release");
        site.kubectl.ok(&["apply", "-k", &manifest]).await?;
        change_over(&site).await?;
        let mut polling = JoinSet::new();
        polling.spawn(poll(Arc::clone(&site)));

        own(&site).await?;
        let kinds = "deploy,service,serviceaccount,rolebinding,clusterrole,clusterrolebinding";
        let label = "k8s-app=metrics-server";
        let delete = ["delete", kinds, "-A", "-l", label];
        println!("{}", site.kubectl.ok(&delete).await?);

        all_is_ours(&site).await?;
        site.top().await?;
        assert!(polling.try_join_next().is_none());
        polling.shutdown().await;
        Ok(())
    })
}
