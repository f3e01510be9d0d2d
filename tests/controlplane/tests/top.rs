//! Real clients.

use std::{collections::BTreeSet, time::Duration};

use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use tributary_controlplane::{
    kubectl::Kubectl,
    objects::{apply, deployment, namespace},
    patience::eventually,
    rig::{self, Size},
};
use tributary_sim::Fault;

use crate::{get, with_pods};

#[test]
fn every_kubectl_shows_nodes_and_pods() -> anyhow::Result<()> {
    rig::share(async |rig| {
        with_pods(&rig, "shown").await?;
        for kubectl in rig.kubectls()? {
            let name = kubectl.name();
            let nodes = kubectl.ok(&["top", "nodes", "--no-headers"]).await?;
            assert_eq!(nodes.lines().count(), 3, "{name}: {nodes}");
            let one = kubectl.ok(&["top", "node", "node-00002"]).await?;
            assert!(one.contains("\nnode-00002 "), "{name}: {one}");

            let pods = kubectl
                .ok(&["top", "pods", "-n", "shown", "--no-headers"])
                .await?;
            assert_eq!(pods.lines().count(), 2, "{name}: {pods}");
            let command = [
                "top",
                "pods",
                "-n",
                "shown",
                "-l",
                "app=web",
                "--containers",
            ];
            let containers = kubectl.ok(&command).await?;
            assert!(containers.contains(" sidecar "), "{name}: {containers}");
            assert_eq!(containers.lines().count(), 5, "{name}: {containers}");
            let sum = kubectl.ok(&["top", "pods", "-n", "shown", "--sum"]).await?;
            assert_eq!(sum.lines().count(), 5, "{name}: {sum}");
            let none = kubectl
                .run(&["top", "pods", "-n", "shown", "-l", "app=x"])
                .await?;
            assert_eq!(
                none.stderr, "No resources found in shown namespace.\n",
                "{name}"
            );
        }
        Ok(())
    })
}

#[test]
fn every_kubectl_prints_a_warning_of_nodes_without_metrics() -> anyhow::Result<()> {
    rig::alone(Size::SMALL, async |rig| {
        with_pods(&rig, "warned").await?;
        let top = async |kubectl: &Kubectl, what: &str| {
            let outcome = kubectl.run(&["top", what, "-A"]).await?;
            anyhow::ensure!(outcome.ok, "{}", outcome.stderr);
            Ok(outcome.stderr)
        };
        let nodes = ["top", "nodes"];
        eventually("there is no warning", || async {
            let warning = rig.kubectl()?.run(&nodes).await?.stderr;
            anyhow::ensure!(warning.is_empty(), "{warning}");
            Ok(())
        })
        .await?;
        rig.cluster
            .set_fault("node-00001", Fault::Status(500))
            .await?;
        for kubectl in rig.kubectls()? {
            let name = kubectl.name();
            eventually("kubectl warns", || async {
                let warning = kubectl.run(&nodes).await?.stderr;
                let expected = "Warning: 1 node has no metrics: node-00001 (status); see kubectl get nodescrapes\n";
                anyhow::ensure!(warning == expected, "{name}: {warning}");
                Ok(())
            })
            .await?;
            assert_eq!(
                top(&kubectl, "pods").await?,
                "Warning: pods of 1 node have no metrics: node-00001 (status); see kubectl get nodescrapes\n",
                "{name}"
            );
            let other = kubectl.run(&["top", "pods", "-n", "kube-public"]).await?;
            assert!(
                !other.stderr.contains("Warning"),
                "{name}: {}",
                other.stderr
            );
            let fails = ["top", "nodes", "--warnings-as-errors"];
            assert!(!kubectl.run(&fails).await?.ok, "{name}");
        }
        Ok(())
    })
}

