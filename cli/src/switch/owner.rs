//! What else writes an `APIService`, and what to do before it may be changed by hand. A table: each row has the labels,
//! annotations or writers by which an owner is known.

use serde::Serialize;

use super::object::Object;
use crate::{commands::Commands, printed::harmless};

/// Something that writes an `APIService`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Owner {
    /// The `APIService`.
    pub object: String,
    /// What it is.
    pub who: String,
    /// By what it is known.
    pub evidence: String,
    /// What it does, and what to do first.
    pub first: String,
    /// To copy.
    pub commands: Vec<String>,
}

/// Who, the evidence, what to do, commands.
type Found = (String, String, String, Vec<String>);

/// The owners of an object. Empty if it is safe to change it. Their commands are for the cluster of `to_copy`.
#[must_use]
pub fn owners(object: &Object, to_copy: &Commands) -> Vec<Owner> {
    const TABLE: [fn(&Object) -> Option<Found>; 9] = [
        openshift,
        addon_manager,
        eks,
        argo,
        flux,
        k3s,
        helm,
        injector,
        other,
    ];
    let found = TABLE.iter().filter_map(|row| row(object));
    let owner = |(who, evidence, first, commands): Found| Owner {
        object: object.name().to_owned(),
        who,
        evidence: harmless(&evidence),
        first,
        commands: commands.iter().map(|it| to_copy.command(it)).collect(),
    };
    found.map(owner).collect()
}

const ONLY_V1: &str = "kubectl tributary switch to --only-v1";

/// A label, as evidence.
fn label<'a>(object: &'a Object, name: &str) -> Option<(&'a str, String)> {
    let value = object.label(name)?;
    Some((value, format!("label {name}={value}")))
}

/// The same of an annotation.
fn annotation<'a>(object: &'a Object, name: &str) -> Option<(&'a str, String)> {
    let value = object.annotation(name)?;
    Some((value, format!("annotation {name}={value}")))
}

/// The evidence that one of these wrote the object.
fn writer(object: &Object, wanted: &[&str]) -> Option<String> {
    let mut managers = object.managers().into_iter();
    let manager = managers.find(|manager| wanted.contains(manager))?;
    Some(format!("field manager {manager}"))
}

/// A value in a command to copy; one with a character that a shell may obey is left out.
fn argument(value: &str) -> String {
    let safe = |letter: char| letter.is_ascii_alphanumeric() || "-._".contains(letter);
    if !value.is_empty() && value.chars().all(safe) {
        value.to_owned()
    } else {
        "NAME".to_owned()
    }
}

fn openshift(object: &Object) -> Option<Found> {
    let (_, evidence) = ["app.kubernetes.io/managed-by", "app.kubernetes.io/part-of"]
        .iter()
        .filter_map(|name| label(object, name))
        .find(|(value, _)| ["cluster-monitoring-operator", "openshift-monitoring"].contains(value))
        .or_else(|| {
            let service = object.service()?;
            let evidence = format!("service {service}");
            (service.namespace == "openshift-monitoring").then_some(("", evidence))
        })?;
    let first = "It writes the APIService back, and cannot be stopped. Leave this version to it, and let Tributary serve \
                 v1 alone, which kubectl uses from 1.37 on.";
    Some((
        "OpenShift's Cluster Monitoring Operator".to_owned(),
        evidence,
        first.to_owned(),
        vec![ONLY_V1.to_owned()],
    ))
}

fn addon_manager(object: &Object) -> Option<Found> {
    let (mode, evidence) = label(object, "addonmanager.kubernetes.io/mode")?;
    // EnsureExists creates what is missing and changes nothing.
    if mode != "Reconcile" {
        return None;
    }
    let first = "It writes the APIService back within a minute. GKE and AKS cannot stop it: leave this version to \
                 it, and let Tributary serve v1 alone. On a control plane of your own remove the manifest of metrics-server \
                 from the add-on directory of every control-plane node first.";
    Some((
        "the add-on manager of the control plane (GKE, AKS)".to_owned(),
        evidence,
        first.to_owned(),
        vec![ONLY_V1.to_owned()],
    ))
}

fn eks(object: &Object) -> Option<Found> {
    let labelled = label(object, "app.kubernetes.io/managed-by");
    let labelled = labelled.filter(|(value, _)| *value == "EKS");
    let evidence = labelled.map(|(_, evidence)| evidence);
    let evidence = evidence.or_else(|| writer(object, &["eks"]))?;
    let first = "An update of the add-on writes the APIService back. Take metrics-server out of the add-ons of the cluster \
                 and keep what runs. The label stays, so go on with --ignore-owner then.";
    let command =
        "aws eks delete-addon --cluster-name CLUSTER --addon-name metrics-server --preserve";
    Some((
        "the EKS add-on metrics-server".to_owned(),
        evidence,
        first.to_owned(),
        vec![command.to_owned()],
    ))
}

fn argo(object: &Object) -> Option<Found> {
    let tracked = annotation(object, "argocd.argoproj.io/tracking-id");
    let tracked = tracked.map(|(id, evidence)| (id.split(':').next().unwrap_or(id), evidence));
    let instance = || label(object, "argocd.argoproj.io/instance");
    let wrote = || Some(("", writer(object, &["argocd-controller"])?));
    let (app, evidence) = tracked.or_else(instance).or_else(wrote)?;
    let name = argument(app);
    let first = "The next sync writes the APIService back, or fails at it. Stop the automatic sync of the application, and \
                 take the APIService out of what it renders (apiService.create: false in the values of metrics-server) \
                 with Prune=false. Then go on with --ignore-owner.";
    Some((
        format!("Argo CD, application {}", harmless(app)),
        evidence,
        first.to_owned(),
        vec![format!("argocd app set {name} --sync-policy none")],
    ))
}

