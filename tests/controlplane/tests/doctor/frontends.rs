//! Troubles of what frontends have: scrapers, the age of samples, certificates; and a server without a fleet.

use std::{fs, net::SocketAddr, net::TcpListener, path::Path, time::Duration};

use anyhow::Context as _;
use jiff::ToSpan as _;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::{Api, api::DeleteParams};
use serde_json::json;
use tributary_controlplane::{
    components::{NAMESPACE, registration},
    objects::apply,
    peer,
    rig::{self, Rig, Size},
};
use tributary_sim::{Ca, FRONTEND_NAME, Fault, SimClock};
use tributary_testkit::program::Program;

use super::Doctor;

const NODE: &str = "node-00001";

/// Leads all `APIService`s to a server, with a CA that is trusted for it.
pub(super) async fn lead(rig: &Rig, api: SocketAddr, ca: &str) -> anyhow::Result<()> {
    for object in registration(api, ca) {
        apply(&rig.client, &object).await?;
    }
    Ok(())
}

/// Leads them to the frontend of the rig, and waits until nothing is wrong.
pub(super) async fn lead_back(rig: &Rig, doctor: &Doctor) -> anyhow::Result<()> {
    let ca = rig.cluster.pki().ca(Ca::Bus);
    lead(rig, rig.components.api, ca).await?;
    doctor.finds(&[]).await.map(drop)
}

/// Five days from now.
fn soon() -> anyhow::Result<(i32, u8, u8)> {
    let today = SimClock::system()
        .now()
        .to_zoned(jiff::tz::TimeZone::UTC)
        .date();
    let day = today.checked_add(5.days())?;
    Ok((
        day.year().into(),
        day.month().try_into()?,
        day.day().try_into()?,
    ))
}

/// At once, so that no reader sees half of it.
fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, text)?;
    Ok(fs::rename(&new, path)?)
}

async fn certificates(rig: &Rig, doctor: &Doctor) -> anyhow::Result<()> {
    let pki = rig.cluster.pki();
    let until = soon()?;
    let ca = pki.ca_until(Ca::Bus, until)?;
    lead(rig, rig.components.api, &ca).await?;
    doctor.finds(&["CaExpires"]).await?;
    lead_back(rig, doctor).await?;

    let names = [FRONTEND_NAME, "localhost", "127.0.0.1"].map(str::to_owned);
    let paths = rig.cluster.paths();
    let files = [&paths.frontend_key, &paths.frontend_certificate];
    let short = pki.server_until(Ca::Bus, &names, until)?;
    let long = pki.server(Ca::Bus, &names)?;
    for (pair, codes) in [(short, &["CertificateExpires"][..]), (long, &[])] {
        for (path, text) in files.into_iter().zip([&pair.key, &pair.certificate]) {
            replace(path, text)?;
        }
        doctor.finds(codes).await?;
    }
    Ok(())
}

async fn scrapers(rig: &Rig, doctor: &Doctor) -> anyhow::Result<()> {
    let ca = rig.cluster.pki().ca(Ca::Bus);
    let hostname = format!("kubernetes.io/hostname={NODE}");
    for (selector, code, what) in [
        (None, "NoScraperConnected", "frontend-0 has no stream"),
        (
            Some(&*hostname),
            "NoScraper",
            "2 nodes: node-00002, node-00003",
        ),
    ] {
        let extra = rig
            .components
            .extra(&rig.client, &rig.cluster, selector, "30s");
        let extra = extra.await?;
        lead(rig, extra.api, ca).await?;
        let report = doctor.finds(&[code]).await?;
        assert_eq!(report.findings.first().context("a finding")?.what, what);
        lead_back(rig, doctor).await?;
        extra.stop().await?;
    }
    Ok(())
}

/// A node whose clock is two minutes behind, and a frontend that accepts samples of that age.
async fn old(rig: &Rig, doctor: &Doctor) -> anyhow::Result<()> {
    let all = Some("kubernetes.io/hostname");
    let extra = rig.components.extra(&rig.client, &rig.cluster, all, "10m");
    let extra = extra.await?;
    rig.cluster
        .set_fault(NODE, Fault::ClockOff(-120_000))
        .await?;
    lead(rig, extra.api, rig.cluster.pki().ca(Ca::Bus)).await?;
    doctor.finds(&["MetricsOld"]).await?;
    rig.cluster.set_fault(NODE, Fault::None).await?;
    lead_back(rig, doctor).await?;
    extra.stop().await
}

/// The Deployment of metrics-server, which runs as a program here: it only says which account it has.
fn incumbent() -> serde_json::Value {
    let labels = json!({ "k8s-app": "metrics-server" });
    let container =
        json!({ "name": "metrics-server", "image": "registry.example/metrics-server:1" });
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "namespace": NAMESPACE, "name": "metrics-server", "labels": labels },
        "spec": {
            "replicas": 0,
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": { "serviceAccountName": "tributary-apiserver", "containers": [container] },
            },
        },
    })
}

/// metrics-server alone: nothing is wrong, then a kubelet that it does not reach, then a permission that it lacks.
async fn another(rig: &Rig, doctor: &Doctor) -> anyhow::Result<()> {
    let api = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let period = Duration::from_secs(15);
    let flags = peer::flags(&rig.plane, &rig.cluster, api, period);
    let path = rig.program("metrics-server")?;
    let logs = rig.dir().join("log");
    let mut server = Program::start_in_environment("metrics-server", &path, &flags, &logs)?;
    let services = Api::<APIService>::all(rig.client.clone());
    for name in ["v1.metrics.k8s.io", "v1alpha1.fleet.tributary.dev"] {
        services.delete(name, &DeleteParams::default()).await?;
    }
    for object in registration(api, rig.cluster.pki().ca(Ca::Bus)) {
        let name = object
            .pointer("/metadata/name")
            .and_then(|name| name.as_str());
        let name = name.unwrap_or_default();
        if !["v1.metrics.k8s.io", "v1alpha1.fleet.tributary.dev"].contains(&name) {
            apply(&rig.client, &object).await?;
        }
    }
    let healthy = doctor.finds(&[]).await?;
    assert_eq!(healthy.outcome.code(), 0);
    assert_eq!(
        healthy.server,
        "kube-system/tributary-apiserver as the server of the metrics"
    );

    rig.cluster.set_fault(NODE, Fault::Refuse).await?;
    let report = doctor.finds(&["NodesWithoutMetrics"]).await?;
    let what = &report.findings.first().context("a finding")?.what;
    assert_eq!(what, &format!("1 node: {NODE}"));
    rig.cluster.set_fault(NODE, Fault::None).await?;
    doctor.finds(&[]).await?;

    // An account that may do everything but read the metrics of kubelets.
    apply(&rig.client, &incumbent()).await?;
    let report = doctor.finds(&["KubeletReaderPermission"]).await?;
    let finding = report.findings.first().context("a finding")?;
    assert_eq!(finding.evidence, ["may not get nodes/metrics"]);
    let ran = server.still_runs();
    server.kill().await?;
    ran
}

#[test]
fn frontends_that_lack_something_are_found() -> anyhow::Result<()> {
    rig::alone(Size::SMALL, async |rig| {
        let doctor = Doctor::of(&rig).await?;
        doctor.finds(&[]).await?;
        certificates(&rig, &doctor).await?;
        scrapers(&rig, &doctor).await?;
        old(&rig, &doctor).await?;
        another(&rig, &doctor).await
    })
}
