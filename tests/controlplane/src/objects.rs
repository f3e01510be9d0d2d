//! Objects of the real API, as JSON.

use anyhow::Context as _;
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
    core::v1::ServiceAccount,
};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::patience::eventually;

/// Who owns the fields that are written here.
const MANAGER: &str = "controlplane";

/// Creates an object or makes it what is given.
///
/// # Errors
///
/// The API refuses it, or it lacks kind or name.
pub async fn apply(client: &Client, object: &Value) -> anyhow::Result<()> {
    let (api, name) = find(client, object)?;
    let params = PatchParams::apply(MANAGER).force();
    let applied = api.patch(name, &params, &Patch::Apply(object)).await;
    applied.with_context(|| format!("apply {} {name}", object["kind"]))?;
    Ok(())
}

/// Writes the status of an object that exists.
///
/// # Errors
///
/// As for [`apply`].
pub async fn set_status(client: &Client, object: &Value) -> anyhow::Result<()> {
    let (api, name) = find(client, object)?;
    let status = json!({ "status": object["status"] });
    let params = PatchParams::default();
    let patched = api.patch_status(name, &params, &Patch::Merge(status)).await;
    patched.with_context(|| format!("write the status of {} {name}", object["kind"]))?;
    Ok(())
}

fn find<'a>(client: &Client, object: &'a Value) -> anyhow::Result<(Api<DynamicObject>, &'a str)> {
    let text = |at: &str| object.pointer(at).and_then(Value::as_str);
    let whole = |at: &str| text(at).with_context(|| format!("no {at} in {object}"));
    let version = whole("/apiVersion")?;
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let kind = GroupVersionKind::gvk(group, version, whole("/kind")?);
    let resource = ApiResource::from_gvk(&kind);
    let api = match text("/metadata/namespace") {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    Ok((api, whole("/metadata/name")?))
}

/// Makes a namespace and waits until pods may be made in it.
///
/// # Errors
///
/// The API refuses it.
pub async fn namespace(client: &Client, name: &str) -> anyhow::Result<()> {
    let object = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
    apply(client, &object).await?;
    let accounts = Api::<ServiceAccount>::namespaced(client.clone(), name);
    eventually("a default service account", || accounts.get("default")).await?;
    Ok(())
}

/// Makes a service account and returns a token of it, valid for an hour.
///
/// # Errors
///
/// The API refuses it.
pub async fn service_account(
    client: &Client,
    namespace: &str,
    name: &str,
) -> anyhow::Result<String> {
    let object = json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": { "namespace": namespace, "name": name },
    });
    apply(client, &object).await?;
    token(client, (namespace, name), &[]).await
}

/// A token of a service account for these audiences, valid for an hour; without any, for the API itself.
///
/// # Errors
///
/// The API refuses it.
pub async fn token(
    client: &Client,
    (namespace, name): (&str, &str),
    audiences: &[&str],
) -> anyhow::Result<String> {
    let accounts = Api::<ServiceAccount>::namespaced(client.clone(), namespace);
    let request = TokenRequest {
        spec: TokenRequestSpec {
            audiences: audiences.iter().map(ToString::to_string).collect(),
            expiration_seconds: Some(3_600),
            ..TokenRequestSpec::default()
        },
        ..TokenRequest::default()
    };
    let issued = accounts
        .create_token_request(name, &PostParams::default(), &request)
        .await
        .with_context(|| format!("request a token of {namespace}/{name}"))?;
    let status = issued.status.context("a token request without a token")?;
    Ok(status.token)
}

/// Gives a service account what `rules` allow, in the whole cluster, and waits until the first of them is in force.
///
/// # Errors
///
/// The API refuses it.
pub async fn grant(
    client: &Client,
    (namespace, name): (&str, &str),
    rules: Value,
) -> anyhow::Result<()> {
    let role = format!("{namespace}:{name}");
    let object = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": { "name": role },
        "rules": &rules,
    });
    apply(client, &object).await?;
    bind(client, (namespace, name), &role).await?;
    let first = |field: &str| {
        let value = rules.pointer(&format!("/0/{field}/0"));
        value.and_then(Value::as_str).map(str::to_owned)
    };
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(format!("system:serviceaccount:{namespace}:{name}")),
            resource_attributes: Some(ResourceAttributes {
                group: first("apiGroups"),
                resource: first("resources"),
                verb: first("verbs"),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let reviews = Api::<SubjectAccessReview>::all(client.clone());
    eventually("the role is in force", || async {
        let answer = reviews.create(&PostParams::default(), &review).await?;
        let allowed = answer.status.is_some_and(|status| status.allowed);
        anyhow::ensure!(allowed, "not yet");
        Ok(())
    })
    .await
}

/// Gives a service account a role of the cluster that exists.
///
/// # Errors
///
/// The API refuses it.
pub async fn bind(
    client: &Client,
    (namespace, name): (&str, &str),
    role: &str,
) -> anyhow::Result<()> {
    let object = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": { "name": format!("{namespace}:{name}:{role}") },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role },
        "subjects": [{ "kind": "ServiceAccount", "namespace": namespace, "name": name }],
    });
    apply(client, &object).await
}

/// A Deployment whose pods run `containers`, each asking for 100 milli-cores and 64 MiB.
pub fn deployment(namespace: &str, app: &str, replicas: usize, containers: &[&str]) -> Value {
    let containers: Vec<Value> = containers
        .iter()
        .map(|name| {
            json!({
                "name": name,
                "image": "registry.example/app:1",
                "resources": { "requests": { "cpu": "100m", "memory": "64Mi" } },
            })
        })
        .collect();
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "namespace": namespace, "name": app },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": app } },
            "template": {
                "metadata": { "labels": { "app": app } },
                "spec": { "containers": containers },
            },
        },
    })
}
