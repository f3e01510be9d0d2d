//! The chart, applied for real: its pods run, kube-apiserver asks them, `kubectl top` answers.

use serde_json::Value;
use tributary_controlplane::patience::eventually;

use crate::site::{CriticalPods, NAMESPACE, Plan, ROOT, Site, on, on_site};

#[test]
fn the_chart_as_it_is_serves_kubectl_top() -> anyhow::Result<()> {
    on_site(async |site| {
        site.install(&[]).await?;
        site.available().await?;
        let top = site.top().await?;
        println!("{top}");
        Ok(())
    })
}

#[test]
fn where_critical_pods_need_a_quota_the_chart_brings_it() -> anyhow::Result<()> {
    let plan = Plan {
        critical: CriticalPods::Quota,
        ..Plan::default()
    };
    on(plan, async |site| {
        site.install(&["--set", "resourceQuota.enabled=false"])
            .await?;
        eventually("the event that says why there is no pod", || async {
            let events = ["get", "events", "-n", NAMESPACE, "-o", "json"];
            let events = site.kubectl.ok(&events).await?;
            let wanted = "insufficient quota to match these scopes";
            anyhow::ensure!(events.contains(wanted), "{events}");
            Ok(())
        })
        .await?;
        site.install(&[]).await?;
        site.available().await?;
        println!("{}", site.top().await?);
        Ok(())
    })
}

#[test]
fn frontends_and_scrapers_apart_share_the_nodes_and_serve() -> anyhow::Result<()> {
    on_site(async |site| {
        site.install(&["--set", "profile=ha,replicas=2"]).await?;
        site.available().await?;
        println!("{}", site.top().await?);
        both_own_nodes(&site).await
    })
}

/// Waits until each of two scrapers says that nodes are its own.
pub(crate) async fn both_own_nodes(site: &Site) -> anyhow::Result<()> {
    eventually("two members of the group", || async {
        let leases = ["get", "leases", "-n", site.namespace, "-o", "name"];
        let leases = site.kubectl.ok(&leases).await?;
        anyhow::ensure!(leases.lines().count() == 2, "{leases}");
        let log = site.log_of("scraper");
        anyhow::ensure!(log.contains("members=2"), "no scraper sees the other");
        Ok(())
    })
    .await
}

#[test]
fn a_values_file_of_metrics_server_with_common_settings_installs_unchanged() -> anyhow::Result<()> {
    on_site(async |site| {
        let values = format!("{ROOT}/tests/deploy/metrics-server-values.yaml");
        site.install(&["-f", &values]).await?;
        site.available().await?;
        println!("{}", site.top().await?);
        both_own_nodes(&site).await?;
        let deployment = ["get", "deploy/tributary", "-n", NAMESPACE, "-o", "json"];
        let deployment: Value = serde_json::from_str(&site.kubectl.ok(&deployment).await?)?;
        let pod = &deployment["spec"]["template"];
        assert_eq!(deployment["spec"]["replicas"], 2);
        assert_eq!(deployment["spec"]["revisionHistoryLimit"], 3);
        assert_eq!(
            pod["metadata"]["annotations"]["example.org/owner"],
            "platform"
        );
        assert_eq!(pod["spec"]["priorityClassName"], "system-cluster-critical");
        assert_eq!(pod["spec"]["tolerations"][0]["key"], "CriticalAddonsOnly");
        let frontend = &pod["spec"]["containers"][0];
        assert_eq!(frontend["ports"][0]["containerPort"], 4443);
        assert_eq!(frontend["resources"]["requests"]["memory"], "200Mi");
        let args = |index: usize| pod["spec"]["containers"][index]["args"].to_string();
        assert!(args(1).contains("--kubelet-insecure-tls"), "{}", args(1));
        assert!(!args(0).contains("kubelet"), "{}", args(0));
        let budget = [
            "get",
            "pdb/tributary",
            "-n",
            NAMESPACE,
            "-o",
            "jsonpath={.spec.minAvailable}",
        ];
        assert_eq!(site.kubectl.ok(&budget).await?, "1");
        Ok(())
    })
}
