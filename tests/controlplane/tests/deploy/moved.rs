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

/// Kustomizations as docs/INSTALLING.md has them, in a directory with a copy of the manifests: kustomize reads no others.
fn kustomizations(profile: &str, patches: &[Value]) -> anyhow::Result<TempDir> {
    let directory = tempfile::tempdir()?;
    for part in ["base", profile, "moved"] {
        let to = directory.path().join(part);
        fs::create_dir(&to)?;
        let from = Path::new(ROOT).join("deploy/kustomize").join(part);
        for entry in fs::read_dir(from)? {
            let file = entry?.path();
            fs::copy(&file, to.join(file.file_name().context("a name")?))?;
        }
    }
    let profile = format!("../{profile}");
    let inner = json!({ "namespace": MOVED, "resources": [profile], "patches": patches });
    let outer = json!({ "resources": ["inner"], "components": ["moved"] });
    let path = directory.path().join("inner");
    fs::create_dir(&path)?;
    // JSON is YAML too.
    fs::write(path.join("kustomization.yaml"), inner.to_string())?;
    fs::write(
        directory.path().join("kustomization.yaml"),
        outer.to_string(),
    )?;
    Ok(directory)
}

fn kustomize(directory: &Path) -> anyhow::Result<String> {
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
    for profile in ["sidecar", "ha"] {
        let directory = kustomizations(profile, &[])?;
        let moved = kustomize(directory.path())?;
        let before = kustomize(&directory.path().join(profile))?;
        // Two kinds that have no namespace get an empty one.
        let moved = moved.lines().filter(|line| *line != "  namespace: \"\"");
        let moved: Vec<&str> = moved.collect();
        let expected = before.replace(NAMESPACE, MOVED);
        assert_eq!(moved, expected.lines().collect::<Vec<_>>(), "{profile}");
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
        let directory = kustomizations("ha", &of_deployments(&patches))?;
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
