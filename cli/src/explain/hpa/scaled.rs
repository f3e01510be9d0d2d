//! What an autoscaler scales, found as the controller finds it: by group and kind, in whatever version is served.

use k8s_openapi::{
    api::autoscaling::{v1::Scale, v2::HorizontalPodAutoscalerSpec},
    apimachinery::pkg::apis::meta::v1::{APIGroup, APIResourceList},
};

use crate::kube_api::{Failure, KubeApi, path};

/// Kinds of Kubernetes that are scaled, with their resources: no need to ask for these.
const USUAL: [(&str, &str, &str); 4] = [
    ("apps/v1", "Deployment", "deployments"),
    ("apps/v1", "ReplicaSet", "replicasets"),
    ("apps/v1", "StatefulSet", "statefulsets"),
    ("v1", "ReplicationController", "replicationcontrollers"),
];

/// What is scaled.
#[derive(Clone, Debug)]
pub(super) struct Scaled {
    pub(super) target: String,
    pub(super) replicas: i32,
    pub(super) selector: String,
}

impl Scaled {
    /// Reads the scale.
    ///
    /// # Errors
    ///
    /// [`Failure::NotFound`]: there is no such kind, or no such object, or it cannot be scaled.
    pub(super) async fn read(
        api: &KubeApi,
        spec: &HorizontalPodAutoscalerSpec,
    ) -> Result<Self, Failure> {
        let target = &spec.scale_target_ref;
        let (kind, name) = (&target.kind, &target.name);
        let version = target.api_version.as_deref().unwrap_or_default();
        let usual = USUAL
            .iter()
            .find(|usual| usual.0 == version && usual.1 == kind);
        let root = match usual {
            Some((version, _, plural)) => path(&root(version), &[plural]),
            None => discovered(api, version, kind).await?,
        };
        let (root, plural) = root.rsplit_once('/').unwrap_or_default();
        let namespace = &api.namespace;
        let scale = path(root, &["namespaces", namespace, plural, name, "scale"]);
        let scale: Scale = api.get(&scale).await?;
        let status = scale.status.unwrap_or_default();
        Ok(Self {
            target: format!("{}/{name}", kind.to_lowercase()),
            replicas: scale.spec.and_then(|spec| spec.replicas).unwrap_or(0),
            selector: status.selector.unwrap_or_default(),
        })
    }
}

/// Where a group and version is.
fn root(version: &str) -> String {
    match version.split_once('/') {
        Some((group, version)) => path("/apis", &[group, version]),
        None => path("/api", &[version]),
    }
}

/// The path of the resource of a kind, without a namespace.
async fn discovered(api: &KubeApi, version: &str, kind: &str) -> Result<String, Failure> {
    let versions = match version.split_once('/') {
        Some((group, _)) => {
            let group: APIGroup = api.get(&path("/apis", &[group])).await?;
            let preferred = group.preferred_version.into_iter();
            let all = preferred.chain(group.versions);
            all.map(|version| version.group_version).collect()
        }
        // No group is that of Pods and Services.
        None => vec!["v1".to_owned()],
    };
    for version in &versions {
        let version = root(version);
        let resources: APIResourceList = api.get(&version).await?;
        let mut resources = resources.resources.into_iter();
        let found = resources.find(|it| it.kind == kind && !it.name.contains('/'));
        if let Some(found) = found {
            return Ok(path(&version, &[&found.name]));
        }
    }
    Err(Failure::NotFound(format!(
        "no matches for kind {kind:?} in {version:?}"
    )))
}
