//! Troubles of components, permissions and autoscalers, one after the other.

use anyhow::Context as _;
use kube::{
    Api,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams},
};
use serde_json::{Value, json};
use tributary_controlplane::{
    components::{KUBELET_READER, NAMESPACE, NODE_EVENTS},
    objects::{apply, deployment, namespace, set_status},
    patience::eventually,
    rig::{self, Rig, Size, as_new},
};

use super::Doctor;

/// Sets a field of an object.
pub(super) fn put(object: &mut Value, field: &str, value: Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(field.to_owned(), value);
    }
}

/// A Deployment of one component, as the chart makes it, with an account of the rig.
fn component(name: &str, account: &str, args: &[String]) -> Value {
    let labels = json!({
        "app.kubernetes.io/name": "tributary",
        "app.kubernetes.io/component": name,
    });
    let container = json!({ "name": name, "image": "registry.example/tributary:1", "args": args });
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "namespace": NAMESPACE, "name": format!("tributary-{name}"), "labels": labels },
        "spec": {
            "replicas": 1,
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": { "serviceAccountName": account, "containers": [container] },
            },
        },
    })
}

/// The components of the rig run as tasks; these Deployments say which accounts they have.
async fn install(rig: &Rig) -> anyhow::Result<()> {
    let frontend = component("frontend", "tributary-apiserver", &[]);
    apply(&rig.client, &frontend).await?;
    let args = [
        "--bus-token-file=/token".to_owned(),
        format!("--frontend=k8s:///{NAMESPACE}/tributary-bus:bus"),
        format!("--kubelet-token-service-account={NAMESPACE}/{KUBELET_READER}"),
    ];
    apply(
        &rig.client,
        &component("scraper", "tributary-scraper", &args),
    )
    .await
}

/// Objects of a kind in `rbac.authorization.k8s.io`, or another group.
fn objects(rig: &Rig, kind: (&str, &str, &str), namespace: Option<&str>) -> Api<DynamicObject> {
    let (group, version, kind) = kind;
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    match namespace {
        Some(namespace) => Api::namespaced_with(rig.client.clone(), namespace, &resource),
        None => Api::all_with(rig.client.clone(), &resource),
    }
}

const RBAC: (&str, &str) = ("rbac.authorization.k8s.io", "v1");

/// Takes a binding away, waits until `doctor` finds what is missing, and gives it back.
async fn without_binding(
    rig: &Rig,
    doctor: &Doctor,
    (namespace, name): (Option<&str>, &str),
    (code, evidence): (&str, &str),
) -> anyhow::Result<()> {
    let kind = if namespace.is_some() {
        "RoleBinding"
    } else {
        "ClusterRoleBinding"
    };
    let bindings = objects(rig, (RBAC.0, RBAC.1, kind), namespace);
    let binding = bindings.get(name).await.with_context(|| name.to_owned())?;
    bindings.delete(name, &DeleteParams::default()).await?;
    let report = doctor.finds(&[code]).await;
    let mut again = as_new(serde_json::to_value(binding)?);
    put(
        &mut again,
        "apiVersion",
        json!("rbac.authorization.k8s.io/v1"),
    );
    put(&mut again, "kind", json!(kind));
    apply(&rig.client, &again).await?;
    let report = report?;
    let seen = &report.findings.first().context("a finding")?.evidence;
    assert!(seen.iter().any(|line| line == evidence), "{seen:?}");
    doctor.finds(&[]).await.map(drop)
}

async fn permissions(rig: &Rig, doctor: &Doctor) -> anyhow::Result<()> {
    let frontend = "kube-system:tributary-apiserver:kube-system:tributary-apiserver";
    let lacks = ("FrontendPermission", "may not list pods");
    without_binding(rig, doctor, (None, frontend), lacks).await?;
    let lacks = (
        "ScraperPermission",
        "may not patch leases.coordination.k8s.io in kube-system",
    );
    without_binding(rig, doctor, (Some(NAMESPACE), "tributary-scraper"), lacks).await?;
    let reader = "kube-system:tributary-kubelet-reader:kube-system:tributary-kubelet-reader";
    let lacks = ("KubeletReaderPermission", "may not get nodes/metrics");
    without_binding(rig, doctor, (None, reader), lacks).await?;
    let lacks = (
        "ScraperPermission",
        "may not create events.events.k8s.io in default",
    );
    without_binding(rig, doctor, (Some("default"), NODE_EVENTS), lacks).await
}

/// What kubelets report of the pods of a component.
async fn pods(rig: &Rig, doctor: &Doctor) -> anyhow::Result<()> {
    for (component, code) in [
        ("frontend", "FrontendsNotReady"),
        ("scraper", "ScrapersNotReady"),
    ] {
        let pods = objects(rig, ("", "v1", "Pod"), Some(NAMESPACE));
        let selector = format!("app.kubernetes.io/component={component}");
        let list = ListParams::default().labels(&selector);
        let name = eventually("its pod", || async {
            let pod = pods.list(&list).await?.items.into_iter().next();
            pod.and_then(|pod| pod.metadata.name).context("no pod")
        })
        .await?;
        let status = |ready: bool| {
            let crash = json!({ "reason": "CrashLoopBackOff", "message": "back-off 5m0s" });
            let state = if ready {
                json!({ "running": {} })
            } else {
                json!({ "waiting": crash })
            };
            json!({
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": { "namespace": NAMESPACE, "name": name },
                "status": {
                    "phase": "Running",
                    "conditions": [{ "type": "Ready", "status": if ready { "True" } else { "False" } }],
                    "containerStatuses": [{
                        "name": component, "image": "i", "imageID": "i", "ready": ready,
                        "restartCount": 3, "state": state,
                    }],
                },
            })
        };
        set_status(&rig.client, &status(false)).await?;
        let report = doctor.finds(&[code]).await?;
        let evidence = &report.findings.first().context("a finding")?.evidence;
        assert!(
            evidence.concat().contains("CrashLoopBackOff back-off 5m0s"),
            "{evidence:?}"
        );
        set_status(&rig.client, &status(true)).await?;
        doctor.finds(&[]).await?;
    }
    Ok(())
}

