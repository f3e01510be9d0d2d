//! The manifests in another namespace: `namespace:` of kustomize, and the component that goes with it.

use std::{fs, path::Path, process::Command};

use anyhow::Context as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tributary_controlplane::{assets::Assets, patience::eventually};

use crate::{
    auto::reported,
    installed::both_own_nodes,
    manifests::{ADMIN, BIND, BUS, of_deployments, own_address},
    polling::{every_stream_is_open, goes_on},
    site::{NAMESPACE, Plan, ROOT, on},
};

/// Where they are moved.
const MOVED: &str = "monitoring";

/// Kustomizations as docs/INSTALLING.md has them, in a directory with a copy of the manifests: kustomize reads no others. The
/// one in `before` leaves the namespace as it is.
pub(crate) fn kustomizations(
    profile: &str,
    components: &[&str],
    patches: &[Value],
) -> anyhow::Result<TempDir> {
    let directory = tempfile::tempdir()?;
    for part in fs::read_dir(Path::new(ROOT).join("deploy/kustomize"))? {
        let from = part?.path();
        if !from.is_dir() {
            continue;
        }
        let to = directory.path().join(from.file_name().context("a name")?);
        fs::create_dir(&to)?;
        for entry in fs::read_dir(from)? {
            let file = entry?.path();
            fs::copy(&file, to.join(file.file_name().context("a name")?))?;
        }
    }
    let components = components.iter().map(|name| format!("../{name}"));
    let before = json!({
        "resources": [format!("../{profile}")],
        "components": components.collect::<Vec<_>>(),
        "patches": patches,
    });
    let mut inner = before.clone();
    inner["namespace"] = json!(MOVED);
    let outer = json!({ "resources": ["inner"], "components": ["moved"] });
    for (part, kustomization) in [("before", before), ("inner", inner), ("", outer)] {
        let path = directory.path().join(part);
        fs::create_dir_all(&path)?;
        // JSON is YAML too.
        fs::write(path.join("kustomization.yaml"), kustomization.to_string())?;
    }
    Ok(directory)
}

/// What a kustomization makes.
pub(crate) fn kustomize(directory: &Path) -> anyhow::Result<String> {
    let kubectl = Assets::find()?.program("kubectl")?;
    let output = Command::new(kubectl)
        .arg("kustomize")
        .arg(directory)
        .output()?;
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    anyhow::ensure!(output.status.success(), "{complaint}");
    Ok(String::from_utf8(output.stdout)?)
}

#[test]
fn manifests_that_are_moved_differ_in_the_namespace_alone() -> anyhow::Result<()> {
    let cases: [(&str, &[&str]); 4] = [
        ("sidecar", &[]),
        ("ha", &[]),
        ("sidecar", &["prometheus", "grafana", "cert-manager"]),
        ("ha", &["prometheus-ha", "grafana", "cert-manager"]),
    ];
    for (profile, components) in cases {
        let directory = kustomizations(profile, components, &[])?;
        let moved = kustomize(directory.path())?;
        let before = kustomize(&directory.path().join("before"))?;
        // Two kinds that have no namespace get an empty one.
        let moved = moved.lines().filter(|line| *line != "  namespace: \"\"");
        let moved: Vec<&str> = moved.collect();
        let expected = before.replace(NAMESPACE, MOVED);
        let expected: Vec<&str> = expected.lines().collect();
        assert_eq!(moved, expected, "{profile} {components:?}");
    }
    Ok(())
}

/// A Lease that a scraper may not write: it is not of its pod.
fn another_lease() -> String {
    json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": { "namespace": MOVED, "name": "tributary-another" },
        "spec": { "holderIdentity": "another" },
    })
    .to_string()
}

#[test]
fn manifests_that_are_moved_serve() -> anyhow::Result<()> {
    let plan = Plan {
        namespace: MOVED,
        ..Plan::default()
    };
    on(plan, async |site| {
        let frontend = own_address(1, &[BIND], &[(0, 3, BUS)]);
        let scraper = own_address(1, &[], &[(0, 0, ADMIN)]);
        let patches = [("tributary", frontend), ("tributary-scraper", scraper)];
        let directory = kustomizations("ha", &[], &of_deployments(&patches))?;
        let path = directory.path().display().to_string();
        site.kubectl.ok(&["apply", "-k", &path]).await?;
        site.available().await?;
        eventually("all have the CA", || reported(&site)).await?;
        println!("{}", site.top().await?);
        both_own_nodes(&site).await?;
        every_stream_is_open(&site).await?;
        goes_on(&site).await?;

        // The policy about Leases is moved, too.
        let lease = site.dir.path().join("lease.yaml");
        fs::write(&lease, another_lease())?;
        let lease = lease.display().to_string();
        let account = format!("--as=system:serviceaccount:{MOVED}:tributary-scraper");
        let create = ["create", "-f", &lease, &account];
        let outcome = site.kubectl.run(&create).await?;
        let denied = "a scraper may write or delete only its own Lease";
        anyhow::ensure!(outcome.stderr.contains(denied), "{}", outcome.stderr);

        let before = ["get", "namespace", NAMESPACE, "--ignore-not-found"];
        assert_eq!(site.kubectl.ok(&before).await?, "");
        Ok(())
    })
}