#[test]
fn every_kubectl_gets_the_objects() -> anyhow::Result<()> {
    rig::share(async |rig| {
        with_pods(&rig, "got").await?;
        for kubectl in rig.kubectls()? {
            let name = kubectl.name();
            let table = kubectl.ok(&["get", "podmetrics", "-n", "got"]).await?;
            let header: Vec<&str> = table
                .lines()
                .next()
                .unwrap_or_default()
                .split_whitespace()
                .collect();
            assert_eq!(
                header,
                ["NAME", "CPU", "MEMORY", "SWAP", "WINDOW"],
                "{name}: {table}"
            );
            assert_eq!(table.lines().count(), 3, "{name}: {table}");
            let nodes = ["get", "nodes.metrics.k8s.io", "-o", "name"];
            let nodes = kubectl.ok(&nodes).await?;
            assert_eq!(nodes.lines().count(), 3, "{name}: {nodes}");
            for version in ["v1", "v1beta1"] {
                let path = format!("/apis/metrics.k8s.io/{version}/namespaces/got/pods");
                let raw = kubectl.ok(&["get", "--raw", &path]).await?;
                let list: serde_json::Value = serde_json::from_str(&raw)?;
                assert_eq!(list["kind"], "PodMetricsList", "{name}: {raw}");
                assert_eq!(
                    list["apiVersion"],
                    format!("metrics.k8s.io/{version}"),
                    "{name}"
                );
                assert_eq!(
                    list["items"].as_array().map(Vec::len),
                    Some(2),
                    "{name}: {raw}"
                );
            }
        }
        Ok(())
    })
}

#[test]
fn the_newest_kubectl_explains_what_is_served() -> anyhow::Result<()> {
    rig::share(async |rig| {
        let kubectl = rig.kubectl()?;
        // The aggregator fetches the schema some time after the API became available.
        eventually("nodes are explained", || async {
            let text = kubectl.ok(&["explain", "nodemetrics"]).await?;
            let (kind, fields) = ("KIND:       NodeMetrics", ["timestamp", "usage", "window"]);
            anyhow::ensure!(text.contains(kind), "{text}");
            anyhow::ensure!(fields.iter().all(|field| text.contains(field)), "{text}");
            Ok(())
        })
        .await?;
        let text = ["explain", "podmetrics.containers.usage"];
        let text = kubectl.ok(&text).await?;
        assert!(text.contains("KIND:       PodMetrics"), "{text}");
        Ok(())
    })
}

#[test]
fn what_the_alert_on_api_services_reads_is_there() -> anyhow::Result<()> {
    rig::share(async |rig| {
        let metrics = rig.kubectl()?.ok(&["get", "--raw", "/metrics"]).await?;
        for name in ["v1beta1.metrics.k8s.io", "v1.metrics.k8s.io"] {
            let line = format!("aggregator_unavailable_apiservice{{name=\"{name}\"}} 0");
            let is_there = metrics.lines().any(|one| one == line);
            anyhow::ensure!(is_there, "no line {line}");
        }
        Ok(())
    })
}

#[test]
fn two_thousand_pods_come_in_pages_each_once() -> anyhow::Result<()> {
    let size = Size {
        nodes: 20,
        resolution: Duration::from_secs(5),
        ..Size::SMALL
    };
    rig::alone(size, async |rig| {
        namespace(&rig.client, "many").await?;
        apply(&rig.client, &deployment("many", "web", 2_000, &["main"])).await?;
        let deployments = Api::<Deployment>::namespaced(rig.client.clone(), "many");
        eventually("all pods run", || async {
            let status = deployments.get("web").await?.status;
            let ready = status.and_then(|status| status.ready_replicas);
            anyhow::ensure!(ready == Some(2_000), "{ready:?}");
            Ok(())
        })
        .await?;
        eventually("all pods are measured", || async {
            let pods = get(&rig, "namespaces/many/pods").await?;
            let count = pods["items"].as_array().map_or(0, Vec::len);
            anyhow::ensure!(count == 2_000, "{count}");
            Ok(())
        })
        .await?;

        let kubectl = rig.kubectl()?;
        let names = ["-n", "many", "-o", "name", "--chunk-size=500", "-v=6"];
        let pages = ["get", "pods.metrics.k8s.io"];
        let pages = kubectl.run(&[&pages[..], &names].concat()).await?;
        let requests = pages.stderr.matches("namespaces/many/pods?").count();
        assert_eq!(requests, 4, "{}", pages.stderr);
        assert_eq!(pages.stdout.lines().count(), 2_000);
        let measured = pages.stdout.lines().filter_map(|line| line.split_once('/'));
        let measured: BTreeSet<&str> = measured.map(|(_, name)| name).collect();
        let running = kubectl
            .ok(&["get", "pods", "-n", "many", "-o", "name"])
            .await?;
        let running = running.lines().filter_map(|line| line.strip_prefix("pod/"));
        assert_eq!(measured, running.collect());
        Ok(())
    })
}
