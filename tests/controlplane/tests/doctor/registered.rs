//! Troubles of the way from kube-apiserver to the server.

use std::net::TcpListener;

use anyhow::Context as _;
use k8s_openapi::{ByteString, kube_aggregator::pkg::apis::apiregistration::v1::APIService};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use tributary_controlplane::{
    components::NAMESPACE,
    objects::apply,
    rig::{Rig, as_new},
};
use tributary_sim::Ca;

use super::{Doctor, made::put};

const METRICS: &str = "v1beta1.metrics.k8s.io";

/// The port of one test that listens and never answers.
struct Silent(TcpListener);

/// Changes the spec of the `APIService`; `null` removes a field.
async fn lead(rig: &Rig, spec: &Value) -> anyhow::Result<()> {
    let services = Api::<APIService>::all(rig.client.clone());
    let patch = Patch::Merge(json!({ "spec": spec }));
    services
        .patch(METRICS, &PatchParams::default(), &patch)
        .await?;
    Ok(())
}

/// A Service that leads to `host`, or to pods that do not exist.
fn service(name: &str, host: Option<&str>) -> Value {
    let spec = match host {
        Some(host) => json!({ "type": "ExternalName", "externalName": host }),
        None => json!({ "selector": { "app": "nothing" }, "ports": [{ "port": 443 }] }),
    };
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "namespace": NAMESPACE, "name": name }, "spec": spec,
    })
}

fn to(name: &str, port: u16) -> Value {
    json!({
        "service": { "namespace": NAMESPACE, "name": name, "port": port },
        "caBundle": null, "insecureSkipTLSVerify": true,
    })
}

/// Each is made, found, and mended.
pub(super) async fn troubles(rig: &Rig, doctor: &Doctor) -> anyhow::Result<()> {
    let services = Api::<APIService>::all(rig.client.clone());
    let right = services.get(METRICS).await?.spec.context("a spec")?;
    let right = json!({
        "service": right.service, "caBundle": right.ca_bundle, "insecureSkipTLSVerify": null,
    });
    let silent = Silent(TcpListener::bind("127.0.0.1:0")?);
    let silent_port = silent.0.local_addr()?.port();
    let kubelet = rig
        .cluster
        .kubelet_address("node-00001")
        .context("a kubelet")?;
    for object in [
        service("elsewhere", Some("localhost")),
        service("a-kubelet", Some(&kubelet.ip().to_string())),
        service("no-pods", None),
    ] {
        apply(&rig.client, &object).await?;
    }
    let other_ca = ByteString(rig.cluster.pki().ca(Ca::Cluster).as_bytes().to_vec());
    // Encoded once more than it should be. kube-apiserver goes on saying that the server is available.
    let no_ca = ByteString(b"LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCg==".to_vec());
    for (spec, code) in [
        (to("elsewhere", rig.components.api.port()), "AnotherServer"),
        (to("gone", 443), "ServiceMissing"),
        (to("no-pods", 443), "ServiceWithoutEndpoints"),
        (to("no-pods", 9_999), "ServicePort"),
        (to("elsewhere", silent_port), "NoRoute"),
        (to("a-kubelet", kubelet.port()), "ServerRefuses"),
        (json!({ "caBundle": other_ca }), "CertificateNotTrusted"),
        (json!({ "caBundle": no_ca }), "CertificateNotTrusted"),
    ] {
        lead(rig, &spec).await?;
        doctor.finds(&[code]).await?;
        lead(rig, &right).await?;
        doctor.finds(&[]).await?;
    }
    missing(rig, doctor).await
}

/// Without an `APIService` for the metrics; the one of the fleet stays.
async fn missing(rig: &Rig, doctor: &Doctor) -> anyhow::Result<()> {
    let services = Api::<APIService>::all(rig.client.clone());
    let names = [METRICS, "v1.metrics.k8s.io"];
    let mut removed = Vec::new();
    for name in names {
        let mut object = as_new(serde_json::to_value(services.get(name).await?)?);
        put(
            &mut object,
            "apiVersion",
            json!("apiregistration.k8s.io/v1"),
        );
        put(&mut object, "kind", json!("APIService"));
        removed.push(object);
        services.delete(name, &DeleteParams::default()).await?;
    }
    doctor.finds(&["ApiServiceMissing"]).await?;
    for object in &removed {
        apply(&rig.client, object).await?;
    }
    doctor.finds(&[]).await.map(drop)
}
