//! The manifests without Helm: current, and applied for real.

use std::{fs, path::Path};

use anyhow::Context as _;
use tokio::process::Command;

use crate::site::{ROOT, Site, on_site};

/// Runs a script of the repository with the pinned programs.
async fn script(site: Option<&Site>, line: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::new(format!("{ROOT}/{}", line[0]));
    let programs = format!("{ROOT}/tests/controlplane/bin:/usr/bin:/bin");
    command
        .args(&line[1..])
        .env("PATH", programs)
        .kill_on_drop(true);
    if let Some(site) = site {
        command.env("KUBECONFIG", site.plane.kubeconfig());
    }
    let output = command.output().await.context("start a script")?;
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    anyhow::ensure!(output.status.success(), "{line:?}: {complaint}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn manifests_are_what_the_chart_renders() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let fresh = tempfile::tempdir()?;
    let folder = fresh.path().display().to_string();
    runtime.block_on(script(None, &["deploy/kustomize/render", &folder]))?;
    let mut compared = 0;
    for part in ["", "base", "sidecar", "ha"] {
        let held = Path::new(ROOT).join("deploy/kustomize").join(part);
        for entry in fs::read_dir(fresh.path().join(part))? {
            let new = entry?.path();
            let Some(name) = new.file_name().filter(|_| new.is_file()) else {
                continue;
            };
            let old = held.join(name);
            let same = fs::read_to_string(&old).ok() == Some(fs::read_to_string(&new)?);
            assert!(
                same,
                "{} is not current: deploy/kustomize/render",
                old.display()
            );
            compared += 1;
        }
        if !part.is_empty() {
            let count = |folder: &Path| fs::read_dir(folder).map(Iterator::count);
            assert_eq!(count(&held)?, count(&fresh.path().join(part))?, "{part}");
        }
    }
    assert_eq!(compared, 20);
    Ok(())
}

/// What a site needs: the network is shared, so each pod listens on its own address.
const OVERLAY: &str = r#"
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [manifests]
patches:
  - target: { kind: Deployment, name: tributary }
    patch: |
      - { op: add, path: /spec/template/spec/containers/0/args/-, value: "--bind-address=$(POD_IP)" }
      - { op: replace, path: /spec/template/spec/containers/1/args/0, value: "--admin-address=$(POD_IP):8080" }
      - { op: add, path: /spec/template/spec/containers/0/env/-, value: { name: POD_IP, valueFrom: { fieldRef: { fieldPath: status.podIP } } } }
      - { op: add, path: /spec/template/spec/containers/1/env/-, value: { name: POD_IP, valueFrom: { fieldRef: { fieldPath: status.podIP } } } }
"#;

#[test]
fn components_yaml_serves_once_it_has_a_certificate_and_while_that_is_renewed() -> anyhow::Result<()>
{
    on_site(async |site| {
        let overlay = site.dir.path().join("overlay");
        let manifests = overlay.join("manifests");
        fs::create_dir_all(&manifests)?;
        fs::copy(
            format!("{ROOT}/deploy/kustomize/components.yaml"),
            manifests.join("all.yaml"),
        )?;
        let all = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [all.yaml]\n";
        fs::write(manifests.join("kustomization.yaml"), all)?;
        fs::write(overlay.join("kustomization.yaml"), OVERLAY)?;
        let overlay = overlay.display().to_string();
        site.kubectl.ok(&["apply", "-k", &overlay]).await?;
        script(Some(&site), &["deploy/kustomize/certificate", "30"]).await?;
        site.available().await?;
        println!("{}", site.top().await?);

        script(Some(&site), &["deploy/kustomize/certificate", "60"]).await?;
        site.new_certificate_without_a_failure().await
    })
}
