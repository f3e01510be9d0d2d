use serde_json::{Value, json};

use super::*;

/// An object with this metadata.
fn object(metadata: &Value) -> Object {
    let mut object = json!({
        "metadata": metadata,
        "spec": { "service": { "namespace": "kube-system", "name": "metrics-server", "port": 443 } },
    });
    object["metadata"]["name"] = json!("v1beta1.metrics.k8s.io");
    Object(object)
}

/// One with these labels or annotations.
fn with(field: &str, values: &[(&str, &str)]) -> Object {
    let values: serde_json::Map<String, Value> = values
        .iter()
        .map(|(name, value)| ((*name).to_owned(), json!(value)))
        .collect();
    object(&json!({ field: values }))
}

const LABELS: &str = "labels";
const ANNOTATIONS: &str = "annotations";
const ONLY_V1: &str = "kubectl tributary switch to --only-v1";
const KEEP: &str =
    "kubectl annotate apiservice v1beta1.metrics.k8s.io helm.sh/resource-policy=keep";
const PRESERVE: &str =
    "aws eks delete-addon --cluster-name CLUSTER --addon-name metrics-server --preserve";

type Row = (
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static str,
    &'static str,
);

/// Labels or annotations, who that is, and the first command.
const OWNERS: &[Row] = &[
    (
        LABELS,
        &[("addonmanager.kubernetes.io/mode", "Reconcile")],
        "the add-on manager of the control plane (GKE, AKS)",
        ONLY_V1,
    ),
    (
        LABELS,
        &[(
            "app.kubernetes.io/managed-by",
            "cluster-monitoring-operator",
        )],
        "OpenShift's Cluster Monitoring Operator",
        ONLY_V1,
    ),
    (
        LABELS,
        &[("app.kubernetes.io/managed-by", "EKS")],
        "the EKS add-on metrics-server",
        PRESERVE,
    ),
    (
        ANNOTATIONS,
        &[(
            "argocd.argoproj.io/tracking-id",
            "base:apiregistration.k8s.io/APIService:/x",
        )],
        "Argo CD, application base",
        "argocd app set base --sync-policy none",
    ),
    (
        LABELS,
        &[("argocd.argoproj.io/instance", "base")],
        "Argo CD, application base",
        "argocd app set base --sync-policy none",
    ),
    (
        LABELS,
        &[
            ("helm.toolkit.fluxcd.io/name", "ms"),
            ("helm.toolkit.fluxcd.io/namespace", "infra"),
        ],
        "Flux, helmrelease ms",
        "flux suspend helmrelease ms -n infra",
    ),
    (
        LABELS,
        &[
            ("kustomize.toolkit.fluxcd.io/name", "ms"),
            ("kustomize.toolkit.fluxcd.io/namespace", "infra"),
        ],
        "Flux, kustomization ms",
        "flux suspend kustomization ms -n infra",
    ),
    (
        ANNOTATIONS,
        &[("objectset.rio.cattle.io/id", "")],
        "k3s or RKE2 (object set)",
        "touch /var/lib/rancher/k3s/server/manifests/metrics-server/metrics-apiservice.yaml.skip",
    ),
    (
        ANNOTATIONS,
        &[
            ("meta.helm.sh/release-name", "ms"),
            ("meta.helm.sh/release-namespace", "kube-system"),
        ],
        "Helm release ms in kube-system",
        KEEP,
    ),
    (
        ANNOTATIONS,
        &[("meta.helm.sh/release-name", "rke2-metrics-server")],
        "RKE2's Helm release rke2-metrics-server",
        KEEP,
    ),
    (
        ANNOTATIONS,
        &[("cert-manager.io/inject-ca-from", "a/b")],
        "an injector of CAs",
        "kubectl annotate apiservice v1beta1.metrics.k8s.io cert-manager.io/inject-ca-from-",
    ),
];

#[test]
fn every_owner_is_known_by_what_it_leaves() {
    for (field, values, who, command) in OWNERS {
        let found = owners(&with(field, values), &Commands::default());
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].who, *who);
        assert_eq!(found[0].commands[0], *command);
    }
}

#[test]
fn commands_about_an_owner_name_the_cluster_of_the_caller() {
    let flags = crate::commands::tests::FLAGS;
    let mut seen = 0;
    for (field, values, ..) in OWNERS {
        let found = owners(&with(field, values), &crate::commands::tests::named());
        for command in found.iter().flat_map(|owner| &owner.commands) {
            let program = command.split(' ').next().unwrap();
            let flags = match program {
                "kubectl" | "flux" => flags.to_owned(),
                "helm" => flags.replace("--context", "--kube-context"),
                // They have a login of their own, or no cluster.
                _ => continue,
            };
            seen += 1;
            assert!(command.contains(&flags), "{command}");
        }
    }
    assert!(seen > 5, "{seen}");
}

#[test]
fn an_owner_is_known_by_what_it_wrote_and_as_kubernetes_means_it() {
    let manager = |manager: &str| object(&json!({ "managedFields": [{ "manager": manager }] }));
    for (name, who) in [
        ("eks", "the EKS add-on metrics-server"),
        ("argocd-controller", "Argo CD, application "),
        ("helm-controller", "Flux, helmrelease NAME"),
    ] {
        let found = owners(&manager(name), &Commands::default());
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].who, who);
    }
    let references = json!([{ "kind": "ClusterServiceVersion", "name": "x" }]);
    let found = owners(
        &object(&json!({ "ownerReferences": references })),
        &Commands::default(),
    );
    assert_eq!(found[0].who, "ClusterServiceVersion x");
}

#[test]
fn all_owners_are_named() {
    let both = object(&json!({
        "labels": { "helm.toolkit.fluxcd.io/name": "ms", "helm.toolkit.fluxcd.io/namespace": "infra" },
        "annotations": { "meta.helm.sh/release-name": "ms", "cert-manager.io/inject-ca-from": "a/b" },
    }));
    let found = owners(&both, &Commands::default());
    let who = found.iter().map(|owner| &*owner.who);
    assert_eq!(
        who.collect::<Vec<_>>(),
        [
            "Flux, helmrelease ms",
            "Helm release ms in NAME",
            "an injector of CAs"
        ]
    );
}

#[test]
fn what_writes_nothing_back_is_no_owner() {
    for object in [
        with(LABELS, &[("k8s-app", "metrics-server")]),
        with(
            LABELS,
            &[("addonmanager.kubernetes.io/mode", "EnsureExists")],
        ),
        with(
            ANNOTATIONS,
            &[
                ("meta.helm.sh/release-name", "ms"),
                ("helm.sh/resource-policy", "keep"),
            ],
        ),
        object(&json!({ "managedFields": [{ "manager": "kubectl-client-side-apply" }] })),
    ] {
        assert_eq!(owners(&object, &Commands::default()), []);
    }
}

#[test]
fn a_command_to_copy_has_nothing_that_a_shell_obeys() {
    let evil = [("argocd.argoproj.io/tracking-id", "$(rm -r /)\u{1b}[2J:x")];
    let found = owners(&with(ANNOTATIONS, &evil), &Commands::default());
    assert_eq!(
        found[0].commands,
        ["argocd app set NAME --sync-policy none"]
    );
    assert!(!found[0].evidence.contains('\u{1b}'));
    assert!(!found[0].who.contains('\u{1b}'));
}
