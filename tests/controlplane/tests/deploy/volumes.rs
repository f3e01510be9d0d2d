//! The volumes of a pod, as folders.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use k8s_openapi::api::{
    authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec},
    core::v1::{
        ConfigMap, KeyToPath, Pod, Secret, ServiceAccount, ServiceAccountTokenProjection, Volume,
        VolumeProjection,
    },
};
use kube::{Api, Client, ResourceExt as _, api::PostParams};

type Files = BTreeMap<String, Vec<u8>>;

/// Makes every volume of a pod below `dir`; says where each is.
pub(crate) async fn make(
    client: &Client,
    pod: &Pod,
    dir: &Path,
) -> anyhow::Result<BTreeMap<String, PathBuf>> {
    let mut folders = BTreeMap::new();
    for volume in volumes(pod) {
        let directory = dir.join("volumes").join(&volume.name);
        fs::create_dir_all(&directory)?;
        if volume.empty_dir.is_some() {
            fs::set_permissions(&directory, fs::Permissions::from_mode(0o777))?;
        }
        let files = contents(client, pod, volume, true).await;
        write(
            &directory,
            &files.with_context(|| format!("volume {}", volume.name))?,
        )?;
        folders.insert(volume.name.clone(), directory);
    }
    Ok(folders)
}

/// Writes what has changed in secrets and config maps since; tokens stay.
pub(crate) async fn refresh(client: &Client, pod: &Pod, dir: &Path) -> anyhow::Result<()> {
    for volume in volumes(pod) {
        let directory = dir.join("volumes").join(&volume.name);
        write(&directory, &contents(client, pod, volume, false).await?)?;
    }
    Ok(())
}

fn volumes(pod: &Pod) -> impl Iterator<Item = &Volume> {
    let spec = pod.spec.as_ref();
    spec.into_iter()
        .flat_map(|spec| spec.volumes.iter().flatten())
}

/// Each file is replaced whole.
fn write(directory: &Path, files: &Files) -> anyhow::Result<()> {
    for (name, content) in files {
        let path = directory.join(name);
        if fs::read(&path).ok().as_ref() == Some(content) {
            continue;
        }
        let parent = path.parent().context("a file in a folder")?;
        fs::create_dir_all(parent)?;
        let new = path.with_extension("new");
        fs::write(&new, content)?;
        fs::rename(&new, &path)?;
    }
    Ok(())
}

async fn contents(
    client: &Client,
    pod: &Pod,
    volume: &Volume,
    tokens: bool,
) -> anyhow::Result<Files> {
    let namespace = pod.namespace().context("a namespace")?;
    if let Some(secret) = &volume.secret {
        let name = secret
            .secret_name
            .as_ref()
            .context("the name of a secret")?;
        let data = of_secret(client, &namespace, name).await?;
        return select(&data, secret.items.as_deref(), false);
    }
    if let Some(map) = &volume.config_map {
        let optional = map.optional == Some(true);
        let data = of_map(client, &namespace, (&map.name, optional)).await?;
        return select(&data, map.items.as_deref(), optional);
    }
    let mut files = Files::new();
    let projected = volume.projected.as_ref();
    let sources = projected
        .into_iter()
        .flat_map(|projected| projected.sources.iter().flatten());
    for source in sources {
        files.extend(project(client, pod, source, tokens).await?);
    }
    Ok(files)
}

async fn project(
    client: &Client,
    pod: &Pod,
    source: &VolumeProjection,
    tokens: bool,
) -> anyhow::Result<Files> {
    let namespace = pod.namespace().context("a namespace")?;
    if let Some(secret) = &source.secret {
        let data = of_secret(client, &namespace, &secret.name).await?;
        return select(&data, secret.items.as_deref(), false);
    }
    if let Some(map) = &source.config_map {
        let optional = map.optional == Some(true);
        let data = of_map(client, &namespace, (&map.name, optional)).await?;
        return select(&data, map.items.as_deref(), optional);
    }
    if source.downward_api.is_some() {
        return Ok(Files::from([(
            "namespace".to_owned(),
            namespace.into_bytes(),
        )]));
    }
    match &source.service_account_token {
        Some(projection) if tokens => {
            let token = token(client, pod, projection).await?;
            Ok(Files::from([(projection.path.clone(), token.into_bytes())]))
        }
        _ => Ok(Files::new()),
    }
}

/// A token as a kubelet requests it: bound to the pod.
async fn token(
    client: &Client,
    pod: &Pod,
    projection: &ServiceAccountTokenProjection,
) -> anyhow::Result<String> {
    let namespace = pod.namespace().context("a namespace")?;
    let account = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.service_account_name.as_deref());
    let account = account.context("a service account")?;
    let request = TokenRequest {
        spec: TokenRequestSpec {
            audiences: projection.audience.clone().into_iter().collect(),
            expiration_seconds: projection.expiration_seconds,
            bound_object_ref: Some(BoundObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                name: Some(pod.name_any()),
                uid: pod.uid(),
            }),
        },
        ..TokenRequest::default()
    };
    let accounts = Api::<ServiceAccount>::namespaced(client.clone(), &namespace);
    let issued = accounts
        .create_token_request(account, &PostParams::default(), &request)
        .await;
    let issued = issued.with_context(|| format!("request a token of {account}"))?;
    Ok(issued
        .status
        .context("a token request without a token")?
        .token)
}

async fn of_secret(client: &Client, namespace: &str, name: &str) -> anyhow::Result<Files> {
    let secrets = Api::<Secret>::namespaced(client.clone(), namespace);
    let secret = secrets.get(name).await?;
    let data = secret.data.unwrap_or_default();
    Ok(data
        .into_iter()
        .map(|(key, value)| (key, value.0))
        .collect())
}

/// What is optional may not be there, and need not have all its keys.
async fn of_map(
    client: &Client,
    namespace: &str,
    (name, optional): (&str, bool),
) -> anyhow::Result<Files> {
    let maps = Api::<ConfigMap>::namespaced(client.clone(), namespace);
    let map = maps.get_opt(name).await?;
    anyhow::ensure!(map.is_some() || optional, "no config map {name}");
    let data = map.and_then(|map| map.data).unwrap_or_default();
    Ok(data
        .into_iter()
        .map(|(key, value)| (key, value.into_bytes()))
        .collect())
}

fn select(data: &Files, items: Option<&[KeyToPath]>, optional: bool) -> anyhow::Result<Files> {
    let Some(items) = items.filter(|items| !items.is_empty()) else {
        return Ok(data.clone());
    };
    let mut files = Files::new();
    for item in items {
        match data.get(&item.key) {
            Some(value) => drop(files.insert(item.path.clone(), value.clone())),
            None => anyhow::ensure!(optional, "no key {}", item.key),
        }
    }
    Ok(files)
}