/// A quota that keeps the pods of a Deployment away.
async fn quota(rig: &Rig, doctor: &Doctor) -> anyhow::Result<()> {
    namespace(&rig.client, "no-pods").await?;
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota",
        "metadata": { "namespace": "no-pods", "name": "none" },
        "spec": { "hard": { "pods": "0" } },
    });
    apply(&rig.client, &quota).await?;
    let mut refused = component("other", "default", &[]);
    if let Some(metadata) = refused.pointer_mut("/metadata") {
        put(metadata, "namespace", json!("no-pods"));
    }
    apply(&rig.client, &refused).await?;
    let report = doctor.finds(&["PodsRefused"]).await?;
    let evidence = &report.findings.first().context("a finding")?.evidence;
    assert!(
        evidence.concat().contains("exceeded quota: none"),
        "{evidence:?}"
    );
    let deployments = objects(rig, ("apps", "v1", "Deployment"), Some("no-pods"));
    deployments
        .delete("tributary-other", &DeleteParams::default())
        .await?;
    doctor.finds(&[]).await.map(drop)
}

/// A Lease of the group `edge` in the namespace `left`, renewed then.
fn lease(holder: &str, renewed: &str) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {
            "namespace": "left", "name": format!("tributary-{holder}"),
            "labels": { "tributary.dev/group": "edge" },
        },
        "spec": {
            "holderIdentity": holder, "leaseDurationSeconds": 15,
            "renewTime": format!("{renewed}T00:00:00.000000Z"),
        },
    })
}

/// Leases that an installation left behind, then one of two that is not renewed.
async fn leases(rig: &Rig, doctor: &Doctor) -> anyhow::Result<()> {
    namespace(&rig.client, "left").await?;
    apply(&rig.client, &lease("gone", "2026-01-01")).await?;
    let report = doctor.finds(&["LeaseNotRenewed"]).await?;
    let finding = report.findings.first().context("a finding")?;
    assert_eq!(
        finding.what,
        "no scraper of group edge in left renews its Lease"
    );
    // As if it was renewed all the time.
    apply(&rig.client, &lease("here", "2099-01-01")).await?;
    let report = doctor.finds(&["ScraperLost"]).await?;
    let finding = report.findings.first().context("a finding")?;
    assert_eq!(finding.what, "1 scraper: gone");
    let leases = objects(rig, ("coordination.k8s.io", "v1", "Lease"), Some("left"));
    for name in ["tributary-gone", "tributary-here"] {
        leases.delete(name, &DeleteParams::default()).await?;
    }
    doctor.finds(&[]).await.map(drop)
}

/// An autoscaler that aims at a part of requests that are not there.
async fn autoscaler(rig: &Rig, doctor: &Doctor) -> anyhow::Result<()> {
    namespace(&rig.client, "no-requests").await?;
    let mut web = deployment("no-requests", "web", 1, &["main", "mesh"]);
    if let Some(mesh) = web.pointer_mut("/spec/template/spec/containers/1") {
        put(mesh, "resources", json!({}));
    }
    apply(&rig.client, &web).await?;
    let target = json!({ "type": "Utilization", "averageUtilization": 50 });
    let scaler = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": { "namespace": "no-requests", "name": "web" },
        "spec": {
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" },
            "maxReplicas": 3,
            "metrics": [{ "type": "Resource", "resource": { "name": "cpu", "target": target } }],
        },
    });
    apply(&rig.client, &scaler).await?;
    let report = doctor.finds(&["HpaWithoutRequests"]).await?;
    let finding = report.findings.first().context("a finding")?;
    let what =
        "no-requests/web needs requests for cpu, and container mesh of deployment/web has none";
    assert_eq!(finding.what, what);
    let scalers = objects(
        rig,
        ("autoscaling", "v2", "HorizontalPodAutoscaler"),
        Some("no-requests"),
    );
    scalers.delete("web", &DeleteParams::default()).await?;
    doctor.finds(&[]).await.map(drop)
}

#[test]
fn what_is_broken_is_found_and_a_healthy_system_has_no_finding() -> anyhow::Result<()> {
    rig::alone(Size::SMALL, async |rig| {
        install(&rig).await?;
        let doctor = Doctor::of(&rig).await?;
        let healthy = doctor.finds(&[]).await?;
        assert_eq!(healthy.outcome.code(), 0);
        autoscaler(&rig, &doctor).await?;
        quota(&rig, &doctor).await?;
        leases(&rig, &doctor).await?;
        pods(&rig, &doctor).await?;
        permissions(&rig, &doctor).await?;
        super::registered::troubles(&rig, &doctor).await
    })
}
