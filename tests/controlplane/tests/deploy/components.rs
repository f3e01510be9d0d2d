//! Components of kustomize: they make of the manifests what the chart renders with the same values, and this serves.

use std::{collections::BTreeSet, fs, net::SocketAddr};

use anyhow::Context as _;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tributary_controlplane::patience::eventually;

use crate::{
    installed::both_own_nodes,
    manifests::{ADMIN, BIND, BUS, of_deployments, own_address},
    moved::{kustomizations, kustomize},
    played,
    rendered::define,
    site::{CHART, NAMESPACE, Site, helm, items, on_site},
};

/// Helm's own labels, which the manifests do not have.
const OF_HELM: [&str; 2] = ["helm.sh/chart: ", "app.kubernetes.io/managed-by: Helm"];

/// In flags of the manifests the namespace is a variable.
const VARIABLE: &str = "        - name: POD_NAMESPACE
          valueFrom:
            fieldRef:
              fieldPath: metadata.namespace
";

/// The objects in what kustomize has printed, in the form in which manifests and chart are the same.
fn objects(printed: &str) -> BTreeSet<String> {
    let text = printed.replace(VARIABLE, "");
    let text = text.replace("$(POD_NAMESPACE)", NAMESPACE);
    let kept = text.lines().filter(|line| {
        let line = line.trim_start();
        !OF_HELM.iter().any(|label| line.starts_with(label))
    });
    let text = kept.collect::<Vec<_>>().join("\n");
    let objects = text.split("\n---\n").map(str::to_owned);
    // Helm makes it by itself, or not.
    objects
        .filter(|object| !object.contains("\nkind: Namespace\n"))
        .collect()
}

/// What the chart renders, as kustomize prints it.
fn of_chart(values: &str) -> anyhow::Result<BTreeSet<String>> {
    let template = [
        "template",
        "tributary",
        CHART,
        "-n",
        NAMESPACE,
        "--set",
        values,
    ];
    let rendered = Runtime::new()?.block_on(helm(None, &template))?;
    anyhow::ensure!(rendered.ok, "{}", rendered.stderr);
    let directory = tempfile::tempdir()?;
    fs::write(directory.path().join("chart.yaml"), rendered.stdout)?;
    let kustomization = json!({ "resources": ["chart.yaml"] }).to_string();
    fs::write(directory.path().join("kustomization.yaml"), kustomization)?;
    Ok(objects(&kustomize(directory.path())?))
}

#[test]
fn manifests_with_components_are_what_the_chart_renders() -> anyhow::Result<()> {
    let (sidecar, ha) = ("profile=sidecar", "profile=ha,replicas=2");
    let prometheus = "serviceMonitor.enabled=true,prometheusRule.enabled=true";
    let grafana = "dashboard.enabled=true";
    let cert_manager = "tls.type=cert-manager";
    let stats = "kubeletReader.stats=true";
    let with = |profile: &str, values: &[&str]| [&[profile][..], values].concat().join(",");
    let all = [prometheus, grafana, cert_manager, stats];
    let cases: [(&str, &[&str], String); 12] = [
        ("sidecar", &[], with(sidecar, &[])),
        ("sidecar", &["prometheus"], with(sidecar, &[prometheus])),
        ("sidecar", &["grafana"], with(sidecar, &[grafana])),
        ("sidecar", &["cert-manager"], with(sidecar, &[cert_manager])),
        ("sidecar", &["kubelet-stats"], with(sidecar, &[stats])),
        (
            "sidecar",
            &["prometheus", "grafana", "cert-manager", "kubelet-stats"],
            with(sidecar, &all),
        ),
        ("ha", &[], with(ha, &[])),
        ("ha", &["prometheus-ha"], with(ha, &[prometheus])),
        ("ha", &["grafana"], with(ha, &[grafana])),
        ("ha", &["cert-manager"], with(ha, &[cert_manager])),
        ("ha", &["kubelet-stats"], with(ha, &[stats])),
        (
            "ha",
            &["prometheus-ha", "grafana", "cert-manager", "kubelet-stats"],
            with(ha, &all),
        ),
    ];
    for (profile, components, values) in cases {
        let directory = kustomizations(profile, components, &[])?;
        let ours = objects(&kustomize(&directory.path().join("before"))?);
        let chart = of_chart(&values)?;
        let differ: Vec<&String> = ours.symmetric_difference(&chart).collect();
        assert!(differ.is_empty(), "{profile} {components:?}: {differ:#?}");
    }
    Ok(())
}

