//! The manifests without Helm: current, and applied for real.

use std::{fs, path::Path};

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::process::Command;
use tributary_controlplane::patience::eventually;
use tributary_runtime::clock::Clock;

use crate::{
    auto::{renew, reported},
    installed::both_own_nodes,
    polling::{Polling, every_stream_is_open},
    site::{ROOT, Site, on_site},
};

/// Runs a script of the repository with the pinned programs.
async fn script(line: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::new(format!("{ROOT}/{}", line[0]));
    let programs = format!("{ROOT}/tests/controlplane/bin:/usr/bin:/bin");
    command
        .args(&line[1..])
        .env("PATH", programs)
        .kill_on_drop(true);
    let output = command.output().await.context("start a script")?;
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    anyhow::ensure!(output.status.success(), "{line:?}: {complaint}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn manifests_are_what_the_chart_renders() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let fresh = tempfile::tempdir()?;
    let directory = fresh.path().display().to_string();
    runtime.block_on(script(&["deploy/kustomize/render", &directory]))?;
    let mut compared = 0;
    // Of these the kustomization is written by hand.
    let components = ["cert-manager", "grafana", "prometheus"];
    for part in [&["", "base", "sidecar", "ha"][..], &components].concat() {
        let stored = Path::new(ROOT).join("deploy/kustomize").join(part);
        for entry in fs::read_dir(fresh.path().join(part))? {
            let new = entry?.path();
            let Some(name) = new.file_name().filter(|_| new.is_file()) else {
                continue;
            };
            let old = stored.join(name);
            let same = fs::read_to_string(&old).ok() == Some(fs::read_to_string(&new)?);
            assert!(
                same,
                "{} is not current: deploy/kustomize/render",
                old.display()
            );
            compared += 1;
        }
        if !part.is_empty() {
            let by_hand = usize::from(components.contains(&part));
            let count = |directory: &Path| fs::read_dir(directory).map(Iterator::count);
            let rendered = count(&fresh.path().join(part))?;
            assert_eq!(count(&stored)?, rendered + by_hand, "{part}");
        }
    }
    assert_eq!(compared, 26);
    Ok(())
}

/// Where the pods of a Deployment have what they run.
const CONTAINERS: &str = "/spec/template/spec/containers";

/// A flag that says on which address to listen: of which container, at which place, as it is in the file.
pub(crate) type Flag = (usize, usize, &'static str);

/// What a site needs: the network is shared, so each pod listens on its own address.
pub(crate) fn own_address(containers: usize, more: &[&str], flags: &[Flag]) -> String {
    let mut changes = Vec::new();
    for container in 0..containers {
        let path = format!("{CONTAINERS}/{container}/env/-");
        let field = json!({ "fieldRef": { "fieldPath": "status.podIP" } });
        let value = json!({ "name": "POD_IP", "valueFrom": field });
        changes.push(json!({ "op": "add", "path": path, "value": value }));
    }
    for (container, index, flag) in flags {
        let path = format!("{CONTAINERS}/{container}/args/{index}");
        let own = flag.replace("0.0.0.0", "$(POD_IP)");
        changes.push(json!({ "op": "test", "path": path, "value": flag }));
        changes.push(json!({ "op": "replace", "path": path, "value": own }));
    }
    for flag in more {
        let path = format!("{CONTAINERS}/0/args/-");
        changes.push(json!({ "op": "add", "path": path, "value": flag }));
    }
    json!(changes).to_string()
}

pub(crate) const BIND: &str = "--bind-address=$(POD_IP)";
pub(crate) const ADMIN: &str = "--admin-address=0.0.0.0:8080";
pub(crate) const BUS: &str = "--bus-address=0.0.0.0:8443";

/// Changes to Deployments, for a kustomization.
pub(crate) fn of_deployments(patches: &[(&str, String)]) -> Vec<Value> {
    let change = |(deployment, patch): &(&str, String)| {
        let target = json!({ "kind": "Deployment", "name": deployment });
        json!({ "target": target, "patch": patch })
    };
    patches.iter().map(change).collect()
}

/// Applies a file with changes to its Deployments, as a user does who keeps them in a directory of kustomize. In one step: a
/// pod without its own address would listen on those of all others.
async fn serve(site: &Site, file: &str, patches: &[(&str, String)]) -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let whole = Path::new(ROOT).join("deploy/kustomize").join(file);
    fs::copy(whole, directory.path().join(file))?;
    let kustomization = json!({ "resources": [file], "patches": of_deployments(patches) });
    let path = directory.path().join("kustomization.yaml");
    // JSON is YAML too.
    fs::write(path, kustomization.to_string())?;
    let directory = directory.path().display().to_string();
    site.kubectl.ok(&["apply", "-k", &directory]).await?;
    site.available().await?;
    println!("{}", site.top().await?);
    reported(site).await.map(drop)
}

/// Scrapers look at their files every 5 s.
const QUICK: &str = "--tls-auto-overlap=15s";

#[test]
fn components_yaml_alone_serves_and_goes_on_while_it_is_applied_again_and_its_certificate_renewed()
-> anyhow::Result<()> {
    on_site(async |site| {
        let both = own_address(2, &[BIND, QUICK], &[(1, 0, ADMIN)]);
        let patches = [("tributary", both)];
        serve(&site, "components.yaml", &patches).await?;
        let mut polling = Polling::start(&site);
        for _ in 0..2 {
            serve(&site, "components.yaml", &patches).await?;
            polling.is_well()?;
        }
        renew(&site, &mut polling).await?;
        serve(&site, "components.yaml", &patches).await?;
        polling.end().await
    })
}

/// Waits until all pods tell that their certificate or CA is valid for this many days, counted from now.
async fn expire_in_days(site: &Site, days: i64) -> anyhow::Result<()> {
    let name = "tributary_certificate_expiration_timestamp_seconds";
    for (component, certificate) in [("frontend", "serving"), ("scraper", "bus-ca")] {
        let series = format!("{name}{{certificate=\"{certificate}\"}} ");
        eventually("the metric follows the certificate", || async {
            let pods = site.pods_of(component).await?;
            anyhow::ensure!(pods.len() == 2, "{} of {component}", pods.len());
            for (_, ip) in pods {
                let metrics = site.ask_pod(component, &ip, "/metrics").await?;
                let until = metrics.lines().find_map(|line| line.strip_prefix(&series));
                let until = until.context("the metric")?.parse::<i64>()?;
                let left = until - Clock::system().now().as_second();
                // It was made a few minutes ago at most.
                let most = days * 86_400;
                anyhow::ensure!((most - 600..=most).contains(&left), "{component}: {left}");
            }
            Ok(())
        })
        .await?;
    }
    Ok(())
}

#[test]
fn high_availability_yaml_alone_serves_and_goes_on_while_it_is_applied_again_and_its_certificate_renewed()
-> anyhow::Result<()> {
    on_site(async |site| {
        let frontend = own_address(1, &[BIND, QUICK], &[(0, 3, BUS)]);
        let scraper = own_address(1, &[], &[(0, 0, ADMIN)]);
        let patches = [("tributary", frontend), ("tributary-scraper", scraper)];
        serve(&site, "high-availability.yaml", &patches).await?;
        both_own_nodes(&site).await?;
        expire_in_days(&site, 90).await?;
        let mut polling = Polling::start(&site);
        for _ in 0..2 {
            serve(&site, "high-availability.yaml", &patches).await?;
            polling.is_well()?;
        }
        renew(&site, &mut polling).await?;
        every_stream_is_open(&site).await?;
        polling.end().await?;
        expire_in_days(&site, 90).await
    })
}
