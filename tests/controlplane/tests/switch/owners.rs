//! Objects that an owner keeps as they are: another program, or a package manager.

use super::*;

/// Metadata that an owner leaves, and what has to be said about it.
const OWNERS: [(&str, &str, &str, &str); 9] = [
    (
        "labels",
        "addonmanager.kubernetes.io/mode",
        "Reconcile",
        "switch to --only-v1",
    ),
    (
        "labels",
        "app.kubernetes.io/managed-by",
        "cluster-monitoring-operator",
        "switch to --only-v1",
    ),
    (
        "labels",
        "app.kubernetes.io/managed-by",
        "EKS",
        "--addon-name metrics-server --preserve",
    ),
    (
        "annotations",
        "argocd.argoproj.io/tracking-id",
        "base:apiregistration.k8s.io/APIService:kube-system/v1beta1.metrics.k8s.io",
        "argocd app set base --sync-policy none",
    ),
    (
        "labels",
        "helm.toolkit.fluxcd.io/name",
        "metrics-server",
        "suspend helmrelease metrics-server",
    ),
    (
        "labels",
        "kustomize.toolkit.fluxcd.io/name",
        "infra",
        "suspend kustomization infra",
    ),
    (
        "annotations",
        "objectset.rio.cattle.io/id",
        "",
        "metrics-apiservice.yaml.skip",
    ),
    (
        "annotations",
        "meta.helm.sh/release-name",
        "metrics-server",
        "helm.sh/resource-policy=keep",
    ),
    (
        "annotations",
        "cert-manager.io/inject-ca-from",
        "kube-system/metrics-server",
        "annotate apiservice v1beta1.metrics.k8s.io cert-manager.io/inject-ca-from-",
    ),
];

pub(super) async fn owners(ground: &Ground) -> anyhow::Result<()> {
    for (field, name, value, advice) in OWNERS {
        let set = async |value: Option<&str>| {
            let patch = json!({ "metadata": { field: { name: value } } });
            let params = PatchParams::default();
            let patch = Patch::Merge(patch);
            ground.services.patch(V1BETA1, &params, &patch).await
        };
        set(Some(value)).await?;
        let (code, lines) = ground.to(&wanted()).await;
        assert_eq!(code, 1, "{name}: {lines:?}");
        assert!(lines.join("\n").contains(advice), "{name}: {lines:?}");
        ground.is_as_before().await?;
        set(None).await?;
    }
    // v1 belongs to no other.
    let label =
        json!({ "metadata": { "labels": { "addonmanager.kubernetes.io/mode": "Reconcile" } } });
    let params = PatchParams::default();
    ground
        .services
        .patch(V1BETA1, &params, &Patch::Merge(label))
        .await?;
    let only_v1 = To {
        only_v1: true,
        ..wanted()
    };
    let (code, lines) = ground.to(&only_v1).await;
    assert_eq!(code, 0, "{lines:?}");
    assert_eq!(ground.leads().await?, [INCUMBENT, OURS]);
    assert_eq!(ground.back(true).await.outcome.code(), 0);
    // In spite of the owner.
    let ignoring = To {
        ignore_owner: true,
        ..wanted()
    };
    let (code, lines) = ground.to(&ignoring).await;
    assert_eq!(code, 0, "{lines:?}");
    assert_eq!(ground.leads().await?, [OURS, OURS]);
    assert_eq!(ground.back(true).await.outcome.code(), 0);
    let none = json!({ "metadata": { "labels": { "addonmanager.kubernetes.io/mode": null } } });
    ground
        .services
        .patch(V1BETA1, &params, &Patch::Merge(none))
        .await?;
    ground.is_as_before().await
}