fn flux(object: &Object) -> Option<Found> {
    let of = |kind: &'static str, group: &str| {
        let (name, evidence) = label(object, &format!("{group}/name"))?;
        let namespace = object.label(&format!("{group}/namespace"));
        Some((kind, name, namespace.unwrap_or_default(), evidence))
    };
    let wrote = || {
        let evidence = writer(object, &["helm-controller", "kustomize-controller"])?;
        Some(("helmrelease", "", "", evidence))
    };
    let (kind, name, namespace, evidence) = of("helmrelease", "helm.toolkit.fluxcd.io")
        .or_else(|| of("kustomization", "kustomize.toolkit.fluxcd.io"))
        .or_else(wrote)?;
    let (name, namespace) = (argument(name), argument(namespace));
    let first = "The next reconciliation writes the APIService back, or fails at it. Suspend it, and take the APIService out \
                 of what it applies (apiService.create: false in the values of metrics-server). Then go on with \
                 --ignore-owner.";
    Some((
        format!("Flux, {kind} {name}"),
        evidence,
        first.to_owned(),
        vec![format!("flux suspend {kind} {name} -n {namespace}")],
    ))
}

fn k3s(object: &Object) -> Option<Found> {
    let names = ["id", "owner-name", "applied", "owner-gvk"];
    let mut annotations = names.iter().filter_map(|name| {
        let name = format!("objectset.rio.cattle.io/{name}");
        annotation(object, &name).map(|_| format!("annotation {name}"))
    });
    let evidence = annotations.next();
    let evidence = evidence.or_else(|| {
        let (_, evidence) = label(object, "objectset.rio.cattle.io/hash")?;
        Some(evidence)
    })?;
    let first = "It writes the APIService back when a server of k3s or RKE2 starts. Tell every server to leave this one \
                 object alone, then go on with --ignore-owner. Do not use --disable metrics-server now: it deletes the \
                 APIService, also if it leads to Tributary.";
    let command =
        "touch /var/lib/rancher/k3s/server/manifests/metrics-server/metrics-apiservice.yaml.skip";
    Some((
        "k3s or RKE2 (object set)".to_owned(),
        evidence,
        first.to_owned(),
        vec![command.to_owned()],
    ))
}

fn helm(object: &Object) -> Option<Found> {
    let (release, evidence) = annotation(object, "meta.helm.sh/release-name")?;
    // Helm keeps the object and has forgotten it.
    if object.annotation("helm.sh/resource-policy") == Some("keep") {
        return None;
    }
    let namespace = object.annotation("meta.helm.sh/release-namespace");
    let (name, namespace) = (argument(release), argument(namespace.unwrap_or_default()));
    let keep = format!(
        "kubectl annotate apiservice {} helm.sh/resource-policy=keep",
        object.name()
    );
    if name == "rke2-metrics-server" {
        let first = "RKE2 upgrades this release when a server starts, and the upgrade writes the APIService back. Give it the \
                     value apiService.create: false by a HelmChartConfig of this name in kube-system, after the command \
                     below, which keeps the object.";
        let who = "RKE2's Helm release rke2-metrics-server".to_owned();
        return Some((who, evidence, first.to_owned(), vec![keep]));
    }
    let first = "Upgrade and rollback of this release write the APIService back, and its uninstallation deletes it. Let Helm \
                 keep and forget it. CHART is the chart of the release, in the version that is installed (--version).";
    let forget = format!(
        "helm upgrade {name} CHART -n {namespace} --reuse-values --set apiService.create=false"
    );
    Some((
        format!("Helm release {name} in {namespace}"),
        evidence,
        first.to_owned(),
        vec![keep, forget],
    ))
}

/// These write `caBundle`.
fn injector(object: &Object) -> Option<Found> {
    let names = [
        "cert-manager.io/inject-ca-from",
        "cert-manager.io/inject-ca-from-secret",
        "cert-manager.io/inject-apiserver-ca",
        "service.beta.openshift.io/inject-cabundle",
    ];
    let mut found = names
        .iter()
        .filter_map(|name| Some((*name, annotation(object, name)?.1)));
    let (name, evidence) = found.next()?;
    let first = "It replaces the CA of Tributary by that of the server of now, and kube-apiserver refuses Tributary then. \
                 Remove the annotation. To go back, restore it.";
    Some((
        "an injector of CAs".to_owned(),
        evidence,
        first.to_owned(),
        vec![format!(
            "kubectl annotate apiservice {} {name}-",
            object.name()
        )],
    ))
}

/// Operators that own the object as Kubernetes means it.
fn other(object: &Object) -> Option<Found> {
    let references = object.owner_references().into_iter().next();
    let referred = references.map(|(kind, name)| {
        let evidence = format!("owner reference {kind}/{name}");
        (harmless(&format!("{kind} {name}")), evidence)
    });
    let olm = || label(object, "olm.owner").map(|(value, evidence)| (harmless(value), evidence));
    let (who, evidence) = referred.or_else(olm)?;
    let first = "It may write the APIService back. Find out how to stop that, then go on with --ignore-owner.";
    Some((who, evidence, first.to_owned(), Vec::new()))
}

#[cfg(test)]
mod tests;