/// Waits until a `ServiceMonitor` leads to this number of pods, and returns their addresses, which its port is in.
async fn targets(site: &Site, monitor: &Value, count: usize) -> anyhow::Result<Vec<SocketAddr>> {
    let namespace = site.namespace;
    assert_eq!(
        monitor["spec"]["namespaceSelector"],
        json!({ "matchNames": [namespace] })
    );
    let labels = monitor["spec"]["selector"]["matchLabels"].as_object();
    let labels = labels.context("labels")?.iter();
    let labels = labels.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()));
    let labels = labels.collect::<Vec<_>>().join(",");
    let services = ["get", "services", "-n", namespace, "-l", &labels];
    let services = [&services[..], &["-o", "json"]].concat();
    let services = items(&site.kubectl.ok(&services).await?)?;
    let [service] = &services[..] else {
        anyhow::bail!("{} Services for {labels}", services.len());
    };
    let service = service["metadata"]["name"].as_str().context("a name")?;
    let path = format!(
        "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices?labelSelector=kubernetes.io/service-name={service}"
    );
    let port = &monitor["spec"]["endpoints"][0]["port"];
    eventually("the endpoints of a ServiceMonitor", || async {
        let mut found = Vec::new();
        for slice in site.get(&path).await?["items"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let ports = slice["ports"].as_array().into_iter().flatten();
            let number = |one: &Value| u16::try_from(one["port"].as_u64()?).ok();
            let named = ports.filter(|one| one["name"] == *port).find_map(number);
            for endpoint in slice["endpoints"].as_array().into_iter().flatten() {
                let address = endpoint["addresses"][0].as_str().context("an address")?;
                found.push(SocketAddr::new(
                    address.parse()?,
                    named.context("the port")?,
                ));
            }
        }
        anyhow::ensure!(found.len() == count, "{service}: {found:?}");
        Ok(found)
    })
    .await
}

/// The CA that a `ServiceMonitor` names.
async fn ca_of(site: &Site, tls: &Value) -> anyhow::Result<Vec<u8>> {
    let (kind, source) = match (tls["ca"].get("secret"), tls["ca"].get("configMap")) {
        (Some(source), None) => ("secrets", source),
        (None, Some(source)) => ("configmaps", source),
        _ => anyhow::bail!("{tls}"),
    };
    let name = source["name"].as_str().context("a name")?;
    let path = format!("/api/v1/namespaces/{}/{kind}/{name}", site.namespace);
    let object = site.get(&path).await?;
    let key = source["key"].as_str().context("a key")?;
    let text = object["data"][key].as_str().context("a CA")?;
    if kind == "secrets" {
        return Ok(BASE64_STANDARD.decode(text)?);
    }
    Ok(text.as_bytes().to_vec())
}

