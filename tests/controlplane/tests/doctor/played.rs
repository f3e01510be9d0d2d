//! Troubles that only another version of a component or of Kubernetes has, or a component that fails in a way that cannot
//! be made with a flag. A publisher of this test, or a server before kube-apiserver, plays the other side.

use anyhow::Context as _;
use serde_json::{Value, json};
use tributary_cli::{api_services::METRICS, doctor::Report};
use tributary_controlplane::rig::{self, Rig, Size};
use tributary_sim::Ca;

use super::{
    Doctor,
    between::{Between, Change},
    frontends::{lead, lead_back},
    publisher::{self, Fault},
};

const NODE: &str = "node-00002";

/// What the first finding is, and the first thing that shows it, if it has one.
fn first(report: &Report) -> anyhow::Result<(&str, Option<&str>)> {
    let finding = report.findings.first().context("a finding")?;
    let evidence = finding.evidence.first().map(String::as_str);
    Ok((&finding.what, evidence))
}

/// A frontend whose only publisher has a fault, while the nodes, the pods and the reviews are real.
async fn publishers(rig: &Rig, doctor: &Doctor) -> anyhow::Result<()> {
    for (fault, code, what, evidence) in [
        (
            Fault::Version("0.4.0"),
            "VersionSkew",
            concat!(
                "the frontend is ",
                env!("CARGO_PKG_VERSION"),
                ": played is 0.4.0"
            ),
            None,
        ),
        (
            Fault::Silent(NODE),
            "ScraperSilent",
            "1 node of played: node-00002",
            Some("node-00002: "),
        ),
        (
            Fault::Large(NODE),
            "FrontendLimit",
            "1 node: node-00002",
            Some("node-00002: "),
        ),
    ] {
        let socket = rig.dir().join("played.sock");
        let frontend = rig
            .components
            .behind_socket(&rig.cluster, &socket, "10s")
            .await?;
        let mut publisher = publisher::start(&socket, rig.cluster.nodes(), fault);
        lead(rig, frontend.api, rig.cluster.pki().ca(Ca::Bus)).await?;
        let codes = [code];
        let found = tokio::select! {
            found = doctor.finds(&codes) => found?,
            ended = publisher.join_next() => anyhow::bail!("the publisher has ended: {ended:?}"),
        };
        let (is, seen) = first(&found)?;
        assert_eq!(is, what);
        match (seen, evidence) {
            (Some(seen), Some(evidence)) => assert!(seen.starts_with(evidence), "{seen}"),
            (seen, evidence) => assert_eq!(seen, evidence),
        }
        lead_back(rig, doctor).await?;
        publisher.shutdown().await;
        frontend.stop().await?;
    }
    Ok(())
}

/// kube-apiserver is of the last version that is not supported.
fn is_older(path: &str, answer: &mut Value) {
    if path == "/version" {
        answer["gitVersion"] = json!("v1.26.15");
    }
}

/// kube-apiserver could not read the Service: it says so if its own cache fails.
fn cannot_be_checked(path: &str, answer: &mut Value) {
    let is_list = path.starts_with("/apis/apiregistration.k8s.io/v1/apiservices?");
    let items = answer.get_mut("items").and_then(Value::as_array_mut);
    for service in items.into_iter().flatten().filter(|_| is_list) {
        if service.pointer("/metadata/name").and_then(Value::as_str) != Some(METRICS) {
            continue;
        }
        if let Some(conditions) = service.pointer_mut("/status/conditions") {
            *conditions = json!([{
                "type": "Available", "status": "Unknown", "reason": "ServiceAccessError",
                "message": "service/tributary-apiserver in \"kube-system\" cannot be checked due to: gone",
            }]);
        }
    }
}

async fn answers(rig: &Rig) -> anyhow::Result<()> {
    let cases: [(Change, &str, &str); 2] = [
        (is_older, "KubernetesTooOld", "kube-apiserver is v1.26.15"),
        (
            cannot_be_checked,
            "ApiServiceUnavailable",
            "kube-apiserver does not use kube-system/tributary-apiserver for v1beta1.metrics.k8s.io",
        ),
    ];
    for (change, code, what) in cases {
        let between = Between::start(rig, change).await?;
        let report = Doctor::at(&between.kubeconfig)
            .await?
            .finds(&[code])
            .await?;
        assert_eq!(first(&report)?.0, what);
    }
    Ok(())
}

#[test]
fn what_only_others_do_is_found() -> anyhow::Result<()> {
    rig::alone(Size::SMALL, async |rig| {
        let doctor = Doctor::of(&rig).await?;
        doctor.finds(&[]).await?;
        answers(&rig).await?;
        publishers(&rig, &doctor).await
    })
}