/// Scrapes what each `ServiceMonitor` leads to, as Prometheus does: this number of frontends and of scrapers.
async fn scraped(site: &Site, frontends: usize, scrapers: usize) -> anyhow::Result<()> {
    let monitors = ["get", "servicemonitors", "-n", site.namespace, "-o", "json"];
    let monitors = items(&site.kubectl.ok(&monitors).await?)?;
    let [frontend, scraper] = &monitors[..] else {
        anyhow::bail!("{} ServiceMonitors", monitors.len());
    };
    let tls = &frontend["spec"]["endpoints"][0]["tlsConfig"];
    let file = site.dir.path().join("monitor-ca.pem");
    fs::write(&file, ca_of(site, tls).await?)?;
    let ca = format!("--certificate-authority={}", file.display());
    let name = tls["serverName"].as_str().context("a name")?;
    let name = format!("--tls-server-name={name}");
    for address in targets(site, frontend, frontends).await? {
        let server = format!("https://{address}");
        let raw = ["get", "--raw", "/metrics", "--server", &server, &ca, &name];
        let metrics = site.kubectl.ok(&raw).await?;
        anyhow::ensure!(
            metrics.contains("\ntributary_catalog_nodes 3\n"),
            "{server}"
        );
    }
    for address in targets(site, scraper, scrapers).await? {
        let server = format!("http://{address}");
        let raw = ["get", "--raw", "/metrics", "--server", &server];
        let metrics = site.kubectl.ok(&raw).await?;
        anyhow::ensure!(metrics.contains("\ntributary_scrape_nodes"), "{server}");
    }
    Ok(())
}

/// What Grafana's sidecar and the operator look for.
async fn alerts_and_dashboard(site: &Site) -> anyhow::Result<()> {
    let maps = format!("/api/v1/namespaces/{}/configmaps", site.namespace);
    let maps = site
        .get(&format!("{maps}?labelSelector=grafana_dashboard=1"))
        .await?;
    let dashboard = maps["items"][0]["data"]["tributary.json"].as_str();
    let dashboard: Value = serde_json::from_str(dashboard.context("a dashboard")?)?;
    assert_eq!(dashboard["title"], "Tributary");
    let rules = ["get", "prometheusrules", "-n", site.namespace, "-o", "json"];
    let rules = items(&site.kubectl.ok(&rules).await?)?;
    let alerts = rules[0]["spec"]["groups"][0]["rules"].as_array();
    anyhow::ensure!(alerts.is_some_and(|alerts| !alerts.is_empty()), "{rules:?}");
    Ok(())
}

#[test]
fn with_all_components_high_availability_serves_by_certificates_of_cert_manager()
-> anyhow::Result<()> {
    on_site(async |site| {
        define(&site).await?;
        let frontend = own_address(1, &[BIND], &[(0, 3, BUS)]);
        let scraper = own_address(1, &[], &[(0, 0, ADMIN)]);
        let patches = [("tributary", frontend), ("tributary-scraper", scraper)];
        let components = ["prometheus-ha", "grafana", "cert-manager"];
        let directory = kustomizations("ha", &components, &of_deployments(&patches))?;
        let path = directory.path().join("before").display().to_string();
        site.kubectl.ok(&["apply", "-k", &path]).await?;
        // A CA of its own, and by it the certificate.
        assert_eq!(played::issue(&site).await?, 2);
        assert_eq!(played::inject(&site).await?, 3);
        site.available().await?;
        println!("{}", site.top().await?);
        both_own_nodes(&site).await?;
        scraped(&site, 2, 2).await?;
        alerts_and_dashboard(&site).await?;

        // Applied again it takes away nothing that was injected.
        site.kubectl.ok(&["apply", "-k", &path]).await?;
        let service = "/apis/apiregistration.k8s.io/v1/apiservices/v1.metrics.k8s.io";
        let bundle = site.get(service).await?["spec"]["caBundle"].clone();
        let secret = format!("/api/v1/namespaces/{NAMESPACE}/secrets/tributary-ca");
        assert_eq!(bundle, site.get(&secret).await?["data"]["tls.crt"]);
        site.top().await.map(drop)
    })
}

#[test]
fn with_components_for_monitoring_one_pod_serves_and_is_scraped() -> anyhow::Result<()> {
    on_site(async |site| {
        define(&site).await?;
        let both = own_address(2, &[BIND], &[(1, 0, ADMIN)]);
        let patches = of_deployments(&[("tributary", both)]);
        let directory = kustomizations("sidecar", &["prometheus", "grafana"], &patches)?;
        let path = directory.path().join("before").display().to_string();
        site.kubectl.ok(&["apply", "-k", &path]).await?;
        site.available().await?;
        println!("{}", site.top().await?);
        scraped(&site, 1, 1).await?;
        alerts_and_dashboard(&site).await
    })
}
